//! Reads the `learn` setting, of the whole file or of one route, and the `server.manifests` section.

use std::path::PathBuf;

use http::HeaderName;

use super::{
    decode::{At, either, file, integer, list, non_empty_list, parse, size, time, word},
    findings::{Findings, Reported},
    settings::read_settings,
    value,
};
use crate::learn::{LearnKey, LearnPolicy, LearnSource, Learning, ManifestLimits, Returning};

/// Where manifests are stored.
///
/// # Defaults
///
/// 10,000 documents, 32 MiB, no file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManifestsPolicy {
    /// Limits of the store.
    pub limits: ManifestLimits,
    /// The file by which manifests outlast restarts.
    pub file: Option<PathBuf>,
}

/// Reads a policy that overrides a base: a word switches learning on or off, a mapping changes only the keys it has.
pub(super) fn policy(at: &At<'_>, base: &LearnPolicy, found: &mut Findings<'_>) -> Result<LearnPolicy, Reported> {
    let mut policy = base.clone();
    if at.word_unless_mapping(LEARNING, &mut policy.learning, found)? {
        return Ok(policy);
    }
    read_settings!(at, found, {
        "learning" => policy.learning, word(LEARNING);
        "from" => policy.from, non_empty_list("a list of link and html", parse("link or html", |text| {
            SOURCES.iter().find(|(name, _)| *name == text).map(|(_, source)| *source)
        }));
        "html_bytes" => policy.html_bytes, size("4KiB to 1MiB with its unit (KiB, MiB)", |text| {
            value::size(text).filter(|bytes| (4 * 1024..=1024 * 1024).contains(bytes))
        });
        "key" => policy.key, key;
        "vary" => policy.vary, list("a list of request fields", parse("the name of a request field", |text| {
            HeaderName::from_bytes(text.as_bytes()).ok()
        }));
        "identity" => policy.identity, list("a list of request fields", parse("the name of a request field", |text| {
            HeaderName::from_bytes(text.as_bytes()).ok()
        }));
        "min_visitors" => policy.min_visitors, integer(2..=16);
        "expire_after" => policy.expire_after, time;
        "pause" => policy.pause, time;
        "returning" => policy.returning, word(RETURNING);
    });
    Ok(policy)
}

fn key(at: &At<'_>, found: &mut Findings<'_>) -> Result<LearnKey, Reported> {
    let parameter = parse("the name of a query parameter", |text| {
        let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'&' | b'=' | b'#');
        (!text.is_empty() && text.bytes().all(allowed)).then(|| text.into())
    });
    either(
        |at| at.is_list(),
        |at, found| non_empty_list(PARAMETERS, &parameter)(at, found).map(LearnKey::Parameters),
        |at, found| at.word(KEY, Some(PARAMETERS), found),
    )(at, found)
}

/// Reads the `server.manifests` section.
pub(super) fn manifests(at: &At<'_>, found: &mut Findings<'_>) -> Result<ManifestsPolicy, Reported> {
    let mut manifests = ManifestsPolicy::default();
    read_settings!(at, found, {
        "documents" => manifests.limits.documents, integer(1..=10_000_000);
        "bytes" => manifests.limits.bytes, size("1MiB to 4095MiB with its unit (KiB, MiB)", |text| {
            value::size(text).filter(|bytes| *bytes >= 1024 * 1024)
        });
        "file" => manifests.file, file;
    });
    Ok(manifests)
}

const LEARNING: &[(&str, Learning)] = &[("on", Learning::On), ("off", Learning::Off)];
const SOURCES: &[(&str, LearnSource)] = &[("link", LearnSource::Link), ("html", LearnSource::Html)];
const RETURNING: &[(&str, Returning)] = &[("skip", Returning::Skip), ("push", Returning::Push)];

const KEY: &[(&str, LearnKey)] = &[("path", LearnKey::Path), ("path_and_query", LearnKey::PathAndQuery)];

const PARAMETERS: &str = "a list of query parameters";
