//! Method, address and headers of a request, read in one crossing of the border to JavaScript.

/// What is asked of a request before its body, in lines: when it was read, method, URL, and one for each of the asked headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    names: &'static [&'static str],
    text: String,
}

impl Head {
    /// The head in `text`, whose headers are `names`.
    #[must_use]
    pub fn new(text: String, names: &'static [&'static str]) -> Self {
        Self { names, text }
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// When the request was received, RFC 3339 UTC with milliseconds.
    #[must_use]
    pub fn received_at(&self) -> &str {
        self.line(0)
    }

    /// `GET`, `POST` and so on.
    #[must_use]
    pub fn method(&self) -> &str {
        self.line(1)
    }

    /// The URL with its query.
    #[must_use]
    pub fn url(&self) -> &str {
        self.line(2)
    }

    /// The path of the URL, still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        let url = self.url();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        path.split(['?', '#']).next().unwrap_or(path)
    }

    /// The value of header `name`, one of those asked for; `None` when it is absent or empty.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let at = self.names.iter().position(|known| *known == name)?;
        Some(self.line(at + 3)).filter(|value| !value.is_empty())
    }

    /// Whether `name` is one of the headers asked for.
    #[must_use]
    pub fn has_asked(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// The size that the header Content-Length announces, in bytes, if it was asked for and says one.
    #[must_use]
    pub fn content_length(&self) -> Option<usize> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }

    fn line(&self, at: usize) -> &str {
        self.text.split('\n').nth(at).unwrap_or_default()
    }
}

/// Name of the header that announces the body's size.
pub const CONTENT_LENGTH: &str = "content-length";

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["a", CONTENT_LENGTH, "b"];

    fn head(text: &str, names: &'static [&'static str]) -> Head {
        Head::new(format!("2026-11-24T10:00:00.000Z\n{text}"), names)
    }

    #[test]
    fn a_head_has_its_lines_by_name() {
        let head = head("POST\nhttps://h.example/x/%20?q=/y#z\n1\n17\n", NAMES);
        assert_eq!(
            (head.received_at(), head.method(), head.path()),
            ("2026-11-24T10:00:00.000Z", "POST", "/x/%20")
        );
        assert_eq!(head.url(), "https://h.example/x/%20?q=/y#z");
        assert_eq!(
            (head.header("a"), head.header("b"), head.header("c")),
            (Some("1"), None, None)
        );
        assert_eq!(head.content_length(), Some(17));
        assert!(head.has_asked("b") && !head.has_asked("c"));
    }

    #[test]
    fn a_url_without_path_leads_to_the_root() {
        assert_eq!(head("GET\nhttps://h.example", &[]).path(), "/");
        assert_eq!(head("GET\nhttps://h.example/?a=/b", &[]).path(), "/");
        assert_eq!(Head::new(String::new(), &[]).path(), "/");
        for not_a_length in ["", "-1", "x"] {
            let text = format!("GET\nhttps://h.example/\n\n{not_a_length}\n");
            assert_eq!(head(&text, NAMES).content_length(), None);
        }
    }
}
