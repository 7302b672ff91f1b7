//! What of a connection string counts, and how long a connection may take.
//!
//! User, password, database, host and port come from the binding's own fields: the runtime composes its connection string
//! without encoding them, so a password with `@` or a space would be cut.

use std::time::Duration;

/// How long PostgreSQL may take before a call is given up and its deliveries are retried.
///
/// Giving up does not tell whether the call was committed: repeating it is safe, since the extension knows a delivery again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From opening the socket to a session that takes statements.
    pub connect: Duration,
    /// From sending the statement to its whole answer and the end of the connection.
    pub statement: Duration,
}

impl Default for Timeouts {
    /// What Hyperdrive itself allows (Cloudflare's "Hyperdrive limits"): 15 s for the initial connection, 60 s for a
    /// statement. Waiting longer gains nothing; and both together are far from a queue consumer's 15 minutes.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            statement: Duration::from_secs(60),
        }
    }
}

/// Whether `connection_string` says `sslmode=disable`. Everything else, and silence, means TLS.
#[must_use]
pub fn tls_is_disabled(connection_string: &str) -> bool {
    // The last one: a password may contain anything, what follows it does not.
    connection_string
        .rsplit_once("sslmode=")
        .is_some_and(|(_, rest)| rest.split('&').next() == Some("disable"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_explicit_disable_disables() {
        assert!(tls_is_disabled("postgres://u:p@h:5432/d?sslmode=disable"));
        assert!(tls_is_disabled(
            "postgres://u:p@h:5432/d?sslmode=disable&application_name=x"
        ));
        assert!(tls_is_disabled("postgres://u:sslmode=require@h:5432/d?sslmode=disable"));
        assert!(!tls_is_disabled("postgres://u:p@h:5432/d?sslmode=require"));
        assert!(!tls_is_disabled("postgres://u:p@h:5432/d?sslmode=disabled"));
        assert!(!tls_is_disabled("postgres://u:p@h:5432/d"));
    }
}
