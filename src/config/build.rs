//! Builds the whole configuration from the sections of a file, and reads `routes`.
//!
//! All sections are read before the first missing part ends the build, so that all problems are reported: results go
//! into variables, and `?` follows only after the last section.

use std::collections::HashMap;

use super::{
    cache,
    decode::{At, either, list, non_empty_list, parse, parse_or_reason, word},
    findings::{Findings, Reported},
    learn,
    listener::{self, LISTENERS, ListenerPolicy},
    process::ProcessPolicy,
    push,
    settings::read_settings,
    upstream, value,
};
use crate::{
    forwarded::ForwardedField,
    learn::LearnPolicy,
    push::Policy,
    route::{CachePolicy, Match, Route},
    upstream::PoolPolicy,
};

/// A whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Settings of the process: threads, timeouts, limits.
    pub server: ProcessPolicy,
    /// Addresses that connections arrive at, at least one.
    pub listeners: Vec<ListenerPolicy>,
    /// Pools of origin servers, at least one; routes name them by index.
    pub upstreams: Vec<PoolPolicy>,
    /// Routes in the order of the file, at least one; the first match wins.
    pub routes: Vec<Route>,
}

/// The settings of the whole file, which routes override.
#[derive(Debug, Clone, Default)]
struct Base {
    push: Policy,
    learn: LearnPolicy,
    cache: CachePolicy,
}

/// Builds the configuration of a whole file.
pub(super) fn config(root: &At<'_>, found: &mut Findings<'_>) -> Result<Config, Reported> {
    let built_in = Base::default();
    let mut base = Base::default();
    let mut process = ProcessPolicy::default();
    let sections = read_settings!(root, found, {
        "server" => process, ProcessPolicy::read;
        "listeners";
        "upstreams";
        "push" => base.push, |at, found| push::policy(at, &built_in.push, found);
        "learn" => base.learn, |at, found| learn::policy(at, &built_in.learn, found);
        "cache" => base.cache, |at, found| cache::policy(at, built_in.cache, found);
        "routes";
    });
    let listeners = sections.required("listeners", LISTENERS, found, listener::listeners);
    let upstreams = sections.required("upstreams", UPSTREAMS, found, |at, found| {
        at.non_empty_entries(UPSTREAMS, found)
    });
    // Names of upstreams with problems count too, so that routes to them add no second problem.
    let names = upstreams
        .as_ref()
        .map(|entries| entries.iter().map(|entry| entry.name).collect::<Vec<_>>())
        .map_err(|reported| *reported);
    let routes = sections.required("routes", ROUTES, found, |at, found| {
        let mut seen = HashMap::new();
        non_empty_list(ROUTES, |at, found| route(at, &base, &names, &mut seen, found))(at, found)
    });
    let pools = upstreams.and_then(|entries| upstream::pools(&entries, found));
    Ok(Config {
        server: process,
        listeners: listeners?,
        upstreams: pools?,
        routes: routes?,
    })
}

fn route(
    at: &At<'_>,
    base: &Base,
    upstreams: &Result<Vec<&str>, Reported>,
    seen: &mut HashMap<Box<str>, u64>,
    found: &mut Findings<'_>,
) -> Result<Route, Reported> {
    let mut own = base.clone();
    let mut matches = Match::default();
    let mut forwarded = ForwardedField::default();
    let mut alt_svc = false;
    let settings = read_settings!(at, found, {
        "name";
        "match" => matches, match_rules;
        "upstream";
        "forwarded" => forwarded, word(FORWARDED);
        "alt_svc" => alt_svc, word(value::SWITCH);
        "push" => own.push, |at, found| push::policy(at, &base.push, found);
        "learn" => own.learn, |at, found| learn::policy(at, &base.learn, found);
        "cache" => own.cache, |at, found| cache::policy(at, base.cache, found);
    });
    let name = settings.required("name", value::NAME_ALLOWED, found, |at, found| {
        let name = parse(value::NAME_ALLOWED, |text| value::name(text).map(Into::into))(at, found)?;
        at.unique(name, seen, found)
    });
    let upstream = settings.required("upstream", UPSTREAM_NAME, found, |at, found| {
        at.name_among(UPSTREAM_NAME, upstreams.as_ref().map_err(|reported| *reported)?, found)
    });
    Ok(Route {
        name: name?,
        matches,
        upstream: upstream?,
        forwarded,
        alt_svc,
        push: own.push,
        learn: own.learn,
        cache: own.cache,
    })
}

fn match_rules(at: &At<'_>, found: &mut Findings<'_>) -> Result<Match, Reported> {
    let mut matches = Match::default();
    read_settings!(at, found, {
        "host" => matches.hosts, either(
            |at| at.is_list(),
            |at, found| list(HOSTS, parse(value::HOST_PATTERN_ALLOWED, value::host_pattern))(at, found),
            |at, found| parse(HOSTS, value::host_pattern)(at, found).map(|host| vec![host]),
        );
        "path" => matches.path, |at, found| {
            parse_or_reason(value::PATTERN_ALLOWED, |_, text| value::pattern(text).map(Some))(at, found)
        };
        "methods" => matches.methods, list("a list of methods in capitals", parse(value::METHOD_ALLOWED, value::method));
    });
    Ok(matches)
}

const FORWARDED: &[(&str, ForwardedField)] = &[("off", ForwardedField::Off), ("on", ForwardedField::On)];

const UPSTREAMS: &str = "a mapping of names to upstreams, at least one";
const UPSTREAM_NAME: &str = "the name of an upstream";
const ROUTES: &str = "a list of routes, at least one";
const HOSTS: &str = "a host without port, *.suffix, or a list of them";
