//! What a refresh reads: everything, or what has come since the last one.

use iceberg::spec::Datum;
use iceberg::TableIdent;
use jiff::{SignedDuration, Timestamp};
use weir_domain::telemetry;

use super::base::{is_written, Base};
use super::identity::{computation_id, sales_refresh_id};
use super::inputs::{Before, Inputs, SalesFrom, Since};
use super::refresh::{How, Request};
use super::{objective_store, tables};
use crate::lake::changes::Added;
use crate::lake::ranges::Files;
use crate::lake::tables::stream_table;
use crate::lake::Lake;
use crate::{Error, Result};

/// Engagement is counted over 30 of the shop's days; two more for the widest time zones.
const ENGAGEMENT_HOURS: i64 = 32 * 24;

/// A refresh that is about to run.
#[derive(Debug)]
pub struct Plan {
    /// What was asked for.
    pub request: Request,
    /// What it comes to: `incremental`, `full` or `since`.
    pub mode: &'static str,
    /// Why it is a full one though an incremental one was asked for.
    pub reason: Option<String>,
    /// What it computes from.
    pub inputs: Inputs,
    /// What it writes over.
    pub written: Written,
}

/// The current snapshots of the measurement's tables when the plan was made. It commits only over their rows: those of another
/// refresh in between may tell of events that this one has not read.
#[derive(Debug, Clone, Copy)]
pub struct Written {
    /// Of `measurement.sales`.
    pub sales: Option<i64>,
    /// Of `measurement.performance`.
    pub performance: Option<i64>,
}

impl Plan {
    /// The same request without what the last refresh left.
    ///
    /// # Errors
    /// From the lake.
    pub async fn anew(self, lake: &Lake, reason: String) -> Result<Self> {
        let pinned = Pinned {
            commerce: stream_table(&telemetry::commerce())?,
            publication: stream_table(&telemetry::publication())?,
            commerce_snapshot: self.inputs.commerce_snapshot,
            publication_snapshot: self.inputs.publication_snapshot,
            written: self.written,
        };
        pinned.full(lake, self.request, Some(reason)).await
    }
}

/// One state of each table: everything is computed from it, whatever is committed meanwhile.
struct Pinned {
    commerce: TableIdent,
    publication: TableIdent,
    commerce_snapshot: Option<i64>,
    publication_snapshot: Option<i64>,
    written: Written,
}

/// Pins the snapshots, and decides what has to be read.
///
/// # Errors
/// From the lake.
pub async fn plan(lake: &Lake, request: Request) -> Result<Plan> {
    let commerce = stream_table(&telemetry::commerce())?;
    let publication = stream_table(&telemetry::publication())?;
    let pinned = Pinned {
        // First: whatever is committed after this is found out when the refresh commits.
        written: Written {
            sales: lake.current_snapshot(&tables::sales()).await?,
            performance: lake.current_snapshot(&tables::performance()).await?,
        },
        commerce_snapshot: lake.current_snapshot(&commerce).await?,
        publication_snapshot: lake.current_snapshot(&publication).await?,
        commerce,
        publication,
    };
    if request.how != How::Incremental {
        return pinned.full(lake, request, None).await;
    }
    let Some(base) = Base::read(lake).await? else {
        // What it read stood in the summary of its commit, which upkeep removes when it is old.
        let reason = match pinned.written.performance {
            Some(_) => "the last refresh is not to be told from measurement.performance: its snapshot has expired, or another writer came after it",
            None => "there is no earlier refresh to build on",
        };
        return pinned.full(lake, request, Some(reason.to_owned())).await;
    };
    match pinned.since(lake, request, base).await? {
        Ok(plan) => Ok(plan),
        Err(reason) => pinned.full(lake, request, Some(reason)).await,
    }
}

impl Pinned {
    async fn full(&self, lake: &Lake, request: Request, reason: Option<String>) -> Result<Plan> {
        let commerce = lake.files(&self.commerce, self.commerce_snapshot, "order_id").await?;
        Ok(Plan {
            request,
            mode: match request.how {
                How::Incremental => How::Full.name(),
                how => how.name(),
            },
            reason,
            inputs: Inputs {
                commerce_new: commerce.numbered(&commerce.paths()),
                publication: lake
                    .duckdb_relation(&self.publication, self.publication_snapshot)
                    .await?,
                performance: performance_near(lake, request.now).await?,
                sales: match request.how {
                    How::Incremental => self.written(lake).await?.unwrap_or(SalesFrom::Telemetry(None)),
                    How::Full => SalesFrom::Telemetry(None),
                    How::Since(day) => SalesFrom::Telemetry(held(lake).await?.map(|held| Since { day, held })),
                },
                before: None,
                commerce_snapshot: self.commerce_snapshot,
                publication_snapshot: self.publication_snapshot,
                specifications: objective_store::load(lake).await?,
                now: request.now,
            },
            written: self.written,
        })
    }

    /// The plan that builds on `base`, or why there is none.
    async fn since(&self, lake: &Lake, request: Request, base: Base) -> Result<Result<Plan, String>> {
        if base.computation != computation_id() {
            return Ok(Err("the last refresh was computed by another version".to_owned()));
        }
        let new = match lake
            .added_since(&self.commerce, Some(base.commerce), self.commerce_snapshot)
            .await?
        {
            Added::Files(files) => files,
            Added::Unknown(reason) => return Ok(Err(reason)),
        };
        if !lake.has_snapshot(&self.commerce, base.commerce).await? {
            return Ok(Err("the telemetry of the last refresh has expired".to_owned()));
        }
        let publication_new = match lake
            .added_since(&self.publication, base.publication, self.publication_snapshot)
            .await?
        {
            Added::Files(files) => files,
            Added::Unknown(reason) => return Ok(Err(reason)),
        };
        let sales = if lake.is_unchanged_since(&tables::sales(), base.sales).await? {
            SalesFrom::Changes(sales_files(lake).await?)
        } else {
            match self.written(lake).await? {
                Some(written) => written,
                None => {
                    return Ok(Err(
                        "measurement.sales is not what the last complete refresh wrote".to_owned()
                    ))
                }
            }
        };
        let first_day = base.shops.iter().map(|shop| shop.computed_on).min();
        let Some(first_day) = first_day else {
            return Ok(Err("the last refresh knew no shop".to_owned()));
        };
        let products = lake
            .duckdb_relation_from(
                &tables::performance(),
                Some(base.performance),
                "computed_on",
                Datum::date(super::write::days_since_1970(first_day)?),
            )
            .await?;
        let commerce = lake.files(&self.commerce, Some(base.commerce), "order_id").await?;
        let publication = lake
            .files(&self.publication, self.publication_snapshot, "product_id")
            .await?;
        Ok(Ok(Plan {
            request,
            mode: How::Incremental.name(),
            reason: None,
            inputs: Inputs {
                commerce_new: commerce.numbered(&new),
                publication: self.recent_publication(lake, request.now, publication_new).await?,
                performance: performance_near(lake, request.now).await?,
                sales,
                before: Some(Before {
                    shops: base.shops,
                    products,
                    commerce,
                    publication,
                }),
                commerce_snapshot: self.commerce_snapshot,
                publication_snapshot: self.publication_snapshot,
                specifications: objective_store::load(lake).await?,
                now: request.now,
            },
            written: self.written,
        }))
    }

    /// Sales as a refresh of this very telemetry wrote them, if the table's newest change is that one.
    async fn written(&self, lake: &Lake) -> Result<Option<SalesFrom>> {
        let newest = lake.newest_change(&tables::sales()).await?;
        if !is_written(newest.as_ref(), &sales_refresh_id(self.commerce_snapshot), false) {
            return Ok(None);
        }
        Ok(Some(SalesFrom::Written(sales_files(lake).await?)))
    }

    /// Interactions of the windows' days, and every one that is new, however old its time is.
    async fn recent_publication(&self, lake: &Lake, now: Timestamp, new: Vec<String>) -> Result<String> {
        if self.publication_snapshot.is_none() {
            return lake.duckdb_relation(&self.publication, None).await;
        }
        let since = now.saturating_sub(SignedDuration::from_hours(ENGAGEMENT_HOURS));
        let since = since.map_err(|error| Error::Invalid(format!("now: {error}")))?;
        let least = Datum::timestamptz_micros(since.as_microsecond());
        let mut files = lake
            .files_from(&self.publication, self.publication_snapshot, "occurred_at", least)
            .await?;
        files.extend(new);
        files.sort_unstable();
        files.dedup();
        lake.relation_of(&self.publication, &files).await
    }
}

/// The files of `measurement.sales` with their days.
async fn sales_files(lake: &Lake) -> Result<Files> {
    lake.current_files(&tables::sales(), "day").await
}

/// What `measurement.sales` holds, if anything was ever written.
async fn held(lake: &Lake) -> Result<Option<String>> {
    if lake.newest_change(&tables::sales()).await?.is_none() {
        return Ok(None);
    }
    Ok(Some(lake.duckdb_relation(&tables::sales(), None).await?))
}

/// Rows of `measurement.performance` whose day a shop may have at `now`; time zones reach from -12 to +14 hours.
async fn performance_near(lake: &Lake, now: Timestamp) -> Result<String> {
    let yesterday = now
        .checked_sub(SignedDuration::from_hours(24))
        .map_err(|error| Error::Invalid(format!("now: {error}")))?
        .to_zoned(jiff::tz::TimeZone::UTC)
        .date();
    let least = Datum::date(super::write::days_since_1970(yesterday)?);
    lake.duckdb_relation_from(&tables::performance(), None, "computed_on", least)
        .await
}
