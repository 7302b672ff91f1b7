//! What a replay may read: results of the shop's own archive, whole. Of a refused line the whole result it came in is read
//! again: PostgreSQL may have forgotten the operation's other lines, and half an order would say that the rest is gone.

use std::collections::HashMap;

use serde_json::Value;
use weir_domain::shopify::bulk::BulkKind;
use weir_edge_shared::object_key::plain;

use crate::step::StepError;

/// A text as a part of a key. Longer than elsewhere: a part may be the key of another object.
#[must_use]
pub fn key_part(text: &str) -> String {
    plain(text, 200)
}

/// What is to be replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Results in the archive under a prefix.
    Archive,
    /// The result that a record of the quarantine comes from.
    Record,
}

/// What `prefix` means to a replay of `shop`.
///
/// # Errors
/// When it is not the shop's own.
pub fn source(prefix: &str, shop: &str) -> Result<Source, StepError> {
    let own = |room: &str| prefix.starts_with(&format!("{room}/{}/", key_part(shop)));
    if own("archive") {
        return Ok(Source::Archive);
    }
    if own("quarantine") && prefix.ends_with(".json") {
        return Ok(Source::Record);
    }
    let part = key_part(shop);
    let detail = format!(
        "{prefix:?} is not of {shop}: write archive/{part}/... or the key of an object under quarantine/{part}/"
    );
    Err(StepError::lasting("bad_parameter", detail))
}

/// The prefix of the archive that holds the whole result from which the quarantine's `record`, kept under `key`, comes: the
/// result itself and the rest of its cut connections.
///
/// # Errors
/// When the record is of another shop, or says not which result it comes from.
pub fn whole_result(record: &Value, key: &str, shop: &str) -> Result<String, StepError> {
    let owner = record["shop_domain"].as_str().unwrap_or("no shop");
    if owner != shop {
        let detail = format!("{key} is of {owner}, not of {shop}");
        return Err(StepError::lasting("bad_parameter", detail));
    }
    let not_replayable = |what: &str| {
        let detail = format!(
            "{key} {what}; replay the day it comes from, archive/{}/DATE/",
            key_part(shop)
        );
        StepError::lasting("not_replayable", detail)
    };
    if !record["rejections"].is_array() {
        return Err(not_replayable("holds events"));
    }
    let object = record["object"]
        .as_str()
        .ok_or_else(|| not_replayable("does not say which result it is of"))?;
    if source(object, shop)? != Source::Archive {
        return Err(not_replayable("is not of a result"));
    }
    Ok(whole(object))
}

/// The prefix of the archive that holds all of the result of which `key` is a part: an order whose rest is not read with it would
/// lose what was cut.
#[must_use]
pub fn whole(key: &str) -> String {
    let base = key.strip_suffix(".jsonl").unwrap_or(key);
    let base = base.rsplit_once(".rest-").map_or(base, |(base, _)| base);
    format!("{base}.")
}

/// What a replay of `given`, in the archive, lists: a prefix as it is, and of a key all of its result.
#[must_use]
pub fn listed(given: &str) -> String {
    if given.ends_with(".jsonl") {
        return whole(given);
    }
    given.to_owned()
}

/// Whether the object `key`, with what is kept beside it, is lines that `weir.ingest_bulk` takes. Results of id queries lie in
/// the archive too.
#[must_use]
pub fn is_lines(key: &str, run: &HashMap<String, String>) -> bool {
    key.ends_with(".jsonl") && run.get("kind").is_some_and(|kind| BulkKind::from_name(kind).is_some())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SHOP: &str = "one.myshopify.com";

    #[test]
    fn only_what_is_the_shops_own_is_replayed() {
        assert_eq!(
            source("archive/one.myshopify.com/2026-11-24/", SHOP),
            Ok(Source::Archive)
        );
        assert_eq!(
            source("quarantine/one.myshopify.com/run/1.json", SHOP),
            Ok(Source::Record)
        );
        for other in [
            "archive/",
            "archive/two.myshopify.com/2026-11-24/",
            "archive/one.myshopify.com.evil/2026-11-24/",
            "quarantine/two.myshopify.com/run/1.json",
            "quarantine/one.myshopify.com/run/",
            "secrets/one.myshopify.com/",
        ] {
            let error = source(other, SHOP).unwrap_err();
            assert_eq!(error.kind, "bad_parameter");
            assert!(
                error.detail.contains(other) && error.detail.contains(SHOP),
                "{}",
                error.detail
            );
        }
    }

    #[test]
    fn a_refused_line_leads_to_the_whole_result_it_came_in() {
        let of = |record: Value| whole_result(&record, "quarantine/one.myshopify.com/run/1.json", SHOP);
        for object in [
            "archive/one.myshopify.com/2026-11-24/7.jsonl",
            "archive/one.myshopify.com/2026-11-24/7.rest-3.jsonl",
        ] {
            let record = json!({"shop_domain": SHOP, "object": object, "rejections": [{"line": "{}"}]});
            assert_eq!(of(record).unwrap(), "archive/one.myshopify.com/2026-11-24/7.");
        }
        let other =
            of(json!({"shop_domain": "two.myshopify.com", "object": "archive/x", "rejections": []})).unwrap_err();
        assert_eq!(other.kind, "bad_parameter");
        assert!(other.detail.contains("two.myshopify.com") && other.detail.contains(SHOP));
        let foreign = json!({"shop_domain": SHOP, "object": "archive/two.myshopify.com/1.jsonl", "rejections": []});
        assert_eq!(of(foreign).unwrap_err().kind, "bad_parameter");
        for record in [
            json!({"shop_domain": SHOP, "events": []}),
            json!({"shop_domain": SHOP, "rejections": []}),
        ] {
            assert_eq!(of(record).unwrap_err().kind, "not_replayable");
        }
    }

    #[test]
    fn a_key_of_the_archive_is_replayed_with_the_rest_of_its_result() {
        let day = "archive/one.myshopify.com/2026-11-24/";
        for (given, prefix) in [("", ""), ("7.jsonl", "7."), ("7.rest-3.jsonl", "7."), ("7", "7")] {
            assert_eq!(listed(&format!("{day}{given}")), format!("{day}{prefix}"));
        }
    }

    #[test]
    fn results_of_id_queries_are_not_lines_of_orders() {
        let run = |kind: &str| HashMap::from([("kind".to_owned(), kind.to_owned())]);
        assert!(is_lines("archive/a/b/1.jsonl", &run("orders_core")));
        assert!(is_lines("archive/a/b/1.rest-0.jsonl", &run("products")));
        assert!(!is_lines("archive/a/b/1.jsonl", &run("order_ids")));
        assert!(!is_lines("archive/a/b/1.cut.json", &run("orders_core")));
        assert!(!is_lines("archive/a/b/1.jsonl", &HashMap::new()));
    }
}
