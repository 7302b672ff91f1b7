//! What weir's Workers share.
