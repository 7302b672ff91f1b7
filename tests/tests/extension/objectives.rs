//! Objective specifications: validation, revisions, the change log.

use serde_json::{json, Value};
use tokio_postgres::error::SqlState;
use tokio_postgres::Client;

use super::{shop, tool_path, SHOP};

#[tokio::test]
async fn objectives_are_validated_and_revised() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let publish = |specification: Value| {
        let admin = &admin;
        async move {
            let sql = "select weir.publish_objective($1::text::json)::text";
            let row = admin.query_one(sql, &[&specification.to_string()]).await?;
            Ok::<Value, tokio_postgres::Error>(serde_json::from_str(row.get(0)).unwrap())
        }
    };
    let good = json!({"shop_domain": SHOP, "measure": "net_units", "threshold_30d": 50});
    assert_eq!(publish(good.clone()).await.unwrap()["revision"], 1);
    let second = publish(good).await.unwrap();
    assert_eq!(
        (&second["revision"], &second["objective_spec_id"]),
        (&json!(2), &json!("default"))
    );
    for threshold in [json!(-1), json!("50"), json!(1.5)] {
        let bad = json!({"shop_domain": SHOP, "measure": "net_units", "threshold_30d": threshold});
        let error = publish(bad).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE));
    }
    let later = json!({"shop_domain": SHOP, "measure": "net_units", "valid_from": "2100-01-01T00:00:00Z"});
    publish(later).await.unwrap();
    let snapshot: String = edge
        .query_one("select weir.objective_snapshot()::text", &[])
        .await
        .unwrap()
        .get(0);
    let snapshot: Value = serde_json::from_str(&snapshot).unwrap();
    let revisions: Vec<_> = snapshot["specifications"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["revision"])
        .collect();
    // The first is history, the second in force, the third to come.
    assert_eq!(
        (&snapshot["sequence"], revisions),
        (&json!(3), vec![&json!(2), &json!(3)])
    );
    let rows: i64 = admin
        .query_one("select count(*) from configuration.macrodata_artifact", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(rows, 3);
}

async fn objective_changes(client: &Client, after: i64) -> Value {
    let sql = "select weir.objective_changes($1)::text";
    let row = client.query_one(sql, &[&after]).await.unwrap();
    serde_json::from_str(row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_of_changes_misses_none_of_eight_writers() {
    const WRITERS: i64 = 8;
    const EACH: i64 = 25;
    let (database, edge) = shop().await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let admin = database.admin().await.unwrap();
        writers.spawn(async move {
            for round in 0..EACH {
                let specification = json!({"objective_spec_id": format!("spec {}", (writer + round) % 3),
                    "shop_domain": SHOP, "measure": "net_units", "threshold_30d": writer * 1000 + round});
                // A transaction that is longer than its statement: without turns, a later number commits first.
                let sql = format!(
                    "begin; select weir.publish_objective('{specification}'::json); select pg_sleep({}); {}",
                    f64::from((writer % 4) as i32) / 1000.0,
                    if (writer + round) % 5 == 0 {
                        "rollback"
                    } else {
                        "commit"
                    },
                );
                admin.batch_execute(&sql).await.unwrap();
            }
        });
    }
    // The consumer reads while they write and only ever asks for what is after the newest number it has seen.
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let finished = writers.is_empty();
        let answer = objective_changes(&edge, after).await;
        assert_eq!(answer["more"], false);
        for change in answer["changes"].as_array().unwrap() {
            let sequence = change["sequence"].as_i64().unwrap();
            assert!(sequence > after);
            after = sequence;
            seen.push((
                change["objective_spec_id"].as_str().unwrap().to_owned(),
                change["revision"].as_i64().unwrap(),
            ));
        }
        assert_eq!(answer["sequence"], after);
        if finished {
            break;
        }
        while let Some(finished) = writers.try_join_next() {
            finished.expect("a writer failed");
        }
    }
    let admin = database.admin().await.unwrap();
    let sql = "select artifact_id, revision from configuration.macrodata_artifact order by 1, 2";
    let rows = admin.query(sql, &[]).await.unwrap();
    let stored: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert_eq!(stored.len() as i64, WRITERS * EACH * 4 / 5);
    seen.sort();
    assert_eq!(seen, stored);
    // Revisions of each are 1, 2, 3, ...
    for (index, (id, revision)) in stored.iter().enumerate() {
        let first = stored.iter().position(|(other, _)| other == id).unwrap();
        assert_eq!(*revision as usize, index - first + 1);
    }
}

/// Number of the newest change, and (specification, revision) of what governs.
async fn governing(client: &Client) -> (i64, Vec<(Value, Value)>) {
    let sql = "select weir.objective_snapshot()::text";
    let row = client.query_one(sql, &[]).await.unwrap();
    let snapshot: Value = serde_json::from_str(row.get(0)).unwrap();
    let specifications = snapshot["specifications"].as_array().unwrap().iter();
    let specifications = specifications.map(|one| (one["objective_spec_id"].clone(), one["revision"].clone()));
    (snapshot["sequence"].as_i64().unwrap(), specifications.collect())
}

#[tokio::test]
async fn shops_may_name_their_specifications_alike() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let other =
        r#"{"shop_id": 2, "shop_domain": "other.myshopify.com", "iana_time_zone": "Asia/Tokyo", "currency": "JPY"}"#;
    let register = "select weir.register_shop($1::text::json)::text";
    admin.query_one(register, &[&other]).await.unwrap();
    let insert = "insert into configuration.macrodata_artifact (artifact_id, body) values ('default', $1::text::json)";
    for shop in [SHOP, "other.myshopify.com"] {
        let body = json!({"shop_domain": shop, "measure": "net_units", "threshold_7d": 5});
        admin.execute(insert, &[&body.to_string()]).await.unwrap();
    }
    let (_, ids) = governing(&edge).await;
    assert_eq!(ids, [(json!("default"), json!(1)), (json!("default"), json!(2))]);
    // Whoever does as a warning says ends the one shop's alone.
    let new = json!({"shop_domain": SHOP, "objective_spec_id": "new", "threshold_30d": 5});
    let told = told_by_psql(&database.admin_url, &format!("select weir.publish_objective('{new}')"));
    let hint = told.split_once("is not meant: ").expect(&told).1;
    let told = told_by_psql(&database.admin_url, hint.split_once(".\n").expect(hint).0);
    assert_eq!(told.matches("is ended").count(), 1, "{told}");
    assert!(
        told.contains("revision 1 of specification \"default\" of demo.myshopify.com is ended"),
        "{told}"
    );
    let (_, ids) = governing(&edge).await;
    assert_eq!(ids, [(json!("default"), json!(2)), (json!("new"), json!(1))]);
}

#[tokio::test]
async fn an_objective_of_a_shop_that_is_none_is_refused() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    for statement in [
        "select weir.publish_objective($1::text::json)::text",
        "insert into configuration.macrodata_artifact (artifact_id, body) values ('default', $1::text::json)",
    ] {
        for stranger in ["demoo.myshopify.com".to_owned(), SHOP.to_uppercase()] {
            let body = json!({"shop_domain": stranger, "threshold_30d": 5}).to_string();
            let error = admin.execute(statement, &[&body]).await.expect_err(&stranger);
            let error = error.as_db_error().unwrap();
            assert_eq!(error.code(), &SqlState::INVALID_PARAMETER_VALUE);
            assert!(error.detail().unwrap().starts_with("shop_domain: "), "{error:?}");
        }
    }
}

#[tokio::test]
async fn deleting_an_objective_ends_its_validity_and_history_stays() {
    let (database, edge) = shop().await;
    let admin = database.admin().await.unwrap();
    // Written past the function: the same rules hold.
    let insert = "insert into configuration.macrodata_artifact (artifact_id, body) values ($1, $2::text::json)";
    let body = json!({"shop_domain": SHOP, "measure": "net_sales", "product_type": "Lamp", "threshold_7d": 5});
    for id in ["lamps", "lamps", "other"] {
        assert_eq!(admin.execute(insert, &[&id, &body.to_string()]).await.unwrap(), 1);
    }
    for bad in [
        json!({"measure": "net_sales"}),
        json!([]),
        json!({"shop_domain": SHOP, "measure": "x"}),
    ] {
        let error = admin.execute(insert, &[&"bad", &bad.to_string()]).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::INVALID_PARAMETER_VALUE), "{bad}");
    }
    let row = admin
        .query_one(
            "select revision, shop_domain, product_type, valid_from <= now(), body ->> 'revision'
            from configuration.macrodata_artifact where artifact_id = 'lamps' order by revision desc limit 1",
            &[],
        )
        .await
        .unwrap();
    let found: (i64, &str, &str, bool, &str) = (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
    assert_eq!(found, (2, SHOP, "Lamp", true, "2"));
    for forbidden in [
        "update configuration.macrodata_artifact set body = '{}'",
        "update configuration.objective_change set revision = 1",
        "delete from configuration.objective_change",
        "truncate configuration.macrodata_artifact",
    ] {
        let error = admin.batch_execute(forbidden).await.expect_err(forbidden);
        assert_eq!(
            error.code(),
            Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE),
            "{forbidden}"
        );
    }
    let (other, lamps) = ((json!("other"), json!(1)), json!("lamps"));
    let (sequence, ids) = governing(&edge).await;
    assert_eq!(ids, [(lamps.clone(), json!(2)), other.clone()]);
    let delete = "delete from configuration.macrodata_artifact where artifact_id = 'lamps' and revision > $1";
    for _ in 0..2 {
        // The second time there is nothing left to end.
        admin.execute(delete, &[&1_i64]).await.unwrap();
        assert_eq!(
            governing(&edge).await,
            (sequence + 1, vec![(lamps.clone(), json!(1)), other.clone()])
        );
    }
    admin.execute(delete, &[&0_i64]).await.unwrap();
    assert_eq!(governing(&edge).await, (sequence + 2, vec![other.clone()]));
    // The lake is told which have ended, or it would go on with them.
    let row = edge
        .query_one("select weir.objective_snapshot()::text", &[])
        .await
        .unwrap();
    let snapshot: Value = serde_json::from_str(row.get(0)).unwrap();
    let ended = snapshot["ended"].as_array().unwrap().iter();
    let ended: Vec<_> = ended
        .map(|told| weir_domain::objective::ObjectiveSpecification::told(told).unwrap())
        .map(|told| (told.objective_spec_id, told.revision, told.ended_at.is_some()))
        .collect();
    assert_eq!(ended, [("lamps".to_owned(), 1, true), ("lamps".to_owned(), 2, true)]);
    let answer = objective_changes(&edge, sequence).await;
    let changes = answer["changes"].as_array().unwrap();
    let told: Vec<_> = changes
        .iter()
        .map(|change| {
            (
                &change["operation"],
                &change["revision"],
                &change["specification"]["threshold_7d"],
            )
        })
        .collect();
    let ended = json!("ended");
    assert_eq!(told, [(&ended, &json!(2), &json!(5)), (&ended, &json!(1), &json!(5))]);
    // Publishing again goes on counting.
    admin.execute(insert, &[&"lamps", &body.to_string()]).await.unwrap();
    assert_eq!(governing(&edge).await, (sequence + 3, vec![(lamps, json!(3)), other]));
}

/// What whoever writes by hand is told beside the answer.
fn told_by_psql(url: &str, statement: &str) -> String {
    let output = std::process::Command::new(tool_path("psql"))
        .args([url, "--no-psqlrc", "--command", statement])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    told
}

#[tokio::test]
async fn what_is_seldom_meant_of_an_objective_is_warned_of() {
    let (database, _edge) = shop().await;
    let publish = |fields: Value| {
        let mut specification = json!({"shop_domain": SHOP, "threshold_30d": 5});
        specification
            .as_object_mut()
            .unwrap()
            .extend(fields.as_object().unwrap().clone());
        told_by_psql(
            &database.admin_url,
            &format!("select weir.publish_objective('{specification}')"),
        )
    };
    let old = json!({"objective_spec_id": "b14", "threshold_7d": 1, "threshold_14d": 1, "valid_from": "2026-01-01T00:00:00Z"});
    assert_eq!(publish(old.clone()), "");
    assert_eq!(publish(old), "", "a revision of its own");
    let half = json!({"objective_spec_id": "lamps", "product_type": "Lamp", "threshold_7d": 1});
    let told = publish(half);
    assert!(told.contains("\"lamps\" has no rule for top_riser"), "{told}");
    assert!(!told.contains("takes the place"), "{told}");
    let told = publish(json!({"objective_spec_id": "new", "valid_from": "2026-02-01T00:00:00Z"}));
    assert!(
        told.contains("specification \"new\" takes the place of \"b14\""),
        "{told}"
    );
    assert!(told.contains("all products of demo.myshopify.com"), "{told}");
    assert!(
        told.contains("where artifact_id = 'b14' and shop_domain = 'demo.myshopify.com'"),
        "{told}"
    );
    // One that another goes before, and the greater id where both begin at once.
    let told = publish(json!({"objective_spec_id": "late", "valid_from": "2025-01-01T00:00:00Z"}));
    assert!(
        told.contains("specification \"new\" takes the place of \"late\""),
        "{told}"
    );
    let told = publish(json!({"objective_spec_id": "a", "valid_from": "2026-02-01T00:00:00Z"}));
    assert!(
        told.contains("specification \"new\" takes the place of \"a\""),
        "{told}"
    );
    let delete = |id: &str| {
        let statement = format!("delete from configuration.macrodata_artifact where artifact_id = '{id}'");
        told_by_psql(&database.admin_url, &statement)
    };
    let told = delete("b14");
    assert!(
        told.contains("revision 1 of specification \"b14\" of demo.myshopify.com is ended"),
        "{told}"
    );
    assert!(
        told.contains("revision 2 of specification \"b14\" of demo.myshopify.com is ended"),
        "{told}"
    );
    for nothing_left in ["b14", "b15"] {
        assert_eq!(delete(nothing_left), "");
    }
    delete("new");
    // What has ended holds no more.
    let told = publish(json!({"objective_spec_id": "b14", "valid_from": "2026-01-02T00:00:00Z"}));
    assert!(
        told.contains("specification \"a\" takes the place of \"b14\""),
        "{told}"
    );
}
