//! What of a connection string counts.
//!
//! User, password, database, host and port come from the binding's own fields: the runtime composes its connection string
//! without encoding them, so a password with `@` or a space would be cut.

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
