//! Tells why an exchange goes no further: [`Refusal`] is a rule's own reason, [`Failure`] the form in which rules see errors.
//!
//! A driver makes its own errors of the one, and the other of its own errors.

use http::StatusCode;

use super::head::framing::BadFraming;
use crate::{cache::OtherAnswer, upstream::NoServer};

/// The reason why a rule ends an exchange, or an attempt of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::proxy) enum Refusal {
    /// A pushed response that is not delivered.
    #[error("a pushed response that is not delivered")]
    NotPushable,
    /// Nobody reads a response, and it is not stored.
    #[error("a response that is not stored")]
    NobodyReads,
    /// A 304 that is not about the stored response. The request is to be sent again, for the whole.
    #[error(transparent)]
    NotValidated(#[from] OtherAnswer),
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
pub(in crate::proxy) struct Failure {
    /// The side whose error it is.
    pub(in crate::proxy) side: Side,
    /// The kind of the error.
    pub(in crate::proxy) kind: Kind,
}

/// The side whose error ended an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Side {
    /// The client's.
    Client,
    /// The origin's.
    Origin,
    /// Our own.
    Own,
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::proxy) enum Kind {
    /// [`Refusal::NotPushable`].
    NotPushable,
    /// [`Refusal::NobodyReads`].
    NobodyReads,
    /// [`Refusal::NotValidated`].
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

impl Failure {
    /// Returns the status of a failed request; `None` if there is nobody to tell.
    pub(in crate::proxy) const fn status(self) -> Option<StatusCode> {
        use Kind::{Closed, FirstByteTimeout, Read, ReadTimeout, Status, TimeLimit, Write, WriteTimeout};
        Some(match (self.side, self.kind) {
            (_, Status(code)) => match StatusCode::from_u16(code) {
                Ok(status) => status,
                Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
            },
            (Side::Origin, TimeLimit | ReadTimeout | WriteTimeout | FirstByteTimeout) => StatusCode::GATEWAY_TIMEOUT,
            (Side::Origin, _) => StatusCode::BAD_GATEWAY,
            (Side::Client, Write | Read | Closed | WriteTimeout) => return None,
            (Side::Client, ReadTimeout) => StatusCode::REQUEST_TIMEOUT,
            (Side::Client, _) => StatusCode::BAD_REQUEST,
            (Side::Own, _) => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }

    /// Returns whether a limit of time has ended the exchange.
    pub(in crate::proxy) const fn is_time_limit(self) -> bool {
        matches!(
            self.kind,
            Kind::TimeLimit | Kind::ReadTimeout | Kind::WriteTimeout | Kind::FirstByteTimeout
        )
    }
}

impl Kind {
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
        use Kind::{
            Closed, FirstByteTimeout, Internal, Other, Read, ReadTimeout, Status, TimeLimit, Write, WriteTimeout,
        };
        for (side, kind, expected) in [
            (Side::Own, Status(503), Some(503)),
            (Side::Client, Status(413), Some(413)),
            (Side::Origin, TimeLimit, Some(504)),
            (Side::Origin, ReadTimeout, Some(504)),
            (Side::Origin, WriteTimeout, Some(504)),
            (Side::Origin, FirstByteTimeout, Some(504)),
            (Side::Origin, Closed, Some(502)),
            (Side::Origin, Other, Some(502)),
            (Side::Client, Closed, None),
            (Side::Client, Read, None),
            (Side::Client, Write, None),
            (Side::Client, WriteTimeout, None),
            (Side::Client, ReadTimeout, Some(408)),
            (Side::Client, Other, Some(400)),
            (Side::Own, Internal, Some(500)),
        ] {
            let status = Failure { side, kind }.status().map(|status| status.as_u16());
            assert_eq!(status, expected, "{side:?} {kind:?}");
        }
    }
}
