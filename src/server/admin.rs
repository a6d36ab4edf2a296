//! Serves `POST /purge`, `POST /learned` and `GET /metrics` on a loopback address or a Unix socket.
//!
//! Every local user who can reach the address or open the socket may use them. Web pages may not, though any page can
//! make a local browser send requests: a request with `Origin`, or with a `Sec-Fetch-Site` other than `none`, is
//! refused. A page's own host name may resolve to a loopback address (DNS rebinding), so at an address Host must be an
//! IP address or `localhost`.

use std::{
    fs::{Permissions, remove_file},
    io,
    net::Ipv4Addr,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::{HeaderValue, Method, Response, StatusCode, header};
use log::info;
use pingora::{
    apps::{ServerApp, http_app::ServeHttp},
    protocols::{Stream, http::ServerSession},
    server::ShutdownWatch,
    services::listening::Service,
};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    error::ServerError,
    learned::{self, LEARNED_PATH, LearnedDocument, LearnedError, LearnedRequest},
    observe::ObservedServer,
    parts::ServerParts,
    sockets::{Sockets, free_address},
};
use crate::{
    cache::{BadUrl, Purge, Store},
    config,
    learn::ManifestStore,
    peer::target::authority,
    proxy::ProxySnapshot,
    telemetry::TextFormat,
};

/// The path of purges.
pub const PURGE_PATH: &str = "/purge";

/// The path of the metrics.
const METRICS_PATH: &str = "/metrics";

/// The content of `POST /purge`, as JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum PurgeRequest {
    /// Removes the stored responses of a URL: `{"url": "https://shop.example/main.css"}`.
    Url(String),
    /// Removes those of all URLs with this prefix: `{"prefix": "https://shop.example/static/"}`.
    Prefix(String),
    /// Removes all stored responses: `{"all": true}`.
    All(bool),
}

/// The content of the response to a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// The number of stored responses that were removed, each variant (`Vary`) counted.
    pub purged: u64,
}

/// The content of the response to a refused request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The reason.
    pub error: String,
}

impl PurgeRequest {
    fn purge(&self) -> Result<Purge, Refusal> {
        match self {
            Self::Url(url) => Ok(Purge::url(url)?),
            Self::Prefix(prefix) => Ok(Purge::prefix(prefix)?),
            Self::All(true) => Ok(Purge::All),
            Self::All(false) => Err(Refusal::Nothing),
        }
    }
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("not found, there are only {PURGE_PATH}, {LEARNED_PATH} and {METRICS_PATH}")]
    Path,
    #[error("only {0}")]
    Method(Method),
    #[error("not from a web page")]
    Origin,
    #[error("Host must be an IP address or localhost, got {0:?}")]
    Host(String),
    #[error("too large, at most {MAX_BODY} bytes")]
    TooLarge,
    #[error("the request did not arrive")]
    Incomplete,
    #[error("not a purge: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Url(#[from] BadUrl),
    #[error("not a question about a document: {0}")]
    Question(serde_json::Error),
    #[error(transparent)]
    Learned(#[from] LearnedError),
    #[error("nothing to purge")]
    Nothing,
    #[error("the purge did not come to its end")]
    Failed,
}

impl Refusal {
    const fn status(&self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete | Self::Json(_) | Self::Url(_) | Self::Question(_) | Self::Learned(_) | Self::Nothing => {
                StatusCode::BAD_REQUEST
            }
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// The result of a request.
enum AdminOutcome {
    Purged(Purged),
    Learned(LearnedDocument),
    Metrics(TextFormat, String),
}

const JSON: &str = "application/json";

/// Most bytes of a purge's JSON. A URL of 2.7 KiB fits even if each byte is escaped as `\u00xx`.
const MAX_BODY: usize = 16 * 1024;

/// Time for a request to arrive and its response to be sent; then the connection is closed.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The application of the admin service.
pub(super) struct AdminApp {
    known: AdminParts,
    observed: Arc<ObservedServer>,
    /// Whether the service is at an address, which browsers can reach, not at a Unix socket.
    is_at_address: bool,
}

/// The parts of the server that the admin service asks and changes.
pub(super) struct AdminParts {
    store: &'static Store,
    edge: Arc<ArcSwap<ProxySnapshot>>,
    manifests: Arc<ManifestStore>,
}

impl AdminParts {
    /// Takes them from the parts of a server.
    pub(super) fn of(parts: &ServerParts) -> Self {
        Self {
            store: parts.cache,
            edge: Arc::clone(&parts.edge),
            manifests: Arc::clone(&parts.manifests),
        }
    }
}

/// Ends a connection after [`TIME_LIMIT`]: Pingora limits each read of a request, not the whole.
pub(super) struct InTime(Arc<AdminApp>);

#[async_trait]
impl ServerApp for InTime {
    async fn process_new(self: &Arc<Self>, connection: Stream, shutdown: &ShutdownWatch) -> Option<Stream> {
        let serving = self.0.process_new(connection, shutdown);
        timeout(TIME_LIMIT, serving).await.ok().flatten()
    }
}

/// Makes the admin service at this address or socket.
///
/// # Errors
///
/// The address or socket cannot be listened on; Pingora would panic later.
pub(super) fn service(
    entrance: &config::AdminEndpoint,
    known: AdminParts,
    observed: Arc<ObservedServer>,
    sockets: Sockets,
) -> Result<Service<InTime>, ServerError> {
    let admin = AdminApp {
        known,
        observed,
        is_at_address: matches!(entrance, config::AdminEndpoint::Address(_)),
    };
    let mut service = Service::new("admin".to_owned(), InTime(Arc::new(admin)));
    service.threads = Some(1);
    match entrance {
        config::AdminEndpoint::Address(address) => {
            if sockets == Sockets::Open {
                free_address(*address)?;
            }
            service.add_tcp(&address.to_string());
        }
        config::AdminEndpoint::Socket(path) => {
            if sockets == Sockets::Open {
                free_socket(path).map_err(|source| ServerError::AdminSocket {
                    path: path.clone(),
                    source,
                })?;
            }
            service.add_uds(&path.display().to_string(), Some(Permissions::from_mode(0o600)));
        }
    }
    Ok(service)
}

/// Removes a stale socket file, and checks that a socket can be made at this path. Fails if a server listens there:
/// Pingora would replace its file.
fn free_socket(path: &Path) -> io::Result<()> {
    if UnixStream::connect(path).is_ok() {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    // Nothing but a socket is removed; another file makes the next step fail.
    let is_socket = path.symlink_metadata().is_ok_and(|there| there.file_type().is_socket());
    if is_socket {
        remove_file(path)?;
    }
    UnixListener::bind(path)?;
    remove_file(path)
}

#[async_trait]
impl ServeHttp for AdminApp {
    async fn response(&self, session: &mut ServerSession) -> Response<Vec<u8>> {
        // Serializing these structures never fails.
        let json = |written: serde_json::Result<Vec<u8>>| (JSON, written.unwrap_or_default());
        let (status, (kind, body)) = match self.obey(session).await {
            Ok(AdminOutcome::Purged(purged)) => (StatusCode::OK, json(serde_json::to_vec(&purged))),
            Ok(AdminOutcome::Learned(learned)) => (StatusCode::OK, json(serde_json::to_vec(&learned))),
            Ok(AdminOutcome::Metrics(format, text)) => (StatusCode::OK, (format.media_type(), text.into_bytes())),
            Err(refusal) => {
                let error = refusal.to_string();
                (refusal.status(), json(serde_json::to_vec(&Refused { error })))
            }
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let length = response.body().len();
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        session.set_keepalive(None);
        response
    }
}

impl AdminApp {
    async fn obey(&self, session: &mut ServerSession) -> Result<AdminOutcome, Refusal> {
        let request = session.req_header();
        let wanted = match request.uri.path() {
            PURGE_PATH | LEARNED_PATH => Method::POST,
            METRICS_PATH => Method::GET,
            _ => return Err(Refusal::Path),
        };
        if request.method != wanted {
            return Err(Refusal::Method(wanted));
        }
        let site = request.headers.get("sec-fetch-site");
        if request.headers.contains_key(header::ORIGIN) || site.is_some_and(|site| site != "none") {
            return Err(Refusal::Origin);
        }
        if self.is_at_address {
            let host = request
                .headers
                .get(header::HOST)
                .map_or(&b""[..], HeaderValue::as_bytes);
            if !is_this_machine(host) {
                return Err(Refusal::Host(String::from_utf8_lossy(host).into_owned()));
            }
        }
        if wanted == Method::GET {
            let accept = request
                .headers
                .get_all(header::ACCEPT)
                .iter()
                .map(HeaderValue::as_bytes);
            let format = TextFormat::accepted(&accept.collect::<Vec<_>>().join(&b","[..]));
            return Ok(AdminOutcome::Metrics(format, format.write(self.observed.snapshot())));
        }
        let asks = request.uri.path() == LEARNED_PATH;
        let body = body(session).await?;
        if asks {
            let question = serde_json::from_slice::<LearnedRequest>(&body).map_err(Refusal::Question)?;
            let learned = learned::answer(&self.known.edge.load(), &self.known.manifests, &question)?;
            return Ok(AdminOutcome::Learned(learned));
        }
        let purge = serde_json::from_slice::<PurgeRequest>(&body)?.purge()?;
        let store = self.known.store;
        info!("purge: {purge}");
        // A purge walks through all stored responses, which may take long.
        let purged = tokio::task::spawn_blocking(move || store.purge(&purge));
        let purged = purged.await.map_err(|_| Refusal::Failed)?;
        info!("purge: {purged} answers are forgotten");
        Ok(AdminOutcome::Purged(Purged { purged }))
    }
}

/// Returns whether a Host is an IP address or `localhost`, with or without a port, and so not the name of a site.
fn is_this_machine(host: &[u8]) -> bool {
    let Ok(host) = authority(host) else { return false };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    // `authority` accepts brackets only round an IPv6 address.
    name.starts_with('[') || name.parse::<Ipv4Addr>().is_ok() || name.eq_ignore_ascii_case("localhost")
}

/// Reads the whole content of a request.
async fn body(session: &mut ServerSession) -> Result<Vec<u8>, Refusal> {
    let mut body = Vec::new();
    loop {
        match session.read_request_body().await {
            Err(_) => return Err(Refusal::Incomplete),
            Ok(None) => return Ok(body),
            Ok(Some(part)) if body.len() + part.len() > MAX_BODY => return Err(Refusal::TooLarge),
            Ok(Some(part)) => body.extend_from_slice(&part),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ip_addresses_and_localhost_are_accepted_as_host() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9901",
            "[::1]:9901",
            "[::1]",
            "localhost",
            "LocalHost:1",
            "10.1.2.3:80",
        ] {
            assert!(is_this_machine(host.as_bytes()), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:9901",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "::1",
            "a b",
        ] {
            assert!(!is_this_machine(host.as_bytes()), "{host}");
        }
    }
}
