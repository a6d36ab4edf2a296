//! Decides which requests and responses are about the document of their URL, so that they teach something of it.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::learn::Observed;

/// Returns what a final response is to the document of its URL; `None` for one that says nothing of it: errors and
/// parts, a 304, a redirect to another site.
#[must_use]
pub fn observed(status: StatusCode, fields: &HeaderMap, authority: &str) -> Option<Observed> {
    if status == StatusCode::OK {
        return Some(if may_be_document(fields) {
            Observed::Document
        } else {
            Observed::Other
        });
    }
    let stays = || is_within_site(fields.get(header::LOCATION)?.as_bytes(), authority).then_some(Observed::Redirect);
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308).then(stays)?
}

/// Returns whether a redirect leads to a URL of the same host, or of a host below or above it.
fn is_within_site(location: &[u8], authority: &str) -> bool {
    let Some(location) = str::from_utf8(location).ok() else {
        return false;
    };
    if location.contains('\\') {
        // Browsers take it for a slash.
        return false;
    }
    let rest = match location.split_once("//") {
        Some((scheme, rest)) if scheme.is_empty() || matches!(scheme, "http:" | "https:") => rest,
        _ => {
            let has_scheme = location
                .split(['/', '?', '#'])
                .next()
                .is_some_and(|start| start.contains(':'));
            return !has_scheme;
        }
    };
    let host = |authority: &str| {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        host.to_ascii_lowercase()
    };
    let to = host(rest.split(['/', '?', '#']).next().unwrap_or_default());
    let from = host(authority);
    let is_below = |host: &str, other: &str| host.strip_suffix(other).is_some_and(|rest| rest.ends_with('.'));
    to == from || is_below(&to, &from) || is_below(&from, &to)
}

/// Returns whether a response may be the document of its URL. A client that asks for JSON gets a response that links to
/// nothing, which says nothing of the document that others get.
fn may_be_document(response: &HeaderMap) -> bool {
    let Some(kind) = response.get(header::CONTENT_TYPE) else {
        return true;
    };
    let essence = kind.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
    [&b"text/html"[..], b"application/xhtml+xml"]
        .iter()
        .any(|html| essence.trim_ascii().eq_ignore_ascii_case(html))
}

/// Returns whether a request is for a document as a browser shows it: no part, no frame, and not what a front-end
/// framework fetches under the same URL.
#[must_use]
pub fn asks_for_document(fields: &HeaderMap) -> bool {
    let is_document = |destination: &HeaderValue| destination == "document";
    fields.get("sec-fetch-dest").is_none_or(is_document)
        && !fields.contains_key(header::RANGE)
        && !OF_FRAMEWORKS.iter().any(|name| fields.contains_key(*name))
        && accepts_html(fields)
}

/// Request fields of frameworks that fetch data or fragments under the URL of a document: Next.js, htmx, Inertia,
/// Turbo, Unpoly, pjax, and what jQuery and others send.
const OF_FRAMEWORKS: [&str; 10] = [
    "rsc",
    "next-router-state-tree",
    "next-router-prefetch",
    "hx-request",
    "x-inertia",
    "turbo-frame",
    "x-up-version",
    "x-pjax",
    "x-requested-with",
    "x-sveltekit-invalidated",
];

fn accepts_html(fields: &HeaderMap) -> bool {
    let mut lines = fields.get_all(header::ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return true;
    }
    lines
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .any(|range| {
            let essence = range
                .split(|&byte| byte == b';')
                .next()
                .unwrap_or_default()
                .trim_ascii();
            [&b"text/html"[..], b"application/xhtml+xml", b"text/*", b"*/*"]
                .iter()
                .any(|html| essence.eq_ignore_ascii_case(html))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_document_or_a_redirect_within_the_site_teaches() {
        let html = ("content-type", "text/html");
        for (status, field, expected) in [
            (200, html, Some(Observed::Document)),
            (200, ("x", "y"), Some(Observed::Document)),
            (200, ("content-type", "application/json"), Some(Observed::Other)),
            (201, html, None),
            (206, html, None),
            (304, html, None),
            (404, html, None),
            (503, html, None),
            (301, ("location", "/b"), Some(Observed::Redirect)),
            (302, ("location", "https://www.h.example/"), Some(Observed::Redirect)),
            (302, ("location", "http://H.example:8080/x"), Some(Observed::Redirect)),
            (302, ("location", "//h.example"), Some(Observed::Redirect)),
            (303, ("location", "?a=//b"), Some(Observed::Redirect)),
            (302, ("location", "https://other.example/"), None),
            (302, ("location", "https://xh.example/"), None),
            (302, ("location", "//other.example/"), None),
            (302, ("location", "page?x=:"), Some(Observed::Redirect)),
            (302, ("location", "https://evil.example\\.h.example/"), None),
            (302, ("location", "javascript:x"), None),
            (302, ("location", "/\\other.example"), None),
            (302, ("x", "y"), None),
        ] {
            let fields = HeaderMap::from_iter([(
                header::HeaderName::from_static(field.0),
                HeaderValue::from_static(field.1),
            )]);
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(observed(status, &fields, "h.example"), expected, "{status} {field:?}");
        }
    }

    #[test]
    fn fetches_of_scripts_are_no_documents() {
        for (name, value, expected) in [
            ("x", "y", true),
            ("sec-fetch-dest", "document", true),
            ("sec-fetch-dest", "iframe", false),
            ("sec-fetch-dest", "empty", false),
            ("range", "bytes=0-1", false),
            ("accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", true),
            ("accept", "*/*", true),
            ("accept", "application/json, text/plain", false),
            ("accept", "text/x-component", false),
            ("rsc", "1", false),
            ("hx-request", "true", false),
            ("x-inertia", "true", false),
            ("turbo-frame", "messages", false),
        ] {
            let fields =
                HeaderMap::from_iter([(header::HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(asks_for_document(&fields), expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_response_of_another_type_is_no_document() {
        for (kind, expected) in [
            (None, true),
            (Some("text/html"), true),
            (Some("Text/HTML ; charset=utf-8"), true),
            (Some("application/xhtml+xml"), true),
            (Some("application/json"), false),
            (Some(""), false),
        ] {
            let kind = kind.map(|kind| (header::CONTENT_TYPE, HeaderValue::from_static(kind)));
            assert_eq!(may_be_document(&kind.into_iter().collect()), expected);
        }
    }
}
