//! Finds the route of a request by host, path and method; the first match wins. Pure.
//!
//! Reading order: this file, then `cache` (a route's settings of the cache).

mod cache;

use http::Method;
use regex::Regex;

pub use cache::{CachePolicy, Caching, CookieResponses, StatusField};

use crate::{forwarded::ForwardedField, learn::LearnPolicy, push::Policy};

/// A host, or the hosts, that a route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPattern {
    /// This host, in lower case, without a port.
    Exact(Box<str>),
    /// Any longer host that ends in this suffix, which starts with a dot: `*.shop.example` is `.shop.example`.
    Suffix(Box<str>),
}

impl HostPattern {
    /// Returns whether the pattern matches a host without its port, in any ASCII case.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(exact) => host.eq_ignore_ascii_case(exact),
            Self::Suffix(suffix) => host
                .len()
                .checked_sub(suffix.len())
                .filter(|&at| at > 0)
                .and_then(|at| host.get(at..))
                .is_some_and(|end| end.eq_ignore_ascii_case(suffix)),
        }
    }
}

/// The conditions of a route. An empty list, or no path, matches every request.
#[derive(Debug, Clone, Default)]
pub struct Match {
    /// Hosts, one of which must match.
    pub hosts: Vec<HostPattern>,
    /// A pattern that must match anywhere in the path, without the query.
    pub path: Option<Regex>,
    /// Methods, one of which must be the request's.
    pub methods: Vec<Method>,
}

impl Match {
    fn accepts(&self, host: &str, path: &str, method: &Method) -> bool {
        (self.methods.is_empty() || self.methods.contains(method))
            && (self.hosts.is_empty() || self.hosts.iter().any(|pattern| pattern.matches(host)))
            && self.path.as_ref().is_none_or(|path_re| path_re.is_match(path))
    }
}

/// One route: its conditions, its upstream, and the settings of requests that take it.
#[derive(Debug, Clone)]
pub struct Route {
    /// The name, unique, for logs and explanations.
    pub name: Box<str>,
    /// The conditions.
    pub matches: Match,
    /// Index of the upstream in the configuration's list.
    pub upstream: usize,
    /// Whether origins get `Forwarded` beside the `X-Forwarded` fields.
    pub forwarded: ForwardedField,
    /// Whether the origin's `Alt-Svc` (RFC 7838) reaches clients, though its ports are the origin's own.
    pub alt_svc: bool,
    /// The settings of push and hints.
    pub push: Policy,
    /// The settings of learning from documents.
    pub learn: LearnPolicy,
    /// The settings of the cache.
    pub cache: CachePolicy,
}

/// Returns the first route that matches a request, and its index. A port in `authority` is ignored.
#[must_use]
pub fn find<'r>(routes: &'r [Route], method: &Method, authority: &str, path: &str) -> Option<(usize, &'r Route)> {
    let host = without_port(authority);
    routes
        .iter()
        .enumerate()
        .find(|(_, route)| route.matches.accepts(host, path, method))
}

/// Returns the host of an authority: `[::1]:80` is `[::1]`, `a.example:80` is `a.example`.
fn without_port(authority: &str) -> &str {
    let host_end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority.get(host_end..).and_then(|rest| rest.find(':')) {
        Some(colon) => authority.get(..host_end + colon).unwrap_or(authority),
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, hosts: &[HostPattern], path: Option<&str>, methods: &[Method]) -> Route {
        Route {
            name: name.into(),
            matches: Match {
                hosts: hosts.to_vec(),
                path: path.map(|p| Regex::new(p).expect("a valid pattern")),
                methods: methods.to_vec(),
            },
            upstream: 0,
            forwarded: ForwardedField::Off,
            alt_svc: false,
            push: Policy::default(),
            learn: LearnPolicy::default(),
            cache: CachePolicy::default(),
        }
    }

    #[test]
    fn a_request_takes_the_first_route_that_matches() {
        let routes = [
            route("api", &[], Some("^/api"), &[Method::GET]),
            route("shop", &[HostPattern::Suffix(".shop.example".into())], None, &[]),
            route("rest", &[], None, &[]),
        ];
        let name =
            |method: &Method, authority, path| find(&routes, method, authority, path).map(|(_, r)| r.name.to_string());
        assert_eq!(name(&Method::GET, "a.example", "/api/x").as_deref(), Some("api"));
        assert_eq!(name(&Method::POST, "a.example", "/api/x").as_deref(), Some("rest"));
        assert_eq!(
            name(&Method::POST, "WWW.Shop.Example:8443", "/").as_deref(),
            Some("shop")
        );
        assert_eq!(name(&Method::GET, "shop.example", "/").as_deref(), Some("rest"));
        assert_eq!(
            find(&routes[..2], &Method::GET, "shop.example", "/").map(|(i, _)| i),
            None
        );
    }

    #[test]
    fn a_suffix_matches_only_with_a_label_before_it() {
        let suffix = HostPattern::Suffix(".a.example".into());
        assert!(suffix.matches("x.a.example"));
        assert!(!suffix.matches(".a.example"));
        assert!(!suffix.matches("a.example"));
        assert!(!suffix.matches("xa.example"));
        assert!(!suffix.matches("é"));
    }

    #[test]
    fn the_port_is_not_part_of_the_host() {
        assert_eq!(without_port("a.example:80"), "a.example");
        assert_eq!(without_port("[::1]:80"), "[::1]");
        assert_eq!(without_port("[::1]"), "[::1]");
        assert_eq!(without_port("a.example"), "a.example");
    }
}
