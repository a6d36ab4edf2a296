//! Finds what is probably not meant in a valid configuration. Pure.
//!
//! Reading order: this file (the warnings), `covers` (whether one pattern matches all that another one matches).

mod covers;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, time::SystemTime};

use super::build::Config;
use crate::{
    route::{HostPattern, Match, Route},
    upstream::{Host, ServerPolicy},
};

/// A doubt about a valid configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The setting, `routes[1]`.
    pub setting: String,
    /// The likely mistake, on one line.
    pub message: String,
}

/// Prints `routes[1]: no request takes this route: …`
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.setting, self.message)
    }
}

impl Config {
    /// Returns warnings about a valid configuration: certificates that clients will refuse at this time, routes that no
    /// request takes, patterns that look like globs, upstreams that no route uses or that lead back to this server.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<Warning> {
        let mut warnings = certificates(self, now);
        warnings.extend(upstreams(self));
        warnings.extend(
            self.routes
                .iter()
                .enumerate()
                .flat_map(|(index, route)| {
                    let earlier = self.routes.get(..index).unwrap_or_default();
                    [unreachable(index, route, earlier), glob(index, route)]
                })
                .flatten(),
        );
        warnings
    }
}

fn certificates(config: &Config, now: SystemTime) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        for (number, certificate) in listener.certificates.iter().enumerate() {
            if let Some(doubt) = certificate.doubt(now) {
                let names = certificate.names().join(", ");
                warnings.push(Warning {
                    setting: format!("listeners[{index}].tls.certificates[{number}]"),
                    message: format!("{names}: {doubt}"),
                });
            }
        }
    }
    warnings
}

/// Finds upstreams that no route uses, and servers that are listeners of this configuration.
fn upstreams(config: &Config) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for (index, pool) in config.upstreams.iter().enumerate() {
        let setting = format!("upstreams.{}", pool.name);
        for (number, server) in pool.servers.iter().enumerate() {
            let listener = config
                .listeners
                .iter()
                .find(|listener| leads_to(server, listener.address));
            if let Some(listener) = listener {
                let address = listener.address;
                let message =
                    format!("this is the listener {address} of linkpush itself, to which requests would return");
                let setting = format!("{setting}.servers[{number}]");
                warnings.push(Warning { setting, message });
            }
        }
        if !config.routes.iter().any(|route| route.upstream == index) {
            let message = "no route uses this upstream".to_owned();
            warnings.push(Warning { setting, message });
        }
    }
    warnings
}

/// Returns whether connections to a server arrive at a listener. Names are not resolved, but for `localhost`; of all
/// addresses of this machine only its loopback addresses are known.
fn leads_to(server: &ServerPolicy, listener: SocketAddr) -> bool {
    if server.port != listener.port() {
        return false;
    }
    let takes_all = listener.ip().is_unspecified();
    match &server.host {
        Host::Address(address) => {
            let address = address.to_canonical();
            let is_here = address.is_loopback() || address.is_unspecified();
            address == listener.ip().to_canonical()
                || takes_all && is_here
                || address.is_unspecified() && is_local(listener)
        }
        Host::Name(name) => (takes_all || is_local(listener)) && name.eq_ignore_ascii_case("localhost"),
    }
}

fn is_local(listener: SocketAddr) -> bool {
    listener.ip().to_canonical().is_loopback()
}

/// Finds the first earlier route that takes all requests of a route.
fn unreachable(index: usize, route: &Route, earlier: &[Route]) -> Option<Warning> {
    let earlier = earlier.iter().take(MAX_COMPARED).enumerate();
    let (number, first) = earlier
        .into_iter()
        .find(|(_, first)| covers_all(&first.matches, &route.matches))?;
    Some(Warning {
        setting: format!("routes[{index}]"),
        message: format!(
            "no request takes the route {}: routes[{number}] ({}) stands before it and matches all of them",
            route.name, first.name
        ),
    })
}

/// Largest number of earlier routes that a route is compared with: a file of 1 MiB may have 20,000 routes, whose
/// comparison would take minutes.
const MAX_COMPARED: usize = 200;

/// Returns whether the first conditions hold for each request for which the second do.
fn covers_all(first: &Match, second: &Match) -> bool {
    let methods = &second.methods;
    let has_methods =
        first.methods.is_empty() || !methods.is_empty() && methods.iter().all(|method| first.methods.contains(method));
    let has_hosts = first.hosts.is_empty()
        || !second.hosts.is_empty() && second.hosts.iter().all(|host| covers_host(&first.hosts, host));
    has_methods && has_hosts && covers::path(first.path.as_ref(), second.path.as_ref())
}

fn covers_host(patterns: &[HostPattern], host: &HostPattern) -> bool {
    patterns.iter().any(|pattern| match (pattern, host) {
        (_, HostPattern::Exact(host)) => pattern.matches(host),
        (HostPattern::Suffix(pattern), HostPattern::Suffix(suffix)) => suffix.ends_with(&**pattern),
        (HostPattern::Exact(_), HostPattern::Suffix(_)) => false,
    })
}

/// Finds a pattern that its author probably took for a glob.
fn glob(index: usize, route: &Route) -> Option<Warning> {
    let pattern = route.matches.path.as_ref()?.as_str();
    let message = covers::looks_like_glob(pattern)?;
    Some(Warning {
        setting: format!("routes[{index}].match.path"),
        message,
    })
}
