//! Whether all contenders have left the same rows, in every table of weir.

use std::collections::BTreeSet;

use tokio_postgres::Client;
use weir_tests::{failed, Result};

/// What may differ, and why: (table, column, reason).
const NOT_COMPARED: [(&str, &str, &str); 6] = [
    (
        "commerce.order_header",
        "ledger_version",
        "weir's own, of the rules of its ledger",
    ),
    ("commerce.shop", "registered_at", "when the shop's row was inserted"),
    ("commerce.shop", "updated_at", "when the shop's row was inserted"),
    ("privacy.salt", "salt", "random"),
    ("privacy.salt", "created_at", "when the salt was made"),
    ("privacy.secret", "secret", "random, made with the database"),
];

const TABLES: &str =
    "select n.nspname || '.' || c.relname from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
    where c.relkind = 'r' and n.nspname in ('commerce', 'privacy', 'publication') order by 1";

/// The rows of one contender.
pub struct Content {
    pub name: &'static str,
    tables: Vec<(String, BTreeSet<String>)>,
}

impl Content {
    /// Digests of all rows, by table.
    pub async fn read(name: &'static str, client: &Client) -> Result<Self> {
        let mut tables = Vec::new();
        for row in client.query(TABLES, &[]).await? {
            let table: String = row.get(0);
            let rows = client
                .query(&format!("select md5(row) from ({}) as r", rows_of(&table)), &[])
                .await?;
            tables.push((table, rows.iter().map(|row| row.get(0)).collect()));
        }
        Ok(Self { name, tables })
    }

    /// Names the first difference, with a row that only one of the two has.
    pub async fn assert_same(&self, other: &Self, client: &Client, other_client: &Client) -> Result<()> {
        for ((table, rows), (other_table, other_rows)) in self.tables.iter().zip(&other.tables) {
            if rows == other_rows && table == other_table {
                continue;
            }
            let of_self = odd_row(client, table, rows.difference(other_rows).next()).await?;
            let of_other = odd_row(other_client, other_table, other_rows.difference(rows).next()).await?;
            return Err(failed(format!(
                "{table} differs: {} has {} rows and only it {of_self}; {} has {} rows and only it {of_other}",
                self.name,
                rows.len(),
                other.name,
                other_rows.len()
            )));
        }
        Ok(())
    }

    /// Rows of all tables.
    pub fn count(&self) -> usize {
        self.tables.iter().map(|(_, rows)| rows.len()).sum()
    }
}

fn rows_of(table: &str) -> String {
    let ignored = NOT_COMPARED.iter().filter(|(of, ..)| *of == table);
    let ignored: String = ignored.map(|(_, column, _)| format!(" - '{column}'")).collect();
    format!("select (to_jsonb(t){ignored})::text as row from {table} as t")
}

async fn odd_row(client: &Client, table: &str, digest: Option<&String>) -> Result<String> {
    let Some(digest) = digest else {
        return Ok("nothing".to_owned());
    };
    let sql = format!("select row from ({}) as r where md5(row) = $1", rows_of(table));
    Ok(client.query_one(&sql, &[digest]).await?.get(0))
}
