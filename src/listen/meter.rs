//! Counts connections of clients: [`ListenMeter`].

use crate::meter::{Counters, labels};

labels! {
    /// The protocol with which a connection begins.
    pub(crate) enum ConnectionProtocol {
        /// HTTP/1.x.
        Http1 = "http/1",
        /// HTTP/2.
        Http2 = "h2",
    }
}

labels! {
    /// Why a connection is closed before its first request.
    pub(crate) enum ConnectionRefusal {
        /// Its local address is no listener's.
        NoListener = "no_listener",
        /// A PROXY header is required, and the sender is not trusted.
        Untrusted = "untrusted",
        /// A PROXY header is required, and is missing or malformed.
        ProxyHeader = "proxy_header",
        /// It begins with another protocol than the listener's, or with a PROXY header where none is expected.
        Unexpected = "unexpected",
        /// The process has too many open connections.
        Full = "full",
        /// The client has too many open connections.
        TooMany = "too_many",
        /// The TLS handshake failed.
        Tls = "tls",
        /// The client left, or the connection was lost.
        Ended = "ended",
        /// `handshake_timeout` has passed.
        Timeout = "timeout",
    }
}

labels! {
    /// The result of a TLS handshake.
    pub(crate) enum TlsResult {
        /// The connection is secured.
        Done = "ok",
        /// Client and server do not agree, or the client left.
        Failed = "failed",
    }
}

labels! {
    /// Why an HTTP/1.x request is refused before its route is looked up.
    pub(crate) enum Http1Fault {
        /// The bytes are no request head.
        Syntax = "syntax",
        /// The target or the authority is invalid or ambiguous.
        Target = "bad_target",
        /// Content-Length is no length, or says two.
        ContentLength = "content_length",
        /// Transfer-Encoding is not one `chunked`, or contradicts something.
        TransferEncoding = "transfer_encoding",
        /// A transfer coding other than `chunked`.
        Coding = "coding",
        /// The head has too many fields, or bytes.
        TooLarge = "header_too_large",
    }
}

/// The counters of connections.
#[derive(Debug, Default)]
pub(crate) struct ListenMeter {
    /// Connections that are served.
    pub accepted: Counters<ConnectionProtocol>,
    /// Connections that are not.
    pub refused: Counters<ConnectionRefusal>,
    /// TLS handshakes.
    pub tls: Counters<TlsResult>,
    /// Requests of HTTP/1.x that are refused.
    pub http1_faults: Counters<Http1Fault>,
}
