//! The rest of a connection that a bulk result has cut, read page by page through the ordinary API and written as the
//! same lines, so that what reads a bulk result reads this.

use serde_json::{json, Value};

use weir_domain::shopify::bulk::BulkKind;

use crate::jsonl::Cut;
use crate::queries::selection;
use crate::step::StepError;

/// Children asked for at once.
const PAGE: u32 = 100;

/// A connection below a connection. The outer one is read one node at a time, so that one inner cursor is enough.
fn nested(connection: &str) -> Option<&'static str> {
    match connection {
        "agreements" => Some("sales"),
        "returns" => Some("returnLineItems"),
        _ => None,
    }
}

/// Where the reading of a connection is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// Cursor in the connection.
    pub after: Option<String>,
    /// Cursor in the connection below it.
    pub inner: Option<String>,
}

/// The query of `connection`, with what the bulk query `kind` selects of it.
///
/// # Errors
/// When the bulk query has no such connection.
pub fn document(kind: BulkKind, connection: &str) -> Result<String, StepError> {
    let absent = || {
        StepError::lasting(
            "unknown_connection",
            format!("{connection} is not in {}", kind.as_str()),
        )
    };
    let (arguments, own) = selection(kind, connection).ok_or_else(absent)?;
    let root = if kind == BulkKind::Products { "product" } else { "order" };
    let Some(below) = nested(connection) else {
        let page = paged(connection, &arguments, PAGE, "$after", &own);
        return Ok(format!(
            "query Rest($id: ID!, $after: String) {{ {root}(id: $id) {{ id {page} }} }}"
        ));
    };
    let (_, inner) = selection(kind, below).ok_or_else(absent)?;
    let own = own
        .find(&format!("{below} {{"))
        .map(|at| &own[..at])
        .ok_or_else(absent)?;
    let inner = paged(below, "", PAGE, "$inner", &inner);
    let page = paged(connection, &arguments, 1, "$after", &format!("{own} {inner}"));
    Ok(format!(
        "query Rest($id: ID!, $after: String, $inner: String) {{ {root}(id: $id) {{ id {page} }} }}"
    ))
}

fn paged(connection: &str, arguments: &str, first: u32, after: &str, selection: &str) -> String {
    let more = arguments.trim_start_matches('(').trim_end_matches(')');
    let separator = if more.is_empty() { "" } else { ", " };
    format!(
        "{connection}(first: {first}, after: {after}{separator}{more}) {{ edges {{ node {{ {selection} }} }} \
         pageInfo {{ hasNextPage endCursor }} }}"
    )
}

/// The variables of the page at `place`.
#[must_use]
pub fn variables(cut: &Cut, place: &Place) -> Value {
    let mut variables = json!({"id": cut.root, "after": place.after});
    if nested(&cut.connection).is_some() {
        variables["inner"] = json!(place.inner);
    }
    variables
}

/// Adds the lines of an answer to `lines` and says where the next page is, or `None` after the last.
///
/// # Errors
/// When the answer is not what was asked for.
pub fn lines(cut: &Cut, place: &Place, data: &Value, lines: &mut Vec<String>) -> Result<Option<Place>, StepError> {
    let root = data
        .as_object()
        .and_then(|data| data.values().next())
        .unwrap_or(&Value::Null);
    if root.is_null() {
        return Ok(None); // Deleted since the bulk query read it.
    }
    let page = &root[&cut.connection];
    let edges = page["edges"]
        .as_array()
        .ok_or_else(|| StepError::passing("unreadable_answer", format!("{} has no edges", cut.connection)))?;
    for edge in edges {
        let mut node = edge["node"].clone();
        if let Some(below) = nested(&cut.connection) {
            let children = node[below].take();
            if let Some(node) = node.as_object_mut() {
                node.remove(below);
            }
            let parent = node["id"].as_str().unwrap_or_default().to_owned();
            // The parent's own line comes with each page of its children; a repetition changes nothing.
            lines.push(line(node, &cut.root));
            for child in children["edges"].as_array().into_iter().flatten() {
                lines.push(line(child["node"].clone(), &parent));
            }
            if let Some(inner) = next(&children["pageInfo"]) {
                return Ok(Some(Place {
                    after: place.after.clone(),
                    inner: Some(inner),
                }));
            }
        } else {
            lines.push(line(node, &cut.root));
        }
    }
    Ok(next(&page["pageInfo"]).map(|after| Place {
        after: Some(after),
        inner: None,
    }))
}

fn next(page_info: &Value) -> Option<String> {
    let more = page_info["hasNextPage"].as_bool() == Some(true);
    page_info["endCursor"].as_str().filter(|_| more).map(str::to_owned)
}

fn line(mut node: Value, parent: &str) -> String {
    node["__parentId"] = parent.into();
    node.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(connection: &str) -> Cut {
        Cut {
            root: "gid://shopify/Order/1".into(),
            connection: connection.into(),
        }
    }

    #[test]
    fn a_page_becomes_lines_and_a_place() {
        let data = json!({"order": {"id": "gid://shopify/Order/1", "lineItems": {
            "edges": [{"node": {"id": "gid://shopify/LineItem/1", "__typename": "LineItem"}}],
            "pageInfo": {"hasNextPage": true, "endCursor": "c1"}}}});
        let mut all = Vec::new();
        let place = lines(&cut("lineItems"), &Place::default(), &data, &mut all)
            .unwrap()
            .unwrap();
        assert_eq!(place.after.as_deref(), Some("c1"));
        let line: Value = serde_json::from_str(&all[0]).unwrap();
        assert_eq!(line["__parentId"], "gid://shopify/Order/1");
        let gone = lines(&cut("lineItems"), &place, &json!({"order": null}), &mut all).unwrap();
        assert_eq!(gone, None);
    }

    #[test]
    fn the_inner_connection_is_read_to_its_end_before_the_outer_goes_on() {
        let data = |inner_more: bool| {
            json!({"order": {"agreements": {
                "edges": [{"node": {"id": "A", "happenedAt": "t", "sales": {
                    "edges": [{"node": {"id": "S"}}], "pageInfo": {"hasNextPage": inner_more, "endCursor": "i1"}}}}],
                "pageInfo": {"hasNextPage": true, "endCursor": "o1"}}}})
        };
        let mut all = Vec::new();
        let first = lines(&cut("agreements"), &Place::default(), &data(true), &mut all)
            .unwrap()
            .unwrap();
        assert_eq!((first.after.as_deref(), first.inner.as_deref()), (None, Some("i1")));
        let second = lines(&cut("agreements"), &first, &data(false), &mut all)
            .unwrap()
            .unwrap();
        assert_eq!((second.after.as_deref(), second.inner.as_deref()), (Some("o1"), None));
        assert_eq!(
            all[0],
            r#"{"__parentId":"gid://shopify/Order/1","happenedAt":"t","id":"A"}"#
        );
        assert_eq!(all[1], r#"{"__parentId":"A","id":"S"}"#);
        assert_eq!(variables(&cut("agreements"), &first)["inner"], "i1");
    }

    #[test]
    fn every_connection_of_the_bulk_queries_can_be_read_again() {
        for (kind, connection) in [
            (BulkKind::OrdersCore, "lineItems"),
            (BulkKind::OrdersCore, "shippingLines"),
            (BulkKind::OrdersLedger, "agreements"),
            (BulkKind::OrdersLedger, "returns"),
            (BulkKind::Products, "variants"),
        ] {
            let text = document(kind, connection).unwrap();
            assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
            assert!(text.contains("pageInfo"), "{text}");
        }
        assert!(document(BulkKind::Products, "lineItems").is_err());
    }
}
