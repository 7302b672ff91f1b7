//! Rows as parallel arrays.

use pgrx::datum::DatumWithOid;

use super::array::Array;

/// Builds the parameters of an `insert ... select unnest($1), unnest($2), ...`, one array a column. In the select list they
/// are read in step, value by value; `from unnest($1, $2, ...)` would first put every column into a table of its own
/// (measured: a third of the CPU of such a statement).
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
        self.arrays.push(Array::of_ints(self.rows.iter().map(value)));
        self
    }

    pub fn text<'t>(mut self, value: impl Fn(&'a R) -> Option<&'t str> + Copy) -> Self
    where
        'a: 't,
    {
        self.arrays.push(Array::of_texts(self.rows.iter().map(value)));
        self
    }

    /// Texts of JSON that is known to be some: PostgreSQL does not look.
    pub fn json<'t>(mut self, value: impl Fn(&'a R) -> Option<&'t str> + Copy) -> Self
    where
        'a: 't,
    {
        self.arrays.push(Array::of_json(self.rows.iter().map(value)));
        self
    }

    pub fn flag(mut self, value: impl Fn(&R) -> Option<bool>) -> Self {
        self.arrays.push(Array::of_flags(self.rows.iter().map(value)));
        self
    }

    pub fn float(mut self, value: impl Fn(&R) -> Option<f64>) -> Self {
        self.arrays.push(Array::of_floats(self.rows.iter().map(value)));
        self
    }

    /// Microseconds since 1970.
    pub fn time(mut self, value: impl Fn(&R) -> Option<i64>) -> Self {
        self.arrays.push(Array::of_times(self.rows.iter().map(value)));
        self
    }

    /// Bodies as [`crate::jsonb`] has encoded them.
    pub fn body(mut self, value: impl Fn(&'a R) -> Option<&'a [u8]> + Copy) -> Self {
        self.arrays.push(Array::of_jsonb(self.rows.iter().map(value)));
        self
    }

    /// Values of jsonb without their length word, as [`crate::jsonb`] writes them.
    pub fn jsonb(mut self, value: impl Fn(&R) -> Option<Vec<u8>>) -> Self {
        let values: Vec<_> = self.rows.iter().map(value).collect();
        self.arrays
            .push(Array::of_jsonb(values.iter().map(|value| value.as_deref())));
        self
    }

    /// One value for all rows.
    pub fn same(mut self, value: i16) -> Self {
        self.arrays.push(DatumWithOid::from(value));
        self
    }

    pub fn build(self) -> Vec<DatumWithOid<'static>> {
        self.arrays
    }
}
