//! Decides which requests and responses are about the document of their URL, so that they teach something of it.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::{
    html::content_type,
    learn::{LearnPolicy, Observed, is_of_visitor},
};

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
    let Some(kind) = content_type(response) else {
        return true;
    };
    let essence = kind.split(|&byte| byte == b';').next().unwrap_or_default();
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
        && !fields
            .keys()
            .any(|name| *name == header::RANGE || is_of_framework(name.as_str()))
        && accepts_html(fields)
}

/// Returns the names in a response's `Vary` that divide the documents of one key; `None` for `*`, since no other request
/// is sure to get the same response.
///
/// Some do not: a coding makes no other document; what is not sent for a document is missing in each request for one;
/// scheme, authority and the route's own fields are in the key; the client's address and identity would make each
/// visitor's document one of its own, which nobody else had any use for. Links that depend on them are left to the
/// evidence of several visitors.
pub fn dividing_fields<'r>(response: &'r HeaderMap, policy: &'r LearnPolicy) -> Option<impl Iterator<Item = &'r [u8]>> {
    let divides = |name: &&[u8]| {
        let is = |known: &str| known.as_bytes().eq_ignore_ascii_case(name);
        let is_of_visitor = || HeaderName::from_bytes(name).is_ok_and(|name| is_of_visitor(&name, &policy.identity));
        !NOT_DIVIDING.iter().chain(&OF_FRAMEWORKS).any(|known| is(known))
            && !policy.vary.iter().any(|known| is(known.as_str()))
            && !is_forwarded(name)
            && !tells_address(name)
            && !is_of_visitor()
    };
    (!varying(response).any(|name| name == b"*")).then(|| varying(response).filter(divides))
}

/// Returns whether a response depends on the client's address, as its `Vary` says: it may be for that client alone,
/// though nothing else in the request tells who asks. A field in the route's `vary` divides the documents instead.
#[must_use]
pub fn varies_by_address(response: &HeaderMap, policy: &LearnPolicy) -> bool {
    let is_in_key = |name: &[u8]| {
        let is = |known: &HeaderName| known.as_str().as_bytes().eq_ignore_ascii_case(name);
        policy.vary.iter().any(is)
    };
    varying(response).any(|name| tells_address(name) && !is_in_key(name))
}

/// Yields the names in a response's `Vary`.
fn varying(response: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines = response.get_all(header::VARY).into_iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    names.map(<[u8]>::trim_ascii).filter(|name| !name.is_empty())
}

fn is_forwarded(name: &[u8]) -> bool {
    name.get(..X_FORWARDED.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(X_FORWARDED))
}

/// Returns whether a field tells the client's address: each `X-Forwarded-*` that says nothing of the URL, and what
/// proxies name so.
fn tells_address(name: &[u8]) -> bool {
    let is = |known: &&str| known.as_bytes().eq_ignore_ascii_case(name);
    is_forwarded(name) && !OF_URL.iter().any(is) || OF_ADDRESS.iter().any(is)
}

/// Forwarded fields that say nothing of the client.
const OF_URL: [&str; 9] = [
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-forwarded-host",
    "x-forwarded-server",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-path",
];

/// Fields that proxies set to the client's address, or to what follows from it.
const OF_ADDRESS: [&str; 20] = [
    "forwarded",
    "forwarded-for",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-originating-ip",
    "x-original-forwarded-for",
    "x-envoy-external-address",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-appengine-user-ip",
    "x-cluster-client-ip",
    "client-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "fastly-client-ip",
    "fly-client-ip",
];

const X_FORWARDED: &[u8] = b"x-forwarded-";

/// Fields in `Vary` that divide no documents.
const NOT_DIVIDING: [&str; 9] = [
    "accept-encoding",
    "cookie",
    "authorization",
    "host",
    "range",
    "if-none-match",
    "if-modified-since",
    "sec-fetch-dest",
    "origin",
];

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

/// Returns whether a framework sends this field for what is no document.
fn is_of_framework(name: &str) -> bool {
    // Rejects most names by one comparison.
    name.starts_with(['r', 'n', 'h', 'x', 't']) && OF_FRAMEWORKS.contains(&name)
}

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
            let fields = HeaderMap::from_iter([(HeaderName::from_static(field.0), HeaderValue::from_static(field.1))]);
            let status = StatusCode::from_u16(status).expect("a status");
            assert_eq!(observed(status, &fields, "h.example"), expected, "{status} {field:?}");
        }
    }

    #[test]
    fn fields_that_divide_documents_are_those_in_which_requests_for_them_differ() {
        let policy = LearnPolicy {
            vary: vec![header::ACCEPT_LANGUAGE],
            identity: vec![HeaderName::from_static("x-member")],
            ..LearnPolicy::default()
        };
        for (lines, expected) in [
            (&[][..], Some("")),
            (&["Accept-Encoding"], Some("")),
            (&["accept-encoding, User-Agent"], Some("User-Agent")),
            (&["Accept,", "X-Device , ,dpr"], Some("Accept X-Device dpr")),
            (
                &["Cookie, Authorization, X-User, X-Member, X-Forwarded-For, X-Forwarded-Proto"],
                Some(""),
            ),
            (
                &["RSC, Next-Router-State-Tree, Next-Router-Prefetch, Accept-Encoding"],
                Some(""),
            ),
            (&["Accept-Language, Save-Data"], Some("Save-Data")),
            (&["*"], None),
            (&["Accept", "a, *"], None),
        ] {
            let lines = lines.iter().map(|line| (header::VARY, HeaderValue::from_static(line)));
            let fields: HeaderMap = lines.collect();
            let names = dividing_fields(&fields, &policy);
            let names = names.map(|names| names.map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "));
            assert_eq!(names.as_deref(), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_response_that_depends_on_the_address_is_told_by_its_vary() {
        let policy = LearnPolicy {
            vary: vec![HeaderName::from_static("x-client-ip")],
            ..LearnPolicy::default()
        };
        for (lines, expected) in [
            (&[][..], false),
            (&["Accept-Encoding, Cookie, User-Agent"], false),
            (&["X-Forwarded-For"], true),
            (&["accept", "a, x-real-ip"], true),
            (&["Forwarded"], true),
            (&["via"], true),
            (&["CF-Connecting-IP"], true),
            (&["X-Forwarded-Client-Ip"], true),
            (&["X-Forwarded-Proto, X-Forwarded-Host, X-Forwarded-Port"], false),
            (&["X-Client-IP"], false),
        ] {
            let lines = lines.iter().map(|line| (header::VARY, HeaderValue::from_static(line)));
            let fields: HeaderMap = lines.collect();
            assert_eq!(varies_by_address(&fields, &policy), expected, "{fields:?}");
            // It would be a document for each client.
            let mut dividing = dividing_fields(&fields, &policy).expect("no asterisk");
            assert!(!dividing.any(tells_address));
        }
    }

    #[test]
    fn each_field_of_a_framework_is_known() {
        assert!(OF_FRAMEWORKS.iter().all(|name| is_of_framework(name)));
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
            let fields = HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))]);
            assert_eq!(asks_for_document(&fields), expected, "{name}: {value}");
        }
    }

    #[test]
    fn the_last_of_several_types_counts() {
        let html = (header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let lines = |lines: [&(HeaderName, HeaderValue); 2]| {
            let mut fields = HeaderMap::new();
            for (name, value) in lines {
                fields.append(name, value.clone());
            }
            fields
        };
        assert!(may_be_document(&lines([&json, &html])));
        assert!(!may_be_document(&lines([&html, &json])));
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
