//! Makes Pingora's errors of refusals, and failures of Pingora's errors: the one border between the two.

use http::StatusCode;
use pingora::{BError, Error, ErrorSource, ErrorType};

use crate::{
    peer::ResponseLimit,
    proxy::rules::failure::{Failure, Kind, Refusal, Side},
};

/// The names by which Pingora knows our own errors.
const NOT_PUSHABLE: &str = "NotPushable";
const NOBODY_READS: &str = "NobodyReads";
const NOT_VALIDATED: &str = "NotValidated";

impl From<Refusal> for BError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotPushable => Error::new(ErrorType::Custom(NOT_PUSHABLE)),
            Refusal::NobodyReads => Error::explain(ErrorType::Custom(NOBODY_READS), refusal.to_string()),
            Refusal::NotValidated(_) => Error::explain(ErrorType::Custom(NOT_VALIDATED), refusal.to_string()).into_up(),
            Refusal::Framing(_) | Refusal::UnclearNotModified => {
                Error::explain(ErrorType::InvalidHTTPHeader, refusal.to_string()).into_up()
            }
            Refusal::NoServer(_) => Error::new(ErrorType::HTTPStatus(StatusCode::SERVICE_UNAVAILABLE.as_u16())),
            Refusal::NoPool => Error::explain(ErrorType::InternalError, refusal.to_string()),
        }
    }
}

/// Returns what rules know of an error.
pub(super) fn failure(error: &Error) -> Failure {
    Failure {
        side: match error.esource() {
            ErrorSource::Downstream => Side::Client,
            ErrorSource::Upstream => Side::Origin,
            ErrorSource::Internal | ErrorSource::Unset => Side::Own,
        },
        kind: match error.etype() {
            ErrorType::Custom(NOT_PUSHABLE) => Kind::NotPushable,
            ErrorType::Custom(NOBODY_READS) => Kind::NobodyReads,
            ErrorType::Custom(NOT_VALIDATED) => Kind::NotValidated,
            ErrorType::Custom(ResponseLimit::PASSED) => Kind::FirstByteTimeout,
            ErrorType::HTTPStatus(code) => Kind::Status(*code),
            ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Kind::TimeLimit,
            ErrorType::ReadTimedout => Kind::ReadTimeout,
            ErrorType::WriteTimedout => Kind::WriteTimeout,
            ErrorType::ConnectionClosed => Kind::Closed,
            ErrorType::ReadError => Kind::Read,
            ErrorType::WriteError => Kind::Write,
            ErrorType::InternalError => Kind::Internal,
            _ => Kind::Other,
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
            (Refusal::NotPushable, Side::Own, Kind::NotPushable, " NotPushable"),
            (Refusal::NobodyReads, Side::Own, Kind::NobodyReads, " NobodyReads"),
            (
                Refusal::Framing(BadFraming::Both),
                Side::Origin,
                Kind::Other,
                "Upstream InvalidHTTPHeader",
            ),
            (
                Refusal::UnclearNotModified,
                Side::Origin,
                Kind::Other,
                "Upstream InvalidHTTPHeader",
            ),
            (
                Refusal::NoServer(NoServer::Unresolved),
                Side::Own,
                Kind::Status(503),
                " HTTPStatus",
            ),
            (Refusal::NoPool, Side::Own, Kind::Internal, " InternalError"),
        ] {
            let error = BError::from(refusal);
            assert_eq!(failure(&error), Failure { side, kind }, "{refusal:?}");
            let said = format!("{} {}", error.esource().as_str(), error.etype().as_str());
            assert_eq!(said, text, "{refusal:?}");
        }
    }

    #[test]
    fn time_limits_and_losses_are_told_apart() {
        for (kind, expected) in [
            (ErrorType::ConnectTimedout, Kind::TimeLimit),
            (ErrorType::TLSHandshakeTimedout, Kind::TimeLimit),
            (ErrorType::ReadTimedout, Kind::ReadTimeout),
            (ErrorType::WriteTimedout, Kind::WriteTimeout),
            (ErrorType::Custom(ResponseLimit::PASSED), Kind::FirstByteTimeout),
            (ErrorType::ConnectionClosed, Kind::Closed),
            (ErrorType::ReadError, Kind::Read),
            (ErrorType::WriteError, Kind::Write),
            (ErrorType::ConnectRefused, Kind::Other),
            (ErrorType::Custom("anything"), Kind::Other),
        ] {
            let expected = Failure {
                side: Side::Client,
                kind: expected,
            };
            assert_eq!(failure(&Error::new_down(kind)), expected);
        }
    }
}
