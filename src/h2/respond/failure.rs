//! Failures of a stream as Pingora's errors: the one place that makes them.

use pingora::{BError, Error, ErrorType};

use crate::h2::stream::StreamError;

/// Returns the error of a response that cannot be sent.
pub(super) fn write_error(error: StreamError) -> BError {
    let kind = match &error {
        StreamError::WriteTimeout(_) => ErrorType::WriteTimedout,
        StreamError::Reset(_) => ErrorType::ConnectionClosed,
        _ => ErrorType::WriteError,
    };
    Error::because(kind, "while answering an HTTP/2 client", error).into_down()
}

/// Returns the error of a request whose content does not come.
pub(super) fn read_error(error: StreamError) -> BError {
    let kind = match &error {
        StreamError::ReadTimeout(_) => ErrorType::ReadTimedout,
        _ => ErrorType::ReadError,
    };
    Error::because(kind, "while reading an HTTP/2 request", error).into_down()
}
