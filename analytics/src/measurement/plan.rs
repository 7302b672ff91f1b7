//! What a refresh reads: everything, or what has come since the last one.

use iceberg::spec::Datum;
use jiff::SignedDuration;
use weir_domain::telemetry;

use super::as_of::AsOf;
use super::base::{self, is_written, Base};
use super::identity::{computation_id, sales_refresh_id};
use super::inputs::{Before, Inputs, SalesFrom, Since};
use super::refresh::{How, Request};
use super::{objective_store, tables};
use crate::lake::changes::Added;
use crate::lake::ranges::Files;
use crate::lake::state::State;
use crate::lake::tables::stream_table;
use crate::lake::Lake;
use crate::{Error, Result};

/// Engagement is counted over 30 of the shop's days; one more for time zones.
const ENGAGEMENT_HOURS: i64 = 31 * 24;

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
    /// The last pass over the same ended days, if it is one again.
    repeats: Option<String>,
    pinned: Pinned,
}

impl Plan {
    /// The current snapshot of `measurement.sales` when the plan was made. It commits only over its rows: those of another
    /// refresh in between may tell of events that this one has not read.
    #[must_use]
    pub fn written_sales(&self) -> Option<i64> {
        self.pinned.sales.current_snapshot()
    }

    /// The same of `measurement.performance`.
    #[must_use]
    pub fn written_performance(&self) -> Option<i64> {
        self.pinned.performance.current_snapshot()
    }

    /// What the summary of its commit of `measurement.performance` says of passes over ended days: [`base::ENDED`] and
    /// [`base::VISIBLE`].
    ///
    /// # Errors
    /// If a property weir wrote is not what weir writes.
    pub fn about_ended_days(&self) -> Result<[(&'static str, Option<String>); 2]> {
        let last = self.pinned.performance.newest_change();
        let text = |id: i64| id.to_string();
        Ok(match self.request.how {
            How::EndedDays => {
                let visible = match &last {
                    Some(last) => base::visible_before(last)?.or(Some(last.snapshot_id)),
                    None => None,
                };
                [(base::ENDED, None), (base::VISIBLE, visible.map(text))]
            }
            How::Incremental | How::Full | How::Since(_) => {
                // What the pass before this one has said, or has found said already.
                let ended = match Base::ended(&self.pinned.performance, self.request.now)? {
                    Some((base, _)) => Some(base.performance),
                    None => Base::seen(&self.pinned.performance)?.and_then(|base| base.ended),
                };
                [(base::ENDED, ended.map(text)), (base::VISIBLE, None)]
            }
        })
    }

    /// Whether a pass over ended days says of them what the one it builds on has said.
    #[must_use]
    pub fn is_repeated(&self, refresh_id: &str) -> bool {
        self.repeats.as_deref() == Some(refresh_id)
    }

    /// The same request without what the last refresh left.
    ///
    /// # Errors
    /// From the lake.
    pub async fn anew(self, lake: &Lake, reason: String) -> Result<Self> {
        let Inputs { as_of, .. } = self.inputs;
        self.pinned.full(lake, self.request, as_of, Some(reason)).await
    }
}

/// One state of each table: everything is computed from it, whatever is committed meanwhile.
#[derive(Debug, Clone)]
struct Pinned {
    sales: State,
    performance: State,
    commerce: State,
    publication: State,
}

/// Pins the states, and decides what has to be read.
///
/// # Errors
/// From the lake.
pub async fn plan(lake: &Lake, request: Request) -> Result<Plan> {
    let pinned = Pinned {
        // First: whatever is committed after this is found out when the refresh commits.
        sales: lake.state(&tables::sales()).await?,
        performance: lake.state(&tables::performance()).await?,
        commerce: lake.state(&stream_table(&telemetry::commerce())?).await?,
        publication: lake.state(&stream_table(&telemetry::publication())?).await?,
    };
    let now = AsOf::moment(request.now);
    let ended = match request.how {
        How::Incremental => None,
        How::EndedDays => Base::ended(&pinned.performance, request.now)?,
        How::Full | How::Since(_) => return pinned.full(lake, request, now, None).await,
    };
    let (base, as_of) = match ended {
        Some((base, as_of)) => (Some(base), as_of),
        None => (Base::seen(&pinned.performance)?, now),
    };
    let Some(base) = base else {
        // What it read stood in the summary of its commit, which upkeep removes when it is old.
        let reason = match pinned.performance.current_snapshot() {
            Some(_) => "the last refresh is not to be told from measurement.performance: its snapshot has expired, or another writer came after it",
            None => "there is no earlier refresh to build on",
        };
        return pinned.full(lake, request, as_of, Some(reason.to_owned())).await;
    };
    let is_last = pinned
        .performance
        .newest_change()
        .is_some_and(|last| last.snapshot_id == base.performance);
    match pinned.clone().since(lake, request, base, as_of.clone()).await? {
        Ok(plan) => Ok(plan),
        // What is late of a day that is over is worth no refresh of everything.
        Err(_) if !is_last => {
            let how = How::Incremental;
            Box::pin(plan(lake, Request { how, ..request })).await
        }
        Err(reason) => pinned.full(lake, request, as_of, Some(reason)).await,
    }
}

impl Pinned {
    async fn full(self, lake: &Lake, request: Request, as_of: AsOf, reason: Option<String>) -> Result<Plan> {
        let (commerce, publication, performance, sales, specifications) = tokio::try_join!(
            self.commerce.files(self.commerce.current_snapshot(), "order_id"),
            self.publication.relation(None),
            self.performance_near(&as_of),
            async {
                Ok(match request.how {
                    How::Incremental | How::EndedDays => self.written().await?.unwrap_or(SalesFrom::Telemetry(None)),
                    How::Full => SalesFrom::Telemetry(None),
                    How::Since(day) => SalesFrom::Telemetry(self.held().await?.map(|held| Since { day, held })),
                })
            },
            objective_store::load(lake),
        )?;
        Ok(Plan {
            request,
            mode: match request.how {
                How::Incremental | How::EndedDays => How::Full.name(),
                how => how.name(),
            },
            reason,
            inputs: Inputs {
                commerce_new: commerce.numbered(&commerce.paths()),
                publication,
                performance,
                sales,
                before: None,
                commerce_snapshot: self.commerce.current_snapshot(),
                publication_snapshot: self.publication.current_snapshot(),
                specifications,
                as_of,
            },
            repeats: None,
            pinned: self,
        })
    }

    /// The plan that builds on `base`, or why there is none.
    async fn since(self, lake: &Lake, request: Request, base: Base, as_of: AsOf) -> Result<Result<Plan, String>> {
        if base.computation != computation_id() {
            return Ok(Err("the last refresh was computed by another version".to_owned()));
        }
        let new = match self.commerce.added_since(Some(base.commerce)).await? {
            Added::Files(files) => files,
            Added::Unknown(reason) => return Ok(Err(reason)),
        };
        if !self.commerce.has_snapshot(base.commerce) {
            return Ok(Err("the telemetry of the last refresh has expired".to_owned()));
        }
        let publication_new = match self.publication.added_since(base.publication).await? {
            Added::Files(files) => files,
            Added::Unknown(reason) => return Ok(Err(reason)),
        };
        let sales = if self.sales.is_unchanged_since(base.sales) {
            SalesFrom::Changes(self.sales_files().await?)
        } else {
            match self.written().await? {
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
        let first_day = Datum::date(super::write::days_since_1970(first_day)?);
        let (commerce, publication, recent_publication, products, performance, specifications) = tokio::try_join!(
            self.commerce.files(Some(base.commerce), "order_id"),
            self.publication
                .files(self.publication.current_snapshot(), "product_id"),
            self.recent_publication(&as_of, publication_new),
            self.performance
                .relation_from(Some(base.performance), "computed_on", first_day),
            self.performance_near(&as_of),
            objective_store::load(lake),
        )?;
        Ok(Ok(Plan {
            request,
            mode: How::Incremental.name(),
            reason: None,
            inputs: Inputs {
                commerce_new: commerce.numbered(&new),
                publication: recent_publication,
                performance,
                sales,
                before: Some(Before {
                    shops: base.shops,
                    products,
                    commerce,
                    publication,
                }),
                commerce_snapshot: self.commerce.current_snapshot(),
                publication_snapshot: self.publication.current_snapshot(),
                specifications,
                as_of,
            },
            repeats: (request.how == How::EndedDays).then_some(base.refresh_id),
            pinned: self,
        }))
    }

    /// The files of `measurement.sales` with their days.
    async fn sales_files(&self) -> Result<Files> {
        self.sales.files(self.sales.current_snapshot(), "day").await
    }

    /// What `measurement.sales` holds, if anything was ever written.
    async fn held(&self) -> Result<Option<String>> {
        match self.sales.newest_change() {
            None => Ok(None),
            Some(_) => Ok(Some(self.sales.relation(None).await?)),
        }
    }

    /// Sales as a refresh of this very telemetry wrote them, if the table's newest change is that one.
    async fn written(&self) -> Result<Option<SalesFrom>> {
        let refresh_id = sales_refresh_id(self.commerce.current_snapshot());
        if !is_written(self.sales.newest_change().as_ref(), &refresh_id, None) {
            return Ok(None);
        }
        Ok(Some(SalesFrom::Written(self.sales_files().await?)))
    }

    /// Interactions of the windows' days, and every one that is new, however old its time is.
    async fn recent_publication(&self, as_of: &AsOf, new: Vec<String>) -> Result<String> {
        let since = as_of
            .earliest()?
            .saturating_sub(SignedDuration::from_hours(ENGAGEMENT_HOURS));
        let since = since.map_err(|error| Error::Invalid(format!("now: {error}")))?;
        let least = Datum::timestamptz_micros(since.as_microsecond());
        let mut files = self.publication.files_from(None, "occurred_at", least).await?;
        files.extend(new);
        files.sort_unstable();
        files.dedup();
        self.publication.relation_of(&files)
    }

    /// Rows of `measurement.performance` of the days that are computed.
    async fn performance_near(&self, as_of: &AsOf) -> Result<String> {
        let least = as_of.earliest()?.to_zoned(jiff::tz::TimeZone::UTC).date();
        let least = Datum::date(super::write::days_since_1970(least)?);
        self.performance.relation_from(None, "computed_on", least).await
    }
}
