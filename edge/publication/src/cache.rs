//! The catalogues in this isolate's memory: KV is asked once per shop and time to live, not once per interaction.

use std::collections::HashMap;
use std::rc::Rc;

use weir_domain::interaction::catalogue::Catalogue;

/// KV key of the catalogue of `shop_domain`.
#[must_use]
pub fn key(shop_domain: &str) -> String {
    format!("catalogue/{shop_domain}")
}

/// A catalogue and whether it should be read again.
#[derive(Debug, Clone)]
pub enum Cached {
    /// Younger than the time to live.
    Fresh(Rc<Catalogue>),
    /// Older; still better than none when KV does not answer.
    Stale(Rc<Catalogue>),
    /// Never read here.
    Absent,
}

/// Catalogues by shop, with the time they were read.
#[derive(Debug, Default)]
pub struct CatalogueCache {
    shops: HashMap<String, (Rc<Catalogue>, i64)>,
}

impl CatalogueCache {
    /// What is known of `shop_domain` at `now_millis`, with a time to live of `ttl_millis`.
    #[must_use]
    pub fn get(&self, shop_domain: &str, now_millis: i64, ttl_millis: i64) -> Cached {
        match self.shops.get(shop_domain) {
            None => Cached::Absent,
            Some((catalogue, read_at)) if now_millis.saturating_sub(*read_at) < ttl_millis => {
                Cached::Fresh(Rc::clone(catalogue))
            }
            Some((catalogue, _)) => Cached::Stale(Rc::clone(catalogue)),
        }
    }

    /// Keeps what was read at `now_millis`. An older revision never replaces a newer one: KV's edges lag behind each other.
    pub fn put(&mut self, shop_domain: &str, catalogue: Catalogue, now_millis: i64) -> Rc<Catalogue> {
        let newest = match self.shops.get(shop_domain) {
            Some((known, _)) if known.revision > catalogue.revision => Rc::clone(known),
            _ => Rc::new(catalogue),
        };
        self.shops
            .insert(shop_domain.to_owned(), (Rc::clone(&newest), now_millis));
        newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(revision: i64) -> Catalogue {
        Catalogue {
            revision,
            ..Catalogue::default()
        }
    }

    #[test]
    fn is_fresh_for_its_time_and_stale_afterwards() {
        let mut cache = CatalogueCache::default();
        assert!(matches!(cache.get("a", 0, 60), Cached::Absent));
        cache.put("a", revision(1), 1000);
        assert!(matches!(cache.get("a", 1059, 60), Cached::Fresh(_)));
        assert!(matches!(cache.get("a", 1060, 60), Cached::Stale(known) if known.revision == 1));
        assert!(matches!(cache.get("b", 1000, 60), Cached::Absent));
    }

    #[test]
    fn never_goes_back_to_an_older_revision() {
        let mut cache = CatalogueCache::default();
        cache.put("a", revision(2), 0);
        assert_eq!(cache.put("a", revision(1), 100).revision, 2);
        assert_eq!(cache.put("a", revision(3), 200).revision, 3);
    }
}
