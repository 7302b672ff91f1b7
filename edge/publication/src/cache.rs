//! The catalogues in this isolate's memory: KV is asked once per shop and time to live, not once per interaction.

use std::collections::HashMap;
use std::rc::Rc;

use weir_domain::interaction::catalogue::Catalogue;

/// How long KV is not asked for a catalogue again after it failed, in milliseconds: an outage costs one request in ten seconds
/// of an isolate its patience, and not each of them.
pub const PAUSE_MILLIS: i64 = 10_000;

/// How long a revision that was read outlives a lower one, in milliseconds. KV's edges lag a minute or more behind each other, so that
/// a lower one is likely an older one; later it is one of a shop that was forgotten and counts from one again.
pub const LAG_MILLIS: i64 = 300_000;

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
    /// Not to be asked for now, since KV failed moments ago or is being asked: the last one, if there ever was one.
    Paused(Option<Rc<Catalogue>>),
    /// Never read here.
    Absent,
}

/// A catalogue, and when it and its revision were read.
#[derive(Debug)]
struct Known {
    catalogue: Rc<Catalogue>,
    read_at: i64,
    /// When its revision was read for the first time.
    revision_since: i64,
}

/// Catalogues by shop, and until when KV is not asked for them.
#[derive(Debug, Default)]
pub struct CatalogueCache {
    shops: HashMap<String, Known>,
    paused_until: HashMap<String, i64>,
}

impl CatalogueCache {
    /// What is known of `shop_domain` at `now_millis`, with a time to live of `ttl_millis`.
    #[must_use]
    pub fn get(&self, shop_domain: &str, now_millis: i64, ttl_millis: i64) -> Cached {
        let is_paused = self
            .paused_until
            .get(shop_domain)
            .is_some_and(|until| now_millis < *until);
        match self.shops.get(shop_domain) {
            Some(known) if now_millis.saturating_sub(known.read_at) < ttl_millis => {
                Cached::Fresh(Rc::clone(&known.catalogue))
            }
            _ if is_paused => Cached::Paused(self.last(shop_domain)),
            Some(known) => Cached::Stale(Rc::clone(&known.catalogue)),
            None => Cached::Absent,
        }
    }

    /// Lets nobody ask KV for the catalogue of `shop_domain` before [`PAUSE_MILLIS`] after `now_millis`, or before it was read.
    pub fn pause(&mut self, shop_domain: &str, now_millis: i64) {
        self.paused_until
            .insert(shop_domain.to_owned(), now_millis.saturating_add(PAUSE_MILLIS));
    }

    /// The last catalogue of `shop_domain` that could be read, were it only that none is published yet.
    #[must_use]
    pub fn last(&self, shop_domain: &str) -> Option<Rc<Catalogue>> {
        self.shops.get(shop_domain).map(|known| Rc::clone(&known.catalogue))
    }

    /// Keeps what was read at `now_millis`. An older revision never replaces a newer one, of which [`LAG_MILLIS`] are enough to tell.
    pub fn put(&mut self, shop_domain: &str, catalogue: Catalogue, now_millis: i64) -> Rc<Catalogue> {
        self.paused_until.remove(shop_domain);
        let known = self.shops.get(shop_domain);
        let (newest, revision_since) = match known {
            Some(known) if is_to_stay(known, &catalogue, now_millis) => {
                (Rc::clone(&known.catalogue), known.revision_since)
            }
            Some(known) if known.catalogue.revision == catalogue.revision => (Rc::new(catalogue), known.revision_since),
            _ => (Rc::new(catalogue), now_millis),
        };
        let known = Known {
            catalogue: Rc::clone(&newest),
            read_at: now_millis,
            revision_since,
        };
        self.shops.insert(shop_domain.to_owned(), known);
        newest
    }
}

/// Whether what is `known` is newer than the `catalogue` read at `now_millis`.
fn is_to_stay(known: &Known, catalogue: &Catalogue, now_millis: i64) -> bool {
    known.catalogue.revision > catalogue.revision && now_millis.saturating_sub(known.revision_since) < LAG_MILLIS
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
    fn after_a_failure_kv_is_left_alone_for_a_while() {
        let mut cache = CatalogueCache::default();
        cache.pause("a", 1000);
        assert!(matches!(cache.get("a", 1000, 60), Cached::Paused(None)));
        assert!(matches!(cache.get("b", 1000, 60), Cached::Absent));
        assert!(matches!(cache.get("a", 1000 + PAUSE_MILLIS, 60), Cached::Absent));
        assert_eq!(cache.last("a"), None);
        cache.put("a", revision(1), 2000);
        assert_eq!(cache.last("a").unwrap().revision, 1);
        assert!(
            matches!(cache.get("a", 2060, 60), Cached::Stale(_)),
            "what was read ends the pause"
        );
        cache.pause("a", 2060);
        assert!(matches!(cache.get("a", 2059, 60), Cached::Fresh(_)));
        assert!(matches!(cache.get("a", 2060, 60), Cached::Paused(Some(known)) if known.revision == 1));
        assert!(matches!(cache.get("a", 2060 + PAUSE_MILLIS, 60), Cached::Stale(_)));
    }

    #[test]
    fn never_goes_back_to_an_older_revision() {
        let mut cache = CatalogueCache::default();
        cache.put("a", revision(2), 0);
        assert_eq!(cache.put("a", revision(1), 100).revision, 2);
        assert_eq!(cache.put("a", revision(3), 200).revision, 3);
    }

    #[test]
    fn a_shop_that_counts_from_one_again_is_believed_when_no_edge_lags_any_more() {
        let mut cache = CatalogueCache::default();
        cache.put("a", revision(2), 0);
        cache.put("a", revision(2), LAG_MILLIS - 2);
        assert_eq!(cache.put("a", revision(1), LAG_MILLIS - 1).revision, 2);
        assert_eq!(cache.put("a", revision(1), LAG_MILLIS).revision, 1);
        assert_eq!(cache.put("a", revision(2), LAG_MILLIS + 1).revision, 2);
    }
}
