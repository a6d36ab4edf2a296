//! Parses the head of an HTTP/1.x request, refuses it, or rewrites it to its canonical form. Pure.
//!
//! Pingora parses the head again afterwards, and accepts more than the RFCs do. So every check is made here, and
//! Pingora gets one form only: the target in origin-form (RFC 9112 section 3.2), one Host, one Content-Length, Upgrade
//! only for WebSocket. A head that already has this form is passed on unchanged.

use std::borrow::Cow;

use httparse::Header;

use super::upgrade::{self, UpgradeRequest};
use crate::{
    fields::length,
    listen::meter::Http1Fault,
    peer::target::{BadTarget, RequestTarget},
};

/// A request head that was parsed.
#[derive(Debug)]
pub(super) struct Http1Head {
    /// Bytes of the head as received.
    pub(super) length: usize,
    /// The head in canonical form; `None` if it was received in that form.
    pub(super) rewritten: Option<Vec<u8>>,
    /// The framing of the content.
    pub(super) body: Framing,
    /// The change to HTTP/2 that the request asks for.
    pub(super) upgrade: Option<UpgradeRequest>,
}

/// The content or protocol that follows a head on the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// Content of this many bytes, then the next request.
    Length(u64),
    /// Chunked content, then the next request.
    Chunked,
    /// Content of this many bytes, then another protocol if the origin switches to it.
    Switching(u64),
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHead {
    /// The bytes are no HTTP/1.x request head.
    #[error("not an HTTP/1.x request: {0}")]
    Syntax(httparse::Error),
    #[error(transparent)]
    Target(#[from] BadTarget),
    #[error("Content-Length that is no length, or says two")]
    ContentLength,
    #[error("Transfer-Encoding that does not end in one chunked, with Content-Length, or in HTTP/1.0")]
    TransferEncoding,
    #[error("a transfer coding other than chunked")]
    Coding,
    #[error("more than {0} fields")]
    Fields(usize),
    #[error("a head of more than {0} bytes")]
    Bytes(usize),
}

/// The limits of a head: bytes, and fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeadLimits {
    pub(super) bytes: usize,
    pub(super) fields: usize,
}

/// Most fields that Pingora accepts in a head.
pub(super) const MAX_FIELDS: usize = 256;

impl BadHead {
    /// Returns the status of the response.
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::Target(why) => why.status().as_u16(),
            Self::Syntax(_) | Self::ContentLength | Self::TransferEncoding => 400,
            Self::Coding => 501,
            Self::Fields(_) | Self::Bytes(_) => 431,
        }
    }

    /// Returns the fault in metrics.
    pub(super) const fn fault(self) -> Http1Fault {
        match self {
            Self::Syntax(_) => Http1Fault::Syntax,
            Self::Target(_) => Http1Fault::Target,
            Self::ContentLength => Http1Fault::ContentLength,
            Self::TransferEncoding => Http1Fault::TransferEncoding,
            Self::Coding => Http1Fault::Coding,
            Self::Fields(_) | Self::Bytes(_) => Http1Fault::TooLarge,
        }
    }
}

impl Http1Head {
    /// Parses a head that `HeadEnd` found complete, or broken.
    ///
    /// # Errors
    ///
    /// The head is malformed, ambiguous or exceeds a limit.
    pub(super) fn read(bytes: &[u8], limits: HeadLimits) -> Result<Self, BadHead> {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= limits.bytes => length,
            Ok(_) => return Err(BadHead::Bytes(limits.bytes)),
            Err(httparse::Error::TooManyHeaders) => return Err(BadHead::Fields(limits.fields)),
            Err(e) => return Err(BadHead::Syntax(e)),
        };
        if request.headers.len() > limits.fields {
            return Err(BadHead::Fields(limits.fields));
        }
        let fields = &*request.headers;
        let is_http10 = request.version == Some(0);
        let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let hosts: Vec<&[u8]> = values(fields, "host").collect();
        let target = RequestTarget::of_http1(method, path, &hosts, is_http10)?;
        let content_length = content_length(fields)?;
        let is_chunked = is_chunked(fields)?;
        if is_chunked && (is_http10 || content_length.is_some()) {
            return Err(BadHead::TransferEncoding);
        }
        let offers_upgrade = values(fields, "upgrade").next().is_some();
        let switches = offers_upgrade && !is_http10 && asks_for_websocket(fields);
        let body = match content_length.unwrap_or(0) {
            _ if is_chunked => Framing::Chunked,
            length if switches => Framing::Switching(length),
            length => Framing::Length(length),
        };
        let upgrade = if offers_upgrade {
            upgrade::requested(&request, target.authority)
        } else {
            None
        };
        let is_canonical = path == target.path
            && hosts.first().copied() == target.authority.map(str::as_bytes)
            && is_said_once(fields)
            && offers_upgrade == switches
            && !fields.iter().any(|field| is_nominated(fields, field.name));
        let rewritten = (!is_canonical).then(|| rewrite(&request, &target, content_length, switches));
        Ok(Self {
            length,
            rewritten,
            body,
            upgrade,
        })
    }
}

/// Yields the value of each field line with this name.
fn values<'f>(fields: &'f [Header<'_>], name: &'static str) -> impl Iterator<Item = &'f [u8]> {
    let named = move |field: &&Header<'_>| field.name.eq_ignore_ascii_case(name);
    fields.iter().filter(named).map(|field| field.value)
}

/// Yields the elements of a field whose value is a list.
fn elements<'f>(fields: &'f [Header<'_>], name: &'static str) -> impl Iterator<Item = &'f [u8]> {
    let lines = values(fields, name);
    lines.flat_map(|line| line.split(|&byte| byte == b',').map(<[u8]>::trim_ascii))
}

/// Returns the length in Content-Length, which may be repeated if all values are equal (RFC 9110 section 8.6).
fn content_length(fields: &[Header<'_>]) -> Result<Option<u64>, BadHead> {
    let mut length = None;
    for line in values(fields, "content-length") {
        let said = length::read(line).ok_or(BadHead::ContentLength)?;
        if length.is_some_and(|length| length != said) {
            return Err(BadHead::ContentLength);
        }
        length = Some(said);
    }
    Ok(length)
}

/// Returns whether Content-Length is absent, or one line with one plain decimal number. `5, 5` names a length twice,
/// and some servers read `010` as octal.
fn is_said_once(fields: &[Header<'_>]) -> bool {
    let mut lines = values(fields, "content-length");
    let is_plain = |line: &[u8]| line.iter().all(u8::is_ascii_digit) && (line == b"0" || !line.starts_with(b"0"));
    lines.next().is_none_or(is_plain) && lines.next().is_none()
}

/// Returns whether the content is chunked. Other transfer codings are not implemented (RFC 9112 section 6.1).
fn is_chunked(fields: &[Header<'_>]) -> Result<bool, BadHead> {
    let mut codings = elements(fields, "transfer-encoding");
    let Some(first) = codings.next() else { return Ok(false) };
    match codings.last() {
        None if first.eq_ignore_ascii_case(b"chunked") => Ok(true),
        Some(last) if last.eq_ignore_ascii_case(b"chunked") && first.eq_ignore_ascii_case(b"chunked") => {
            Err(BadHead::TransferEncoding)
        }
        _ if first.is_empty() => Err(BadHead::TransferEncoding),
        _ => Err(BadHead::Coding),
    }
}

/// Returns whether the request asks for WebSocket, the only protocol that an origin may switch to. Connection must name
/// Upgrade (RFC 9110 section 7.8).
fn asks_for_websocket(fields: &[Header<'_>]) -> bool {
    elements(fields, "upgrade").any(|offer| offer.eq_ignore_ascii_case(b"websocket"))
        && elements(fields, "connection").any(|name| name.eq_ignore_ascii_case(b"upgrade"))
}

/// Returns whether Connection names a field, which must be removed before the request is forwarded (RFC 9110 section
/// 7.6.1). The field is removed here, so that no rule decides by a field that the origin does not get. The fields in
/// `LEFT` stay: Pingora acts on them, or refuses a request whose Connection names them.
fn is_nominated(fields: &[Header<'_>], name: &str) -> bool {
    const LEFT: [&str; 10] = [
        "connection",
        "keep-alive",
        "upgrade",
        "te",
        "trailer",
        "transfer-encoding",
        "content-length",
        "host",
        "http2-settings",
        "proxy-connection",
    ];
    elements(fields, "connection").any(|element| element.eq_ignore_ascii_case(name.as_bytes()))
        && !LEFT.iter().any(|left| left.eq_ignore_ascii_case(name))
}

/// Returns the head in canonical form.
fn rewrite(
    request: &httparse::Request<'_, '_>,
    target: &RequestTarget<'_>,
    content_length: Option<u64>,
    switches: bool,
) -> Vec<u8> {
    let mut head = format!(
        "{} {} HTTP/1.{}\r\n",
        request.method.unwrap_or_default(),
        target.path,
        request.version.unwrap_or(1)
    )
    .into_bytes();
    let mut put = |name: &str, value: &[u8]| {
        for part in [name.as_bytes(), b": ", value, b"\r\n"] {
            head.extend_from_slice(part);
        }
    };
    if let Some(authority) = target.authority {
        put("Host", authority.as_bytes());
    }
    if let Some(length) = content_length {
        put("Content-Length", length.to_string().as_bytes());
    }
    for field in &*request.headers {
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        let goes_on = !is("host") && !is("content-length") && (switches || !is("upgrade"));
        if goes_on && !is_nominated(request.headers, field.name) {
            put(field.name, field.value);
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Returns the method and the target of a refused head, as far as its first line has them.
pub(super) fn line(bytes: &[u8]) -> (Cow<'_, str>, Cow<'_, str>) {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let mut words = line.trim_ascii().splitn(2, |&byte| byte == b' ');
    let mut next = || String::from_utf8_lossy(words.next().unwrap_or_default());
    let method = next();
    let target = match next() {
        Cow::Borrowed(rest) => Cow::Borrowed(rest.rsplit_once(" HTTP/").map_or(rest, |(target, _)| target)),
        lossy @ Cow::Owned(_) => lossy,
    };
    (method, target)
}

#[cfg(test)]
mod tests {
    use super::{super::head_end::HeadEnd, *};

    const LIMITS: HeadLimits = HeadLimits {
        bytes: 1000,
        fields: 10,
    };

    fn read(head: &str) -> Result<Http1Head, BadHead> {
        Http1Head::read(head.as_bytes(), LIMITS)
    }

    #[test]
    fn a_head_that_no_further_bytes_can_complete_is_refused() {
        for head in [
            "GET /\0",
            "GET /\x7f",
            "\x16",
            "\rG",
            "GET / HTTP/1.1\rH",
            "GET / HTTP/1.1\r\nHost: a\r\n\rX",
            "GET / HTTP/1.1\r\nHost: a\n\r\r",
            "GET / HTTP/1.1\r\nHost: a\x01",
            "GET / HTTP/1.1\r\nHost\0",
            "what is this\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n",
            "GET / HTTP/1.1\r\nno colon\r\nHo",
        ] {
            assert!(HeadEnd::default().has_come(head.as_bytes()), "{head:?}");
            let outcome = read(head).map(|head| head.body);
            assert_eq!(outcome.map_err(BadHead::status), Err(400), "{head:?}");
        }
    }

    #[test]
    fn a_head_gives_the_framing_of_its_content() {
        let table = [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /next", Framing::Length(0)),
            ("GET / HTTP/1.0\r\n\r\n", Framing::Length(0)),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
                Framing::Length(5),
            ),
            ("PUT / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello", Framing::Length(5)),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n",
                Framing::Chunked,
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
                Framing::Switching(0),
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
                Framing::Length(0),
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
                Framing::Length(0),
            ),
        ];
        for (head, body) in table {
            let outcome = read(head).expect(head);
            assert_eq!(outcome.body, body, "{head}");
            assert_eq!(outcome.length, head.find("\r\n\r\n").expect("an end") + 4);
        }
    }

    #[test]
    fn equivalent_heads_are_rewritten_to_one_form() {
        let rewritten = |head: &str| {
            let head = read(head).expect(head);
            head.rewritten.map(|head| String::from_utf8(head).expect("text"))
        };
        for head in [
            "GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
            "GET / HTTP/1.0\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:  10 \r\n\r\n",
            "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        ] {
            assert_eq!(rewritten(head), None, "{head}");
        }
        let table = [
            (
                "GET http://a/x?y HTTP/1.1\r\nX: y\r\nHost: a\r\nX: z\r\n\r\n",
                "GET /x?y HTTP/1.1\r\nHost: a\r\nX: y\r\nX: z\r\n\r\n",
            ),
            ("GET http://a HTTP/1.0\r\n\r\n", "GET / HTTP/1.0\r\nHost: a\r\n\r\n"),
            (
                "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n",
                "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 5, 5\r\n\r\n",
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
            ),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 5, 5\r\n\r\n",
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nX: y\r\n\r\n",
            ),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 010\r\n\r\n",
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n",
            ),
            (
                "PUT / HTTP/1.0\r\nContent-Length: 00\r\n\r\n",
                "PUT / HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nConnection: close, origin,X\r\nx: y\r\nZ: 1\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, origin,X\r\nZ: 1\r\n\r\n",
            ),
            (
                "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
                "GET / HTTP/1.0\r\nConnection: upgrade\r\n\r\n",
            ),
            (
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
            ),
        ];
        for (head, expected) in table {
            assert_eq!(rewritten(head).as_deref(), Some(expected), "{head}");
        }
    }

    #[test]
    fn malformed_heads_are_refused() {
        let table = [
            ("what is this\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
            ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /\r\n\r\n", 400),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 400),
            ("GET evil.js HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
                400,
            ),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5 5\r\n\r\n", 400),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n",
                400,
            ),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
                400,
            ),
            ("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
            ),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                400,
            ),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
                400,
            ),
            ("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400),
            ("PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
                501,
            ),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
                501,
            ),
            ("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
            ("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
            (
                "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
                501,
            ),
        ];
        for (head, status) in table {
            let outcome = read(head).map(|head| head.body);
            assert_eq!(outcome.map_err(BadHead::status), Err(status), "{head:?}");
        }
    }

    #[test]
    fn heads_have_limits() {
        let with = |fields: usize| {
            read(&format!(
                "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
                "X: y\r\n".repeat(fields)
            ))
        };
        assert!(with(9).is_ok());
        assert_eq!(with(10).map(|head| head.body), Err(BadHead::Fields(10)));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(300));
        assert_eq!(read(&many).map(|head| head.body), Err(BadHead::Fields(10)));
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(1000));
        assert_eq!(read(&long).map(|head| head.body), Err(BadHead::Bytes(1000)));
    }

    #[test]
    fn method_and_target_of_a_refused_head_are_found() {
        assert_eq!(
            line(b"GET  /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("GET".into(), " /a b".into())
        );
        assert_eq!(line(b"what\n\n"), ("what".into(), "".into()));
        assert_eq!(line(b""), ("".into(), "".into()));
    }
}
