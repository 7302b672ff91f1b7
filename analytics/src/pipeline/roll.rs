//! When the rows that wait are committed.

use std::time::Duration;

/// Commits of a table are at least this far apart, unless asked for: Cloudflare's catalog takes about ten a minute, and
/// each leaves files and a snapshot that readers pay for.
pub const LEAST_PAUSE: Duration = Duration::from_secs(6);

/// By time, by size, never too often.
#[derive(Debug, Clone, Copy)]
pub struct Roll {
    /// How old a row may become before it is committed.
    pub interval: Duration,
    /// Journal bytes at which a commit comes earlier.
    pub bytes: u64,
}

/// What waits for a commit.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    /// Journal bytes.
    pub bytes: u64,
    /// Time since the oldest row of them came.
    pub age: Duration,
}

impl Roll {
    /// Time until the next commit; none if nothing waits. `since_last` is the time since the last one ended, well or not.
    #[must_use]
    pub fn due_in(&self, waiting: Option<Waiting>, since_last: Duration) -> Option<Duration> {
        let waiting = waiting?;
        // Who asks for a shorter interval means it.
        let pause = LEAST_PAUSE.min(self.interval).saturating_sub(since_last);
        let by_age = self.interval.saturating_sub(waiting.age);
        Some(if waiting.bytes >= self.bytes {
            pause
        } else {
            pause.max(by_age)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLL: Roll = Roll {
        interval: Duration::from_secs(10),
        bytes: 1_000,
    };

    fn waiting(bytes: u64, age_seconds: u64) -> Option<Waiting> {
        let age = Duration::from_secs(age_seconds);
        Some(Waiting { bytes, age })
    }

    #[test]
    fn age_and_size_make_a_commit_due_and_the_last_one_delays_it() {
        let due = |waiting, since_last| {
            let due = ROLL.due_in(waiting, Duration::from_secs(since_last));
            due.map(|due| due.as_secs())
        };
        assert_eq!(due(None, 1_000), None);
        assert_eq!(
            due(waiting(1, 0), 1_000),
            Some(10),
            "a first row after a quiet time gets company"
        );
        assert_eq!(due(waiting(1, 7), 7), Some(3));
        assert_eq!(due(waiting(1, 11), 11), Some(0));
        assert_eq!(due(waiting(1_000, 1), 2), Some(4));
        assert_eq!(due(waiting(1_000, 7), 7), Some(0));
        // After a failure the same rows wait, old as they are.
        assert_eq!(due(waiting(1, 60), 0), Some(6));
        let hasty = Roll {
            interval: Duration::from_millis(3),
            ..ROLL
        };
        assert_eq!(
            hasty.due_in(waiting(1, 1), Duration::ZERO),
            Some(Duration::from_millis(3))
        );
    }

    /// Starts of commits in five minutes of steady load, a commit taking `commit_ms`; time is a number.
    fn commits(bytes_per_ms: u64, commit_ms: u64) -> Vec<u64> {
        let mut commits = Vec::new();
        let (mut oldest, mut bytes, mut ended) = (None, 0, 0);
        for now in 0..300_000 {
            bytes += bytes_per_ms;
            let oldest_now = *oldest.get_or_insert(now);
            if now < ended {
                continue;
            }
            let waiting = Waiting {
                bytes,
                age: Duration::from_millis(now - oldest_now),
            };
            if ROLL.due_in(Some(waiting), Duration::from_millis(now - ended)) == Some(Duration::ZERO) {
                commits.push(now);
                (oldest, bytes, ended) = (None, 0, now + commit_ms);
            }
        }
        commits
    }

    #[test]
    fn at_any_steady_load_a_table_gets_ten_commits_a_minute_at_most() {
        for bytes_per_ms in [1, 10, 100, 1_000_000] {
            for commit_ms in [0, 1, 500, 20_000] {
                let commits = commits(bytes_per_ms, commit_ms);
                let most = commits.iter().map(|start| {
                    commits
                        .iter()
                        .filter(|one| (*start..start + 60_000).contains(*one))
                        .count()
                });
                assert!(most.max() <= Some(10), "{bytes_per_ms} bytes a ms: {commits:?}");
                assert!(commits.len() >= 8, "{bytes_per_ms} bytes a ms: {commits:?}");
            }
        }
    }
}
