//! Rows as parallel arrays.

use pgrx::datum::DatumWithOid;
use weir_domain::events::exact_time;

/// Builds the parameters of an `insert ... select from unnest(...)`, one array a column.
pub struct Columns<'a, R> {
    rows: &'a [R],
    arrays: Vec<DatumWithOid<'static>>,
}

impl<'a, R> Columns<'a, R> {
    pub fn of(rows: &'a [R]) -> Self {
        Self {
            rows,
            arrays: Vec::new(),
        }
    }

    pub fn int(mut self, value: impl Fn(&R) -> Option<i64>) -> Self {
        self.arrays
            .push(DatumWithOid::from(self.rows.iter().map(value).collect::<Vec<_>>()));
        self
    }

    pub fn text<'t>(mut self, value: impl Fn(&'a R) -> Option<&'t str>) -> Self
    where
        'a: 't,
    {
        self.arrays
            .push(DatumWithOid::from(self.rows.iter().map(value).collect::<Vec<_>>()));
        self
    }

    pub fn flag(mut self, value: impl Fn(&R) -> Option<bool>) -> Self {
        self.arrays
            .push(DatumWithOid::from(self.rows.iter().map(value).collect::<Vec<_>>()));
        self
    }

    pub fn float(mut self, value: impl Fn(&R) -> Option<f64>) -> Self {
        self.arrays
            .push(DatumWithOid::from(self.rows.iter().map(value).collect::<Vec<_>>()));
        self
    }

    /// Microseconds since 1970, as text that the statement casts.
    pub fn time(mut self, value: impl Fn(&R) -> Option<i64>) -> Self {
        let values: Vec<Option<String>> = self.rows.iter().map(|row| value(row).map(exact_time)).collect();
        self.arrays.push(DatumWithOid::from(values));
        self
    }

    pub fn build(self) -> Vec<DatumWithOid<'static>> {
        self.arrays
    }
}
