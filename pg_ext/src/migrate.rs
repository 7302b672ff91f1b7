//! Migrations: ordinary objects, so that dumps hold their data and `drop extension` keeps it.

use pgrx::datum::DatumWithOid;
use pgrx::spi::{Spi, SpiClient};

use crate::report;
use crate::store::{cell, run, run_script};

const BOOKKEEPING: &str = include_str!("../../sql/postgres/bookkeeping.sql");
const BEFORE: &str = include_str!("../../sql/postgres/before_migrations.sql");
const GRANTS: &str = include_str!("../../sql/postgres/grants.sql");

/// Number, name and text; the number leads the name.
macro_rules! migration {
    ($number:literal, $name:literal) => {
        (
            $number,
            $name,
            include_str!(concat!("../../sql/postgres/migrations/", $name, ".sql")),
        )
    };
}

const MIGRATIONS: &[(i32, &str, &str)] = &[
    migration!(1, "001_commerce"),
    migration!(2, "002_order_return"),
    migration!(3, "003_variant_price"),
    migration!(4, "004_objective_change"),
    migration!(5, "005_privacy"),
    migration!(6, "006_order_enriched"),
    migration!(7, "007_bulk"),
    migration!(8, "008_sales_agreement"),
    migration!(9, "009_publication"),
    migration!(10, "010_customer"),
    migration!(13, "013_raw_compression"),
    migration!(14, "014_customer_merge"),
    migration!(15, "015_redacted_order"),
    migration!(16, "016_units_since"),
    migration!(17, "017_line_origin"),
    migration!(18, "018_objective_shop"),
    migration!(19, "019_link_product"),
    migration!(20, "020_ledger_version"),
    migration!(22, "022_variant_version"),
    migration!(23, "023_objective_told"),
    migration!(24, "024_shop_first"),
    migration!(25, "025_former_domain"),
];

/// The newest migration that this library knows.
pub const NEWEST: i32 = {
    let (mut newest, mut index) = (0, 0);
    while index < MIGRATIONS.len() {
        if MIGRATIONS[index].0 > newest {
            newest = MIGRATIONS[index].0;
        }
        index += 1;
    }
    newest
};

/// Applies what is missing, in order, and renews the grants. Two callers at once take turns.
pub fn migrate() -> i32 {
    Spi::connect_mut(|client| {
        run_script(
            client,
            "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('weir.migrate', 0))",
        );
        require_current_objects(client);
        require_utf8(client);
        run_script(client, BOOKKEEPING);
        let applied = applied(client);
        // Grants of an older version would take back what a newer one gave.
        if let Some(later) = applied.iter().max().filter(|version| **version > NEWEST) {
            report::not_ready(
                "the database belongs to a newer version of weir",
                &format!("Its newest migration is {later}; the newest known here is {NEWEST}."),
                "Install that version of weir or a newer one; nothing has been changed.",
            );
        }
        let mut count = 0;
        for (version, name, sql) in MIGRATIONS.iter().filter(|(version, ..)| !applied.contains(version)) {
            if count == 0 {
                run_script(client, BEFORE);
            }
            run_script(client, sql);
            let arguments = [DatumWithOid::from(*version), DatumWithOid::from(*name)];
            run(
                client,
                "insert into configuration.schema_migration (version, name) values ($1, $2)",
                &arguments,
            );
            count += 1;
        }
        run_script(client, GRANTS);
        count
    })
}

/// Tables and grants are those of the library; over objects of an older version they would not fit.
fn require_current_objects(client: &mut SpiClient<'_>) {
    let mut rows = run(
        client,
        "select extversion from pg_catalog.pg_extension where extname = 'weir'",
        &[],
    );
    let objects: String = rows.next().map_or_else(String::new, |row| cell(&row, 1));
    let library = env!("CARGO_PKG_VERSION");
    if objects != library {
        report::not_ready(
            "the extension's objects are of another version than its library",
            &format!("Objects are of version {objects}, the library is of version {library}."),
            "Run alter extension weir update; then select weir.migrate();",
        );
    }
}

/// Bodies are UTF-8, and PostgreSQL would keep them as they are and take them for something else.
fn require_utf8(client: &mut SpiClient<'_>) {
    let mut rows = run(client, "select pg_catalog.getdatabaseencoding()::text", &[]);
    let encoding: String = rows.next().map_or_else(String::new, |row| cell(&row, 1));
    if encoding != "UTF8" {
        report::unsupported(
            "the database is not encoded in UTF-8",
            &format!("Its encoding is {encoding}."),
            "Create a database with encoding UTF8.",
        );
    }
}

fn applied(client: &mut SpiClient<'_>) -> Vec<i32> {
    let rows = run(client, "select version from configuration.schema_migration", &[]);
    rows.map(|row| cell(&row, 1)).collect()
}
