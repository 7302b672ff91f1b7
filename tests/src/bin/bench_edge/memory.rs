//! Resident memory and processor time of the workerd that a node process has started, from /proc.

use weir_tests::process::Process;
use weir_tests::{failed, Result};

/// Bytes of a page: fixed on every Linux that Rust's std runs on with 4 KB pages.
const PAGE_BYTES: u64 = 4096;

/// A process under observation.
pub struct Memory {
    pid: i32,
}

impl Memory {
    /// The workerd below process `parent`.
    ///
    /// # Errors
    /// When there is none.
    pub fn of_child(parent: i32) -> Result<Self> {
        let children = weir_tests::service::children(parent)?;
        let is_workerd =
            |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "workerd");
        let pid = children
            .into_iter()
            .find(is_workerd)
            .ok_or_else(|| failed("no workerd is running"))?;
        Ok(Self { pid })
    }

    /// Resident memory in MB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_megabytes(&self) -> Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid))?;
        let pages: u64 = statm.split(' ').nth(1).unwrap_or_default().parse()?;
        Ok(pages * PAGE_BYTES / 1_000_000)
    }

    /// Processor seconds used so far.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu_seconds(&self) -> Result<f64> {
        Ok(Process(self.pid).threads_cpu()?.as_secs_f64())
    }
}
