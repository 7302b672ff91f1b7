//! `GET /r/{code}?shop={domain}&s={signature}[&u={url}]`: where it leads.
//!
//! With `u` the link says itself where it leads and needs nothing behind this Worker; without, the catalogue does. Both are
//! signed, so that nobody can make this host lead elsewhere.

use weir_domain::interaction::address::is_redirect_target;
use weir_domain::interaction::link::{is_link_code, Link};
use weir_domain::interaction::text::percent_decode;
use weir_edge_shared::internal::parameter;

use crate::batch::Refusal;

/// A redirect as its address says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// The shop, lower case.
    pub shop_domain: String,
    /// The code.
    pub code: String,
    /// Where it leads, when it says so itself.
    pub url: Option<String>,
}

impl Redirect {
    /// Reads the redirect of `path` and `url`, and checks its signature with `secrets`.
    ///
    /// # Errors
    /// [`Refusal`]: 404 without a code, 403 when the signature does not hold, 503 when no secret is configured.
    pub fn read(path: &str, url: &str, secrets: &[&[u8]]) -> Result<Self, Refusal> {
        let refuse = |status, reason, detail: &str| {
            Err(Refusal {
                status,
                reason,
                detail: detail.into(),
            })
        };
        let code = percent_decode(path.strip_prefix("/r/").unwrap_or_default());
        if code.is_empty() || code.chars().count() > 200 || code.contains('/') {
            return refuse(404, "not_found", "there is no such link");
        }
        if secrets.iter().all(|secret| secret.is_empty()) {
            return refuse(503, "not_configured", "links cannot be checked");
        }
        // Not form-encoded: a `+` in the target is a plus.
        let find = |name| parameter(url, name).map(percent_decode);
        let redirect = Self {
            shop_domain: find("shop").unwrap_or_default().to_ascii_lowercase(),
            code,
            url: find("u"),
        };
        if !redirect.link().is_signed_by(&find("s").unwrap_or_default(), secrets) {
            return refuse(403, "bad_signature", "the link was changed or is not from here");
        }
        Ok(redirect)
    }

    fn link(&self) -> Link<'_> {
        Link {
            shop_domain: &self.shop_domain,
            code: &self.code,
            url: self.url.as_deref(),
        }
    }

    /// The path and query of the link, signed with `secret`.
    ///
    /// # Errors
    /// What is wrong: a target that no browser may be sent to, a code that is none, no secret.
    pub fn signed(&self, secret: &[u8]) -> Result<String, &'static str> {
        if !is_link_code(&self.code) {
            return Err("code: expected letters, digits, '-', '_' and '.'");
        }
        if !self.url.as_deref().is_none_or(is_redirect_target) {
            return Err("url: expected an absolute http(s) address in ASCII, without user and spaces");
        }
        let signature = self.link().sign(secret).ok_or("no secret for links is configured")?;
        let own = self.url.as_deref().map(|url| format!("&u={}", percent_encode(url)));
        let (code, shop, own) = (&self.code, percent_encode(&self.shop_domain), own.unwrap_or_default());
        Ok(format!("/r/{code}?shop={shop}{own}&s={signature}"))
    }
}

/// `text` with everything escaped that is not unreserved in RFC 3986.
fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: [&[u8]; 2] = [b"new", b"old"];

    fn redirect(url: Option<&str>) -> Redirect {
        Redirect {
            shop_domain: "demo.myshopify.com".into(),
            code: "spring-1".into(),
            url: url.map(str::to_owned),
        }
    }

    fn read(link: &str) -> Result<Redirect, Refusal> {
        Redirect::read(link.split('?').next().unwrap(), &format!("https://w{link}"), &SECRETS)
    }

    #[test]
    fn a_signed_link_reads_back_under_either_secret() {
        for url in [None, Some("https://shop.example/p?variant=1&q=a+b%20c#top")] {
            for secret in SECRETS {
                let link = redirect(url).signed(secret).unwrap();
                assert_eq!(read(&link), Ok(redirect(url)), "{link}");
            }
        }
    }

    #[test]
    fn a_changed_link_leads_nowhere() {
        let link = redirect(Some("https://shop.example/p")).signed(b"new").unwrap();
        for changed in [
            link.replace("shop.example", "evil.example"),
            link.replace("spring-1", "spring-2"),
            link.replace("demo.", "other."),
            link.replace("u=", "v="),
            link.replace("&s=", "&t="),
            redirect(Some("https://shop.example/p")).signed(b"stolen").unwrap(),
        ] {
            assert_eq!(read(&changed).unwrap_err().status, 403, "{changed}");
        }
        assert_eq!(read("/r/").unwrap_err().status, 404);
        assert_eq!(
            Redirect::read("/r/a", "https://w/r/a?s=", &[b""]).unwrap_err().status,
            503
        );
    }

    #[test]
    fn only_real_targets_are_signed() {
        assert!(redirect(Some("javascript:alert(1)")).signed(b"new").is_err());
        assert!(Redirect {
            code: "a/b".into(),
            ..redirect(None)
        }
        .signed(b"new")
        .is_err());
        assert!(redirect(None).signed(b"").is_err());
    }
}
