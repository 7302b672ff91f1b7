//! What waits between the answer to a sender and the commit: bytes of journal on disk, decoded rows in memory. Over all
//! streams of the server; both have a limit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arrow_array::RecordBatch;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{Error, Result};

/// Decoded rows kept in memory until they are encoded, in KiB; beyond it they are decoded again from the journal.
const MEMORY_KIB: u32 = 128 * 1024;
/// How long a request waits for that memory before it goes on without. Rows leave it in milliseconds while processors are
/// what is short; longer only while storage hangs, and that must not hold up answers.
const PATIENCE: Duration = Duration::from_millis(500);

/// This part of the limit on disk is each stream's own: one whose table takes no commits fills what is left, and holds up no
/// other.
const OWN_PART: u64 = 8;

/// Journaled and not yet committed.
#[derive(Debug)]
pub struct Backlog {
    /// Bytes of each stream.
    bytes: Mutex<BTreeMap<String, u64>>,
    /// Of all of them.
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

/// What of the backlog is a stream's.
#[derive(Debug, Clone)]
pub struct Share {
    backlog: Arc<Backlog>,
    stream: String,
}

/// Room on disk for rows that are not yet there: whoever sends them may go away before they are handed on.
#[derive(Debug)]
pub(super) struct Reserved<'a> {
    share: &'a Share,
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
        self.share.release(self.bytes);
    }
}

impl Share {
    /// Makes room on disk for new rows, or refuses. The room is given back unless it is [`Reserved::taken`].
    pub(super) fn reserve(&self, bytes: u64) -> Result<Reserved<'_>> {
        if self.backlog.closed.load(Ordering::Acquire) {
            return Err(Error::Busy("the server is stopping".into()));
        }
        let (limit, own_part) = (self.backlog.limit, self.backlog.limit / OWN_PART);
        let mut present = self.backlog.lock();
        let others = present.iter().filter(|(stream, _)| **stream != self.stream);
        let of_others: u64 = others.map(|(_, bytes)| own_part.max(*bytes)).sum();
        let allowed = own_part.max(limit.saturating_sub(of_others));
        let own = present.entry(self.stream.clone()).or_default();
        if own.saturating_add(bytes) > allowed {
            return Err(Error::Busy(format!(
                "{own} bytes of {} wait to be committed, {allowed} are allowed",
                self.stream
            )));
        }
        *own += bytes;
        Ok(Reserved { share: self, bytes })
    }

    /// Counts what an earlier run left, whatever the limit.
    pub(super) fn adopt(&self, bytes: u64) {
        *self.backlog.lock().entry(self.stream.clone()).or_default() += bytes;
    }

    pub(super) fn release(&self, bytes: u64) {
        *self.backlog.lock().entry(self.stream.clone()).or_default() -= bytes;
    }
}

impl Backlog {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            bytes: Mutex::default(),
            limit,
            closed: AtomicBool::new(false),
            memory: Arc::new(Semaphore::new(MEMORY_KIB as usize)),
            stalled: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.bytes.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A stream's share of it.
    pub(super) fn share(self: &Arc<Self>, stream: &str) -> Share {
        let share = Share {
            backlog: self.clone(),
            stream: stream.to_owned(),
        };
        // From now on its own part is nobody else's.
        share.adopt(0);
        share
    }

    /// Bytes of each stream.
    pub(super) fn bytes(&self) -> BTreeMap<String, u64> {
        self.lock().clone()
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
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
        let backlog = Arc::new(Backlog::new(10));
        let share = backlog.share("s");
        share.reserve(6).unwrap().taken();
        assert!(matches!(share.reserve(5), Err(Error::Busy(_))));
        share.release(6);
        drop(share.reserve(10).unwrap());
        share.reserve(10).unwrap().taken();
        backlog.close();
        share.release(10);
        assert!(matches!(share.reserve(1), Err(Error::Busy(_))));
    }

    #[test]
    fn what_one_stream_leaves_waiting_takes_no_other_its_own_part() {
        let backlog = Arc::new(Backlog::new(80));
        let [first, second, third] = ["a", "b", "c"].map(|stream| backlog.share(stream));
        let take = |share: &Share, bytes| share.reserve(bytes).map(Reserved::taken).is_ok();
        assert!(!take(&first, 61));
        assert!(take(&first, 60));
        assert!(!take(&first, 1));
        assert!(take(&second, 10) && !take(&second, 1));
        assert!(take(&third, 10) && !take(&third, 1));
        first.release(20);
        assert!(take(&second, 20) && !take(&third, 1) && !take(&first, 1));
        assert_eq!(backlog.bytes().values().sum::<u64>(), 80);
        // Of an earlier run, which may have had another limit.
        first.adopt(1_000);
        second.release(30);
        assert!(take(&second, 10) && !take(&second, 1));
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
