//! Errors of others as they may be logged and listed: what and where, without their words.
//!
//! PostgreSQL's message quotes the text it could not read, serde's the value it did not expect, and either may be a customer's. A
//! value need not stand in quotation marks, and a name looks like any word, so nothing of a message is told but what weir itself
//! has written.

/// What the extension's errors name as their routine (`pg_ext/src/report.rs`). Its messages are its own words, without a value.
const OWN_ROUTINE: &str = "weir";

/// An error of PostgreSQL, as far as it may be told.
#[derive(Debug, Clone, Default)]
pub struct ServerError<'a> {
    /// SQLSTATE.
    pub sqlstate: &'a str,
    /// The message, told only when it is weir's own.
    pub message: &'a str,
    /// Routine of PostgreSQL's source that raised it.
    pub routine: Option<&'a str>,
    /// What the server names apart, of the schema: table, column, constraint.
    pub names: [Option<&'a str>; 3],
}

impl ServerError<'_> {
    /// Which kind of error it is, where it was raised, and the names.
    #[must_use]
    pub fn told(&self) -> String {
        let what = match self.routine {
            Some(OWN_ROUTINE) => self.message.to_owned(),
            Some(routine) if is_identifier(routine) => format!("{} in {routine}", class(self.sqlstate)),
            _ => class(self.sqlstate).to_owned(),
        };
        let names = self.names.into_iter().flatten().map(str::to_owned);
        let told: Vec<String> = std::iter::once(what).chain(names).collect();
        told.join(", ")
    }
}

fn is_identifier(text: &str) -> bool {
    text.bytes()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
}

/// What the first two letters of an SQLSTATE say (PostgreSQL's documentation, appendix A), of those that a call can meet.
fn class(sqlstate: &str) -> &'static str {
    match sqlstate.get(..2).unwrap_or_default() {
        "08" => "connection exception",
        "0A" => "feature not supported",
        "21" => "cardinality violation",
        "22" => "data exception",
        "23" => "integrity constraint violation",
        "25" => "invalid transaction state",
        "28" => "invalid authorization",
        "3D" => "invalid catalog name",
        "3F" => "invalid schema name",
        "40" => "transaction rollback",
        "42" => "access rule violation or unknown name",
        "53" => "insufficient resources",
        "54" => "program limit exceeded",
        "55" => "object not in prerequisite state",
        "57" => "operator intervention",
        "58" => "system error",
        "P0" => "error raised by PL/pgSQL",
        "XX" => "internal error",
        _ => "error",
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
    fn an_error_says_its_kind_and_where_and_no_word_of_its_message() {
        let error = ServerError {
            sqlstate: "23502",
            message: "null value of Jane in column \"note\" of relation \"order_header\" violates not-null constraint",
            routine: Some("ExecConstraints"),
            names: [Some("order_header"), Some("note"), None],
        };
        assert_eq!(
            error.told(),
            "integrity constraint violation in ExecConstraints, order_header, note"
        );
        let of = |sqlstate, routine| ServerError {
            sqlstate,
            message: "jane",
            routine,
            ..ServerError::default()
        };
        assert_eq!(of("57P01", None).told(), "operator intervention");
        assert_eq!(of("22P02", Some("of jane")).told(), "data exception");
        assert_eq!(of("", None).told(), "error");
        assert_eq!(of("é", None).told(), "error");
    }

    #[test]
    fn what_weir_says_is_told() {
        let error = ServerError {
            sqlstate: "22023",
            message: "the shop is not registered",
            routine: Some("weir"),
            ..ServerError::default()
        };
        assert_eq!(error.told(), "the shop is not registered");
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
        fn no_word_of_another_is_told(before in "[a-z \"']{0,20}", name in "[A-Z]{1,9}", routine in "[a-zA-Z_]{1,5}") {
            let message = format!("{before}{name}");
            let error = ServerError { sqlstate: "00000", message: &message, routine: Some(&routine), names: [None; 3] };
            prop_assert_eq!(error.told(), format!("error in {routine}"));
        }
    }
}
