//! `weir serve` as a process of its own, to be killed.

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use super::TOKEN;

/// The process dies with this value.
pub struct Serve {
    pub child: Child,
    pub url: String,
    pub errors: Lines<BufReader<ChildStderr>>,
    /// Held at the failpoint before it listened: it was committing what an earlier run left.
    pub is_held: bool,
}

impl Serve {
    /// Starts it with further arguments and environment, and waits until it listens, or is held at the failpoint. The
    /// error is what it said before it ended.
    pub async fn start(warehouse: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<Self, String> {
        Self::run(
            Command::new(env!("CARGO_BIN_EXE_weir")),
            warehouse,
            arguments,
            environment,
        )
        .await
    }

    /// The same, and no file of it may grow beyond `kib` KiB: a write beyond that fails as on a full disk.
    pub async fn start_limited(warehouse: &Path, arguments: &[&str], kib: u32) -> Self {
        let mut command = Command::new("bash");
        // SIGXFSZ ignored: write gives EFBIG instead of ending the process.
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_weir")]);
        Self::run(command, warehouse, arguments, &[]).await.unwrap()
    }

    async fn run(
        mut command: Command,
        warehouse: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, String> {
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--token", TOKEN])
            .args(arguments)
            .arg("--warehouse")
            .arg(warehouse)
            .envs(environment.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut errors = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        loop {
            tokio::select! {
                line = lines.next_line() => {
                    let Some(line) = line.unwrap() else { break };
                    let ready: Value = serde_json::from_str(&line).unwrap();
                    let url = ready["listening"].as_str().unwrap().to_owned();
                    return Ok(Self { child, url, errors, is_held: false });
                }
                line = errors.next_line() => {
                    let Some(line) = line.unwrap() else { break };
                    if line.starts_with("failpoint ") {
                        return Ok(Self { child, url: String::new(), errors, is_held: true });
                    }
                    said.push_str(&line);
                    said.push('\n');
                }
            }
        }
        while let Ok(Some(line)) = errors.next_line().await {
            said.push_str(&line);
            said.push('\n');
        }
        Err(said)
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    /// Waits until the process says that it is held at the failpoint; false if it ends first.
    pub async fn held(&mut self) -> bool {
        while let Ok(Some(line)) = self.errors.next_line().await {
            if line.starts_with("failpoint ") {
                return true;
            }
        }
        false
    }
}
