//! Interprets the values of attributes.

use super::{
    super::{link::FetchPriority, reason::HtmlSkip},
    tag::{Attribute, Attributes},
};
use crate::link::{CrossOrigin, is_fetched_as};

/// Returns whether a value equals a keyword; an absent attribute equals the empty keyword.
pub(super) fn is(value: Option<&str>, keyword: &str) -> bool {
    value.unwrap_or_default().eq_ignore_ascii_case(keyword)
}

/// Returns whether a list of keywords has this keyword.
pub(super) fn has_word(list: &str, keyword: &str) -> bool {
    list.split_ascii_whitespace()
        .any(|word| word.eq_ignore_ascii_case(keyword))
}

/// The kind of a script that browsers run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ScriptKind {
    Classic,
    Module,
}

/// Returns the kind of a script ("prepare the script element"). Import maps, speculation rules, templates and data are
/// refused, since browsers do not fetch them.
pub(super) fn script_kind(attributes: &Attributes) -> Result<ScriptKind, HtmlSkip> {
    let language = attributes.get(Attribute::Language).unwrap_or_default();
    let of_language;
    let kind = match attributes.get(Attribute::Type) {
        Some(kind) => kind,
        None if language.is_empty() => "",
        None => {
            of_language = ["text/", language].concat();
            &of_language
        }
    };
    let trimmed = kind.trim_matches(|c: char| c.is_ascii_whitespace());
    if kind.is_empty() || is_fetched_as("script", trimmed.as_bytes()) {
        Ok(ScriptKind::Classic)
    } else if trimmed.eq_ignore_ascii_case("module") {
        Ok(ScriptKind::Module)
    } else {
        Err(HtmlSkip::Type)
    }
}

/// Returns whether a script runs in spite of `for` and `event`, which old pages set.
pub(super) fn runs(attributes: &Attributes) -> bool {
    let (Some(window), Some(event)) = (attributes.get(Attribute::For), attributes.get(Attribute::Event)) else {
        return true;
    };
    let is = |text: &str, word: &str| {
        text.trim_matches(|c: char| c.is_ascii_whitespace())
            .eq_ignore_ascii_case(word)
    };
    is(window, "window") && (is(event, "onload") || is(event, "onload()"))
}

/// Returns whether every screen matches a media query list, regardless of size and user preferences.
pub(super) fn is_for_every_screen(list: &str) -> bool {
    let list = list.trim_matches(|c: char| c.is_ascii_whitespace());
    let mut queries = list.split(',').map(|query| query.split_ascii_whitespace());
    list.is_empty()
        || queries.any(|mut words| {
            let first = words.next().unwrap_or_default();
            let media = if first.eq_ignore_ascii_case("only") {
                words.next().unwrap_or_default()
            } else {
                first
            };
            words.next().is_none() && (media.eq_ignore_ascii_case("all") || media.eq_ignore_ascii_case("screen"))
        })
}

/// Returns the `as` of an element, if `names` has it.
pub(super) fn one_of(attributes: &Attributes, names: &[&'static str]) -> Option<&'static str> {
    let value = attributes.get(Attribute::As)?;
    names.iter().copied().find(|name| value.eq_ignore_ascii_case(name))
}

/// Checks that browsers fetch a preload with this `type` for its `as`.
pub(super) fn check_type(destination: &str, attributes: &Attributes) -> Result<(), HtmlSkip> {
    let media_type = essence(attributes.get(Attribute::Type).unwrap_or_default());
    let is_fetched = media_type.is_empty() || is_fetched_as(destination, media_type.as_bytes());
    if is_fetched { Ok(()) } else { Err(HtmlSkip::Type) }
}

/// Returns a media type without its parameters.
pub(super) fn essence(media_type: &str) -> &str {
    let essence = media_type.split(';').next().unwrap_or_default();
    essence.trim_matches(|c: char| c.is_ascii_whitespace())
}

pub(super) fn cross_origin(attributes: &Attributes) -> Option<CrossOrigin> {
    attributes.get(Attribute::CrossOrigin).map(|mode| {
        if mode.eq_ignore_ascii_case("use-credentials") {
            CrossOrigin::UseCredentials
        } else {
            CrossOrigin::Anonymous
        }
    })
}

pub(super) fn priority(attributes: &Attributes) -> Option<FetchPriority> {
    let text = attributes.get(Attribute::FetchPriority)?;
    if text.eq_ignore_ascii_case("high") {
        Some(FetchPriority::High)
    } else if text.eq_ignore_ascii_case("low") {
        Some(FetchPriority::Low)
    } else {
        None
    }
}

/// Returns the hashes and their options (Subresource Integrity, section 3.5), if there are any.
pub(super) fn integrity(attributes: &Attributes) -> Result<Option<Box<str>>, HtmlSkip> {
    let value = attributes.get(Attribute::Integrity).unwrap_or_default();
    let hashes: Vec<&str> = value.split_ascii_whitespace().collect();
    let is_hash = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\'));
    if !hashes.iter().all(|hash| is_hash(hash)) {
        return Err(HtmlSkip::Integrity);
    }
    Ok(Some(hashes.join(" ").into()).filter(|_| !hashes.is_empty()))
}

/// The destinations that browsers preload ("translate a preload destination" of the HTML standard).
pub(super) const PRELOADED: &[&str] = &["fetch", "font", "image", "script", "style", "track"];
/// The destinations of modules (`as` of a modulepreload).
pub(super) const SCRIPT_LIKE: &[&str] = &[
    "script",
    "worker",
    "sharedworker",
    "serviceworker",
    "audioworklet",
    "paintworklet",
];
