//! What waits between the answer to a sender and the commit: bytes of journal on disk, decoded rows in memory. Over all
//! streams of the server; both have a limit.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Result};

/// Decoded rows kept in memory until they are encoded, in KiB; beyond it they are decoded again from the journal.
const MEMORY_KIB: u32 = 128 * 1024;
/// How long a request waits for that memory before it goes on without. Rows leave it in milliseconds while processors are
/// what is short; longer only while storage hangs, and that must not hold up answers.
const PATIENCE: Duration = Duration::from_millis(500);

/// Journaled and not yet committed.
#[derive(Debug)]
pub struct Backlog {
    bytes: AtomicU64,
    limit: u64,
    closed: AtomicBool,
    memory: Arc<Semaphore>,
    /// Whether the last one who waited for memory did so in vain.
    stalled: AtomicBool,
}

/// Rows in memory; their room is given back on drop.
#[derive(Debug)]
pub struct Kept {
    /// The rows of one request, as the table has them.
    pub batches: Vec<RecordBatch>,
    _room: OwnedSemaphorePermit,
}

/// Room on disk for rows that are not yet there: whoever sends them may go away before they are handed on.
#[derive(Debug)]
pub(super) struct Reserved<'a> {
    backlog: &'a Backlog,
    bytes: u64,
}

impl Reserved<'_> {
    /// The rows are on their way; whoever has them gives the room back.
    pub(super) fn taken(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.backlog.release(self.bytes);
    }
}

impl Backlog {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            limit,
            closed: AtomicBool::new(false),
            memory: Arc::new(Semaphore::new(MEMORY_KIB as usize)),
            stalled: AtomicBool::new(false),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Makes room on disk for new rows, or refuses. The room is given back unless it is [`Reserved::taken`].
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reserved<'_>> {
        if self.closed.load(Ordering::Acquire) {
            return Err(Error::Busy("the server is stopping".into()));
        }
        self.bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |present| {
                present.checked_add(bytes).filter(|sum| *sum <= self.limit)
            })
            .map(|_| Reserved { backlog: self, bytes })
            .map_err(|present| {
                Error::Busy(format!(
                    "{present} bytes wait to be committed, {} are allowed",
                    self.limit
                ))
            })
    }

    /// Counts what an earlier run left, whatever the limit.
    pub(super) fn adopt(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn release(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
    }

    /// Keeps rows in memory, after a short wait if need be; none if there is no room: the journal has them anyway.
    pub(super) async fn keep(&self, batches: Vec<RecordBatch>) -> Option<Kept> {
        let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX).min(MEMORY_KIB);
        let room = match self.memory.clone().try_acquire_many_owned(kib) {
            Ok(room) => room,
            Err(_) if self.stalled.load(Ordering::Acquire) => return None,
            Err(_) => {
                let waited = tokio::time::timeout(PATIENCE, self.memory.clone().acquire_many_owned(kib)).await;
                let Ok(Ok(room)) = waited else {
                    self.stalled.store(true, Ordering::Release);
                    return None;
                };
                room
            }
        };
        self.stalled.store(false, Ordering::Release);
        Some(Kept { batches, _room: room })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::{ArrayRef, Int64Array};

    fn batch(mib: usize) -> Vec<RecordBatch> {
        let column: ArrayRef = Arc::new(Int64Array::from(vec![1; mib << 17]));
        vec![RecordBatch::try_from_iter([("n", column)]).unwrap()]
    }

    #[test]
    fn more_than_the_limit_is_refused_until_something_is_committed() {
        let backlog = Backlog::new(10);
        backlog.reserve(6).unwrap().taken();
        assert!(matches!(backlog.reserve(5), Err(Error::Busy(_))));
        backlog.release(6);
        drop(backlog.reserve(10).unwrap());
        backlog.reserve(10).unwrap().taken();
        backlog.close();
        backlog.release(10);
        assert!(matches!(backlog.reserve(1), Err(Error::Busy(_))));
    }

    #[tokio::test]
    async fn rows_are_kept_while_there_is_memory() {
        let backlog = Backlog::new(0);
        let held = backlog.keep(batch(100)).await.unwrap();
        assert!(backlog.keep(batch(100)).await.is_none());
        assert!(
            backlog.stalled.load(Ordering::Acquire),
            "the next one does not wait in vain"
        );
        assert!(backlog.keep(batch(100)).await.is_none());
        drop(held);
        let held = backlog.keep(batch(100)).await.unwrap();
        assert!(!backlog.stalled.load(Ordering::Acquire));
        let (second, ()) = tokio::join!(backlog.keep(batch(100)), async { drop(held) });
        assert_eq!(second.unwrap().batches[0].num_rows(), 100 << 17);
    }
}
