//! Headers of a request, read in one crossing of the border to JavaScript: text with a line for each.

/// Most lines of a text; the longest is the publication Worker's, 10.
const MAX_LINES: usize = 12;

/// Text with where its lines end, looked for once; the last ones are the values of headers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lines {
    names: &'static [&'static str],
    /// Lines before those of the headers.
    before: usize,
    text: String,
    ends: [usize; MAX_LINES],
    count: usize,
}

impl Lines {
    fn new(before: usize, text: String, names: &'static [&'static str]) -> Self {
        let (mut ends, mut count) = ([0; MAX_LINES], 0);
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        for (at, _) in breaks.take(MAX_LINES - 1) {
            ends[count] = at;
            count += 1;
        }
        ends[count] = text.len();
        Self {
            names,
            before,
            text,
            ends,
            count: count + 1,
        }
    }

    fn get(&self, index: usize) -> &str {
        if index >= self.count {
            return "";
        }
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] + 1);
        &self.text[start..self.ends[index]]
    }

    fn header(&self, name: &str) -> Option<&str> {
        let at = self.names.iter().position(|known| *known == name)?;
        Some(self.get(self.before + at)).filter(|value| !value.is_empty())
    }
}

/// What is asked of a request before its body: method, URL, and each of the asked headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head(Lines);

impl Head {
    /// The head in `text`, whose headers are `names`.
    #[must_use]
    pub fn new(text: String, names: &'static [&'static str]) -> Self {
        Self(Lines::new(2, text, names))
    }

    /// `GET`, `POST` and so on.
    #[must_use]
    pub fn method(&self) -> &str {
        self.0.get(0)
    }

    /// The URL with its query.
    #[must_use]
    pub fn url(&self) -> &str {
        self.0.get(1)
    }

    /// The path of the URL, still percent-encoded.
    #[must_use]
    pub fn path(&self) -> &str {
        let url = self.url();
        let rest = url.find("://").map_or(url, |at| &url[at + 3..]);
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        path.find(['?', '#']).map_or(path, |end| &path[..end])
    }

    /// The value of header `name`, one of those asked for; `None` when it is absent or empty.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }

    /// The size that the header Content-Length announces, in bytes, if it was asked for and says one.
    #[must_use]
    pub fn content_length(&self) -> Option<usize> {
        self.header(CONTENT_LENGTH)?.parse().ok()
    }
}

/// What is asked of a request beside its body: when it came, and each of the asked headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt(Lines);

impl Receipt {
    /// The receipt in `text`, whose headers are `names`.
    #[must_use]
    pub fn new(text: String, names: &'static [&'static str]) -> Self {
        Self(Lines::new(1, text, names))
    }

    /// When the request was received, RFC 3339 UTC with milliseconds.
    #[must_use]
    pub fn received_at(&self) -> &str {
        self.0.get(0)
    }

    /// The value of header `name`, one of those asked for; `None` when it is absent or empty.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.header(name)
    }
}

/// Name of the header that announces the body's size.
pub const CONTENT_LENGTH: &str = "content-length";

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &["a", CONTENT_LENGTH, "b"];

    fn head(text: &str, names: &'static [&'static str]) -> Head {
        Head::new(text.to_owned(), names)
    }

    #[test]
    fn a_head_has_its_lines_by_name() {
        let head = head("POST\nhttps://h.example/x/%20?q=/y#z\n1\n17\n", NAMES);
        assert_eq!((head.method(), head.path()), ("POST", "/x/%20"));
        assert_eq!(head.url(), "https://h.example/x/%20?q=/y#z");
        assert_eq!(
            (head.header("a"), head.header("b"), head.header("c")),
            (Some("1"), None, None)
        );
        assert_eq!(head.content_length(), Some(17));
    }

    #[test]
    fn a_receipt_says_when_and_what_beside() {
        let receipt = Receipt::new("2026-11-24T10:00:00.000Z\n1\n\nz".to_owned(), NAMES);
        assert_eq!(receipt.received_at(), "2026-11-24T10:00:00.000Z");
        assert_eq!((receipt.header("a"), receipt.header("b")), (Some("1"), Some("z")));
        assert_eq!((receipt.header(CONTENT_LENGTH), receipt.header("c")), (None, None));
    }

    #[test]
    fn lines_beyond_the_text_are_empty_and_the_last_holds_the_rest() {
        let lines = Lines::new(0, "a\n\nb".to_owned(), &[]);
        assert_eq!([0, 1, 2, 3, 99].map(|index| lines.get(index)), ["a", "", "b", "", ""]);
        let long = Lines::new(0, "x\n".repeat(MAX_LINES + 1), &[]);
        assert_eq!(long.get(MAX_LINES - 1), "x\nx\n");
        assert_eq!(Lines::new(0, String::new(), &[]).get(0), "");
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
