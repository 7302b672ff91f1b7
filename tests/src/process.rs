//! What a process takes of the machine, from /proc.

use weir_tests::Result;

/// A process under observation, by its id.
pub struct Process(pub i32);

impl Process {
    /// CPU seconds that it has taken: unlike the clock, they do not depend on what else the machine does.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        let (_, fields) = stat.rsplit_once(") ").ok_or("an unreadable stat file")?;
        let fields: Vec<&str> = fields.split(' ').collect();
        // utime and stime are fields 14 and 15 of proc(5), in hundredths of a second on Linux.
        let ticks = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
        Ok(f64::from(ticks) / 100.0)
    }

    /// Memory that it shares with no other process, MB.
    pub fn anonymous_mb(&self) -> Result<u64> {
        self.status_mb("RssAnon:")
    }

    /// A size of its status file, MB.
    pub fn status_mb(&self, name: &str) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()).unwrap_or("0");
        Ok(kilobytes.parse::<u64>()? / 1024)
    }
}
