//! Events said in a query: the pixel's `?event_type=...&item_id=...` and the redirect's click.

use serde_json::{Map, Value};
use weir_domain::interaction::given::{Given, Refusal};
use weir_domain::interaction::text::percent_decode;
use weir_domain::interaction::Kind;
use weir_edge_shared::internal::parameter;

/// Fields that a pixel's query may say, under the names that events have.
pub(crate) const TEXT_FIELDS: [&str; 12] = [
    "event_type",
    "event_key",
    "shop_domain",
    "publisher_id",
    "item_id",
    "program_id",
    "placement",
    "product_id",
    "order_id",
    "url",
    "referrer",
    "link_code",
];

/// The value of the parameter `name` of `url`, decoded. (`+` is a space there, as forms write it.)
#[must_use]
pub fn decoded(url: &str, name: &str) -> Option<String> {
    parameter(url, name).map(|value| percent_decode(&value.replace('+', " ")))
}

/// The event of a pixel. Without `event_type` it is an impression, without `event_key` it has `fallback_key` (each request
/// is an event of its own), without `url` the page is the one that embeds the pixel.
///
/// # Errors
/// [`Refusal`] naming the field.
pub fn pixel(url: &str, page: Option<&str>, fallback_key: &str) -> Result<Given, Refusal> {
    let mut common = Map::new();
    common.insert("event_type".into(), Kind::Impression.as_str().into());
    common.insert("event_key".into(), fallback_key.into());
    if let Some(page) = page {
        common.insert("url".into(), page.into());
    }
    let mut event = Map::new();
    for name in TEXT_FIELDS {
        if let Some(value) = decoded(url, name).filter(|value| !value.is_empty()) {
            event.insert(name.into(), value.into());
        }
    }
    for name in ["engaged_seconds", "occurred_at"] {
        if let Some(text) = decoded(url, name).filter(|text| !text.is_empty()) {
            // A number is one; anything else is read as the text it is.
            event.insert(
                name.into(),
                serde_json::from_str::<serde_json::Number>(&text).map_or(text.into(), Value::Number),
            );
        }
    }
    Given::read(&Value::Object(event), &common)
}

/// The click on a redirect: on the page that the browser names, whatever of it it still tells.
#[must_use]
pub fn click(shop_domain: &str, code: &str, page: Option<&str>, event_key: &str) -> Given {
    Given {
        link_code: Some(code.to_owned()),
        url: page.map(str::to_owned),
        referrer: page.map(str::to_owned),
        ..Given::new(Kind::Click, event_key, shop_domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixel_says_an_event() {
        let url = "https://w/v1/p.gif?shop_domain=demo.myshopify.com&item_id=i-1%2F2&placement=a+b&event_type=engagement&engaged_seconds=1.5";
        let given = pixel(url, Some("https://blog.example/a"), "k").unwrap();
        assert_eq!((given.kind, given.engaged_seconds), (Kind::Engagement, Some(1.5)));
        assert_eq!(given.item_id.as_deref(), Some("i-1/2"));
        assert_eq!(given.placement.as_deref(), Some("a b"));
        assert_eq!(
            (given.event_key.as_str(), given.url.as_deref()),
            ("k", Some("https://blog.example/a"))
        );
    }

    #[test]
    fn a_pixel_is_an_impression_and_needs_a_shop() {
        assert_eq!(
            pixel("https://w/v1/p.gif?shop_domain=d", None, "k").unwrap().kind,
            Kind::Impression
        );
        assert_eq!(
            pixel("https://w/v1/p.gif", None, "k").unwrap_err().detail,
            "shop_domain: required"
        );
        let empty = pixel(
            "https://w/v1/p.gif?shop_domain=d&engaged_seconds=&occurred_at=",
            None,
            "k",
        )
        .unwrap();
        assert_eq!((empty.engaged_seconds, empty.occurred_at_millis), (None, None));
        let bad = pixel("https://w/v1/p.gif?shop_domain=d&engaged_seconds=x", None, "k");
        assert_eq!(bad.unwrap_err().reason, "type_mismatch");
    }
}
