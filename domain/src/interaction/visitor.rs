//! Who interacted, without knowing who: keyed hashes that are others on each day and in each shop.
//!
//! The key of a day is derived from a secret, so that without the secret nobody can try out all addresses, and two days
//! cannot be joined. No cookie and nothing stored at the visitor's.

use std::net::{IpAddr, Ipv6Addr};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::hex::hex;

/// Length of a key's hash in bytes; 128 bits keep visitors apart.
const HASH_BYTES: usize = 16;

/// What a visitor is recognised by within one day; none of it is kept.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// IP address of the request.
    pub ip: &'a str,
    /// User agent of the request.
    pub user_agent: &'a str,
    /// Shop that the interaction is about: a visitor of two shops has two keys.
    pub shop_domain: &'a str,
}

/// The keys of a visitor on one day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// The same for the whole UTC day.
    pub visitor_key: String,
    /// The same within one UTC hour of it.
    pub session_key: String,
}

/// The keys of `visitor` on `day` (`yyyy-mm-dd`) in `hour` (0 to 23) of receipt, both UTC. `None` without a secret or
/// without an address: a hash of nothing would make all visitors one.
#[must_use]
pub fn keys(secret: &[u8], visitor: Visitor<'_>, day: &str, hour: u8) -> Option<Keys> {
    if secret.is_empty() || visitor.ip.is_empty() {
        return None;
    }
    let of_day = hash(secret, &["weir visitor", day])?;
    let Visitor {
        ip,
        user_agent,
        shop_domain,
    } = visitor;
    let hour = hour.to_string();
    Some(Keys {
        visitor_key: hex(&hash(&of_day, &["visitor", shop_domain, ip, user_agent])?[..HASH_BYTES]),
        session_key: hex(&hash(&of_day, &["session", &hour, shop_domain, ip, user_agent])?[..HASH_BYTES]),
    })
}

/// The key under which requests from `ip` are counted for the rate limit; nothing else knows it. `None` without address.
///
/// Of IPv6 the network of 64 bits: whoever has one address there has all of them.
#[must_use]
pub fn rate_limit_key(secret: &[u8], ip: &str) -> Option<String> {
    let whole = match ip.parse::<IpAddr>().map(|address| address.to_canonical()) {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
        Ok(address) => address.to_string(),
        Err(_) => ip.to_owned(),
    };
    (!whole.is_empty())
        .then(|| hash(secret, &["weir rate limit", &whole]))
        .flatten()
        .map(|digest| hex(&digest[..HASH_BYTES]))
}

fn hash(key: &[u8], parts: &[&str]) -> Option<[u8; 32]> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?; // Takes keys of any length.
    for part in parts {
        // Lengths first: no two lists of parts run together to the same bytes.
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a secret of the visitors";
    const DAY: &str = "2026-11-24";

    fn visitor() -> Visitor<'static> {
        Visitor {
            ip: "203.0.113.7",
            user_agent: "Mozilla",
            shop_domain: "demo.myshopify.com",
        }
    }

    #[test]
    fn the_same_visitor_of_the_day_has_the_same_key_and_another_tomorrow() {
        let morning = keys(SECRET, visitor(), DAY, 9).unwrap();
        let evening = keys(SECRET, visitor(), DAY, 20).unwrap();
        assert_eq!(morning.visitor_key, evening.visitor_key);
        assert_ne!(morning.session_key, evening.session_key);
        let tomorrow = keys(SECRET, visitor(), "2026-11-25", 9).unwrap();
        assert_ne!(morning.visitor_key, tomorrow.visitor_key);
        assert_ne!(morning.session_key, tomorrow.session_key);
        assert_eq!(morning.visitor_key.len(), 2 * HASH_BYTES);
    }

    #[test]
    fn each_part_and_the_secret_matter() {
        let key = |secret: &[u8], visitor| keys(secret, visitor, DAY, 9).unwrap().visitor_key;
        let one = key(SECRET, visitor());
        assert_ne!(one, key(b"another", visitor()));
        assert_ne!(
            one,
            key(
                SECRET,
                Visitor {
                    ip: "203.0.113.8",
                    ..visitor()
                }
            )
        );
        assert_ne!(
            one,
            key(
                SECRET,
                Visitor {
                    user_agent: "Other",
                    ..visitor()
                }
            )
        );
        assert_ne!(
            one,
            key(
                SECRET,
                Visitor {
                    shop_domain: "other.myshopify.com",
                    ..visitor()
                }
            )
        );
        let shifted = Visitor {
            ip: "203.0.113.7M",
            user_agent: "ozilla",
            ..visitor()
        };
        assert_ne!(one, key(SECRET, shifted));
    }

    #[test]
    fn a_network_of_one_visitor_has_one_rate() {
        let key = |ip| rate_limit_key(SECRET, ip).unwrap();
        assert_eq!(key("2001:db8:1:2::1"), key("2001:DB8:1:2:ffff:eeee:dddd:cccc"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:203.0.113.7"), key("203.0.113.7"));
        assert_ne!(key("203.0.113.7"), key("203.0.113.8"));
        assert_ne!(key("unknown"), key("elsewhere"));
    }

    #[test]
    fn without_secret_or_address_there_is_no_key() {
        assert_eq!(keys(b"", visitor(), DAY, 9), None);
        assert_eq!(keys(SECRET, Visitor { ip: "", ..visitor() }, DAY, 9), None);
        assert_eq!(rate_limit_key(SECRET, ""), None);
        assert_ne!(
            rate_limit_key(SECRET, "203.0.113.7").unwrap(),
            keys(SECRET, visitor(), DAY, 9).unwrap().visitor_key
        );
    }
}
