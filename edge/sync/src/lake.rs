//! What an answer of `weir serve` means to the step that asked.

/// Whether another attempt may be answered otherwise than `status`: a commit that came between (409), a timeout (408), too
/// early or too many (425, 429), and whatever is the server's own trouble.
#[must_use]
pub fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 409 | 425 | 429) || !(400..=499).contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_passes_and_a_wrong_call_does_not() {
        for status in [408, 409, 425, 429, 500, 502, 503, 504] {
            assert!(may_pass(status), "{status}");
        }
        for status in [400, 401, 403, 404, 413, 415, 422] {
            assert!(!may_pass(status), "{status}");
        }
    }
}
