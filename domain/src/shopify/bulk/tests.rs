use std::collections::BTreeMap;

use super::*;
use crate::events::exact_time;
use crate::money::Currency;
use crate::order_state::{Amount, OrderState, Raw};
use crate::shopify::{self, Context, Fact, Reason};

/// A field of a selection set and what is selected of it.
#[derive(Debug)]
struct Field {
    name: String,
    /// The type of the inline fragment it stands in.
    of: Option<String>,
    selected: Vec<Field>,
}

/// Reads a selection set. Inline fragments count as part of the set they stand in.
fn selection(tokens: &mut std::iter::Peekable<std::vec::IntoIter<String>>) -> Vec<Field> {
    let mut fields = Vec::new();
    while let Some(token) = tokens.next() {
        match token.as_str() {
            "}" => break,
            "..." => {
                assert_eq!(tokens.next().as_deref(), Some("on"));
                let of = tokens.next();
                assert_eq!(tokens.next().as_deref(), Some("{"));
                let mut more = selection(tokens);
                more.iter_mut().for_each(|field| field.of.clone_from(&of));
                fields.extend(more);
            }
            name => {
                let mut field = Field {
                    name: name.to_owned(),
                    of: None,
                    selected: Vec::new(),
                };
                if tokens.peek().is_some_and(|next| next == "{") {
                    tokens.next();
                    field.selected = selection(tokens);
                }
                fields.push(field);
            }
        }
    }
    fields
}

fn parse(query: &str) -> Vec<Field> {
    // Arguments hold no selection.
    let (mut text, mut depth) = (String::new(), 0);
    for char in query.chars() {
        depth += i32::from(char == '(') - i32::from(char == ')');
        if depth == 0 && char != ')' {
            text.push(char);
        }
    }
    let text = text.replace('{', " { ").replace('}', " } ").replace("...", " ... ");
    let tokens: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let mut tokens = tokens.into_iter().peekable();
    assert_eq!(tokens.next().as_deref(), Some("{"));
    selection(&mut tokens)
}

/// Checks Shopify's rules below `fields` and returns (connections, deepest nesting of connections).
fn check(fields: &[Field], in_list: bool) -> (usize, usize) {
    let (mut count, mut depth) = (0, 0);
    for field in fields {
        assert!(
            !["nodes", "pageInfo", "cursor"].contains(&field.name.as_str()),
            "{}",
            field.name
        );
        let edges = field.selected.iter().find(|one| one.name == "edges");
        if let Some(edges) = edges {
            // A connection inside of a list is refused; the lists that weir reads are these.
            assert!(!in_list, "{} is a connection in a list", field.name);
            let [node] = &edges.selected[..] else {
                panic!("edges {{ node }} of {}", field.name)
            };
            assert_eq!(node.name, "node");
            for required in ["id", "__typename"] {
                assert!(
                    node.selected.iter().any(|one| one.name == required),
                    "{required} of {}",
                    field.name
                );
            }
            let below = check(&node.selected, false);
            count += 1 + below.0;
            depth = depth.max(1 + below.1);
        } else {
            let is_list = [
                "transactions",
                "refunds",
                "fulfillments",
                "taxLines",
                "discountAllocations",
            ];
            let below = check(&field.selected, in_list || is_list.contains(&field.name.as_str()));
            count += below.0;
            depth = depth.max(below.1);
        }
    }
    (count, depth)
}

#[test]
fn queries_keep_the_rules_of_bulk_operations() {
    for kind in BulkKind::ALL {
        let query = kind.query(1_763_935_200_000_000, 1_764_021_600_000_000);
        let window = "updated_at:>='2025-11-23T22:00:00.000Z' updated_at:<'2025-11-24T22:00:00.000Z'";
        assert!(
            query.contains(window) && query.contains("sortKey: UPDATED_AT"),
            "{query}"
        );
        assert_eq!(query.matches(['{']).count(), query.matches(['}']).count());
        let (connections, depth) = check(&parse(&query), false);
        // The root connection is not a nested one: at most five connections, two levels below the root.
        assert!(
            connections <= 5 && depth <= 3,
            "{kind:?}: {connections} connections, {depth} levels"
        );
        assert_eq!(BulkKind::from_name(kind.as_str()), Some(kind));
    }
    let refused = "{ orders { edges { node { __typename id refunds { refundLineItems { edges { node { __typename id } } } } } } } }";
    assert!(std::panic::catch_unwind(|| check(&parse(refused), false)).is_err());
}

/// Types of the Admin API 2026-10 that the queries touch: type -> field -> type of the field.
fn schema() -> BTreeMap<String, BTreeMap<String, String>> {
    let text = include_str!("../../../fixtures/admin-schema/admin-2026-10.graphql");
    let mut types: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("type" | "interface"), Some(name)) => current = Some(name.to_owned()),
            (Some("}"), _) => current = None,
            _ => {
                let (Some(name), Some((field, of))) = (&current, line.rsplit_once(": ")) else {
                    continue;
                };
                let field = field.split(['(', ':']).next().unwrap().trim().to_owned();
                let of = of.trim_matches(['[', ']', '!']).to_owned();
                types.entry(name.clone()).or_default().insert(field, of);
            }
        }
    }
    types
}

/// Checks that every field is one of its type, and that objects and only objects are selected from.
fn check_types(types: &BTreeMap<String, BTreeMap<String, String>>, of: &str, fields: &[Field]) -> usize {
    let mut count = 0;
    for field in fields.iter().filter(|field| field.name != "__typename") {
        let of = field.of.as_deref().unwrap_or(of);
        let found = types.get(of).and_then(|fields| fields.get(&field.name));
        let found = found.unwrap_or_else(|| panic!("{of} has no field {}", field.name));
        assert_eq!(
            types.contains_key(found),
            !field.selected.is_empty(),
            "{of}.{}",
            field.name
        );
        count += 1 + check_types(types, found, &field.selected);
    }
    count
}

#[test]
fn queries_ask_for_fields_that_the_admin_api_has() {
    let types = schema();
    for kind in BulkKind::ALL {
        assert!(
            check_types(&types, "QueryRoot", &parse(&kind.query(0, 1))) > 20,
            "{kind:?}"
        );
    }
    let wrong = parse("{ orders { edges { node { __typename id total } } } }");
    assert!(std::panic::catch_unwind(|| check_types(&types, "QueryRoot", &wrong)).is_err());
}

const CORE: &str = r##"{"__typename":"Order","id":"gid:\/\/shopify\/Order\/9007199254740993","name":"#1 \u0026 more",
    "test":false,"createdAt":"2026-11-01T10:00:00Z","processedAt":"2026-11-01T10:00:00Z","updatedAt":"2026-11-02T10:00:00Z",
    "cancelledAt":null,"currencyCode":"EUR","presentmentCurrencyCode":"USD","taxesIncluded":true,
    "displayFinancialStatus":"PARTIALLY_REFUNDED","displayFulfillmentStatus":"PARTIALLY_FULFILLED","sourceName":"web",
    "customer":{"id":"gid:\/\/shopify\/Customer\/77"},"legacyResourceId":"9007199254740993",
    "totalPriceSet":{"shopMoney":{"amount":"22.40","currencyCode":"EUR"},"presentmentMoney":{"amount":"44.8","currencyCode":"USD"}},
    "transactions":[{"id":"gid:\/\/shopify\/OrderTransaction\/5","kind":"SALE","status":"SUCCESS","test":false,
      "createdAt":"2026-11-01T10:00:00Z","processedAt":"2026-11-01T10:00:00Z","gateway":"bogus",
      "amountSet":{"shopMoney":{"amount":"22.4","currencyCode":"EUR"},"presentmentMoney":{"amount":"44.8","currencyCode":"USD"}},
      "parentTransaction":null}],
    "refunds":[],"fulfillments":[{"id":"gid:\/\/shopify\/Fulfillment\/6","status":"SUCCESS","createdAt":"2026-11-02T09:00:00Z",
      "updatedAt":"2026-11-02T09:00:00Z","trackingInfo":[{"company":"Post"}]}]}"##;

const LINE: &str = r#"{"__typename":"LineItem","id":"gid:\/\/shopify\/LineItem\/1","title":"Mug","vendor":"W","quantity":2,
    "currentQuantity":1,"isGiftCard":false,"product":{"id":"gid:\/\/shopify\/Product\/11"},
    "variant":{"id":"gid:\/\/shopify\/ProductVariant\/12"},
    "originalUnitPriceSet":{"shopMoney":{"amount":"11.9","currencyCode":"EUR"},"presentmentMoney":{"amount":"23.8","currencyCode":"USD"}},
    "discountAllocations":[{"allocatedAmountSet":{"shopMoney":{"amount":"1.4","currencyCode":"EUR"},"presentmentMoney":{"amount":"2.8","currencyCode":"USD"}}}],
    "taxLines":[{"title":"VAT","rate":0.19,"priceSet":{"shopMoney":{"amount":"3.58","currencyCode":"EUR"},"presentmentMoney":{"amount":"7.16","currencyCode":"USD"}}}],
    "__parentId":"gid:\/\/shopify\/Order\/9007199254740993"}"#;

/// The same order as a webhook tells it.
const BODY: &str = r##"{"id": 9007199254740993, "name": "#1 & more", "created_at": "2026-11-01T10:00:00Z",
    "processed_at": "2026-11-01T10:00:00Z", "updated_at": "2026-11-02T10:00:00Z", "currency": "EUR",
    "presentment_currency": "USD", "taxes_included": true, "financial_status": "partially_refunded",
    "fulfillment_status": "partial", "source_name": "web", "customer": {"id": 77}, "total_price": "22.40",
    "line_items": [{"id": 1, "product_id": 11, "variant_id": 12, "title": "Mug", "vendor": "W", "quantity": 2,
      "current_quantity": 1, "price_set": {"shop_money": {"amount": "11.90", "currency_code": "EUR"},
        "presentment_money": {"amount": "23.80", "currency_code": "USD"}},
      "discount_allocations": [{"amount_set": {"shop_money": {"amount": "1.40", "currency_code": "EUR"},
        "presentment_money": {"amount": "2.80", "currency_code": "USD"}}}],
      "tax_lines": [{"rate": 0.19, "price_set": {"shop_money": {"amount": "3.58", "currency_code": "EUR"},
        "presentment_money": {"amount": "7.16", "currency_code": "USD"}}}]}],
    "fulfillments": [{"id": 6, "status": "success", "created_at": "2026-11-02T09:00:00Z",
      "updated_at": "2026-11-02T09:00:00Z", "tracking_company": "Post"}]}"##;

const PAYMENT: &str = r#"{"id": 5, "order_id": 9007199254740993, "kind": "sale", "status": "success", "gateway": "bogus",
    "amount": "44.80", "currency": "USD", "created_at": "2026-11-01T10:00:00Z", "processed_at": "2026-11-01T10:00:00Z"}"#;

fn node(line: BulkLine, children: Vec<Node>) -> Node {
    Node {
        id: line.gid.unwrap().id,
        part: Some(line.part),
        customer_id: line.customer_id,
        raw: line.raw.map_or_else(Raw::default, |raw| Raw::of(raw.into_bytes())),
        children,
    }
}

fn read(text: &str) -> BulkLine {
    BulkLine::read(BulkKind::OrdersCore, text, 0).unwrap()
}

#[test]
fn a_line_and_a_webhook_of_one_order_are_the_same_facts() {
    let context = Context {
        currency: Currency::from_code("EUR").unwrap(),
        triggered_at: 0,
    };
    let (mut told, mut bulk) = (OrderState::default(), OrderState::default());
    for (topic, body) in [("orders/updated", BODY), ("order_transactions/create", PAYMENT)] {
        told.apply(&shopify::parse(topic, body, context).unwrap().unwrap());
    }
    for fact in order_facts(node(read(CORE), vec![node(read(LINE), vec![])])) {
        bulk.apply(&fact);
    }
    for state in [&mut told, &mut bulk] {
        assert!(std::mem::take(&mut state.header.as_mut().unwrap().raw)
            .bytes()
            .is_some());
        state.revision = 0;
    }
    assert_eq!(told, bulk);
    assert_eq!(bulk.header.unwrap().order_id, 9_007_199_254_740_993);
}

#[test]
fn an_order_with_a_line_that_cannot_be_read_tells_nothing() {
    let mut lost = node(read(LINE), vec![]);
    lost.part = None;
    assert_eq!(order_facts(node(read(CORE), vec![lost])), []);
}

#[test]
fn a_bad_line_is_refused_with_its_reason_and_place() {
    for (from, to, reason, path) in [
        (r"gid:\/\/shopify\/LineItem\/1", "1", Reason::TypeMismatch, "id"),
        (
            r#""id":"gid:\/\/shopify\/LineItem\/1","#,
            "",
            Reason::MissingField,
            "id",
        ),
        (
            r#""id":"gid:\/\/shopify\/LineItem\/1""#,
            r#""id":null"#,
            Reason::NullValue,
            "id",
        ),
        ("__parentId", "parent", Reason::MissingField, "__parentId"),
        (r#""Mug""#, r#""M\u0000g""#, Reason::InvalidText, "title"),
        (
            r#""amount":"11.9""#,
            r#""amount":"x""#,
            Reason::TypeMismatch,
            "originalUnitPriceSet.shopMoney.amount",
        ),
        (r#""quantity":2"#, r#""quantity":-2"#, Reason::TypeMismatch, "quantity"),
        (
            r"shopify\/LineItem\/1",
            r"shopify\/Order\/1",
            Reason::TypeMismatch,
            "id",
        ),
        (
            r#""__typename":"LineItem""#,
            r#""__typename":"Product""#,
            Reason::TypeMismatch,
            "__typename",
        ),
        ("}}}", "}", Reason::ParseFailure, ""),
    ] {
        let text = LINE.replacen(from, to, 1);
        assert_ne!(text, LINE);
        let error = BulkLine::read(BulkKind::OrdersCore, &text, 0).unwrap_err();
        assert_eq!((error.reason, error.path.as_str()), (reason, path), "{to}");
        if !to.contains("parent") {
            let parent = Gid {
                resource: "Order".into(),
                id: 9_007_199_254_740_993,
            };
            assert_eq!(BulkLine::parent_in(&text), Some(parent));
        }
    }
}

#[test]
fn agreements_and_sales_keep_both_currencies_and_their_sign() {
    let sale = r#"{"__typename":"ProductSale","id":"gid:\/\/shopify\/Sale\/3","actionType":"RETURN","lineType":"PRODUCT",
        "quantity":-1,"totalAmount":{"shopMoney":{"amount":"-11.9","currencyCode":"EUR"},"presentmentMoney":{"amount":"-23.8","currencyCode":"USD"}},
        "totalDiscountAmountBeforeTaxes":{"shopMoney":{"amount":"0.0","currencyCode":"EUR"},"presentmentMoney":{"amount":"0.0","currencyCode":"USD"}},
        "totalTaxAmount":{"shopMoney":{"amount":"-1.9","currencyCode":"EUR"},"presentmentMoney":{"amount":"-3.8","currencyCode":"USD"}},
        "lineItem":{"id":"gid:\/\/shopify\/LineItem\/1","product":null,"variant":null},
        "__parentId":"gid:\/\/shopify\/SalesAgreement\/2"}"#;
    let line = BulkLine::read(BulkKind::OrdersLedger, sale, 0).unwrap();
    assert_eq!(line.parent, Gid::parse("gid://shopify/SalesAgreement/2"));
    let Part::Sale(sale) = line.part else { panic!("a sale") };
    assert_eq!((sale.quantity, sale.line_item_id, sale.product_id), (-1, Some(1), None));
    let both = |shop, presentment| Amount { shop, presentment };
    assert_eq!((sale.total, sale.tax), (both(-1190, -2380), both(-190, -380)));
}

#[test]
fn a_brief_refund_never_hides_what_came_back() {
    let context = Context {
        currency: Currency::from_code("EUR").unwrap(),
        triggered_at: 1,
    };
    let full = r#"{"id": 8, "order_id": 7, "created_at": "2026-11-03T00:00:00Z", "refund_line_items": [{"id": 9,
        "line_item_id": 1, "quantity": 1, "subtotal": "5.00"}]}"#;
    let full = shopify::parse("refunds/create", full, context).unwrap().unwrap();
    let Fact::Refund { refund, .. } = &full else {
        panic!("a refund")
    };
    let mut brief = refund.clone();
    (brief.is_brief, brief.observed_at) = (true, brief.observed_at + 1);
    brief.lines.clear();
    let brief = Fact::Refund {
        order_id: 7,
        refund: brief,
    };
    let (mut one, mut other) = (OrderState::default(), OrderState::default());
    for fact in [&full, &brief] {
        one.apply(fact);
    }
    for fact in [&brief, &full] {
        other.apply(fact);
    }
    assert_eq!(one.refunds, other.refunds);
    assert_eq!(one.refunds[0].lines.len(), 1);
    assert_eq!(
        exact_time(one.refunds[0].created_at.unwrap()),
        "2026-11-03T00:00:00.000000Z"
    );
}

proptest::proptest! {
    #[test]
    fn no_line_ends_in_a_panic(at in 0..LINE.len(), with in "[\\x00-\\x7f\\u{e9}]{0,4}", kind in 0..3_usize) {
        for text in [CORE, LINE] {
            let at = at.min(text.len());
            let broken = format!("{}{with}{}", &text[..at], text.get(at + 1..).unwrap_or(""));
            for text in [&broken, &broken[..at.min(broken.len())]] {
                let _ = BulkLine::read(BulkKind::ALL[kind], text, 0);
                let _ = (BulkLine::gid_in(text), BulkLine::parent_in(text));
            }
        }
    }
}

#[test]
fn a_line_without_its_customer_is_the_same_order_without_a_person() {
    let line = r#"{"__typename":"Order","id":"gid:\/\/shopify\/Order\/9007199254740993","currencyCode":"EUR","presentmentCurrencyCode":"EUR","updatedAt":"2026-11-24T10:00:00Z","customer":{"id":"gid:\/\/shopify\/Customer\/7"},"customAttributes":[{"key":"gift for","value":"jane@example.com"},{"key":"weir_publisher","value":"blog"}],"number":1001,"rate":0.10}"#;
    let without = BulkLine::without_customer(line).unwrap();
    assert!(!without.contains("Customer") && !without.contains("jane"), "{without}");
    assert!(without.contains("\"rate\":0.10"), "{without}");
    let read = |line: &str| BulkLine::read(BulkKind::OrdersCore, line, 0).unwrap();
    let (before, after) = (read(line), read(&without));
    assert_eq!((before.customer_id, after.customer_id), (Some(7), None));
    assert_eq!((before.gid, before.part), (after.gid, after.part));
    assert!(BulkLine::without_customer("{").is_err());
}
