//! Through a running server: ingest, refresh, read, with the lake in between.

use serde_json::{json, Value};

use weir_analytics::lake::maintain::Upkeep;
use weir_analytics::measurement::reads::{
    facts_at_most, performance_told_at_most, sales_at_most, PerformanceFilter, SalesFilter,
};
use weir_analytics::measurement::tables;
use weir_analytics::Error;

use crate::command::{printed, weir};
use crate::harness::{demo_events, demo_order, sale, Served, NOON};
use crate::world::{objective, order, SHOP};

fn labels(answer: &Value) -> Vec<(&str, &str)> {
    let rows = answer["performance"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            (
                row["product_id"].as_str().unwrap(),
                row["nominal_classification"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_refresh_writes_once_and_says_why() {
    let served = Served::start().await;
    served
        .post(
            "/v1/objective",
            &objective(json!({ "threshold_30d": 19, "banana_count": 2 })),
        )
        .await;
    served.ingest(&demo_events()).await;
    let first = served.refresh(NOON).await;
    assert_eq!(
        first["committed_tables"],
        json!(["measurement.sales", "measurement.performance"])
    );
    // Sales: 1 on two days, 3 on one. Performance: products 1, 2, 3.
    assert_eq!(
        (&first["sales_rows"], &first["performance_rows"]),
        (&json!(3), &json!(3))
    );
    let (sales, performance) = (served.get("/v1/sales").await, served.get("/v1/performance").await);
    // 20 - 1 = 19 >= 19; 3 has the second place of two; 2 is inactive.
    assert_eq!(
        labels(&performance),
        [("1", "winner"), ("3", "banana"), ("2", "archive_candidate")]
    );
    assert_eq!(
        performance["performance"][0]["reason"],
        "19 units in the last 30 days (19 units needed)"
    );
    assert_eq!(performance["performance"][2]["reason"], "the product is not active");
    assert_eq!(
        performance["performance"][0]["matched_rules"],
        json!(["winner", "banana"])
    );

    let snapshots = served.snapshots().await;
    let second = served.refresh("2026-03-31T09:00:00Z").await;
    assert_eq!(second["refresh_id"], first["refresh_id"]);
    assert_eq!(second["committed_tables"], json!([]));
    assert_eq!(served.snapshots().await, snapshots);
    assert_eq!(served.get("/v1/sales").await, sales);
    assert_eq!(served.get("/v1/performance").await, performance);

    let explained = served.get("/v1/explain?product=3").await;
    let winner = &explained["rules"][1];
    assert_eq!((&winner["rule"], &winner["held"]), (&json!("winner"), &json!(false)));
    // 19 - 2 more units make it a winner.
    assert_eq!(winner["conditions"][0]["margin_to_flip"], 17);
    // Every step of every run tells of itself, also of the run that changed nothing.
    let flushed = served.post("/v1/flush", &json!({})).await;
    assert_eq!(flushed["committed"]["sync_v1"], 2 * 4, "{flushed}");
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn late_events_change_their_day_and_days_that_are_over_keep_what_was_said() {
    let served = Served::start().await;
    served
        .post("/v1/objective", &objective(json!({ "threshold_30d": 19 })))
        .await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    let next_day = served.refresh("2026-04-01T00:00:00Z").await;
    assert_eq!(next_day["ended_on"], json!(["2026-03-31"]));
    // A second revision of order b returns a second unit: 20 - 2 = 18 < 19.
    served
        .ingest(&[demo_order("b", 2, &[("1", "2026-03-25", "return", 0, 2, 0, 200)])])
        .await;
    let next_day = served.refresh("2026-04-01T03:00:00Z").await;
    assert_eq!(next_day["computed_on"], json!(["2026-04-01"]));
    assert_eq!(labels(&served.get("/v1/performance").await)[0], ("1", "none"));
    assert_eq!(
        labels(&served.get("/v1/performance?day=2026-03-31").await)[0],
        ("1", "winner")
    );
    // Written in another way that is a day all the same.
    assert_eq!(
        served.text("/v1/sales?from=20260325&to=20260325").await,
        served.text("/v1/sales?from=2026-03-25&to=2026-03-25").await
    );
    for path in [
        "/v1/performance?day=20260331",
        "/v1/explain?product=1&day=20260331",
        "/v1/history?product=1&from=20260331",
    ] {
        assert_eq!(served.status(path).await, 200, "{path}");
    }
    for path in ["/v1/sales?from=-002026-03-25", "/v1/sales?from=0000-03-25"] {
        assert_eq!(served.status(path).await, 422, "{path}");
    }
    let sales = served.get("/v1/sales?product=1&from=2026-03-25&to=2026-03-25").await;
    assert_eq!(sales["sales"][0]["units_returned"], 2);
    assert_eq!(sales["sales"].as_array().unwrap().len(), 1);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn what_no_refresh_has_seen_is_not_answered_as_if_nothing_were_sold() {
    let served = Served::start().await;
    let of_shop = |path: &str| format!("{path}?shop={SHOP}");
    // No refresh yet: a shop is as unknown as any.
    for path in [of_shop("/v1/sales"), of_shop("/v1/performance")] {
        assert_eq!(served.status(&path).await, 404, "{path}");
    }
    assert_eq!(served.get("/v1/sales").await, json!({ "sales": [] }));
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    for path in [
        "/v1/sales?shop=nope.myshopify.com",
        "/v1/sales?shop=nope.myshopify.com&product=1",
        "/v1/sales?product=one",
        "/v1/sales?shop=nope.myshopify.com&product=unknown",
        &format!("/v1/sales?shop={}", SHOP.to_uppercase()),
        "/v1/performance?shop=nope.myshopify.com",
        "/v1/performance?day=2020-01-01",
    ] {
        assert_eq!(served.status(path).await, 404, "{path}");
    }
    for path in [
        "/v1/sales?from=2026-11-30&to=2026-11-01",
        "/v1/history?product=1&from=2026-11-30&to=2026-11-01",
    ] {
        assert_eq!(served.status(path).await, 422, "{path}");
    }
    // Nothing was sold on that day; nothing was ever sold of product 2, nor under no product.
    for path in [
        of_shop("/v1/sales") + "&from=2026-03-22&to=2026-03-22",
        "/v1/sales?product=2".into(),
        "/v1/sales?product=unknown".into(),
        of_shop("/v1/sales") + "&product=unknown",
    ] {
        assert_eq!(served.get(&path).await, json!({ "sales": [] }), "{path}");
    }
    for path in ["/v1/sales", "/v1/explain", "/v1/history"] {
        let of = async |product: &str| served.text(&format!("{path}?product={product}")).await;
        let answer = of("gid://shopify/Product/1").await;
        assert_eq!(answer, of("1").await, "{path}");
        assert!(!answer.contains("gid:"), "{path}: {answer}");
    }
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_shop_that_sold_nothing_but_what_is_no_product_is_known_and_has_no_performance() {
    let served = Served::start().await;
    let tip = order(
        "tips.myshopify.com",
        "Asia/Tokyo",
        "t",
        1,
        "2026-03-20T00:00:00.000Z",
        &[sale("unknown", "2026-03-20", 1)],
    );
    served.ingest(&demo_events()).await;
    served.ingest(&[tip]).await;
    served.refresh(NOON).await;
    let path = "/v1/performance?shop=tips.myshopify.com";
    assert_eq!(served.get(path).await, json!({ "performance": [] }));
    assert_eq!(served.status(&format!("{path}&day=2026-03-31")).await, 404);
    let output = weir(
        Some(served.server.url()),
        &["performance", "--shop", "tips.myshopify.com"],
    )
    .await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && said.contains("no product of tips.myshopify.com is known yet"),
        "{said}"
    );
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn shops_in_other_time_zones_keep_their_rows_of_a_shared_day() {
    let served = Served::start().await;
    let abroad = "la.myshopify.com";
    let theirs = order(
        abroad,
        "America/Los_Angeles",
        "z",
        1,
        "2026-03-20T00:00:00.000Z",
        &[sale("9", "2026-03-20", 1)],
    );
    served.ingest(&demo_events()).await;
    served.ingest(&[theirs]).await;
    // Both on 03-31; then Tokyo on 04-01 and Los Angeles still on 03-31.
    served.refresh("2026-03-31T12:00:00Z").await;
    served.refresh("2026-03-31T20:00:00Z").await;
    let day = served.get("/v1/performance?day=2026-03-31").await;
    assert_eq!(labels(&day).len(), 4, "{day}");
    let newest = served.get(&format!("/v1/performance?shop={SHOP}")).await;
    assert_eq!(newest["performance"][0]["computed_on"], "2026-04-01");
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn the_newest_day_is_that_of_the_last_refresh_also_where_a_later_one_was_computed() {
    let served = Served::start().await;
    let abroad = "la.myshopify.com";
    let theirs = order(
        abroad,
        "America/Los_Angeles",
        "z",
        1,
        "2026-03-20T00:00:00.000Z",
        &[sale("9", "2026-03-20", 1)],
    );
    let spec = objective(json!({ "threshold_30d": 19 }));
    served.post("/v1/objective", &spec).await;
    served.ingest(&demo_events()).await;
    served.ingest(&[theirs]).await;
    // By mistake, or because the shop has moved to the west since. Nothing is left of the sales there.
    served.refresh("2027-03-31T03:00:00Z").await;
    let as_of = jiff::Timestamp::now();
    let explain = format!("/v1/explain?product=1&shop={SHOP}");
    let said = served.text(&explain).await;
    served.refresh(NOON).await;

    let newest = served.get("/v1/performance").await;
    let days: Vec<_> = newest["performance"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["shop_domain"].as_str().unwrap(),
                row["computed_on"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        days,
        [
            (SHOP, "2026-03-31"),
            (SHOP, "2026-03-31"),
            (SHOP, "2026-03-31"),
            (abroad, "2026-03-30")
        ]
    );
    let explained = served.get(&explain).await;
    assert_eq!(
        (&explained["computed_on"], &explained["nominal_classification"]),
        (&json!("2026-03-31"), &json!("winner"))
    );
    for measure in ["net_units", "net_sales"] {
        let answer = served
            .get(&format!("/v1/what-if?threshold_30d=20&measure={measure}&shop={SHOP}"))
            .await;
        // Not one unit in the last 30 days of 2027; by net sales, 100 a unit, product 3 wins too.
        let changes = answer["changes"].as_array().unwrap();
        let expected = if measure == "net_units" {
            ("1", "none")
        } else {
            ("3", "winner")
        };
        assert_eq!(changes.len(), 1, "{answer}");
        assert_eq!(changes[0]["product_id"], expected.0);
        assert_eq!(
            (&changes[0]["after"], &changes[0]["computed_on"]),
            (&json!(expected.1), &json!("2026-03-31"))
        );
    }
    // What was said in between, and what was said of the later day.
    assert_eq!(served.text(&format!("{explain}&as_of={as_of}")).await, said);
    assert_eq!(served.text(&format!("{explain}&day=2027-03-31")).await, said);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_its_name() {
    let served = Served::start().await;
    let (status, body) = served
        .try_post("/v1/objective", &objective(json!({ "threshold_30d": -1 })))
        .await;
    assert_eq!(status, 422);
    assert!(
        body["error"]["message"].as_str().unwrap().starts_with("threshold_30d"),
        "{body}"
    );
    let spec = objective(json!({ "threshold_30d": 1 }));
    served.post("/v1/objective", &spec).await;
    served.post("/v1/objective", &spec).await;
    let (status, body) = served
        .try_post("/v1/objective", &objective(json!({ "threshold_30d": 2 })))
        .await;
    assert_eq!(status, 422, "{body}");
    let (status, _) = served.try_post("/v1/refresh", &json!({ "now": "noon" })).await;
    assert_eq!(status, 422);
    // An empty lake is no error: there is nothing to say yet.
    let nothing = served.refresh(NOON).await;
    assert_eq!(
        (&nothing["sales_rows"], &nothing["committed_tables"]),
        (&json!(0), &json!([]))
    );
    assert_eq!(served.get("/v1/performance").await, json!({ "performance": [] }));
    let anonymous = served.client.get(served.address("/v1/sales")).send().await.unwrap();
    assert_eq!(anonymous.status(), 401);
    let unknown = served
        .answer(served.client.get(served.address("/v1/explain?product=7")))
        .await;
    assert_eq!(unknown.0, 404);
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn a_question_that_cannot_be_read_is_refused_in_json_and_only_to_who_may_ask() {
    let served = Served::start().await;
    let client = &served.client;
    for (status, path) in [
        (400, "/v1/explain"),
        (400, "/v1/sales?shop_domain=demo.myshopify.com"),
        (400, "/v1/performance?shops=demo.myshopify.com"),
        (400, "/v1/history?product=1&since=2026-03-01"),
        (404, "/v1/lake/snapshots?table=commerce.nothing"),
    ] {
        assert_eq!(
            client.get(served.address(path)).send().await.unwrap().status(),
            401,
            "{path}"
        );
        let (answered, body) = served.answer(client.get(served.address(path))).await;
        assert_eq!(answered, status, "{path}: {body}");
        assert_eq!(body["error"]["status"], status, "{path}");
        assert!(body["error"]["message"].as_str().unwrap().len() > 10, "{path}: {body}");
    }
    // What would be expired for good is not guessed.
    let (status, body) = served.try_post("/v1/maintain", &json!({ "keep_hour": 720 })).await;
    assert_eq!(status, 422, "{body}");
    // The figures of many orders are one question.
    let orders: Vec<_> = (0..25_000)
        .map(|number| {
            json!({
                "day": "2026-03-20", "order_id": number.to_string(), "rows": 1, "net_sales": 100,
                "digest": "0123456789abcdef0123456789abcdef"
            })
        })
        .collect();
    let told = json!({ "shop_domain": SHOP, "from": "2026-03-01", "to": "2026-03-31", "days": [], "orders": orders });
    assert!(told.to_string().len() > 2 << 20);
    let (status, body) = served.try_post("/v1/reconcile", &told).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn what_one_shop_tells_wrongly_holds_up_no_other() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    let mut lost = order(
        "lost.myshopify.com",
        "Mars/Phobos",
        "m",
        1,
        "2026-03-30T00:00:00.000Z",
        &[sale("9", "2026-03-30", 1)],
    );
    lost["received_at"] = "2999-01-01T00:00:00.000Z".into();
    let mut moved = demo_order("c", 1, &[sale("1", "2026-03-22", 5)]);
    moved["shop_time_zone"] = "Mars/Phobos".into();
    moved["received_at"] = "2026-03-30T00:00:00.000Z".into();
    served.ingest(&[lost, moved]).await;
    let outcome = served.refresh(NOON).await;
    assert_eq!(outcome["mode"], "incremental", "{outcome}");
    let warnings: Vec<&str> = outcome["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for (warning, shop) in warnings.iter().zip([SHOP, "lost.myshopify.com"]) {
        assert!(
            warning.starts_with(shop) && warning.contains("Mars/Phobos"),
            "{warning}"
        );
    }
    let sales = served.get("/v1/sales?from=2026-03-22").await["sales"].clone();
    let days: Vec<_> = sales
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["shop_domain"], &row["day"]))
        .collect();
    assert!(days.contains(&(&json!(SHOP), &json!("2026-03-22"))), "{days:?}");
    assert!(
        days.contains(&(&json!("lost.myshopify.com"), &json!("2026-03-30"))),
        "{days:?}"
    );
}

#[tokio::test]
async fn a_specification_is_published_again_and_ended_once() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    let first = objective(json!({ "threshold_30d": 20, "valid_from": "2026-01-01T00:00:00.123456+00:00" }));
    served.post("/v1/objective", &first).await;
    // The lake keeps milliseconds.
    served.post("/v1/objective", &first).await;
    let second = objective(json!({ "revision": 2, "threshold_30d": 21 }));
    served.post("/v1/objective", &second).await;
    served.refresh(NOON).await;
    let governing =
        || async { served.get("/v1/performance").await["performance"][0]["objective_spec_revision"].clone() };
    assert_eq!(governing().await, 2);
    let mut ended = second.clone();
    ended["ended_at"] = "2026-03-30T00:00:00.000Z".into();
    served.post("/v1/objective", &ended).await;
    let held = served.post("/v1/objective", &second).await;
    assert_eq!(held["objectives"][1]["ended_at"], "2026-03-30T00:00:00.000Z", "{held}");
    served.refresh(NOON).await;
    assert_eq!(governing().await, 1);
}

#[tokio::test]
async fn a_specification_that_is_refused_holds_up_no_other() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served
        .post("/v1/objective", &objective(json!({ "threshold_30d": 19 })))
        .await;
    let other = "other.myshopify.com";
    let theirs = |own: Value| {
        let mut theirs = objective(own);
        theirs["shop_domain"] = other.into();
        theirs
    };
    // PostgreSQL was restored, and has given revision 1 of the first shop again. One of the second is no specification.
    let mut conflicting = objective(json!({ "threshold_30d": 20 }));
    let list = json!([
        conflicting,
        theirs(json!({ "revision": 2, "threshold_30d": -1 })),
        theirs(json!({ "threshold_30d": 5 }))
    ]);
    let (status, refused) = served.try_post("/v1/objective", &list).await;
    assert_eq!(status, 422, "{refused}");
    let message = refused["error"]["message"].as_str().unwrap();
    for part in [
        format!("revision: 1 of \"default\" for {SHOP} is already published"),
        format!("threshold_30d: must be a whole number of at least 0, not -1 (of \"default\" for \"{other}\")"),
    ] {
        assert!(message.contains(&part), "{message}");
    }
    let thresholds = |held: &Value| -> Vec<(Value, Value)> {
        let held = held["objectives"].as_array().unwrap().iter();
        held.map(|spec| (spec["shop_domain"].clone(), spec["threshold_30d"].clone()))
            .collect()
    };
    let held = served.get("/v1/objective").await;
    assert_eq!(thresholds(&held), [(json!(SHOP), json!(19)), (json!(other), json!(5))]);
    served.refresh(NOON).await;
    assert_eq!(labels(&served.get("/v1/performance").await)[0], ("1", "winner"));

    // Ended in PostgreSQL, it is told for ever; here too it governs no more, and what was said by it stays as it was published.
    conflicting["ended_at"] = "2026-03-30T00:00:00.000Z".into();
    let list = json!([conflicting, theirs(json!({ "revision": 2, "threshold_30d": 6 }))]);
    for _ in 0..2 {
        let held = served.post("/v1/objective", &list).await;
        assert_eq!(
            thresholds(&held),
            [
                (json!(SHOP), json!(19)),
                (json!(other), json!(5)),
                (json!(other), json!(6))
            ]
        );
        assert_eq!(held["objectives"][0]["ended_at"], "2026-03-30T00:00:00.000Z");
    }
    served.refresh(NOON).await;
    assert_eq!(labels(&served.get("/v1/performance").await)[0], ("1", "none"));
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn what_was_said_outlives_the_rest_of_the_past() {
    let served = Served::start().await;
    for units in [20, 21, 22] {
        let revision = units - 19;
        served
            .ingest(&[demo_order("a", revision, &[sale("1", "2026-03-20", units)])])
            .await;
        served.refresh(NOON).await;
    }
    let kept = || async {
        let lake = &served.server.app().lake;
        let mut counts = Vec::new();
        for table in [tables::sales(), tables::performance()] {
            counts.push(lake.load(&table).await.unwrap().metadata().snapshots().count());
        }
        counts
    };
    let upkeep = Upkeep {
        keep_for: std::time::Duration::ZERO,
        keep_last: 1,
        ..Upkeep::default()
    };
    served.server.app().keep_in_shape(upkeep).await.unwrap();
    assert_eq!(kept().await, [1, 3]);
    served.server.app().maintain(upkeep).await.unwrap();
    assert_eq!(kept().await, [1, 1]);
}

#[tokio::test]
async fn more_sales_than_an_answer_holds_are_refused_and_not_cut_off() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    let lake = &served.server.app().lake;
    let all = || SalesFilter::default();
    let rows = sales_at_most(lake, all(), 3).await.unwrap();
    assert_eq!(rows.len(), 3);
    let error = sales_at_most(lake, all(), 2).await.unwrap_err();
    assert!(
        matches!(&error, Error::Invalid(text) if text.contains("more than 2 rows")),
        "{error}"
    );
    let one_day = SalesFilter {
        to: Some("2026-03-20".to_owned()),
        ..all()
    };
    assert_eq!(sales_at_most(lake, one_day, 2).await.unwrap().len(), 1);
}

#[tokio::test]
async fn more_products_than_an_answer_holds_are_refused_and_told_page_by_page() {
    let served = Served::start().await;
    let thresholds = objective(json!({ "threshold_30d": 30, "banana_count": 1 }));
    served.post("/v1/objective", &thresholds).await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    let lake = &served.server.app().lake;
    let told = |limit: Option<usize>, most: usize| {
        let filter = PerformanceFilter {
            limit,
            ..PerformanceFilter::default()
        };
        performance_told_at_most(lake, filter, most)
    };
    assert_eq!(told(None, 3).await.unwrap().len(), 3);
    assert_eq!(told(Some(2), 2).await.unwrap().len(), 2);
    for (limit, said) in [(None, "more than 2 products"), (Some(3), "limit: 2 at most")] {
        let error = told(limit, 2).await.unwrap_err();
        assert!(matches!(&error, Error::Invalid(text) if text.contains(said)), "{error}");
    }
    // Of whom the page does not tell competes all the same: the reasons are those of all.
    let all = served.get("/v1/performance").await["performance"].clone();
    let mut pages = Vec::new();
    for offset in 0..4 {
        let page = served.get(&format!("/v1/performance?limit=1&offset={offset}")).await;
        pages.extend(page["performance"].as_array().unwrap().clone());
    }
    assert_eq!(json!(pages), all);
    assert!(
        all[1]["reason"]
            .as_str()
            .unwrap()
            .contains("place 2 by the last 30 days"),
        "{all}"
    );
    let table = printed(served.server.url(), &["performance", "--limit", "1", "--offset", "1"]).await;
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("place 2 by the last 30 days"), "{table}");
    assert_eq!(served.status("/v1/performance?limit=10001").await, 422);
    assert_eq!(served.status("/v1/performance?limit=-1").await, 400);
    // What-if looks at as many as it can hold.
    assert_eq!(facts_at_most(lake, None, None, 3).await.unwrap().len(), 3);
    let error = facts_at_most(lake, None, None, 2).await.unwrap_err();
    assert!(
        matches!(&error, Error::Invalid(text) if text.contains("more than 2 products")),
        "{error}"
    );
    served.server.stop().await.unwrap();
}

#[tokio::test]
async fn pages_of_one_moment_are_of_one_state_whatever_is_refreshed_between_them() {
    let served = Served::start().await;
    served.ingest(&demo_events()).await;
    served.refresh(NOON).await;
    let all = served.get("/v1/performance").await["performance"].clone();
    let as_of = jiff::Timestamp::now();
    let page = |offset: usize, as_of: String| {
        let path = format!("/v1/performance?limit=1&offset={offset}{as_of}");
        let served = &served;
        async move { served.get(&path).await["performance"][0].clone() }
    };
    let then = || format!("&as_of={as_of}");
    let mut pages = vec![page(0, then()).await];
    // Product 3, which was second, comes before product 1; the next page would tell of 1 once more.
    served
        .ingest(&[demo_order("c", 1, &[sale("3", "2026-03-22", 40)])])
        .await;
    served.refresh(NOON).await;
    assert_eq!(page(1, String::new()).await["product_id"], "1");
    for offset in 1..3 {
        pages.push(page(offset, then()).await);
    }
    assert_eq!(json!(pages), all);
    let at = as_of.to_string();
    let arguments = ["performance", "--limit", "1", "--offset", "1", "--as-of", &at, "--json"];
    let told: Value = serde_json::from_str(&printed(served.server.url(), &arguments).await).unwrap();
    assert_eq!(told["performance"][0], all[1]);
    assert_eq!(served.status("/v1/performance?as_of=noon").await, 422);
    assert_eq!(served.status("/v1/performance?as_of=2020-01-01T00:00:00Z").await, 404);
    served.server.stop().await.unwrap();
}
