//! Clients of HTTP: other machines are asked by the proxy that the environment names (`http_proxy` and its like), this one is
//! not, for a proxy would look for it where the proxy runs.

use std::net::IpAddr;

use reqwest::{Client, ClientBuilder, Url};

/// A client for what lies at `url`.
pub(crate) fn of(url: &str) -> ClientBuilder {
    if is_this_machine(url) {
        direct()
    } else {
        Client::builder()
    }
}

/// A client that asks no proxy.
pub(crate) fn direct() -> ClientBuilder {
    Client::builder().no_proxy()
}

/// Says the same to libraries that make clients of their own, as that of the object storage: in the environment, while this
/// process has one thread.
pub fn spare_this_machine_the_proxy() {
    let names = ["NO_PROXY", "no_proxy"];
    let mut spared: Vec<_> = names.iter().filter_map(|name| std::env::var(name).ok()).collect();
    spared.retain(|hosts| !hosts.is_empty());
    spared.push("localhost,127.0.0.0/8,::1".to_owned());
    for name in names {
        std::env::set_var(name, spared.join(","));
    }
}

fn is_this_machine(url: &str) -> bool {
    let url = Url::parse(url).ok();
    url.as_ref().and_then(Url::host_str).is_some_and(is_loopback)
}

/// Whether `host` names this machine wherever it is said.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine_and_nothing_else_is() {
        for url in [
            "http://127.0.0.1:8788",
            "http://127.1.2.3/iceberg",
            "http://[::1]:8788/",
            "HTTP://LOCALHOST:1",
            "http://weir.localhost",
        ] {
            assert!(is_this_machine(url), "{url}");
        }
        for url in [
            "http://10.0.0.1",
            "https://weir.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "localhost:8788",
            "",
        ] {
            assert!(!is_this_machine(url), "{url}");
        }
    }
}
