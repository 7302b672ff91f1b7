//! A change of the catalogue, as it arrives from outside.

use std::collections::BTreeMap;

use serde::Serialize;

use super::is_catalogue_id;
use crate::interaction::address::is_redirect_target;
use crate::interaction::link::is_link_code;
use crate::shopify::json::Json;

/// Longest text of the catalogue, in bytes.
const MAX_TEXT_BYTES: usize = 2048;

/// A publisher: whoever shows the shop's products.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Publisher {
    pub name: String,
}

/// What a publisher published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Item {
    pub publisher_id: String,
    pub title: String,
    pub url: Option<String>,
    pub kind: Option<String>,
}

/// Terms under which publishers send visitors; of one publisher, or of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Program {
    pub name: String,
    pub publisher_id: Option<String>,
}

/// A redirect: where a code leads, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Link {
    pub url: String,
    pub publisher_id: Option<String>,
    pub item_id: Option<String>,
    pub program_id: Option<String>,
    pub placement: Option<String>,
    /// Shopify's number of the product that it leads to, decimal.
    pub product_id: Option<String>,
}

/// A change of a shop's catalogue, by id. An entry that is null is taken out; what is not named stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct CatalogueChange {
    pub shop_domain: String,
    pub publishers: BTreeMap<String, Option<Publisher>>,
    pub items: BTreeMap<String, Option<Item>>,
    pub programs: BTreeMap<String, Option<Program>>,
    pub links: BTreeMap<String, Option<Link>>,
}

impl CatalogueChange {
    /// Reads a change.
    ///
    /// # Errors
    /// The place of the first fault and what was expected there, without a value.
    pub fn parse(json: &str) -> Result<Self, String> {
        let json = Json::parse(json).map_err(|error| error.place())?;
        let parts = ["shop_domain", "publishers", "items", "programs", "links"];
        let catalogue = Record::of(&json, "", &parts)?;
        Ok(Self {
            shop_domain: catalogue.required("shop_domain")?.to_owned(),
            publishers: entries(&json, "publishers", &["name"], |entry| {
                let name = entry.bounded("name")?;
                Ok(Publisher { name })
            })?,
            items: entries(&json, "items", &["publisher_id", "title", "url", "kind"], |entry| {
                Ok(Item {
                    publisher_id: entry.required("publisher_id")?.to_owned(),
                    title: entry.bounded("title")?,
                    url: entry.optional("url", Record::address)?,
                    kind: entry.optional("kind", Record::text)?,
                })
            })?,
            programs: entries(&json, "programs", &["name", "publisher_id"], |entry| {
                Ok(Program {
                    name: entry.bounded("name")?,
                    publisher_id: entry.optional("publisher_id", Record::text)?,
                })
            })?,
            links: entries(
                &json,
                "links",
                &[
                    "url",
                    "publisher_id",
                    "item_id",
                    "program_id",
                    "placement",
                    "product_id",
                ],
                |entry| {
                    Ok(Link {
                        url: entry.redirect_target("url")?,
                        publisher_id: entry.optional("publisher_id", Record::text)?,
                        item_id: entry.optional("item_id", Record::text)?,
                        program_id: entry.optional("program_id", Record::text)?,
                        placement: entry.optional("placement", Record::bounded)?,
                        product_id: entry.optional("product_id", Record::shopify_id)?,
                    })
                },
            )?,
        })
    }
}

/// The entries of a part of the catalogue, by id.
fn entries<T>(
    catalogue: &Json<'_>,
    part: &str,
    fields: &[&str],
    read: impl Fn(&Record<'_, '_>) -> Result<T, String>,
) -> Result<BTreeMap<String, Option<T>>, String> {
    let entries = match catalogue.member(part) {
        None => return Ok(BTreeMap::new()),
        Some(Json::Object(entries)) => entries,
        Some(_) => return Err(format!("{part}: expected an object")),
    };
    let mut found = BTreeMap::new();
    for (id, entry) in entries {
        if !is_catalogue_id(id) {
            return Err(format!("{part}: an id is 1 to 128 letters, digits and . _ : / -"));
        }
        let entry = match entry {
            // Also one that could not be put: an earlier version took others.
            Json::Null => None,
            _ if part == "links" && !is_link_code(id) => {
                return Err(format!(
                    "{part}: a code is 1 to 128 letters, digits and . _ -, and not . or .."
                ));
            }
            entry => Some(read(&Record::of(entry, &format!("{part}.{id}"), fields)?)?),
        };
        found.insert(id.clone().into_owned(), entry);
    }
    Ok(found)
}

/// An object of which every field is known.
struct Record<'j, 'a> {
    json: &'j Json<'a>,
    /// What its members' paths begin with, such as `items.i1.`.
    stem: String,
}

impl<'j, 'a> Record<'j, 'a> {
    /// A field that is not among `fields` is refused: it may be a misspelt one, which would be lost without a word.
    fn of(json: &'j Json<'a>, path: &str, fields: &[&str]) -> Result<Self, String> {
        let (prefix, stem) = match path {
            "" => (String::new(), String::new()),
            path => (format!("{path}: "), format!("{path}.")),
        };
        let Json::Object(members) = json else {
            return Err(format!("{prefix}expected an object"));
        };
        if members.iter().any(|(name, _)| !fields.contains(&name.as_ref())) {
            return Err(format!("{prefix}expected no other fields than {}", fields.join(", ")));
        }
        Ok(Self { json, stem })
    }

    fn wrong(&self, name: &str, expected: &str) -> String {
        format!("{}{name}: {expected}", self.stem)
    }

    fn required(&self, name: &str) -> Result<&'j str, String> {
        match self.json.member(name) {
            Some(Json::String(text)) => Ok(text),
            _ => Err(self.wrong(name, "expected text")),
        }
    }

    fn text(&self, name: &str) -> Result<String, String> {
        self.required(name).map(str::to_owned)
    }

    /// A text of a sane length.
    fn bounded(&self, name: &str) -> Result<String, String> {
        let text = self.required(name)?;
        if text.is_empty() || text.len() > MAX_TEXT_BYTES {
            return Err(self.wrong(name, "expected 1 to 2048 bytes"));
        }
        Ok(text.to_owned())
    }

    /// An address that a browser may open. Anything else, such as javascript:, would run where the visitor is.
    fn address(&self, name: &str) -> Result<String, String> {
        let url = self.bounded(name)?;
        if !url.starts_with("https://") && !url.starts_with("http://") {
            return Err(self.wrong(name, "expected http:// or https://"));
        }
        Ok(url)
    }

    /// An address that the redirect leads to: it answers 404 for any other.
    fn redirect_target(&self, name: &str) -> Result<String, String> {
        let url = self.address(name)?;
        if !is_redirect_target(&url) {
            return Err(self.wrong(name, "expected an absolute address in ASCII, without user and spaces"));
        }
        Ok(url)
    }

    fn shopify_id(&self, name: &str) -> Result<String, String> {
        const MAX_DIGITS: usize = 19; // of a 64-bit integer
        let id = self.required(name)?;
        let is_plain = id.len() <= MAX_DIGITS && id.bytes().all(|digit| digit.is_ascii_digit());
        if !is_plain || !id.parse::<i64>().is_ok_and(|id| id > 0) {
            return Err(self.wrong(name, "expected a Shopify id in decimal digits"));
        }
        Ok(id.to_owned())
    }

    fn optional(
        &self,
        name: &str,
        read: impl Fn(&Self, &str) -> Result<String, String>,
    ) -> Result<Option<String>, String> {
        match self.json.member(name) {
            None | Some(Json::Null) => Ok(None),
            Some(_) => read(self, name).map(Some),
        }
    }
}
