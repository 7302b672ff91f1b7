//! Versions of the extension: every released one can be updated, and what was released stays as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::Client;
use weir_tests::postgres::connect;

use super::{delivery, ingest, order, refund, shop, verdicts, SHOP};

/// Every object of the extension, functions with their definition and rights.
const MEMBERS: &str = "
    select pg_describe_object(member.classid, member.objid, 0) || coalesce(
        E'\\n' || pg_get_functiondef(proc.oid) || coalesce('rights ' || proc.proacl::text, 'everyone executes'), '')
    from pg_depend as member
    left join pg_proc as proc on member.classid = 'pg_proc'::regclass and proc.oid = member.objid
    where member.refclassid = 'pg_extension'::regclass and member.deptype = 'e'
        and member.refobjid = (select oid from pg_extension where extname = 'weir')";

fn postgres_sql() -> PathBuf {
    weir_tests::workspace_root().unwrap().join("sql/postgres")
}

/// Names of the scripts `weir--A.sql` (install) and `weir--A--B.sql` (update) as [A] and [A, B].
fn scripts() -> BTreeMap<String, Vec<String>> {
    let of = |folder: &str| std::fs::read_dir(postgres_sql().join(folder)).unwrap();
    let files = of("released").chain(of("upgrade"));
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let versions = |name: &str| {
        let versions = name.strip_prefix("weir--")?.strip_suffix(".sql")?;
        Some(versions.split("--").map(str::to_owned).collect())
    };
    names
        .filter_map(|name| versions(&name).map(|all| (name, all)))
        .collect()
}

async fn members(client: &Client) -> BTreeSet<String> {
    let rows = client.query(MEMBERS, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_released_version_that_is_updated_equals_a_fresh_install() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let fresh = members(&admin).await;
    let current: String = admin.query_one("select weir.version()", &[]).await.unwrap().get(0);
    let name: String = admin
        .query_one("select current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    let released: Vec<String> = scripts()
        .into_values()
        .filter(|versions| versions.len() == 1)
        .flatten()
        .collect();
    assert!(released.contains(&"0.1.0".to_owned()), "{released:?}");
    for (index, version) in released.iter().enumerate() {
        let old = format!("old_{index}");
        admin
            .batch_execute(&format!("create database {old} template template0"))
            .await
            .unwrap();
        let url = database.admin_url.replace(&format!("/{name}"), &format!("/{old}"));
        let client = connect(&url).await.unwrap();
        let install = format!("create extension weir version '{version}'");
        client.batch_execute(&install).await.unwrap();
        if *version != current {
            let error = client.batch_execute("select weir.migrate()").await.unwrap_err();
            let error = error.as_db_error().unwrap();
            assert_eq!(error.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
            assert!(error.hint().unwrap().contains("alter extension weir update"));
            // By this the Workers know that the message is weir's own and may be logged (edge/shared/src/discreet.rs).
            assert_eq!(error.routine(), Some("weir"));
        }
        client
            .batch_execute("alter extension weir update")
            .await
            .unwrap_or_else(|error| {
                panic!("no update leads from {version} to {current}; write sql/postgres/upgrade/weir--{version}--{current}.sql: {error:?}")
            });
        client.batch_execute("select weir.migrate()").await.unwrap();
        let updated = members(&client).await;
        let (lacking, differing) = (&fresh - &updated, &updated - &fresh);
        assert!(
            lacking.is_empty() && differing.is_empty(),
            "weir {version}, updated, is not weir {current}. Say in sql/postgres/upgrade/weir--*--{current}.sql what {current} \
             adds or changes (the text that cargo pgrx generates for it is in weir--{current}.sql where PostgreSQL keeps \
             its extensions).\nOnly in a fresh install: {lacking:#?}\nOnly after the update: {differing:#?}"
        );
        let extension = "select extversion from pg_extension where extname = 'weir'";
        let extension: String = client.query_one(extension, &[]).await.unwrap().get(0);
        assert_eq!(extension, current);
    }
}

/// What a database of 0.1.0 holds, by its own tables.
const OF_0_1_0: &str = r#"
    insert into commerce.shop (shop_id, shop_domain, iana_time_zone, currency)
        values (1, 'demo.myshopify.com', 'Asia/Tokyo', 'USD');
    insert into commerce.order_header (shop_id, order_id, processed_at, updated_at, triggered_at, is_test, taxes_included,
            currency, presentment_currency, customer_id, revision, raw)
        values (1, 7, '2026-11-01T16:30Z', '2026-11-01T16:30:01Z', '2026-11-01T16:30:01Z', false, false, 'USD', 'USD', 77,
            1793550601000001, '{"id": 7}');
    insert into commerce.order_line_item values (1, 7, 1, 11, null, null, null, false, 2, 2, 1000, 1000, 0, 0, 0, 0, 0);
    insert into commerce.sales_ledger values (1, 7, '11', '2026-11-02', 'sale', 2, 0, 2000, 0, 0, 2000, 2000, 0, 0, 2000);
    insert into commerce.product (shop_id, product_id, title, updated_at) values (1, 11, 'Lamp', '2026-11-01');
    insert into commerce.product_variant values (1, 11, 1, 'Small', null, 1250);
    insert into commerce.order_header (shop_id, order_id) values (1, 9);
    insert into commerce.tombstone values (1, 'order', 9, '2026-11-01');
    insert into commerce.webhook_delivery values (1, 'orders/create', 'a', '2026-11-01', '[]');
    insert into privacy.salt (shop_id, customer_id, salt) values (1, 77, 'the salt');
    insert into privacy.redaction (shop_id, subject, subject_digest, certificate)
        values (1, 'customer', privacy.subject_digest(1, 78), '{"certificate_id": "c"}');
    insert into privacy.data_request values (1, 5, 77, '2026-11-01');
    insert into configuration.macrodata_artifact (artifact_id, body)
        values ('default', '{"shop_domain": "demo.myshopify.com", "threshold_30d": 5}')"#;

const FILLED: [&str; 13] = [
    "commerce.shop",
    "commerce.order_header",
    "commerce.order_line_item",
    "commerce.sales_ledger",
    "commerce.product",
    "commerce.product_variant",
    "commerce.tombstone",
    "commerce.webhook_delivery",
    "privacy.salt",
    "privacy.secret",
    "privacy.redaction",
    "privacy.data_request",
    "configuration.objective_change",
];

/// A database of 0.1.0: its functions, and the tables of its migrations, which the library of today would not stop at.
async fn of_the_first_release(admin: &Client, url: &str) -> Client {
    let name: String = admin
        .query_one("select current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    let create = "create database first_release template template0";
    admin.batch_execute(create).await.unwrap();
    let client = connect(&url.replace(&format!("/{name}"), "/first_release"))
        .await
        .unwrap();
    let bookkeeping = std::fs::read_to_string(postgres_sql().join("bookkeeping.sql")).unwrap();
    let install = "create extension weir version '0.1.0'";
    client.batch_execute(install).await.unwrap();
    client.batch_execute(&bookkeeping).await.unwrap();
    let mut released: Vec<String> = std::fs::read_dir(postgres_sql().join("migrations"))
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.as_str() < "007")
        .collect();
    released.sort_unstable();
    assert_eq!(released.len(), 6);
    for name in released {
        let text = std::fs::read_to_string(postgres_sql().join("migrations").join(&name)).unwrap();
        client.batch_execute(&text).await.unwrap();
        let applied = "insert into configuration.schema_migration (version, name) values ($1, $2)";
        let version: i32 = name[..3].parse().unwrap();
        client.execute(applied, &[&version, &name]).await.unwrap();
    }
    client.batch_execute(OF_0_1_0).await.unwrap();
    client
}

#[tokio::test]
async fn an_update_keeps_the_data() {
    let (database, _edge) = shop().await;
    let admin = database.admin().await.unwrap();
    let old = of_the_first_release(&admin, &database.admin_url).await;
    let rows = |table: &&str| format!("select '{table}' as name, to_jsonb(t) as told from {table} as t");
    let rows = FILLED.iter().map(rows).collect::<Vec<_>>().join(" union all ");
    old.batch_execute(&format!("create table public.before as {rows}"))
        .await
        .unwrap();
    old.batch_execute("alter extension weir update; select weir.migrate()")
        .await
        .unwrap();
    // Newer columns may have come.
    for table in FILLED {
        let sql = format!(
            "select count(*), count(*) filter (where exists (select from {table} as t where to_jsonb(t) @> before.told))
            from public.before where name = '{table}'"
        );
        let row = old.query_one(&sql, &[]).await.unwrap();
        let (there, kept): (i64, i64) = (row.get(0), row.get(1));
        assert!(there > 0 && kept == there, "{table}: {kept} of {there}");
    }
    let theirs = order(10, 1, "").replace(r#""id": 77"#, r#""id": 78"#);
    let batch = [
        delivery("a", "orders/create", &order(7, 1, "")),
        delivery("b", "refunds/create", &refund(7)),
        delivery("c", "orders/create", &theirs),
        delivery("d", "orders/create", &order(9, 1, "")),
    ];
    let answer = ingest(&old, &batch).await;
    assert_eq!(verdicts(&answer), ["duplicate", "accepted", "accepted", "stale"]);
    let events = answer["events"].as_array().unwrap();
    let of = |id: &str| events.iter().find(|event| event["order_id"] == id).expect(id);
    assert_eq!(of("7")["sales"][0]["day"], "2026-11-02");
    assert!(of("7")["order_revision"].as_i64() > Some(1_793_550_601_000_001));
    // By the salt that was kept; the forgotten one has none.
    let about = format!(r#"{{"shop_domain": "{SHOP}", "customer_id": 77}}"#);
    let sql = "select weir.customer_data($1::text::json) ->> 'customer_key'";
    let key: String = old.query_one(sql, &[&about]).await.unwrap().get(0);
    assert_eq!(
        (&of("7")["customer_key"], &of("10")["customer_key"]),
        (&key.into(), &Value::Null)
    );
    let ended = "delete from configuration.macrodata_artifact where artifact_id = 'default'";
    old.batch_execute(ended).await.unwrap();
    let sql = "select string_agg(change ->> 'operation', ' ') from json_array_elements(weir.objective_changes(0) -> 'changes') as change";
    let changes: String = old.query_one(sql, &[]).await.unwrap().get(0);
    assert_eq!(changes, "published ended");
}

/// A session keeps the library that it has loaded, also when a newer one has migrated the tables meanwhile.
#[tokio::test]
async fn a_session_of_an_older_library_ends_when_a_newer_one_has_migrated() {
    let (database, edge) = shop().await;
    ingest(&edge, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let admin = database.admin().await.unwrap();
    // It waits for the migration in the middle of its batch.
    let waiting = database.edge().await.unwrap();
    ingest(&waiting, &[delivery("a", "orders/create", &order(7, 1, ""))]).await;
    let newer = "begin; alter table commerce.order_header add column later integer;
        insert into configuration.schema_migration (version, name) values (999, '999_later')";
    admin.batch_execute(newer).await.unwrap();
    let batch = Value::from(vec![delivery("b", "orders/create", &order(8, 1, ""))]).to_string();
    let sql = "select weir.ingest($1::text::json)::text";
    let waited = async {
        let parameters: [&(dyn ToSql + Sync); 1] = [&batch];
        let (answer, ()) = tokio::join!(waiting.query_one(sql, &parameters), async {
            let is_waiting =
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
            while admin.query_one(is_waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
            admin.batch_execute("commit").await.unwrap();
        });
        answer
    };
    for answer in [waited.await, edge.query_one(sql, &[&batch]).await] {
        let error = answer.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code(), &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
        assert_eq!(error.severity(), "FATAL");
        assert!(error.hint().unwrap().contains("Connect again"));
        assert_eq!(error.routine(), Some("weir"));
    }
    let orders = "select count(*) from commerce.order_header";
    assert_eq!(admin.query_one(orders, &[]).await.unwrap().get::<_, i64>(0), 1);
    let error = admin.batch_execute("select weir.migrate()").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert!(error.message().contains("belongs to a newer version of weir"));
    // The older version again, and a new session.
    let older = "delete from configuration.schema_migration where version = 999; alter table commerce.order_header drop column later";
    admin.batch_execute(older).await.unwrap();
    let answer = ingest(
        &database.edge().await.unwrap(),
        &[delivery("b", "orders/create", &order(8, 1, ""))],
    )
    .await;
    assert_eq!(verdicts(&answer), ["accepted"]);
}

/// A session that has loaded the library of before reads on in its file (`scripts/install-extension.sh`).
#[test]
fn an_installed_file_is_replaced_and_not_written_into() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("weir.so"), "of before").unwrap();
    std::fs::write(path("built"), "newer").unwrap();
    let mut loaded = std::fs::File::open(path("weir.so")).unwrap();
    let put = weir_tests::workspace_root().unwrap().join("scripts/put.sh");
    let script = r#"set -euo pipefail; as_owner=(); . "$1"; put 755 built "$2/weir.so""#;
    let mut bash = std::process::Command::new("bash");
    bash.args(["-c", script, "bash"]).args([&put, folder.path()]);
    let status = bash.current_dir(folder.path()).env_remove("DESTDIR").status().unwrap();
    assert!(status.success());
    let mut read = String::new();
    loaded.read_to_string(&mut read).unwrap();
    assert_eq!(
        (
            read.as_str(),
            std::fs::read_to_string(path("weir.so")).unwrap().as_str()
        ),
        ("of before", "newer")
    );
    assert!(!path("weir.so.new").exists());
}

/// A database out there has run them: a changed one would never reach it.
#[test]
fn what_was_released_is_frozen() {
    let list = std::fs::read_to_string(postgres_sql().join("released/frozen.sha256")).unwrap();
    let frozen: BTreeMap<&str, &str> = list
        .lines()
        .map(|line| line.split_once("  ").map(|(digest, path)| (path, digest)).unwrap())
        .collect();
    for (path, digest) in &frozen {
        let found = std::fs::read(postgres_sql().join(path))
            .unwrap_or_else(|error| panic!("sql/postgres/{path} was released and may not go: {error}"));
        let found: String = Sha256::digest(found).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            *digest, found,
            "sql/postgres/{path} was released and may not change; write a new migration or update script instead"
        );
    }
    let manifest = std::fs::read_to_string(weir_tests::workspace_root().unwrap().join("pg_ext/Cargo.toml")).unwrap();
    let current = manifest
        .lines()
        .find_map(|line| line.strip_prefix("version = \"")?.strip_suffix('"'))
        .expect("pg_ext/Cargo.toml has a version of its own");
    for (name, versions) in scripts() {
        let folder = if versions.len() == 1 { "released" } else { "upgrade" };
        let path = format!("{folder}/{name}");
        assert!(
            versions.last().is_some_and(|to| to == current) || frozen.contains_key(path.as_str()),
            "sql/postgres/{path} leads to a version before {current}: it was released; add its digest to released/frozen.sha256"
        );
    }
}
