//! Maps a stream's errors to Pingora's; no other file makes Pingora errors of them.

use pingora::{BError, Error, ErrorType};

use crate::h2::stream::StreamError;

/// Returns Pingora's error for a response that cannot be sent.
pub(super) fn write_error(error: StreamError) -> BError {
    let kind = match &error {
        StreamError::WriteTimeout(_) => ErrorType::WriteTimedout,
        StreamError::Reset(_) => ErrorType::ConnectionClosed,
        _ => ErrorType::WriteError,
    };
    Error::because(kind, "while answering an HTTP/2 client", error).into_down()
}

/// Returns Pingora's error for request content that does not come.
pub(super) fn read_error(error: StreamError) -> BError {
    let kind = match &error {
        StreamError::ReadTimeout(_) => ErrorType::ReadTimedout,
        _ => ErrorType::ReadError,
    };
    Error::because(kind, "while reading an HTTP/2 request", error).into_down()
}
