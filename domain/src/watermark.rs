//! How far a source has been read: the watermark, its floor, the window of a run, the slices of a backfill.
//!
//! In scope: the rules, on instants that are given. Not in scope: where a watermark is kept (the sync Worker's Durable
//! Object) and any clock. Every instant is whole seconds where Shopify compares it: its `updated_at` has no finer one.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Unit};
use serde::{Deserialize, Serialize};

/// Watermark of the daily sync of orders and products.
pub const ORDERS: &str = "orders_last_watermark";
/// Watermark of a backfill, each run's own: see [`backfill_key`].
pub const BACKFILL: &str = "orders_backfill_watermark";
/// Since when the daily runs have read every change of every order: see [`read_since`].
pub const READ_SINCE: &str = "orders_read_since";

/// Nothing older than this is read by the daily sync: an older watermark counts as this old. In days.
pub const FLOOR_DAYS: i64 = 128;

/// A window begins at least this long before the watermark: Shopify's search index lags behind its data.
pub const MIN_OVERLAP: SignedDuration = SignedDuration::from_mins(10);

/// A watermark as it is stored: `{"key":"orders_last_watermark","value_json":{"ts":"2026-11-24T10:00:00.000Z"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watermark {
    /// What was read, for example [`ORDERS`].
    pub key: String,
    /// How far.
    pub value_json: Reached,
}

/// Everything before `ts` has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    /// The instant, exclusive.
    #[serde(with = "wire")]
    pub ts: Timestamp,
}

/// `[from, to)` in Shopify's `updated_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// First instant that belongs to it.
    #[serde(with = "wire")]
    pub from: Timestamp,
    /// First instant that no longer does.
    #[serde(with = "wire")]
    pub to: Timestamp,
}

/// Why a watermark was not moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The watermark is not where the run found it: another run has moved it meanwhile.
    #[error("the watermark is at {}, not at {} as expected", shown(*current), shown(*expected))]
    Stale {
        /// Where it is.
        current: Option<Timestamp>,
        /// Where the run found it.
        expected: Option<Timestamp>,
    },
    /// A watermark only moves forward.
    #[error("the watermark would move back from {current} to {to}")]
    Backwards {
        /// Where it is.
        current: Timestamp,
        /// Where it should have gone.
        to: Timestamp,
    },
}

impl Refusal {
    /// Class of the refusal, for telemetry.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Stale { .. } => "stale_watermark",
            Self::Backwards { .. } => "watermark_backwards",
        }
    }
}

/// Whether a watermark at `current` may go to `to`, by a run that found it at `expected`.
///
/// # Errors
/// [`Refusal`] when somebody else moved it, or when it would move back.
pub fn advance(current: Option<Timestamp>, expected: Option<Timestamp>, to: Timestamp) -> Result<(), Refusal> {
    if current != expected {
        return Err(Refusal::Stale { current, expected });
    }
    match current {
        Some(current) if to < current => Err(Refusal::Backwards { current, to }),
        _ => Ok(()),
    }
}

/// Whether a watermark that moved last at `moved_at` tells of a shop that is registered since `registered_at`. What was read before
/// that was forgotten with the shop, or with the database; and so was whatever nobody knows when it was read.
#[must_use]
pub fn holds(moved_at: Option<Timestamp>, registered_at: Option<Timestamp>) -> bool {
    registered_at.is_none_or(|registered_at| moved_at.is_some_and(|moved_at| registered_at <= moved_at))
}

/// The oldest instant that the daily sync reads at `now`.
#[must_use]
pub fn floor(now: Timestamp) -> Timestamp {
    whole_second(now - SignedDuration::from_hours(24 * FLOOR_DAYS))
}

/// The window of a daily run at `now`: from `overlap` (at least [`MIN_OVERLAP`]) before the watermark, or before the floor
/// when there is none or it is older, to `now`.
#[must_use]
pub fn daily_window(watermark: Option<Timestamp>, now: Timestamp, overlap: SignedDuration) -> Window {
    let to = whole_second(now);
    // A watermark ahead of this clock would make an empty window; the overlap before `now` is read all the same.
    let reached = watermark.unwrap_or(Timestamp::MIN).clamp(floor(now), to);
    Window {
        from: whole_second(reached - overlap.max(MIN_OVERLAP)),
        to,
    }
}

/// Since when the daily runs have read everything without a gap, once the one of `window`, which found its watermark at
/// `watermark` and this at `known`, has ended. While the shop does not show all orders (`sees_all`), nothing before the end of
/// the window is known to be whole.
#[must_use]
pub fn read_since(known: Option<Timestamp>, watermark: Option<Timestamp>, window: Window, sees_all: bool) -> Timestamp {
    let since = match (known, watermark) {
        _ if !sees_all => window.to,
        (Some(known), Some(reached)) if window.from <= reached => known,
        _ => window.from,
    };
    known.map_or(since, |known| known.max(since))
}

/// Where a backfill ends at `now`: `until`, or where the daily runs have begun to read everything, or the floor.
#[must_use]
pub fn backfill_end(until: Option<Timestamp>, read_since: Option<Timestamp>, now: Timestamp) -> Timestamp {
    whole_second(until.or(read_since).unwrap_or_else(|| floor(now)).min(now))
}

/// Key of the watermark of the backfill of which `instance_id`, without or with its `-partN`, is a part: parts go on where the
/// one before has ended, and another run begins anew.
#[must_use]
pub fn backfill_key(instance_id: &str) -> String {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let run = match instance_id.rsplit_once("-part") {
        Some((run, number)) if is_number(number) => run,
        _ => instance_id,
    };
    format!("{BACKFILL}/{run}")
}

impl Window {
    /// Both halves, which together are the whole; `None` when it is too short to part (two seconds or less).
    #[must_use]
    pub fn halves(&self) -> Option<(Self, Self)> {
        let seconds = self.to.as_second() - self.from.as_second();
        if seconds <= 2 {
            return None;
        }
        let middle = self.from + SignedDuration::from_secs(seconds / 2);
        let middle = whole_second(middle);
        let (from, to) = (self.from, self.to);
        Some((Self { from, to: middle }, Self { from: middle, to }))
    }
}

/// `[from, to)` in slices that end with the months of UTC, oldest first.
#[must_use]
pub fn month_slices(from: Timestamp, to: Timestamp) -> Vec<Window> {
    let mut slices = Vec::new();
    let (mut from, to) = (whole_second(from), whole_second(to));
    while from < to {
        let day = from.to_zoned(TimeZone::UTC).date();
        let next = day.first_of_month().checked_add(1.month());
        let next = next.and_then(|day| day.to_zoned(TimeZone::UTC));
        let end = next.map_or(to, |next| next.timestamp().min(to));
        slices.push(Window { from, to: end });
        from = end;
    }
    slices
}

/// RFC 3339 UTC with milliseconds, as everywhere on the wire.
#[must_use]
pub fn text(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn shown(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "nothing".to_owned(), text)
}

fn whole_second(at: Timestamp) -> Timestamp {
    at.round(
        jiff::TimestampRound::new()
            .smallest(Unit::Second)
            .mode(jiff::RoundMode::Floor),
    )
    .unwrap_or(at)
}

/// Timestamps as wire texts.
mod wire {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::text(*at))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| serde::de::Error::custom(format!("{text:?} is not an RFC 3339 time")))
    }
}

#[cfg(test)]
mod tests;
