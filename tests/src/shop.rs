//! A made-up shop: products, orders, refunds over several weeks as signed webhook deliveries, together with the daily
//! sales they must lead to, added up here independently of weir.

use std::collections::BTreeMap;

use base64::Engine;
use hmac::Mac;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::ToSpan;
use serde_json::{json, Value};

use crate::shopify_body::{self, OrderFacts};

/// A shop of the demo and of the end-to-end tests.
#[derive(Clone)]
pub struct Shop {
    /// myshopify.com domain.
    pub domain: &'static str,
    /// Shopify's shop id.
    pub id: i64,
    /// IANA time zone that defines its days.
    pub zone: &'static str,
    /// Shop currency.
    pub currency: &'static str,
    /// Decimals of `currency`.
    pub exponent: u8,
    /// Currency the buyers see.
    pub presentment_currency: &'static str,
    /// Decimals of `presentment_currency`.
    pub presentment_exponent: u8,
    /// Minor presentment units per minor shop unit.
    pub presentment_rate: i64,
    /// Price level: multiplies every price (minor units).
    pub price_unit: i64,
    /// Shipping of each order, minor units; never a sale.
    pub shipping: i64,
}

/// A product with the pattern in which it sells.
#[derive(Clone)]
pub struct Product {
    /// Shopify's id, above 2^53 so that a float anywhere would show.
    pub id: i64,
    pub title: &'static str,
    pub vendor: &'static str,
    pub product_type: &'static str,
    /// active or archived.
    pub status: &'static str,
    /// Price in minor units.
    pub price: i64,
    pub gift_card: bool,
    /// Days before today of its launch.
    pub launched: i64,
    /// Days before today on which it sold, with units.
    pub sold: Vec<(i64, i64)>,
}

impl Product {
    /// Id of its only variant.
    #[must_use]
    pub fn variant_id(&self) -> i64 {
        self.id + 1
    }

    /// Stock keeping unit.
    #[must_use]
    pub fn sku(&self) -> String {
        format!("SKU-{}", self.id % 1000)
    }
}

/// A line of an order.
#[derive(Clone)]
pub struct Line {
    pub product: Product,
    pub quantity: i64,
    /// Discount allocated to the whole line, minor units.
    pub discount: i64,
}

impl Line {
    /// Id of the line in its order.
    #[must_use]
    pub fn id(&self, order_id: i64) -> i64 {
        order_id + 10 + self.product.id % 1000
    }
}

/// A webhook delivery, not yet signed.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub topic: String,
    pub shop_domain: String,
    pub webhook_id: String,
    pub triggered_at: String,
    /// Raw bytes; the signature is over exactly these.
    pub body: Vec<u8>,
}

impl Delivery {
    /// `X-Shopify-Hmac-Sha256` over the body.
    #[must_use]
    pub fn signature(&self, secret: &str) -> String {
        let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
        mac.update(&self.body);
        base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
    }

    /// As one element of `weir.ingest`'s argument.
    #[must_use]
    pub fn to_ingest(&self) -> Value {
        json!({
            "webhook_id": self.webhook_id, "topic": self.topic, "shop_domain": self.shop_domain,
            "triggered_at": self.triggered_at, "received_at": self.triggered_at, "api_version": "2026-10",
            "body": String::from_utf8_lossy(&self.body)
        })
    }
}

/// Sales of one product on one day, minor units of the shop currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DaySales {
    pub units_sold: i64,
    pub units_returned: i64,
    pub gross_sales: i64,
    pub discounts: i64,
    pub returns: i64,
}

/// A shop's history.
pub struct History {
    /// Deliveries in the order in which they happened.
    pub deliveries: Vec<Delivery>,
    /// What measurement.sales must say: (product id, day) -> sales.
    pub sales: BTreeMap<(String, String), DaySales>,
}

impl Shop {
    /// A shop in Tokyo: yen without decimals, and mornings that are still yesterday in UTC.
    #[must_use]
    pub fn tokyo() -> Self {
        Self {
            domain: "weir-tokyo.myshopify.com",
            id: 7_000_000_001,
            zone: "Asia/Tokyo",
            currency: "JPY",
            exponent: 0,
            presentment_currency: "JPY",
            presentment_exponent: 0,
            presentment_rate: 1,
            price_unit: 100,
            shipping: 500,
        }
    }

    /// A shop in Paris whose buyers pay in dollars.
    #[must_use]
    pub fn paris() -> Self {
        Self {
            domain: "weir-paris.myshopify.com",
            id: 7_000_000_002,
            zone: "Europe/Paris",
            currency: "EUR",
            exponent: 2,
            presentment_currency: "USD",
            presentment_exponent: 2,
            presentment_rate: 2,
            price_unit: 95,
            shipping: 490,
        }
    }

    /// Argument of `weir.register_shop`.
    #[must_use]
    pub fn registration(&self) -> Value {
        json!({
            "shop_id": self.id, "shop_domain": self.domain, "iana_time_zone": self.zone, "currency": self.currency,
            "name": self.domain
        })
    }

    /// Argument of `weir.publish_objective`: thresholds that give every label a product.
    #[must_use]
    pub fn objective(&self) -> Value {
        json!({
            "objective_spec_id": "default", "shop_domain": self.domain, "product_type": null, "measure": "net_units",
            "threshold_7d": 10, "threshold_14d": 18, "threshold_30d": 40, "banana_count": 3, "stale_after_days": 21,
            "banana_pool": "all", "precedence": null
        })
    }

    /// Minor units as Shopify writes them.
    #[must_use]
    pub fn amount(&self, minor: i64) -> String {
        shopify_body::decimal(minor, self.exponent)
    }

    /// One of a hundred customers.
    #[must_use]
    pub fn customer_id(&self, order_number: i64) -> i64 {
        self.id * 1000 + order_number % 100
    }

    /// The catalogue: one product for each label, and a gift card.
    #[must_use]
    pub fn products(&self) -> Vec<Product> {
        let product = |index: i64, title, product_type, launched, sold| Product {
            id: 9_007_199_254_740_993 + self.id % 10 * 100_000 + index * 10,
            title,
            vendor: "Weir Works",
            product_type,
            status: "active",
            price: self.price_unit * (index + 3),
            gift_card: false,
            launched,
            sold,
        };
        let every_day = |from: i64, to: i64, units| (from..=to).map(|day| (day, units)).collect::<Vec<_>>();
        let mut poster = product(4, "Old Poster", "Prints", 300, vec![(5, 1), (12, 2)]);
        poster.status = "archived";
        let mut card = product(7, "Gift Card", "Gift Cards", 300, vec![(3, 1), (8, 1)]);
        card.gift_card = true;
        vec![
            product(1, "Rising Lamp", "Lamps", 15, every_day(0, 14, 2)),
            product(2, "Evergreen Mug", "Mugs", 200, every_day(1, 28, 2)),
            product(3, "Yellow Bag", "Bags", 120, every_day(1, 28, 1)),
            poster,
            product(5, "Dusty Vase", "Vases", 250, vec![(50, 1), (55, 2)]),
            product(6, "Plain Socks", "Socks", 180, vec![(2, 1), (9, 1), (20, 1)]),
            card,
        ]
    }

    /// The shop's history up to `now`, the same for the same `now`.
    #[must_use]
    pub fn history(&self, now: jiff::Timestamp) -> History {
        let zone = weir_domain::time_zone::named(self.zone).expect("a zone of the bundled database");
        let today = now.to_zoned(zone.clone()).date();
        let mut teller = Teller {
            shop: self,
            zone,
            now,
            today,
            next_order: 0,
            deliveries: vec![],
            sales: BTreeMap::new(),
        };
        for product in self.products() {
            teller.launch(&product);
        }
        for days_ago in (0..=60).rev() {
            teller.day(days_ago);
        }
        let mut deliveries = teller.deliveries;
        // A stable sort: deliveries of one second stay in the order in which they were told.
        deliveries.sort_by_key(|(at, _)| *at);
        History {
            deliveries: deliveries.into_iter().map(|(_, delivery)| delivery).collect(),
            sales: teller.sales,
        }
    }
}

/// Tells a shop's history day by day and adds up what it must lead to.
struct Teller<'a> {
    shop: &'a Shop,
    zone: TimeZone,
    now: jiff::Timestamp,
    today: Date,
    next_order: i64,
    deliveries: Vec<(jiff::Timestamp, Delivery)>,
    sales: BTreeMap<(String, String), DaySales>,
}

impl Teller<'_> {
    fn launch(&mut self, product: &Product) {
        let launched = self.at(self.today.saturating_sub(product.launched.days()), 9, 0);
        let body = shopify_body::product(self.shop, product, &self.text(launched), &self.text(launched));
        self.push("products/create", launched, &body);
    }

    /// One order for the day's products, in the early morning (yesterday in UTC for Tokyo), with whatever follows it.
    fn day(&mut self, days_ago: i64) {
        let day = self.today.saturating_sub(days_ago.days());
        for (hour, product) in self.shop.products().into_iter().enumerate() {
            let Some(&(_, units)) = product.sold.iter().find(|(sold, _)| *sold == days_ago) else {
                continue;
            };
            let discount = if days_ago % 5 == 0 { product.price / 10 } else { 0 };
            let placed = self.at(day, i8::try_from(hour).expect("few products"), 30);
            if placed > self.now {
                continue;
            }
            self.order(
                placed,
                &[Line {
                    product,
                    quantity: units,
                    discount,
                }],
                Fate::of(days_ago),
            );
        }
        if days_ago == 11 {
            // A test order and a cancelled one: neither may stay in the sums.
            let line = Line {
                product: self.shop.products().remove(5),
                quantity: 4,
                discount: 0,
            };
            let placed = self.at(day, 8, 0);
            self.order(placed, std::slice::from_ref(&line), Fate::Test);
            self.order(placed, &[line], Fate::Cancelled);
        }
    }

    fn order(&mut self, placed: jiff::Timestamp, lines: &[Line], fate: Fate) {
        self.next_order += 1;
        let id = 9_100_000_000_000_000 + self.shop.id % 10 * 1_000_000_000 + self.next_order * 10_000;
        let (number, placed_text) = (1000 + self.next_order, self.text(placed));
        let facts = |updated_at, financial_status| OrderFacts {
            id,
            number,
            processed_at: &placed_text,
            updated_at,
            financial_status,
            fulfillment_status: None,
            cancelled_at: None,
            test: fate == Fate::Test,
            refunds: vec![],
        };
        let created = shopify_body::order(self.shop, &facts(&placed_text, "pending"), lines);
        self.push("orders/create", placed, &created);
        let paid_at = placed + 1.minute();
        let paid_text = self.text(paid_at);
        let paid = shopify_body::order(self.shop, &facts(&paid_text, "paid"), lines);
        self.push("orders/paid", paid_at, &paid);
        let payment = shopify_body::payment(self.shop, id + 300, id, lines, &paid_text);
        self.push("order_transactions/create", paid_at, &payment);
        if fate != Fate::Test {
            self.book(placed, lines, |day, line| {
                day.units_sold += line.quantity;
                day.gross_sales += line.quantity * line.product.price;
                day.discounts += line.discount;
            });
        }
        let after = placed + 26.hours();
        if after > self.now {
            return;
        }
        let after_text = self.text(after);
        let give_back = |day: &mut DaySales, line: &Line| {
            day.units_returned += line.quantity;
            day.returns += line.quantity * line.product.price - line.discount;
        };
        match fate {
            Fate::Refunded => {
                let refund = shopify_body::refund(self.shop, id + 500, id, &lines[0], lines[0].quantity, &after_text);
                self.push("refunds/create", after, &refund);
                let mut refunded = facts(&after_text, "refunded");
                refunded.refunds = vec![refund];
                let body = shopify_body::order(self.shop, &refunded, lines);
                self.push("orders/updated", after + 1.second(), &body);
                self.book(after, lines, give_back);
            }
            Fate::Cancelled => {
                let mut cancelled = facts(&after_text, "voided");
                cancelled.cancelled_at = Some(&after_text);
                let body = shopify_body::order(self.shop, &cancelled, lines);
                self.push("orders/cancelled", after, &body);
                self.book(after, lines, give_back);
            }
            Fate::Kept => {
                let mut shipped = facts(&after_text, "paid");
                shipped.fulfillment_status = Some("fulfilled");
                let fulfillment = shopify_body::fulfillment(self.shop, id + 400, &shipped, lines, &after_text);
                self.push("fulfillments/create", after, &fulfillment);
                // Paid and fulfilled: only now is the order complete.
                let body = shopify_body::order(self.shop, &shipped, lines);
                self.push("orders/fulfilled", after + 1.second(), &body);
            }
            Fate::Test => {}
        }
    }

    fn book(&mut self, at: jiff::Timestamp, lines: &[Line], change: impl Fn(&mut DaySales, &Line)) {
        let day = at.to_zoned(self.zone.clone()).date().to_string();
        for line in lines.iter().filter(|line| !line.product.gift_card) {
            change(
                self.sales
                    .entry((line.product.id.to_string(), day.clone()))
                    .or_default(),
                line,
            );
        }
    }

    fn push(&mut self, topic: &str, at: jiff::Timestamp, body: &Value) {
        let number = self.deliveries.len();
        let delivery = Delivery {
            topic: topic.to_owned(),
            shop_domain: self.shop.domain.to_owned(),
            webhook_id: format!("{}-{number:06}", self.shop.id),
            triggered_at: at.to_string(),
            body: serde_json::to_vec(body).expect("a JSON value"),
        };
        self.deliveries.push((at, delivery));
    }

    fn at(&self, day: Date, hour: i8, minute: i8) -> jiff::Timestamp {
        let civil: DateTime = day.at(hour, minute, 0, 0);
        civil
            .to_zoned(self.zone.clone())
            .expect("a representable time")
            .timestamp()
    }

    /// As Shopify writes it: whole seconds with the shop's offset.
    fn text(&self, at: jiff::Timestamp) -> String {
        at.to_zoned(self.zone.clone())
            .strftime("%Y-%m-%dT%H:%M:%S%:z")
            .to_string()
    }
}

/// What becomes of an order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Kept,
    Refunded,
    Cancelled,
    Test,
}

impl Fate {
    fn of(days_ago: i64) -> Self {
        if days_ago % 13 == 6 {
            Self::Refunded
        } else {
            Self::Kept
        }
    }
}
