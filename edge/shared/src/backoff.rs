//! When a failed message comes back.

/// Longest delay in production, in seconds. With the queue's 100 attempts a message survives an outage of 14 hours before
/// it is dead-lettered (and then it lies in the quarantine, not lost).
pub const DEFAULT_MAX_DELAY_SECONDS: u32 = 600;

/// Seconds to wait before the next attempt at a message sent `age_millis` ago.
///
/// Half the age: the runtime does not tell the attempt's number, and this grows by half with each attempt, as an
/// exponential backoff does. At least a second, so that a short outage does not use up the attempts.
#[must_use]
pub fn retry_delay_seconds(age_millis: u64, max_delay_seconds: u32) -> u32 {
    u32::try_from(age_millis / 2000)
        .unwrap_or(u32::MAX)
        .max(1)
        .min(max_delay_seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_age_up_to_the_limit() {
        let delay = |age| retry_delay_seconds(age, DEFAULT_MAX_DELAY_SECONDS);
        assert_eq!(delay(0), 1);
        assert_eq!(delay(10_000), 5);
        assert_eq!(delay(86_400_000), 600);
        assert_eq!(delay(u64::MAX), 600);
    }

    #[test]
    fn a_hundred_attempts_outlast_fourteen_hours() {
        let mut age = 1000;
        for _ in 0..100 {
            age += u64::from(retry_delay_seconds(age, DEFAULT_MAX_DELAY_SECONDS)) * 1000;
        }
        assert!(age > 14 * 3_600_000, "{} h", age / 3_600_000);
    }
}
