//! Medians and quartiles: a mean would be of whatever else the machine did.

/// Values that were measured, in order.
pub struct Values(Vec<f64>);

impl Values {
    /// Of `values`, of which there is one at least.
    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    /// The value below which the part `part` (0 to 1) of all lies, between two of them by proportion.
    pub fn quantile(&self, part: f64) -> f64 {
        let at = part * (self.0.len() - 1) as f64;
        let (below, above) = (self.0[at.floor() as usize], self.0[at.ceil() as usize]);
        below + (above - below) * at.fract()
    }

    /// The middle one.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }
}
