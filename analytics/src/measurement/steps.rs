//! The steps of a refresh and when each of them ran, so that a run can tell where its time went and where it failed.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedSender;

use super::refresh::How;

/// A step of a refresh, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pins the snapshots and reads telemetry down to the newest ledger of each order.
    Query,
    /// Adds up sales, products and windows.
    Compute,
    /// Labels every product and compares each label with the reference.
    Classify,
    /// Commits the tables; rows that were ready earlier are in files by then.
    Write,
}

impl Step {
    /// The name in SYNC_TELEMETRY.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Compute => "compute",
            Self::Classify => "classify",
            Self::Write => "write",
        }
    }
}

/// What a refresh tells while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// How this pass of the refresh was asked for, see [`How::name`].
    pub pass: &'static str,
    /// The step it is in.
    pub step: Step,
    /// Rows the step has read; none when it has just begun.
    pub rows: Option<u64>,
}

/// When steps began, and whoever listens. Shared with the blocking thread that computes.
#[derive(Debug, Default)]
pub struct Progress {
    begun: Mutex<Vec<(Step, Timestamp)>>,
    pass: &'static str,
    listener: Option<UnboundedSender<Told>>,
}

impl Progress {
    /// One that tells a listener, if there is any, of every step of a pass as it happens.
    #[must_use]
    pub fn told_to(listener: Option<UnboundedSender<Told>>, how: How) -> Self {
        Self {
            begun: Mutex::default(),
            pass: how.name(),
            listener,
        }
    }

    /// A step begins, and with it the one before has succeeded.
    pub fn begin(&self, step: Step) {
        self.list().push((step, Timestamp::now()));
        self.tell(step, None);
    }

    /// The step that runs has so many rows before it.
    pub fn read(&self, rows: u64) {
        let running = self.list().last().map(|(step, _)| *step);
        if let Some(step) = running {
            self.tell(step, Some(rows));
        }
    }

    /// Begins anew: what ran so far was of no use.
    pub fn restart(&self) {
        self.list().clear();
    }

    /// Every step begun, with its start and its end; the last one ends at `ended`.
    #[must_use]
    pub fn spans(&self, ended: Timestamp) -> Vec<(Step, Timestamp, Timestamp)> {
        let begun = self.list();
        let ends = begun.iter().skip(1).map(|(_, start)| *start).chain([ended]);
        begun
            .iter()
            .zip(ends)
            .map(|((step, start), end)| (*step, *start, end))
            .collect()
    }

    fn tell(&self, step: Step, rows: Option<u64>) {
        if let Some(listener) = &self.listener {
            // Whoever asked may have gone; the refresh goes on.
            let _ = listener.send(Told {
                pass: self.pass,
                step,
                rows,
            });
        }
    }

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(Step, Timestamp)>> {
        // A panic in between leaves a list that is still true.
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
