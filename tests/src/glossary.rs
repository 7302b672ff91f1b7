//! The generated part of GLOSSARY.md: every table and column of a migrated database by its COMMENT, every stream by its
//! schema. One source each; the document only shows them.

use std::fmt::Write;

use weir_domain::telemetry::schema::{Field, FieldType};

use crate::postgres::Database;
use crate::{failed, Result};

const BEGIN: &str = "<!-- generated: begin; `cargo run -p weir-tests --bin glossary` writes it anew -->\n";
const END: &str = "<!-- generated: end -->\n";

/// Tables and views of weir with their columns, in the order of their names.
const COMMENTS: &str = "
    select c.oid::regclass::text, case c.relkind when 'v' then 'view' else 'table' end,
        coalesce(obj_description(c.oid, 'pg_class'), ''), a.attname::text, format_type(a.atttypid, a.atttypmod),
        coalesce(col_description(c.oid, a.attnum), '')
    from pg_class as c
    join pg_namespace as n on n.oid = c.relnamespace
    join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    where n.nspname in ('commerce', 'configuration', 'privacy', 'publication') and c.relkind in ('r', 'v', 'p')
    order by n.nspname collate \"C\", c.relname collate \"C\", a.attnum";

/// The generated part, read from a migrated database and from the stream schemas.
///
/// # Errors
/// When the database cannot be read.
pub async fn generate(database: &Database) -> Result<String> {
    let mut text = String::from("## Tables in PostgreSQL\n");
    let mut last = String::new();
    for row in database.admin().await?.query(COMMENTS, &[]).await? {
        let cell = |at: usize| row.get::<_, String>(at);
        let table = cell(0);
        if table != last {
            heading(&mut text, &format!("{table} ({})", cell(1)), &cell(2));
            last = table;
        }
        line(&mut text, &cell(3), &cell(4), &cell(5));
    }
    text.push_str("\n## Streams and their tables in the lake\n");
    for stream in weir_domain::telemetry::all() {
        heading(&mut text, &format!("{} ({})", stream.table, stream.name), stream.doc);
        fields(&mut text, "", &stream.fields);
    }
    Ok(text)
}

fn heading(text: &mut String, name: &str, doc: &str) {
    let (meaning, class) = split(doc);
    let _ = write!(
        text,
        "\n### {name}\n{meaning}. *{class}*\n\n| name | type | meaning | class |\n|---|---|---|---|\n"
    );
}

fn line(text: &mut String, name: &str, kind: &str, doc: &str) {
    let (meaning, class) = split(doc);
    let _ = writeln!(text, "| {name} | {kind} | {meaning} | {class} |");
}

fn fields(text: &mut String, path: &str, of: &[Field]) {
    for field in of {
        let name = format!("{path}{}", field.name);
        line(text, &name, type_name(&field.field_type), field.doc);
        let mut inner = &field.field_type;
        while let FieldType::List(items) = inner {
            inner = items;
        }
        if let FieldType::Struct(own) = inner {
            fields(text, &format!("{name}."), own);
        }
    }
}

fn type_name(kind: &FieldType) -> &'static str {
    match kind {
        FieldType::String => "string",
        FieldType::Int32 => "int32",
        FieldType::Int64 => "int64",
        FieldType::Float64 => "float64",
        FieldType::Bool => "bool",
        FieldType::Timestamp => "timestamp",
        FieldType::Date => "date as string",
        FieldType::Json => "json",
        FieldType::List(_) => "list",
        FieldType::Struct(_) => "struct",
    }
}

/// A comment such as `Shop [IAO: identifier]` as meaning and class.
fn split(doc: &str) -> (String, String) {
    let (meaning, class) = doc.rsplit_once(" [").unwrap_or((doc, ""));
    let cell = |text: &str| text.replace('|', "\\|");
    (cell(meaning), cell(class.trim_end_matches(']')))
}

/// The document with its generated part replaced.
///
/// # Errors
/// When the document lacks the marks of that part.
pub fn splice(document: &str, generated: &str) -> Result<String> {
    let parts = document
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.ok_or_else(|| failed(format!("GLOSSARY.md lacks the marks\n{BEGIN}{END}")))?;
    Ok(format!("{before}{BEGIN}\n{generated}\n{END}{after}"))
}
