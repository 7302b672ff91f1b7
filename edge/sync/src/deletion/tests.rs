use super::*;

fn ids(pieces: &[&str], lines: u64) -> Result<Vec<i64>, StepError> {
    let mut ids = Ids::default();
    for piece in pieces {
        ids.feed(Resource::Order, piece.as_bytes())?;
    }
    ids.feed(Resource::Order, b"")?;
    ids.all(lines)
}

#[test]
fn ids_come_in_any_pieces_and_all_of_them_or_none() {
    let pieces = [
        "{\"id\":\"gid:\\/\\/shopify\\/Order\\/9007199254740993\"}\n{\"id\":\"gid://shop",
        "ify/Order/7\"}",
    ];
    assert_eq!(ids(&pieces, 2).unwrap(), [7, 9_007_199_254_740_993]);
    for (pieces, lines) in [
        (pieces, 3),
        (
            [
                "{\"id\":\"gid://shopify/Order/7\"}\n",
                "{\"id\":\"gid://shopify/Order/7\"}\n",
            ],
            2,
        ),
        (["{\"id\":\"gid://shopify/Product/7\"}\n", ""], 1),
        (["{\"id\":", ""], 1),
        (["{\"ids\":1}\n", ""], 1),
    ] {
        assert_eq!(ids(&pieces, lines).unwrap_err().kind, "unreadable_ids");
    }
}

#[test]
fn what_is_absent_is_believed_up_to_a_limit() {
    let mut comparison = Comparison::default();
    let page = |ids: &[&str]| Known {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        next: None,
    };
    comparison.add(&page(&["1", "2"]), &[2, 5]).unwrap();
    comparison.add(&page(&["4", "5"]), &[2, 5]).unwrap();
    assert_eq!((comparison.absent.as_slice(), comparison.known), ([1, 4].as_slice(), 4));
    assert!(comparison.clone().believed("s", Resource::Order, 2, 2).is_ok());
    let error = comparison.clone().believed("s", Resource::Order, 2, 1).unwrap_err();
    assert_eq!(error.kind, "too_many_deletions");
    assert!(
        error.detail.contains("2 of 4 known orders")
            && error.detail.contains("weir sync deletions --shop s --most 2 --again")
    );
    assert!(comparison.add(&page(&["x"]), &[]).is_err());
}

#[test]
fn only_what_could_have_been_read_can_be_missed() {
    let request = |resource, days| known_request(resource, ["2026-11-24T10:00:00Z"; 2], days, "7").unwrap();
    let all = request(Resource::Order, None);
    assert_eq!(all["created_from"], "1900-01-01T00:00:00.000Z");
    assert_eq!(all["created_before"], "2026-11-24T09:50:00.000Z");
    assert_eq!(all["after"], 7);
    let recent = request(Resource::Order, Some(60));
    assert_eq!(recent["created_from"], "2026-09-26T10:00:00.000Z");
    assert_eq!(
        request(Resource::Product, Some(60))["created_from"],
        all["created_from"]
    );
    // An operation waited an hour for its turn: what came into being meanwhile it does not have.
    for times in [
        ["2026-11-24T11:00:00Z", "2026-11-24T10:00:00Z"],
        ["2026-11-24T10:00:00Z", "2026-11-24T11:00:00Z"],
    ] {
        let waited = known_request(Resource::Order, times, None, "7").unwrap();
        assert_eq!(waited["created_before"], "2026-11-24T09:50:00.000Z");
    }
    assert!(known_request(Resource::Order, ["yesterday", "2026-11-24T10:00:00Z"], None, "0").is_err());
}

#[test]
fn an_id_counts_as_gone_when_its_own_lookup_finds_nothing() {
    assert_eq!(
        gone(&[1, 2], &json!([null, {"id": "gid://shopify/Order/2"}])).unwrap(),
        [1]
    );
    assert!(gone(&[1, 2], &json!([null])).is_err());
    assert!(gone(&[1], &Value::Null).is_err());
}

#[test]
fn an_event_of_destruction_is_the_webhook_that_did_not_come() {
    let node = |subject: &str, action: &str| {
        json!({"node": {"id": "gid://shopify/BasicEvent/1", "action": action, "createdAt": "2026-11-24T10:00:00Z",
            "subjectId": subject, "subjectType": "PRODUCT"}})
    };
    let edges = json!([
        node("gid://shopify/Product/9007199254740993", "destroy"),
        node("gid://shopify/Product/5", "create"),
        node("gid://shopify/Collection/6", "destroy"),
        {"node": {"id": "gid://shopify/CommentEvent/1"}},
    ]);
    let told = told(&edges);
    assert_eq!(told.len(), 1);
    let delivery = told[0].delivery("demo.myshopify.com", "bulk_sync", "2026-11-24T10:05:00.000Z");
    assert_eq!(
        (delivery.topic.as_str(), delivery.body.as_str()),
        ("products/delete", r#"{"id":9007199254740993}"#)
    );
    assert_eq!(delivery.triggered_at.as_deref(), Some("2026-11-24T10:00:00Z"));
    assert_eq!(
        delivery.webhook_id,
        told[0].delivery("demo.myshopify.com", "replay", "later").webhook_id
    );
}
