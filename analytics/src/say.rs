//! What the command and the server say. Rust's own macros panic where nobody listens any more: `weir performance | head -3`
//! would end with a panic, and in `weir serve` the task that had something to log would end.

use std::io::{self, Write};

/// To standard output; once nobody reads it (`| head`), there is nothing left to do and the process ends well.
pub fn text(text: &str) {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            log(&format!("weir: standard output: {error}"));
            std::process::exit(1);
        }
    }
}

/// A line to standard error, which may be lost.
pub fn log(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// As `println!`, by [`text`].
macro_rules! say {
    () => { $crate::say::text("\n") };
    ($($told:tt)+) => { $crate::say::text(&format!("{}\n", format_args!($($told)+))) };
}

/// As `eprintln!`, by [`log`].
macro_rules! note {
    ($($told:tt)+) => { $crate::say::log(&format!($($told)+)) };
}

pub(crate) use {note, say};
