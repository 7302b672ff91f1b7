//! The commerce Worker.
