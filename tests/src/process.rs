//! What a process takes of the machine, from /proc: for the benchmarks.

use std::time::Duration;

use crate::{failed, Result};

/// A process under observation, by its id.
pub struct Process(pub i32);

impl Process {
    /// CPU seconds that all of its threads have taken, in hundredths: unlike the clock, they do not depend on what else the
    /// machine does.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name before may hold blanks. utime and stime are fields 14 and 15 of proc(5), in hundredths of a second on Linux.
        let (_, fields) = stat
            .rsplit_once(") ")
            .ok_or_else(|| failed("an unreadable stat file"))?;
        let fields: Vec<&str> = fields.split(' ').collect();
        let ticks = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        Ok(f64::from(ticks) / 100.0)
    }

    /// CPU time of a process with one thread so far; the kernel counts it in nanoseconds.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn only_threads_cpu(&self) -> Result<Duration> {
        scheduled(&format!("/proc/{}/schedstat", self.0))
    }

    /// CPU time of the threads that it has now, in nanoseconds: for a process whose threads stay, over a short time.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn threads_cpu(&self) -> Result<Duration> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.0))?;
        threads
            .map(|thread| scheduled(&format!("{}/schedstat", thread?.path().display())))
            .sum()
    }

    /// Memory that it shares with no other process, MB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn anonymous_mb(&self) -> Result<u64> {
        self.status_mb("RssAnon:")
    }

    /// Most memory that it has had resident, MB (shared buffers it touched included).
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_mb(&self) -> Result<u64> {
        self.status_mb("VmHWM:")
    }

    fn status_mb(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next());
        let kilobytes = kilobytes.ok_or_else(|| failed(format!("no {name} in /proc/{}/status", self.0)))?;
        Ok(kilobytes.parse::<u64>()? / 1024)
    }
}

/// The first field of a schedstat file: how long its thread ran.
fn scheduled(path: &str) -> Result<Duration> {
    let text = std::fs::read_to_string(path)?;
    let nanoseconds = text.split_whitespace().next().and_then(|field| field.parse().ok());
    nanoseconds
        .map(Duration::from_nanos)
        .ok_or_else(|| failed(format!("{path} does not begin with a number")))
}
