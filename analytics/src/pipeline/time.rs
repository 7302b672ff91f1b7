//! Times of rows, fast where they are written as weir writes them.

use weir_domain::telemetry::is_timestamp;

/// Microseconds since 1970 of an RFC 3339 time in UTC; none if the stream or Arrow refuses it.
pub(super) fn micros(text: &str) -> Option<i64> {
    plain(text.as_bytes()).or_else(|| {
        let moment = arrow_cast::parse::string_to_datetime(&chrono::Utc, text).ok()?;
        is_timestamp(text).then(|| moment.timestamp_micros())
    })
}

/// `yyyy-mm-ddThh:mm:ssZ` or `yyyy-mm-ddThh:mm:ss.mmmZ`, of a day that every month has and a year of four digits; anything
/// else is read by [`micros`] with more care.
fn plain(text: &[u8]) -> Option<i64> {
    let millis = match (text.len(), text.get(19..)?) {
        (20, [b'Z']) => 0,
        (24, [b'.', _, _, _, b'Z']) => digits(text, 20, 3)?,
        _ => return None,
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| text[*at] != *byte) {
        return None;
    }
    let (year, month, day) = (digits(text, 0, 4)?, digits(text, 5, 2)?, digits(text, 8, 2)?);
    let (hour, minute, second) = (digits(text, 11, 2)?, digits(text, 14, 2)?, digits(text, 17, 2)?);
    let usual = (1000..9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=28).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    usual.then_some((seconds * 1_000 + millis) * 1_000)
}

fn digits(text: &[u8], at: usize, count: usize) -> Option<i64> {
    text[at..at + count].iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0'))
    })
}

/// Days since 1970-01-01 in the Gregorian calendar. Years begin in March, so that a leap day is the last of its year.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_reads_as_arrow_does() {
        let read = |text: &str| {
            let moment = arrow_cast::parse::string_to_datetime(&chrono::Utc, text).unwrap();
            moment.timestamp_micros()
        };
        for year in [1000, 1582, 1900, 1969, 1970, 2000, 2024, 2026, 2100, 9998] {
            for month in 1..=12 {
                for day in [1, 28] {
                    for rest in ["T00:00:00Z", "T23:59:59.999Z", "T10:20:30.001Z"] {
                        let text = format!("{year}-{month:02}-{day:02}{rest}");
                        assert_eq!(plain(text.as_bytes()), Some(read(&text)), "{text}");
                    }
                }
            }
        }
        for text in [
            "2024-02-29T10:00:00Z",
            "2026-11-24T10:00:00.123456Z",
            "9999-01-01T00:00:00Z",
        ] {
            assert_eq!(plain(text.as_bytes()), None);
            assert_eq!(micros(text), Some(read(text)), "{text}");
        }
        for text in [
            "2026-02-29T10:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T10:00:00+00:00",
            "2026-11-24T10Z",
            "",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
    }
}
