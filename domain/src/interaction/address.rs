//! Addresses of pages: what is kept of one, and where a redirect may lead.
//!
//! Written by hand: a general URL parser would be a fifth of a Worker, and none of its rules beyond these is needed.

use super::text::looks_like_email;

/// The only keys of a query that are kept: they name a campaign, not a person.
pub const CAMPAIGN_KEYS: [&str; 6] = [
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
    "utm_id",
];

/// Most characters kept of an address.
pub const MAX_ADDRESS_CHARS: usize = 1000;

/// What stands for a part of a path that looks like an e-mail address.
const MASK: &str = "redacted";

struct Parts<'a> {
    scheme: &'static str,
    /// Without user and password, as written.
    host: &'a str,
    path: &'a str,
    query: &'a str,
}

fn parts(address: &str) -> Option<Parts<'_>> {
    let (scheme, rest) = address.split_once("://")?;
    let scheme = ["https", "http"]
        .into_iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))?;
    let authority_end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(authority_end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let of_host = |letter: char| letter.is_alphanumeric() || ".-_:[]".contains(letter);
    if host.is_empty() || !host.chars().all(of_host) {
        return None;
    }
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Some(Parts {
        scheme,
        host,
        path,
        query,
    })
}

/// What is kept of the address of a page: scheme, host, path and the campaign keys of its query. No user, no other
/// parameter, no fragment; parts that look like an e-mail address are masked. `None` when it is no http(s) address.
#[must_use]
pub fn clean(address: &str) -> Option<String> {
    let address: String = address.trim().chars().filter(|letter| !letter.is_control()).collect();
    let Parts {
        scheme,
        host,
        path,
        query,
    } = parts(&address)?;
    let segments: Vec<&str> = path
        .split('/')
        .map(|segment| if looks_like_email(segment) { MASK } else { segment })
        .collect();
    let mut kept = format!("{scheme}://{}{}", host.to_lowercase(), segments.join("/"));
    // An address may be spread over segments or hidden behind a slash that is part of it.
    if looks_like_email(&segments.join("/")) {
        kept = format!("{scheme}://{}/{MASK}", host.to_lowercase());
    }
    let of_campaign = |pair: &&str| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        CAMPAIGN_KEYS.contains(&key) && !value.is_empty() && !looks_like_email(value)
    };
    for (index, pair) in query.split('&').filter(of_campaign).enumerate() {
        kept.push(if index == 0 { '?' } else { '&' });
        kept.push_str(pair);
    }
    Some(kept.chars().take(MAX_ADDRESS_CHARS).collect())
}

/// The host of an address, lower case and without port; `None` when it is no http(s) address.
#[must_use]
pub fn host(address: &str) -> Option<String> {
    let host = parts(address.trim())?.host;
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    Some(without_port.to_lowercase()).filter(|name| !name.is_empty() && name.chars().count() <= 255)
}

/// Whether a browser may be sent to `address`: http(s), no user, and no character that a header or an older browser
/// would read in another way.
#[must_use]
pub fn is_redirect_target(address: &str) -> bool {
    const MAX_BYTES: usize = 4096;
    let plain = address.is_ascii() && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let authority = address
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next())
        .unwrap_or_default();
    plain && address.len() <= MAX_BYTES && !authority.contains('@') && parts(address).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_campaign_keys_are_kept_of_a_query() {
        let kept = |address| clean(address).unwrap();
        assert_eq!(
            kept("HTTPS://user:pw@Example.COM:8443/a/b?email=x&utm_source=n&token=1&utm_term=&utm_id=7#me"),
            "https://example.com:8443/a/b?utm_source=n&utm_id=7"
        );
        assert_eq!(kept("http://example.com?q=1"), "http://example.com");
        assert_eq!(kept("https://example.com/#/jane@example.com"), "https://example.com/");
        assert_eq!(kept("https://example.com/a;b=c"), "https://example.com/a;b=c");
    }

    #[test]
    fn an_email_is_masked_wherever_it_stands() {
        assert_eq!(
            clean("https://example.com/u/jane%40example.com/x?utm_content=jane%2540example.com&utm_medium=mail")
                .unwrap(),
            "https://example.com/u/redacted/x?utm_medium=mail"
        );
        assert_eq!(
            clean("https://example.com/jane/@example.com").unwrap(),
            "https://example.com/jane/@example.com"
        );
    }

    #[test]
    fn what_is_no_page_is_nothing() {
        for other in [
            "",
            "about:blank",
            "javascript:alert(1)",
            "file:///etc",
            "https://",
            "https:///x",
            "//example.com",
        ] {
            assert_eq!(clean(other), None, "{other}");
        }
        assert!(
            clean(&format!("https://example.com/{}", "x".repeat(5000)))
                .unwrap()
                .len()
                == MAX_ADDRESS_CHARS
        );
    }

    #[test]
    fn the_host_alone() {
        assert_eq!(
            host("https://u@News.Example:443/x?q=1").as_deref(),
            Some("news.example")
        );
        assert_eq!(host("android-app://x"), None);
    }

    #[test]
    fn redirects_lead_to_plain_http_addresses() {
        for good in [
            "https://shop.example/p?variant=1&utm_source=a",
            "http://127.0.0.1:8080/",
        ] {
            assert!(is_redirect_target(good), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "//evil.example",
            "/relative",
            "https://shop.example@evil.example/",
            "https://evil.example\\@shop.example/",
            "https://shop.example/\r\nSet-Cookie: a=b",
            "https://shop.example/a b",
            "https://",
        ] {
            assert!(!is_redirect_target(bad), "{bad}");
        }
    }
}
