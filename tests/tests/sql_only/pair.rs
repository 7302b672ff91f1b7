//! An extension and a SQL-only install that are told the same and compared.

use serde_json::{json, Value};
use tokio_postgres::types::ToSql;
use tokio_postgres::Client;
use weir_tests::postgres::{Database, Install};

use super::bodies::{with_plain_raw_numbers, with_raw_numbers, SHOPS};
use crate::contract::{shop_in, LONG_REGISTERED};

/// Two databases that are told the same.
pub struct Pair {
    pub databases: [Database; 2],
    pub edges: [Client; 2],
    pub admins: [Client; 2],
}

impl Pair {
    /// Both with the shops of [`SHOPS`], the same salts and the same secret: what is random in either is no difference.
    pub async fn new() -> Self {
        let (extension, sql_only) = (shop_in(Install::Extension).await, shop_in(Install::SqlOnly).await);
        let admins = [extension.0.admin().await.unwrap(), sql_only.0.admin().await.unwrap()];
        for admin in &admins {
            let no_chance = "update privacy.secret set secret = 'the same';
                create function public.same_salt() returns trigger language plpgsql as $$
                begin
                    new.salt := 'salt ' || new.shop_id || '-' || new.customer_id;
                    return new;
                end
                $$;
                create trigger same_salt before insert on privacy.salt for each row execute function public.same_salt()";
            admin.batch_execute(no_chance).await.unwrap();
        }
        let pair = Self {
            databases: [extension.0, sql_only.0],
            edges: [extension.1, sql_only.1],
            admins,
        };
        pair.register(0).await;
        for admin in &pair.admins {
            admin.batch_execute(LONG_REGISTERED).await.unwrap();
        }
        pair
    }

    /// Registers the shops, anew where one was forgotten, each in the zone of the one that stands `shift` after it. Returns how
    /// many orders moved.
    pub async fn register(&self, shift: usize) -> u64 {
        let mut moved = 0;
        for (shop, other) in SHOPS.iter().zip(SHOPS.iter().cycle().skip(shift)) {
            let registration = json!({"shop_id": shop.id, "shop_domain": shop.domain, "currency": shop.currency,
                "iana_time_zone": other.zone});
            let answers = self
                .same(&format!("select weir.register_shop('{registration}')::text"))
                .await
                .unwrap();
            let answer: Value = serde_json::from_str(&answers[0]).unwrap();
            moved += answer["moved_orders"].as_u64().unwrap();
        }
        self.same_registration().await;
        moved
    }

    /// When a shop was registered anew is each database's own moment, and revisions of its orders begin there.
    async fn same_registration(&self) {
        let sql = "select shop_id, registered_at::text from commerce.shop";
        for row in self.admins[0].query(sql, &[]).await.unwrap() {
            let sql = "update commerce.shop set registered_at = $2::text::timestamptz where shop_id = $1";
            let arguments: [&(dyn ToSql + Sync); 2] = [&row.get::<_, i64>(0), &row.get::<_, String>(1)];
            self.admins[1].execute(sql, &arguments).await.unwrap();
        }
    }

    /// The answer of both to a batch of deliveries, which has to be the same; returns it.
    pub async fn ingest(&self, batch: &[Value], text: &str) -> Value {
        self.answer("weir.ingest($1::text::json)", &[text], "deliveries", batch)
            .await
    }

    /// The same of a batch whose bodies stand after its lines as they came.
    pub async fn ingest_unquoted(&self, batch: &[Value]) -> Value {
        let (mut headers, mut bodies) = (batch.to_vec(), Vec::new());
        for one in &mut headers {
            let body = one.as_object_mut().and_then(|one| one.remove("body"));
            bodies.push(with_plain_raw_numbers(
                body.as_ref().and_then(Value::as_str).unwrap_or_default(),
            ));
        }
        let sizes: Vec<usize> = bodies.iter().map(String::len).collect();
        let headers = with_raw_numbers(&Value::from(headers).to_string());
        let text = json!({ "body_bytes": sizes }).to_string() + "\n" + &headers + "\n" + &bodies.concat();
        self.answer("weir.ingest($1::text)", &[&text], "deliveries", batch)
            .await
    }

    /// The answer of both to a call of the Workers that has events, and a verdict in `list` for each of `told`; it has to be
    /// the same. Returns it.
    pub async fn answer(&self, call: &str, arguments: &[&str], list: &str, told: &[Value]) -> Value {
        let mut answers = Vec::new();
        for edge in &self.edges {
            let arguments: Vec<&(dyn ToSql + Sync)> = arguments.iter().map(|text| text as _).collect();
            let row = edge
                .query_one(&format!("select ({call})::text"), &arguments)
                .await
                .unwrap();
            answers.push(serde_json::from_str::<Value>(row.get(0)).unwrap());
        }
        for list in [list, "events"] {
            let items = |answer: &Value| answer[list].as_array().cloned().unwrap_or_default();
            let (left, right) = (items(&answers[0]), items(&answers[1]));
            for (index, (left, right)) in left.iter().zip(&right).enumerate() {
                let about = match told.get(index) {
                    Some(one) if list != "events" => one.to_string(),
                    _ => String::new(),
                };
                let about = about.get(..4000).unwrap_or(&about);
                for name in left.as_object().into_iter().flat_map(|members| members.keys()) {
                    assert_eq!(left[name], right[name], "{list}[{index}].{name} {about}");
                }
                assert_eq!(left, right, "{list}[{index}] {about}");
            }
            assert_eq!(left.len(), right.len(), "{list}");
        }
        assert_eq!(answers[0], answers[1], "{call}");
        answers.swap_remove(0)
    }

    /// What a statement of one text column gives on both, or the error it ends with.
    pub async fn same(&self, sql: &str) -> Result<Vec<String>, String> {
        let mut answers = Vec::new();
        for admin in &self.admins {
            answers.push(match admin.query(sql, &[]).await {
                Ok(rows) => Ok(rows.iter().map(|row| row.get(0)).collect::<Vec<String>>()),
                Err(error) => {
                    let error = error.as_db_error().expect("an answer of the server");
                    let (code, detail, hint) = (error.code().code(), error.detail(), error.hint());
                    Err(format!("{code} {} {detail:?} {hint:?}", error.message()))
                }
            });
        }
        if let [Ok(left), Ok(right)] = &answers[..] {
            for (left, right) in left.iter().zip(right) {
                let (a, b) = (
                    serde_json::from_str::<Value>(left),
                    serde_json::from_str::<Value>(right),
                );
                match (a, b) {
                    (Ok(a), Ok(b)) => assert_eq!(a, b, "{sql}"),
                    _ => assert_eq!(left, right, "{sql}"),
                }
            }
            assert_eq!(left.len(), right.len(), "{sql}");
        } else {
            assert_eq!(answers[0], answers[1], "{sql}");
        }
        answers.swap_remove(0)
    }

    /// Every table of weir, row by row, but for when and under which random name something was done.
    pub async fn same_tables(&self) -> usize {
        let tables = "select table_schema || '.' || table_name from information_schema.tables
            where table_schema in ('commerce', 'configuration', 'privacy', 'publication') and table_type = 'BASE TABLE' order by 1";
        let mut rows = 0;
        for table in self.same(tables).await.unwrap() {
            let volatile = match table.as_str() {
                "commerce.shop" => "'{registered_at, updated_at}'",
                "privacy.salt" => "'{created_at}'",
                "privacy.redacted_order" => "'{redacted_at}'",
                "privacy.redaction" => "'{redacted_at, certificate}'",
                "configuration.schema_migration" => "'{applied_at}'",
                "configuration.objective_change" => "'{changed_at}'",
                "configuration.macrodata_artifact" => "'{published_at, ended_at}'",
                "publication.catalogue" => "'{published_at}'",
                "publication.publication_telemetry" => "'{recorded_at}'",
                _ => "'{}'",
            };
            let sql = format!("select (to_jsonb(t) - {volatile}::text[])::text from {table} as t order by 1");
            rows += self.same(&sql).await.unwrap().len();
        }
        let certificates =
            "select (certificate -> 'removed')::text from privacy.redaction order by shop_id, subject_digest";
        self.same(certificates).await.unwrap();
        rows
    }
}
