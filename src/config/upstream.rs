//! Reads the `upstreams` section, and `server.resolver`, by which names of servers are resolved.

use std::{collections::HashMap, net::SocketAddr};

use super::{
    decode::{At, either, integer, list, non_empty_list, or_null, parse, parse_or_reason, time, unless_off, word},
    findings::{Findings, Reported},
    settings::{NamedValue, read_settings},
    value,
};
use crate::upstream::{
    Balance, CaBundle, EjectionPolicy, HealthCheckPolicy, Host, PoolPolicy, ResolverPolicy, ServerPolicy, TlsPolicy,
    Verify,
};

pub(super) fn pools(entries: &[NamedValue<'_>], found: &mut Findings<'_>) -> Result<Vec<PoolPolicy>, Reported> {
    let one = |entry: &NamedValue<'_>| {
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

fn pool(name: &str, at: &At<'_>, found: &mut Findings<'_>) -> Result<PoolPolicy, Reported> {
    let mut pool = PoolPolicy::new(name, Vec::new());
    let settings = read_settings!(at, found, {
        "servers";
        "balance" => pool.balance, word(BALANCE);
        "hash_key" => pool.hash_key, parse(value::HASH_KEY_ALLOWED, value::hash_key);
        "connect_timeout" => pool.connect_timeout, time;
        "first_byte_timeout";
        "read_timeout" => pool.read_timeout, time;
        "write_timeout" => pool.write_timeout, time;
        "idle_timeout" => pool.idle_timeout, time;
        "max_retries" => pool.max_retries, integer(0..=10);
        "health_check" => pool.health_check, unless_off(health_check);
        "ejection" => pool.ejection, unless_off(ejection);
        "tls" => pool.tls, unless_off(tls);
    });
    let read_timeout = pool.read_timeout;
    let first_byte = or_null(|at, found| match time(at, found)? {
        time if time > read_timeout => Err(at.must_be("at most read_timeout, which holds as well", found)),
        time => Ok(time),
    });
    settings.set("first_byte_timeout", &mut pool.first_byte_timeout, found, first_byte);
    let needs_name = pool
        .tls
        .as_ref()
        .is_some_and(|tls| tls.sni.is_none() && tls.verify == Verify::On);
    let mut seen = HashMap::new();
    let mut servers = non_empty_list(SERVERS, |at, found| {
        let server = server(at, found)?;
        at.unique((server.host.clone(), server.port), &mut seen, found)?;
        match server.host {
            Host::Address(_) if needs_name => Err(at.must_be(NAMED_SERVER, found)),
            Host::Address(_) | Host::Name(_) => Ok(server),
        }
    });
    pool.servers = settings.required("servers", SERVERS, found, |at, found| servers(at, found))?;
    Ok(pool)
}

/// Reads `host:port`, or a mapping with a weight.
fn server(at: &At<'_>, found: &mut Findings<'_>) -> Result<ServerPolicy, Reported> {
    either(
        |at| at.is_mapping(),
        weighed_server,
        parse(value::SERVER_ALLOWED, value::server),
    )(at, found)
}

fn weighed_server(at: &At<'_>, found: &mut Findings<'_>) -> Result<ServerPolicy, Reported> {
    let mut weight = 1;
    let settings = read_settings!(at, found, {
        "address";
        "weight" => weight, integer(1..=100);
    });
    let address = parse(value::SERVER_ALLOWED, value::server);
    let server = settings.required("address", value::SERVER_ALLOWED, found, address)?;
    Ok(ServerPolicy { weight, ..server })
}

fn health_check(at: &At<'_>, found: &mut Findings<'_>) -> Result<HealthCheckPolicy, Reported> {
    let mut check = HealthCheckPolicy::new("/");
    let path = parse(value::PATH_ALLOWED, value::path);
    let settings = read_settings!(at, found, {
        "path";
        "host" => check.host, or_null(parse(value::AUTHORITY_ALLOWED, |text| {
            value::authority(text).map(|_| text.into())
        }));
        "interval" => check.interval, time;
        "timeout" => check.timeout, time;
        "healthy_after" => check.healthy_after, integer(1..=100);
        "unhealthy_after" => check.unhealthy_after, integer(1..=100);
        "expect" => check.expect, parse(value::STATUSES_ALLOWED, value::statuses);
    });
    check.path = settings.required("path", value::PATH_ALLOWED, found, path)?;
    Ok(check)
}

fn ejection(at: &At<'_>, found: &mut Findings<'_>) -> Result<EjectionPolicy, Reported> {
    let mut ejection = EjectionPolicy::default();
    read_settings!(at, found, {
        "failures" => ejection.failures, integer(1..=1000);
        "period" => ejection.period, time;
    });
    Ok(ejection)
}

fn tls(at: &At<'_>, found: &mut Findings<'_>) -> Result<TlsPolicy, Reported> {
    let mut tls = TlsPolicy {
        sni: None,
        ca_bundle: None,
        verify: Verify::On,
    };
    read_settings!(at, found, {
        "sni" => tls.sni, or_null(parse(value::SNI_ALLOWED, value::sni));
        "ca" => tls.ca_bundle, or_null(parse_or_reason(CA, |folder, text| CaBundle::read(&folder.join(text))));
        "verify" => tls.verify, word(VERIFY);
    });
    Ok(tls)
}

/// Reads `server.resolver`.
pub(super) fn resolver(at: &At<'_>, found: &mut Findings<'_>) -> Result<ResolverPolicy, Reported> {
    let mut resolver = ResolverPolicy::default();
    let settings = read_settings!(at, found, {
        "servers" => resolver.servers, list("a list of addresses with ports", parse(NAME_SERVER, |text| {
            text.parse().ok().filter(|address: &SocketAddr| address.port() > 0)
        }));
        "timeout" => resolver.timeout, time;
        "min_ttl";
        "max_ttl" => resolver.max_ttl, time;
    });
    let max_ttl = resolver.max_ttl;
    settings.set("min_ttl", &mut resolver.min_ttl, found, |at, found| {
        match time(at, found)? {
            time if time > max_ttl => Err(at.must_be("at most max_ttl", found)),
            time => Ok(time),
        }
    });
    Ok(resolver)
}

const SERVERS: &str = "a list of host:port, at least one";
const NAMED_SERVER: &str = "a name, or tls.sni must say which name the certificate has";
const CA: &str = "a PEM file of certificates";
const NAME_SERVER: &str = "an IP address with a port, in quotes if IPv6 (10.0.0.2:53)";

const BALANCE: &[(&str, Balance)] = &[
    ("round_robin", Balance::RoundRobin),
    ("least_connections", Balance::LeastConnections),
    ("hash", Balance::Hash),
];

const VERIFY: &[(&str, Verify)] = &[("on", Verify::On), ("off", Verify::Off)];
