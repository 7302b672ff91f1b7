//! `weir sales`.

use super::client::{cell, money, Client};
use crate::say::note;
use crate::Result;

/// Arguments of `weir sales`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    client: Client,
    /// Only this shop (myshopify.com domain).
    #[arg(long)]
    shop: Option<String>,
    /// Only this product: Shopify's id of it.
    #[arg(long)]
    product: Option<String>,
    /// From this day on, yyyy-mm-dd in the shop's time zone.
    #[arg(long)]
    from: Option<String>,
    /// Up to and including this day.
    #[arg(long)]
    to: Option<String>,
}

/// Prints sales by shop, day and product.
///
/// # Errors
/// If the server is not reachable or refuses.
pub async fn run(args: Args) -> Result<()> {
    let parameters = [
        ("shop", args.shop.as_deref()),
        ("product", args.product.as_deref()),
        ("from", args.from.as_deref()),
        ("to", args.to.as_deref()),
    ];
    let answer = args.client.get("/v1/sales", &parameters).await?;
    let plain = [
        "shop_domain",
        "day",
        "product_id",
        "currency",
        "units_sold",
        "units_returned",
    ];
    let amounts = ["gross_sales", "discounts", "returns", "net_sales"];
    let rows = answer["sales"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| {
            let mut cells: Vec<_> = plain.iter().map(|name| cell(&row[*name])).collect();
            cells.extend(amounts.iter().map(|name| money(&row[*name], &row["currency"])));
            cells
        })
        .collect::<Vec<_>>();
    if rows.is_empty() {
        note!("no sales; what has come since the last refresh is not among them (weir refresh)");
    }
    let header = [
        "shop",
        "day",
        "product",
        "currency",
        "sold",
        "returned",
        "gross",
        "discounts",
        "returns",
        "net",
    ];
    args.client.show(&answer, &header, rows);
    Ok(())
}
