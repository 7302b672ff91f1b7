//! A refresh: query, compute, classify, write.
//!
//! By default it builds on the last one: it reads the telemetry that came since, and replaces the days of sales that the
//! orders in it change, so that its cost follows what changed. Where the last one is of no use it computes everything
//! anew and says why. Either way the rows are the same, to the byte.
//!
//! Idempotent: a crashed refresh is simply run again, and a repeated one commits nothing. Sales are committed first;
//! readers go on seeing those of the refresh before until performance, which names them, is committed too.

use std::sync::Arc;

use jiff::civil::Date;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use super::base::{Base, ENDED_DAYS};
use super::engine;
use super::inputs::{self, Computed};
use super::plan::{self, Plan};
use super::steps::{Progress, Step};
use super::tables;
use super::write::{self, Prepared};
use crate::failpoint;
use crate::lake::{unless_overtaken, Lake};
use crate::Result;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// The moment as of which it computes; only the shops' dates at it matter.
    pub now: Timestamp,
    /// How.
    pub how: How,
}

/// How much is computed and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum How {
    /// What changed since the last refresh.
    #[default]
    Incremental,
    /// As [`Self::Incremental`], but shops whose day of computation is over are computed as of the end of that day, and once more for
    /// some hours: its row lacks what sold after its last refresh, or is told later. See [`all_of`].
    EndedDays,
    /// Everything, whatever is there.
    Full,
    /// Everything is computed; of sales, the days from this one on are written, and earlier ones that differ.
    Since(Date),
}

impl How {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::EndedDays => ENDED_DAYS,
            Self::Full => "full",
            Self::Since(_) => "since",
        }
    }
}

/// What a refresh did.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Identity of the content of the performance days; equal inputs give the same one.
    pub refresh_id: String,
    /// `incremental`, `full` or `since`.
    pub mode: &'static str,
    /// Why an incremental one was not possible, if it was asked for.
    pub reason: Option<String>,
    /// Snapshot of `commerce.telemetry` it is computed from; none if there is no event yet. Text: a JavaScript number
    /// cannot hold it.
    pub source_snapshot_id: Option<String>,
    /// The shops' dates at the moment of the refresh.
    pub computed_on: Vec<String>,
    /// Days that were over and are computed once more, as of their end.
    pub ended_on: Vec<String>,
    /// Rows of commerce telemetry read, repeated deliveries included: those that are new to an incremental refresh.
    pub event_count: u64,
    /// Orders of which something new was told; none in a full refresh.
    pub order_count: Option<u64>,
    /// Products classified.
    pub product_count: u64,
    /// Days of `measurement.sales` that were replaced; none if all of them were.
    pub changed_days: Option<Vec<String>>,
    /// Rows `measurement.sales` now has.
    pub sales_rows: u64,
    /// Rows the replaced days of `measurement.performance` now have.
    pub performance_rows: usize,
    /// Rows this run had to write, whether or not an earlier run had committed them.
    #[serde(skip)]
    pub rows_to_write: usize,
    /// How many of those are new with this run's commits; 0 when the same refresh had been run before.
    pub rows_committed: usize,
    /// Tables in which a new snapshot was committed; none when the same refresh had been run before.
    pub committed_tables: Vec<String>,
    /// What was passed over and by whom it was told: nothing of it is lost, but somebody should look.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// This refresh together with a pass over ended days right before it.
    #[must_use]
    pub fn after(mut self, ended: Self) -> Self {
        let both = |earlier: Vec<String>, later: &mut Vec<String>| {
            let later_only = std::mem::replace(later, earlier);
            for one in later_only {
                if !later.contains(&one) {
                    later.push(one);
                }
            }
        };
        // One of everything has read what was new to the pass before it too.
        let reads_what_is_new = self.mode == How::Incremental.name();
        if ended.reason.is_some() {
            // What the last refresh left was of no use; what the pass left was.
            self.mode = ended.mode;
            self.reason = ended.reason;
        }
        self.ended_on = ended.ended_on;
        if reads_what_is_new {
            self.event_count += ended.event_count;
        }
        self.order_count = self.order_count.zip(ended.order_count).map(|(a, b)| a + b);
        self.changed_days = self.changed_days.zip(ended.changed_days).map(|(mut later, earlier)| {
            both(earlier, &mut later);
            later.sort_unstable();
            later
        });
        self.performance_rows += ended.performance_rows;
        self.rows_to_write += ended.rows_to_write;
        self.rows_committed += ended.rows_committed;
        both(ended.committed_tables, &mut self.committed_tables);
        both(ended.warnings, &mut self.warnings);
        self
    }
}

/// What has to run for a request, in this order: days that are over, and were not for long when they were last computed, come
/// first, see [`Base::ended`].
///
/// # Errors
/// From the lake.
pub async fn all_of(lake: &Lake, request: Request) -> Result<Vec<Request>> {
    let ended = Base::ended(&lake.state(&tables::performance()).await?, request.now)?;
    let first = ended.map(|_| Request {
        how: How::EndedDays,
        ..request
    });
    Ok(first.into_iter().chain([request]).collect())
}

/// So often a refresh begins anew because another server's has changed what it built on.
const MAX_ATTEMPTS: usize = 3;

/// Runs one refresh, and tells `progress` of each step that begins. It begins anew where another server's refresh of the same
/// lake came in between.
///
/// # Errors
/// From the lake or DuckDB; nothing is written if the computation fails. If writing performance fails after sales,
/// readers see neither, and the next refresh completes it. [`crate::Error::Overtaken`] if others came in between each time.
pub async fn run(lake: &Lake, request: Request, progress: &Arc<Progress>) -> Result<Outcome> {
    unless_overtaken(MAX_ATTEMPTS, || attempt(lake, request, progress)).await
}

async fn attempt(lake: &Lake, request: Request, progress: &Arc<Progress>) -> Result<Outcome> {
    progress.restart();
    progress.begin(Step::Query);
    let mut plan = plan::plan(lake, request).await?;
    failpoint::reached("refresh_after_query");
    let (computed, prepared) = match compute(lake, &plan, progress).await? {
        (inputs::Outcome::Done(computed), prepared) => (computed, prepared),
        (inputs::Outcome::NeedsFull(reason), _) => {
            progress.restart();
            progress.begin(Step::Query);
            plan = plan.anew(lake, reason).await?;
            match compute(lake, &plan, progress).await? {
                (inputs::Outcome::Done(computed), prepared) => (computed, prepared),
                (inputs::Outcome::NeedsFull(reason), _) => return Err(crate::Error::Internal(reason)),
            }
        }
    };
    let mut outcome = outcome(&plan, &computed);
    if plan.inputs.commerce_snapshot.is_some() {
        prepared.commit(lake, &plan, *computed, &mut outcome).await?;
    }
    failpoint::reached("refresh_after_write");
    progress.read(outcome.rows_committed as u64);
    Ok(outcome)
}

/// What was computed, and its rows in files that are not committed yet: they are written while the rest is computed.
async fn compute(lake: &Lake, plan: &Plan, progress: &Arc<Progress>) -> Result<(inputs::Outcome, Prepared)> {
    let (inputs, progress, duckdb) = (plan.inputs.clone(), Arc::clone(progress), lake.duckdb());
    let (sender, receiver) = mpsc::unbounded_channel();
    // Sales are asked of the database after the thread that computed has ended; and the thread goes on if nobody waits for it.
    let spill = Arc::new(duckdb.spill("refresh"));
    let spilled = Arc::clone(&spill);
    let computing = tokio::task::spawn_blocking(move || {
        let spill = spilled;
        let connection = duckdb.open(&spill)?;
        // Nobody takes the rows any more once one of them could not be written.
        let outcome = engine::compute(&connection, &inputs, &progress, &mut |ready| drop(sender.send(ready)))?;
        if let inputs::Outcome::Done(_) = outcome {
            failpoint::reached("refresh_after_classify");
            progress.begin(Step::Write);
        }
        Ok::<_, crate::Error>(outcome)
    });
    let mut prepared = Prepared::default();
    let done = async {
        let written = prepared.take_all(lake, plan, receiver).await;
        let mut outcome = computing.await??;
        written?;
        if let inputs::Outcome::Done(computed) = &mut outcome {
            if let Some(sales) = computed.sales.take() {
                prepared.take(lake, plan, sales).await?;
            }
        }
        Ok::<_, crate::Error>(outcome)
    };
    let done = done.await;
    drop(spill);
    match done {
        Ok(outcome) => Ok((outcome, prepared)),
        Err(error) => {
            prepared.discard(lake).await;
            Err(error)
        }
    }
}

fn outcome(plan: &Plan, computed: &Computed) -> Outcome {
    let texts = |days: &[Date]| days.iter().map(Date::to_string).collect::<Vec<_>>();
    Outcome {
        refresh_id: computed.performance_refresh_id.clone(),
        mode: plan.mode,
        reason: plan.reason.clone(),
        source_snapshot_id: plan.inputs.commerce_snapshot.map(|id| id.to_string()),
        computed_on: texts(&computed.days),
        ended_on: texts(&plan.inputs.as_of.ended_days()),
        event_count: computed.event_count,
        order_count: computed.order_count,
        product_count: computed.product_count,
        changed_days: computed.changed_days.as_deref().map(texts),
        sales_rows: computed.sales_rows,
        performance_rows: write::rows(&computed.performance),
        rows_to_write: 0,
        rows_committed: 0,
        committed_tables: Vec::new(),
        warnings: computed.warnings.clone(),
    }
}
