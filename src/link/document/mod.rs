//! Holds the document's own URL, and resolves the targets of its links against it.
//!
//! Targets are resolved by the WHATWG URL standard, as clients do: the pushed URL must equal, byte for byte, the URL
//! that the client would request. The standard gives the results of RFC 3986, section 5.4, and normalises more:
//! `%2e%2e` is a dot segment, the host is put in lower case, `'` in a query is percent-encoded. A target that the
//! standard and the RFC read differently (backslash, `///host`, `https:path`) is refused.

#[cfg(test)]
mod tests;

use std::{net::Ipv4Addr, sync::OnceLock};

use thiserror::Error;
use url::{ParseError, Url};

use super::target::{MAX_TARGET, Target, TargetError};

/// The effective request URI of a document (RFC 9110, section 7.1).
#[derive(Debug, Clone)]
pub struct Document {
    authority: Box<str>,
    own: Target,
    /// The document's own URL, parsed at the first target that needs a base.
    base: OnceLock<Url>,
}

impl Document {
    /// Makes the document from a request's `:scheme`, `:authority` and `:path`.
    ///
    /// # Errors
    ///
    /// The three do not make an `http` or `https` URL without userinfo and fragment.
    pub fn new(scheme: &str, authority: &str, path_and_query: &str) -> Result<Self, DocumentError> {
        if !is_web(scheme) {
            return Err(DocumentError::Scheme);
        }
        let is_delimiter = |b: u8| !b.is_ascii_graphic() || matches!(b, b'/' | b'?' | b'#' | b'@' | b'\\');
        if authority.is_empty() || authority.bytes().any(is_delimiter) {
            return Err(DocumentError::Authority);
        }
        // The URL parser would remove a tab or line break, and turn a backslash into a slash.
        let is_refused = |b: u8| b.is_ascii_control() || matches!(b, b' ' | b'#' | b'\\');
        if !path_and_query.starts_with('/') || path_and_query.bytes().any(is_refused) {
            return Err(DocumentError::Path);
        }
        let own = if let Some(own) = plain(scheme, authority, path_and_query) {
            own
        } else {
            let url = Url::parse(&[scheme, "://", authority, path_and_query].concat()).map_err(DocumentError::Url)?;
            Target::from_url(url)
        };
        check_bytes(own.host().as_bytes()).map_err(|_| DocumentError::Authority)?;
        Ok(Self {
            authority: authority.into(),
            own,
            base: OnceLock::new(),
        })
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.own.scheme()
    }

    /// The authority as the client wrote it; promises for the same origin repeat it.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The document's own URL, normalised like any target.
    #[must_use]
    pub fn own(&self) -> &Target {
        &self.own
    }

    /// Resolves the target of a link. An empty target and a mere fragment name the document: see
    /// [`is_itself`](Self::is_itself). The target must have no white space at its ends: `parse` trims it.
    ///
    /// # Errors
    ///
    /// The target, or the URL that it resolves to, is refused: see [`TargetError`].
    pub fn resolve(&self, target: &[u8]) -> Result<Target, TargetError> {
        let text = check(target)?;
        match plain_path(text) {
            Some(path) => Ok(self.own.with_path(path)),
            None => self.resolve_any(text),
        }
    }

    /// Returns whether a target has the document's origin: scheme, host and effective port (RFC 6454).
    #[must_use]
    pub fn is_same_origin(&self, target: &Target) -> bool {
        self.own.scheme() == target.scheme() && self.own.host() == target.host() && self.own.port() == target.port()
    }

    /// Returns whether a target is the document.
    #[must_use]
    pub fn is_itself(&self, target: &Target) -> bool {
        self.own == *target
    }

    /// Returns whether a link with this `anchor` is about the document as a whole (RFC 8288, section 3.2): true for an
    /// empty anchor, false for a fragment of the document and for an anchor that cannot be resolved.
    #[must_use]
    pub fn anchors_here(&self, anchor: &[u8]) -> bool {
        anchor.is_empty() || !anchor.contains(&b'#') && self.resolve(anchor).is_ok_and(|target| self.is_itself(&target))
    }

    fn resolve_any(&self, text: &str) -> Result<Target, TargetError> {
        let base = if let Some(base) = self.base.get() {
            base
        } else {
            let parsed = Url::parse(self.own.url()).map_err(TargetError::Url)?;
            self.base.get_or_init(|| parsed)
        };
        let target = base.join(text).map(Target::from_url).map_err(TargetError::Url)?;
        // The parser decodes the host, so `//%22a/` contains a refused byte only now. A relative target inherits the
        // document's path, which was not checked before.
        check_bytes(target.host().as_bytes())?;
        check_bytes(target.path_and_query().as_bytes())?;
        Ok(target)
    }
}

/// Why a request has no document URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DocumentError {
    /// The scheme is neither `http` nor `https`.
    #[error("scheme is neither http nor https")]
    Scheme,
    /// The authority is empty, or has userinfo or bytes that end an authority.
    #[error("authority is not a host with an optional port")]
    Authority,
    /// The path does not begin with `/`, or has a fragment, backslash, space or control.
    #[error("path is not an absolute path with an optional query")]
    Path,
    /// Scheme, authority and path do not make a URL.
    #[error("not a url")]
    Url(#[source] ParseError),
}

/// Checks a target before it is resolved: URL bytes only, and no form that clients read in different ways.
fn check(target: &[u8]) -> Result<&str, TargetError> {
    check_bytes(target)?;
    let text = str::from_utf8(target).map_err(|_| TargetError::Byte { byte: 0x80 })?;
    let hierarchical = match split_scheme(text) {
        Some((scheme, rest)) => {
            if !is_web(scheme) {
                let scheme = scheme.to_ascii_lowercase().into();
                return Err(TargetError::Scheme { scheme });
            }
            if !rest.starts_with("//") {
                return Err(TargetError::NoAuthority);
            }
            rest
        }
        None => text,
    };
    if let Some(rest) = hierarchical.strip_prefix("//") {
        if rest.starts_with('/') {
            return Err(TargetError::EmptyAuthority);
        }
        let authority = rest.split(['/', '?', '#']).next();
        if authority.is_some_and(|authority| authority.contains('@')) {
            return Err(TargetError::Userinfo);
        }
    }
    Ok(text)
}

fn check_bytes(text: &[u8]) -> Result<(), TargetError> {
    if text.len() > MAX_TARGET {
        return Err(TargetError::TooLong { length: text.len() });
    }
    if let Some(&byte) = text.iter().find(|b| !is_url_byte(**b)) {
        return Err(TargetError::Byte { byte });
    }
    for escape in text.split(|&b| b == b'%').skip(1) {
        let digits = escape
            .first_chunk::<2>()
            .map(|pair| pair.map(|b| char::from(b).to_digit(16)));
        match digits {
            Some([Some(0), Some(low @ (0 | 0xa | 0xd))]) => {
                let byte = u8::try_from(low).unwrap_or_default();
                return Err(TargetError::EscapedControl { byte });
            }
            Some([Some(_), Some(_)]) => {}
            _ => return Err(TargetError::Escape),
        }
    }
    Ok(())
}

/// Returns whether a byte is of RFC 3986 (unreserved, reserved, `%`), or `|`, which URLs in use have and clients send
/// unencoded.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'}')
}

/// Splits an absolute URL into its scheme and the text behind the colon (RFC 3986, section 3.1).
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

fn is_web(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// Returns path and query of a checked target that resolution would not change: an absolute path without dot segments.
/// Most preload links have such a target, which then costs one allocation instead of a parse.
fn plain_path(text: &str) -> Option<&str> {
    let path_and_query = text.split('#').next()?;
    let path = path_and_query.split('?').next()?;
    // `/.well-known` is no dot segment, but too rare to be worth a test. `'` would be percent-encoded in a query.
    let has_dots = path.as_bytes().windows(2).any(|pair| matches!(pair, b"/." | b"/%"));
    let is_plain = path.starts_with('/') && !path.starts_with("//") && !has_dots && !path_and_query.contains('\'');
    is_plain.then_some(path_and_query)
}

/// Returns the target of a URL that a parse would not change, as most requests have; `None` for any other.
fn plain(scheme: &str, authority: &str, path_and_query: &str) -> Option<Target> {
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let (host, port) = authority
        .split_once(':')
        .map_or((authority, None), |(host, port)| (host, Some(port)));
    let port = match port {
        None => default_port,
        Some(port) if port.starts_with(|first: char| matches!(first, '1'..='9')) => {
            port.parse().ok().filter(|&port| port != default_port)?
        }
        Some(_) => return None,
    };
    let is_plain = is_plain_host(host)
        && path_and_query.bytes().all(is_url_byte)
        && plain_path(path_and_query).is_some_and(|plain| plain.len() == path_and_query.len());
    is_plain.then(|| Target::from_parts((scheme, authority, path_and_query), host.len(), port))
}

/// Returns whether a host is a name in lower case without internationalised labels, or an IPv4 address in its usual
/// form. A last label that begins with a digit may be a number, which makes the host an address.
fn is_plain_host(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_name = || {
        host.bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
            && !host.contains("xn--")
    };
    match last.bytes().next() {
        None => false,
        Some(b'0'..=b'9') => host.parse::<Ipv4Addr>().is_ok(),
        Some(_) => is_name(),
    }
}
