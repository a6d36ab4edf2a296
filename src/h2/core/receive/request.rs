//! Builds a request from its fields, one by one as HPACK decodes them (RFC 9113 sections 8.2 and 8.3).
//!
//! The limits are checked before HPACK allocates a field. After the first fault, or once a section is too large, all
//! further fields are dropped, while HPACK decodes on to keep its dynamic table equal to the client's.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, Method, Request, Uri, Version, header,
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};

use crate::h2::core::Fault;
use crate::hpack::{FieldSink, Name, Value};
use crate::push::{PRIORITY, Priority};
use crate::{
    fields::length,
    peer::target::{self, BadTarget},
};

/// The limits of a header section.
#[derive(Debug, Clone, Copy)]
pub(super) struct FieldLimits {
    /// Size in bytes, as SETTINGS_MAX_HEADER_LIST_SIZE counts (RFC 9113 section 6.5.2).
    pub(super) bytes: usize,
    /// Number of fields, without Cookie.
    pub(super) fields: usize,
}

/// Gathers the fields of a request, or of its trailers.
pub(super) struct FieldSection {
    limits: FieldLimits,
    method: Option<Bytes>,
    scheme: Option<Bytes>,
    authority: Option<Bytes>,
    path: Option<Bytes>,
    /// The request, whose headers are filled in as they come.
    parts: Box<Parts>,
    /// Capacity of the header map that is reserved with the first field.
    first_room: usize,
    cookie: Cookie,
    size: usize,
    fields: usize,
    /// A regular field has come: no pseudo-header field may follow.
    is_regular: bool,
    is_too_large: bool,
    fault: Option<Fault>,
    content_length: Option<u64>,
    /// Number of Host fields.
    hosts: usize,
    has_priority: bool,
}

/// The Cookie fields, joined as they come (RFC 9113 section 8.2.3).
enum Cookie {
    None,
    Whole(HeaderValue),
    Joined(BytesMut),
}

/// A request whose fields are complete.
#[derive(Debug)]
pub(super) struct RequestHead {
    pub(super) parts: Box<Parts>,
    pub(super) content_length: Option<u64>,
    pub(super) priority: Priority,
    /// Size of the fields, as SETTINGS_MAX_HEADER_LIST_SIZE counts: about the memory that they take.
    pub(super) size: usize,
}

/// The reason why fields make no request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// The stream is to be reset (RFC 9113 section 8.1.1).
    Malformed,
    /// The request is to be answered with 431.
    TooLarge,
    /// The request is to be answered with the status that HTTP/1.1 requests with this target get.
    BadTarget(BadTarget),
}

impl From<BadTarget> for NoRequest {
    fn from(why: BadTarget) -> Self {
        Self::BadTarget(why)
    }
}

impl FieldSection {
    /// Returns an empty section for a header block of `block` bytes.
    pub(super) fn new(limits: FieldLimits, block: usize) -> Self {
        Self {
            // A field takes at least one byte of the block, and four fields are pseudo-header fields.
            first_room: block.saturating_sub(4).min(FIRST_FIELDS),
            limits,
            method: None,
            scheme: None,
            authority: None,
            path: None,
            parts: Box::new(Request::new(()).into_parts().0),
            cookie: Cookie::None,
            size: 0,
            fields: 0,
            is_regular: false,
            is_too_large: false,
            fault: None,
            content_length: None,
            hosts: 0,
            has_priority: false,
        }
    }

    /// Checks trailers, which must not have pseudo-header fields (RFC 9113 section 8.1).
    pub(super) fn check_trailers(&self) -> Result<(), NoRequest> {
        let pseudo = [&self.method, &self.scheme, &self.authority, &self.path];
        if pseudo.iter().any(|pseudo| pseudo.is_some()) {
            return Err(NoRequest::Malformed);
        }
        self.outcome()
    }

    /// Returns the first problem with the fields that have come.
    fn outcome(&self) -> Result<(), NoRequest> {
        match self.fault {
            Some(_) => Err(NoRequest::Malformed),
            None if self.is_too_large => Err(NoRequest::TooLarge),
            None => Ok(()),
        }
    }

    /// Returns the request (RFC 9113 section 8.3.1). `last_authority` is the authority of the request before; the same
    /// one, as most often, is shared rather than parsed again.
    pub(super) fn into_request(mut self, last_authority: &mut Option<Authority>) -> Result<RequestHead, NoRequest> {
        self.outcome()?;
        let method = self.method.take().ok_or(NoRequest::Malformed)?;
        let method = Method::from_bytes(&method).map_err(|_| NoRequest::Malformed)?;
        let uri = self.uri(&method, last_authority)?;
        self.check_host(&uri)?;
        match std::mem::replace(&mut self.cookie, Cookie::None) {
            Cookie::None => {}
            Cookie::Whole(value) => drop(self.parts.headers.insert(header::COOKIE, value)),
            Cookie::Joined(joined) => {
                let value = HeaderValue::from_maybe_shared(joined.freeze()).map_err(|_| NoRequest::Malformed)?;
                self.parts.headers.insert(header::COOKIE, value);
            }
        }
        self.parts.method = method;
        self.parts.uri = uri;
        self.parts.version = Version::HTTP_2;
        let priority = if self.has_priority {
            Priority::of(&self.parts.headers)
        } else {
            Priority::default()
        };
        Ok(RequestHead {
            parts: self.parts,
            priority,
            content_length: self.content_length,
            size: self.size,
        })
    }

    /// Returns the target URI.
    fn uri(&mut self, method: &Method, last_authority: &mut Option<Authority>) -> Result<Uri, NoRequest> {
        let mut uri = http::uri::Parts::default();
        let authority = self.authority.take().filter(|authority| !authority.is_empty());
        if let Some(authority) = &authority {
            let last = last_authority.take_if(|last| last.as_str().as_bytes() == authority);
            let authority = match last {
                Some(last) => last,
                // Parsing copies the authority: it outlives the request, and must not share the decoder's memory.
                None => target::authority(authority)?
                    .parse()
                    .map_err(|_| NoRequest::Malformed)?,
            };
            *last_authority = Some(authority.clone());
            uri.authority = Some(authority);
        }
        let (scheme, path) = (self.scheme.take(), self.path.take());
        if method == Method::CONNECT {
            // RFC 9113 section 8.5.
            if authority.is_none() || scheme.is_some() || path.is_some() {
                return Err(NoRequest::Malformed);
            }
            return Uri::from_parts(uri).map_err(|_| NoRequest::Malformed);
        }
        let scheme = match scheme.as_deref() {
            Some(b"http") => Scheme::HTTP,
            Some(b"https") => Scheme::HTTPS,
            Some(_) => return Err(BadTarget::Form.into()),
            None => return Err(NoRequest::Malformed),
        };
        let path = path.filter(|path| !path.is_empty()).ok_or(NoRequest::Malformed)?;
        target::check_form(method.as_str(), &path)?;
        uri.path_and_query = Some(PathAndQuery::from_maybe_shared(path).map_err(|_| NoRequest::Malformed)?);
        if authority.is_some() {
            // The http crate takes no URI with a scheme and a path, but no authority.
            uri.scheme = Some(scheme);
        }
        Uri::from_parts(uri).map_err(|_| NoRequest::Malformed)
    }

    /// Checks that Host, if it came, agrees with the authority, and that one of them is there.
    fn check_host(&self, uri: &Uri) -> Result<(), BadTarget> {
        let authority = uri.authority().map(Authority::as_str);
        match (self.hosts, authority) {
            (0, Some(_)) => Ok(()),
            (0, None) => Err(BadTarget::NoHost),
            (1, authority) => {
                let host = self
                    .parts
                    .headers
                    .get(header::HOST)
                    .map_or(&b""[..], HeaderValue::as_bytes);
                let host = target::authority(host)?;
                match authority {
                    Some(authority) if !authority.eq_ignore_ascii_case(host) => Err(BadTarget::Conflict),
                    _ => Ok(()),
                }
            }
            _ => Err(BadTarget::ManyHosts),
        }
    }

    fn pseudo(&mut self, name: &Name, value: Bytes) {
        let slot = match name {
            Name::Method => &mut self.method,
            Name::Scheme => &mut self.scheme,
            Name::Authority => &mut self.authority,
            Name::Path => &mut self.path,
            // Requests have no :status, and :protocol was not offered (RFC 8441 section 3).
            _ => return self.fault = Some(Fault::Malformed),
        };
        if self.is_regular || slot.is_some() {
            self.fault = Some(Fault::Malformed);
        } else {
            *slot = Some(value);
        }
    }

    fn regular(&mut self, name: HeaderName, mut value: HeaderValue) {
        self.is_regular = true;
        if name == header::COOKIE {
            return self.crumb(value);
        }
        if is_connection_specific(&name) || (name == header::TE && !value.as_bytes().eq_ignore_ascii_case(b"trailers"))
        {
            self.fault = Some(Fault::Malformed);
            return;
        }
        self.fields += 1;
        if self.fields > self.limits.fields {
            self.is_too_large = true;
            return;
        }
        if name == header::CONTENT_LENGTH {
            match (length::read(value.as_bytes()), self.content_length) {
                (Some(length), None) => self.content_length = Some(length),
                // A repeated length is passed on once, as one number.
                (Some(length), Some(other)) if length == other => return,
                _ => return self.fault = Some(Fault::Malformed),
            }
            if !value.as_bytes().iter().all(u8::is_ascii_digit)
                && let Some(length) = self.content_length
            {
                value = length.into();
            }
        }
        self.hosts += usize::from(name == header::HOST);
        self.has_priority |= name == PRIORITY;
        let headers = &mut self.parts.headers;
        if headers.is_empty() {
            headers.reserve(self.first_room);
        }
        if headers.try_append(name, value).is_err() {
            self.is_too_large = true;
        }
    }

    /// Joins a Cookie field to those before (RFC 9113 section 8.2.3).
    fn crumb(&mut self, crumb: HeaderValue) {
        match &mut self.cookie {
            Cookie::None => self.cookie = Cookie::Whole(crumb),
            Cookie::Whole(first) => {
                let mut joined = BytesMut::with_capacity(first.len() + 2 + crumb.len());
                joined.extend_from_slice(first.as_bytes());
                push_crumb(&mut joined, &crumb);
                self.cookie = Cookie::Joined(joined);
            }
            Cookie::Joined(joined) => push_crumb(joined, &crumb),
        }
    }
}

impl FieldSink for FieldSection {
    fn admit(&mut self, size: usize) -> bool {
        self.size = self.size.saturating_add(size);
        self.is_too_large |= self.size > self.limits.bytes;
        !self.is_too_large && self.fault.is_none()
    }

    fn field(&mut self, name: Name, value: Value) {
        match value {
            Value::Pseudo(value) => self.pseudo(&name, value),
            Value::Field(value) => match name {
                Name::Field(name) => self.regular(name, value),
                _ => self.fault = Some(Fault::Malformed),
            },
            Value::Malformed => self.fault = Some(Fault::Malformed),
        }
    }
}

/// Capacity for the fields of an ordinary request.
const FIRST_FIELDS: usize = 12;

fn push_crumb(joined: &mut BytesMut, crumb: &HeaderValue) {
    joined.extend_from_slice(b"; ");
    joined.extend_from_slice(crumb.as_bytes());
}

/// Returns whether a field is connection-specific (RFC 9113 section 8.2.2).
fn is_connection_specific(name: &HeaderName) -> bool {
    *name == header::CONNECTION
        || *name == header::TRANSFER_ENCODING
        || *name == header::UPGRADE
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FieldLimits = FieldLimits { bytes: 1000, fields: 4 };

    fn pseudo(name: &str) -> Name {
        match name {
            ":method" => Name::Method,
            ":scheme" => Name::Scheme,
            ":authority" => Name::Authority,
            ":path" => Name::Path,
            ":protocol" => Name::Protocol,
            ":status" => Name::Status,
            _ => Name::Malformed,
        }
    }

    fn section(fields: &[(&str, &str)]) -> FieldSection {
        let mut section = FieldSection::new(LIMITS, 100);
        for (name, value) in fields {
            if !section.admit(name.len() + value.len() + 32) {
                continue;
            }
            if name.starts_with(':') {
                section.field(pseudo(name), Value::Pseudo(Bytes::copy_from_slice(value.as_bytes())));
            } else {
                section.field(
                    Name::Field(name.parse().expect("a name")),
                    Value::Field(value.parse().expect("a value")),
                );
            }
        }
        section
    }

    const GET: [(&str, &str); 4] = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/a?b"),
        (":authority", "h:8443"),
    ];

    fn with(more: &[(&str, &str)]) -> Result<RequestHead, NoRequest> {
        section(&[&GET, more].concat()).into_request(&mut None)
    }

    #[test]
    fn a_request_has_its_target_and_its_fields() {
        let head = with(&[("accept", "*/*"), ("accept", "x/y")]).expect("a request");
        assert_eq!(head.parts.uri, "https://h:8443/a?b");
        assert_eq!(head.parts.method, Method::GET);
        assert_eq!(head.parts.headers.get_all("accept").iter().count(), 2);
        let star = section(&[(":method", "OPTIONS"), GET[1], (":path", "*"), GET[3]]);
        assert_eq!(star.into_request(&mut None).expect("a request").parts.uri.path(), "*");
        let tunnel = section(&[(":method", "CONNECT"), (":authority", "h:1")]);
        assert_eq!(tunnel.into_request(&mut None).expect("a request").parts.uri, "h:1");
    }

    #[test]
    fn cookie_fields_become_one_field_in_their_order() {
        let head = with(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]).expect("a request");
        let cookies: Vec<_> = head.parts.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2; c=3"]);
    }

    #[test]
    fn malformed_requests_are_recognised() {
        let table: &[&[(&str, &str)]] = &[
            &GET[1..],
            &GET[..1],
            &[GET[0], GET[1]],
            &[GET[0], GET[2]],
            &[GET[0], GET[1], (":path", "")],
            &[GET[0], GET[0], GET[1], GET[2]],
            &[GET[0], GET[1], ("x", "y"), GET[2]],
            &[GET[0], GET[1], GET[2], (":status", "200")],
            &[GET[0], GET[1], GET[2], (":protocol", "websocket")],
            &[GET[0], GET[1], GET[2], (":other", "x")],
            &[GET[0], GET[1], GET[2], ("connection", "close")],
            &[GET[0], GET[1], GET[2], ("keep-alive", "1")],
            &[GET[0], GET[1], GET[2], ("proxy-connection", "close")],
            &[GET[0], GET[1], GET[2], ("upgrade", "h2c")],
            &[GET[0], GET[1], GET[2], ("transfer-encoding", "chunked")],
            &[GET[0], GET[1], GET[2], ("te", "trailers, deflate")],
            &[GET[0], GET[1], GET[2], ("content-length", "1"), ("content-length", "2")],
            &[
                GET[0],
                GET[1],
                GET[2],
                ("content-length", "1"),
                ("content-length", "1, 2"),
            ],
            &[GET[0], GET[1], GET[2], ("content-length", "3, 4")],
            &[GET[0], GET[1], GET[2], ("content-length", "3,")],
            &[GET[0], GET[1], GET[2], ("content-length", "")],
            &[GET[0], GET[1], GET[2], ("content-length", "+1")],
            &[GET[0], GET[1], GET[2], ("content-length", "-1")],
            &[GET[0], GET[1], GET[2], ("content-length", "9223372036854775808")],
            &[GET[0], GET[1], GET[2], ("content-length", "99999999999999999999")],
            &[(":method", "CONNECT"), GET[1], GET[3]],
            &[(":method", "G T"), GET[1], GET[2]],
        ];
        for fields in table {
            let outcome = section(fields).into_request(&mut None);
            assert_eq!(outcome.expect_err("malformed"), NoRequest::Malformed, "{fields:?}");
        }
        assert!(with(&[("te", "Trailers"), ("host", "H:8443")]).is_ok());
        assert!(with(&[("te", "trailers")]).is_ok());
        assert!(section(&[("x", "y")]).check_trailers().is_ok());
        assert!(section(&[(":path", "/")]).check_trailers().is_err());
    }

    #[test]
    fn content_length_is_passed_on_once_and_as_one_number() {
        for fields in [
            &[("content-length", "7")][..],
            &[("content-length", "7, 7")],
            &[("content-length", "7"), ("content-length", "7")],
            &[("content-length", "7, 7"), ("content-length", "7")],
        ] {
            let head = with(fields).expect("a request");
            assert_eq!(head.content_length, Some(7), "{fields:?}");
            let lengths: Vec<_> = head.parts.headers.get_all("content-length").iter().collect();
            assert_eq!(lengths, ["7"], "{fields:?}");
        }
    }

    #[test]
    fn invalid_and_ambiguous_targets_are_told_from_malformed_requests() {
        let at = |path| section(&[GET[0], GET[1], (":path", path), GET[3]]);
        let by = |authority| section(&[GET[0], GET[1], GET[2], (":authority", authority)]);
        let table = [
            (at("x"), BadTarget::Form),
            (at("http://h:8443/"), BadTarget::Form),
            (at("?q"), BadTarget::Form),
            (at("*"), BadTarget::Asterisk),
            (at("/a#b"), BadTarget::Byte),
            (section(&[GET[0], (":scheme", "ftp"), GET[2], GET[3]]), BadTarget::Form),
            (section(&[GET[0], (":scheme", "HTTP"), GET[2], GET[3]]), BadTarget::Form),
            (by("u@h"), BadTarget::Host),
            (by("h:99999"), BadTarget::Host),
            (by(":80"), BadTarget::Host),
            (by("a/b"), BadTarget::Host),
            (by(""), BadTarget::NoHost),
            (section(&GET[..3]), BadTarget::NoHost),
            (
                section(&[&GET[..], &[("host", "h:8444")]].concat()),
                BadTarget::Conflict,
            ),
            (section(&[&GET[..], &[("host", "u@h")]].concat()), BadTarget::Host),
            (section(&[&GET[..3], &[("host", "a b")]].concat()), BadTarget::Host),
            (
                section(&[&GET[..], &[("host", "h:8443"), ("host", "h:8443")]].concat()),
                BadTarget::ManyHosts,
            ),
            (
                section(&[(":method", "CONNECT"), (":authority", "a:1:2")]),
                BadTarget::Host,
            ),
        ];
        for (at, (section, why)) in table.into_iter().enumerate() {
            let outcome = section.into_request(&mut None);
            assert_eq!(outcome.expect_err("no target"), NoRequest::BadTarget(why), "{at}");
        }
        assert!(with(&[("host", "h:8443")]).is_ok());
        assert!(
            section(&[&GET[..3], &[("host", "h")]].concat())
                .into_request(&mut None)
                .is_ok()
        );
    }

    #[test]
    fn a_section_that_is_too_large_admits_no_more_fields() {
        let long = "x".repeat(950);
        assert_eq!(with(&[("a", &long)]).expect_err("too large"), NoRequest::TooLarge);
        let many = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")];
        assert!(with(&many).is_ok());
        assert_eq!(
            with(&[&many[..], &[("e", "1")]].concat()).expect_err("too many"),
            NoRequest::TooLarge
        );
        let mut section = section(&GET);
        assert!(!section.admit(usize::MAX) && !section.admit(33));
    }
}
