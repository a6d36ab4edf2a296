//! The sections of a file to the domain's types.
//!
//! Every section is read to its end before a missing part ends the whole: that is why results are
//! kept in variables and only then unwrapped with `?`.

use std::{collections::HashMap, net::SocketAddr, path::PathBuf};

use super::{
    decode::At,
    fields::Field,
    found::{Found, Reported},
    model::{Config, Limits, Listener, Server},
    push, value,
};
use crate::{
    push::Policy,
    route::{Match, Route},
    upstream::PoolPolicy,
};

/// The whole file.
pub(super) fn config(root: &At<'_>, found: &mut Found<'_>) -> Result<Config, Reported> {
    let sections = root.mapping(SECTIONS, found)?;
    let mut base = Policy::default();
    let mut whole_server = Server::default();
    sections.set("server", &mut whole_server, found, server);
    let listeners = sections.required("listeners", LISTENERS, found, listeners);
    let upstreams = sections.required("upstreams", UPSTREAMS, found, |at, found| {
        at.non_empty_entries(UPSTREAMS, found)
    });
    sections.set("push", &mut base, found, |at, found| {
        push::policy(at, &Policy::default(), found)
    });
    // A route may name an upstream that has problems of its own.
    let names = upstreams
        .as_ref()
        .map(|entries| entries.iter().map(|entry| entry.name).collect());
    let routes = sections.required("routes", ROUTES, found, |at, found| {
        routes(at, &base, &names.map_err(|reported| *reported), found)
    });
    let pools = upstreams.and_then(|entries| pools(&entries, found));
    Ok(Config {
        server: whole_server,
        listeners: listeners?,
        upstreams: pools?,
        routes: routes?,
    })
}

fn server(at: &At<'_>, found: &mut Found<'_>) -> Result<Server, Reported> {
    let fields = at.mapping(SERVER, found)?;
    let mut server = Server::default();
    fields.set("threads", &mut server.threads, found, |at, found| {
        at.integer(0..=1024, found)
    });
    fields.set("graceful_timeout", &mut server.graceful_timeout, found, At::time);
    fields.set("pid_file", &mut server.pid_file, found, pid_file);
    fields.set("limits", &mut server.limits, found, limits);
    Ok(server)
}

fn pid_file(at: &At<'_>, found: &mut Found<'_>) -> Result<Option<PathBuf>, Reported> {
    if at.is_null() {
        return Ok(None);
    }
    at.parse("the path of a file, or ~ for none", found, |text| {
        (!text.is_empty() && !text.contains('\0')).then(|| Some(text.into()))
    })
}

fn limits(at: &At<'_>, found: &mut Found<'_>) -> Result<Limits, Reported> {
    let fields = at.mapping(LIMITS, found)?;
    let mut limits = Limits::default();
    fields.set("max_streams", &mut limits.max_streams, found, |at, found| {
        at.integer(1..=1000, found)
    });
    fields.set("max_header_bytes", &mut limits.max_header_bytes, found, |at, found| {
        at.parse("1KiB to 1MiB with its unit (B, KiB, MiB)", found, |text| {
            value::size(text).filter(|bytes| (1024..=1024 * 1024).contains(bytes))
        })
    });
    fields.set("max_malformed", &mut limits.max_malformed, found, |at, found| {
        at.integer(1..=1000, found)
    });
    fields.set("diary_entries", &mut limits.diary_entries, found, |at, found| {
        at.integer(16..=65536, found)
    });
    fields.set("handshake_timeout", &mut limits.handshake_timeout, found, At::time);
    fields.set("idle_timeout", &mut limits.idle_timeout, found, At::time);
    fields.set("read_timeout", &mut limits.read_timeout, found, At::time);
    fields.set("write_timeout", &mut limits.write_timeout, found, At::time);
    Ok(limits)
}

fn listeners(at: &At<'_>, found: &mut Found<'_>) -> Result<Vec<Listener>, Reported> {
    let mut seen = HashMap::new();
    at.non_empty_list(LISTENERS, found, |at, found| {
        let fields = at.mapping(LISTENER, found)?;
        let address = fields.required("address", ADDRESS, found, |at, found| {
            let address: SocketAddr = at.parse(ADDRESS, found, |text| text.parse().ok())?;
            match address.port() {
                0 => Ok(address), // a different free port each time
                _ => at.unique(address, &mut seen, found),
            }
        })?;
        Ok(Listener { address })
    })
}

fn pools(entries: &[Field<'_>], found: &mut Found<'_>) -> Result<Vec<PoolPolicy>, Reported> {
    let one = |entry: &Field<'_>| {
        let name = match value::name(entry.name) {
            Some(name) => Ok(name),
            None => Err(entry.key_must_be(value::NAME_ALLOWED, found)),
        };
        let pool = pool(entry.name, &entry.at, found);
        name.and(pool)
    };
    let pools: Vec<_> = entries.iter().map(one).collect();
    pools.into_iter().collect()
}

fn pool(name: &str, at: &At<'_>, found: &mut Found<'_>) -> Result<PoolPolicy, Reported> {
    let fields = at.mapping(UPSTREAM, found)?;
    let mut pool = PoolPolicy::new(name, Vec::new());
    fields.set("connect_timeout", &mut pool.connect_timeout, found, At::time);
    fields.set("read_timeout", &mut pool.read_timeout, found, At::time);
    fields.set("write_timeout", &mut pool.write_timeout, found, At::time);
    fields.set("idle_timeout", &mut pool.idle_timeout, found, At::time);
    pool.servers = fields.required("servers", SERVERS, found, |at, found| {
        at.non_empty_list(SERVERS, found, |at, found| {
            at.parse(value::SERVER_ALLOWED, found, value::server)
        })
    })?;
    Ok(pool)
}

fn routes(
    at: &At<'_>,
    base: &Policy,
    upstreams: &Result<Vec<&str>, Reported>,
    found: &mut Found<'_>,
) -> Result<Vec<Route>, Reported> {
    let mut seen = HashMap::new();
    at.non_empty_list(ROUTES, found, |at, found| {
        let fields = at.mapping(ROUTE, found)?;
        let name = fields.required("name", value::NAME_ALLOWED, found, |at, found| {
            let name: Box<str> = at.parse(value::NAME_ALLOWED, found, |text| value::name(text).map(Into::into))?;
            at.unique(name, &mut seen, found)
        });
        let mut matches = Match::default();
        fields.set("match", &mut matches, found, what_matches);
        let upstream = fields.required("upstream", UPSTREAM_NAME, found, |at, found| {
            at.name_among(UPSTREAM_NAME, upstreams.as_ref().map_err(|reported| *reported)?, found)
        });
        let mut push = base.clone();
        fields.set("push", &mut push, found, |at, found| push::policy(at, base, found));
        Ok(Route {
            name: name?,
            matches,
            upstream: upstream?,
            push,
        })
    })
}

fn what_matches(at: &At<'_>, found: &mut Found<'_>) -> Result<Match, Reported> {
    let fields = at.mapping(MATCH, found)?;
    let mut matches = Match::default();
    fields.set("host", &mut matches.hosts, found, |at, found| {
        if at.is_list() {
            return at.list(HOSTS, found, |at, found| {
                at.parse(value::HOST_PATTERN_ALLOWED, found, value::host_pattern)
            });
        }
        at.parse(HOSTS, found, value::host_pattern).map(|host| vec![host])
    });
    fields.set("path", &mut matches.path, found, |at, found| {
        at.parse_or_reason(value::PATTERN_ALLOWED, found, value::pattern)
            .map(Some)
    });
    fields.set("methods", &mut matches.methods, found, |at, found| {
        at.list("a list of methods in capitals", found, |at, found| {
            at.parse(value::METHOD_ALLOWED, found, value::method)
        })
    });
    Ok(matches)
}

const SECTIONS: &[&str] = &["server", "listeners", "upstreams", "push", "routes"];
const SERVER: &[&str] = &["threads", "graceful_timeout", "pid_file", "limits"];
const LIMITS: &[&str] = &[
    "max_streams",
    "max_header_bytes",
    "max_malformed",
    "diary_entries",
    "handshake_timeout",
    "idle_timeout",
    "read_timeout",
    "write_timeout",
];
const LISTENER: &[&str] = &["address"];
const UPSTREAM: &[&str] = &[
    "servers",
    "connect_timeout",
    "read_timeout",
    "write_timeout",
    "idle_timeout",
];
const ROUTE: &[&str] = &["name", "match", "upstream", "push"];
const MATCH: &[&str] = &["host", "path", "methods"];

const LISTENERS: &str = "a list of listeners, at least one";
const ADDRESS: &str = "an IP address with a port, in quotes if IPv6 (0.0.0.0:8080, \"[::]:8080\")";
const UPSTREAMS: &str = "a mapping of names to upstreams, at least one";
const UPSTREAM_NAME: &str = "the name of an upstream";
const SERVERS: &str = "a list of host:port, at least one";
const ROUTES: &str = "a list of routes, at least one";
const HOSTS: &str = "a host without port, *.suffix, or a list of them";
