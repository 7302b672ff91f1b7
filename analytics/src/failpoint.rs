//! Points at which a test makes this process fail, at each border of durability.
//!
//! Without the feature `failpoints` a point is nothing. With it, `WEIR_FAILPOINT=name` in the environment aborts the
//! process where the point is reached, as a crash would: no destructor runs and nothing is flushed.

use crate::Result;

/// The process may end here.
///
/// # Errors
/// None; the type lets callers treat it as the step that it stands behind.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub fn hit(_name: &str) -> Result<()> {
    Ok(())
}

/// The process may end here.
///
/// # Errors
/// None; the type lets callers treat it as the step that it stands behind.
#[cfg(feature = "failpoints")]
pub fn hit(name: &str) -> Result<()> {
    if std::env::var("WEIR_FAILPOINT").is_ok_and(|armed| armed == name) {
        eprintln!("failpoint {name}");
        std::process::abort();
    }
    Ok(())
}
