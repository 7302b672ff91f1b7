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
    let gone = CatalogueChange::parse(r#"{"shop_domain": "d", "publishers": {"p": null}}"#).unwrap();
    assert_eq!(gone.publishers["p"], None);
    for bad in [
        r#"{"shop_domain": "d", "items": {"a b": null}}"#,
        r#"{"links": {}}"#,
        "[]",
        "{",
    ] {
        assert!(CatalogueChange::parse(bad).is_err(), "{bad}");
    }
}
