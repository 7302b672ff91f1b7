use super::*;
use serde_json::json;

fn row(event_type: &str) -> Value {
    json!({"event_id": "e", "event_type": event_type, "schema_version": 1, "occurred_at": "2026-11-24T10:00:00.000Z",
        "received_at": "2026-11-24T10:00:01.000Z", "event_date": "2026-11-24", "event_hour": 10, "source": "interaction",
        "shop_domain": "demo.myshopify.com", "publisher_id": "daily-lamp", "order_id": "9007199254740993"})
}

fn refused(event_type: &str, field: &str, value: Value) -> (&'static str, String) {
    let mut row = row(event_type);
    row[field] = value;
    let refusal = Interaction::parse(&row.to_string()).unwrap_err();
    (refusal.reason, refusal.detail)
}

#[test]
fn an_attribution_names_an_order_and_somebody() {
    let (order_id, attribution) = Interaction::parse(&row("attribution").to_string())
        .unwrap()
        .attribution()
        .unwrap();
    assert_eq!(order_id, 9_007_199_254_740_993);
    assert_eq!(attribution.referred_by.publisher_id.as_deref(), Some("daily-lamp"));
    assert_eq!(refused("attribution", "order_id", Value::Null).0, "missing_field");
    assert_eq!(refused("attribution", "publisher_id", Value::Null).0, "missing_field");
    let conversion = Interaction::parse(&row("conversion").to_string()).unwrap();
    assert_eq!(conversion.attribution(), None);
}

#[test]
fn what_is_no_interaction_of_ours_is_refused_without_its_value() {
    for (field, value) in [
        ("event_type", json!("click")),
        ("order_id", json!("12x")),
        ("publisher_id", json!("reader@example.com")),
        ("event_id", json!("")),
        ("occurred_at", json!("0001-01-01T00:00:00Z")),
        ("surprise", json!("reader@example.com")),
    ] {
        let (reason, detail) = refused("referral", field, value);
        assert!(
            reason == "type_mismatch" && detail.starts_with(field),
            "{reason} {detail}"
        );
        assert!(!detail.contains("example.com"));
    }
    assert_eq!(refused("referral", "url", json!("a\u{0}b")).0, "invalid_text");
    assert_eq!(Interaction::parse("[").unwrap_err().reason, "parse_failure");
    assert_eq!(
        Interaction::parse(&"[".repeat(100_000)).unwrap_err().reason,
        "parse_failure"
    );
}

#[test]
fn an_address_keeps_nothing_that_could_name_a_person() {
    for (url, kept) in [
        (
            "https://a.example/lamp?email=b@example.com#me",
            Some("https://a.example/lamp"),
        ),
        ("https://bea:secret@a.example/lamp", None),
        ("https://a.example/u/b@example.com/lamp", Some("https://a.example")),
        ("https://a.example/u/b%40example.com", Some("https://a.example")),
        ("https://a.example/u/b%252540example.com?x", Some("https://a.example")),
        ("https://a.example/b%EF%bc%A0example.com", Some("https://a.example")),
        ("https://a.example/b＠example.com", Some("https://a.example")),
        (
            "https://a.example/@lamps/ten%20lamps",
            Some("https://a.example/@lamps/ten%20lamps"),
        ),
        ("https://a.example", Some("https://a.example")),
        ("//a.example/x", Some("//a.example/x")),
        ("mailto:b@example.com", None),
    ] {
        assert_eq!(address_only(url).as_deref(), kept, "{url}");
    }
}

#[test]
fn a_catalogue_sends_nobody_where_a_browser_should_not_go() {
    let link = |url: &str| json!({"shop_domain": "d", "links": {"l1": {"url": url}}}).to_string();
    assert!(CatalogueChange::parse(&link("https://shop.example/lamp")).is_ok());
    let refused = CatalogueChange::parse(&link("javascript:alert(1)")).unwrap_err();
    assert!(refused.contains("links.l1.url"), "{refused}");
    for url in [
        "https://shop.example/a b",
        "https://shop.example/é",
        "https://a@shop.example/",
        "https://shop.example\\@evil.example/",
        "https://",
        "https:///x",
    ] {
        let refused = CatalogueChange::parse(&link(url)).unwrap_err();
        assert!(
            refused.starts_with("links.l1.url: expected an absolute"),
            "{url}: {refused}"
        );
    }
    let gone = CatalogueChange::parse(r#"{"shop_domain": "d", "publishers": {"p": null}}"#).unwrap();
    assert_eq!(gone.publishers["p"], None);
    // The last of a repeated name counts, as in PostgreSQL.
    let twice = r#"{"shop_domain": "d", "publishers": {"p": {"name": 5, "name": "P"}}}"#;
    assert_eq!(
        CatalogueChange::parse(twice).unwrap().publishers["p"]
            .as_ref()
            .unwrap()
            .name,
        "P"
    );
}

#[test]
fn a_link_that_no_redirect_could_serve_is_refused_and_can_still_be_taken_out() {
    let links = |code: &str, link: Value| json!({"shop_domain": "d", "links": {code: link}}).to_string();
    for code in ["a/b", "a:b", ".", ".."] {
        let refused = CatalogueChange::parse(&links(code, json!({"url": "https://a"}))).unwrap_err();
        assert!(refused.starts_with("links: a code is"), "{code}: {refused}");
        assert_eq!(
            CatalogueChange::parse(&links(code, Value::Null)).unwrap().links[code],
            None
        );
    }
    let link = |product_id: Value| links("x", json!({"url": "https://a", "product_id": product_id}));
    let known = CatalogueChange::parse(&link(json!("9223372036854775807"))).unwrap();
    let product_id = known.links["x"].as_ref().unwrap().product_id.as_deref();
    assert_eq!(product_id, Some("9223372036854775807"));
    for other in [
        json!("0"),
        json!(""),
        json!("-7"),
        json!("7.0"),
        json!("9223372036854775808"),
        json!(7),
    ] {
        let refused = CatalogueChange::parse(&link(other)).unwrap_err();
        assert!(refused.starts_with("links.x.product_id: expected"), "{refused}");
    }
}

#[test]
fn a_catalogue_that_is_none_is_refused_with_the_place_and_without_the_value() {
    let long = "x".repeat(2049);
    for (change, place) in [
        (json!({"items": {"a b": null}}), "items: an id is"),
        (json!({"items": []}), "items: expected an object"),
        (json!({"items": null}), "items: expected an object"),
        (json!({"surprise": {}}), "expected no other fields than shop_domain,"),
        (json!({"shop_domain": 5}), "shop_domain: expected text"),
        (
            json!({"publishers": {"p": "secret"}}),
            "publishers.p: expected an object",
        ),
        (
            json!({"publishers": {"p": {"name": null}}}),
            "publishers.p.name: expected text",
        ),
        (
            json!({"publishers": {"p": {"name": "P", "secret": 1}}}),
            "publishers.p: expected no other fields than name",
        ),
        (
            json!({"items": {"i": {"publisher_id": "p", "title": ""}}}),
            "items.i.title: expected 1 to 2048 bytes",
        ),
        (
            json!({"items": {"i": {"publisher_id": "p", "title": "T", "url": "secret:"}}}),
            "items.i.url: expected http:// or https://",
        ),
        (
            json!({"links": {"l": {"url": "http://a", "placement": long}}}),
            "links.l.placement: expected 1 to 2048 bytes",
        ),
        (json!({"links": {"l": {}}}), "links.l.url: expected text"),
    ] {
        let mut change = change;
        if change.get("shop_domain").is_none() {
            change["shop_domain"] = "d".into();
        }
        let refused = CatalogueChange::parse(&change.to_string()).unwrap_err();
        assert!(refused.starts_with(place) && !refused.contains("secret"), "{refused}");
    }
    for (text, place) in [
        (r#"{"links": {}}"#, "shop_domain: expected text"),
        ("[]", "expected an object"),
        ("{", "not JSON"),
        (r#"{"shop_domain": "\u0000"}"#, "shop_domain: text holds U+0000"),
    ] {
        assert_eq!(CatalogueChange::parse(text).unwrap_err(), place, "{text}");
    }
}
