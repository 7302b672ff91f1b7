//! The text of the call to PostgreSQL.
//!
//! Through Hyperdrive only the simple query protocol is dependable, and it takes no parameters, so the literal is quoted
//! here, in one function.

/// A value that no PostgreSQL text can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("NUL at byte {at}: PostgreSQL text cannot hold it")]
pub struct NulInLiteral {
    /// Byte offset of the NUL.
    pub at: usize,
}

/// Writes `text` as a string literal, quotes included, to the end of `statement`.
///
/// Doubling quotes is all it takes under `standard_conforming_strings = on` (the default since 9.1): a backslash is an
/// ordinary character there.
///
/// # Errors
/// [`NulInLiteral`] when the text contains U+0000.
fn push_literal(statement: &mut String, text: &str) -> Result<(), NulInLiteral> {
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        return Err(NulInLiteral { at });
    }
    statement.push('\'');
    for part in text.split_inclusive('\'') {
        statement.push_str(part);
        if part.ends_with('\'') {
            statement.push('\'');
        }
    }
    statement.push('\'');
    Ok(())
}

/// An argument of a call.
#[derive(Debug, Clone, Copy)]
pub enum Argument<'a> {
    /// Text.
    Text(&'a str),
    /// JSON text.
    Json(&'a str),
}

impl<'a> Argument<'a> {
    /// Its text, and the type that it is given.
    fn parts(self) -> (&'a str, &'static str) {
        match self {
            Self::Text(text) => (text, ""),
            Self::Json(text) => (text, "::json"),
        }
    }

    /// What `weir.ingest` takes: a JSON array, or text whose first line is a JSON object
    /// ([`weir_domain::webhook::batch_text`]).
    #[must_use]
    pub fn of_ingest(deliveries: &'a str) -> Self {
        match deliveries.starts_with('{') {
            true => Self::Text(deliveries),
            false => Self::Json(deliveries),
        }
    }
}

/// The call of `function`, a name of ours and never of a payload, with its answer as one text column. A batch is megabytes, and the
/// memory of an isolate never shrinks: it is copied once, to where there is room for it.
///
/// # Errors
/// [`NulInLiteral`] when an argument contains U+0000.
pub fn call_statement(function: &str, arguments: &[Argument<'_>]) -> Result<String, NulInLiteral> {
    const AROUND: usize = "select ()::text".len();
    const AROUND_EACH: usize = "'', ::json".len();
    let quoted = |text: &str| text.len() + text.bytes().filter(|byte| *byte == b'\'').count() + AROUND_EACH;
    let bytes: usize = arguments.iter().map(|argument| quoted(argument.parts().0)).sum();
    let mut statement = String::with_capacity(AROUND + function.len() + bytes);
    statement.extend(["select ", function, "("]);
    for (index, argument) in arguments.iter().enumerate() {
        let (text, cast) = argument.parts();
        statement.push_str(if index == 0 { "" } else { ", " });
        push_literal(&mut statement, text)?;
        statement.push_str(cast);
    }
    statement.push_str(")::text");
    Ok(statement)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quote_literal(text: &str) -> Result<String, NulInLiteral> {
        let mut literal = String::new();
        push_literal(&mut literal, text).map(|()| literal)
    }

    /// PostgreSQL's scanner of a standard-conforming string: the value and what follows the literal.
    fn scan(sql: &str) -> (String, &str) {
        let mut rest = sql.strip_prefix('\'').expect("an opening quote");
        let mut value = String::new();
        loop {
            let quote = rest.find('\'').expect("a closing quote");
            value.push_str(&rest[..quote]);
            rest = &rest[quote + 1..];
            match rest.strip_prefix('\'') {
                Some(after) => {
                    value.push('\'');
                    rest = after;
                }
                None => return (value, rest),
            }
        }
    }

    #[test]
    fn quotes_are_doubled_and_backslashes_kept() {
        assert_eq!(quote_literal(r"O'Hara \ ''").unwrap(), r"'O''Hara \ '''''");
        assert_eq!(quote_literal("").unwrap(), "''");
    }

    #[test]
    fn nul_is_refused_with_its_place() {
        assert_eq!(quote_literal("ab\0c"), Err(NulInLiteral { at: 2 }));
    }

    #[test]
    fn a_batch_is_one_argument_of_either_form() {
        let statement = |deliveries| call_statement("weir.ingest", &[Argument::of_ingest(deliveries)]).unwrap();
        assert_eq!(
            statement("[\"'); drop table t; --\"]"),
            "select weir.ingest('[\"''); drop table t; --\"]'::json)::text"
        );
        assert_eq!(
            statement("{\"body_bytes\": [1]}\n[{}]\n'"),
            "select weir.ingest('{\"body_bytes\": [1]}\n[{}]\n''')::text"
        );
    }

    #[test]
    fn a_statement_has_room_from_the_beginning() {
        let text = "'".repeat(1000);
        let statement = call_statement("weir.f", &[Argument::Json(&text), Argument::Text(&text)]).unwrap();
        assert!(
            statement.capacity() <= statement.len() + 16,
            "{} of {}",
            statement.len(),
            statement.capacity()
        );
    }

    #[test]
    fn a_call_quotes_each_argument() {
        let statement = call_statement("weir.f", &[Argument::Text("it's"), Argument::Json("{}")]).unwrap();
        assert_eq!(statement, "select weir.f('it''s', '{}'::json)::text");
        assert_eq!(call_statement("weir.f", &[]).unwrap(), "select weir.f()::text");
        assert!(call_statement("weir.f", &[Argument::Text("\0")]).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_quoted_scans_back_and_ends_where_it_should(text in "[^\0]*") {
            let literal = quote_literal(&text).unwrap();
            prop_assert_eq!(scan(&literal), (text, ""));
        }

        #[test]
        fn quotes_and_backslashes_in_any_order_never_escape(text in r"['\\;$\n-]{0,40}") {
            let statement = format!("{};tail", quote_literal(&text).unwrap());
            prop_assert_eq!(scan(&statement), (text, ";tail"));
        }

        #[test]
        fn serialised_json_never_holds_a_raw_nul(text in any::<String>()) {
            let json = serde_json::to_string(&[text]).unwrap();
            prop_assert!(quote_literal(&json).is_ok());
        }
    }
}
