//! The `learn` setting, of the whole file or of one route, and the `manifests` section.

use http::HeaderName;

use super::{
    build,
    decode::At,
    found::{Found, Reported},
    model::Manifests,
    value,
};
use crate::learn::{LearnKey, LearnPolicy, Learning, Returning};

/// The base policy with what the file says here: a word switches, a mapping changes the keys that
/// it has.
pub(super) fn policy(at: &At<'_>, base: &LearnPolicy, found: &mut Found<'_>) -> Result<LearnPolicy, Reported> {
    let mut policy = base.clone();
    let Some(fields) = at.word_or_mapping((LEARNING, &mut policy.learning), KEYS, found)? else {
        return Ok(policy);
    };
    fields.set("key", &mut policy.key, found, key);
    fields.set("vary", &mut policy.vary, found, |at, found| {
        at.list("a list of request fields", found, |at, found| {
            at.parse("the name of a request field", found, |text| {
                HeaderName::from_bytes(text.as_bytes()).ok()
            })
        })
    });
    fields.set("min_visitors", &mut policy.min_visitors, found, |at, found| {
        at.integer(2..=16, found)
    });
    fields.set("expire_after", &mut policy.expire_after, found, At::time);
    fields.set("pause", &mut policy.pause, found, At::time);
    fields.set("returning", &mut policy.returning, found, |at, found| {
        at.word(RETURNING, None, found)
    });
    Ok(policy)
}

fn key(at: &At<'_>, found: &mut Found<'_>) -> Result<LearnKey, Reported> {
    if at.is_list() {
        return at
            .non_empty_list(PARAMETERS, found, |at, found| {
                at.parse(PARAMETER, found, |text| {
                    let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'&' | b'=' | b'#');
                    (!text.is_empty() && text.bytes().all(allowed)).then(|| text.into())
                })
            })
            .map(LearnKey::Parameters);
    }
    let words = [("path", Key::Path), ("path_and_query", Key::PathAndQuery)];
    Ok(match at.word(&words, Some(PARAMETERS), found)? {
        Key::Path => LearnKey::Path,
        Key::PathAndQuery => LearnKey::PathAndQuery,
    })
}

#[derive(Clone, Copy)]
enum Key {
    Path,
    PathAndQuery,
}

/// The `server.manifests` section.
pub(super) fn manifests(at: &At<'_>, found: &mut Found<'_>) -> Result<Manifests, Reported> {
    let fields = at.mapping(MANIFESTS, found)?;
    let mut manifests = Manifests::default();
    fields.set("documents", &mut manifests.limits.documents, found, |at, found| {
        at.integer(1..=10_000_000, found)
    });
    fields.set("bytes", &mut manifests.limits.bytes, found, |at, found| {
        at.parse("1MiB to 4095MiB with its unit (KiB, MiB)", found, |text| {
            value::size(text).filter(|bytes| *bytes >= 1024 * 1024)
        })
    });
    fields.set("file", &mut manifests.file, found, build::file);
    Ok(manifests)
}

const KEYS: &[&str] = &[
    "learning",
    "key",
    "vary",
    "min_visitors",
    "expire_after",
    "pause",
    "returning",
];
const MANIFESTS: &[&str] = &["documents", "bytes", "file"];

const LEARNING: &[(&str, Learning)] = &[("on", Learning::On), ("off", Learning::Off)];
const RETURNING: &[(&str, Returning)] = &[("skip", Returning::Skip), ("push", Returning::Push)];

const PARAMETERS: &str = "a list of query parameters";
const PARAMETER: &str = "the name of a query parameter";
