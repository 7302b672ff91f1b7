//! Bodies of `products/*`.

use super::bulk::required_gid;
use super::json::Node;
use super::{BodyError, Context};
use crate::order_state::{Product, Variant};

pub(super) fn product(node: &Node<'_>, context: Context) -> Result<Product, BodyError> {
    let product_id = node.id("id")?;
    let mut variants = Vec::new();
    for variant in node.objects("variants")? {
        // A price is no fact of product_changed and no sale is computed from it. One that does not fit the shop's currency
        // (the shop changed it, a sample body) must not hide that the product was archived: it is kept as it was sent.
        let sent = variant.decimal("price")?;
        let price = variant.money("price", context.currency).unwrap_or_default();
        variants.push(Variant {
            variant_id: variant.id("id")?,
            title: variant.text("title")?,
            sku: variant.text("sku")?,
            price,
            price_text: sent.filter(|_| price.is_none()).map(str::to_owned),
            told_updated_at: None,
            told_triggered_at: None,
        });
    }
    // Of a large product the first 100 are told, and all are named.
    for named in node.objects("variant_gids")? {
        variants.push(Variant::named(required_gid(&named, "admin_graphql_api_id")?.id));
    }
    variants.sort_by_key(|variant| variant.variant_id);
    variants.dedup_by_key(|variant| variant.variant_id);
    let updated_at = node.time("updated_at")?.or(node.time("created_at")?);
    Ok(Product {
        product_id,
        title: node.text("title")?,
        vendor: node.text("vendor")?,
        product_type: node.text("product_type")?,
        status: node.text("status")?,
        created_at: node.time("created_at")?,
        published_at: node.time("published_at")?,
        updated_at: Some(updated_at.unwrap_or(context.triggered_at)),
        triggered_at: Some(context.triggered_at),
        deleted_at: None,
        variants,
        raw: node.raw(),
    })
}
