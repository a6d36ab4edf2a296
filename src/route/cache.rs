//! Which answers a route keeps in memory, and how that shows.

use std::time::Duration;

/// Which answers are kept at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Caching {
    /// None, and none that was kept before is used.
    Off,
    /// Those of URLs that a document has linked to with `rel=preload`.
    #[default]
    Assets,
    /// Those of every URL.
    All,
}

/// Whether answers say in `Cache-Status` (RFC 9211) where they come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusField {
    /// They do not.
    #[default]
    Off,
    /// They do.
    On,
}

/// Which answers to a request with a cookie are kept for others.
///
/// An application that answers each visitor differently may forget to say `private`; what it says to
/// somebody without a cookie is for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CookieResponses {
    /// Those that say `public` or `s-maxage`.
    #[default]
    Public,
    /// All that may be kept.
    Any,
}

/// The settings of one route, complete with their defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// Which answers are kept.
    pub caching: Caching,
    /// Whether answers say so.
    pub status: StatusField,
    /// Which answers to requests with cookies are kept.
    pub cookies: CookieResponses,
    /// How long a request waits for the answer to another one for the same URL.
    pub wait: Duration,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self {
            caching: Caching::Assets,
            status: StatusField::Off,
            cookies: CookieResponses::Public,
            wait: Duration::from_secs(5),
        }
    }
}
