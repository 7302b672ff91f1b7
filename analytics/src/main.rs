//! The `weir` command.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use weir_analytics::{cli, http_client, say, Error};

/// A computation that nobody waits for any more, as one that a stopped server leaves behind, is not waited for either: what
/// it has not committed does not count.
const PATIENCE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    http_client::spare_this_machine_the_proxy();
    let ended = tokio::runtime::Runtime::new().map_err(Into::into).and_then(|runtime| {
        let ended = runtime.block_on(cli::run(cli));
        runtime.shutdown_timeout(PATIENCE);
        ended
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::log(&format!("weir: {error}"));
            match error {
                // As clap ends where it is the one that does not understand.
                Error::CommandLine(_) => ExitCode::from(2),
                _ => ExitCode::FAILURE,
            }
        }
    }
}
