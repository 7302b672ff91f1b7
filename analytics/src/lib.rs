//! weir analytics
