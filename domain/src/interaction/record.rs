//! The row of `publication_v1` that an interaction becomes. Nothing else of the request outlives it.

use serde_json::{json, Map, Value};

use super::address::{clean, host};
use super::device::DeviceClass;
use super::given::Given;
use super::visitor::{keys, Keys, Visitor};
use super::Kind;
use crate::events::wire_time;
use crate::telemetry::event_id;

/// How far behind the receipt a sender's clock is believed, in milliseconds: a beacon may wait a day in a sleeping laptop.
const MAX_PAST_MILLIS: i64 = 24 * 3_600_000;
/// How far ahead, for clocks that are a little fast.
const MAX_FUTURE_MILLIS: i64 = 5 * 60_000;
/// 2000-01-01T00:00:00Z. Before it nothing was sold here: seconds given for milliseconds end in 1970.
const EARLIEST_MILLIS: i64 = 946_684_800_000;

/// The request that an interaction came with.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// When it was received, milliseconds since 1970.
    pub received_at_millis: i64,
    /// IP address, if known. Goes into keyed hashes only.
    pub ip: &'a str,
    /// User agent. Goes into keyed hashes and the device class only.
    pub user_agent: &'a str,
    /// ISO 3166 country of the request.
    pub country: Option<&'a str>,
    /// Do-Not-Track or Global Privacy Control: no keys.
    pub do_not_track: bool,
    /// Secret of the visitor keys; without it there are none.
    pub visitor_secret: &'a [u8],
    /// Whether it came with the token, from a server that tells of visitors. It is none itself: neither a person nor a program
    /// among them, so nothing is said of who asked; and it may tell late, from a queue or a file.
    pub is_trusted: bool,
}

impl Given {
    /// Identity of the event: shop, kind, what it is about and the sender's key. Taken before the catalogue is asked, so
    /// that a later catalogue does not count a repeated beacon a second time.
    #[must_use]
    pub fn event_id(&self) -> String {
        let about = [
            ("gid://shopify/Order/", &self.order_id),
            ("item:", &self.item_id),
            ("link:", &self.link_code),
            ("gid://shopify/Product/", &self.product_id),
        ];
        let entity = about
            .into_iter()
            .find_map(|(prefix, id)| id.as_ref().map(|id| format!("{prefix}{id}")))
            .unwrap_or_default();
        event_id(&self.shop_domain, self.kind.as_str(), &entity, &self.event_key)
    }

    /// Whether `other`, under the same id, is this event once more. It may come at another time, from another page and with
    /// other claims; but an id holds only the first of what an event is about, and to whom an attribution gives an order is what
    /// it says.
    #[must_use]
    pub fn says_the_same_as(&self, other: &Self) -> bool {
        self.said() == other.said()
    }

    fn said(&self) -> [Option<&String>; 6] {
        let is_credit = |_: &&String| self.kind == Kind::Attribution;
        [
            self.order_id.as_ref(),
            self.item_id.as_ref(),
            self.link_code.as_ref(),
            self.product_id.as_ref(),
            self.publisher_id.as_ref().filter(is_credit),
            self.program_id.as_ref().filter(is_credit),
        ]
    }

    /// The row under the id `event_id`.
    #[must_use]
    pub fn record(&self, event_id: &str, request: &Request<'_>) -> Value {
        let received_at = wire_time(request.received_at_millis.saturating_mul(1000));
        let occurred_at = wire_time(self.occurred_at_millis(request).saturating_mul(1000));
        let device = (!request.is_trusted).then(|| DeviceClass::of(request.user_agent));
        let mut row = Map::new();
        let mut put = |name: &str, value: Value| {
            row.insert(name.to_owned(), value);
        };
        put("event_id", json!(event_id));
        put("event_type", json!(self.kind.as_str()));
        put("schema_version", json!(1));
        put("event_date", json!(occurred_at[..10]));
        put("event_hour", json!(hour_of(&occurred_at)));
        put("source", json!("interaction"));
        put("shop_domain", json!(self.shop_domain));
        put("is_bot", json!(device == Some(DeviceClass::Bot)));
        let keys = self.keys(request, &received_at);
        let (visitor_key, session_key) = keys.map(|keys| (keys.visitor_key, keys.session_key)).unzip();
        let country = request.country.filter(|_| !request.is_trusted).and_then(country);
        let optional = [
            ("publisher_id", self.publisher_id.clone()),
            ("item_id", self.item_id.clone()),
            ("program_id", self.program_id.clone()),
            ("placement", self.placement.clone()),
            ("product_id", self.product_id.clone()),
            ("order_id", self.order_id.clone()),
            ("url", self.url.as_deref().and_then(clean)),
            ("referrer_host", self.referrer.as_deref().and_then(host)),
            ("country", country),
            ("device_class", device.map(|class| class.as_str().to_owned())),
            ("visitor_key", visitor_key),
            ("session_key", session_key),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                put(name, json!(value));
            }
        }
        if let Some(seconds) = self.engaged_seconds {
            put("engaged_seconds", json!(seconds));
        }
        put("occurred_at", json!(occurred_at));
        put("received_at", json!(received_at));
        Value::Object(row)
    }

    /// Who it was, by hashes. An event that names an order has none: its order leads to the customer, and the hash would lead
    /// from there to all else that the visitor did that day, in the lake also when the customer is forgotten.
    fn keys(&self, request: &Request<'_>, received_at: &str) -> Option<Keys> {
        if request.is_trusted || request.do_not_track || self.order_id.is_some() {
            return None;
        }
        let visitor = Visitor {
            ip: request.ip,
            user_agent: request.user_agent,
            shop_domain: &self.shop_domain,
        };
        keys(
            request.visitor_secret,
            visitor,
            &received_at[..10],
            hour_of(received_at),
        )
    }

    /// The sender's clock where it is plausible, else the receipt. With the token the past is believed: of two attributions of
    /// an order the later one wins, and both may come days after.
    fn occurred_at_millis(&self, request: &Request<'_>) -> i64 {
        let received_at_millis = request.received_at_millis;
        let earliest = if request.is_trusted {
            EARLIEST_MILLIS
        } else {
            received_at_millis - MAX_PAST_MILLIS
        };
        let window = earliest..=received_at_millis + MAX_FUTURE_MILLIS;
        self.occurred_at_millis
            .filter(|millis| window.contains(millis))
            .unwrap_or(received_at_millis)
    }
}

/// The hour of a time as [`wire_time`] writes it.
fn hour_of(time: &str) -> u8 {
    time.get(11..13).and_then(|hour| hour.parse().ok()).unwrap_or_default()
}

/// Two capital letters; Cloudflare's `XX` (unknown) and `T1` (Tor) are no countries.
fn country(code: &str) -> Option<String> {
    let known = code.len() == 2 && code.bytes().all(|letter| letter.is_ascii_uppercase()) && code != "XX";
    known.then(|| code.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::publication;

    const NOON: i64 = 1_795_521_600_000; // 2026-11-24T12:00:00Z

    fn request() -> Request<'static> {
        Request {
            received_at_millis: NOON,
            ip: "203.0.113.7",
            user_agent: "Mozilla/5.0 (iPhone) Mobile Safari jane@example.com",
            country: Some("JP"),
            do_not_track: false,
            visitor_secret: b"secret",
            is_trusted: false,
        }
    }

    fn given() -> Given {
        Given {
            item_id: Some("i-1".into()),
            url: Some("https://blog.example/a?email=jane@example.com&utm_source=n".into()),
            referrer: Some("https://search.example/?q=private".into()),
            occurred_at_millis: Some(NOON - 1000),
            ..Given::new(Kind::Click, "k-1", "demo.myshopify.com")
        }
    }

    fn row(given: &Given, request: &Request<'_>) -> Value {
        given.record(&given.event_id(), request)
    }

    #[test]
    fn the_row_is_one_of_the_stream_and_holds_nobody() {
        let row = row(&given(), &request());
        publication().validate(&row).unwrap();
        assert_eq!(row["occurred_at"], "2026-11-24T11:59:59.000Z");
        assert_eq!(
            (row["event_date"].as_str(), row["event_hour"].as_i64()),
            (Some("2026-11-24"), Some(11))
        );
        assert_eq!(row["url"], "https://blog.example/a?utm_source=n");
        assert_eq!(row["referrer_host"], "search.example");
        assert_eq!(
            (row["device_class"].as_str(), row["country"].as_str()),
            (Some("phone"), Some("JP"))
        );
        let text = row.to_string();
        for personal in ["203.0.113.7", "jane", "private", "iPhone", "email"] {
            assert!(!text.contains(personal), "{personal}: {text}");
        }
    }

    #[test]
    fn do_not_track_leaves_no_keys() {
        let tracked = row(&given(), &request());
        assert!(tracked["visitor_key"].is_string() && tracked["session_key"].is_string());
        let untracked = row(
            &given(),
            &Request {
                do_not_track: true,
                ..request()
            },
        );
        assert!(untracked.get("visitor_key").is_none() && untracked.get("session_key").is_none());
        assert_eq!(untracked["event_id"], tracked["event_id"]);
    }

    #[test]
    fn a_server_that_tells_of_visitors_is_none_itself() {
        let by_server = Request {
            user_agent: "python-requests/2.32",
            ..request()
        };
        let told = row(
            &given(),
            &Request {
                is_trusted: true,
                ..by_server
            },
        );
        publication().validate(&told).unwrap();
        assert_eq!(told["is_bot"], false);
        for of_the_requester in ["visitor_key", "session_key", "country", "device_class"] {
            assert!(told.get(of_the_requester).is_none(), "{told}");
        }
        let untrusted = row(&given(), &by_server);
        assert_eq!(
            (&untrusted["is_bot"], &untrusted["device_class"]),
            (&json!(true), &json!("bot"))
        );
    }

    #[test]
    fn what_names_an_order_names_no_visitor() {
        let about_an_order = Given {
            order_id: Some("7".into()),
            ..given()
        };
        let row = row(&about_an_order, &request());
        assert!(
            row.get("visitor_key").is_none() && row.get("session_key").is_none(),
            "{row}"
        );
        assert_eq!((&row["country"], &row["device_class"]), (&json!("JP"), &json!("phone")));
    }

    #[test]
    fn with_the_token_the_past_is_believed_and_the_future_is_not() {
        let at = |millis| {
            let event = Given {
                occurred_at_millis: Some(millis),
                ..given()
            };
            let request = Request {
                is_trusted: true,
                ..request()
            };
            let row = row(&event, &request);
            publication().validate(&row).unwrap();
            row["occurred_at"].as_str().unwrap().to_owned()
        };
        let monday = NOON - 8 * 24 * 3_600_000;
        assert_eq!(at(monday), "2026-11-16T12:00:00.000Z");
        assert_eq!(at(EARLIEST_MILLIS), "2000-01-01T00:00:00.000Z");
        let received = "2026-11-24T12:00:00.000Z";
        let seconds_for_milliseconds = monday / 1000;
        for other in [
            seconds_for_milliseconds,
            i64::MIN,
            NOON + MAX_FUTURE_MILLIS + 1,
            i64::MAX,
        ] {
            assert_eq!(at(other), received);
        }
    }

    #[test]
    fn an_implausible_clock_is_not_believed() {
        let at = |millis| {
            let event = Given {
                occurred_at_millis: millis,
                ..given()
            };
            row(&event, &request())["occurred_at"].as_str().unwrap().to_owned()
        };
        let received = "2026-11-24T12:00:00.000Z";
        assert_eq!(at(None), received);
        assert_eq!(at(Some(0)), received);
        assert_eq!(at(Some(i64::MAX)), received);
        assert_eq!(at(Some(NOON - MAX_PAST_MILLIS - 1)), received);
        assert_eq!(at(Some(NOON + MAX_FUTURE_MILLIS + 1)), received);
        assert_eq!(at(Some(NOON - MAX_PAST_MILLIS)), "2026-11-23T12:00:00.000Z");
        assert_eq!(at(Some(NOON + MAX_FUTURE_MILLIS)), "2026-11-24T12:05:00.000Z");
    }

    #[test]
    fn a_repeated_beacon_is_the_same_event_and_another_key_another() {
        let id = given().event_id();
        let later = Given {
            occurred_at_millis: Some(NOON),
            publisher_id: Some("p".into()),
            ..given()
        };
        assert_eq!(id, later.event_id());
        assert_ne!(
            id,
            Given {
                event_key: "k-2".into(),
                ..given()
            }
            .event_id()
        );
        assert_ne!(
            id,
            Given {
                kind: Kind::View,
                ..given()
            }
            .event_id()
        );
        assert_ne!(
            id,
            Given {
                item_id: Some("i-2".into()),
                ..given()
            }
            .event_id()
        );
        // Frozen: a changed id would count every repetition twice.
        assert_eq!(id, FROZEN);
    }

    #[test]
    fn no_country_is_none() {
        for (code, kept) in [("JP", true), ("XX", false), ("T1", false), ("jp", false), ("", false)] {
            assert_eq!(country(code).is_some(), kept, "{code}");
        }
    }

    const FROZEN: &str = "18862bb6-f234-5951-9ada-1bdf1150b0de";
}
