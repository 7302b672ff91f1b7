//! Versions of a stream: which there are, how a Worker's binding to one is called, and what an older one takes of a row.
//!
//! A stream cannot be changed at Cloudflare once created, so a change is a new stream beside the old one, and until readers
//! have moved every event goes to both.

use std::borrow::Cow;

use serde_json::Value;

use super::schema::{Field, FieldType, StreamSchema};
use super::streams::all;

impl StreamSchema {
    /// What its versions have in common, `commerce` of `commerce_v2`; also the Iceberg namespace.
    #[must_use]
    pub fn family(&self) -> &'static str {
        family_and_version(self.name).map_or(self.name, |(family, _)| family)
    }

    /// Its number among them, from 1.
    #[must_use]
    pub fn version(&self) -> u32 {
        family_and_version(self.name).map_or(1, |(_, number)| number)
    }

    /// `row`, made for `newest`, as this version of the stream takes it: without the fields that came later, at any depth,
    /// and with this version's `schema_version`. A field that neither version knows stays, so that validation names it.
    #[must_use]
    pub fn narrowed<'a>(&self, row: &'a Value, newest: &Self) -> Cow<'a, Value> {
        if self.fields == newest.fields {
            return Cow::Borrowed(row);
        }
        let mut row = row.clone();
        narrow(&mut row, &self.fields, &newest.fields);
        if let Some(number) = row.get_mut("schema_version") {
            *number = self.version().into();
        }
        Cow::Owned(row)
    }
}

fn narrow(value: &mut Value, older: &[Field], newer: &[Field]) {
    let Value::Object(object) = value else { return };
    let known = |fields: &[Field], name: &str| fields.iter().any(|field| field.name == name);
    object.retain(|name, _| known(older, name) || !known(newer, name));
    for field in newer {
        let Some(old) = older.iter().find(|old| old.name == field.name) else {
            continue;
        };
        if let Some(inner) = object.get_mut(field.name) {
            narrow_value(inner, &old.field_type, &field.field_type);
        }
    }
}

fn narrow_value(value: &mut Value, older: &FieldType, newer: &FieldType) {
    match (older, newer) {
        (FieldType::Struct(older), FieldType::Struct(newer)) => narrow(value, older, newer),
        (FieldType::List(older), FieldType::List(newer)) => {
            for item in value.as_array_mut().into_iter().flatten() {
                narrow_value(item, older, newer);
            }
        }
        _ => {}
    }
}

/// The versions of `family`, oldest first; events are made for the last one. Empty for an unknown family.
#[must_use]
pub fn versions(family: &str) -> Vec<StreamSchema> {
    let mut found: Vec<_> = all().into_iter().filter(|stream| stream.family() == family).collect();
    found.sort_by_key(StreamSchema::version);
    found
}

/// Name of a Worker's binding to version `number` of `family`: `COMMERCE_TELEMETRY`, `COMMERCE_TELEMETRY_V2`. It says the
/// version for good, since each row is checked against the schema of the stream that it goes to.
#[must_use]
pub fn binding(family: &str, number: u32) -> String {
    let family = family.to_uppercase();
    match number {
        1 => format!("{family}_TELEMETRY"),
        number => format!("{family}_TELEMETRY_V{number}"),
    }
}

/// Name of version `number` of `family`: `commerce_v2`.
#[must_use]
pub fn stream_name(family: &str, number: u32) -> String {
    format!("{family}_v{number}")
}

/// Family and number of such a name; `None` if it is none.
#[must_use]
pub fn family_and_version(name: &str) -> Option<(&str, u32)> {
    let (family, number) = name.rsplit_once("_v")?;
    Some((family, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::telemetry::commerce;

    fn added(name: &'static str) -> Field {
        Field {
            name,
            field_type: FieldType::String,
            required: false,
            doc: "New [IAO: data item]",
        }
    }

    /// A second version with a field more in the row and one more in each sale.
    fn second() -> StreamSchema {
        let mut second = commerce();
        second.name = "commerce_v2";
        second.fields.push(added("note"));
        for field in &mut second.fields {
            if let (FieldType::List(items), "sales") = (&mut field.field_type, field.name) {
                if let FieldType::Struct(fields) = items.as_mut() {
                    fields.push(added("reason"));
                }
            }
        }
        second
    }

    #[test]
    fn every_stream_has_a_family_a_number_and_the_namespace_of_its_family() {
        for stream in all() {
            assert_eq!(stream_name(stream.family(), stream.version()), stream.name);
            assert!(
                stream.table.starts_with(&format!("{}.", stream.family())),
                "{}",
                stream.table
            );
            let versions = versions(stream.family());
            assert!(versions.contains(&stream));
            let numbers: Vec<_> = versions.iter().map(StreamSchema::version).collect();
            assert_eq!(
                numbers,
                (1..=u32::try_from(versions.len()).unwrap()).collect::<Vec<_>>()
            );
        }
        assert!(versions("nothing").is_empty());
    }

    #[test]
    fn a_binding_says_its_version() {
        assert_eq!(binding("commerce", 1), "COMMERCE_TELEMETRY");
        assert_eq!(binding("publication", 2), "PUBLICATION_TELEMETRY_V2");
    }

    #[test]
    fn an_older_version_takes_what_it_knows_and_unknown_fields_are_still_found() {
        let sale = json!({"product_id": "1", "day": "2026-11-24", "kind": "sale", "units_sold": 1, "units_returned": 0,
            "gross_sales": 5, "discounts": 0, "returns": 0, "net_sales": 5, "reason": "gift"});
        let mut row = json!({
            "event_id": "e", "event_type": "order_created", "schema_version": 2,
            "occurred_at": "2026-11-24T10:00:00.000Z", "received_at": "2026-11-24T10:00:01.000Z",
            "event_date": "2026-11-24", "event_hour": 10, "source": "webhook", "shop_domain": "demo.myshopify.com",
            "note": "n", "sales": [sale],
        });
        assert_eq!(second().validate(&row), Ok(()));
        assert!(commerce().validate(&row).is_err());
        let narrowed = commerce().narrowed(&row, &second()).into_owned();
        assert_eq!(commerce().validate(&narrowed), Ok(()));
        assert_eq!((&narrowed["schema_version"], narrowed.get("note")), (&json!(1), None));
        assert_eq!(narrowed["sales"][0]["net_sales"], 5);
        assert!(matches!(second().narrowed(&row, &second()), Cow::Borrowed(_)));

        row["surprise"] = json!(1);
        let narrowed = commerce().narrowed(&row, &second());
        assert_eq!(commerce().validate(&narrowed).unwrap_err().field, "surprise");
    }
}
