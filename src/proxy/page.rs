//! The small page of an answer that is ours.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::{Result, http::ResponseHeader};
use pingora_proxy::Session;

use super::date;
use crate::{exchange::error_page, upstream};

/// Answers with a status and a page that names it. It is the end of an HTTP/1.x connection.
pub(super) async fn answer(session: &mut Session, status: u16) -> Result<()> {
    date::forget(session);
    let body: Bytes = error_page(StatusCode::from_u16(status).unwrap_or_default()).into();
    let mut head = ResponseHeader::build_no_case(status, Some(4))?;
    head.insert_header(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    )?;
    head.insert_header(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))?;
    head.insert_header(header::CONTENT_LENGTH, body.len())?;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        head.insert_header(header::RETRY_AFTER, upstream::RETRY_AFTER.as_secs())?;
    }
    let body = if session.req_header().method == Method::HEAD {
        Bytes::new()
    } else {
        body
    };
    session.downstream_session.write_error_response(head, body).await
}
