//! Which catalog knows the tables, and how to reach the files they consist of.
//!
//! Three kinds of lake, one configuration: the embedded catalog over local folders; any Iceberg REST catalog over S3; and
//! Cloudflare R2 Data Catalog ([`CatalogConfig::r2_data_catalog`]).

use std::collections::HashMap;

use crate::{Error, Result};

/// Name under which clients attach a lake whose catalog is the embedded one.
pub const WAREHOUSE: &str = "weir";

/// An Iceberg REST catalog and the object storage of its tables.
#[derive(Clone, PartialEq, Eq)]
pub struct CatalogConfig {
    /// URI without the trailing `/v1`.
    pub uri: String,
    /// What the catalog calls this lake.
    pub warehouse: String,
    /// How it knows us.
    pub access: Access,
    /// Where the tables' files lie; none: in local folders.
    pub s3: Option<S3Config>,
}

/// How a catalog knows its client.
#[derive(Clone, PartialEq, Eq)]
pub enum Access {
    /// It does not ask.
    Open,
    /// A fixed bearer token.
    Token(String),
    /// OAuth2 client credentials, for which the catalog gives tokens that expire.
    ClientCredentials {
        /// Client id.
        id: String,
        /// Client secret.
        secret: String,
    },
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Token(_) => "Token",
            Self::ClientCredentials { .. } => "ClientCredentials",
        })
    }
}

/// An S3-compatible object storage.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Config {
    /// URL of the service; none for AWS.
    pub endpoint: Option<String>,
    /// Region; `auto` at R2.
    pub region: String,
    /// Access key id and secret access key; none: the catalog hands out temporary ones with each table.
    pub keys: Option<(String, String)>,
    /// Buckets as the first part of the path instead of the host name.
    pub path_style: bool,
}

// Secrets stay out of logs.
impl std::fmt::Debug for CatalogConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CatalogConfig")
            .field("uri", &self.uri)
            .field("warehouse", &self.warehouse)
            .field("s3", &self.s3)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for S3Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Config")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("path_style", &self.path_style)
            .finish_non_exhaustive()
    }
}

impl CatalogConfig {
    /// The embedded catalog at `uri`, over local folders.
    #[must_use]
    pub fn embedded(uri: &str, token: Option<String>) -> Self {
        Self {
            uri: uri.to_owned(),
            warehouse: WAREHOUSE.to_owned(),
            access: token.map_or(Access::Open, Access::Token),
            s3: None,
        }
    }

    /// Cloudflare R2 Data Catalog of a bucket. `token` is an API token with R2 Data Catalog and R2 storage rights; `keys`
    /// are S3 keys of the bucket, which DuckDB needs to read (the catalog's own temporary keys serve for writing only).
    ///
    /// Source: developers.cloudflare.com/r2/data-catalog/get-started (URI and warehouse as `wrangler r2 bucket catalog
    /// enable` prints them).
    ///
    /// # Errors
    /// [`Error::Invalid`] unless `account` is 32 hexadecimal digits and `bucket` a bucket name.
    pub fn r2_data_catalog(account: &str, bucket: &str, token: &str, keys: Option<(String, String)>) -> Result<Self> {
        if account.len() != 32 || !account.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(Error::Invalid(format!(
                "{account:?} is not a Cloudflare account id (32 hexadecimal digits)"
            )));
        }
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(fits) {
            return Err(Error::Invalid(format!("{bucket:?} is not the name of an R2 bucket")));
        }
        Ok(Self {
            uri: format!("https://catalog.cloudflarestorage.com/{account}/{bucket}"),
            warehouse: format!("{account}_{bucket}"),
            access: Access::Token(token.to_owned()),
            s3: Some(S3Config {
                endpoint: Some(format!("https://{account}.r2.cloudflarestorage.com")),
                region: "auto".to_owned(),
                keys,
                path_style: true,
            }),
        })
    }

    /// Properties under the names that Iceberg's clients share.
    #[must_use]
    pub fn properties(&self) -> HashMap<String, String> {
        let mut properties = HashMap::new();
        let mut set = |name: &str, value: &str| properties.insert(name.to_owned(), value.to_owned());
        set("uri", self.uri.trim_end_matches('/'));
        set("warehouse", &self.warehouse);
        match &self.access {
            Access::Open => None,
            Access::Token(token) => set("token", token),
            Access::ClientCredentials { id, secret } => set("credential", &format!("{id}:{secret}")),
        };
        if let Some(s3) = &self.s3 {
            set("s3.region", &s3.region);
            set("s3.path-style-access", if s3.path_style { "true" } else { "false" });
            if let Some(endpoint) = &s3.endpoint {
                set("s3.endpoint", endpoint);
            }
            match &s3.keys {
                Some((id, secret)) => {
                    set("s3.access-key-id", id);
                    set("s3.secret-access-key", secret);
                }
                None => {
                    set("header.X-Iceberg-Access-Delegation", "vended-credentials");
                }
            }
        }
        properties
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_r2_data_catalog_is_found_by_account_and_bucket() {
        let account = "0123456789abcdef0123456789abcdef";
        let config = CatalogConfig::r2_data_catalog(account, "weir-lake", "secret-token", None).unwrap();
        let properties = config.properties();
        let expected = [
            (
                "uri",
                "https://catalog.cloudflarestorage.com/0123456789abcdef0123456789abcdef/weir-lake",
            ),
            ("warehouse", "0123456789abcdef0123456789abcdef_weir-lake"),
            ("token", "secret-token"),
            ("s3.region", "auto"),
            (
                "s3.endpoint",
                "https://0123456789abcdef0123456789abcdef.r2.cloudflarestorage.com",
            ),
            ("s3.path-style-access", "true"),
            ("header.X-Iceberg-Access-Delegation", "vended-credentials"),
        ];
        assert_eq!(properties.len(), expected.len());
        for (name, value) in expected {
            assert_eq!(properties[name], value, "{name}");
        }
        assert!(!format!("{config:?}").contains("secret-token"));
        for (account, bucket) in [("x", "weir-lake"), (account, "We/ir"), (account, "ab")] {
            assert!(matches!(
                CatalogConfig::r2_data_catalog(account, bucket, "t", None),
                Err(Error::Invalid(_))
            ));
        }
    }

    #[test]
    fn keys_of_one_s3_are_handed_on_and_never_printed() {
        let config = CatalogConfig {
            uri: "http://catalog:8181/".into(),
            warehouse: "w".into(),
            access: Access::ClientCredentials {
                id: "id".into(),
                secret: "hidden".into(),
            },
            s3: Some(S3Config {
                endpoint: None,
                region: "eu-west-1".into(),
                keys: Some(("AK".into(), "SK-hidden".into())),
                path_style: false,
            }),
        };
        let properties = config.properties();
        assert_eq!(properties["uri"], "http://catalog:8181");
        assert_eq!(properties["credential"], "id:hidden");
        assert_eq!(properties["s3.secret-access-key"], "SK-hidden");
        assert_eq!(properties["s3.path-style-access"], "false");
        assert!(!properties.contains_key("s3.endpoint"));
        assert!(!format!("{config:?}").contains("hidden"));
    }
}
