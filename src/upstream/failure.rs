//! Tells the kinds of failures at a server apart, for metrics: [`OriginFailure`]; and words their reasons, for logs:
//! [`reason`].

use std::borrow::Cow;

use pingora::{Error, ErrorType};

use crate::{meter::labels, peer::ResponseLimit};

labels! {
    /// The kind of a failure at a server.
    pub enum OriginFailure {
        /// No connection within `connect_timeout`.
        ConnectTimeout = "connect_timeout",
        /// The server refused the connection.
        Refused = "connection_refused",
        /// No way leads to the server.
        NoRoute = "no_route",
        /// The TLS handshake failed, or the certificate is not valid.
        Tls = "tls",
        /// The TLS handshake took longer than `connect_timeout`.
        TlsTimeout = "tls_timeout",
        /// The response is not valid HTTP/1.1, or its end is not clear.
        BadResponse = "bad_response",
        /// No byte came for `read_timeout`.
        ReadTimeout = "read_timeout",
        /// The server took no byte for `write_timeout`.
        WriteTimeout = "write_timeout",
        /// The server closed the connection.
        Closed = "closed",
        /// The connection was lost while it was read.
        Read = "read",
        /// The connection was lost while it was written.
        Write = "write",
        /// No response within `first_byte_timeout`.
        FirstByteTimeout = "first_byte_timeout",
        /// No server could be asked.
        NoServer = "no_server",
        /// Anything else.
        Other = "other",
    }
}

impl OriginFailure {
    /// Returns the kind of an error of Pingora's.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        match error.etype() {
            ErrorType::ConnectTimedout => Self::ConnectTimeout,
            ErrorType::ConnectRefused => Self::Refused,
            ErrorType::ConnectNoRoute => Self::NoRoute,
            ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => Self::Tls,
            ErrorType::TLSHandshakeTimedout => Self::TlsTimeout,
            ErrorType::InvalidHTTPHeader => Self::BadResponse,
            ErrorType::ReadTimedout => Self::ReadTimeout,
            ErrorType::WriteTimedout => Self::WriteTimeout,
            ErrorType::ConnectionClosed => Self::Closed,
            ErrorType::ReadError => Self::Read,
            ErrorType::WriteError => Self::Write,
            ErrorType::Custom(ResponseLimit::PASSED) => Self::FirstByteTimeout,
            _ => Self::Other,
        }
    }
}

/// Returns the reason of an error of Pingora's. Its context is left out where the type says as much.
#[must_use]
pub fn reason(error: &Error) -> Cow<'static, str> {
    match OriginFailure::of(error) {
        OriginFailure::ConnectTimeout => "connect timed out".into(),
        OriginFailure::Refused => "connection refused".into(),
        OriginFailure::NoRoute => "no route".into(),
        // Only the context tells which certificate is wrong, and why.
        OriginFailure::Tls => match &error.context {
            Some(context) => {
                let context = context.as_str();
                let cause = context.rsplit_once("cause: ").map_or(context, |(_, cause)| cause);
                format!("TLS failed: {cause}").into()
            }
            None => "TLS failed".into(),
        },
        OriginFailure::TlsTimeout => "TLS timed out".into(),
        OriginFailure::BadResponse => "not a valid HTTP/1.1 answer".into(),
        OriginFailure::ReadTimeout => "silent for read_timeout".into(),
        OriginFailure::WriteTimeout => "took no bytes for write_timeout".into(),
        OriginFailure::Closed => "connection closed".into(),
        OriginFailure::Read => "connection lost while reading".into(),
        OriginFailure::Write => "connection lost while writing".into(),
        OriginFailure::FirstByteTimeout => "no answer within first_byte_timeout".into(),
        OriginFailure::NoServer | OriginFailure::Other => match error.etype() {
            ErrorType::HTTPStatus(status) => format!("its status is {status}").into(),
            other => other.as_str().to_owned().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_names_the_kind_of_failure_and_the_cause_of_a_failed_handshake() {
        let said = |kind, context: &'static str| reason(&Error::explain(kind, context)).into_owned();
        assert_eq!(said(ErrorType::ConnectRefused, "Fail to connect"), "connection refused");
        assert_eq!(
            said(
                ErrorType::TLSHandshakeFailure,
                "connect() failed: cause: invalid peer certificate: UnknownIssuer"
            ),
            "TLS failed: invalid peer certificate: UnknownIssuer"
        );
        assert_eq!(said(ErrorType::HTTPStatus(503), "a check"), "its status is 503");
        assert_eq!(said(ErrorType::InternalError, "anything"), "InternalError");
    }
}
