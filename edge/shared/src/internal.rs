//! Who may use the internal routes, and what a path under them names.

use weir_domain::webhook::is_secret;

/// Where the quarantine lies in a Worker's bucket.
pub const PREFIX: &str = "quarantine/";

/// Records on a page of the listing when the caller does not say.
pub const DEFAULT_PAGE_RECORDS: u32 = 100;
/// Most records on a page; R2 lists no more at once.
pub const MAX_PAGE_RECORDS: u32 = 1000;

/// What an internal path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `/internal/quarantine`: the listing.
    Quarantine,
    /// `/internal/{key}`: one record, under the key that the listing says.
    Record(String),
    /// `/internal/{key}/replay`.
    Replay(String),
}

impl Target {
    /// What `path` names, or `None`. Nothing but the quarantine is reachable, whatever else the bucket holds.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let name = path.strip_prefix("/internal/")?;
        if name == PREFIX.trim_end_matches('/') {
            return Some(Self::Quarantine);
        }
        let (key, replay) = match name.strip_suffix("/replay") {
            Some(key) => (key, true),
            None => (name, false),
        };
        let harmless = |letter: char| letter.is_ascii_alphanumeric() || "._-/".contains(letter);
        if !key.starts_with(PREFIX) || !key.ends_with(".json") || !key.chars().all(harmless) {
            return None;
        }
        Some(if replay {
            Self::Replay(key.to_owned())
        } else {
            Self::Record(key.to_owned())
        })
    }
}

/// Whether the header `Authorization` carries one of `tokens`, comma separated, as `Bearer`. Constant time; an empty token lets
/// nobody in.
#[must_use]
pub fn is_authorised(authorization: Option<&str>, tokens: &str) -> bool {
    let Some(given) = authorization.and_then(|value| value.strip_prefix("Bearer ")) else {
        return false;
    };
    each(tokens).any(|token| is_secret(given.trim().as_bytes(), token.as_bytes()))
}

/// The token of `tokens` that is shown to others: the first one. Empty when there is none.
#[must_use]
pub fn newest(tokens: &str) -> &str {
    each(tokens).next().unwrap_or_default()
}

fn each(tokens: &str) -> impl Iterator<Item = &str> {
    tokens.split(',').map(str::trim).filter(|token| !token.is_empty())
}

/// The parameter `name` of `url`, still percent-encoded. (A general parser of URLs would be a fifth of the Worker.)
#[must_use]
pub fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    let query = query.split('#').next().unwrap_or_default();
    query
        .split('&')
        .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Records on a page when the caller asks for `limit`.
///
/// # Errors
/// What a limit may be.
pub fn page_records(limit: Option<&str>) -> Result<u32, String> {
    let Some(limit) = limit else {
        return Ok(DEFAULT_PAGE_RECORDS);
    };
    match limit.parse() {
        Ok(records @ 1..=MAX_PAGE_RECORDS) => Ok(records),
        _ => Err(format!("limit is a number from 1 to {MAX_PAGE_RECORDS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "quarantine/2026-11-24/demo.myshopify.com/w-1.json";

    #[test]
    fn paths_name_the_quarantine_and_nothing_else() {
        assert_eq!(Target::parse("/internal/quarantine"), Some(Target::Quarantine));
        assert_eq!(
            Target::parse(&format!("/internal/{KEY}")),
            Some(Target::Record(KEY.into()))
        );
        assert_eq!(
            Target::parse(&format!("/internal/{KEY}/replay")),
            Some(Target::Replay(KEY.into()))
        );
        for other in [
            "/internal",
            "/internal/",
            "/internal/quarantine/",
            "/internal/quarantine/replay",
            "/internal/bodies/2026-11-24/demo.myshopify.com/w-1.json",
            "/internal/quarantine/%2e%2e/bodies/w-1.json",
        ] {
            assert_eq!(Target::parse(other), None, "{other}");
        }
    }

    #[test]
    fn only_the_token_opens() {
        assert!(is_authorised(Some("Bearer T"), "T"));
        for wrong in [
            None,
            Some(""),
            Some("T"),
            Some("Bearer "),
            Some("Bearer t"),
            Some("Basic T"),
        ] {
            assert!(!is_authorised(wrong, "T"), "{wrong:?}");
            assert!(!is_authorised(wrong, ""), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_is_changed_while_the_one_before_it_is_valid() {
        for token in ["NEW", "OLD"] {
            assert!(is_authorised(Some(&format!("Bearer {token}")), "NEW, OLD"), "{token}");
        }
        for wrong in ["Bearer NEW, OLD", "Bearer OLDER", "Bearer ,", "Bearer "] {
            assert!(!is_authorised(Some(wrong), "NEW, OLD"), "{wrong}");
            assert!(!is_authorised(Some(wrong), " , "), "{wrong}");
        }
        assert_eq!((newest("NEW, OLD"), newest(" ,OLD"), newest("")), ("NEW", "OLD", ""));
    }

    #[test]
    fn parameters_are_found_by_their_whole_name() {
        let url = "http://h/internal/quarantine?limit=5&cursor=a%3D%3D#limit=6";
        assert_eq!(parameter(url, "limit"), Some("5"));
        assert_eq!(parameter(url, "cursor"), Some("a%3D%3D"));
        assert_eq!(parameter(url, "lim"), None);
        assert_eq!(parameter("http://h/internal/quarantine", "limit"), None);
    }

    #[test]
    fn a_page_has_a_limit() {
        assert_eq!(page_records(None), Ok(DEFAULT_PAGE_RECORDS));
        assert_eq!(page_records(Some("1000")), Ok(1000));
        for wrong in ["0", "1001", "-1", "x", ""] {
            assert!(page_records(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
