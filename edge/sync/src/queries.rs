//! What is asked of the Admin API besides the bulk queries, and the one version that all of it is written for.

use weir_domain::shopify::bulk::BulkKind;
use weir_domain::watermark::Window;

use crate::deletion::Resource;

/// Version of the Admin API. Everything that names one names this.
pub const API_VERSION: &str = "2026-10";

/// The document of all calls that are not bulk queries; each call names its operation.
pub const ADMIN: &str = include_str!("../graphql/admin.graphql");

/// The query `name` of `window`, which is a [`BulkKind`] or reads the ids of a whole shop; `None` for another name. Its text
/// is the same in every attempt, by which a run finds its own operation again.
#[must_use]
pub fn bulk_query(name: &str, window: &Window) -> Option<String> {
    if let Some(resource) = Resource::ALL.into_iter().find(|resource| resource.query_name() == name) {
        return Some(resource.query(window));
    }
    let kind = BulkKind::from_name(name)?;
    Some(kind.query(window.from.as_microsecond(), window.to.as_microsecond()))
}

/// What the bulk query `kind` selects of each node of `connection`, with the connection's own arguments:
/// `("(includeRemovals: true)", "id title ...")`.
#[must_use]
pub fn selection(kind: BulkKind, connection: &str) -> Option<(String, String)> {
    let text = kind.query(0, 0);
    let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
    let (at, _) = text.match_indices(connection).find(|(at, _)| {
        let (before, after) = (&text[..*at], &text[at + connection.len()..]);
        !before.ends_with(is_name) && !after.starts_with(is_name)
    })?;
    let rest = &text[at + connection.len()..];
    let (arguments, body) = rest.split_at(rest.find('{')?);
    let node = body.find("node {")? + "node {".len();
    Some((arguments.trim().to_owned(), balanced(&body[node..])?.trim().to_owned()))
}

/// The text up to the brace that closes what is already open.
fn balanced(text: &str) -> Option<&str> {
    let mut depth = 1;
    for (index, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[..index]);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_gives_the_selection_of_its_nodes() {
        let (arguments, variants) = selection(BulkKind::Products, "variants").unwrap();
        assert_eq!(arguments, "");
        assert!(variants.starts_with("__typename id legacyResourceId"), "{variants}");
        assert!(variants.ends_with("selectedOptions { name value }"), "{variants}");
        let (arguments, _) = selection(BulkKind::OrdersCore, "shippingLines").unwrap();
        assert_eq!(arguments, "(includeRemovals: true)");
        let (_, sales) = selection(BulkKind::OrdersLedger, "sales").unwrap();
        assert!(sales.contains("actionType") && !sales.contains("happenedAt"), "{sales}");
        assert_eq!(selection(BulkKind::Products, "lineItems"), None);
    }

    #[test]
    fn the_same_window_gives_the_same_text_and_the_filter_is_the_field_of_the_order() {
        let window = Window {
            from: "2026-11-23T00:00:00Z".parse().unwrap(),
            to: "2026-11-24T00:00:00Z".parse().unwrap(),
        };
        for kind in BulkKind::ALL {
            let query = bulk_query(kind.as_str(), &window).unwrap();
            assert!(query.contains("2026-11-23T00:00:00.000Z") && query.contains("2026-11-24T00:00:00.000Z"));
            // Sorted by another field than it is filtered by, a result misses rows that change while it is read.
            assert!(
                query.contains("sortKey: UPDATED_AT") && query.contains("updated_at:>="),
                "{query}"
            );
            assert!(
                !query.contains("created_at:") && !query.contains("processed_at:"),
                "{query}"
            );
            assert_eq!(Some(query), bulk_query(kind.as_str(), &window));
        }
        assert_eq!(bulk_query("customers", &window), None);
    }
}
