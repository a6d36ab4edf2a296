//! `Date` of a response: the origin's, wherever it says one (RFC 9110 section 6.6.1). Where it does not, the session that
//! writes the response adds the time of now.

use http::{HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora_proxy::Session;

use super::request::connection;
use crate::exchange::{DateIsOrigins, PLACEHOLDER_DATE};

/// Leaves one line of it, the first, so that everybody reads the same.
pub(super) fn once(response: &mut ResponseHeader) {
    let mut lines = response.headers.get_all(header::DATE).iter();
    if let (Some(first), Some(_)) = (lines.next(), lines.next()) {
        let first = first.clone();
        // It replaces all of them; what was a value is one.
        let _ = response.insert_header(header::DATE, first);
    }
}

/// Has the session write what this response says.
pub(super) fn keep(session: &Session, response: &mut ResponseHeader) {
    // Interim ones are passed on as they are, and so is a switch to another protocol, whose bytes are no response.
    let date = response
        .headers
        .get(header::DATE)
        .filter(|_| !response.status.is_informational());
    if session.downstream_session.as_http1().is_some() {
        tell(session, date.cloned());
    } else if date.is_some_and(|date| date == PLACEHOLDER_DATE) {
        response.extensions_mut().insert(DateIsOrigins);
    }
}

/// Has the session write the time of now: the response is our own.
pub(super) fn forget(session: &Session) {
    if session.downstream_session.as_http1().is_some() {
        tell(session, None);
    }
}

fn tell(session: &Session, date: Option<HeaderValue>) {
    if let Some(connection) = connection(session) {
        connection.date.set(date);
    }
}
