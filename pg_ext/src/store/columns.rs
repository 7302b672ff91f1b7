//! Rows as parallel arrays.

use pgrx::datum::DatumWithOid;

/// Builds the parameters of an `insert ... select from unnest(...)`, one array a column.
pub struct Columns<'a, R> {
    rows: &'a [R],
    arrays: Vec<DatumWithOid<'static>>,
}

impl<'a, R> Columns<'a, R> {
    pub fn of(rows: &'a [R]) -> Self {
        Self { rows, arrays: Vec::new() }
    }

    pub fn int(mut self, value: impl Fn(&R) -> Option<i64>) -> Self {
        self.arrays.push(DatumWithOid::from(self.rows.iter().map(value).collect::<Vec<_>>()));
        self
    }

    pub fn text<'t>(mut self, value: impl Fn(&'a R) -> Option<&'t str>) -> Self
    where
        'a: 't,
    {
        let values: Vec<Option<String>> = self.rows.iter().map(|row| value(row).map(str::to_owned)).collect();
        self.arrays.push(DatumWithOid::from(values));
        self
    }

    pub fn flag(mut self, value: impl Fn(&R) -> Option<bool>) -> Self {
        self.arrays.push(DatumWithOid::from(self.rows.iter().map(value).collect::<Vec<_>>()));
        self
    }

    /// Microseconds since 1970, as text that the statement casts.
    pub fn time(mut self, value: impl Fn(&R) -> Option<i64>) -> Self {
        let values: Vec<Option<String>> = self.rows.iter().map(|row| value(row).map(timestamp)).collect();
        self.arrays.push(DatumWithOid::from(values));
        self
    }

    pub fn build(self) -> Vec<DatumWithOid<'static>> {
        self.arrays
    }
}

/// ISO 8601 with microseconds, which PostgreSQL reads the same way under every DateStyle.
fn timestamp(at: i64) -> String {
    let seconds = at.div_euclid(1_000_000);
    let micros = at.rem_euclid(1_000_000);
    let whole = weir_domain::events::wire_time(seconds * 1_000_000);
    format!("{}.{micros:06}Z", &whole[..19])
}

#[cfg(test)]
mod tests {
    #[test]
    fn microseconds_survive() {
        assert_eq!(super::timestamp(1_700_000_000_123_456), "2023-11-14T22:13:20.123456Z");
        assert_eq!(super::timestamp(-1), "1969-12-31T23:59:59.999999Z");
    }
}
