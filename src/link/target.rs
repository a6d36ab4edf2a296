//! Holds a resolved URL, and names the reasons why a target is refused before or after it is resolved.

use thiserror::Error;
use url::{ParseError, Position, Url};

/// Longest target, and longest path with query of a resolved target, in bytes. Other servers allow 1 KB to 40 KB; URLs
/// of real assets are far shorter.
pub const MAX_TARGET: usize = 4096;

/// The absolute `http` or `https` URL that a target resolved to: no fragment, no userinfo, no dot segments, printable
/// ASCII only.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    url: String,
    host_at: usize,
    host_end: usize,
    path_at: usize,
    port: u16,
}

impl Target {
    /// The whole URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.part(0, self.host_at.saturating_sub("://".len()))
    }

    /// Host in lower case, with the port if it is not the scheme's default.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.part(self.host_at, self.path_at)
    }

    /// Host in lower case; an IPv6 address keeps its brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.part(self.host_at, self.host_end)
    }

    /// The URL's port, or the scheme's default.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Path, which begins with `/`, and query: the `:path` of a request for this URL.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.part(self.path_at, self.url.len())
    }

    /// Makes a target from a parsed URL, whose userinfo the caller must have refused.
    pub(super) fn from_url(mut url: Url) -> Self {
        url.set_fragment(None);
        let host_at = url.scheme().len() + "://".len();
        Self {
            host_at,
            host_end: host_at + url.host_str().map_or(0, str::len),
            path_at: url[..Position::BeforePath].len(),
            port: url.port_or_known_default().unwrap_or(0),
            url: url.into(),
        }
    }

    /// Makes a target from scheme, authority, path and query that a parse would not change.
    pub(super) fn from_parts((scheme, authority, path_and_query): (&str, &str, &str), host: usize, port: u16) -> Self {
        let url = [scheme, "://", authority, path_and_query].concat();
        let host_at = scheme.len() + "://".len();
        Self {
            host_at,
            host_end: host_at + host,
            path_at: host_at + authority.len(),
            port,
            url,
        }
    }

    /// Returns a target with this scheme and authority and another path and query.
    pub(super) fn with_path(&self, path_and_query: &str) -> Self {
        let origin = self.part(0, self.path_at);
        Self {
            url: [origin, path_and_query].concat(),
            ..*self
        }
    }

    fn part(&self, start: usize, end: usize) -> &str {
        self.url.get(start..end).unwrap_or_default()
    }
}

/// Why a target is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TargetError {
    /// The target, or the path with query that it resolves to, is longer than [`MAX_TARGET`].
    #[error("{length} bytes long, more than {MAX_TARGET}")]
    TooLong {
        /// Length in bytes.
        length: usize,
    },
    /// A byte that belongs in no URL: backslash, space, control, non-ASCII, one of ``"<>^`{}``. The byte may stand in
    /// the document's path, which a relative target inherits, or in the percent-decoded host.
    #[error("byte 0x{byte:02x} belongs in no url")]
    Byte {
        /// The byte.
        byte: u8,
    },
    /// A `%` that two hexadecimal digits do not follow, in the target or in the document's path that it inherits.
    #[error("`%` without two hexadecimal digits")]
    Escape,
    /// `%00`, `%0A` or `%0D`: decoding them ends a string or a line too early.
    #[error("percent-encoded byte 0x{byte:02x}")]
    EscapedControl {
        /// The decoded byte.
        byte: u8,
    },
    /// A scheme other than `http` and `https`.
    #[error("scheme {scheme}")]
    Scheme {
        /// The scheme in lower case.
        scheme: Box<str>,
    },
    /// `https:main.css`: browsers resolve it as relative on a page of that scheme, RFC 3986 does not allow it.
    #[error("scheme without `//`")]
    NoAuthority,
    /// `///host/path`: browsers read `host` as the host, RFC 3986 reads an empty authority.
    #[error("more than two slashes before the host")]
    EmptyAuthority,
    /// A user name or password, even an empty one, before the host.
    #[error("userinfo")]
    Userinfo,
    /// The target cannot be resolved against the document's URL.
    #[error("not a url")]
    Url(#[source] ParseError),
}
