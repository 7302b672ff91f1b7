//! What the last refresh left for the next one, and for readers: properties in the summaries of the measurement's own
//! snapshots. They are committed with the rows they tell of, so that there is no state beside the tables to fall out of
//! step with them.

use std::collections::HashMap;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::tables;
use crate::lake::changes::{newest_change, Commit};
use crate::lake::duckdb::literal;
use crate::lake::state::State;
use crate::lake::Lake;
use crate::{Error, Result};

/// Identity of what was computed; the same inputs give the same one.
pub const REFRESH_ID: &str = "weir.refresh-id";
/// How: `incremental`, `full`, or `since` and the day.
pub const MODE: &str = "weir.refresh-mode";
/// Identity of the SQL and the DuckDB that computed it.
pub const COMPUTATION: &str = "weir.computation-id";
/// Snapshot of `commerce.telemetry` it is computed from.
pub const COMMERCE: &str = "weir.commerce-snapshot-id";
/// Snapshot of `publication.telemetry`, absent if it had none.
pub const PUBLICATION: &str = "weir.publication-snapshot-id";
/// On `measurement.performance`: the snapshot of `measurement.sales` that belongs to it.
pub const SALES: &str = "weir.sales-snapshot-id";
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
    /// Its snapshot of `measurement.performance`.
    pub performance: i64,
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
    /// The refresh that readers see now. None if there was none, or another writer has written since.
    ///
    /// # Errors
    /// If the table cannot be read, or a property weir wrote is not what weir writes.
    pub async fn read(lake: &Lake) -> Result<Option<Self>> {
        Self::seen(&lake.state(&tables::performance()).await?)
    }

    /// The refresh that readers saw in a state of `measurement.performance`.
    ///
    /// # Errors
    /// If a property weir wrote is not what weir writes.
    pub fn seen(performance: &State) -> Result<Option<Self>> {
        match performance.newest_change() {
            Some(commit) => Self::of(&commit),
            None => Ok(None),
        }
    }

    fn of(commit: &Commit) -> Result<Option<Self>> {
        let text = |name: &str| commit.properties.get(name);
        let (Some(commerce), Some(sales), Some(computation), Some(shops)) =
            (text(COMMERCE), text(SALES), text(COMPUTATION), text(SHOPS))
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            performance: commit.snapshot_id,
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
        let base = commit.as_ref().map(Base::of).transpose()?.flatten();
        Ok(Self {
            snapshot,
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
    let Some(base) = Base::read(lake).await? else {
        // Before the first refresh has ended there is nothing to see; after another writer's change of performance there
        // is no pair to keep.
        let performance = lake.load(&tables::performance()).await?;
        let is_begun = performance.metadata().current_snapshot_id().is_some();
        return Ok(table.metadata().current_snapshot_id().filter(|_| is_begun));
    };
    if table.metadata().snapshot_by_id(base.sales).is_some() {
        return Ok(Some(base.sales));
    }
    if lake.is_unchanged_since(&tables::sales(), base.sales).await? {
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
