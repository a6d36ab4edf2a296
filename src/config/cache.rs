//! Reads the `cache` setting, of the whole file or of one route, and the `server.cache` section.

use super::{
    decode::{At, size, time, word},
    findings::{Findings, Reported},
    settings::read_settings,
    value,
};
use crate::{
    cache::StoreLimits,
    route::{CachePolicy, Caching, CookieResponses, StatusField},
};

/// Reads a policy that overrides a base: a word changes only which responses are stored, a mapping only the keys it
/// has.
pub(super) fn policy(at: &At<'_>, base: CachePolicy, found: &mut Findings<'_>) -> Result<CachePolicy, Reported> {
    let mut policy = base;
    if at.word_unless_mapping(CACHING, &mut policy.caching, found)? {
        return Ok(policy);
    }
    read_settings!(at, found, {
        "caching" => policy.caching, word(CACHING);
        "status" => policy.status, word(STATUS);
        "cookies" => policy.cookies, word(COOKIES);
        "wait" => policy.wait, time;
    });
    Ok(policy)
}

/// Reads the `server.cache` section.
pub(super) fn limits(at: &At<'_>, found: &mut Findings<'_>) -> Result<StoreLimits, Reported> {
    let mut limits = StoreLimits::default();
    let settings = read_settings!(at, found, {
        "bytes" => limits.bytes, size("1MiB to 1048576MiB with its unit (KiB, MiB)", |text| {
            value::bytes(text).filter(|bytes| (1 << 20..=1 << 40).contains(bytes))
        });
        "object" => limits.object, size("1KiB to 1024MiB with its unit (KiB, MiB)", |text| {
            value::size(text).filter(|bytes| (1 << 10..=1 << 30).contains(bytes))
        });
    });
    if u64::from(limits.object) > limits.bytes {
        return Err(settings.report("object", "must be at most server.cache.bytes", found));
    }
    Ok(limits)
}

const CACHING: &[(&str, Caching)] = &[
    ("off", Caching::Off),
    ("assets", Caching::Assets),
    ("all", Caching::All),
];
const STATUS: &[(&str, StatusField)] = &[("off", StatusField::Off), ("on", StatusField::On)];
const COOKIES: &[(&str, CookieResponses)] = &[("public", CookieResponses::Public), ("any", CookieResponses::Any)];
