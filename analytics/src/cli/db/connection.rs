//! The connection of `weir db`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::http_client::is_loopback;
use crate::{Error, Result};

/// Connects with TLS unless the URL says `sslmode=disable` or names a server on this machine only, which is asked whether it has
/// TLS; the server's certificate is checked.
///
/// # Errors
/// When the URL is none, a certificate file is not readable, or the server is not reached or refuses.
pub async fn connect(url: &str, ca_file: Option<&Path>) -> Result<Client> {
    let (config, authority) = config(url)?;
    let authority = match (ca_file, &authority) {
        (Some(file), _) => Some(("--ca-file", file)),
        (None, Some(file)) => Some(("sslrootcert", file.as_path())),
        (None, None) => None,
    };
    let (client, connection) = config.connect(tls(authority)?).await.map_err(|error| {
        let hint =
            "check host, port, login and sslmode in --url (sslmode=disable does without TLS); --ca-file names your \
                    provider's authority";
        explain("cannot connect to the database", &error, hint)
    })?;
    tokio::spawn(connection);
    Ok(client)
}

/// What the URL says, and the certificates of an authority that it names.
fn config(url: &str) -> Result<(Config, Option<PathBuf>)> {
    let (known, authority) = as_the_library_knows_it(url);
    // The URL holds a password: neither it nor the parser's message is repeated.
    let mut config: Config = known.parse().map_err(|_| {
        Error::CommandLine(
            "--url is not a database URL; give postgres://user:password@host:port/name, with sslmode and sslrootcert if need \
             be"
                .to_owned(),
        )
    })?;
    // The library's default goes on in plain text where the server, or whoever stands before it, says that there is no TLS.
    if config.get_ssl_mode() == SslMode::Prefer && !is_on_this_machine(&config) {
        config.ssl_mode(SslMode::Require);
    }
    Ok((config, authority))
}

/// A URL or `keyword=value ...` without what only libpq knows: modes that check the certificate, which is checked here anyway, and
/// the file of the authority.
fn as_the_library_knows_it(url: &str) -> (String, Option<PathBuf>) {
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let (place, parameters, between) = match (is_url, url.rsplit_once('?')) {
        (true, Some((place, parameters))) => (format!("{place}?"), parameters, "&"),
        (true, None) => return (url.to_owned(), None),
        (false, _) => (String::new(), url, " "),
    };
    let (mut known, mut authority) = (Vec::new(), None);
    for parameter in parameters.split(between) {
        match parameter.split_once('=') {
            Some(("sslmode", "verify-ca" | "verify-full")) => known.push("sslmode=require"),
            // The authorities that everybody knows are trusted anyway.
            Some(("sslrootcert", "system")) => {}
            Some(("sslrootcert", file)) if is_url => authority = Some(decoded(file)),
            Some(("sslrootcert", file)) => authority = Some(file.trim_matches('\'').into()),
            _ => known.push(parameter),
        }
    }
    (format!("{place}{}", known.join(between)), authority)
}

/// A value in a URL, where libpq takes a plus sign as one.
fn decoded(value: &str) -> PathBuf {
    let url = reqwest::Url::parse(&format!("value:?={}", value.replace('+', "%2B")));
    let decoded = url.ok().and_then(|url| Some(url.query_pairs().next()?.1.into_owned()));
    decoded.unwrap_or_else(|| value.to_owned()).into()
}

fn is_on_this_machine(config: &Config) -> bool {
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => is_loopback(name),
        Host::Unix(_) => true,
    };
    config.get_hosts().iter().all(is_local) && config.get_hostaddrs().iter().all(IpAddr::is_loopback)
}

/// With further certificates from a file, and who named it.
fn tls(authority: Option<(&str, &Path)>) -> Result<MakeRustlsConnect> {
    let mut roots = RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    if let Some((name, path)) = authority {
        let wrong = |problem: String| Error::Invalid(format!("{name} {}: {problem}", path.display()));
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

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn another_machine_is_asked_by_tls_only_unless_the_url_says_otherwise() {
        for (url, mode) in [
            ("postgres://u:p@db.example.com/shop", SslMode::Require),
            ("postgres://u:p@db.example.com/shop?sslmode=prefer", SslMode::Require),
            ("postgres://u:p@db.example.com/shop?sslmode=require", SslMode::Require),
            ("postgres://u:p@db.example.com/shop?sslmode=verify-ca", SslMode::Require),
            (
                "postgres://u:p@db.example.com/shop?connect_timeout=3&sslmode=verify-full&application_name=x",
                SslMode::Require,
            ),
            ("postgres://u:p@10.0.0.1,127.0.0.1/shop", SslMode::Require),
            ("host=db.example.com user=u", SslMode::Require),
            ("host=db.example.com sslmode=verify-full user=u", SslMode::Require),
            ("host=localhost user=u sslmode=verify-ca", SslMode::Require),
            ("postgres://u:p@db.example.com/shop?sslmode=disable", SslMode::Disable),
            ("postgres://u:p@localhost/shop", SslMode::Prefer),
            ("postgres://u:p@127.0.0.1:5433,[::1]/shop", SslMode::Prefer),
            ("postgres://u@/shop?host=/run/postgresql", SslMode::Prefer),
            ("postgres://u:p@localhost/shop?sslmode=verify-full", SslMode::Require),
        ] {
            assert_eq!(config(url).unwrap().0.get_ssl_mode(), mode, "{url}");
        }
        assert!(config("postgres://u:p@db.example.com/shop?sslmode=nope").is_err());
    }

    #[test]
    fn the_file_of_an_authority_is_taken_as_libpq_takes_it() {
        for (url, file) in [
            (
                "postgres://u:p@db.example.com/shop?sslrootcert=/etc/own.pem&sslmode=verify-full",
                "/etc/own.pem",
            ),
            (
                "postgresql://u:p@db.example.com/shop?sslrootcert=%2Fetc%2Fown+ca.pem",
                "/etc/own+ca.pem",
            ),
            (
                "host=db.example.com sslmode=verify-full sslrootcert='own.pem' user=u",
                "own.pem",
            ),
        ] {
            let (config, authority) = config(url).unwrap();
            assert_eq!(config.get_ssl_mode(), SslMode::Require, "{url}");
            assert_eq!(authority.as_deref(), Some(Path::new(file)), "{url}");
        }
        let (_, none) = config("postgres://u:p@db.example.com/shop?sslrootcert=system").unwrap();
        assert_eq!(none, None);
    }

    #[tokio::test]
    async fn an_authority_that_cannot_be_read_is_named_as_it_was_given() {
        let error = connect("postgres://u:p@db.example.com/shop?sslrootcert=/absent.pem", None).await;
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("sslrootcert /absent.pem: "), "{error}");
    }

    #[tokio::test]
    async fn nothing_is_sent_to_a_server_that_says_it_has_no_tls() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = [0; 8];
            socket.read_exact(&mut request).await.unwrap();
            socket.write_all(b"N").await.unwrap();
            socket.read(&mut [0]).await.unwrap()
        });
        let url = format!("postgres://u:p@db.example.com:{port}/shop?hostaddr=127.0.0.1");
        let error = connect(&url, None).await.unwrap_err().to_string();
        assert!(
            error.contains("server does not support TLS") && error.contains("sslmode=disable"),
            "{error}"
        );
        assert_eq!(told.await.unwrap(), 0);
    }
}
