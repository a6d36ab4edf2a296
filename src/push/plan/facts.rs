//! Holds everything but the links that a plan depends on.

use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::{
    link::Target,
    push::{csp::Csp, diary::Diary},
};

/// Facts about an HTTP/2 client at the moment of planning.
#[derive(Debug, Clone, Copy)]
pub struct Http2Facts<'a> {
    /// Whether the client takes pushes: it did not disable push and sent no GOAWAY.
    pub accepts_push: bool,
    /// The client's SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_concurrent_streams: usize,
    /// Promises on this connection that are reserved or not finished.
    pub open_promises: usize,
    /// Promised streams that the client reset on this connection.
    pub refusals: u32,
    /// The URLs that the client was pushed or fetched itself.
    pub diary: &'a Diary,
}

/// Everything but the links that a plan depends on.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    /// The document's method.
    pub method: &'a Method,
    /// The document's final status; `None` before the final response.
    pub status: Option<StatusCode>,
    /// The document's request fields.
    pub request: &'a HeaderMap,
    /// Whether the document is itself a pushed response.
    pub pushed_parent: bool,
    /// Number of promises in earlier plans for this document.
    pub promised: usize,
    /// Number of links in earlier 103s for this document.
    pub hinted: usize,
    /// Links in earlier 103s for this document, linkpush's own and the origin's: no later 103 repeats them.
    pub told: &'a [HeaderValue],
    /// Whether the visitor revalidates its stored copy of the document, and the route does not push learned links to
    /// such visitors.
    pub returning: bool,
    /// The HTTP/2 client; `None` for HTTP/1.x.
    pub http2: Option<Http2Facts<'a>>,
    /// Whether a URL is in [`Unpushable`](crate::push::Unpushable).
    pub is_bad: &'a dyn Fn(&Target) -> bool,
    /// Whether a URL is in [`NotReusable`](crate::push::NotReusable).
    pub is_not_reusable: &'a dyn Fn(&Target) -> bool,
    /// The Content-Security-Policy of the document's previous response.
    pub csp: Option<&'a Csp>,
}

impl std::fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts")
            .field("method", self.method)
            .field("status", &self.status)
            .field("pushed_parent", &self.pushed_parent)
            .field("http2", &self.http2)
            .finish_non_exhaustive()
    }
}
