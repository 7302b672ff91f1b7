//! Named places at durability boundaries where a test build fails.
//!
//! `WEIR_FAILPOINT=name` aborts the process that reaches `name`, as a crash would: no destructor runs, nothing is flushed.
//! `WEIR_FAILPOINT=name:n` holds the thread that reaches it for the n-th time, after it said so on standard error; the test
//! then sends SIGKILL while the rest of the process goes on. Release builds contain none of this.

/// A boundary has been reached.
#[inline]
pub fn reached(name: &str) {
    #[cfg(debug_assertions)]
    fail(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
fn fail(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<(String, Option<u32>)>> = OnceLock::new();
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("WEIR_FAILPOINT").ok()?;
        // A table's name may follow the place's own, also after a colon.
        let counted = text.rsplit_once(':').map(|(name, count)| (name, count.parse()));
        Some(match counted {
            Some((name, Ok(count))) => (name.to_owned(), Some(count)),
            _ => (text, None),
        })
    });
    let Some((chosen, count)) = chosen else { return };
    if chosen != name {
        return;
    }
    let Some(count) = count else {
        eprintln!("failpoint {name}");
        std::process::abort();
    };
    if SEEN.fetch_add(1, Ordering::AcqRel) + 1 == *count {
        eprintln!("failpoint {name}");
        loop {
            std::thread::park();
        }
    }
}
