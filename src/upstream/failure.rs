//! Words the reason of a failure at a server, for logs: [`reason`].

use std::borrow::Cow;

use pingora::{Error, ErrorType};

use crate::peer::ResponseLimit;

/// Returns the reason of an error of Pingora's. Its context is left out where the type says as much.
#[must_use]
pub fn reason(error: &Error) -> Cow<'static, str> {
    match error.etype() {
        ErrorType::ConnectTimedout => "connect timed out".into(),
        ErrorType::ConnectRefused => "connection refused".into(),
        ErrorType::ConnectNoRoute => "no route".into(),
        // Only the context tells which certificate is wrong, and why.
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => match &error.context {
            Some(context) => {
                let context = context.as_str();
                let cause = context.rsplit_once("cause: ").map_or(context, |(_, cause)| cause);
                format!("TLS failed: {cause}").into()
            }
            None => "TLS failed".into(),
        },
        ErrorType::TLSHandshakeTimedout => "TLS timed out".into(),
        ErrorType::InvalidHTTPHeader => "not a valid HTTP/1.1 answer".into(),
        ErrorType::ReadTimedout => "silent for read_timeout".into(),
        ErrorType::WriteTimedout => "took no bytes for write_timeout".into(),
        ErrorType::ConnectionClosed => "connection closed".into(),
        ErrorType::ReadError => "connection lost while reading".into(),
        ErrorType::WriteError => "connection lost while writing".into(),
        ErrorType::Custom(ResponseLimit::PASSED) => "no answer within first_byte_timeout".into(),
        ErrorType::HTTPStatus(status) => format!("its status is {status}").into(),
        other => other.as_str().to_owned().into(),
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
