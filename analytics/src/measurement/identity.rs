//! Names of what was computed: the same inputs give the same name, so that a repeated refresh finds its commit there.

use uuid::Uuid;
use weir_domain::objective::ObjectiveSpecification;
use weir_domain::time_zone;

use super::base::ShopBefore;
use super::inputs::Inputs;
use super::{engine, sql};

/// The DuckDB this crate is pinned to; its hash functions name days of sales.
const DUCKDB_VERSION: &str = "1.5.5";

/// Namespace of refresh ids: UUIDv5 of the DNS name `refresh.weir`.
fn namespace() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, b"refresh.weir")
}

/// To be raised by one when something else changes what is computed: SQL that Rust puts together, the order of statements.
const EDITION: u32 = 1;

/// Identity of what computes: the SQL, the `DuckDB` that runs it and how that is set, the rules of time zones. Rows that
/// another one wrote are not built upon.
#[must_use]
pub fn computation_id() -> String {
    computation_of(&sql::ALL.concat(), &engine::settings(), time_zone::edition())
}

fn computation_of(sql: &str, settings: &str, time_zones: &str) -> String {
    let text = format!(
        "{}{sql}{DUCKDB_VERSION}{settings}{EDITION}{}",
        env!("CARGO_PKG_VERSION"),
        time_zones
    );
    Uuid::new_v5(&namespace(), text.as_bytes()).to_string()
}

/// Identity of `measurement.sales` as computed from a snapshot of `commerce.telemetry`, in whichever way.
#[must_use]
pub fn sales_refresh_id(commerce_snapshot: Option<i64>) -> String {
    let name = format!("measurement.sales\u{1f}{commerce_snapshot:?}\u{1f}{}", computation_id());
    Uuid::new_v5(&namespace(), name.as_bytes()).to_string()
}

/// UUIDv5 over everything that decides the days of `measurement.performance`: the snapshots, what computes, the
/// specifications, the days. The same inputs therefore give the same rows to the byte, and a repeated refresh finds its
/// commit already there.
#[must_use]
pub fn performance_refresh_id(inputs: &Inputs, specs: &[ObjectiveSpecification], shops: &[ShopBefore]) -> String {
    let mut name = format!(
        "measurement.performance\u{1f}{:?}\u{1f}{:?}\u{1f}{}",
        inputs.commerce_snapshot,
        inputs.publication_snapshot,
        computation_id()
    );
    for spec in specs {
        name.push_str(&format!("\u{1f}{spec:?}"));
    }
    for shop in shops {
        name.push_str(&format!("\u{1f}{} {}", shop.shop_domain, shop.computed_on));
    }
    Uuid::new_v5(&namespace(), name.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_computed_with_other_settings_is_not_built_upon() {
        let settings = engine::settings();
        assert!(settings.contains("common_subplan"), "{settings}");
        let others = settings.replace("common_subplan", "");
        let (sql, zones) = (sql::ALL.concat(), time_zone::edition());
        assert_eq!(computation_of(&sql, &settings, zones), computation_id());
        assert_ne!(computation_of(&sql, &others, zones), computation_id());
    }

    #[test]
    fn days_by_other_rules_of_time_zones_are_not_built_upon() {
        assert_ne!(
            computation_of(&sql::ALL.concat(), &engine::settings(), "2001a"),
            computation_id()
        );
    }
}
