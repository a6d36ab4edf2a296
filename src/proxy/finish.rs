//! The end of a request: errors told to the client, and the access line.

use h2_reason::CANCEL;
use http::StatusCode;
use log::debug;
use pingora::{Error, ErrorSource, ErrorType, protocols::http::ServerSession};
use pingora_proxy::{FailToProxy, Session};

use super::{Context, Edge, cache, cache_status, page, request::Url, response};
use crate::{
    peer::ResponseLimit,
    telemetry::access::{self, Access},
};

/// Error codes of RFC 9113 section 7 that are used here.
mod h2_reason {
    /// The stream is no longer needed.
    pub(super) const CANCEL: u32 = 0x8;
}

/// Tells the client that its request failed, if it can still be told.
pub(super) async fn fail(edge: &Edge, session: &mut Session, error: &Error, context: &mut Context) -> FailToProxy {
    let from_client = *error.esource() == ErrorSource::Downstream;
    if *error.etype() == cache::NOBODY_READS && !context.is_update {
        // Whoever asked has had what it asked for, or has left.
        return FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        };
    }
    if context.failure.is_none() {
        context.failure = Some(format!("{}: {}", error.esource().as_str(), error.etype().as_str()));
    }
    if context.is_update {
        if *error.etype() != cache::NOT_VALIDATED {
            cache::note_failure(edge, context);
        }
        debug!(
            "an answer in memory is not renewed: {}",
            context.failure.as_deref().unwrap_or("-")
        );
        return FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        };
    }
    if context.pushed_by.is_some() {
        if !from_client && *error.etype() != response::NOT_PUSHABLE {
            response::remember_bad(edge, session, context, false);
        }
        if let ServerSession::Custom(pushed) = &mut *session.downstream_session {
            pushed.shutdown(CANCEL, "not pushable").await;
        }
        return FailToProxy {
            error_code: 0,
            can_reuse_downstream: false,
        };
    }
    let code = match status_of(error) {
        _ if session.response_written().is_some() => 0,
        502 | 503 if !from_client && context.is_cut_off() => 504,
        code => code,
    };
    if code == 0 {
        match &mut *session.downstream_session {
            // Whose fault it is nobody can tell.
            ServerSession::Custom(stream) if is_time_limit(error.etype()) => {
                stream.shutdown(CANCEL, "a time limit has passed").await;
            }
            other => other.shutdown().await,
        }
    } else if let Err(e) = page::answer(session, code).await {
        debug!("the client left before its {code}: {e}");
    }
    FailToProxy {
        error_code: code,
        can_reuse_downstream: false,
    }
}

/// The status of a failed request; 0 if there is nobody to tell.
fn status_of(error: &Error) -> u16 {
    use ErrorType::{
        ConnectTimedout, ConnectionClosed, Custom, HTTPStatus, ReadError, ReadTimedout, TLSHandshakeTimedout,
        WriteError, WriteTimedout,
    };
    match (error.esource(), error.etype()) {
        (_, HTTPStatus(code)) => *code,
        (
            ErrorSource::Upstream,
            ConnectTimedout | ReadTimedout | WriteTimedout | TLSHandshakeTimedout | Custom(ResponseLimit::PASSED),
        ) => 504,
        (ErrorSource::Upstream, _) => 502,
        (ErrorSource::Downstream, WriteError | ReadError | ConnectionClosed | WriteTimedout) => 0,
        (ErrorSource::Downstream, ReadTimedout) => 408,
        (ErrorSource::Downstream, _) => 400,
        (ErrorSource::Internal | ErrorSource::Unset, _) => 500,
    }
}

/// Whether one of our own limits of time has ended a request.
fn is_time_limit(kind: &ErrorType) -> bool {
    use ErrorType::{ConnectTimedout, Custom, ReadTimedout, TLSHandshakeTimedout, WriteTimedout};
    matches!(
        kind,
        ConnectTimedout | ReadTimedout | WriteTimedout | TLSHandshakeTimedout | Custom(ResponseLimit::PASSED)
    )
}

/// Whether a client has left a tunnel, as it does when a tab is closed.
fn has_left_tunnel(session: &Session, error: &Error) -> bool {
    let is_tunnel = session
        .response_written()
        .is_some_and(|response| response.status == StatusCode::SWITCHING_PROTOCOLS);
    is_tunnel && *error.esource() == ErrorSource::Downstream && !is_time_limit(error.etype())
}

/// Writes the access line.
pub(super) fn log(session: &Session, error: Option<&Error>, context: &Context) {
    if context.is_update || !access::is_enabled() {
        return;
    }
    let request = session.req_header();
    let url = Url::of(request, context);
    let is_failure =
        !error.is_some_and(|error| has_left_tunnel(session, error) || *error.etype() == cache::NOBODY_READS);
    let unnamed = error.map(|e| format!("{}: {}", e.esource().as_str(), e.etype().as_str()));
    access::write(&Access {
        peer: context.connection.as_ref().map(|connection| connection.peer.address),
        client: context.client_address(&request.headers),
        method: request.method.as_str(),
        scheme: url.scheme,
        authority: url.authority,
        path_and_query: url.path_and_query,
        status: session.response_written().map(|response| response.status.as_u16()),
        route: context.route().map(|route| &*route.name),
        protocol: access::protocol(request.version),
        duration: context.started.elapsed(),
        bytes: session.body_bytes_sent(),
        promises: context.promised,
        hints: context.hinted,
        learned: context.lesson.as_ref().map_or(0, |lesson| lesson.delivered.len()),
        missed: context.lesson.as_ref().map_or(0, |lesson| lesson.missed),
        skips: &context.skips,
        pushed_by: context.pushed_by.map(|pushed| pushed.parent),
        cache: cache_status::outcome(session, context),
        server: context
            .server
            .as_ref()
            .map(|chosen| chosen.server().address())
            .or(context.failed_server),
        tries: context.tries,
        failure: context.failure.as_deref().or(unnamed.as_deref()).filter(|_| is_failure),
    });
}
