//! The connection of `weir db`.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Client;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::{Error, Result};

/// Connects with TLS unless the URL says `sslmode=disable`; the server's certificate is checked.
///
/// # Errors
/// When the URL is none, a certificate file is not readable, or the server is not reached or refuses.
pub async fn connect(url: &str, ca_file: Option<&Path>) -> Result<Client> {
    // The URL holds a password: neither it nor the parser's message is repeated.
    let config: tokio_postgres::Config = url.parse().map_err(|_| {
        Error::Invalid("--url is not a database URL; give postgres://user:password@host:port/name".to_owned())
    })?;
    let (client, connection) = config.connect(tls(ca_file)?).await.map_err(|error| {
        let hint = "check host, port, login and sslmode in --url; --ca-file names your provider's authority";
        explain("cannot connect to the database", &error, hint)
    })?;
    tokio::spawn(connection);
    Ok(client)
}

fn tls(ca_file: Option<&Path>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some(path) = ca_file {
        let wrong = |problem: String| Error::Invalid(format!("--ca-file {}: {problem}", path.display()));
        let certificates = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
            roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Invalid(format!("TLS is not usable: {error}")))?;
    Ok(MakeRustlsConnect::new(
        config.with_root_certificates(roots).with_no_client_auth(),
    ))
}

/// What failed, what the server says, and what to do: the server's own hint if it gave one.
pub fn explain(what: &str, error: &tokio_postgres::Error, hint: &str) -> Error {
    let mut text = match error.as_db_error() {
        Some(server) => {
            let mut text = format!("{what}: {}", server.message());
            for more in [server.detail(), server.hint().or(Some(hint))].into_iter().flatten() {
                text.push_str("; ");
                text.push_str(more);
            }
            text
        }
        None => {
            let cause = std::error::Error::source(error).map_or(error.to_string(), ToString::to_string);
            format!("{what}: {cause}; {hint}")
        }
    };
    text.truncate(text.trim_end_matches("; ").len());
    Error::Invalid(text)
}
