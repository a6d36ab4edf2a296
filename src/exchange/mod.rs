//! Defines the types that pass between `listen`, `h2`, `proxy`, `upstream` and `cache`; `h2` and `proxy` do not import
//! each other.
//!
//! `h2` asks a [`ResponseSource`] before the application, for requests and promises alike, and sends a
//! [`StoredResponse`] from its own task. At the end of a response it calls its [`OnSent`]. `date` and `page` serve
//! responses that several modules write.
//!
//! These values, and no others, pass through Pingora beside requests and responses; a new value needs a row here:
//!
//! | value | rides in | put in by | taken out by | when |
//! |---|---|---|---|---|
//! | `Arc<ClientConnection>` | `ProxyDigest::user_data` of the client's connection | `listen/io/client_io.rs`, on accept; `h2/accept/serve.rs`, again with what HTTP/2 knows | `listen/io/client_io.rs`, `h2/accept/serve.rs`; `proxy/pingora/session.rs` | at the beginning of a connection, and of each request |
//! | `ResponseDate` | `ClientConnection::date` | `proxy/pingora/respond.rs`, with each final response to HTTP/1.x | `listen/io/client_io.rs` | when the head of the response is written |
//! | `Arc<OriginExchange>` | `ProxyDigest::user_data` of a connection to an origin | `upstream/transport/paced.rs`, on connect | `proxy/pingora/mod.rs`, by `upstream::exchange` | when an attempt has its connection |
//! | `PushedBy` | extensions of a request | `h2/respond/push.rs`, with each PUSH_PROMISE | `proxy/exchange.rs` | when the promised request begins |
//! | `Arc<Received>` | extensions of a request | `proxy/rules/delivery.rs`, with each promise that is planned for a trusted peer | `proxy/hit.rs`, `proxy/exchange.rs` | when the promised request begins |
//! | `TraceParent` | extensions of a request | `proxy/rules/delivery.rs`, with each promise of a document that is traced | `proxy/hit.rs`, `proxy/exchange.rs` | when the promised request begins |
//! | `ResponseLimit` | extensions of a request | `proxy/pingora/origin.rs`, when the request is sent to an origin | `h2/respond/session.rs` | while the response is awaited |
//! | `ResponseLimit::PASSED` | `ErrorType::Custom` | `h2/respond/session.rs`, when that limit has passed; `proxy/pingora/error.rs` | `proxy/pingora/error.rs`, `upstream/failure.rs` | when the attempt fails |
//! | `Plan` | extensions of a response | `proxy/pingora/respond.rs`, before the response of a document, or with an interim one | `h2/respond/session.rs` | when the response is written |
//! | `DateIsOrigins` | extensions of a response | `proxy/pingora/respond.rs`, where the date could be taken for Pingora's own | `h2/respond/session.rs` | when the response is written |
//! | `Scheme` | field `x-linkpush-scheme` | `h2/respond/session.rs`, in the copy of a request that renews a stored response | `proxy/pingora/session.rs` | when that request begins |
//! | `Pace` | task-local `PACE` | `upstream/transport/pace.rs`, round each request of HTTP/2 | `upstream/transport/pace.rs`, for `h2/respond`, `proxy/pingora` and `upstream/transport/paced.rs` | from the beginning of a request to its end |
//! | `Trail` | extensions of a `CacheKey` | `cache/store/trail.rs`, with the key of each request in which the cache has a part | `cache/store/trail.rs`, for all of `cache` | at each question of Pingora's cache |
//! | name of an upstream | `CacheKey::user_tag` | `cache/store/trail.rs`, with the key | `cache/store/storage.rs`, `cache/store/lock.rs` | at each look-up |
//! | `FillSource` | extensions of a `CacheMeta` | `proxy/rules/cache/storing.rs`, when a response is to be stored | `cache/store/storage.rs` | when its content begins |
//! | `FoundObject` | extensions of a `CacheMeta` | `cache/store/storage.rs`, with a stored response that is found | `cache/store/storage.rs` | after a 304 |
//! | `Revalidating` | extensions of a `CacheMeta` | `cache/store/trail.rs`, after a 304 | `cache/store/storage.rs` | when the stored response is updated |
//! | `SCRATCH` | a thread's buffer of log lines, `telemetry/log/line.rs` | `telemetry/log/line.rs` | `telemetry/log/line.rs` | from one line to the next; it has nothing of a request |

mod date;
mod page;

pub use date::{DateIsOrigins, PLACEHOLDER_DATE};
pub use page::error_page;

use http::{Response, request::Parts};

use crate::{cache::Body, peer, push::PushedBy};

/// A source of responses that need no application.
pub trait ResponseSource: Send + Sync {
    /// Returns the response to a request of this connection, or to a promise of one of its streams; `None` if the
    /// application must respond.
    fn find(
        &self,
        request: &Parts,
        connection: &peer::ClientConnection,
        pushed_by: Option<PushedBy>,
    ) -> Option<StoredResponse>;
}

/// A stored response that is complete.
pub struct StoredResponse {
    /// Status and fields, without connection-specific fields (RFC 9110 section 7.6.1).
    pub head: Response<()>,
    /// Content; empty if there is none, as for HEAD.
    pub body: Body,
    /// The callback for the end of the response.
    pub on_sent: Option<Box<dyn OnSent>>,
}

/// A callback for the end of a response.
pub trait OnSent: Send {
    /// Takes the number of content bytes that were sent; `failure` says why these are not all.
    fn sent(self: Box<Self>, bytes: usize, failure: Option<&str>);
}

impl std::fmt::Debug for StoredResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredResponse")
            .field("head", &self.head)
            .field("length", &self.body.len())
            .finish_non_exhaustive()
    }
}
