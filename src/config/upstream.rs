//! The `upstreams` section.

use super::{
    decode::At,
    fields::Field,
    found::{Found, Reported},
    value,
};
use crate::upstream::PoolPolicy;

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

const UPSTREAM: &[&str] = &[
    "servers",
    "connect_timeout",
    "read_timeout",
    "write_timeout",
    "idle_timeout",
];
const SERVERS: &str = "a list of host:port, at least one";
