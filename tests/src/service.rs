//! A child process that ends with the test that started it, also when the test is killed.
//!
//! Each service runs under a small shell that waits on a pipe held by this process: when the pipe closes, by drop or by
//! death, the shell stops the service with its own signal and removes its directory. No pid file, no leftover.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::{failed, Result};

// $1 stop signal, $2 directory to remove or empty, rest the command. The service's pid is the first line on stdout; its
// stdin is the pipe too, for services that end with it.
const SUPERVISOR: &str = r#"
signal=$1; directory=$2; shift 2
exec 3<&0
"$@" <&3 3<&- &
service=$!
echo "$service"
(cat <&3 >/dev/null; kill -s "$signal" "$service") >/dev/null 2>&1 &
wait "$service"; status=$?
[ -z "$directory" ] || [ -e "$directory/crashed" ] || rm -rf "$directory"
exit "$status"
"#;

/// How long a service may take to say that it is ready. Generous: CI machines are slow; nothing waits for it in vain.
pub const READY_SECONDS: u64 = 60;

/// A running service.
pub struct Service {
    name: &'static str,
    supervisor: Child,
    lifeline: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    log: std::sync::Arc<std::sync::Mutex<String>>,
    /// Process id of the service itself (not of its supervisor); fault tests kill it.
    pub pid: i32,
}

/// What to start.
pub struct Spec<'a> {
    /// Name used in messages.
    pub name: &'static str,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Extra environment.
    pub environment: Vec<(&'a str, String)>,
    /// Signal that stops it cleanly: `INT` or `TERM`.
    pub stop_signal: &'static str,
    /// Directory that goes with it.
    pub remove_directory: Option<PathBuf>,
    /// Run as this user (when this process is root).
    pub user: Option<&'static str>,
}

impl Service {
    /// Starts `script` of this checkout in node, with `config` as its argument.
    ///
    /// # Errors
    /// As [`Service::start`], and when there is no node.
    pub fn node(name: &'static str, script: &str, config: &serde_json::Value) -> Result<Self> {
        let node = std::env::var("WEIR_NODE").map_err(|_| failed("WEIR_NODE is not set; use `make`"))?;
        let script = crate::workspace_root()?.join(script).display().to_string();
        Self::start(Spec {
            name,
            command: vec![node, script, config.to_string()],
            environment: vec![],
            stop_signal: "TERM",
            remove_directory: None,
            user: None,
        })
    }

    /// Starts the service and its supervisor.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(spec: Spec<'_>) -> Result<Self> {
        let directory = spec
            .remove_directory
            .as_ref()
            .map_or(String::new(), |path| path.display().to_string());
        let mut command = match spec.user {
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--", "sh"]);
                command
            }
            None => Command::new("sh"),
        };
        command
            .args(["-c", SUPERVISOR, "sh", spec.stop_signal, &directory])
            .args(&spec.command);
        // Ctrl-C reaches the foreground group: the demo wants to stop its services itself, in order.
        command
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.envs(spec.environment).env_remove("RUST_BACKTRACE");
        if spec.user.is_some() {
            command.current_dir("/");
        }
        let mut supervisor = command
            .spawn()
            .map_err(|error| failed(format!("{} cannot be started: {error}", spec.name)))?;
        let lifeline = supervisor.stdin.take();
        let stdout = supervisor.stdout.take().expect("piped");
        let mut stderr = supervisor.stderr.take().expect("piped");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let log = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
        let sink = std::sync::Arc::clone(&log);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut buffer) {
                sink.lock()
                    .expect("log")
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        let mut service = Self {
            name: spec.name,
            supervisor,
            lifeline,
            lines,
            log,
            pid: 0,
        };
        service.pid = service
            .next_line()?
            .parse()
            .map_err(|_| failed("supervisor printed no pid"))?;
        Ok(service)
    }

    /// The next line the service prints on stdout.
    ///
    /// # Errors
    /// When the service ended, or printed nothing for [`READY_SECONDS`]; the message carries its log.
    pub fn next_line(&self) -> Result<String> {
        self.lines
            .recv_timeout(Duration::from_secs(READY_SECONDS))
            .map_err(|error| {
                let why = match error {
                    mpsc::RecvTimeoutError::Timeout => format!("said nothing for {READY_SECONDS} s"),
                    mpsc::RecvTimeoutError::Disconnected => "ended".to_owned(),
                };
                failed(format!("{} {why}; its log:\n{}", self.name, self.log()))
            })
    }

    /// Everything the service wrote to stderr so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().expect("log").clone()
    }

    /// Stops the service with its own signal and waits until it has ended.
    pub fn stop(&mut self) {
        drop(self.lifeline.take());
        let _ = self.supervisor.wait();
    }

    /// `kill -9`: the crash that fault tests are about. Returns when the process is gone.
    pub fn crash(&mut self) {
        kill(self.pid);
        let _ = self.supervisor.wait();
    }

    /// [`Service::crash`] of a service that is about to be started again over the directory that would go with it.
    ///
    /// # Errors
    /// When the directory takes no file.
    pub fn crash_and_keep(&mut self, directory: &std::path::Path) -> Result<()> {
        let mark = directory.join("crashed");
        std::fs::write(&mark, "")?;
        self.crash();
        std::fs::remove_file(&mark)?;
        Ok(())
    }
}

/// `kill -9` of one process. That it is gone already is as good.
pub fn kill(pid: i32) {
    let _ = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The processes whose parent is `pid`.
///
/// # Errors
/// When /proc cannot be listed.
pub fn children(pid: i32) -> Result<Vec<i32>> {
    let parent = |child: i32| -> Option<i32> {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let processes = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(processes.filter(|child| parent(*child) == Some(pid)).collect())
}

/// A port that is free now. Two services may race for it; callers that cannot pass port 0 retry.
///
/// # Errors
/// When no socket can be bound.
pub fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Whether this process is root (PostgreSQL refuses root).
#[must_use]
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| std::os::unix::fs::MetadataExt::uid(&metadata) == 0)
}
