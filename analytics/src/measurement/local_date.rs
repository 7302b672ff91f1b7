//! `local_date(instant, zone)` for the measurement's SQL: the day of an instant in a shop's zone, by the same rules as the days of
//! the ledger. DuckDB has zones of its own, whose rules are those of another year: a launch would stand on another day than the
//! sales it begins with.

use std::error::Error as StdError;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::{Array, Date32Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use duckdb::vscalar::{ArrowFunctionSignature, VArrowScalar};
use duckdb::Connection;
use jiff::tz::TimeZone;
use jiff::Timestamp;

use weir_domain::time_zone;

use super::write::days_since_1970;
use crate::Result;

/// Makes `local_date(timestamptz, varchar) -> date` known to a database: null for null, and for an instant that no calendar has.
/// The zone is IANA's name, in any case of its letters; another is an error.
///
/// # Errors
/// If it is known already.
pub(super) fn define(connection: &Connection) -> Result<()> {
    Ok(connection.register_scalar_function::<LocalDate>("local_date")?)
}

struct LocalDate;

impl VArrowScalar for LocalDate {
    type State = ();

    fn signatures() -> Vec<ArrowFunctionSignature> {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        vec![ArrowFunctionSignature::exact(
            vec![instant, DataType::Utf8],
            DataType::Date32,
        )]
    }

    fn invoke((): &(), input: RecordBatch) -> std::result::Result<Arc<dyn Array>, Box<dyn StdError>> {
        let instants = input.column(0).as_primitive::<TimestampMicrosecondType>();
        let zones = input.column(1).as_string::<i32>();
        // Rows of one shop come in runs.
        let mut last: Option<(&str, TimeZone)> = None;
        let mut days = Date32Array::builder(instants.len());
        for (instant, name) in instants.iter().zip(zones) {
            let (Some(Ok(instant)), Some(name)) = (instant.map(Timestamp::from_microsecond), name) else {
                days.append_null();
                continue;
            };
            if last.as_ref().is_none_or(|(known, _)| *known != name) {
                let zone = time_zone::named(name).ok_or_else(|| format!("{name:?} is no time zone of IANA's"))?;
                last = Some((name, zone));
            }
            let day = last.as_ref().map(|(_, zone)| zone.to_datetime(instant).date());
            days.append_option(day.map(days_since_1970).transpose()?);
        }
        Ok(Arc::new(days.finish()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::measurement::engine::{open, strings};

    /// Noon and the borders of each day of 600, in every zone that has a name.
    #[test]
    fn a_day_is_that_of_the_ledger_in_every_zone() {
        let connection = open(&std::env::temp_dir()).unwrap();
        define(&connection).unwrap();
        connection
            .execute_batch("create table zone (name varchar); create table moment as
                select make_timestamptz(1772323200000000 + n * 10800000000) as moment from range(8 * 600) as numbers(n)")
            .unwrap();
        let names = time_zone::names();
        assert!(names.len() > 400, "{}", names.len());
        for name in &names {
            connection.execute("insert into zone values (?)", [name]).unwrap();
        }
        // The first moment that is told of each day: it moves whenever a zone's rules do.
        let told = strings(
            &connection,
            "select concat_ws(' ', name, day, min(epoch_us(moment))) from (select *, local_date(moment, name) as day from zone, moment)
             group by name, day order by all",
        )
        .unwrap();
        let mut expected = BTreeSet::new();
        for name in names {
            let zone = time_zone::named(&name).unwrap();
            let mut last = String::new();
            for n in 0..8 * 600 {
                let at = 1_772_323_200_000_000 + n * 10_800_000_000;
                let day = weir_domain::sales::day(at, &zone);
                if day != last {
                    expected.insert(format!("{name} {day} {at}"));
                    last = day;
                }
            }
        }
        assert_eq!(told.len(), expected.len());
        assert!(told.iter().all(|day| expected.contains(day)));
    }

    #[test]
    fn a_shop_opens_at_its_own_midnight_by_rules_that_have_changed() {
        let connection = open(&std::env::temp_dir()).unwrap();
        define(&connection).unwrap();
        let day = |call: &str| -> duckdb::Result<Option<String>> {
            connection.query_row(&format!("select {call}::varchar"), [], |row| row.get(0))
        };
        // British Columbia keeps UTC-7 from November 2026 on; before it went back to UTC-8.
        let launch = "local_date('2026-12-01 07:00:00+00'::timestamptz, 'America/Vancouver')";
        assert_eq!(day(launch).unwrap().as_deref(), Some("2026-12-01"));
        assert_eq!(day("local_date(null, 'UTC')").unwrap(), None);
        assert_eq!(day("local_date('2026-12-01'::timestamptz, null)").unwrap(), None);
        assert_eq!(day("local_date('infinity'::timestamptz, 'UTC')").unwrap(), None);
        assert_eq!(
            day("local_date('1969-12-31 23:59:59.999999+00'::timestamptz, 'UTC')")
                .unwrap()
                .as_deref(),
            Some("1969-12-31")
        );
        let error = day("local_date('2026-12-01'::timestamptz, 'Atlantis')")
            .unwrap_err()
            .to_string();
        assert!(error.contains("Atlantis"), "{error}");
    }
}
