//! Between the HTTP/2 server and what stores responses: neither knows the other.
//!
//! The server asks a [`ResponseSource`] before the application, for requests and promises alike, and sends a
//! [`StoredResponse`] from its own task. An [`OnSent`] hears what became of it.

mod date;
mod page;

pub use date::{DateIsOrigins, PLACEHOLDER_DATE};
pub use page::error_page;

use http::{Response, request::Parts};

use crate::{cache::Body, peer, push::PushedBy};

/// Has responses that need no application.
pub trait ResponseSource: Send + Sync {
    /// Returns the response to a request that came on this connection, or to a promise of one of its streams; `None`
    /// where the application is to be asked.
    fn find(
        &self,
        request: &Parts,
        connection: &peer::ClientConnection,
        pushed_by: Option<PushedBy>,
    ) -> Option<StoredResponse>;
}

/// A response that is in memory as a whole.
pub struct StoredResponse {
    /// Its status and fields, none of which belongs to one connection.
    pub head: Response<()>,
    /// Its content; empty where it has none, as for HEAD.
    pub body: Body,
    /// Hears of its end.
    pub on_sent: Option<Box<dyn OnSent>>,
}

/// Hears of a response that has come to its end.
pub trait OnSent: Send {
    /// This many bytes of content were sent; `failure` says why not all.
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
