//! Decides which HTTP/1.1 requests change to HTTP/2 by `Upgrade: h2c` (RFC 7540 section 3.2). Pure.
//!
//! RFC 9113 removed the mechanism, but deployed clients still use it. A request that does not follow RFC 7540 exactly
//! is served as HTTP/1.1, which every client that offers an upgrade must accept.

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request::Parts, uri};

use crate::fields::hop::HOP_BY_HOP;

/// A request that becomes stream 1 of an HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct UpgradeRequest {
    /// The head as an HTTP/2 request: Host has become the authority, and hop-by-hop fields are removed.
    pub head: Parts,
    /// The decoded `HTTP2-Settings`: the payload of the client's SETTINGS frame.
    pub settings: Vec<u8>,
}

const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Returns the upgrade that a request to this authority asks for; `None` if the request is to be served as HTTP/1.x.
pub(in crate::listen) fn requested(
    request: &httparse::Request<'_, '_>,
    authority: Option<&str>,
) -> Option<UpgradeRequest> {
    // Most requests return here, before anything is allocated.
    let mut offers = request
        .headers
        .iter()
        .filter(|field| field.name.eq_ignore_ascii_case("upgrade"));
    let offer = offers.next()?;
    // A client lists protocols by preference (RFC 9110 section 7.8).
    let h2c_is_first = tokens(offer.value)
        .next()
        .is_some_and(|name| name.eq_ignore_ascii_case(b"h2c"));
    if !h2c_is_first || request.version != Some(1) {
        return None;
    }
    let method = Method::from_bytes(request.method?.as_bytes()).ok()?;
    let fields = fields(request)?;
    if has_body(&fields) || method == Method::CONNECT {
        return None;
    }
    if came_through_a_proxy(&fields) {
        return None;
    }
    let nominated = nominated(&fields)?;
    if !nominated.contains(&header::UPGRADE) || !nominated.contains(&HTTP2_SETTINGS) {
        return None;
    }
    let settings = only(&fields, &HTTP2_SETTINGS)?.as_bytes().trim_ascii();
    let settings = BASE64URL_NOPAD.decode(without_padding(settings)).ok()?;
    let uri = uri(&method, request.path?, authority?)?;
    let is_dropped = |name: &HeaderName| HOP_BY_HOP.contains(name) || nominated.contains(name);
    let stays = |name: &HeaderName| ![header::HOST, HTTP2_SETTINGS].contains(name) && !is_dropped(name);
    let mut head = Request::new(()).into_parts().0;
    head.method = method;
    head.uri = uri;
    head.version = Version::HTTP_2;
    head.headers = fields
        .iter()
        .filter(|(name, _)| stays(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Some(UpgradeRequest { head, settings })
}

fn fields(request: &httparse::Request<'_, '_>) -> Option<HeaderMap> {
    let mut fields = HeaderMap::with_capacity(request.headers.len());
    for field in &*request.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        fields.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some(fields)
}

/// Returns whether the request may have content: HTTP/2 would begin behind it, at a position not known yet.
fn has_body(fields: &HeaderMap) -> bool {
    fields.contains_key(header::TRANSFER_ENCODING)
        || fields
            .get_all(header::CONTENT_LENGTH)
            .iter()
            .any(|length| length.as_bytes() != b"0")
}

/// Returns whether another proxy forwarded the request. After an upgrade such a proxy would tunnel bytes blindly, so
/// that a client could bypass its checks (h2c smuggling).
fn came_through_a_proxy(fields: &HeaderMap) -> bool {
    [header::VIA, header::FORWARDED]
        .iter()
        .any(|name| fields.contains_key(name))
        || fields
            .keys()
            .any(|name| name.as_str().starts_with("x-forwarded-") || name == "x-real-ip")
}

/// Returns the fields that Connection names (RFC 9110 section 7.6.1); `None` if a name is malformed.
fn nominated(fields: &HeaderMap) -> Option<Vec<HeaderName>> {
    fields
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| tokens(value.as_bytes()))
        .map(|name| HeaderName::from_bytes(name).ok())
        .collect()
}

fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&b| b == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

/// Returns the value of a field that must have exactly one line.
fn only<'f>(fields: &'f HeaderMap, name: &HeaderName) -> Option<&'f HeaderValue> {
    let mut values = fields.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Removes base64 padding, which some clients send though RFC 7540 forbids it.
fn without_padding(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"=").unwrap_or(text);
    text.strip_suffix(b"=").unwrap_or(text)
}

/// Returns the target URI of a request in origin-form or asterisk-form; `None` for other forms, which stay HTTP/1.1.
fn uri(method: &Method, target: &str, authority: &str) -> Option<Uri> {
    if !target.starts_with('/') && (target != "*" || *method != Method::OPTIONS) {
        return None;
    }
    let mut parts = uri::Parts::default();
    parts.scheme = Some(uri::Scheme::HTTP);
    parts.authority = Some(authority.parse().ok()?);
    parts.path_and_query = Some(target.parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::target::RequestTarget;

    const FIELDS: &str = "Host: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n";
    /// SETTINGS_MAX_CONCURRENT_STREAMS = 100.
    const SETTINGS: &str = "HTTP2-Settings: AAMAAABk\r\n";

    fn parse(head: &str) -> Option<UpgradeRequest> {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut fields);
        let parsed = request.parse(head.as_bytes()).expect("a head that httparse takes");
        assert!(parsed.is_complete(), "{head}");
        let hosts = request
            .headers
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case("host"));
        let hosts: Vec<&[u8]> = hosts.map(|field| field.value).collect();
        let (method, path) = (request.method?, request.path?);
        let target = RequestTarget::of_http1(method, path, &hosts, request.version == Some(0)).ok()?;
        requested(&request, target.authority)
    }

    #[test]
    fn an_upgrade_becomes_an_http2_request() {
        let upgrade = parse(&format!(
            "GET /a?b HTTP/1.1\r\n{FIELDS}{SETTINGS}Cookie: c=d\r\nTE: trailers\r\nKeep-Alive: timeout=5\r\nX-Two: 1\r\nX-Two: 2\r\n\r\n"
        ))
        .expect("an upgrade");
        assert_eq!(upgrade.settings, [0, 3, 0, 0, 0, 100]);
        assert_eq!(upgrade.head.uri.to_string(), "http://a.example/a?b");
        let plain = format!("GET / HTTP/1.1\r\n{FIELDS}{SETTINGS}\r\n").replace("a.example", "a.example:");
        let plain = parse(&plain).expect("an upgrade");
        assert_eq!(plain.head.uri, "http://a.example/", "an empty port is none");
        assert_eq!(upgrade.head.method, Method::GET);
        let fields: Vec<_> = upgrade
            .head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().expect("ASCII")))
            .collect();
        assert_eq!(fields, [("cookie", "c=d"), ("x-two", "1"), ("x-two", "2")]);
    }

    #[test]
    fn other_valid_spellings_are_upgraded() {
        for head in [
            format!("GET / HTTP/1.1\r\n{FIELDS}HTTP2-Settings: \r\n\r\n"),
            format!("GET / HTTP/1.1\r\n{FIELDS}HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
            format!("GET / HTTP/1.1\r\n{FIELDS}HTTP2-Settings: AAMAAABkAA==\r\n\r\n"),
            format!("POST / HTTP/1.1\r\n{FIELDS}{SETTINGS}Content-Length: 0\r\n\r\n"),
            format!("OPTIONS * HTTP/1.1\r\n{FIELDS}{SETTINGS}\r\n"),
            format!(
                "GET / HTTP/1.1\r\nhost: [::1]:80\r\nconnection: upgrade\r\nconnection: http2-settings,,\r\nupgrade: H2C, x/1\r\n{SETTINGS}\r\n"
            ),
        ] {
            assert!(parse(&head).is_some(), "{head}");
        }
    }

    #[test]
    fn a_field_that_connection_names_is_dropped() {
        let upgrade = parse(&format!(
            "GET / HTTP/1.1\r\n{FIELDS}Connection: x-hop\r\n{SETTINGS}X-Hop: 1\r\n\r\n"
        ));
        assert!(upgrade.expect("an upgrade").head.headers.is_empty());
    }

    #[test]
    fn requests_that_do_not_follow_the_rfc_stay_http1() {
        let with = |line: &str, fields: &str| format!("{line}\r\n{fields}\r\n");
        let get = |fields: &str| with("GET / HTTP/1.1", fields);
        let whole = format!("{FIELDS}{SETTINGS}");
        for head in [
            get("Host: a\r\n"),
            with("GET / HTTP/1.0", &whole),
            with("GET http://a.example/ HTTP/1.1", &whole),
            with("GET * HTTP/1.1", &whole),
            with("CONNECT a.example:80 HTTP/1.1", &whole),
            get(FIELDS),
            get(&format!("{whole}{SETTINGS}")),
            get(&format!("{FIELDS}HTTP2-Settings: A\r\n")),
            get(&format!("{FIELDS}HTTP2-Settings: AAMAAA*k\r\n")),
            get(&format!("{FIELDS}HTTP2-Settings: AAMAAABk====\r\n")),
            get(&format!("{whole}Content-Length: 5\r\n")),
            get(&format!("{whole}Content-Length: 0\r\nContent-Length: 5\r\n")),
            get(&format!("{whole}Transfer-Encoding: chunked\r\n")),
            get(&format!("{whole}Via: 1.1 a\r\n")),
            get(&format!("{whole}Forwarded: for=192.0.2.1\r\n")),
            get(&format!("{whole}X-Forwarded-For: 192.0.2.1\r\n")),
            get(&format!("{whole}x-forwarded-proto: https\r\n")),
            get(&format!("{whole}X-Real-IP: 192.0.2.1\r\n")),
            get(&format!("{whole}Host: b.example\r\n")),
            get(&whole.replace("Host: a.example\r\n", "")),
            get(&whole.replace("a.example", "")),
            get(&whole.replace("a.example", "a b")),
            get(&whole.replace("Upgrade, HTTP2-Settings", "HTTP2-Settings")),
            get(&whole.replace("Upgrade, HTTP2-Settings", "Upgrade")),
            get(&whole.replace("Upgrade, HTTP2-Settings", "Upgrade, HTTP2-Settings, (")),
            get(&whole.replace("h2c", "h2")),
            get(&whole.replace("h2c", "websocket, h2c")),
            get(&whole.replace("h2c", "")),
        ] {
            assert!(parse(&head).is_none(), "{head}");
        }
    }
}
