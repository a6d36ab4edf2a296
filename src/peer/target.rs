//! Parses the target and the authority of a request (RFC 9110 section 7.1, RFC 9112 section 3.2). Pure.
//!
//! Both are parsed once, before any other use of the request. Routing, cache keys, learning, the plan and the origin
//! all use this result, so no client can make two of them see different requests.

use std::{borrow::Cow, net::Ipv6Addr};

use http::{StatusCode, uri::PathAndQuery};

/// Most bytes of a path with its query. RFC 9112 section 3 recommends 8000 at least, and other servers take 8 to 16 KB.
pub const MAX_PATH: usize = 16 * 1024;

/// The target of an HTTP/1.x request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestTarget<'r> {
    /// The value for Host; `None` for an HTTP/1.0 request without one.
    pub authority: Option<&'r str>,
    /// Path and query, as `/a?b`; or `*`; or the authority of CONNECT.
    pub path: Cow<'r, str>,
}

/// Why a target or an authority is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum BadTarget {
    /// HTTP/1.1 without Host, HTTP/2 without authority.
    #[error("no Host")]
    NoHost,
    /// More than one Host field.
    #[error("more than one Host")]
    ManyHosts,
    /// The authority is no `uri-host [":" port]`, or has userinfo.
    #[error("a Host that is no host")]
    Host,
    /// Host and the target, or `:authority`, differ.
    #[error("Host differs from the target's authority")]
    Conflict,
    /// The target is neither in origin-form nor in absolute-form of http or https.
    #[error("a target that is neither origin-form nor absolute-form of http or https")]
    Form,
    /// The path has bytes that a path must not have.
    #[error("a target with a forbidden byte")]
    Byte,
    /// The path is longer than [`MAX_PATH`].
    #[error("a target of more than {MAX_PATH} bytes")]
    Long,
    /// `*` with another method than OPTIONS.
    #[error("the target * without OPTIONS")]
    Asterisk,
}

impl BadTarget {
    /// Returns the status of the response.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Long => StatusCode::URI_TOO_LONG,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

impl<'r> RequestTarget<'r> {
    /// Parses the target of an HTTP/1.x request, whose Host fields have the values `hosts`.
    ///
    /// # Errors
    ///
    /// The target or Host is malformed, Host is missing or repeated, or the two differ.
    pub fn of_http1(method: &str, target: &'r str, hosts: &[&'r [u8]], is_http10: bool) -> Result<Self, BadTarget> {
        let host = match hosts {
            [] if is_http10 => None,
            [] => return Err(BadTarget::NoHost),
            [host] => Some(authority(host)?),
            _ => return Err(BadTarget::ManyHosts),
        };
        if method == "CONNECT" {
            // Authority-form, which has no path.
            authority(target.as_bytes()).map_err(|_| BadTarget::Form)?;
            return match host {
                Some(host) if !host.eq_ignore_ascii_case(target) => Err(BadTarget::Conflict),
                _ => Ok(Self {
                    authority: host,
                    path: Cow::Borrowed(target),
                }),
            };
        }
        let (of_target, path) = if target.starts_with('/') || target == "*" {
            (None, Cow::Borrowed(target))
        } else {
            let (authority, path) = absolute(target)?;
            (Some(authority), path)
        };
        let path = match path {
            path if path.is_empty() && method == "OPTIONS" => Cow::Borrowed("*"),
            path if path.is_empty() => Cow::Borrowed("/"),
            path => path,
        };
        check_path(method, path.as_bytes())?;
        match (of_target, host) {
            (Some(of_target), Some(host)) if !of_target.eq_ignore_ascii_case(host) => Err(BadTarget::Conflict),
            (of_target, host) => Ok(Self {
                authority: of_target.or(host),
                path,
            }),
        }
    }
}

/// Checks the path of a request: origin-form, or `*` for OPTIONS.
///
/// # Errors
///
/// The path has another form, a forbidden byte, or more than [`MAX_PATH`] bytes.
pub fn check_path(method: &str, path: &[u8]) -> Result<(), BadTarget> {
    check_form(method, path)?;
    PathAndQuery::try_from(path).map(drop).map_err(|_| BadTarget::Byte)
}

/// Checks the path as [`check_path`] does, except for bytes that the caller's conversion to a [`PathAndQuery`] refuses.
///
/// # Errors
///
/// The path has another form, a `#`, or more than [`MAX_PATH`] bytes.
pub fn check_form(method: &str, path: &[u8]) -> Result<(), BadTarget> {
    match path {
        _ if path.len() > MAX_PATH => Err(BadTarget::Long),
        b"*" if method == "OPTIONS" => Ok(()),
        b"*" => Err(BadTarget::Asterisk),
        // The http crate would take `#` for the beginning of a fragment, and drop the rest.
        [b'/', ..] if path.contains(&b'#') => Err(BadTarget::Byte),
        [b'/', ..] => Ok(()),
        _ => Err(BadTarget::Form),
    }
}

/// Parses the authority of a request: a host with or without a port. The colon before an empty port is removed.
///
/// # Errors
///
/// The text is no host and port, or has userinfo.
pub fn authority(text: &[u8]) -> Result<&str, BadTarget> {
    let text = std::str::from_utf8(text).map_err(|_| BadTarget::Host)?;
    let text = text.strip_suffix(':').unwrap_or(text);
    let (host, port) = match text.strip_prefix('[') {
        Some(inside) => {
            let (address, rest) = inside.split_once(']').ok_or(BadTarget::Host)?;
            address.parse::<Ipv6Addr>().map_err(|_| BadTarget::Host)?;
            match rest.strip_prefix(':') {
                Some(port) => (address, Some(port)),
                None if rest.is_empty() => (address, None),
                None => return Err(BadTarget::Host),
            }
        }
        None => {
            let (host, port) = text
                .split_once(':')
                .map_or((text, None), |(host, port)| (host, Some(port)));
            if !host.bytes().all(is_of_host) {
                return Err(BadTarget::Host);
            }
            (host, port)
        }
    };
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if host.is_empty() || !port.is_none_or(is_port) {
        return Err(BadTarget::Host);
    }
    Ok(text)
}

/// Returns whether a byte may be in a host name or IPv4 address. RFC 3986 also allows `%` and delimiters, but no host
/// of the web has them, and servers that decode or split at them would see another host.
const fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Splits a target in absolute-form into its authority, and its path and query.
fn absolute(target: &str) -> Result<(&str, Cow<'_, str>), BadTarget> {
    let (scheme, rest) = target.split_once("://").ok_or(BadTarget::Form)?;
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err(BadTarget::Form);
    }
    let (host, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
    let host = authority(host.as_bytes()).map_err(|_| BadTarget::Form)?;
    let path = if path.starts_with('?') {
        Cow::Owned(format!("/{path}"))
    } else {
        Cow::Borrowed(path)
    };
    Ok((host, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(target: &str) -> Result<(Option<&str>, String), BadTarget> {
        of("GET", target, &["a.example"])
    }

    fn of<'r>(method: &str, target: &'r str, hosts: &[&'r str]) -> Result<(Option<&'r str>, String), BadTarget> {
        let hosts: Vec<&[u8]> = hosts.iter().map(|host| host.as_bytes()).collect();
        let target = RequestTarget::of_http1(method, target, &hosts, false)?;
        Ok((target.authority, target.path.into_owned()))
    }

    #[test]
    fn absolute_form_becomes_origin_form() {
        let good = [
            ("/", "/"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("//a//b", "//a//b"),
            ("/a:b@c", "/a:b@c"),
            ("/http://x/", "/http://x/"),
            ("/é", "/é"),
            ("http://a.example/x?y", "/x?y"),
            ("HTTPS://a.example/x", "/x"),
            ("http://a.example", "/"),
            ("http://a.example?q", "/?q"),
            ("http://a.example:/x", "/x"),
        ];
        for (target, path) in good {
            assert_eq!(get(target), Ok((Some("a.example"), path.to_owned())), "{target}");
        }
    }

    #[test]
    fn other_targets_are_refused() {
        let bad = [
            ("", BadTarget::Form),
            ("evil.js", BadTarget::Form),
            ("@evil/x", BadTarget::Form),
            ("admin", BadTarget::Form),
            ("a.example:80", BadTarget::Form),
            ("?q", BadTarget::Form),
            ("\\x", BadTarget::Form),
            ("http:/a.example/x", BadTarget::Form),
            ("http:a.example/x", BadTarget::Form),
            ("http:///x", BadTarget::Form),
            ("http://", BadTarget::Form),
            ("ftp://a.example/x", BadTarget::Form),
            ("http://u@a.example/x", BadTarget::Form),
            ("http://a.example:99999/x", BadTarget::Form),
            ("http://a.example\\@b/x", BadTarget::Form),
            ("http://a.example.b/x", BadTarget::Conflict),
            ("http://b.example/x", BadTarget::Conflict),
            ("http://a.example:80/x", BadTarget::Conflict),
            ("http://a.example#f", BadTarget::Form),
            ("http://a.example/#f", BadTarget::Byte),
            ("*", BadTarget::Asterisk),
            ("*x", BadTarget::Form),
            ("/a#b", BadTarget::Byte),
            ("/a b", BadTarget::Byte),
            ("/a\tb", BadTarget::Byte),
            ("/a\u{7f}b", BadTarget::Byte),
            ("/a\0b", BadTarget::Byte),
        ];
        for (target, why) in bad {
            assert_eq!(get(target), Err(why), "{target:?}");
        }
    }

    #[test]
    fn a_path_has_a_limit() {
        let of_length = |length: usize| format!("/{}", "a".repeat(length - 1));
        let (most, more) = (of_length(MAX_PATH), of_length(MAX_PATH + 1));
        assert_eq!(get(&most).map(|(_, path)| path), Ok(most));
        assert_eq!(get(&format!("http://a.example{more}")), Err(BadTarget::Long));
        assert_eq!(get(&more), Err(BadTarget::Long));
        assert_eq!(BadTarget::Long.status(), 414);
        assert_eq!(BadTarget::Form.status(), 400);
    }

    #[test]
    fn only_options_may_have_an_asterisk() {
        for target in ["*", "http://a.example"] {
            assert_eq!(
                of("OPTIONS", target, &["a.example"]),
                Ok((Some("a.example"), "*".into()))
            );
        }
        assert_eq!(of("OPTIONS", "/", &["a.example"]), Ok((Some("a.example"), "/".into())));
    }

    #[test]
    fn connect_must_have_an_authority() {
        assert_eq!(of("CONNECT", "a:443", &["a:443"]), Ok((Some("a:443"), "a:443".into())));
        assert_eq!(of("CONNECT", "a:443", &["b:443"]), Err(BadTarget::Conflict));
        assert_eq!(of("CONNECT", "/x", &["a"]), Err(BadTarget::Form));
    }

    #[test]
    fn host_is_required_exactly_once() {
        assert_eq!(of("GET", "/", &[]), Err(BadTarget::NoHost));
        assert_eq!(of("GET", "http://a/", &[]), Err(BadTarget::NoHost));
        assert_eq!(of("GET", "/", &["a", "a"]), Err(BadTarget::ManyHosts));
        let old = RequestTarget::of_http1("GET", "/", &[], true).expect("HTTP/1.0 needs none");
        assert_eq!(old.authority, None);
    }

    #[test]
    fn an_authority_is_a_host_with_an_optional_port() {
        for (text, read) in [
            ("a", "a"),
            ("a.example.", "a.example."),
            ("A_b-c~d.example:8080", "A_b-c~d.example:8080"),
            ("127.0.0.1:1", "127.0.0.1:1"),
            ("[::1]", "[::1]"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("a:", "a"),
            ("a:65535", "a:65535"),
        ] {
            assert_eq!(authority(text.as_bytes()), Ok(read), "{text}");
        }
        for text in [
            "",
            ":",
            ":80",
            "[]",
            "[::1",
            "::1",
            "[::1]x",
            "[::1]:x",
            "[a]",
            "[::1%25eth0]",
            "a:99999",
            "a:65536",
            "a:x",
            "a:+1",
            "a:1:2",
            "a::",
            "u@a",
            "u:p@a",
            "a b",
            " a",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "a%22b",
            "a\\b",
            "a\"b",
            "<a>",
            "é",
            "a\tb",
            "a\0",
            "a;b",
            "a=b",
            "a&b",
            "a!b",
            "{a}",
        ] {
            assert_eq!(authority(text.as_bytes()), Err(BadTarget::Host), "{text:?}");
        }
        assert_eq!(authority(b"\xff"), Err(BadTarget::Host));
    }
}
