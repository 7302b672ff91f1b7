//! What a refresh computes from, and what it hands on to be written.

use arrow_array::RecordBatch;
use duckdb::Connection;
use jiff::civil::Date;
use weir_domain::objective::ObjectiveSpecification;

use super::as_of::AsOf;
use super::base::ShopBefore;
use crate::lake::ranges::Files;

/// What a refresh computes from. Relations are SQL that DuckDB can select from.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// Rows of `commerce.telemetry` that the last refresh did not read, all in a full one; with `event_row`, see
    /// [`Files::numbered`].
    pub commerce_new: String,
    /// Rows of `publication.telemetry`: at least those of the windows, and those new since the last refresh.
    pub publication: String,
    /// Rows of `measurement.performance` on the days computed, before this refresh.
    pub performance: String,
    /// Where sales come from.
    pub sales: SalesFrom,
    /// The refresh this one builds on; none for a full one.
    pub before: Option<Before>,
    /// Snapshot of `commerce.telemetry`.
    pub commerce_snapshot: Option<i64>,
    /// Snapshot of `publication.telemetry`.
    pub publication_snapshot: Option<i64>,
    /// All revisions of all specifications.
    pub specifications: Vec<ObjectiveSpecification>,
    /// As of when it computes.
    pub as_of: AsOf,
}

/// What the last refresh left, and the history it has read. Of the history only the files that may tell of something new
/// are opened.
#[derive(Debug, Clone)]
pub struct Before {
    /// Its shops.
    pub shops: Vec<ShopBefore>,
    /// Its rows of `measurement.performance`.
    pub products: String,
    /// `commerce.telemetry` as it read it, with the bounds of `order_id`.
    pub commerce: Files,
    /// All of `publication.telemetry`, with the bounds of `product_id`.
    pub publication: Files,
}

/// Where the sales of a refresh come from.
#[derive(Debug, Clone)]
pub enum SalesFrom {
    /// All of telemetry; to be written are all days, or the ones named.
    Telemetry(Option<Since>),
    /// `measurement.sales` as the last refresh wrote it, with the bounds of `day`, and what the orders touched since
    /// change in it. Needs [`Inputs::before`].
    Changes(Files),
    /// `measurement.sales` itself, with the bounds of `day`: a refresh of the same telemetry has written it and then
    /// broken off.
    Written(Files),
}

/// The days from one on, and earlier ones whose content differs from what the table holds.
#[derive(Debug, Clone)]
pub struct Since {
    /// The first day.
    pub day: Date,
    /// Rows of `measurement.sales`.
    pub held: String,
}

/// Rows that are ready to be written while the rest is still computed. They may be committed only when all of it is done.
#[derive(Debug)]
pub enum Ready {
    /// Those of `measurement.sales`.
    Sales {
        /// The database that holds them, see [`SALES_QUERY`].
        connection: Connection,
        /// The days to be replaced; none if everything is.
        changed_days: Option<Vec<Date>>,
        /// How many rows there are.
        count: u64,
    },
    /// Those of `measurement.performance`, not yet compared with the reference.
    Performance {
        /// Identity of their content.
        refresh_id: String,
        /// The days to be replaced.
        days: Vec<Date>,
        /// The rows of those days.
        rows: Vec<RecordBatch>,
    },
}

/// What a refresh has computed, beside the rows that were handed out when they were [`Ready`].
#[derive(Debug)]
pub struct Computed {
    /// All of sales, where they were not handed out: to sort them takes the memory that products need, and is begun when the
    /// thread that computed can be used again, whose allocator keeps what it has freed.
    pub sales: Option<Ready>,
    /// Identity of the content of the days of `measurement.performance`.
    pub performance_refresh_id: String,
    /// The days of `measurement.sales` to be replaced; none if everything is.
    pub changed_days: Option<Vec<Date>>,
    /// The rows of `measurement.performance`.
    pub performance: Vec<RecordBatch>,
    /// Their days.
    pub days: Vec<Date>,
    /// The shops, for the next refresh to build on.
    pub shops: Vec<ShopBefore>,
    /// Rows of commerce telemetry that were new, repeated deliveries included.
    pub event_count: u64,
    /// Orders of which something new was told; none if all were read.
    pub order_count: Option<u64>,
    /// Rows that sales now have.
    pub sales_rows: u64,
    /// Products classified.
    pub product_count: u64,
    /// What was passed over, for people.
    pub warnings: Vec<String>,
}

/// The rows of `measurement.sales` to be written, day by day, asked of the connection that computed them.
pub const SALES_QUERY: &str = "select * from sales_written";

/// How a computation ended.
#[derive(Debug)]
pub enum Outcome {
    /// With rows to write.
    Done(Box<Computed>),
    /// What the last refresh left is of no use, for this reason: everything has to be computed anew.
    NeedsFull(String),
}
