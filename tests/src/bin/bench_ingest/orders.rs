//! Generated orders, and what a client without weir has to parse of them.

use serde::Deserialize;
use serde_json::value::RawValue;
use weir_tests::shop::{Line, Shop};
use weir_tests::shopify_body::{self, OrderFacts};

/// The shop of all orders: euros, buyers see dollars.
pub fn shop() -> Shop {
    Shop::paris()
}

/// `count` bodies of orders/create from the `first`-th on.
pub fn bodies(first: usize, count: usize) -> Vec<String> {
    let shop = shop();
    let products = shop.products();
    let body = |index: usize| {
        let number = i64::try_from(index).expect("a small number") + 1;
        let lines: Vec<Line> = (0..3)
            .map(|place| Line {
                product: products[(index + place) % 6].clone(),
                quantity: 1 + place as i64,
                discount: if place == 1 { 100 } else { 0 },
            })
            .collect();
        let facts = OrderFacts {
            id: 9_100_000_000_000_000 + number * 100,
            number: number + 1000,
            processed_at: "2026-11-20T10:00:00+01:00",
            updated_at: "2026-11-20T10:00:05+01:00",
            financial_status: "paid",
            fulfillment_status: None,
            cancelled_at: None,
            test: false,
            refunds: vec![],
        };
        shopify_body::order(&shop, &facts, &lines).to_string()
    };
    (first..first + count).map(body).collect()
}

/// An order as a typed client would read it.
#[derive(Deserialize)]
pub struct Order {
    pub id: i64,
    pub name: String,
    pub created_at: String,
    pub processed_at: String,
    pub updated_at: String,
    pub cancelled_at: Option<String>,
    pub financial_status: String,
    pub fulfillment_status: Option<String>,
    pub test: bool,
    pub taxes_included: bool,
    pub currency: String,
    pub presentment_currency: String,
    pub total_price: String,
    pub customer: Customer,
    pub source_name: String,
    pub line_items: Vec<LineItem>,
}

#[derive(Deserialize)]
pub struct Customer {
    pub id: i64,
}

#[derive(Deserialize)]
pub struct LineItem {
    pub id: i64,
    pub product_id: i64,
    pub variant_id: i64,
    pub title: String,
    pub vendor: String,
    pub gift_card: bool,
    pub quantity: i64,
    pub current_quantity: i64,
    pub price: String,
    pub price_set: MoneySet,
    pub discount_allocations: Vec<Allocation>,
    pub tax_lines: Vec<TaxLine>,
}

#[derive(Deserialize)]
pub struct Allocation {
    pub amount: String,
    pub amount_set: MoneySet,
}

#[derive(Deserialize)]
pub struct TaxLine {
    pub price: String,
    pub price_set: MoneySet,
    pub rate: Box<RawValue>,
}

#[derive(Deserialize)]
pub struct MoneySet {
    pub presentment_money: Money,
}

#[derive(Deserialize)]
pub struct Money {
    pub amount: String,
}

impl LineItem {
    /// Discount in minor units, shop and presentment.
    pub fn discount(&self) -> (i64, i64) {
        let of = |all: &Allocation| (minor(&all.amount), minor(&all.amount_set.presentment_money.amount));
        sum(self.discount_allocations.iter().map(of))
    }

    /// Tax in minor units, shop and presentment.
    pub fn tax(&self) -> (i64, i64) {
        sum(self
            .tax_lines
            .iter()
            .map(|tax| (minor(&tax.price), minor(&tax.price_set.presentment_money.amount))))
    }

    /// Tax rate in billionths.
    pub fn tax_rate(&self) -> i64 {
        let rate = |tax: &TaxLine| parse_decimal(tax.rate.get(), 9);
        self.tax_lines.iter().map(rate).sum()
    }
}

fn sum(pairs: impl Iterator<Item = (i64, i64)>) -> (i64, i64) {
    pairs.fold((0, 0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1))
}

/// Minor units of a decimal with two places.
pub fn minor(text: &str) -> i64 {
    parse_decimal(text, 2)
}

fn parse_decimal(text: &str, digits: usize) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction: String = fraction.chars().chain(std::iter::repeat('0')).take(digits).collect();
    format!("{whole}{fraction}").parse().expect("a generated decimal")
}
