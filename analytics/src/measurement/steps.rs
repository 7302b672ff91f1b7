//! The steps of a refresh and when each of them ran, so that a run can tell where its time went and where it failed.

use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

/// A step of a refresh, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pins the snapshots and reads telemetry down to the newest ledger of each order.
    Query,
    /// Adds up sales, products and windows.
    Compute,
    /// Labels every product and compares each label with the reference.
    Classify,
    /// Commits the tables.
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

/// When steps began. Shared with the blocking thread that computes.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Vec<(Step, Timestamp)>>);

impl Progress {
    /// A step begins, and with it the one before has succeeded.
    pub fn begin(&self, step: Step) {
        self.list().push((step, Timestamp::now()));
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

    fn list(&self) -> std::sync::MutexGuard<'_, Vec<(Step, Timestamp)>> {
        // A panic in between leaves a list that is still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
