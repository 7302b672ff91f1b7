//! `weir db`: installing, repeating, refusing, and the same by psql alone.

use serde_json::Value;
use tokio_postgres::Client;
use weir_tests::postgres::{connect, weir, Database, Install};

use crate::contract::{delivery, ingest, shop_in};

/// Definitions of everything in weir's schemas, and who may run what.
async fn definitions(client: &Client) -> Vec<String> {
    let sql = "select p.oid::regprocedure::text || coalesce(p.proacl::text, '') || p.prosrc || p.prosecdef::text
        || coalesce(p.proconfig::text, '') || p.provolatile::text || p.proisstrict::text
        from pg_proc as p where p.pronamespace::regnamespace::text in ('weir', 'weir_sql') order by 1";
    client
        .query(sql, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect()
}

/// An empty database beside a test's own.
async fn empty_database(database: &Database, name: &str) -> String {
    let admin = database.admin().await.unwrap();
    admin
        .batch_execute(&format!("create database {name} template template0"))
        .await
        .unwrap();
    let own: String = admin
        .query_one("select current_database()::text", &[])
        .await
        .unwrap()
        .get(0);
    database.admin_url.replace(&format!("/{own}"), &format!("/{name}"))
}

#[tokio::test]
async fn installing_again_changes_nothing() {
    let (database, edge) = shop_in(Install::SqlOnly).await;
    ingest(&edge, &[delivery("a", "orders/create", r#"{"id": 7}"#)]).await;
    let admin = database.admin().await.unwrap();
    let before = definitions(&admin).await;
    assert!(before.len() > 80);
    assert_eq!(
        Install::SqlOnly.run(&database.admin_url).await.unwrap(),
        "weir is installed (SQL-only functions); migrations applied: 0\n"
    );
    assert_eq!(
        weir(&["db", "migrate", "--url", &database.admin_url]).await.unwrap(),
        "migrations applied: 0\n"
    );
    assert_eq!(definitions(&admin).await, before);
    let again = ingest(&edge, &[delivery("a", "orders/create", r#"{"id": 7}"#)]).await;
    assert_eq!(again["deliveries"][0]["verdict"], "duplicate");
}

/// `01_schema.sql` has to know which may be missing before the list of them is written.
#[test]
fn the_head_of_the_install_knows_every_migration() {
    let folder = weir_tests::workspace_root().unwrap().join("sql/postgres");
    let files = std::fs::read_dir(folder.join("migrations")).unwrap();
    let mut migrations: Vec<i32> = files
        .map(|file| file.unwrap().file_name().to_str().unwrap()[..3].parse().unwrap())
        .collect();
    migrations.sort_unstable();
    let head = std::fs::read_to_string(folder.join("sql_only/01_schema.sql")).unwrap();
    let list = head.split_once("versions constant integer[] := array[").unwrap().1;
    let list = list.split_once(']').unwrap().0.split(", ");
    assert_eq!(list.map(|one| one.parse().unwrap()).collect::<Vec<i32>>(), migrations);
}

#[tokio::test]
async fn the_api_has_the_signatures_of_the_extension() {
    let sql =
        "select p.oid::regprocedure::text || ' -> ' || p.prorettype::regtype || ' ' || p.proisstrict::text || p.provolatile::text
        || p.prosecdef::text || coalesce(p.proconfig::text, '') || coalesce(p.proargnames::text, '')
        || (select string_agg(r || has_function_privilege(r, p.oid, 'execute'), ' ')
            from unnest(array['weir_edge', 'weir_reader', 'weir_admin']) as r)
        from pg_proc as p where p.pronamespace = 'weir'::regnamespace order by 1";
    let mut found: Vec<Vec<String>> = Vec::new();
    for install in [Install::Extension, Install::SqlOnly] {
        let (database, _edge) = shop_in(install).await;
        let rows = database.admin().await.unwrap().query(sql, &[]).await.unwrap();
        found.push(rows.iter().map(|row| row.get(0)).collect());
    }
    assert!(found[0].len() > 12);
    assert_eq!(found[0], found[1]);
}

#[tokio::test]
async fn psql_over_the_files_installs_the_same() {
    let (database, _edge) = shop_in(Install::SqlOnly).await;
    let url = empty_database(&database, "by_psql").await;
    let output = std::process::Command::new(crate::contract::tool_path("psql"))
        .args([
            &url,
            "-X",
            "-v",
            "ON_ERROR_STOP=1",
            "--single-transaction",
            "-f",
            "sql/postgres/sql_only/install.psql",
        ])
        .current_dir(weir_tests::workspace_root().unwrap())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let by_psql = definitions(&connect(&url).await.unwrap()).await;
    assert_eq!(by_psql, definitions(&database.admin().await.unwrap()).await);
}

#[tokio::test]
async fn both_installs_at_once_are_refused() {
    for (there, wanted) in [
        (Install::Extension, Install::SqlOnly),
        (Install::SqlOnly, Install::Extension),
    ] {
        let (database, edge) = shop_in(there).await;
        let error = wanted.run(&database.admin_url).await.unwrap_err().to_string();
        assert!(
            error.contains("is installed in this database") && error.contains("stay"),
            "{error}"
        );
        let answer: Value = ingest(&edge, &[delivery("a", "orders/create", r#"{"id": 7}"#)]).await;
        assert_eq!(answer["deliveries"][0]["verdict"], "accepted");
    }
}

/// What stands in where pgcrypto is not to be had gives what pgcrypto gives, at every length around a block.
#[tokio::test]
async fn without_pgcrypto_ids_and_keys_are_the_same() {
    let (database, _edge) = shop_in(Install::SqlOnly).await;
    let sql = "with given as (
            select n, convert_to(left(repeat('0123456789é', 20), n), 'UTF8') as data,
                convert_to(left(repeat('another key', 20), 200 - n), 'UTF8') as key
            from generate_series(0, 199) as n
        )
        select count(*) filter (where weir_sql.reckoned_sha1(data) <> weir_sql.sha1(data)),
            count(*) filter (where weir_sql.reckoned_hmac_sha256(data, key) <> weir_sql.hmac_sha256(data, key)),
            encode(weir_sql.reckoned_sha1('abc'), 'hex')
        from given";
    let row = database.admin().await.unwrap().query_one(sql, &[]).await.unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 0));
    // The example of FIPS 180-4.
    assert_eq!(row.get::<_, String>(2), "a9993e364706816aba3e25717850c26c9cd0d89d");
}

#[tokio::test]
async fn an_install_that_fails_leaves_the_database_to_the_other_kind() {
    let (database, _edge) = shop_in(Install::Extension).await;
    let admin = database.admin().await.unwrap();
    admin
        .batch_execute("create database western encoding 'LATIN1' locale 'C' template template0")
        .await
        .unwrap();
    let (place, parameters) = database.admin_url.split_once('?').unwrap();
    let url = format!("{}/western?{parameters}", place.rsplit_once('/').unwrap().0);
    for kind in [Install::Extension, Install::SqlOnly, Install::Extension] {
        let error = kind.run(&url).await.unwrap_err().to_string();
        assert!(error.contains("not encoded in UTF-8"), "{kind:?}: {error}");
    }
    let left = "select count(*) from pg_namespace where nspname in ('weir', 'commerce', 'privacy')";
    let western = connect(&url).await.unwrap();
    assert_eq!(western.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn what_is_missing_is_said() {
    let (database, _edge) = shop_in(Install::SqlOnly).await;
    let url = empty_database(&database, "bare").await;
    let error = weir(&["db", "migrate", "--url", &url]).await.unwrap_err().to_string();
    assert!(error.contains("weir db install"), "{error}");
    // A login without rights: it may not create pgcrypto, and is told who can.
    let admin = connect(&url).await.unwrap();
    admin
        .batch_execute("create role nobody_in_particular login password 'x'")
        .await
        .unwrap();
    let own = url.split('@').next().unwrap();
    let theirs = url.replace(own, "postgres://nobody_in_particular:x");
    let error = Install::SqlOnly.run(&theirs).await.unwrap_err().to_string();
    assert!(
        error.contains("pgcrypto is not created") && error.contains("owner of the database"),
        "{error}"
    );
    // Nothing is left of what failed.
    let left = "select count(*) from pg_namespace where nspname like 'weir%'";
    assert_eq!(admin.query_one(left, &[]).await.unwrap().get::<_, i64>(0), 0);
    for (url, said) in [
        (
            "postgres://postgres@127.0.0.1:1/postgres?sslmode=disable",
            "cannot connect to the database",
        ),
        ("not a url at all", "--url is not a database URL"),
    ] {
        let error = Install::SqlOnly.run(url).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

/// An older version would put its functions over tables that they do not know.
#[tokio::test]
async fn a_newer_database_is_left_as_it_is() {
    let (database, edge) = shop_in(Install::SqlOnly).await;
    let admin = database.admin().await.unwrap();
    let newer = "insert into configuration.schema_migration (version, name) values (999, '999_later');
        create or replace function weir.version() returns text language sql immutable strict parallel safe return '99.0.0'";
    admin.batch_execute(newer).await.unwrap();
    let before = definitions(&admin).await;
    for refused in [
        Install::SqlOnly.run(&database.admin_url).await,
        weir(&["db", "migrate", "--url", &database.admin_url]).await,
    ] {
        let error = refused.unwrap_err().to_string();
        assert!(
            error.contains("belongs to a newer version of weir") && error.contains("999_later"),
            "{error}"
        );
    }
    assert_eq!(definitions(&admin).await, before);
    let answer = ingest(&edge, &[delivery("a", "orders/create", r#"{"id": 7}"#)]).await;
    assert_eq!(answer["deliveries"][0]["verdict"], "accepted");
}
