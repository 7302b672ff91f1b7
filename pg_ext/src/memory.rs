//! What a session keeps of its memory between two batches.

use std::sync::Once;

/// Most bytes of freed memory that a session does not give back, and the size from which on a value has pages of its own that
/// are given back at once: 32 MiB, the largest size that glibc takes for the latter.
const KEPT_BYTES: libc::c_int = 32 << 20;

/// Lets the session keep what a batch used for the next one. Left alone, glibc gives values of megabytes back as soon as they
/// are freed, and the kernel clears every page of them again for the next batch: a batch of 500 orders has some ten such
/// values, PostgreSQL's own among them (its message, the argument, the arrays, the answer).
pub fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: mallopt takes any values; a parameter that it does not know, or a value beyond its limits, changes nothing.
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT_BYTES);
            libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_BYTES);
        }
    });
}
