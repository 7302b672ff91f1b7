//! Keys of R2 objects that are made of what senders say.

/// Longest part of most keys, in characters; R2 takes keys of 1,024 bytes.
pub const MAX_PART_CHARS: usize = 120;

/// A text as a part of a key of at most `max_chars`: nothing in it may climb or end the path.
#[must_use]
pub fn plain(text: &str, max_chars: usize) -> String {
    let keep = |letter: char| {
        if letter.is_ascii_alphanumeric() || ".-_".contains(letter) {
            letter
        } else {
            '_'
        }
    };
    text.chars().take(max_chars).map(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_climbs_and_the_rest_is_cut() {
        assert_eq!(plain("../a b/é.json", MAX_PART_CHARS), ".._a_b__.json");
        assert_eq!(plain("abcdef", 3), "abc");
    }
}
