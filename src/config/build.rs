//! The sections of a file to the domain's types.
//!
//! Every section is read to its end before a missing part ends the whole: that is why results are
//! kept in variables and only then unwrapped with `?`.

use std::{collections::HashMap, path::PathBuf};

use super::{
    cache,
    decode::At,
    found::{Found, Reported},
    learn, listener,
    model::{Config, Limits, Server},
    push, upstream, value,
};
use crate::{
    forwarded::ForwardedField,
    learn::LearnPolicy,
    push::Policy,
    route::{CachePolicy, Match, Route},
};

/// The whole file.
pub(super) fn config(root: &At<'_>, found: &mut Found<'_>) -> Result<Config, Reported> {
    let sections = root.mapping(SECTIONS, found)?;
    let mut base = Policy::default();
    let mut base_learn = LearnPolicy::default();
    let mut base_cache = CachePolicy::default();
    let mut whole_server = Server::default();
    sections.set("server", &mut whole_server, found, server);
    let listeners = sections.required("listeners", LISTENERS, found, listener::listeners);
    let upstreams = sections.required("upstreams", UPSTREAMS, found, |at, found| {
        at.non_empty_entries(UPSTREAMS, found)
    });
    sections.set("push", &mut base, found, |at, found| {
        push::policy(at, &Policy::default(), found)
    });
    sections.set("learn", &mut base_learn, found, |at, found| {
        learn::policy(at, &LearnPolicy::default(), found)
    });
    sections.set("cache", &mut base_cache, found, |at, found| {
        cache::policy(at, CachePolicy::default(), found)
    });
    // A route may name an upstream that has problems of its own.
    let names = upstreams
        .as_ref()
        .map(|entries| entries.iter().map(|entry| entry.name).collect());
    let routes = sections.required("routes", ROUTES, found, |at, found| {
        routes(
            at,
            (&base, &base_learn, base_cache),
            &names.map_err(|reported| *reported),
            found,
        )
    });
    let pools = upstreams.and_then(|entries| upstream::pools(&entries, found));
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
    fields.set("pid_file", &mut server.pid_file, found, file);
    fields.set("manifests", &mut server.manifests, found, learn::manifests);
    fields.set("cache", &mut server.cache, found, cache::limits);
    fields.set("admin", &mut server.admin, found, cache::admin);
    fields.set("limits", &mut server.limits, found, limits);
    fields.set("resolver", &mut server.resolver, found, upstream::resolver);
    fields.set(
        "idle_origin_connections",
        &mut server.idle_origin_connections,
        found,
        |at, found| at.integer(upstream::IDLE_CONNECTIONS, found),
    );
    Ok(server)
}

pub(super) fn file(at: &At<'_>, found: &mut Found<'_>) -> Result<Option<PathBuf>, Reported> {
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
    fields.set(
        "max_header_fields",
        &mut limits.max_header_fields,
        found,
        |at, found| at.integer(16..=256, found),
    );
    fields.set("max_malformed", &mut limits.max_malformed, found, |at, found| {
        at.integer(1..=1000, found)
    });
    fields.set("diary_entries", &mut limits.diary_entries, found, |at, found| {
        at.integer(16..=65536, found)
    });
    fields.set(
        "max_connections_per_client",
        &mut limits.max_connections_per_client,
        found,
        |at, found| at.integer(0..=1_000_000, found),
    );
    fields.set("handshake_timeout", &mut limits.handshake_timeout, found, At::time);
    fields.set("idle_timeout", &mut limits.idle_timeout, found, At::time);
    fields.set("read_timeout", &mut limits.read_timeout, found, At::time);
    fields.set("write_timeout", &mut limits.write_timeout, found, At::time);
    Ok(limits)
}

fn routes(
    at: &At<'_>,
    (base, base_learn, base_cache): (&Policy, &LearnPolicy, CachePolicy),
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
        let mut forwarded = ForwardedField::default();
        fields.set("forwarded", &mut forwarded, found, |at, found| {
            at.word(FORWARDED, None, found)
        });
        let mut alt_svc = false;
        fields.set("alt_svc", &mut alt_svc, found, |at, found| {
            at.word(value::SWITCH, None, found)
        });
        let mut push = base.clone();
        fields.set("push", &mut push, found, |at, found| push::policy(at, base, found));
        let mut learned = base_learn.clone();
        fields.set("learn", &mut learned, found, |at, found| {
            learn::policy(at, base_learn, found)
        });
        let mut kept = base_cache;
        fields.set("cache", &mut kept, found, |at, found| {
            cache::policy(at, base_cache, found)
        });
        Ok(Route {
            name: name?,
            matches,
            upstream: upstream?,
            forwarded,
            alt_svc,
            push,
            learn: learned,
            cache: kept,
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

const SECTIONS: &[&str] = &["server", "listeners", "upstreams", "push", "learn", "cache", "routes"];
const SERVER: &[&str] = &[
    "threads",
    "graceful_timeout",
    "pid_file",
    "manifests",
    "cache",
    "admin",
    "limits",
    "resolver",
    "idle_origin_connections",
];
const LIMITS: &[&str] = &[
    "max_streams",
    "max_header_bytes",
    "max_header_fields",
    "max_malformed",
    "diary_entries",
    "max_connections_per_client",
    "handshake_timeout",
    "idle_timeout",
    "read_timeout",
    "write_timeout",
];
const ROUTE: &[&str] = &[
    "name",
    "match",
    "upstream",
    "forwarded",
    "alt_svc",
    "push",
    "learn",
    "cache",
];
const MATCH: &[&str] = &["host", "path", "methods"];

const FORWARDED: &[(&str, ForwardedField)] = &[("off", ForwardedField::Off), ("on", ForwardedField::On)];

pub(super) const LISTENERS: &str = "a list of listeners, at least one";
const UPSTREAMS: &str = "a mapping of names to upstreams, at least one";
const UPSTREAM_NAME: &str = "the name of an upstream";
const ROUTES: &str = "a list of routes, at least one";
const HOSTS: &str = "a host without port, *.suffix, or a list of them";
