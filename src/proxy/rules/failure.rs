//! Tells why an exchange goes no further: [`RuleRefusal`] is a rule's own reason, [`RequestFailure`] the form in which
//! rules see errors.
//!
//! A driver makes its own errors of the one, and the other of its own errors.

use http::StatusCode;

use super::head::framing::BadFraming;
use crate::{cache::OtherResponse, upstream::NoServer};

/// The reason why a rule ends an exchange, or an attempt of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum RuleRefusal {
    /// A pushed response that is not delivered.
    #[error("a pushed response that is not delivered")]
    NotPushable,
    /// Nobody reads a response, and it is not stored.
    #[error("a response that is not stored")]
    NobodyReads,
    /// A 304 that is not about the stored response. The request is to be sent again, for the whole.
    #[error(transparent)]
    NotValidated(#[from] OtherResponse),
    /// A 304 whose end is not clear.
    #[error("a 304 without a clear end")]
    UnclearNotModified,
    /// A response whose end is not clear.
    #[error(transparent)]
    Framing(#[from] BadFraming),
    /// No server can be asked.
    #[error(transparent)]
    NoServer(#[from] NoServer),
    /// A route without a pool, which no configuration has.
    #[error("a route without a pool")]
    NoPool,
}

/// An error of an exchange, as far as the rules tell errors apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) struct RequestFailure {
    /// The side whose error it is.
    pub(in crate::proxy) side: FailureSide,
    /// The kind of the error.
    pub(in crate::proxy) kind: FailureKind,
}

/// The side whose error ended an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum FailureSide {
    /// The client's.
    Client,
    /// The origin's.
    Origin,
    /// Our own.
    Own,
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum FailureKind {
    /// [`RuleRefusal::NotPushable`].
    NotPushable,
    /// [`RuleRefusal::NobodyReads`].
    NobodyReads,
    /// [`RuleRefusal::NotValidated`].
    NotValidated,
    /// One that names the status of the response.
    Status(u16),
    /// A limit of time, other than those below.
    TimeLimit,
    /// `read_timeout`: nothing came.
    ReadTimeout,
    /// `first_byte_timeout`: the response did not begin.
    FirstByteTimeout,
    /// The connection was closed.
    Closed,
    /// Reading failed.
    Read,
    /// Writing failed.
    Write,
    /// A write took too long.
    WriteTimeout,
    /// An error of this machine, or of this program.
    Internal,
    /// Any other.
    Other,
}

impl RequestFailure {
    /// Returns the status of a failed request; `None` if there is nobody to tell.
    pub(in crate::proxy) const fn status(self) -> Option<StatusCode> {
        use FailureKind::{Closed, FirstByteTimeout, Read, ReadTimeout, Status, TimeLimit, Write, WriteTimeout};
        Some(match (self.side, self.kind) {
            (_, Status(code)) => match StatusCode::from_u16(code) {
                Ok(status) => status,
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            (FailureSide::Origin, TimeLimit | ReadTimeout | WriteTimeout | FirstByteTimeout) => {
                StatusCode::GATEWAY_TIMEOUT
            }
            (FailureSide::Origin, _) => StatusCode::BAD_GATEWAY,
            (FailureSide::Client, Write | Read | Closed | WriteTimeout) => return None,
            (FailureSide::Client, ReadTimeout) => StatusCode::REQUEST_TIMEOUT,
            (FailureSide::Client, _) => StatusCode::BAD_REQUEST,
            (FailureSide::Own, _) => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }

    /// Returns whether a limit of time has ended the exchange.
    pub(in crate::proxy) const fn is_time_limit(self) -> bool {
        matches!(
            self.kind,
            FailureKind::TimeLimit
                | FailureKind::ReadTimeout
                | FailureKind::WriteTimeout
                | FailureKind::FirstByteTimeout
        )
    }
}

impl FailureKind {
    /// Returns whether the connection was lost.
    pub(in crate::proxy) const fn is_loss(self) -> bool {
        matches!(self, Self::Closed | Self::Read | Self::Write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_status() {
        use FailureKind::{
            Closed, FirstByteTimeout, Internal, Other, Read, ReadTimeout, Status, TimeLimit, Write, WriteTimeout,
        };
        for (side, kind, expected) in [
            (FailureSide::Own, Status(503), Some(503)),
            (FailureSide::Client, Status(413), Some(413)),
            (FailureSide::Origin, TimeLimit, Some(504)),
            (FailureSide::Origin, ReadTimeout, Some(504)),
            (FailureSide::Origin, WriteTimeout, Some(504)),
            (FailureSide::Origin, FirstByteTimeout, Some(504)),
            (FailureSide::Origin, Closed, Some(502)),
            (FailureSide::Origin, Other, Some(502)),
            (FailureSide::Client, Closed, None),
            (FailureSide::Client, Read, None),
            (FailureSide::Client, Write, None),
            (FailureSide::Client, WriteTimeout, None),
            (FailureSide::Client, ReadTimeout, Some(408)),
            (FailureSide::Client, Other, Some(400)),
            (FailureSide::Own, Internal, Some(500)),
        ] {
            let status = RequestFailure { side, kind }.status().map(|status| status.as_u16());
            assert_eq!(status, expected, "{side:?} {kind:?}");
        }
    }
}
