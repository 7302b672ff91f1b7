//! The published catalogue of a shop, as `weir.publication_catalogue` gives it and the edge caches it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::given::Given;

/// Publishers, items, programs and links of one shop.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Catalogue {
    /// The shop.
    pub shop_domain: String,
    /// Grows with every publication; the newer one holds.
    pub revision: i64,
    /// By publisher id.
    pub publishers: HashMap<String, Publisher>,
    /// By item id.
    pub items: HashMap<String, Item>,
    /// By program id.
    pub programs: HashMap<String, Program>,
    /// By code of the redirect.
    pub links: HashMap<String, CatalogueLink>,
}

/// A publisher.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Publisher {
    /// Its name.
    pub name: Option<String>,
}

/// A published item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    /// Who published it.
    pub publisher_id: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// Where it is.
    pub url: Option<String>,
    /// What it is, such as article or video.
    pub kind: Option<String>,
}

/// A publisher program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Program {
    /// Its name.
    pub name: Option<String>,
    /// Whose it is, when it is one publisher's.
    pub publisher_id: Option<String>,
}

/// A redirect link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CatalogueLink {
    /// Where it leads.
    pub url: String,
    /// Publisher whose link it is.
    pub publisher_id: Option<String>,
    /// Item it stands in.
    pub item_id: Option<String>,
    /// Program it belongs to.
    pub program_id: Option<String>,
    /// Where on the page.
    pub placement: Option<String>,
    /// Product that it leads to, decimal.
    pub product_id: Option<String>,
}

impl Catalogue {
    /// Fills in what the catalogue knows of `given`: first from its link, then publisher of the item, then of the program.
    ///
    /// The catalogue is the shop's word and wins over the sender's. What it does not know stays as it was given. Returns
    /// whether every id of the sender's is known (true when there is none).
    pub fn enrich(&self, given: &mut Given) -> bool {
        if let Some(link) = given.link_code.as_ref().and_then(|code| self.links.get(code)) {
            let fields = [
                (&mut given.publisher_id, &link.publisher_id),
                (&mut given.item_id, &link.item_id),
                (&mut given.program_id, &link.program_id),
                (&mut given.placement, &link.placement),
                (&mut given.product_id, &link.product_id),
            ];
            for (field, known) in fields {
                if known.is_some() {
                    field.clone_from(known);
                }
            }
        }
        let item = given.item_id.as_ref().map(|id| self.items.get(id));
        let program = given.program_id.as_ref().map(|id| self.programs.get(id));
        let owner = item
            .flatten()
            .and_then(|item| item.publisher_id.as_ref())
            .or_else(|| program.flatten().and_then(|program| program.publisher_id.as_ref()));
        if let Some(publisher_id) = owner {
            given.publisher_id = Some(publisher_id.clone());
        }
        let publisher = given.publisher_id.as_ref().map(|id| self.publishers.contains_key(id));
        let link = given.link_code.as_ref().map(|code| self.links.contains_key(code));
        [
            item.map(|item| item.is_some()),
            program.map(|program| program.is_some()),
            publisher,
            link,
        ]
        .into_iter()
        .flatten()
        .all(|known| known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interaction::Kind;

    fn catalogue() -> Catalogue {
        serde_json::from_str(
            r#"{"shop_domain":"demo.myshopify.com","revision":3,
                "publishers":{"p-1":{"name":"One"},"p-2":{"name":"Two"}},
                "items":{"i-1":{"publisher_id":"p-1","title":"Lamps","url":"https://one.example/lamps","kind":null}},
                "programs":{"g-1":{"name":"Spring","publisher_id":"p-2"},"g-2":{"name":"All"}},
                "links":{"spring":{"url":"https://shop.example/p","publisher_id":"p-1","item_id":"i-1","program_id":"g-2","placement":"hero","product_id":"7"}}}"#,
        )
        .unwrap()
    }

    fn given() -> Given {
        Given::new(Kind::Click, "k", "demo.myshopify.com")
    }

    #[test]
    fn the_publisher_of_an_item_wins_over_what_is_claimed() {
        let mut event = Given {
            item_id: Some("i-1".into()),
            publisher_id: Some("p-2".into()),
            ..given()
        };
        assert!(catalogue().enrich(&mut event));
        assert_eq!(event.publisher_id.as_deref(), Some("p-1"));
        let mut event = Given {
            program_id: Some("g-1".into()),
            ..given()
        };
        assert!(catalogue().enrich(&mut event));
        assert_eq!(event.publisher_id.as_deref(), Some("p-2"));
    }

    #[test]
    fn a_link_brings_everything() {
        let mut event = Given {
            link_code: Some("spring".into()),
            ..given()
        };
        assert!(catalogue().enrich(&mut event));
        let of = |field: &Option<String>| field.clone().unwrap();
        assert_eq!(
            [
                of(&event.publisher_id),
                of(&event.item_id),
                of(&event.program_id),
                of(&event.placement),
                of(&event.product_id)
            ],
            ["p-1", "i-1", "g-2", "hero", "7"]
        );
    }

    #[test]
    fn what_is_unknown_stays_as_given() {
        let mut event = Given {
            item_id: Some("i-9".into()),
            publisher_id: Some("p-9".into()),
            ..given()
        };
        let before = event.clone();
        assert!(!catalogue().enrich(&mut event));
        assert_eq!(event, before);
        assert!(
            Catalogue::default().enrich(&mut given()),
            "nothing is named, so nothing is unknown"
        );
    }
}
