//! May the watermark move? Only when everything that was read is accounted for.

use serde::Deserialize;

use crate::step::StepError;

/// What a run counted, over all its operations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Totals {
    /// Lines that the archive holds.
    pub lines: i64,
    /// Rows that PostgreSQL read.
    pub read: i64,
    /// Rows written.
    pub upserted: i64,
    /// Rows that were already so.
    pub unchanged: i64,
    /// Rows in the quarantine.
    pub rejected: i64,
    /// Events that PostgreSQL gave.
    pub events: i64,
    /// Events that the stream confirmed.
    pub streamed: i64,
    /// Events in the quarantine.
    pub events_rejected: i64,
}

impl Totals {
    /// Whether nothing is missing.
    ///
    /// # Errors
    /// What does not agree; the watermark must then stay where it is.
    pub fn agree(&self) -> Result<(), StepError> {
        let rows = self.upserted + self.unchanged + self.rejected;
        let events = self.streamed + self.events_rejected;
        let pairs = [
            ("lines archived and rows read", self.lines, self.read),
            ("rows read and upserted + unchanged + rejected", self.read, rows),
            ("events given and streamed + rejected", self.events, events),
        ];
        match pairs.iter().find(|(_, one, other)| one != other) {
            None => Ok(()),
            Some((what, one, other)) => Err(StepError::lasting(
                "count_mismatch",
                format!("{what} differ: {one} and {other}; the watermark stays, and the next run reads the same again"),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Totals = Totals {
        lines: 10,
        read: 10,
        upserted: 5,
        unchanged: 4,
        rejected: 1,
        events: 7,
        streamed: 6,
        events_rejected: 1,
    };

    #[test]
    fn any_count_that_is_off_by_one_holds_the_watermark() {
        assert_eq!(GOOD.agree(), Ok(()));
        for off in [
            Totals { lines: 11, ..GOOD },
            Totals { read: 9, ..GOOD },
            Totals { upserted: 6, ..GOOD },
            Totals { rejected: 0, ..GOOD },
            Totals { events: 8, ..GOOD },
            Totals { streamed: 5, ..GOOD },
            Totals {
                events_rejected: 0,
                ..GOOD
            },
        ] {
            assert_eq!(off.agree().unwrap_err().kind, "count_mismatch", "{off:?}");
        }
    }
}
