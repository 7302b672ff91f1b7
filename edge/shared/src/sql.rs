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

/// `text` as a string literal, quotes included.
///
/// Doubling quotes is all it takes under `standard_conforming_strings = on` (the default since 9.1): a backslash is an
/// ordinary character there.
///
/// # Errors
/// [`NulInLiteral`] when the text contains U+0000.
pub fn quote_literal(text: &str) -> Result<String, NulInLiteral> {
    if let Some(at) = text.bytes().position(|byte| byte == 0) {
        return Err(NulInLiteral { at });
    }
    let mut literal = String::with_capacity(text.len() + 2 + text.len() / 64);
    literal.push('\'');
    for part in text.split_inclusive('\'') {
        literal.push_str(part);
        if part.ends_with('\'') {
            literal.push('\'');
        }
    }
    literal.push('\'');
    Ok(literal)
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

/// The call of `function`, a name of ours and never of a payload, with its answer as one text column.
///
/// # Errors
/// [`NulInLiteral`] when an argument contains U+0000.
pub fn call_statement(function: &str, arguments: &[Argument<'_>]) -> Result<String, NulInLiteral> {
    let quoted = arguments.iter().map(|argument| match argument {
        Argument::Text(text) => quote_literal(text),
        Argument::Json(text) => quote_literal(text).map(|literal| literal + "::json"),
    });
    let quoted = quoted.collect::<Result<Vec<_>, _>>()?.join(", ");
    Ok(format!("select {function}({quoted})::text"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
