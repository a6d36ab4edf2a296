//! Makes Pingora's errors of refusals, and failures of Pingora's errors: the one border between the two.

use http::StatusCode;
use pingora::{BError, Error, ErrorSource, ErrorType};

use crate::{
    peer::ResponseLimit,
    proxy::rules::failure::{FailureKind, FailureSide, RequestFailure, RuleRefusal},
};

/// The names by which Pingora knows our own errors.
const NOT_PUSHABLE: &str = "NotPushable";
const NOBODY_READS: &str = "NobodyReads";
const NOT_VALIDATED: &str = "NotValidated";

impl From<RuleRefusal> for BError {
    fn from(refusal: RuleRefusal) -> Self {
        match refusal {
            RuleRefusal::NotPushable => Error::new(ErrorType::Custom(NOT_PUSHABLE)),
            RuleRefusal::NobodyReads => Error::explain(ErrorType::Custom(NOBODY_READS), refusal.to_string()),
            RuleRefusal::NotValidated(_) => {
                Error::explain(ErrorType::Custom(NOT_VALIDATED), refusal.to_string()).into_up()
            }
            RuleRefusal::Framing(_) | RuleRefusal::UnclearNotModified => {
                Error::explain(ErrorType::InvalidHTTPHeader, refusal.to_string()).into_up()
            }
            RuleRefusal::NoServer(_) => Error::new(ErrorType::HTTPStatus(StatusCode::SERVICE_UNAVAILABLE.as_u16())),
            RuleRefusal::NoPool => Error::explain(ErrorType::InternalError, refusal.to_string()),
        }
    }
}

/// Returns what rules know of an error.
pub(super) fn failure(error: &Error) -> RequestFailure {
    RequestFailure {
        side: match error.esource() {
            ErrorSource::Downstream => FailureSide::Client,
            ErrorSource::Upstream => FailureSide::Origin,
            ErrorSource::Internal | ErrorSource::Unset => FailureSide::Own,
        },
        kind: match error.etype() {
            ErrorType::Custom(NOT_PUSHABLE) => FailureKind::NotPushable,
            ErrorType::Custom(NOBODY_READS) => FailureKind::NobodyReads,
            ErrorType::Custom(NOT_VALIDATED) => FailureKind::NotValidated,
            ErrorType::Custom(ResponseLimit::PASSED) => FailureKind::FirstByteTimeout,
            ErrorType::HTTPStatus(code) => FailureKind::Status(*code),
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => FailureKind::TimeLimit,
            ErrorType::ReadTimedout => FailureKind::ReadTimeout,
            ErrorType::WriteTimedout => FailureKind::WriteTimeout,
            ErrorType::ConnectionClosed => FailureKind::Closed,
            ErrorType::ReadError => FailureKind::Read,
            ErrorType::WriteError => FailureKind::Write,
            ErrorType::InternalError => FailureKind::Internal,
            _ => FailureKind::Other,
        },
    }
}

/// Returns the words of an error for which there are no better ones.
pub(super) fn words(error: &Error) -> String {
    format!("{}: {}", error.esource().as_str(), error.etype().as_str())
}

/// Makes an error one of the origin, which did not begin its response in time.
pub(super) fn say_late(error: &mut Error) {
    error.etype = ErrorType::Custom(ResponseLimit::PASSED);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{proxy::BadFraming, upstream::NoServer};

    #[test]
    fn a_refusal_is_known_again() {
        for (refusal, side, kind, text) in [
            (
                RuleRefusal::NotPushable,
                FailureSide::Own,
                FailureKind::NotPushable,
                " NotPushable",
            ),
            (
                RuleRefusal::NobodyReads,
                FailureSide::Own,
                FailureKind::NobodyReads,
                " NobodyReads",
            ),
            (
                RuleRefusal::Framing(BadFraming::Both),
                FailureSide::Origin,
                FailureKind::Other,
                "Upstream InvalidHTTPHeader",
            ),
            (
                RuleRefusal::UnclearNotModified,
                FailureSide::Origin,
                FailureKind::Other,
                "Upstream InvalidHTTPHeader",
            ),
            (
                RuleRefusal::NoServer(NoServer::Unresolved),
                FailureSide::Own,
                FailureKind::Status(503),
                " HTTPStatus",
            ),
            (
                RuleRefusal::NoPool,
                FailureSide::Own,
                FailureKind::Internal,
                " InternalError",
            ),
        ] {
            let error = BError::from(refusal);
            assert_eq!(failure(&error), RequestFailure { side, kind }, "{refusal:?}");
            let said = format!("{} {}", error.esource().as_str(), error.etype().as_str());
            assert_eq!(said, text, "{refusal:?}");
        }
    }

    #[test]
    fn time_limits_and_losses_are_told_apart() {
        for (kind, expected) in [
            (ErrorType::ConnectTimedout, FailureKind::TimeLimit),
            (ErrorType::TLSHandshakeTimedout, FailureKind::TimeLimit),
            (ErrorType::ReadTimedout, FailureKind::ReadTimeout),
            (ErrorType::WriteTimedout, FailureKind::WriteTimeout),
            (ErrorType::Custom(ResponseLimit::PASSED), FailureKind::FirstByteTimeout),
            (ErrorType::ConnectionClosed, FailureKind::Closed),
            (ErrorType::ReadError, FailureKind::Read),
            (ErrorType::WriteError, FailureKind::Write),
            (ErrorType::ConnectRefused, FailureKind::Other),
            (ErrorType::Custom("anything"), FailureKind::Other),
        ] {
            let expected = RequestFailure {
                side: FailureSide::Client,
                kind: expected,
            };
            assert_eq!(failure(&Error::new_down(kind)), expected);
        }
    }
}
