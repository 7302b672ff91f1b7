//! A pipeline's SQL with the names of an environment.

use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::tokenizer::{Token, Tokenizer};

/// `text`, which is written for `stream` and `<stream>_sink`, for `named` and `<named>_sink`: on one line and without
/// comments, as an argument of a command.
pub(super) fn in_environment(text: &str, stream: &str, named: &str) -> Result<String, String> {
    // Texts stay as they are written, so that printing a token is the same text again.
    let tokens = Tokenizer::new(&GenericDialect {}, text)
        .with_unescape(false)
        .tokenize()
        .map_err(|error| error.to_string())?;
    let sink = format!("{stream}_sink");
    let (mut sql, mut streams, mut sinks) = (String::new(), 0, 0);
    for token in tokens {
        match token {
            Token::Whitespace(_) if sql.is_empty() || sql.ends_with(' ') => {}
            Token::Whitespace(_) => sql.push(' '),
            Token::Word(word) if word.value == stream => {
                streams += 1;
                sql.push_str(named);
            }
            Token::Word(word) if word.value == sink => {
                sinks += 1;
                sql.push_str(&format!("{named}_sink"));
            }
            token => sql.push_str(&token.to_string()),
        }
    }
    if streams == 0 || sinks != 1 {
        return Err(format!("expected insert into {sink} select ... from {stream}"));
    }
    sql.truncate(sql.trim_end().len());
    Ok(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_change_and_nothing_else() {
        let text = "-- commerce_v1: what lands\ninsert into commerce_v1_sink\nselect commerce_v1.a, 'it''s  commerce_v1', /* b */ \"B c\"\n    from commerce_v1 where a <> 'x' -- end\n";
        assert_eq!(
            in_environment(text, "commerce_v1", "commerce_v1_dev").unwrap(),
            "insert into commerce_v1_dev_sink select commerce_v1_dev.a, 'it''s  commerce_v1', \"B c\" from commerce_v1_dev where a <> 'x'"
        );
        for other in ["select 1", "insert into commerce_v1_sink select 1", "insert into 'x"] {
            assert!(
                in_environment(other, "commerce_v1", "commerce_v1_dev").is_err(),
                "{other}"
            );
        }
    }
}
