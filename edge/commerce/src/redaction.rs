//! Who is to be forgotten, what of the edge's own objects names them, and what is kept of a request to forget.
//!
//! `weir.ingest` forgets in PostgreSQL. What the edge has put aside (bodies, quarantines, the raw archive) is forgotten here,
//! before the delivery is acknowledged.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{json, Map, Value};
use weir_domain::shopify::json::instant;
use weir_domain::webhook::{Delivery, Topic};
use weir_edge_shared::discreet::place;

/// Whom a delivery asks to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `customers/redact`.
    Customer(Person),
    /// `shop/redact`.
    Shop,
}

/// A customer as `customers/redact` names them: by id, by orders, by contact, or by several of these.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Person {
    /// Shopify's id; absent of somebody without an account.
    pub customer_id: Option<i64>,
    /// Orders whose personal data goes: those of a customer of many years are thousands, and each is looked for in each line of
    /// the archive.
    pub orders: HashSet<i64>,
    /// E-mail address and phone number, lower case.
    contacts: Vec<String>,
}

/// How far forgetting has come; travels in the queue message when one run is not enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Rooms that are done.
    pub rooms: usize,
    /// Where the listing of the next one goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Objects removed so far, by room.
    #[serde(default)]
    pub removed: BTreeMap<String, u64>,
    /// What the run is called that began with another message, in which these were removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Of the second time: not before this moment, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at_millis: Option<u64>,
    /// After a failure: not before this moment, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before_millis: Option<u64>,
    /// Of a shop: what was received before this moment goes, in milliseconds since 1970. What came since may be of a shop that
    /// has registered anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_millis: Option<u64>,
    /// Of a shop: the certificate of PostgreSQL, which is not asked again for the same reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Value>,
    /// Whether PostgreSQL has taken the request since this sweep began.
    #[serde(default, skip_serializing_if = "is_false")]
    pub is_taken: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // what serde calls
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Progress {
    /// None, and not before `again_at_millis`: what was on its way to the quarantine when everything was swept has come by then.
    #[must_use]
    pub fn again(self, again_at_millis: u64) -> Self {
        Self {
            again_at_millis: Some(again_at_millis),
            until_millis: self.until_millis,
            certificate: self.certificate,
            ..Self::default()
        }
    }

    /// What the run of this message about `delivery` is called, handled since `began_millis`. A message that comes again goes on
    /// from the same place, under the same name if it was not the first one.
    #[must_use]
    pub fn run(&self, delivery: &Delivery, began_millis: u64) -> String {
        let run = self.run.clone();
        run.unwrap_or_else(|| format!("{} {began_millis}", delivery.webhook_id))
    }

    /// Whether PostgreSQL has forgotten the `subject` that this is about, and is not to be asked again: it might forget a shop that
    /// has registered anew. Of a customer only not by each run of a sweep, for all batches of the shop wait meanwhile.
    #[must_use]
    pub fn is_done_in_postgres(&self, subject: &Subject) -> bool {
        match subject {
            Subject::Shop => self.certificate.is_some() || self.again_at_millis.is_some(),
            Subject::Customer(_) => self.is_taken,
        }
    }

    /// Whether the shop is being forgotten already, and by a deployment that did not say until when.
    #[must_use]
    pub fn is_of_an_earlier_deployment(&self) -> bool {
        self.until_millis.is_none() && *self != Self::default()
    }

    /// Takes what PostgreSQL `answered` to a request to forget a shop, which began at `began_millis`. A shop that has registered anew
    /// since the request keeps what has come since then, and one that was not known before, what has come since the request.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn begin_shop(&mut self, answered: &str, began_millis: u64) -> Result<(), String> {
        let mut certificate: Value =
            serde_json::from_str(answered).map_err(|error| format!("the certificate is {}", place(&error)))?;
        let mut take = |name: &str| {
            let moment = certificate.as_object_mut()?.remove(name)?;
            millis(moment.as_str()?)
        };
        let (renewed_millis, kept_millis) = (take("registered_anew_at"), take("kept_since"));
        let until = kept_millis.or(renewed_millis).unwrap_or(began_millis);
        self.until_millis = Some(until.min(began_millis));
        self.certificate = Some(certificate);
        Ok(())
    }

    /// How many seconds it still has to wait at `now_millis`.
    #[must_use]
    pub fn wait_seconds(&self, now_millis: u64) -> Option<u32> {
        let at = self.again_at_millis.max(self.not_before_millis)?;
        let left = at.checked_sub(now_millis)?.div_ceil(1000);
        u32::try_from(left).ok().filter(|seconds| *seconds > 0)
    }
}

/// A call of PostgreSQL that gives the certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    /// The function.
    pub function: &'static str,
    /// Its argument.
    pub argument: String,
}

impl Subject {
    /// Whom `delivery` asks to forget, if it does.
    #[must_use]
    pub fn of(delivery: &Delivery) -> Option<Self> {
        match Topic::parse(&delivery.topic)? {
            Topic::ShopRedact => Some(Self::Shop),
            Topic::CustomersRedact => {
                let body: Value = serde_json::from_str(&delivery.body).unwrap_or_default();
                let customer = &body["customer"];
                let contact = |name: &str| Some(customer[name].as_str()?.trim().to_lowercase());
                Some(Self::Customer(Person {
                    customer_id: id(&customer["id"]),
                    orders: ids(&body["orders_to_redact"]).into_iter().collect(),
                    contacts: ["email", "phone"]
                        .into_iter()
                        .filter_map(contact)
                        .filter(|contact| !contact.is_empty())
                        .collect(),
                }))
            }
            _ => None,
        }
    }

    /// Whether `text`, of which nobody can tell what it is, names them anywhere: a person as [`Person::is_named_in`] says or as
    /// a whole word, a shop by its domain.
    #[must_use]
    pub fn is_a_word_of(&self, text: &str, shop_domain: &str) -> bool {
        match self {
            // A domain goes on at a hyphen and at a dot.
            Self::Shop => has_word(&text.to_lowercase(), shop_domain, "-."),
            Self::Customer(person) => person.is_a_word_of(text) || person.is_named_in(text, ""),
        }
    }

    /// The call that gives the certificate for `delivery`: forgetting again finds nothing and returns the first one.
    /// `None` for somebody named by their contact alone: PostgreSQL keeps no contact, so nobody there is theirs.
    #[must_use]
    pub fn certificate_request(&self, delivery: &Delivery) -> Option<CertificateRequest> {
        let shop_domain = &delivery.shop_domain;
        let (function, argument) = match self {
            Self::Shop => (
                "weir.redact_shop",
                json!({"shop_domain": shop_domain, "requested_at": requested_at(delivery)}),
            ),
            Self::Customer(person) if person.customer_id.is_none() && person.orders.is_empty() => return None,
            Self::Customer(person) => {
                let mut orders: Vec<&i64> = person.orders.iter().collect();
                orders.sort_unstable();
                let argument = json!({"shop_domain": shop_domain, "customer_id": person.customer_id, "orders": orders});
                ("weir.redact_customer", argument)
            }
        };
        let argument = argument.to_string();
        Some(CertificateRequest { function, argument })
    }
}

impl Person {
    /// Whether `text`, JSON or lines of it, names them. `topic` says what its `id` is the id of. Text that is no JSON names
    /// them when their id, an order of theirs or their contact occurs in it as a whole word.
    #[must_use]
    pub fn is_named_in(&self, text: &str, topic: &str) -> bool {
        let whole = match topic.split('/').next() {
            Some("customers") => "customer",
            Some("orders") => "order",
            _ => "",
        };
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            return self.is_in(&value, whole);
        }
        text.lines().any(|line| match serde_json::from_str::<Value>(line) {
            Ok(value) => self.is_in(&value, whole),
            Err(_) => self.is_a_word_of(line),
        })
    }

    /// Whether `text` has to be looked at more closely: a quick look that misses nothing.
    #[must_use]
    pub fn may_be_named_in(&self, text: &str) -> bool {
        let mut numbers = text.split(|letter: char| !letter.is_ascii_digit());
        let numbered = numbers.any(|number| number.parse().is_ok_and(|number| self.has_number(number)));
        numbered || (!self.contacts.is_empty() && self.contacts.iter().any(|one| text.to_lowercase().contains(one)))
    }

    /// The same person, were it not for their orders.
    #[must_use]
    pub fn without_orders(&self) -> Self {
        Self {
            orders: HashSet::new(),
            ..self.clone()
        }
    }

    fn has_number(&self, number: i64) -> bool {
        self.customer_id == Some(number) || self.orders.contains(&number)
    }

    /// Whether `value`, found under the name `of`, names them.
    fn is_in(&self, value: &Value, of: &str) -> bool {
        match value {
            Value::Object(fields) => fields.iter().any(|(name, value)| {
                let whose = if matches!(name.as_str(), "id" | "legacyResourceId") {
                    of
                } else {
                    name
                };
                let named = id(value).is_some_and(|id| self.is_id(whose, id));
                named || self.is_in(value, name)
            }),
            Value::Array(items) => items.iter().any(|item| self.is_in(item, of)),
            Value::String(text) => self.is_text(text),
            _ => false,
        }
    }

    fn is_id(&self, whose: &str, id: i64) -> bool {
        match whose {
            "customer" | "customer_id" | "customerId" => self.customer_id == Some(id),
            "order" | "order_id" | "orderId" => self.orders.contains(&id),
            _ => false,
        }
    }

    fn is_text(&self, text: &str) -> bool {
        if self.contacts.contains(&text.trim().to_lowercase()) {
            return true;
        }
        if let Some(path) = text.strip_prefix("gid://shopify/") {
            let (kind, number) = path.split_once('/').unwrap_or_default();
            let number = number.split('?').next().and_then(|number| number.parse().ok());
            return number.is_some_and(|id| self.is_id(&kind.to_lowercase(), id));
        }
        // A record keeps bodies and lines as text.
        text.trim_start().starts_with('{') && self.is_named_in(text, "")
    }

    fn is_a_word_of(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let mut words = text.split(|letter: char| !letter.is_alphanumeric());
        words.any(|word| !word.starts_with('0') && word.parse().is_ok_and(|number| self.has_number(number)))
            || self.contacts.iter().any(|contact| has_word(&text, contact, ""))
    }
}

/// When `delivery` asks, RFC 3339: nobody signs the time that it says, so that it is never later than its receipt.
fn requested_at(delivery: &Delivery) -> &str {
    let told = delivery.triggered_at.as_deref();
    let is_earlier = |told: &&str| {
        millis(told)
            .zip(millis(&delivery.received_at))
            .is_some_and(|(told, received)| told < received)
    };
    told.filter(is_earlier).unwrap_or(&delivery.received_at)
}

/// `text`, a time of RFC 3339, in milliseconds since 1970.
#[must_use]
pub fn millis(text: &str) -> Option<u64> {
    u64::try_from(instant(text)? / 1000).ok()
}

/// Whether `word` stands in `text` with neither a letter, a digit nor one of `joiners` beside it.
fn has_word(text: &str, word: &str, joiners: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        let mut beside = [before, after].into_iter().flatten();
        beside.all(|letter| !letter.is_alphanumeric() && !joiners.contains(letter))
    })
}

/// Whether `topic` is that of a request about privacy.
#[must_use]
pub fn is_about_privacy(topic: &str) -> bool {
    Topic::parse(topic).is_some_and(|topic| Topic::MANDATORY.contains(&topic))
}

/// Whether every deployment has kept in its quarantine the numbers alone of a delivery of `topic`.
#[must_use]
pub fn keeps_numbers_alone(topic: &str) -> bool {
    is_about_privacy(topic) && Topic::parse(topic) != Some(Topic::ShopRedact)
}

/// Whether `body` came as a request about privacy and is not of `shop_domain` by its own word, as each of Shopify's is. No header
/// is signed: whoever has any signed body could have a shop forgotten with it.
#[must_use]
pub fn is_foreign(topic: &str, body: &[u8], shop_domain: &str) -> bool {
    is_about_privacy(topic)
        && !serde_json::from_slice::<Value>(body).is_ok_and(|body| names_shop(&body["shop_domain"], shop_domain))
}

fn names_shop(value: &Value, shop_domain: &str) -> bool {
    value
        .as_str()
        .is_some_and(|told| told.eq_ignore_ascii_case(shop_domain))
}

/// What may be kept of `body` when a delivery of `topic` and `shop_domain` cannot be taken; `None` when all of it may. A request
/// about privacy keeps numbers alone, and the shop if it is that one: they are all that a replay needs, and an address in the
/// quarantine would outlive the request. Nor does another shop's body lie where its own redactions do not look for it.
#[must_use]
pub fn keepable(topic: &str, body: &str, shop_domain: &str) -> Option<String> {
    if !is_about_privacy(topic) {
        return None;
    }
    let Ok(Value::Object(body)) = serde_json::from_str(body) else {
        return Some(String::new());
    };
    let mut kept = Map::new();
    for (name, value) in body {
        let value = match (name.as_str(), id(&value)) {
            ("shop_id", Some(_)) => value,
            ("shop_domain", _) if names_shop(&value, shop_domain) => value,
            ("orders_to_redact" | "orders_requested", _) => json!(ids(&value)),
            ("customer" | "data_request", _) => id(&value["id"]).map_or(json!({}), |id| json!({ "id": id })),
            _ => continue,
        };
        kept.insert(name, value);
    }
    Some(Value::Object(kept).to_string())
}

/// How long after everything was swept it is swept again, in seconds, where `told` says it. A queue keeps a message for four days, and
/// one that comes again at the end of its time is gone if it fails.
#[must_use]
pub fn again_seconds(told: Option<u64>) -> u64 {
    const DEFAULT: u64 = 36 * 3600;
    const LONGEST: u64 = 3 * 86_400;
    told.unwrap_or(DEFAULT).min(LONGEST)
}

/// The certificate with what the edge removed, and its R2 key. `earlier` is the object that former runs left there. Each counts under
/// its name: of a message that comes again after all is certified, nothing counts twice.
///
/// # Errors
/// What is wrong with the text.
pub fn certificate(
    text: &str,
    run: &str,
    removed: &BTreeMap<String, u64>,
    earlier: Option<Value>,
) -> Result<(String, String), String> {
    let mut certificate: Value =
        serde_json::from_str(text).map_err(|error| format!("the certificate is {}", place(&error)))?;
    let key = certificate_key(&certificate)?;
    let earlier = earlier.unwrap_or_default();
    let mut objects = counts(&earlier["objects"]);
    let mut runs = earlier["runs"].as_object().cloned().unwrap_or_default();
    let mut of_run = runs.get(run).map(counts).unwrap_or_default();
    for (room, count) in removed {
        let counted = of_run.entry(room.clone()).or_default();
        *objects.entry(room.clone()).or_default() += count.saturating_sub(*counted);
        *counted = (*counted).max(*count);
    }
    of_run.retain(|_, count| *count > 0);
    if !of_run.is_empty() {
        runs.insert(run.to_owned(), json!(of_run));
    }
    certificate["objects"] = json!(objects);
    certificate["runs"] = Value::Object(runs);
    Ok((key, certificate.to_string()))
}

/// Counts by room, as a certificate has them.
fn counts(value: &Value) -> BTreeMap<String, u64> {
    let of_room = |(room, count): (&String, &Value)| (room.clone(), count.as_u64().unwrap_or_default());
    value.as_object().into_iter().flatten().map(of_room).collect()
}

/// `certificates/{day}/{certificate_id}.json`.
///
/// # Errors
/// Which field is missing.
pub fn certificate_key(certificate: &Value) -> Result<String, String> {
    let text = |name: &str| {
        certificate[name]
            .as_str()
            .ok_or_else(|| format!("the certificate has no {name}"))
    };
    let (id, at) = (text("certificate_id")?, text("redacted_at")?);
    Ok(format!("certificates/{}/{id}.json", at.get(..10).unwrap_or("undated")))
}

fn id(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn ids(value: &Value) -> Vec<i64> {
    value.as_array().into_iter().flatten().filter_map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"shop_id": 1, "shop_domain": "demo.myshopify.com", "orders_to_redact": [299938, "280263"],
        "customer": {"id": 207119551, "email": "Jane.Doe@Example.com", "phone": "+1 555"}}"#;

    fn delivery(topic: &str, body: &str) -> Delivery {
        crate::message::delivery("w", topic, body)
    }

    fn jane() -> Person {
        match Subject::of(&delivery("customers/redact", BODY)) {
            Some(Subject::Customer(person)) => person,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_names_a_customer_or_a_shop() {
        assert_eq!(jane().orders, HashSet::from([299_938, 280_263]));
        assert_eq!(Subject::of(&delivery("shop/redact", "{}")), Some(Subject::Shop));
        assert_eq!(Subject::of(&delivery("orders/create", BODY)), None);
        let shop = Subject::Shop
            .certificate_request(&delivery("shop/redact", "{}"))
            .unwrap();
        assert_eq!(shop.function, "weir.redact_shop");
        let request = Subject::Customer(jane())
            .certificate_request(&delivery("", ""))
            .unwrap();
        assert_eq!(request.function, "weir.redact_customer");
        assert_eq!(
            request.argument,
            r#"{"customer_id":207119551,"orders":[280263,299938],"shop_domain":"demo.myshopify.com"}"#
        );
        let request = |body: &str| {
            let subject = Subject::of(&delivery("customers/redact", body)).unwrap();
            subject
                .certificate_request(&delivery("", ""))
                .map(|request| request.argument)
        };
        assert_eq!(
            request(r#"{"customer": {"email": "a@b.c"}, "orders_to_redact": ["5"]}"#).unwrap(),
            r#"{"customer_id":null,"orders":[5],"shop_domain":"demo.myshopify.com"}"#
        );
        assert_eq!(request(r#"{"customer": {"email": "a@b.c"}}"#), None);
    }

    #[test]
    fn named_by_id_order_and_contact() {
        let jane = jane();
        for (topic, body) in [
            ("orders/create", r#"{"id": 1, "customer": {"id": 207119551}}"#),
            ("orders/create", r#"{"id": 299938}"#),
            ("customers/update", r#"{"id": 207119551}"#),
            ("refunds/create", r#"{"id": 2, "order_id": 280263}"#),
            ("orders/create", r#"{"id": 1, "email": "jane.doe@example.COM"}"#),
            (
                "",
                r#"{"lines": "{\"id\": \"gid://shopify/Order/1\"}\n{\"customer\": {\"id\": \"gid://shopify/Customer/207119551\"}}"}"#,
            ),
            ("", r#"{"message": {"event": {"order_id": "280263"}}}"#),
            ("orders/create", r#"{"email": "jane.doe@example.com", broken"#),
            ("orders/create", r#"{"customer": {"id": 207119551"#),
        ] {
            assert!(jane.is_named_in(body, topic), "{topic} {body}");
        }
    }

    #[test]
    fn a_quick_look_misses_nobody_and_passes_over_longer_numbers() {
        let jane = jane();
        for text in [
            r#"{"id":"gid:\/\/shopify\/Order\/299938"}"#,
            r#"{"order_id":"00280263"}"#,
            "x207119551y",
            "JANE.DOE@example.com",
        ] {
            assert!(jane.may_be_named_in(text), "{text}");
        }
        for text in [
            "",
            "2999380 1299938",
            "99999999999999999999999299938",
            "john@example.com",
        ] {
            assert!(!jane.may_be_named_in(text), "{text}");
        }
    }

    #[test]
    fn not_named_by_the_same_number_of_something_else() {
        let jane = jane();
        for (topic, body) in [
            ("orders/create", r#"{"id": 207119551, "customer": {"id": 299938}}"#),
            ("products/update", r#"{"id": 299938}"#),
            ("orders/create", r#"{"note": "ask jane.doe@example.com.au"}"#),
            ("orders/create", r#"{"id": 2071195510, broken"#),
            ("", r#"{"id": "gid://shopify/Product/207119551"}"#),
            ("", ""),
        ] {
            assert!(!jane.is_named_in(body, topic), "{topic} {body}");
        }
        assert!(!Person::default().is_named_in(r#"{"email": "", "customer": {"id": null}}"#, "orders/create"));
    }

    #[test]
    fn of_a_request_about_privacy_numbers_alone_are_kept() {
        let keepable = |topic: &str, body: &str| keepable(topic, body, "demo.myshopify.com");
        let kept: Value = serde_json::from_str(&keepable("customers/redact", BODY).unwrap()).unwrap();
        let expected = json!({"shop_id": 1, "shop_domain": "demo.myshopify.com", "customer": {"id": 207_119_551},
            "orders_to_redact": [299_938, 280_263]});
        assert_eq!(kept, expected);
        let by_contact =
            r#"{"customer": {"email": "a@b.c"}, "note": "a@b.c", "shop_id": "a@b.c", "shop_domain": "a@b.c"}"#;
        assert_eq!(keepable("customers/redact", by_contact).unwrap(), r#"{"customer":{}}"#);
        assert_eq!(keepable("customers/data_request", "a@b.c").unwrap(), "");
        assert_eq!(keepable("shop/redact", by_contact).unwrap(), r#"{"customer":{}}"#);
        assert_eq!(keepable("orders/create", BODY), None);
    }

    #[test]
    fn a_shop_is_asked_to_be_forgotten_as_of_the_request_and_never_later_than_its_receipt() {
        let received_at = "2026-11-24T10:00:00.000Z";
        for (triggered_at, of) in [
            (None, received_at),
            (Some("2026-11-24T09:00:00Z"), "2026-11-24T09:00:00Z"),
            (Some("2026-11-24T10:04:00Z"), received_at),
            (Some("today"), received_at),
        ] {
            let mut delivery = delivery("shop/redact", "{}");
            delivery.triggered_at = triggered_at.map(str::to_owned);
            let request = Subject::Shop.certificate_request(&delivery).unwrap();
            let expected = format!(r#"{{"requested_at":"{of}","shop_domain":"demo.myshopify.com"}}"#);
            assert_eq!(request.argument, expected);
        }
    }

    #[test]
    fn of_a_shop_that_registered_anew_goes_what_came_before() {
        let began = |answer: &str| {
            let mut progress = Progress::default();
            progress.begin_shop(answer, 5000).map(|()| progress)
        };
        let first = began(r#"{"certificate_id": "c"}"#).unwrap();
        assert_eq!(
            (first.until_millis, first.certificate.clone()),
            (Some(5000), Some(json!({"certificate_id": "c"})))
        );
        let anew = began(r#"{"certificate_id": "c", "registered_anew_at": "1970-01-01T00:00:03.000Z"}"#).unwrap();
        assert_eq!(
            (anew.until_millis, anew.certificate),
            (Some(3000), first.certificate.clone())
        );
        let unknown = began(
            r#"{"certificate_id": "c", "registered_anew_at": "1970-01-01T00:00:03.000Z",
                "kept_since": "1970-01-01T00:00:02.000Z"}"#,
        );
        let unknown = unknown.unwrap();
        assert_eq!(
            (unknown.until_millis, unknown.certificate),
            (Some(2000), first.certificate.clone())
        );
        assert!(began("").is_err());
        let again = first.clone().again(9000);
        assert_eq!(
            (again.until_millis, &again.certificate),
            (first.until_millis, &first.certificate)
        );
        assert!(!Progress::default().is_of_an_earlier_deployment() && !first.is_of_an_earlier_deployment());
        assert!(Progress::default().again(1).is_of_an_earlier_deployment());
    }

    #[test]
    fn the_second_time_has_its_moment() {
        let again = Progress::default().again(5000);
        assert_eq!(
            [0, 4001, 5000, 5001].map(|now| again.wait_seconds(now)),
            [Some(5), Some(1), None, None]
        );
        assert_eq!(Progress::default().wait_seconds(0), None);
        let failed = Progress {
            not_before_millis: Some(7000),
            ..again.clone()
        };
        assert_eq!(failed.wait_seconds(5000), Some(2));
        let text = serde_json::to_string(&again).unwrap();
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), again);
    }

    #[test]
    fn a_certificate_adds_up_what_several_runs_removed() {
        let text = r#"{"certificate_id": "c-1", "redacted_at": "2026-11-24T10:00:00.000Z", "removed": {}}"#;
        let removed = |count: u64| BTreeMap::from([("commerce/bodies".to_owned(), count), ("other".to_owned(), 0)]);
        let added = |run: &str, count: u64, earlier: Value| -> Value {
            let (key, text) = certificate(text, run, &removed(count), Some(earlier)).unwrap();
            assert_eq!(key, "certificates/2026-11-24/c-1.json");
            serde_json::from_str(&text).unwrap()
        };
        let bodies = |certificate: &Value| certificate["objects"]["commerce/bodies"].as_u64();
        let first = added("w 1", 2, Value::Null);
        assert_eq!(first["objects"], json!({"commerce/bodies": 2, "other": 0}));
        let second = added("w 2", 3, first.clone());
        assert_eq!(bodies(&second), Some(5));
        assert_eq!(added("w 2", 1, second.clone()), second, "from an earlier place on");
        assert_eq!(bodies(&added("w 2", 4, second.clone())), Some(6));
        assert_eq!(added("w 3", 0, second.clone()), second, "nothing is left");
        // An earlier deployment did not say of which runs.
        let earlier = json!({"objects": {"commerce/bodies": 7, "gone": 1}});
        let third = added("w 1", 2, earlier);
        assert_eq!(third["objects"], json!({"commerce/bodies": 9, "gone": 1, "other": 0}));
        assert!(certificate("{}", "w 1", &removed(1), None).is_err());
    }

    #[test]
    fn a_run_keeps_its_name_from_message_to_message() {
        let (delivery, first) = (delivery("shop/redact", "{}"), Progress::default());
        assert_eq!(first.run(&delivery, 5000), "w 5000");
        let more = Progress {
            run: Some(first.run(&delivery, 5000)),
            ..first
        };
        assert_eq!(more.run(&delivery, 6000), "w 5000");
        assert_eq!(
            more.again(9000).run(&delivery, 9000),
            "w 9000",
            "the second time is a run of its own"
        );
    }

    #[test]
    fn the_second_time_comes_before_the_queue_drops_it() {
        let hour = 3600;
        let told = [None, Some(0), Some(60), Some(7 * 24 * hour)];
        assert_eq!(told.map(again_seconds), [36 * hour, 0, 60, 72 * hour]);
    }
}
