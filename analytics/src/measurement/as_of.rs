//! As of when a refresh computes each shop.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use weir_domain::time_zone;

use super::base::ShopBefore;
use crate::{Error, Result};

/// So long after its end a day is computed again with what has been told since: events and specifications wait in queues while
/// something is down. Each refresh takes twice its time meanwhile.
const LATELY: SignedDuration = SignedDuration::from_hours(6);

/// As of when a refresh computes each shop: as of one moment, or as of the end of a day of its own.
#[derive(Debug, Clone)]
pub struct AsOf {
    now: Timestamp,
    ended: BTreeMap<String, Date>,
}

impl AsOf {
    /// All shops as of one moment; only their dates at it matter.
    #[must_use]
    pub fn moment(now: Timestamp) -> Self {
        Self {
            now,
            ended: BTreeMap::new(),
        }
    }

    /// Shops whose last day of computation is over at `now` as of the end of that day, the others as of `now`.
    #[must_use]
    pub fn ended(now: Timestamp, shops: &[ShopBefore]) -> Self {
        Self::over_for(now, shops, SignedDuration::MAX)
    }

    /// As [`Self::ended`], but only of days that have not been over for long: what is late is told of them still.
    #[must_use]
    pub fn ended_lately(now: Timestamp, shops: &[ShopBefore]) -> Self {
        Self::over_for(now, shops, LATELY)
    }

    /// Of days that have been over for less than `most`.
    fn over_for(now: Timestamp, shops: &[ShopBefore], most: SignedDuration) -> Self {
        let is_over = |shop: &&ShopBefore| {
            let zone = time_zone::named(&shop.shop_time_zone);
            let end = zone.and_then(|zone| end_of(shop.computed_on, &zone).ok());
            end.is_some_and(|end| now > end && now.duration_since(end) < most)
        };
        Self {
            now,
            ended: shops
                .iter()
                .filter(is_over)
                .map(|shop| (shop.shop_domain.clone(), shop.computed_on))
                .collect(),
        }
    }

    /// The shops that are computed as of the end of a day, with it.
    #[must_use]
    pub fn ended_shops(&self) -> &BTreeMap<String, Date> {
        &self.ended
    }

    /// The days that are computed as of their end, in their order.
    #[must_use]
    pub fn ended_days(&self) -> Vec<Date> {
        let mut days: Vec<_> = self.ended.values().copied().collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    /// The day of computation of a shop in `zone`.
    pub(super) fn day(&self, shop_domain: &str, zone: &TimeZone) -> Date {
        match self.ended.get(shop_domain) {
            Some(day) => *day,
            None => zone.to_datetime(self.now).date(),
        }
    }

    /// The moment of which the specifications of a shop in `zone` count: the last of its day if that is over.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a day at the end of the calendar.
    pub(super) fn specified_at(&self, shop_domain: &str, zone: &TimeZone) -> Result<Timestamp> {
        let Some(day) = self.ended.get(shop_domain) else {
            return Ok(self.now);
        };
        let end = end_of(*day, zone)?;
        // The shop may have another zone since, in which the day has not ended.
        Ok(end.min(self.now))
    }

    /// A moment no later than the beginning of any shop's day of computation; time zones reach from -12 to +14 hours.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a moment at the end of the calendar.
    pub(super) fn earliest(&self) -> Result<Timestamp> {
        let first = match self.ended.values().min() {
            None => self.now,
            Some(day) => {
                let midnight = day.to_zoned(TimeZone::UTC).map_err(out_of_calendar)?;
                midnight.timestamp().min(self.now)
            }
        };
        first
            .checked_sub(SignedDuration::from_hours(24))
            .map_err(out_of_calendar)
    }
}

/// The last moment of a day.
fn end_of(day: Date, zone: &TimeZone) -> Result<Timestamp> {
    day.tomorrow()
        .and_then(|next| next.to_zoned(zone.clone()))
        .and_then(|next| next.timestamp().checked_sub(1.nanosecond()))
        .map_err(out_of_calendar)
}

fn out_of_calendar(error: jiff::Error) -> Error {
    Error::Invalid(format!("now: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(shop_domain: &str, shop_time_zone: &str, computed_on: &str) -> ShopBefore {
        ShopBefore {
            shop_domain: shop_domain.to_owned(),
            shop_time_zone: shop_time_zone.to_owned(),
            told_at: None,
            computed_on: computed_on.parse().unwrap(),
            currency: None,
            newest_sale_on: None,
        }
    }

    #[test]
    fn a_day_that_is_over_in_its_own_zone_is_computed_as_of_its_end() {
        // 16:00 UTC: the 31st in Tokyo, the 30th in New York, where clocks went forward on the 8th of March.
        let now: Timestamp = "2026-03-30T16:00:00Z".parse().unwrap();
        let shops = [
            shop("tokyo", "Asia/Tokyo", "2026-03-30"),
            shop("york", "America/New_York", "2026-03-30"),
            shop("late", "America/New_York", "2026-03-07"),
            shop("ahead", "America/New_York", "2026-04-02"),
        ];
        let as_of = AsOf::ended(now, &shops);
        let told = |name: &str, zone: &str| {
            let zone = time_zone::named(zone).unwrap();
            let moment = as_of.specified_at(name, &zone).unwrap();
            (as_of.day(name, &zone).to_string(), moment.to_string())
        };
        let ends = |day: &str, moment: &str| (day.to_owned(), moment.to_owned());
        assert_eq!(
            told("tokyo", "Asia/Tokyo"),
            ends("2026-03-30", "2026-03-30T14:59:59.999999999Z")
        );
        assert_eq!(
            told("late", "America/New_York"),
            ends("2026-03-07", "2026-03-08T04:59:59.999999999Z")
        );
        for name in ["york", "ahead", "unknown"] {
            assert_eq!(
                told(name, "America/New_York"),
                ends("2026-03-30", "2026-03-30T16:00:00Z")
            );
        }
        let days: Vec<_> = as_of.ended_days().iter().map(Date::to_string).collect();
        assert_eq!(days, ["2026-03-07", "2026-03-30"]);
        assert_eq!(as_of.earliest().unwrap().to_string(), "2026-03-06T00:00:00Z");
        // In a zone that the shop has taken since, the day may not have ended.
        assert_eq!(
            told("tokyo", "Pacific/Honolulu"),
            ends("2026-03-30", "2026-03-30T16:00:00Z")
        );
    }

    #[test]
    fn a_day_that_was_over_long_ago_is_let_be() {
        let shops = [
            shop("tokyo", "Asia/Tokyo", "2026-03-30"),
            shop("york", "America/New_York", "2026-03-29"),
        ];
        let lately = |now: &str| {
            let as_of = AsOf::ended_lately(now.parse().unwrap(), &shops);
            as_of.ended_shops().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(lately("2026-03-30T03:59:59Z"), [""; 0]);
        assert_eq!(lately("2026-03-30T04:00:00Z"), ["york"]);
        assert_eq!(lately("2026-03-30T09:59:59Z"), ["york"]);
        assert_eq!(lately("2026-03-30T10:00:00Z"), [""; 0]);
        assert_eq!(lately("2026-03-30T15:00:00Z"), ["tokyo"]);
    }

    #[test]
    fn one_moment_is_each_shops_own_day() {
        let as_of = AsOf::moment("2026-03-30T16:00:00Z".parse().unwrap());
        let day = |zone| as_of.day("shop", &time_zone::named(zone).unwrap()).to_string();
        assert_eq!(
            [day("Asia/Tokyo"), day("America/New_York")],
            ["2026-03-31", "2026-03-30"]
        );
        assert_eq!(as_of.ended_days(), []);
        assert_eq!(as_of.earliest().unwrap().to_string(), "2026-03-29T16:00:00Z");
    }
}
