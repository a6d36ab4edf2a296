//! The `upstreams` section, and how names in it are resolved (`server.resolver`).

use std::{collections::HashMap, net::SocketAddr, ops::RangeInclusive};

use super::{
    decode::At,
    fields::Field,
    found::{Found, Reported},
    value,
};
use crate::upstream::{
    Balance, CaBundle, EjectionPolicy, HealthCheckPolicy, Host, PoolPolicy, ResolverPolicy, ServerPolicy, TlsPolicy,
    Verify,
};

pub(super) fn pools(entries: &[Field<'_>], found: &mut Found<'_>) -> Result<Vec<PoolPolicy>, Reported> {
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
    fields.set("balance", &mut pool.balance, found, |at, found| {
        at.word(BALANCE, None, found)
    });
    fields.set("hash_key", &mut pool.hash_key, found, |at, found| {
        at.parse(value::HASH_KEY_ALLOWED, found, value::hash_key)
    });
    fields.set("connect_timeout", &mut pool.connect_timeout, found, At::time);
    fields.set("read_timeout", &mut pool.read_timeout, found, At::time);
    fields.set("write_timeout", &mut pool.write_timeout, found, At::time);
    fields.set("idle_timeout", &mut pool.idle_timeout, found, At::time);
    let read_timeout = pool.read_timeout;
    fields.set(
        "first_byte_timeout",
        &mut pool.first_byte_timeout,
        found,
        |at, found| {
            if at.is_null() {
                return Ok(None);
            }
            match at.time(found)? {
                time if time > read_timeout => Err(at.must_be("at most read_timeout, which holds as well", found)),
                time => Ok(Some(time)),
            }
        },
    );
    fields.set("max_retries", &mut pool.max_retries, found, |at, found| {
        at.integer(0..=10, found)
    });
    fields.set("health_check", &mut pool.health_check, found, |at, found| {
        at.unless_off(found, health_check)
    });
    fields.set("ejection", &mut pool.ejection, found, |at, found| {
        at.unless_off(found, ejection)
    });
    fields.set("tls", &mut pool.tls, found, |at, found| at.unless_off(found, tls));
    let mut seen = HashMap::new();
    pool.servers = fields.required("servers", SERVERS, found, |at, found| {
        at.non_empty_list(SERVERS, found, |at, found| {
            let server = server(at, found)?;
            at.unique((server.host.clone(), server.port), &mut seen, found)?;
            let needs_name = pool
                .tls
                .as_ref()
                .is_some_and(|tls| tls.sni.is_none() && tls.verify == Verify::On);
            match server.host {
                Host::Address(_) if needs_name => Err(at.must_be(NAMED_SERVER, found)),
                Host::Address(_) | Host::Name(_) => Ok(server),
            }
        })
    })?;
    Ok(pool)
}

/// `host:port`, or a mapping with a weight.
fn server(at: &At<'_>, found: &mut Found<'_>) -> Result<ServerPolicy, Reported> {
    let parse = |at: &At<'_>, found: &mut Found<'_>| at.parse(value::SERVER_ALLOWED, found, value::server);
    if !at.is_mapping() {
        return parse(at, found);
    }
    let fields = at.mapping(SERVER, found)?;
    let mut weight = 1;
    fields.set("weight", &mut weight, found, |at, found| at.integer(1..=100, found));
    let server = fields.required("address", value::SERVER_ALLOWED, found, parse)?;
    Ok(ServerPolicy { weight, ..server })
}

fn health_check(at: &At<'_>, found: &mut Found<'_>) -> Result<HealthCheckPolicy, Reported> {
    let fields = at.mapping(HEALTH_CHECK, found)?;
    let mut check = HealthCheckPolicy::new("/");
    fields.set("host", &mut check.host, found, |at, found| {
        if at.is_null() {
            return Ok(None);
        }
        at.parse(value::AUTHORITY_ALLOWED, found, |text| {
            value::authority(text).map(|_| Some(text.into()))
        })
    });
    fields.set("interval", &mut check.interval, found, At::time);
    fields.set("timeout", &mut check.timeout, found, At::time);
    fields.set("healthy_after", &mut check.healthy_after, found, |at, found| {
        at.integer(1..=100, found)
    });
    fields.set("unhealthy_after", &mut check.unhealthy_after, found, |at, found| {
        at.integer(1..=100, found)
    });
    fields.set("expect", &mut check.expect, found, |at, found| {
        at.parse(value::STATUSES_ALLOWED, found, value::statuses)
    });
    check.path = fields.required("path", value::PATH_ALLOWED, found, |at, found| {
        at.parse(value::PATH_ALLOWED, found, value::path)
    })?;
    Ok(check)
}

fn ejection(at: &At<'_>, found: &mut Found<'_>) -> Result<EjectionPolicy, Reported> {
    let fields = at.mapping(EJECTION, found)?;
    let mut ejection = EjectionPolicy::default();
    fields.set("failures", &mut ejection.failures, found, |at, found| {
        at.integer(1..=1000, found)
    });
    fields.set("period", &mut ejection.period, found, At::time);
    Ok(ejection)
}

fn tls(at: &At<'_>, found: &mut Found<'_>) -> Result<TlsPolicy, Reported> {
    let fields = at.mapping(TLS, found)?;
    let mut tls = TlsPolicy {
        sni: None,
        ca_bundle: None,
        verify: Verify::On,
    };
    fields.set("sni", &mut tls.sni, found, |at, found| {
        if at.is_null() {
            return Ok(None);
        }
        at.parse(value::SNI_ALLOWED, found, |text| value::sni(text).map(Some))
    });
    fields.set("ca", &mut tls.ca_bundle, found, |at, found| {
        if at.is_null() {
            return Ok(None);
        }
        let folder = found.folder();
        at.parse_or_reason(CA, found, |text| {
            CaBundle::read(&folder.join(text)).map(Some).map_err(|e| e.to_string())
        })
    });
    fields.set("verify", &mut tls.verify, found, |at, found| {
        at.word(VERIFY, None, found)
    });
    Ok(tls)
}

/// `server.resolver`.
pub(super) fn resolver(at: &At<'_>, found: &mut Found<'_>) -> Result<ResolverPolicy, Reported> {
    let fields = at.mapping(RESOLVER, found)?;
    let mut resolver = ResolverPolicy::default();
    fields.set("servers", &mut resolver.servers, found, |at, found| {
        at.list("a list of addresses with ports", found, |at, found| {
            at.parse(NAME_SERVER, found, |text| {
                text.parse().ok().filter(|address: &SocketAddr| address.port() > 0)
            })
        })
    });
    fields.set("timeout", &mut resolver.timeout, found, At::time);
    fields.set("max_ttl", &mut resolver.max_ttl, found, At::time);
    let max_ttl = resolver.max_ttl;
    fields.set("min_ttl", &mut resolver.min_ttl, found, |at, found| {
        match at.time(found)? {
            time if time > max_ttl => Err(at.must_be("at most max_ttl", found)),
            time => Ok(time),
        }
    });
    Ok(resolver)
}

/// Idle connections to all origin servers together that a thread keeps.
pub(super) const IDLE_CONNECTIONS: RangeInclusive<usize> = 1..=65536;

const UPSTREAM: &[&str] = &[
    "servers",
    "balance",
    "hash_key",
    "connect_timeout",
    "first_byte_timeout",
    "read_timeout",
    "write_timeout",
    "idle_timeout",
    "max_retries",
    "health_check",
    "ejection",
    "tls",
];
const SERVER: &[&str] = &["address", "weight"];
const HEALTH_CHECK: &[&str] = &[
    "path",
    "host",
    "interval",
    "timeout",
    "healthy_after",
    "unhealthy_after",
    "expect",
];
const EJECTION: &[&str] = &["failures", "period"];
const TLS: &[&str] = &["sni", "ca", "verify"];
const RESOLVER: &[&str] = &["servers", "timeout", "min_ttl", "max_ttl"];

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
