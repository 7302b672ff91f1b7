//! What a refresh is told rather than reads: the shops' days and the specifications that govern.

use std::collections::{BTreeMap, HashMap, HashSet};

use duckdb::{params, Connection};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::Timestamp;
use weir_domain::objective::{in_force, ObjectiveSpecification};
use weir_domain::time_zone;

use super::as_of::AsOf;
use super::base::ShopBefore;
use crate::{Error, Result};

/// Engagement is counted anew over 30 days; what the last refresh knew of the days before must reach up to them.
const MAX_DAYS_SINCE: i32 = 29;

/// Takes the zones out that are none, so that a shop keeps the last one that is and no other shop waits for it. What was taken
/// out, for people.
pub(super) fn pass_over_unknown_zones(connection: &Connection) -> Result<Vec<String>> {
    let told: Vec<(String, String)> = connection
        .prepare("select shop_domain, shop_time_zone from told_zone where shop_time_zone is not null order by all")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut warnings = Vec::new();
    for (shop_domain, zone) in told {
        if time_zone::named(&zone).is_some() {
            continue;
        }
        connection.execute(
            "update told_zone set shop_time_zone = null where shop_domain = ? and shop_time_zone = ?",
            params![shop_domain, zone],
        )?;
        warnings.push(format!(
            "{shop_domain}: an event says the time zone {zone:?}, which is none of IANA's; the last one that is, or UTC, holds"
        ));
    }
    Ok(warnings)
}

/// Each shop with its day of computation, also as the SQL's `shop_day`. Its newest sale is not known yet.
pub(super) fn insert_shop_days(connection: &Connection, as_of: &AsOf) -> Result<Vec<ShopBefore>> {
    let zones: Vec<(String, String, Option<i64>)> = connection
        .prepare("select shop_domain, shop_time_zone, epoch_us(told_at) from shop order by shop_domain")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut shops = Vec::with_capacity(zones.len());
    for (shop_domain, shop_time_zone, told_at) in zones {
        let computed_on = as_of.day(&shop_domain, &zone_of(&shop_domain, &shop_time_zone)?);
        connection.execute(
            "insert into shop_day values (?, ?::date)",
            params![shop_domain, computed_on.to_string()],
        )?;
        shops.push(ShopBefore {
            shop_domain,
            shop_time_zone,
            told_at,
            computed_on,
            currency: None,
            newest_sale_on: None,
        });
    }
    Ok(shops)
}

fn zone_of(shop_domain: &str, name: &str) -> Result<TimeZone> {
    time_zone::named(name).ok_or_else(|| Error::Invalid(format!("{shop_domain}: {name:?} is no time zone of IANA's")))
}

/// Why these shops cannot build on what was left of them, if they cannot.
pub(super) fn unusable(before: &[ShopBefore], now: &[ShopBefore]) -> Option<String> {
    let known: HashMap<_, _> = before.iter().map(|shop| (&shop.shop_domain, shop)).collect();
    now.iter().find_map(|shop| {
        let old = known.get(&shop.shop_domain)?;
        if old.shop_time_zone != shop.shop_time_zone {
            return Some(format!("the time zone of {} has changed", shop.shop_domain));
        }
        let days = old
            .computed_on
            .until(shop.computed_on)
            .map_or(i32::MAX, |span| span.get_days());
        (!(0..=MAX_DAYS_SINCE).contains(&days)).then(|| {
            format!(
                "the last refresh computed {} for {}, which is not within the {MAX_DAYS_SINCE} days before {}",
                old.computed_on, shop.shop_domain, shop.computed_on
            )
        })
    })
}

/// Adds each shop's newest sale, for the next refresh.
pub(super) fn with_newest_sales(connection: &Connection, shops: &mut [ShopBefore]) -> Result<()> {
    let newest: HashMap<String, (String, String)> = connection
        .prepare("select shop_domain, currency, newest_sale_on::varchar from shop_currency")?
        .query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?
        .collect::<Result<_, _>>()?;
    for shop in shops {
        if let Some((currency, day)) = newest.get(&shop.shop_domain) {
            shop.currency = Some(currency.clone());
            shop.newest_sale_on = Some(parse_day(day)?);
        }
    }
    Ok(())
}

/// A day as DuckDB tells it.
pub(super) fn parse_day(text: &str) -> Result<Date> {
    text.parse()
        .map_err(|error: jiff::Error| Error::Internal(error.to_string()))
}

/// The specifications in force for each shop, with [`ObjectiveSpecification::unset`] for every one that has none of its own: a
/// shop without a specification must not fall out of the result.
///
/// # Errors
/// As [`AsOf::specified_at`].
pub(super) fn governing(
    all: &[ObjectiveSpecification],
    shops: &[ShopBefore],
    as_of: &AsOf,
) -> Result<Vec<ObjectiveSpecification>> {
    let mut moments: BTreeMap<Timestamp, HashSet<&str>> = BTreeMap::new();
    for shop in shops {
        let zone = zone_of(&shop.shop_domain, &shop.shop_time_zone)?;
        let moment = as_of.specified_at(&shop.shop_domain, &zone)?;
        moments.entry(moment).or_default().insert(&shop.shop_domain);
    }
    let mut current = Vec::new();
    for (moment, names) in moments {
        let of_these = in_force(all, moment).into_iter();
        current.extend(
            of_these
                .filter(|spec| names.contains(spec.shop_domain.as_str()))
                .cloned(),
        );
    }
    let has_own: HashSet<_> = current
        .iter()
        .filter(|spec: &&ObjectiveSpecification| spec.product_type.is_none())
        .map(|spec| spec.shop_domain.clone())
        .collect();
    let unset = shops.iter().filter(|shop| !has_own.contains(&shop.shop_domain));
    current.extend(unset.map(|shop| ObjectiveSpecification::unset(&shop.shop_domain)));
    Ok(current)
}

pub(super) fn insert_specifications(connection: &Connection, specifications: &[ObjectiveSpecification]) -> Result<()> {
    let mut insert = connection.prepare(
        "insert into objective_spec values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, string_split(?, ','))",
    )?;
    for (number, spec) in (1_i32..).zip(specifications) {
        let weights = spec.engagement_weights.unwrap_or_default();
        let order: Vec<_> = spec.order().iter().map(|label| label.name()).collect();
        insert.execute(params![
            number,
            spec.objective_spec_id,
            spec.shop_domain,
            spec.product_type,
            spec.revision,
            spec.measure.name(),
            spec.threshold_7d,
            spec.threshold_14d,
            spec.threshold_30d,
            spec.banana_count,
            spec.stale_after_days,
            spec.banana_pool.name(),
            weights.views,
            weights.clicks,
            weights.conversions,
            weights.impressions,
            order.join(",")
        ])?;
    }
    Ok(())
}
