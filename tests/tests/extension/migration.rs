//! A database of an earlier version is brought up to date and keeps its data.

use serde_json::{json, Value};
use weir_tests::postgres::connect;
use weir_tests::workspace_root;

use super::{delivery, ingest, install, order, shop, verdicts, SHOP};

const BOOKKEEPING: &str = include_str!("../../../sql/postgres/bookkeeping.sql");
const FIRST: &str = include_str!("../../../sql/postgres/migrations/001_commerce.sql");

#[tokio::test]
async fn a_database_of_the_first_migration_is_brought_up_to_date() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    admin
        .batch_execute("create database first template template0")
        .await
        .unwrap();
    let name: String = admin
        .query_one("select current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    let url = database.admin_url.replace(&format!("/{name}"), "/first");
    let old = connect(&url).await.unwrap();
    old.batch_execute(&format!("{BOOKKEEPING} {FIRST}")).await.unwrap();
    old.batch_execute(&format!(
        "insert into configuration.schema_migration (version, name) values (1, '001_commerce');
         insert into commerce.shop (shop_id, shop_domain, iana_time_zone, currency)
             values (1, '{SHOP}', 'Asia/Tokyo', 'USD');
         insert into commerce.product (shop_id, product_id, title, updated_at) values (1, 11, 'Lamp', now());
         insert into commerce.product_variant values (1, 11, 1, 'Small', null, 1250);
         insert into configuration.macrodata_artifact (artifact_id, revision, kind, shop_domain, body, valid_from)
             values ('default', 1, 'objective_specification', '{SHOP}', '{{\"objective_spec_id\": \"default\"}}', now())"
    ))
    .await
    .unwrap();
    let files = std::fs::read_dir(workspace_root().unwrap().join("sql/postgres/migrations")).unwrap();
    let after_the_first = files.count() - 1;
    let said = install().run(&url).await.unwrap();
    assert!(
        said.ends_with(&format!("migrations applied: {after_the_first}\n")),
        "{said}"
    );
    let count: i32 = old.query_one("select weir.migrate()", &[]).await.unwrap().get(0);
    assert_eq!(count, 0);
    let price = "select price_minor, price_text from commerce.product_variant";
    let row = old.query_one(price, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (Some(1250_i64), None::<String>));
    let changes = old
        .query_one("select weir.objective_changes(0)::text", &[])
        .await
        .unwrap();
    let changes: Value = serde_json::from_str(changes.get(0)).unwrap();
    assert_eq!(
        changes["changes"][0]["specification"],
        json!({"objective_spec_id": "default"})
    );
    let answer = ingest(&old, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    assert_eq!(verdicts(&answer), ["accepted"]);
    assert_eq!(answer["events"][0]["lines"][0]["product_title"], "Lamp");
}
