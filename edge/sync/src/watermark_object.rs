//! The watermark object: one per shop, SQLite inside. Keeps watermarks, their last moves, which run waits for which bulk
//! operation, how far the runs are, and where webhooks were ever delivered.
//!
//! Calls are `POST /{verb}` with a JSON object. A call runs to its end without waiting for anything, so it is one transaction.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{json, Value};
use weir_domain::watermark::{self, Reached, Watermark};
use worker::{durable_object, DurableObject, Env, Request, Response, Result, SqlStorage, SqlStorageValue, State};

/// Moves and progress notes that are kept; and of runs that have made no note since, the last one of each of the newest.
const KEPT_ROWS: i64 = 1000;

/// The last note of each of the newest runs. One with many steps hides none of the others.
const NEWEST_RUNS: &str =
    "select max(number) as number from progress group by instance_id order by number desc limit 20";

/// Status of the note of an attempt that SYNC_TELEMETRY did not take, and which is repeated therefore.
pub const UNTOLD: &str = "untold";

const TABLES: &str = "
create table if not exists watermark (key text primary key, ts text not null);
create table if not exists move (
  number integer primary key autoincrement, key text not null, from_ts text, to_ts text not null,
  moved_at text not null, instance_id text not null);
create table if not exists operation (operation_id text primary key, workflow text not null, instance_id text not null);
create table if not exists progress (
  number integer primary key autoincrement, workflow text not null, instance_id text not null, step text not null,
  attempt integer not null, status text not null, noted_at text not null, facts text not null);
create table if not exists address (uri text primary key);
";

/// See the module.
#[durable_object]
pub struct WatermarkObject {
    sql: SqlStorage,
}

impl DurableObject for WatermarkObject {
    fn new(state: State, _env: Env) -> Self {
        Self {
            sql: state.storage().sql(),
        }
    }

    async fn fetch(&self, mut request: Request) -> Result<Response> {
        let call: Value = request.json().await?;
        for statement in TABLES.split(';').filter(|statement| !statement.trim().is_empty()) {
            self.sql.exec(statement, None)?;
        }
        match request.path().as_str() {
            "/get" => {
                let (last, watermark) = (self.last_move(text(&call, "key"))?, self.get(&call)?);
                let (mover, moved_at) = last.map(|last| (last.instance_id, last.moved_at)).unzip();
                Response::from_json(&json!({"watermark": watermark, "mover": mover, "moved_at": moved_at}))
            }
            "/advance" => self.advance(&call),
            "/note" => self.note(&call),
            "/expect" => self.expect(&call),
            "/whose" => self.whose(&call),
            "/waited" => self.waited(&call),
            "/address" => self.address(&call),
            "/state" => self.state(),
            _ => Response::error("not found", 404),
        }
    }
}

#[derive(Deserialize)]
struct Row {
    ts: String,
}

#[derive(Deserialize)]
struct LastMove {
    instance_id: String,
    moved_at: String,
}

fn text<'a>(call: &'a Value, name: &str) -> &'a str {
    call[name].as_str().unwrap_or_default()
}

fn values<const N: usize>(texts: [&str; N]) -> Vec<SqlStorageValue> {
    texts.into_iter().map(SqlStorageValue::from).collect()
}

fn parsed(value: &Value) -> Result<Option<Timestamp>> {
    match value.as_str() {
        None => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| worker::Error::RustError(format!("{text:?} is not a time"))),
    }
}

impl WatermarkObject {
    /// The watermark `{key}`; none where it has not moved since `{registered_at}`, which is kept and moves from nothing.
    fn get(&self, call: &Value) -> Result<Option<Watermark>> {
        let key = text(call, "key");
        let rows: Vec<Row> = self
            .sql
            .exec("select ts from watermark where key = ?", values([key]))?
            .to_array()?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let ts = row
            .ts
            .parse()
            .map_err(|_| worker::Error::RustError(format!("stored {:?}", row.ts)))?;
        let moved_at = self.last_move(key)?.and_then(|last| last.moved_at.parse().ok());
        if !watermark::holds(moved_at, parsed(&call["registered_at"])?) {
            return Ok(None);
        }
        Ok(Some(Watermark {
            key: key.to_owned(),
            value_json: Reached { ts },
        }))
    }

    /// `{key, expected, to, instance_id, moved_at, registered_at}`. 409 when refused; nothing has changed then.
    fn advance(&self, call: &Value) -> Result<Response> {
        let key = text(call, "key");
        let current = self.get(call)?.map(|watermark| watermark.value_json.ts);
        let (expected, to) = (parsed(&call["expected"])?, parsed(&call["to"])?);
        let Some(to) = to else {
            return Ok(
                Response::from_json(&json!({"kind": "bad_call", "detail": "`to` is missing"}))?.with_status(400),
            );
        };
        // The same run asks again when its answer was lost. Its move is done, and is not a second one.
        let mover = self.last_move(key)?.map(|last| last.instance_id);
        if current == Some(to) && mover.as_deref() == Some(text(call, "instance_id")) {
            return Response::from_json(&json!({"moved": false, "watermark": self.get(call)?}));
        }
        if let Err(refusal) = watermark::advance(current, expected, to) {
            let body = json!({"kind": refusal.kind(), "detail": refusal.to_string()});
            return Ok(Response::from_json(&body)?.with_status(409));
        }
        let (from, to) = (current.map(watermark::text), watermark::text(to));
        self.sql.exec(
            "insert into watermark (key, ts) values (?, ?) on conflict (key) do update set ts = excluded.ts",
            values([key, &to]),
        )?;
        let row = vec![
            key.into(),
            SqlStorageValue::from(from),
            to.into(),
            text(call, "moved_at").into(),
            text(call, "instance_id").into(),
        ];
        self.sql.exec(
            "insert into move (key, from_ts, to_ts, moved_at, instance_id) values (?, ?, ?, ?, ?)",
            row,
        )?;
        // The last move of each key stays: it says whether the watermark is of before the shop was registered.
        self.trim("move", "and number not in (select max(number) from move group by key)")?;
        Response::from_json(&json!({"moved": true, "watermark": self.get(call)?}))
    }

    fn last_move(&self, key: &str) -> Result<Option<LastMove>> {
        let statement = "select instance_id, moved_at from move where key = ? order by number desc limit 1";
        let rows: Vec<LastMove> = self.sql.exec(statement, values([key]))?.to_array()?;
        Ok(rows.into_iter().next())
    }

    /// `{workflow, instance_id, step, attempt, status, noted_at, facts}`: how far a run is.
    fn note(&self, call: &Value) -> Result<Response> {
        let row = vec![
            text(call, "workflow").into(),
            text(call, "instance_id").into(),
            text(call, "step").into(),
            SqlStorageValue::from(call["attempt"].as_i64().unwrap_or(1)),
            text(call, "status").into(),
            text(call, "noted_at").into(),
            call["facts"].to_string().into(),
        ];
        self.sql.exec(
            "insert into progress (workflow, instance_id, step, attempt, status, noted_at, facts) values (?, ?, ?, ?, ?, ?, ?)",
            row,
        )?;
        self.trim("progress", &format!("and number not in ({NEWEST_RUNS})"))?;
        Response::from_json(&json!({}))
    }

    fn trim(&self, table: &str, but: &str) -> Result<()> {
        let statement = format!("delete from {table} where number <= (select max(number) from {table}) - ? {but}");
        self.sql.exec(&statement, vec![SqlStorageValue::from(KEPT_ROWS)])?;
        Ok(())
    }

    /// `{operation_id, workflow, instance_id}`: who waits for the operation.
    fn expect(&self, call: &Value) -> Result<Response> {
        self.sql.exec(
            "insert or replace into operation (operation_id, workflow, instance_id) values (?, ?, ?)",
            values([
                text(call, "operation_id"),
                text(call, "workflow"),
                text(call, "instance_id"),
            ]),
        )?;
        Response::from_json(&json!({}))
    }

    /// `{operation_id}` -> `{workflow, instance_id}`, both null for an operation that is not ours.
    fn whose(&self, call: &Value) -> Result<Response> {
        #[derive(Deserialize)]
        struct Owner {
            workflow: String,
            instance_id: String,
        }
        let statement = "select workflow, instance_id from operation where operation_id = ?";
        let rows: Vec<Owner> = self
            .sql
            .exec(statement, values([text(call, "operation_id")]))?
            .to_array()?;
        let owner = rows.into_iter().next().map(|row| (row.workflow, row.instance_id));
        let (workflow, instance_id) = owner.unzip();
        Response::from_json(&json!({"workflow": workflow, "instance_id": instance_id}))
    }

    /// `{instance_id}` -> `{is_known, is_reported, operations}`: whether the run is one of this shop, whether SYNC_TELEMETRY knows that
    /// it failed, and the operations that it has waited for.
    fn waited(&self, call: &Value) -> Result<Response> {
        #[derive(Deserialize)]
        struct Waited {
            operation_id: String,
        }
        let id = || values([text(call, "instance_id")]);
        let statement = "select operation_id from operation where instance_id = ?";
        let rows: Vec<Waited> = self.sql.exec(statement, id())?.to_array()?;
        let operations: Vec<String> = rows.into_iter().map(|row| row.operation_id).collect();
        let has_note = |which: &str| -> Result<bool> {
            let statement = format!("select 1 as one from progress where instance_id = ? {which} limit 1");
            let notes: Vec<Value> = self.sql.exec(&statement, id())?.to_array()?;
            Ok(!notes.is_empty())
        };
        let is_known = !operations.is_empty() || has_note("")?;
        let is_reported = has_note(&format!("and step = 'report' and status <> '{UNTOLD}'"))?;
        Response::from_json(&json!({"is_known": is_known, "is_reported": is_reported, "operations": operations}))
    }

    /// `{uri}`: where webhooks are delivered now. -> `{addresses}`, all where they ever were.
    fn address(&self, call: &Value) -> Result<Response> {
        #[derive(Deserialize)]
        struct Address {
            uri: String,
        }
        self.sql.exec(
            "insert or ignore into address (uri) values (?)",
            values([text(call, "uri")]),
        )?;
        let rows: Vec<Address> = self
            .sql
            .exec("select uri from address order by uri", None)?
            .to_array()?;
        let addresses: Vec<String> = rows.into_iter().map(|row| row.uri).collect();
        Response::from_json(&json!({"addresses": addresses}))
    }

    /// Everything for the status route and the dashboard.
    fn state(&self) -> Result<Response> {
        #[derive(Deserialize, serde::Serialize)]
        struct Kept {
            key: String,
            ts: String,
        }
        #[derive(Deserialize, serde::Serialize)]
        struct Move {
            key: String,
            from_ts: Option<String>,
            to_ts: String,
            moved_at: String,
            instance_id: String,
        }
        #[derive(Deserialize)]
        struct Progress {
            workflow: String,
            instance_id: String,
            step: String,
            attempt: i64,
            status: String,
            noted_at: String,
            facts: String,
        }
        let kept: Vec<Kept> = self
            .sql
            .exec("select key, ts from watermark order by key", None)?
            .to_array()?;
        let moves: Vec<Move> = self
            .sql
            .exec(
                "select key, from_ts, to_ts, moved_at, instance_id from move order by number desc limit 50",
                None,
            )?
            .to_array()?;
        let notes = |which: &str| -> Result<Vec<Value>> {
            let columns = "workflow, instance_id, step, attempt, status, noted_at, facts";
            let statement = format!("select {columns} from progress {which} order by number desc limit 200");
            let rows: Vec<Progress> = self.sql.exec(&statement, None)?.to_array()?;
            let told = rows.iter().map(|row| {
                let facts: Value = serde_json::from_str(&row.facts).unwrap_or(Value::Null);
                json!({"workflow": row.workflow, "instance_id": row.instance_id, "step": row.step, "attempt": row.attempt,
                    "status": row.status, "noted_at": row.noted_at, "facts": facts})
            });
            Ok(told.collect())
        };
        let watermarks = kept
            .iter()
            .map(|row| json!({"key": row.key, "value_json": {"ts": row.ts}}));
        Response::from_json(&json!({
            "watermarks": watermarks.collect::<Vec<_>>(), "moves": moves, "progress": notes("")?,
            "runs": notes(&format!("where number in ({NEWEST_RUNS})"))?,
        }))
    }
}
