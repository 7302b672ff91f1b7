//! What wrangler lists: names and ids, out of JSON or out of what it prints instead.
//!
//! Wrangler 4.86.0 prints `pipelines sinks list --json` as Node shows an object to people (`[ { name: 'a', config: [Object] } ]`),
//! and `pipelines list --json` as an object when the account has pipelines of the first kind too.

use std::iter::Peekable;
use std::str::Chars;

use serde_json::{Map, Value};

/// Names and ids of a page; none if it is no such list.
pub(super) fn items(printed: &str) -> Option<Vec<(String, String)>> {
    let list = match serde_json::from_str(printed) {
        // Pipelines of the first kind are another product's: they have no stream, and no limit in common.
        Ok(Value::Object(mut kinds)) => kinds.remove("pipelines")?,
        Ok(list) => list,
        Err(_) => shown(printed)?,
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let item = |item: &Value| Some((text(&item["name"])?, text(&item["id"])?));
    list.as_array()?.iter().map(item).collect()
}

/// The value that Node's `util.inspect` shows. Strings and what holds them are read; what is anything else is null.
fn shown(text: &str) -> Option<Value> {
    let mut rest = Shown(text.chars().peekable());
    let value = rest.value()?;
    rest.skip_spaces();
    rest.0.peek().is_none().then_some(value)
}

struct Shown<'a>(Peekable<Chars<'a>>);

impl Shown<'_> {
    fn value(&mut self) -> Option<Value> {
        self.skip_spaces();
        match *self.0.peek()? {
            '[' => self.array(),
            '{' => self.object(),
            '\'' | '"' | '`' => self.string().map(Value::String),
            _ => self.word().map(|_| Value::Null),
        }
    }

    /// Also `[Object]`, which stands for what lies too deep, and `... 3 more items`.
    fn array(&mut self) -> Option<Value> {
        self.0.next();
        let mut items = Vec::new();
        while !self.ends_with(']')? {
            items.push(self.value()?);
        }
        Some(Value::Array(items))
    }

    fn object(&mut self) -> Option<Value> {
        self.0.next();
        let mut fields = Map::new();
        while !self.ends_with('}')? {
            let name = match *self.0.peek()? {
                '\'' | '"' | '`' => self.string()?,
                _ => self.word()?,
            };
            self.skip_spaces();
            self.0.next_if_eq(&':')?;
            fields.insert(name, self.value()?);
        }
        Some(Value::Object(fields))
    }

    /// Whether `end` comes next, which is taken; else the comma is.
    fn ends_with(&mut self, end: char) -> Option<bool> {
        self.skip_spaces();
        if self.0.next_if_eq(&',').is_some() {
            self.skip_spaces();
        }
        self.0.peek()?;
        Some(self.0.next_if_eq(&end).is_some())
    }

    /// Names and ids are words: an escape need not become the character it means. A long text goes on after a `+`.
    fn string(&mut self) -> Option<String> {
        let mut text = String::new();
        loop {
            let quote = self.0.next()?;
            loop {
                match self.0.next()? {
                    '\\' => text.push(self.0.next()?),
                    character if character == quote => break,
                    character => text.push(character),
                }
            }
            self.skip_spaces();
            if self.0.next_if_eq(&'+').is_none() {
                return Some(text);
            }
            self.skip_spaces();
        }
    }

    fn word(&mut self) -> Option<String> {
        let mut word = String::new();
        while let Some(character) = self.0.next_if(|character| !",:[]{}'\"`".contains(*character)) {
            word.push(character);
        }
        word.truncate(word.trim_end().len());
        (!word.is_empty()).then_some(word)
    }

    fn skip_spaces(&mut self) {
        while self.0.next_if(|character| character.is_whitespace()).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Option<Vec<(String, String)>> {
        Some(
            all.iter()
                .map(|(name, id)| ((*name).to_owned(), (*id).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn json_is_read() {
        assert_eq!(items("[]"), pairs(&[]));
        assert_eq!(
            items(r#"[{"name":"a_b","id":"1"},{"id":"2","name":"c"}]"#),
            pairs(&[("a_b", "1"), ("c", "2")])
        );
        let both = r#"{"pipelines":[{"name":"a","id":"1"}],"legacyPipelines":[{"name":"old","id":"2"}]}"#;
        assert_eq!(items(both), pairs(&[("a", "1")]));
    }

    #[test]
    fn what_node_shows_is_read() {
        let shown = r#"[
  {
    name: 'a_sink',
    'quo-ted': "it's", `back"tick`: `"'`,
    config: { bucket: 'x: ], }', rolling_policy: [Object], list: [Array], parts: [ 1, -2.5, true, null, undefined ] },
    escaped: 'a\'b\\',
    long: 'first\n' +
      'second',
    id: 'f00',
  },
  { id: 'f01', name: "b_sink", empty: {}, none: [] }
]
"#;
        assert_eq!(items(shown), pairs(&[("a_sink", "f00"), ("b_sink", "f01")]));
        assert_eq!(
            items("[ { name: 'a', id: '1' }, { id: '2', name: 'b' } ]"),
            pairs(&[("a", "1"), ("b", "2")])
        );
    }

    #[test]
    fn what_is_no_list_of_names_and_ids_is_none() {
        for other in [
            "",
            "No sinks found.",
            "null",
            "{}",
            r#"{"result":[]}"#,
            r#"[{"name":"a"}]"#,
            "[ { name: 'a', id: 1 } ]",
            "[ { name: 'a', id: '1' }, ... 80 more items ]",
            "[ { name: 'a', id: '1' }",
            "[ { name: 'a', id: '1 } ]",
            "[ { name 'a', id: '1' } ]",
            "[] more",
            "[ : ]",
            "{ : 1 }",
        ] {
            assert_eq!(items(other), None, "{other}");
        }
    }
}
