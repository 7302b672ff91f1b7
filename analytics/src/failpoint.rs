//! Named places at durability boundaries where a test build can be held, to be killed there.
//!
//! `WEIR_FAILPOINT=name:n` holds the thread that reaches `name` for the n-th time, after it said so on standard error; the
//! test then sends SIGKILL. Release builds contain none of this.

/// A boundary has been reached.
#[inline]
pub fn reached(name: &str) {
    #[cfg(debug_assertions)]
    hold(name);
    #[cfg(not(debug_assertions))]
    let _ = name;
}

#[cfg(debug_assertions)]
fn hold(name: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::OnceLock;
    static CHOSEN: OnceLock<Option<(String, u32)>> = OnceLock::new();
    static SEEN: AtomicU32 = AtomicU32::new(0);
    let chosen = CHOSEN.get_or_init(|| {
        let text = std::env::var("WEIR_FAILPOINT").ok()?;
        let (name, count) = text.split_once(':')?;
        Some((name.to_owned(), count.parse().ok()?))
    });
    let Some((chosen, count)) = chosen else { return };
    if chosen == name && SEEN.fetch_add(1, Ordering::AcqRel) + 1 == *count {
        eprintln!("failpoint {name}");
        loop {
            std::thread::park();
        }
    }
}
