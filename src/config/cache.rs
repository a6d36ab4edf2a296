//! The `cache` setting, of the whole file or of one route, and the `server.cache` and `server.admin` settings.

use std::net::SocketAddr;

use super::{
    decode::At,
    found::{Found, Reported},
    model::Admin,
    value,
};
use crate::{
    cache::StoreLimits,
    route::{CachePolicy, Caching, CookieResponses, StatusField},
};

/// The base policy with what the file says here: a word changes what is kept and nothing else, a mapping
/// changes the keys that it has.
pub(super) fn policy(at: &At<'_>, base: CachePolicy, found: &mut Found<'_>) -> Result<CachePolicy, Reported> {
    let mut policy = base;
    let Some(fields) = at.word_or_mapping((CACHING, &mut policy.caching), KEYS, found)? else {
        return Ok(policy);
    };
    fields.set("status", &mut policy.status, found, |at, found| {
        at.word(STATUS, None, found)
    });
    fields.set("cookies", &mut policy.cookies, found, |at, found| {
        at.word(COOKIES, None, found)
    });
    fields.set("wait", &mut policy.wait, found, At::time);
    Ok(policy)
}

/// The `server.cache` section.
pub(super) fn limits(at: &At<'_>, found: &mut Found<'_>) -> Result<StoreLimits, Reported> {
    let fields = at.mapping(LIMITS, found)?;
    let mut limits = StoreLimits::default();
    fields.set("bytes", &mut limits.bytes, found, |at, found| {
        at.parse("1MiB to 1048576MiB with its unit (KiB, MiB)", found, |text| {
            value::bytes(text).filter(|bytes| (1 << 20..=1 << 40).contains(bytes))
        })
    });
    fields.set("object", &mut limits.object, found, |at, found| {
        at.parse("1KiB to 1024MiB with its unit (KiB, MiB)", found, |text| {
            value::size(text).filter(|bytes| (1 << 10..=1 << 30).contains(bytes))
        })
    });
    if u64::from(limits.object) > limits.bytes {
        return Err(fields.report("object", "must be at most server.cache.bytes", found));
    }
    Ok(limits)
}

/// The `server.admin` setting.
pub(super) fn admin(at: &At<'_>, found: &mut Found<'_>) -> Result<Option<Admin>, Reported> {
    const ALLOWED: &str =
        "off, a loopback address with a port (127.0.0.1:9901), or the path of a socket (/run/linkpush/admin.sock)";
    at.parse(ALLOWED, found, |text| {
        if text == "off" {
            return Some(None);
        }
        if text.starts_with('/') && text.len() <= MOST_SOCKET_PATH && !text.contains('\0') {
            return Some(Some(Admin::Socket(text.into())));
        }
        let address: SocketAddr = text.parse().ok()?;
        let is_loopback = address.ip().to_canonical().is_loopback() && address.port() != 0;
        is_loopback.then_some(Some(Admin::Address(address)))
    })
}

/// Bytes of a Unix socket's path (`sun_path`, without its end).
const MOST_SOCKET_PATH: usize = 107;

const KEYS: &[&str] = &["caching", "status", "cookies", "wait"];
const LIMITS: &[&str] = &["bytes", "object"];

const CACHING: &[(&str, Caching)] = &[
    ("off", Caching::Off),
    ("assets", Caching::Assets),
    ("all", Caching::All),
];
const STATUS: &[(&str, StatusField)] = &[("off", StatusField::Off), ("on", StatusField::On)];
const COOKIES: &[(&str, CookieResponses)] = &[("public", CookieResponses::Public), ("any", CookieResponses::Any)];
