//! Signed redirects: `/r/{code}?shop=...&s=...` leads where the catalogue says, `&u=...` says it itself.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Bytes of the signature: 128 bits, 22 letters in the link.
const SIGNATURE_BYTES: usize = 16;

/// Longest code of a link, in bytes.
const MAX_CODE_BYTES: usize = 200;

/// Whether a text can be the code of a link: what stands unescaped in the last part of an address, and is no way upwards.
#[must_use]
pub fn is_link_code(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=MAX_CODE_BYTES).contains(&text.len()) && text.bytes().all(plain) && ![".", ".."].contains(&text)
}

/// What is signed. A link with its own `url` cannot be turned into another one, nor one of a shop into another shop's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link<'a> {
    /// Shop whose catalogue knows the code.
    pub shop_domain: &'a str,
    /// Code of the link.
    pub code: &'a str,
    /// Where it leads, when the link says so itself and needs no catalogue.
    pub url: Option<&'a str>,
}

impl Link<'_> {
    /// The signature with `secret`; `None` when the secret is empty, since anybody could sign with that.
    #[must_use]
    pub fn sign(&self, secret: &[u8]) -> Option<String> {
        let digest = self.mac(secret)?.finalize().into_bytes();
        Some(URL_SAFE_NO_PAD.encode(&digest[..SIGNATURE_BYTES]))
    }

    /// Whether `signature` is this link's under any of `secrets` (several while one is rotated). Constant time.
    #[must_use]
    pub fn is_signed_by(&self, signature: &str, secrets: &[&[u8]]) -> bool {
        let Ok(given) = URL_SAFE_NO_PAD.decode(signature) else {
            return false;
        };
        if given.len() != SIGNATURE_BYTES {
            return false;
        }
        let matching = secrets
            .iter()
            .filter_map(|secret| self.mac(secret))
            .filter(|mac| mac.clone().verify_truncated_left(&given).is_ok());
        matching.count() > 0
    }

    fn mac(&self, secret: &[u8]) -> Option<Hmac<Sha256>> {
        if secret.is_empty() {
            return None;
        }
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?; // Takes keys of any length.
        mac.update(b"weir link");
        for part in [Some(self.shop_domain), Some(self.code), self.url] {
            // An absent url is not an empty one.
            mac.update(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
            mac.update(part.unwrap_or_default().as_bytes());
        }
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"link secret";
    const LINK: Link<'_> = Link {
        shop_domain: "demo.myshopify.com",
        code: "spring",
        url: Some("https://shop.example/p"),
    };

    #[test]
    fn a_signature_holds_for_this_link_alone() {
        let signature = LINK.sign(SECRET).unwrap();
        assert_eq!(signature.len(), 22);
        assert!(LINK.is_signed_by(&signature, &[b"new", SECRET]));
        let others = [
            Link {
                url: Some("https://evil.example/"),
                ..LINK
            },
            Link { url: None, ..LINK },
            Link { url: Some(""), ..LINK },
            Link { code: "autumn", ..LINK },
            Link {
                shop_domain: "other.myshopify.com",
                ..LINK
            },
        ];
        for other in others {
            assert!(!other.is_signed_by(&signature, &[SECRET]), "{other:?}");
        }
    }

    #[test]
    fn a_code_is_one_part_of_an_address() {
        for code in ["x7", "Spring_2026.a-b", "...", &"a".repeat(MAX_CODE_BYTES)] {
            assert!(is_link_code(code), "{code}");
        }
        for other in [
            "",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a%2Fb",
            "é",
            &"a".repeat(MAX_CODE_BYTES + 1),
        ] {
            assert!(!is_link_code(other), "{other}");
        }
    }

    #[test]
    fn nothing_else_is_a_signature() {
        let signature = LINK.sign(SECRET).unwrap();
        for wrong in [
            "",
            "%%%",
            &signature[..20],
            &format!("{signature}AAAA"),
            &"A".repeat(22),
        ] {
            assert!(!LINK.is_signed_by(wrong, &[SECRET]), "{wrong:?}");
        }
        assert!(!LINK.is_signed_by(&signature, &[]));
        assert!(!LINK.is_signed_by(&signature, &[b"other"]));
        assert_eq!(LINK.sign(b""), None);
    }
}
