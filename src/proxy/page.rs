//! The small page of an answer that is ours.

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use pingora::{Result, http::ResponseHeader};
use pingora_proxy::Session;

use crate::upstream;

/// Answers with a status and a page that names it. It is the end of an HTTP/1.x connection.
pub(super) async fn answer(session: &mut Session, status: u16) -> Result<()> {
    let body = body(status);
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

fn body(status: u16) -> Bytes {
    let code = StatusCode::from_u16(status).ok();
    let reason = code.and_then(|code| code.canonical_reason()).unwrap_or("Error");
    format!("<!doctype html>\n<title>{status} {reason}</title>\n<h1>{status} {reason}</h1>\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_status_and_is_small() {
        let page = body(503);
        assert_eq!(
            page,
            "<!doctype html>\n<title>503 Service Unavailable</title>\n<h1>503 Service Unavailable</h1>\n"
        );
    }
}
