//! Errors of others as they may be logged and listed: what and where, without the values that they quote.
//!
//! PostgreSQL's message quotes the text it could not read, serde's the value it did not expect, and either may be a customer's.

/// What stands in the place of a value.
const OMITTED: &str = "…";
/// Longest text that is kept, in words.
const MAX_WORDS: usize = 40;

/// `message` without values: nothing from its first quotation mark to its last, since a quoted value may have marks of its
/// own (and nothing after it, where one is not closed), and no word that is not of plain letters.
#[must_use]
pub fn without_values(message: &str) -> String {
    const MARKS: [char; 3] = ['"', '\'', '`'];
    let all_are_closed = message.matches(MARKS).count().is_multiple_of(2);
    let (before, after) = match (message.find(MARKS), message.rfind(MARKS)) {
        (Some(first), Some(last)) if all_are_closed => (&message[..first], &message[last + 1..]),
        (Some(first), _) => (&message[..first], ""),
        (None, _) => (message, ""),
    };
    let omitted = if before.len() < message.len() { OMITTED } else { "" };
    let text = [before, omitted, after].join(" ");
    let words = text.split_whitespace().take(MAX_WORDS).map(plain_word);
    let mut words: Vec<&str> = words.collect();
    words.dedup_by(|word, previous| *word == OMITTED && *previous == OMITTED);
    words.join(" ")
}

fn plain_word(word: &str) -> &str {
    let is_plain = |letter: char| letter.is_ascii_alphabetic() || ":;,.()-_".contains(letter);
    match word.chars().all(is_plain) {
        true => word,
        false => OMITTED,
    }
}

/// Where `error` is, and of which kind.
#[must_use]
pub fn place(error: &serde_json::Error) -> String {
    let what = match error.is_data() {
        true => "not of the expected form",
        false => "not JSON",
    };
    format!("{what} at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_says_what_was_wrong_and_not_with_what() {
        for (message, said) in [
            (
                "invalid input syntax for type bigint: \"jane@example.com\"",
                "invalid input syntax for type bigint: …",
            ),
            ("integer out of range", "integer out of range"),
            (
                "null value in column \"note\" of relation \"order_header\" violates not-null constraint",
                "null value in column … violates not-null constraint",
            ),
            (
                "invalid byte sequence for encoding \"UTF8\": 0xc3 0x28",
                "invalid byte sequence for encoding … : …",
            ),
            (
                "timestamp out of range: 294277-01-01 00:00:00",
                "timestamp out of range: …",
            ),
            (
                "function weir.ingest(json) does not exist",
                "function weir.ingest(json) does not exist",
            ),
            ("it can't be jane", "it can …"),
            ("value \"a\" jane \"b", "value …"),
            ("", ""),
        ] {
            assert_eq!(without_values(message), said);
        }
        assert_eq!(without_values(&"word ".repeat(1000)).split(' ').count(), MAX_WORDS);
    }

    #[test]
    fn a_place_names_no_value() {
        let error = serde_json::from_str::<Vec<u8>>("[1,\n \"jane\"]").unwrap_err();
        assert!(error.to_string().contains("jane"));
        assert_eq!(place(&error), "not of the expected form at line 2 column 7");
        let error = serde_json::from_str::<Vec<u8>>("[1").unwrap_err();
        assert_eq!(place(&error), "not JSON at line 1 column 2");
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_is_not_told(value in "[\"'`a-c\\n]{0,8}JANE[\"'`a-c\\n]{0,8}", mark in "[\"'`]") {
            let message = format!("invalid input for type bigint: {mark}{value}{mark} (bad)");
            prop_assert!(!without_values(&message).contains("JANE"));
        }

        #[test]
        fn no_number_and_no_address_is_told(before in "[a-z ]{0,20}", number in "[0-9]{1,20}", name in "[a-z]{1,9}") {
            let message = format!("{before} {number} and {name}@example.com");
            let told = without_values(&message);
            prop_assert!(!told.contains(&number) && !told.contains("example"), "{told}");
        }
    }
}
