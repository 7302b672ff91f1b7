//! How much of a row of things is taken at once.

/// How many of the leading `bytes` come to no more than `limit` together; at least one, so that whoever takes the rest in turn
/// comes to an end.
#[must_use]
pub fn leading(bytes: impl IntoIterator<Item = usize>, limit: usize) -> usize {
    let mut total = 0usize;
    let fits = |bytes: &usize| {
        total = total.saturating_add(*bytes);
        total <= limit
    };
    bytes.into_iter().take_while(fits).count().max(1)
}
