//! Holds a route's settings of the cache: which responses it stores, and whether responses tell of it.

use std::time::Duration;

/// The URLs whose responses are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Caching {
    /// No URL; responses stored before are not used either.
    Off,
    /// URLs that a document has linked to with `rel=preload`.
    #[default]
    Assets,
    /// Every URL.
    All,
}

/// Whether responses get a `Cache-Status` field (RFC 9211), which tells whether they come from the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatusField {
    /// Responses get no field.
    #[default]
    Off,
    /// Responses get the field.
    On,
}

/// Which responses to requests with a cookie are stored.
///
/// An application may send each visitor another response and forget `private`. A response to a request without a cookie
/// is the same for all visitors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CookieResponses {
    /// Responses with `public` or `s-maxage`.
    #[default]
    Public,
    /// All storable responses.
    Any,
}

/// The cache settings of one route, defaults filled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePolicy {
    /// The URLs whose responses are stored.
    pub caching: Caching,
    /// Whether responses get `Cache-Status`.
    pub status: StatusField,
    /// Which responses to requests with a cookie are stored.
    pub cookies: CookieResponses,
    /// Time for which a request waits for the response to another request for the same URL.
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
