//! Options that say where the lake is.

use crate::lake::config::{Access, CatalogConfig, S3Config, WAREHOUSE};
use crate::{Error, Result};

/// Catalog and object storage; without any of these, the embedded catalog over local folders.
#[derive(Debug, Default, clap::Args)]
#[group(id = "catalog")]
pub struct Args {
    /// URI of another Iceberg REST catalog.
    #[arg(long, env = "WEIR_CATALOG_URI")]
    pub catalog_uri: Option<String>,
    /// What that catalog calls the lake.
    #[arg(long, env = "WEIR_CATALOG_WAREHOUSE")]
    pub catalog_warehouse: Option<String>,
    /// Bearer token of that catalog, or the API token of an R2 Data Catalog.
    #[arg(long, env = "WEIR_CATALOG_TOKEN", hide_env_values = true)]
    pub catalog_token: Option<String>,
    /// OAuth2 client credentials of that catalog, as id:secret, instead of a token.
    #[arg(long, env = "WEIR_CATALOG_CREDENTIAL", hide_env_values = true)]
    pub catalog_credential: Option<String>,
    /// Cloudflare R2 Data Catalog as account/bucket; needs --catalog-token.
    #[arg(long, env = "WEIR_R2_CATALOG", conflicts_with_all = ["catalog_uri", "s3_endpoint"])]
    pub r2_catalog: Option<String>,
    /// URL of the S3 service; AWS if absent.
    #[arg(long, env = "WEIR_S3_ENDPOINT")]
    pub s3_endpoint: Option<String>,
    /// Region; naming one says that the tables lie on S3.
    #[arg(long, env = "WEIR_S3_REGION")]
    pub s3_region: Option<String>,
    /// Access key id; without keys the catalog hands out temporary ones.
    #[arg(long, env = "WEIR_S3_ACCESS_KEY_ID", hide_env_values = true)]
    pub s3_access_key_id: Option<String>,
    /// Secret access key.
    #[arg(long, env = "WEIR_S3_SECRET_ACCESS_KEY", hide_env_values = true)]
    pub s3_secret_access_key: Option<String>,
    /// Buckets as the first part of the path instead of the host name.
    #[arg(long, env = "WEIR_S3_PATH_STYLE", value_parser = clap::builder::FalseyValueParser::new())]
    pub s3_path_style: bool,
}

impl Args {
    /// The catalog these name; none for the embedded one.
    ///
    /// # Errors
    /// [`Error::CommandLine`] naming the option that is missing or wrong.
    pub fn config(self) -> Result<Option<CatalogConfig>> {
        let missing = |what: &str| Error::CommandLine(format!("{what} is missing"));
        let keys = match (self.s3_access_key_id, self.s3_secret_access_key) {
            (Some(id), Some(secret)) => Some((id, secret)),
            (None, None) => None,
            (Some(_), None) => return Err(missing("--s3-secret-access-key")),
            (None, Some(_)) => return Err(missing("--s3-access-key-id")),
        };
        if let Some(name) = self.r2_catalog {
            let token = self.catalog_token.ok_or_else(|| missing("--catalog-token"))?;
            let Some((account, bucket)) = name.split_once('/') else {
                return Err(Error::CommandLine(format!(
                    "--r2-catalog {name:?} is not account/bucket"
                )));
            };
            return CatalogConfig::r2_data_catalog(account, bucket, &token, keys).map(Some);
        }
        let Some(uri) = self.catalog_uri else {
            if self.s3_endpoint.is_some() || self.s3_region.is_some() || keys.is_some() {
                return Err(Error::CommandLine(
                    "tables on S3 need a catalog: give --catalog-uri (the embedded one keeps tables in local folders)"
                        .into(),
                ));
            }
            return Ok(None);
        };
        let access = match (self.catalog_token, self.catalog_credential) {
            (Some(_), Some(_)) => {
                return Err(Error::CommandLine(
                    "give --catalog-token or --catalog-credential, not both".into(),
                ))
            }
            (Some(token), None) => Access::Token(token),
            (None, Some(credential)) => match credential.split_once(':') {
                Some((id, secret)) => Access::ClientCredentials {
                    id: id.to_owned(),
                    secret: secret.to_owned(),
                },
                None => return Err(Error::CommandLine("--catalog-credential is not id:secret".into())),
            },
            (None, None) => Access::Open,
        };
        let is_s3 = self.s3_endpoint.is_some() || self.s3_region.is_some() || keys.is_some();
        let s3 = is_s3.then(|| S3Config {
            endpoint: self.s3_endpoint,
            region: self.s3_region.unwrap_or_else(|| "us-east-1".to_owned()),
            keys,
            path_style: self.s3_path_style,
        });
        Ok(Some(CatalogConfig {
            uri,
            warehouse: self.catalog_warehouse.unwrap_or_else(|| WAREHOUSE.to_owned()),
            access,
            s3,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn nothing_means_the_embedded_catalog_and_half_a_configuration_is_an_error() {
        assert_eq!(Args::default().config().unwrap(), None);
        let cases = [
            (
                Args {
                    s3_region: some("auto"),
                    ..Args::default()
                },
                "--catalog-uri",
            ),
            (
                Args {
                    catalog_uri: some("http://c"),
                    s3_access_key_id: some("a"),
                    ..Args::default()
                },
                "--s3-secret-access-key is missing",
            ),
            (
                Args {
                    catalog_uri: some("http://c"),
                    catalog_credential: some("a"),
                    ..Args::default()
                },
                "id:secret",
            ),
            (
                Args {
                    r2_catalog: some("a/b"),
                    ..Args::default()
                },
                "--catalog-token is missing",
            ),
        ];
        for (args, message) in cases {
            let error = args.config().unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn r2_needs_account_bucket_and_token_only() {
        let args = Args {
            r2_catalog: some("0123456789abcdef0123456789abcdef/weir-lake"),
            catalog_token: some("t"),
            ..Args::default()
        };
        let config = args.config().unwrap().unwrap();
        assert_eq!(config.warehouse, "0123456789abcdef0123456789abcdef_weir-lake");
        assert_eq!(config.access, Access::Token("t".into()));
    }
}
