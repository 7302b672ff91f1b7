//! What the last refresh left for the next one, and for readers: properties in the summaries of the measurement's own
//! snapshots. They are committed with the rows they tell of, so that there is no state beside the tables to fall out of
//! step with them.

use std::collections::HashMap;

use jiff::civil::Date;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::as_of::AsOf;
use super::tables;
use crate::lake::changes::{newest_change, Commit};
use crate::lake::duckdb::literal;
use crate::lake::state::State;
use crate::lake::Lake;
use crate::{Error, Result};

/// Identity of what was computed; the same inputs give the same one.
pub const REFRESH_ID: &str = "weir.refresh-id";
/// How: `incremental`, `full`, `since` and the day, or `ended_days`.
pub const MODE: &str = "weir.refresh-mode";
/// [`MODE`] of a pass over ended days.
pub const ENDED_DAYS: &str = "ended_days";
/// Identity of the SQL and the DuckDB that computed it.
pub const COMPUTATION: &str = "weir.computation-id";
/// Snapshot of `commerce.telemetry` it is computed from.
pub const COMMERCE: &str = "weir.commerce-snapshot-id";
/// Snapshot of `publication.telemetry`, absent if it had none.
pub const PUBLICATION: &str = "weir.publication-snapshot-id";
/// On `measurement.performance`: the snapshot of `measurement.sales` that belongs to it.
pub const SALES: &str = "weir.sales-snapshot-id";
/// On `measurement.performance`: its snapshot before this refresh went on to another day, which says what the one before came to;
/// absent if there was none.
pub const ENDED: &str = "weir.ended-days-snapshot-id";
/// On `measurement.performance`, of a pass over ended days: its snapshot before, which readers go on seeing until the refresh that
/// follows is committed too.
pub const VISIBLE: &str = "weir.visible-snapshot-id";
/// On `measurement.performance`: the shops, see [`ShopBefore`], as JSON.
pub const SHOPS: &str = "weir.shops";

/// A shop as a refresh left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShopBefore {
    /// The shop's myshopify.com domain.
    pub shop_domain: String,
    /// IANA name; UTC if no event has told one.
    pub shop_time_zone: String,
    /// When the newest event that told the zone was received, microseconds since 1970; none if no event did.
    pub told_at: Option<i64>,
    /// The shop's own date at the moment of the refresh.
    pub computed_on: Date,
    /// Currency of its newest sales by that date; none if it had none.
    pub currency: Option<String>,
    /// The day of those.
    pub newest_sale_on: Option<Date>,
}

/// The last complete refresh.
#[derive(Debug, Clone)]
pub struct Base {
    /// Identity of what it computed.
    pub refresh_id: String,
    /// Its snapshot of `measurement.performance`.
    pub performance: i64,
    /// The snapshot of `measurement.performance` that says what the days that were over by then came to.
    pub ended: Option<i64>,
    /// Its snapshot of `measurement.sales`.
    pub sales: i64,
    /// The snapshot of `commerce.telemetry` it read.
    pub commerce: i64,
    /// The snapshot of `publication.telemetry` it read.
    pub publication: Option<i64>,
    /// What computed it.
    pub computation: String,
    /// Its shops.
    pub shops: Vec<ShopBefore>,
}

impl Base {
    /// The last one. None if there was none, or another writer has written since.
    ///
    /// # Errors
    /// If the table cannot be read, or a property weir wrote is not what weir writes.
    pub async fn read(lake: &Lake) -> Result<Option<Self>> {
        Self::seen(&lake.state(&tables::performance()).await?)
    }

    /// The last one in a state of `measurement.performance`.
    ///
    /// # Errors
    /// If a property weir wrote is not what weir writes.
    pub fn seen(performance: &State) -> Result<Option<Self>> {
        match performance.newest_change() {
            Some(commit) => Self::of(&commit),
            None => Ok(None),
        }
    }

    /// What a pass over ended days builds on, and as of when: the last refresh, if it computed days that are over
    /// at `now`; or the last such pass, while its days have not been over for long. None if there is nothing to be done.
    ///
    /// # Errors
    /// As [`Self::seen`].
    pub fn ended(performance: &State, now: Timestamp) -> Result<Option<(Self, AsOf)>> {
        let Some(base) = Self::seen(performance)? else {
            return Ok(None);
        };
        let over = AsOf::ended(now, &base.shops);
        let earlier = base.ended.and_then(|id| performance.change(id));
        if let Some(earlier) = earlier.as_ref().map(Self::of).transpose()?.flatten() {
            let again = AsOf::ended_lately(now, &earlier.shops);
            let are_all_over_there = over
                .ended_shops()
                .iter()
                .all(|(shop, day)| again.ended_shops().get(shop) == Some(day));
            if !again.ended_shops().is_empty() && are_all_over_there {
                return Ok(Some((earlier, again)));
            }
        }
        Ok((!over.ended_shops().is_empty()).then_some((base, over)))
    }

    fn of(commit: &Commit) -> Result<Option<Self>> {
        let text = |name: &str| commit.properties.get(name);
        let (Some(refresh_id), Some(commerce), Some(sales), Some(computation), Some(shops)) = (
            text(REFRESH_ID),
            text(COMMERCE),
            text(SALES),
            text(COMPUTATION),
            text(SHOPS),
        ) else {
            return Ok(None);
        };
        Ok(Some(Self {
            refresh_id: refresh_id.clone(),
            performance: commit.snapshot_id,
            ended: text(ENDED).map(|id| snapshot_id(ENDED, id)).transpose()?,
            sales: snapshot_id(SALES, sales)?,
            commerce: snapshot_id(COMMERCE, commerce)?,
            publication: text(PUBLICATION).map(|id| snapshot_id(PUBLICATION, id)).transpose()?,
            computation: computation.clone(),
            shops: serde_json::from_str(shops)?,
        }))
    }
}

/// What readers see of `measurement.performance`.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The snapshot; none if the table has none.
    pub snapshot: Option<i64>,
    /// The snapshot of `measurement.sales` that belongs to it; none if the refresh behind it does not tell.
    pub sales: Option<i64>,
    /// The shops as the refresh behind it left them; none if it does not tell.
    pub shops: Vec<ShopBefore>,
}

impl Seen {
    /// What they see in a snapshot, now if none is named.
    ///
    /// # Errors
    /// As [`Base::read`].
    pub async fn read(lake: &Lake, snapshot: Option<i64>) -> Result<Self> {
        let table = lake.load(&tables::performance()).await?;
        let snapshot = snapshot.or(table.metadata().current_snapshot_id());
        let commit = newest_change(table.metadata(), snapshot);
        let before = commit.as_ref().map(visible_before).transpose()?.flatten();
        let before = before.and_then(|id| newest_change(table.metadata(), Some(id)));
        let (snapshot, commit) = match before {
            Some(before) => (Some(before.snapshot_id), Some(before)),
            None => (snapshot, commit),
        };
        let base = commit.as_ref().map(Base::of).transpose()?.flatten();
        Ok(Self {
            snapshot,
            sales: base.as_ref().map(|base| base.sales),
            shops: base.map(|base| base.shops).unwrap_or_default(),
        })
    }

    /// The earliest of the shops' newest days.
    #[must_use]
    pub fn first_day(&self) -> Option<Date> {
        self.shops.iter().map(|shop| shop.computed_on).min()
    }

    /// Each shop's newest day, as SQL that `DuckDB` can select from: the day of its last refresh. A later one may have been
    /// computed before, by a wrong `now` or in a zone that the shop has left. Where the refresh is not told, the latest
    /// day in `measurement_performance`.
    #[must_use]
    pub fn newest_days(&self) -> String {
        let days: Vec<_> = self
            .shops
            .iter()
            .map(|shop| format!("({}, '{}'::date)", literal(&shop.shop_domain), shop.computed_on))
            .collect();
        if days.is_empty() {
            let latest =
                "select shop_domain, max(computed_on) as computed_on from measurement_performance group by shop_domain";
            return format!("({latest})");
        }
        format!("(values {}) as days(shop_domain, computed_on)", days.join(", "))
    }
}

/// The snapshot that readers see in the place of a commit, if it is a pass over ended days.
///
/// # Errors
/// If the property is not what weir writes.
pub fn visible_before(commit: &Commit) -> Result<Option<i64>> {
    let id = commit.properties.get(VISIBLE);
    id.map(|id| snapshot_id(VISIBLE, id)).transpose()
}

fn snapshot_id(property: &str, text: &str) -> Result<i64> {
    text.parse()
        .map_err(|_| Error::Internal(format!("{property} is {text:?}, which is no snapshot id")))
}

/// The snapshot of `measurement.sales` that belongs to what `measurement.performance` says now: a refresh commits sales
/// first, and until performance follows readers keep seeing the pair of the refresh before. None if there is no refresh.
///
/// # Errors
/// [`Error::NotFound`] if that snapshot is no longer kept; else from the lake.
pub async fn sales_snapshot(lake: &Lake) -> Result<Option<i64>> {
    let table = lake.load(&tables::sales()).await?;
    let seen = Seen::read(lake, None).await?;
    let Some(sales) = seen.sales else {
        // Before the first refresh has ended there is nothing to see; after another writer's change of performance there
        // is no pair to keep.
        let is_begun = seen.snapshot.is_some();
        return Ok(table.metadata().current_snapshot_id().filter(|_| is_begun));
    };
    if table.metadata().snapshot_by_id(sales).is_some() {
        return Ok(Some(sales));
    }
    if lake.is_unchanged_since(&tables::sales(), sales).await? {
        return Ok(table.metadata().current_snapshot_id());
    }
    Err(Error::NotFound(
        "the sales of the last complete refresh are no longer kept; run a refresh".into(),
    ))
}

/// Whether a table's newest change is the commit of this refresh, so that it need not be written again. `mode`: rows are to be
/// written in this one, whatever is there; one in another mode with the same result does not replace it.
#[must_use]
pub fn is_written(newest: Option<&Commit>, refresh_id: &str, mode: Option<&str>) -> bool {
    newest.is_some_and(|commit| {
        let is = |name: &str, value: &str| commit.properties.get(name).is_some_and(|held| held == value);
        is(REFRESH_ID, refresh_id) && mode.is_none_or(|mode| is(MODE, mode))
    })
}

/// The property map of a commit, without the pairs that have no value.
#[must_use]
pub fn properties(pairs: &[(&str, Option<String>)]) -> HashMap<String, String> {
    pairs
        .iter()
        .filter_map(|(name, value)| Some(((*name).to_owned(), value.clone()?)))
        .collect()
}
