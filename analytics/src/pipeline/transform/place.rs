//! Where in a stream's SQL an error is.

use datafusion_common::DataFusionError;

pub(super) fn first_line(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    text.lines().next().unwrap_or_default().to_owned()
}

pub(super) fn line_of(error: &DataFusionError) -> Option<u64> {
    error
        .diagnostic()
        .and_then(|diagnostic| diagnostic.span.as_ref().map(|span| span.start.line))
        .or_else(|| line_in(&error.to_string()))
}

/// The number after `Line: ` in a parser's message.
pub(super) fn line_in(message: &str) -> Option<u64> {
    let (_, rest) = message.split_once("Line: ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

pub(super) fn line_naming(text: &str, word: &str) -> Option<u64> {
    let is_word = |line: &str| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .any(|part| part == word)
    };
    let index = text
        .lines()
        .position(|line| !line.trim_start().starts_with("--") && is_word(line))?;
    u64::try_from(index).ok().map(|index| index + 1)
}
