//! Counts what becomes of the links of documents: promises, hints, skips, and what clients make of them.

use super::{NotPushable, SkipReason, Skips, Source};
use crate::meter::{Counter, Counters, labels};

labels! {
    /// Why a promise is not fulfilled.
    pub enum PushCancel {
        /// The client reset the stream.
        Client = "client",
        /// The connection ended.
        Connection = "connection",
        /// No route serves the URL.
        NoRoute = "no_route",
        /// The origin failed, or no server could be asked.
        Failed = "failed",
        /// The response is a redirect or an error.
        Status = "status",
        /// The response has `Cache-Control: no-store`.
        NoStore = "no_store",
        /// The response has `Cache-Control: private`.
        Private = "private",
        /// The response has `Set-Cookie`.
        SetCookie = "set_cookie",
        /// The response varies by what the promised request has not.
        Vary = "vary",
    }
}

impl From<NotPushable> for PushCancel {
    fn from(why: NotPushable) -> Self {
        match why {
            NotPushable::Status(_) => Self::Status,
            NotPushable::NoStore => Self::NoStore,
            NotPushable::Private => Self::Private,
            NotPushable::SetCookie => Self::SetCookie,
            NotPushable::Vary => Self::Vary,
        }
    }
}

/// The counters of the documents of one route.
#[derive(Debug, Default)]
pub struct PushMeter {
    /// PUSH_PROMISE frames sent.
    pub promised: Counters<Source>,
    /// Bytes of content sent on promised streams.
    pub pushed_bytes: Counter,
    /// Pushed bytes on streams that the client reset.
    pub wasted_bytes: Counter,
    /// Promises that were not fulfilled.
    pub cancelled: Counters<PushCancel>,
    /// Links sent in a 103, but those that only open a connection.
    pub hinted: Counters<Source>,
    /// Hinted links that their client requested on the same connection.
    pub used: Counters<Source>,
    /// Hinted links that their client did not request, though it requested other parts of a document.
    pub unused: Counters<Source>,
    /// Links neither promised nor hinted.
    pub skipped: Counters<SkipReason>,
}

impl PushMeter {
    /// Counts the links that were skipped for one document.
    pub fn count_skips(&self, skips: &Skips) {
        if skips.is_empty() {
            // As for most requests.
            return;
        }
        for (reason, number) in skips.iter() {
            self.skipped.add(reason, number.into());
        }
    }

    /// Counts the end of a promised stream on which this many bytes of content were sent.
    pub(super) fn count_end(&self, sent: usize, cancel: Option<PushCancel>) {
        self.pushed_bytes.add_size(sent);
        if cancel == Some(PushCancel::Client) {
            self.wasted_bytes.add_size(sent);
        }
        if let Some(cancel) = cancel {
            self.cancelled.increment(cancel);
        }
    }
}
