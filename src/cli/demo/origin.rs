//! Serves the demo's pages over HTTP/1.1, as an application that names its assets and takes time before it responds.
//!
//! | path | time before the head | `Link` |
//! |---|---|---|
//! | `/`, `/quiet` | 100 ms | with the page |
//! | `/early` | 300 ms | in a 103 (RFC 8297) at once, then with the page |
//! | `/learned` | 300 ms | with the page |
//! | `/configured` | 300 ms | none: the edge's route names the assets |
//!
//! [`response`] decides purely, and [`Origin`] sends. Every page needs `/style.css`, `/app.js`, `/font.woff2` and
//! `/logo.png`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, header};
use pingora::apps::{HttpPersistentSettings, HttpServerApp, ReusedHttpStream};
use pingora::http::ResponseHeader;
use pingora::protocols::http::ServerSession;
use pingora::server::ShutdownWatch;
use pingora::services::listening::Service;

/// Returns the origin as a service of Pingora's server, which listens in cleartext on `address`.
#[must_use]
pub(super) fn service(address: SocketAddr) -> Service<Origin> {
    let mut service = Service::new("demo origin".to_owned(), Origin);
    service.add_tcp(&address.to_string());
    service
}

/// The application: without state, one response for each path.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Origin;

impl Origin {
    /// Sends the response to the request that the session has read.
    async fn respond(session: &mut ServerSession) -> pingora::Result<()> {
        let request = session.req_header();
        let response = response(&request.method, request.uri.path());
        session.drain_request_body().await?;

        if response.links == OriginLinks::InHintAndHeader {
            let mut hint = ResponseHeader::build(StatusCode::EARLY_HINTS, Some(LINK_FIELDS.len()))?;
            append_links(&mut hint)?;
            session.write_response_header(Box::new(hint)).await?;
        }
        if !response.think_time.is_zero() {
            tokio::time::sleep(response.think_time).await;
        }

        let mut head = ResponseHeader::build(response.status, None)?;
        head.insert_header(header::CONTENT_TYPE, response.content_type)?;
        head.insert_header(header::CONTENT_LENGTH, response.body.len())?;
        head.insert_header(header::CACHE_CONTROL, response.cache_control)?;
        if response.status == StatusCode::METHOD_NOT_ALLOWED {
            head.insert_header(header::ALLOW, "GET, HEAD")?;
        }
        if response.links != OriginLinks::Unnamed {
            append_links(&mut head)?;
        }
        let is_head = session.req_header().method == Method::HEAD;
        session.write_response_header(Box::new(head)).await?;
        if is_head {
            return Ok(());
        }
        session.write_response_body(response.body, true).await
    }
}

#[async_trait]
impl HttpServerApp for Origin {
    async fn process_new_http(
        self: &Arc<Self>,
        mut session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        match session.read_request().await {
            Ok(true) => {}
            Ok(false) => return None,
            Err(error) => {
                log::debug!("demo origin: reading a request: {error}");
                return None;
            }
        }
        let idle = if *shutdown.borrow() {
            None
        } else {
            Some(KEEPALIVE_SECONDS)
        };
        session.set_keepalive(idle);

        if let Err(error) = Self::respond(&mut session).await {
            log::debug!("demo origin: responding to {}: {error}", session.request_summary());
            return None;
        }
        let settings = HttpPersistentSettings::for_session(&session);
        match session.finish().await {
            Ok(stream) => stream.map(|stream| ReusedHttpStream::from_reusable_stream(stream, settings)),
            Err(error) => {
                log::debug!("demo origin: finishing a response: {error}");
                None
            }
        }
    }
}

/// Where a response names the assets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OriginLinks {
    /// Nowhere.
    Unnamed,
    /// In the `Link` field.
    InHeader,
    /// In a 103 before the response, and in its `Link` field.
    InHintAndHeader,
}

/// The response to one request.
#[derive(Debug, PartialEq, Eq)]
struct OriginResponse {
    status: StatusCode,
    content_type: &'static str,
    cache_control: &'static str,
    /// The time that passes before the head is sent.
    think_time: Duration,
    links: OriginLinks,
    body: Bytes,
}

impl OriginResponse {
    fn page(think_time: Duration, links: OriginLinks) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "text/html; charset=utf-8",
            cache_control: "no-cache",
            think_time,
            links,
            body: Bytes::from_static(PAGE),
        }
    }

    fn asset(content_type: &'static str, body: Bytes) -> Self {
        Self {
            status: StatusCode::OK,
            content_type,
            cache_control: "max-age=3600",
            think_time: Duration::ZERO,
            links: OriginLinks::Unnamed,
            body,
        }
    }

    fn refusal(status: StatusCode, text: &'static str) -> Self {
        Self {
            status,
            content_type: "text/plain; charset=utf-8",
            cache_control: "no-store",
            think_time: Duration::ZERO,
            links: OriginLinks::Unnamed,
            body: Bytes::from_static(text.as_bytes()),
        }
    }
}

/// Returns the response for a method and a path.
fn response(method: &Method, path: &str) -> OriginResponse {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return OriginResponse::refusal(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    }
    match path {
        "/" | "/quiet" => OriginResponse::page(Duration::from_millis(100), OriginLinks::InHeader),
        "/learned" => OriginResponse::page(Duration::from_millis(300), OriginLinks::InHeader),
        "/early" => OriginResponse::page(Duration::from_millis(300), OriginLinks::InHintAndHeader),
        "/configured" => OriginResponse::page(Duration::from_millis(300), OriginLinks::Unnamed),
        "/style.css" => OriginResponse::asset("text/css; charset=utf-8", Bytes::from_static(STYLE)),
        "/app.js" => OriginResponse::asset("text/javascript; charset=utf-8", Bytes::from_static(SCRIPT)),
        "/font.woff2" => OriginResponse::asset("font/woff2", font()),
        "/logo.png" => OriginResponse::asset("image/png", Bytes::from_static(LOGO)),
        _ => OriginResponse::refusal(StatusCode::NOT_FOUND, "no such page\n"),
    }
}

fn append_links(head: &mut ResponseHeader) -> pingora::Result<()> {
    for field in LINK_FIELDS {
        head.append_header(header::LINK, field)?;
    }
    Ok(())
}

/// Returns a body with the signature, size and entropy of a font. Nothing renders it.
fn font() -> Bytes {
    let mut body = b"wOF2".to_vec();
    let mut state = 0x9e37_79b9_u32;
    while body.len() < FONT_BYTES {
        // xorshift32 (Marsaglia 2003): incompressible, and equal on every run.
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        body.extend_from_slice(&state.to_be_bytes());
    }
    Bytes::from(body)
}

/// `Link` fields: one with two links and two with one link, since both spellings are common.
const LINK_FIELDS: [&str; 3] = [
    "</style.css>; rel=preload; as=style, </app.js>; rel=preload; as=script",
    "</font.woff2>; rel=preload; as=font; crossorigin",
    "</logo.png>; rel=preload; as=image",
];

const PAGE: &[u8] = include_bytes!("assets/page.html");
const STYLE: &[u8] = include_bytes!("assets/style.css");
const SCRIPT: &[u8] = include_bytes!("assets/app.js");
const LOGO: &[u8] = include_bytes!("assets/logo.png");

/// Bytes of a Latin subset of a text font.
const FONT_BYTES: usize = 20 * 1024;

/// Seconds that an idle connection from the edge stays open.
const KEEPALIVE_SECONDS: u64 = 60;

#[cfg(test)]
mod tests {
    use super::*;

    const ASSETS: [(&str, &str); 4] = [
        ("/style.css", "text/css; charset=utf-8"),
        ("/app.js", "text/javascript; charset=utf-8"),
        ("/font.woff2", "font/woff2"),
        ("/logo.png", "image/png"),
    ];

    #[test]
    fn every_asset_is_cacheable_and_has_its_type() {
        for (path, content_type) in ASSETS {
            let response = response(&Method::GET, path);
            assert_eq!(
                (response.status, response.content_type, response.cache_control),
                (StatusCode::OK, content_type, "max-age=3600"),
                "{path}"
            );
            assert!(!response.body.is_empty(), "{path}");
        }
    }

    #[test]
    fn the_links_and_the_page_name_each_asset() {
        let page = String::from_utf8_lossy(PAGE);
        let links = LINK_FIELDS.concat();
        for (path, _) in ASSETS {
            assert!(page.contains(&format!("\"{path}\"")), "{path}");
            assert!(links.contains(&format!("<{path}>")), "{path}");
        }
    }

    #[test]
    fn only_early_sends_a_103_and_only_configured_has_no_links() {
        let links = |path| response(&Method::GET, path).links;
        assert_eq!(links("/"), OriginLinks::InHeader);
        assert_eq!(links("/quiet"), OriginLinks::InHeader);
        assert_eq!(links("/learned"), OriginLinks::InHeader);
        assert_eq!(links("/early"), OriginLinks::InHintAndHeader);
        assert_eq!(links("/configured"), OriginLinks::Unnamed);
    }

    #[test]
    fn an_unknown_path_and_another_method_are_refused() {
        assert_eq!(response(&Method::GET, "/nope").status, StatusCode::NOT_FOUND);
        assert_eq!(response(&Method::POST, "/").status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn the_response_to_head_is_that_to_get() {
        assert_eq!(response(&Method::HEAD, "/"), response(&Method::GET, "/"));
    }

    #[test]
    fn the_binary_assets_carry_their_signatures() {
        assert!(font().starts_with(b"wOF2") && font().len() == FONT_BYTES);
        assert!(LOGO.starts_with(b"\x89PNG\r\n\x1a\n"));
    }
}
