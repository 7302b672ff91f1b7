//! The three streams. Adding a field here is a new stream version at Cloudflare; see docs in ARCHITECTURE.

use super::schema::{
    Field,
    FieldType::{self, Bool, Date, Float64, Int32, Int64, List, String, Struct, Timestamp},
    StreamSchema,
};

fn required(name: &'static str, field_type: FieldType, doc: &'static str) -> Field {
    Field {
        name,
        field_type,
        required: true,
        doc,
    }
}

fn optional(name: &'static str, field_type: FieldType, doc: &'static str) -> Field {
    Field {
        name,
        field_type,
        required: false,
        doc,
    }
}

/// The envelope of every telemetry event. Aligns with CloudEvents: id, type, time, source, subject.
fn envelope() -> Vec<Field> {
    vec![
        required(
            "event_id",
            String,
            "Deterministic UUIDv5 of the fact; dedupe on it [IAO: identifier]",
        ),
        required(
            "event_type",
            String,
            "What happened, for example order_created [IAO: information content entity]",
        ),
        required(
            "schema_version",
            Int32,
            "Version of this row's shape, now 1 [IAO: version number]",
        ),
        required(
            "occurred_at",
            Timestamp,
            "Business time of the fact [BFO: temporal instant]",
        ),
        required(
            "received_at",
            Timestamp,
            "When the edge took it in [BFO: temporal instant]",
        ),
        required(
            "event_date",
            Date,
            "yyyy-mm-dd of occurred_at in UTC [BFO: temporal interval]",
        ),
        required(
            "event_hour",
            Int32,
            "0 to 23, hour of occurred_at in UTC [BFO: temporal interval]",
        ),
        required(
            "source",
            String,
            "webhook, bulk_sync, backfill, replay, interaction or workflow [PKO: procedure]",
        ),
        required(
            "shop_domain",
            String,
            "The shop's myshopify.com domain [CCO: commercial organization]",
        ),
    ]
}

fn stream(name: &'static str, table: &'static str, doc: &'static str, own: Vec<Field>) -> StreamSchema {
    let mut fields = envelope();
    fields.extend(own);
    StreamSchema {
        name,
        table,
        doc,
        fields,
    }
}

/// COMMERCE_TELEMETRY: orders with their complete sales ledger, payments, fulfilments, returns, products.
#[must_use]
pub fn commerce() -> StreamSchema {
    stream(
        "commerce_v1",
        "commerce.telemetry",
        "One fact of the shop's commerce, denormalised [IAO: information content entity about a CCO act of commerce]",
        vec![
            optional(
                "shop_time_zone",
                String,
                "IANA zone that defines the shop's days [CCO: designative name]",
            ),
            optional("order_id", String, "Shopify's order id [IAO: identifier]"),
            optional(
                "order_name",
                String,
                "The order's name in the shop, such as #1001 [CCO: designative name]",
            ),
            optional(
                "order_revision",
                Int64,
                "Strictly increasing per order; the newest one holds [IAO: version number]",
            ),
            optional(
                "order_updated_at",
                Timestamp,
                "Shopify's updated_at of the order [BFO: temporal instant]",
            ),
            optional(
                "order_processed_at",
                Timestamp,
                "When the order was placed [BFO: temporal instant]",
            ),
            optional(
                "order_cancelled_at",
                Timestamp,
                "When it was cancelled, if so [BFO: temporal instant]",
            ),
            optional(
                "financial_status",
                String,
                "Shopify's financial_status [BFO: quality of the order]",
            ),
            optional(
                "fulfillment_status",
                String,
                "Shopify's fulfillment_status [BFO: quality of the order]",
            ),
            optional("is_test", Bool, "A test order counts nothing [IAO: data item]"),
            optional("is_deleted", Bool, "The order was deleted at Shopify [IAO: data item]"),
            optional(
                "currency",
                String,
                "ISO 4217 code of the shop money in this row [CCO: currency]",
            ),
            optional(
                "currency_exponent",
                Int32,
                "Decimals of the minor unit of currency [IAO: data item]",
            ),
            optional(
                "presentment_currency",
                String,
                "ISO 4217 code the buyer saw [CCO: currency]",
            ),
            optional(
                "total_price",
                Int64,
                "Order total, minor units of currency [CCO: price]",
            ),
            optional(
                "customer_key",
                String,
                "Keyed hash of the customer; severed by redaction [IAO: identifier]",
            ),
            optional(
                "publisher_id",
                String,
                "Publisher the order is attributed to [CCO: organization]",
            ),
            optional(
                "program_id",
                String,
                "Publisher program the order is attributed to [PKO: plan specification]",
            ),
            optional(
                "source_name",
                String,
                "Sales channel as Shopify names it [IAO: data item]",
            ),
            optional(
                "lines",
                List(Box::new(Struct(lines()))),
                "The order's line items [IAO: data set]",
            ),
            optional(
                "sales",
                List(Box::new(Struct(sales()))),
                "The order's complete sales ledger now [IAO: data set]",
            ),
            optional("payment_id", String, "Shopify's transaction id [IAO: identifier]"),
            optional(
                "payment_kind",
                String,
                "sale, capture, refund, ... [CCO: act of financial exchange]",
            ),
            optional("payment_gateway", String, "Payment gateway [CCO: organization]"),
            optional("payment_amount", Int64, "Minor units of payment_currency [CCO: price]"),
            optional(
                "payment_currency",
                String,
                "ISO 4217 code of payment_amount [CCO: currency]",
            ),
            optional("refund_id", String, "Shopify's refund id [IAO: identifier]"),
            optional("fulfillment_id", String, "Shopify's fulfillment id [IAO: identifier]"),
            optional("fulfillment_tracking_company", String, "Carrier [CCO: organization]"),
            optional("return_id", String, "Shopify's return id [IAO: identifier]"),
            optional(
                "return_status",
                String,
                "Shopify's return status [BFO: quality of the return]",
            ),
            optional("product_id", String, "Shopify's product id [IAO: identifier]"),
            optional("product_title", String, "Product title [CCO: designative name]"),
            optional("product_vendor", String, "Vendor [CCO: organization]"),
            optional("product_type", String, "The shop's product type [IAO: data item]"),
            optional(
                "product_status",
                String,
                "active, archived, draft or unlisted [BFO: quality of the product]",
            ),
            optional(
                "product_published_at",
                Timestamp,
                "Launch in the online store [BFO: temporal instant]",
            ),
            optional(
                "product_is_active",
                Bool,
                "status is active or unlisted and the product is not deleted [IAO: data item]",
            ),
            optional(
                "product_is_deleted",
                Bool,
                "The product was deleted at Shopify [IAO: data item]",
            ),
            optional(
                "product_updated_at",
                Timestamp,
                "Shopify's updated_at of the product [BFO: temporal instant]",
            ),
        ],
    )
}

fn lines() -> Vec<Field> {
    vec![
        optional("line_item_id", String, "Shopify's line item id [IAO: identifier]"),
        optional(
            "product_id",
            String,
            "Product sold, absent for custom lines [IAO: identifier]",
        ),
        optional("variant_id", String, "Variant sold [IAO: identifier]"),
        optional(
            "title",
            String,
            "Title at the time of the order [CCO: designative name]",
        ),
        optional(
            "product_title",
            String,
            "Title of the product now [CCO: designative name]",
        ),
        optional("vendor", String, "Vendor [CCO: organization]"),
        optional("product_type", String, "The shop's product type [IAO: data item]"),
        optional(
            "is_active",
            Bool,
            "The product's is_active, null when unknown [IAO: data item]",
        ),
        optional(
            "is_gift_card",
            Bool,
            "Selling a gift card is not a sale [IAO: data item]",
        ),
        optional("quantity", Int64, "Units ordered [IAO: measurement datum]"),
        optional(
            "current_quantity",
            Int64,
            "Units left after removals and refunds [IAO: measurement datum]",
        ),
        optional(
            "unit_price",
            Int64,
            "Original unit price, minor units of currency [CCO: price]",
        ),
        optional(
            "discount",
            Int64,
            "Sum of discount allocations, minor units [CCO: price]",
        ),
    ]
}

fn sales() -> Vec<Field> {
    vec![
        required(
            "product_id",
            String,
            "Product, or unknown for amounts without one [IAO: identifier]",
        ),
        required(
            "day",
            Date,
            "yyyy-mm-dd in the shop's time zone [BFO: temporal interval]",
        ),
        required(
            "kind",
            String,
            "sale, return, cancellation, edit or adjustment [CCO: act of commerce]",
        ),
        required("units_sold", Int64, "Units sold [IAO: measurement datum]"),
        required("units_returned", Int64, "Units reversed [IAO: measurement datum]"),
        required("gross_sales", Int64, "Minor units of currency [IAO: measurement datum]"),
        required("discounts", Int64, "Minor units, positive [IAO: measurement datum]"),
        required("returns", Int64, "Minor units, positive [IAO: measurement datum]"),
        required(
            "net_sales",
            Int64,
            "gross_sales - discounts - returns [IAO: measurement datum]",
        ),
        optional(
            "presentment_gross_sales",
            Int64,
            "Minor units of presentment_currency [IAO: measurement datum]",
        ),
        optional(
            "presentment_discounts",
            Int64,
            "Minor units of presentment_currency [IAO: measurement datum]",
        ),
        optional(
            "presentment_returns",
            Int64,
            "Minor units of presentment_currency [IAO: measurement datum]",
        ),
        optional(
            "presentment_net_sales",
            Int64,
            "Minor units of presentment_currency [IAO: measurement datum]",
        ),
    ]
}

/// PUBLICATION_TELEMETRY: what visitors did with published items.
#[must_use]
pub fn publication() -> StreamSchema {
    stream(
        "publication_v1",
        "publication.telemetry",
        "One visitor interaction with a published item [IAO: information content entity about a BFO process]",
        vec![
            optional("publisher_id", String, "Publisher [CCO: organization]"),
            optional("item_id", String, "Published item [IAO: document]"),
            optional("program_id", String, "Publisher program [PKO: plan specification]"),
            optional("placement", String, "Where on the page [BFO: site]"),
            optional("product_id", String, "Shopify product shown [IAO: identifier]"),
            optional(
                "order_id",
                String,
                "Order of a conversion or attribution [IAO: identifier]",
            ),
            optional(
                "url",
                String,
                "Page without query, but for allow-listed campaign keys [IAO: identifier]",
            ),
            optional("referrer_host", String, "Host that sent the visitor [IAO: identifier]"),
            optional(
                "country",
                String,
                "ISO 3166 country of the request [CCO: geopolitical region]",
            ),
            optional("device_class", String, "phone, tablet, desktop or bot [CCO: artifact]"),
            optional("session_key", String, "Rotating keyed hash [IAO: identifier]"),
            optional("visitor_key", String, "Rotating keyed hash [IAO: identifier]"),
            optional("is_bot", Bool, "Counted apart [IAO: data item]"),
            optional(
                "engaged_seconds",
                Float64,
                "Time in view, seconds [IAO: measurement datum]",
            ),
        ],
    )
}

/// SYNC_TELEMETRY: one event per workflow step.
#[must_use]
pub fn sync() -> StreamSchema {
    stream(
        "sync_v1",
        "sync.telemetry",
        "One step of a workflow run [PKO: procedure execution]",
        vec![
            required(
                "workflow",
                String,
                "Workflow name, for example measurement_refresh [PKO: procedure]",
            ),
            required("instance_id", String, "The run [IAO: identifier]"),
            required("step", String, "Step name [PKO: step]"),
            required("attempt", Int32, "1 for the first [IAO: measurement datum]"),
            required("status", String, "started, succeeded or failed [PKO: execution status]"),
            optional("records_read", Int64, "Source rows read [IAO: measurement datum]"),
            optional("records_upserted", Int64, "Rows written [IAO: measurement datum]"),
            optional(
                "records_unchanged",
                Int64,
                "Rows that were already so [IAO: measurement datum]",
            ),
            optional(
                "records_streamed",
                Int64,
                "Events accepted by a stream [IAO: measurement datum]",
            ),
            optional(
                "records_rejected",
                Int64,
                "Rows in the quarantine [IAO: measurement datum]",
            ),
            optional(
                "watermark_before",
                Timestamp,
                "Watermark at the start [BFO: temporal instant]",
            ),
            optional(
                "watermark_after",
                Timestamp,
                "Watermark at the end [BFO: temporal instant]",
            ),
            required("started_at", Timestamp, "Start of the step [BFO: temporal instant]"),
            required("duration_ms", Int64, "Milliseconds [IAO: measurement datum]"),
            optional("bytes", Int64, "Bytes moved [IAO: measurement datum]"),
            optional(
                "error_kind",
                String,
                "Kind of the error, never its payload [IAO: data item]",
            ),
        ],
    )
}

/// All streams.
#[must_use]
pub fn all() -> Vec<StreamSchema> {
    vec![commerce(), publication(), sync()]
}
