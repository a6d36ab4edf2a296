//! Responds to a client where no origin does: pages of our own, plans before the response, and the end of failed
//! requests.

use bytes::Bytes;
use h2_reason::CANCEL;
use http::{HeaderValue, Method, StatusCode};
use log::debug;
use pingora::{Error, Result, http::ResponseHeader, protocols::http::ServerSession};
use pingora_proxy::{FailToProxy, Session};

use super::{error, session::connection};
use crate::{
    exchange::{DateIsOrigins, PLACEHOLDER_DATE, error_page},
    proxy::{
        edge::Edge,
        exchange::Exchange,
        rules::{
            finish::{self, FailureEnding},
            head::date,
            trace,
        },
    },
    push::Plan,
};

/// Error codes of RFC 9113 section 7 that are used here.
mod h2_reason {
    /// The stream is no longer needed.
    pub(super) const CANCEL: u32 = 0x8;
}

/// Responds with a page that names a status. It is the end of an HTTP/1.x connection.
pub(super) async fn page(session: &mut Session, status: StatusCode, exchange: &Exchange) -> Result<()> {
    if session.downstream_session.as_http1().is_some() {
        tell_date(session, None);
    }
    let body: Bytes = error_page(status).into();
    let mut head = ResponseHeader::build_no_case(status, Some(5))?;
    finish::describe_page(&mut head, status, body.len());
    trace::tell_client(&mut head, exchange);
    let body = if session.req_header().method == Method::HEAD {
        Bytes::new()
    } else {
        body
    };
    session.downstream_session.write_error_response(head, body).await
}

/// Responds without content to a request that asks for the abilities of the server.
pub(super) async fn abilities(session: &mut Session) -> Result<()> {
    let head = ResponseHeader::build_no_case(StatusCode::NO_CONTENT, Some(1))?;
    session.write_response_header(Box::new(head), true).await
}

/// Gives the session a plan to carry out before the response.
pub(super) async fn deliver(session: &mut Session, plan: Plan) -> Result<()> {
    let mut early = ResponseHeader::build_no_case(StatusCode::EARLY_HINTS, Some(0))?;
    attach(plan, &mut early);
    session.downstream_session.write_response_header(Box::new(early)).await
}

/// Gives the session a plan to carry out with this response, or before it.
pub(super) fn attach(plan: Plan, response: &mut ResponseHeader) {
    response.extensions_mut().insert::<Plan>(plan);
}

/// Has the session write the date that this response says. Our own responses have the time of now.
pub(super) fn keep_date(session: &Session, response: &mut ResponseHeader) {
    let date = date::told(response);
    if session.downstream_session.as_http1().is_some() {
        tell_date(session, date.cloned());
    } else if date.is_some_and(|date| date == PLACEHOLDER_DATE) {
        response.extensions_mut().insert::<DateIsOrigins>(DateIsOrigins);
    }
}

fn tell_date(session: &Session, date: Option<HeaderValue>) {
    if let Some(connection) = connection(session) {
        connection.date.set(date);
    }
}

/// Tells the client that its request failed, if it can still be told.
pub(super) async fn fail(edge: &Edge, session: &mut Session, error: &Error, exchange: &mut Exchange) -> FailToProxy {
    let written = session.response_written().map(|response| response.status);
    let words = || error::words(error);
    let failure = error::failure(error);
    let ending = finish::fail(edge, session.req_header(), failure, written, words, exchange);
    let mut code = 0;
    match ending {
        FailureEnding::Nothing => {}
        FailureEnding::CancelPromise => {
            if let ServerSession::Custom(pushed) = &mut *session.downstream_session {
                pushed.shutdown(CANCEL, "not pushable").await;
            }
        }
        FailureEnding::BreakOff { is_time_limit } => match &mut *session.downstream_session {
            ServerSession::Custom(stream) if is_time_limit => {
                stream.shutdown(CANCEL, "a time limit has passed").await;
            }
            other => other.shutdown().await,
        },
        FailureEnding::Page(status) => {
            code = status.as_u16();
            if let Err(e) = page(session, status, exchange).await {
                debug!("the client left before its {code}: {e}");
            }
        }
    }
    FailToProxy {
        error_code: code,
        can_reuse_downstream: false,
    }
}
