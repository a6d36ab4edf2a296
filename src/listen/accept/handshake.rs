//! Finds out the client and the protocol of an accepted socket: reads the PROXY header, counts the client's
//! connections, agrees on TLS, reads the first bytes.
//!
//! The PROXY header precedes TLS. The caller sets one time limit for the whole handshake.

use std::{io, net::SocketAddr, time::Duration};

use log::debug;
use pingora::protocols::Stream;
use tokio::{io::AsyncReadExt, time::timeout};

use super::{
    connection_limit::{ConnectionLimit, Permit, TooMany},
    detect::{self, BelowHttp, FirstBytes, Protocol, UnexpectedStart},
};
use crate::{
    listen::{
        ClientIo, ListenMeter, Listener,
        meter::{ConnectionRefusal, TlsResult},
        proxy_header::{self, HeaderError, ProxyHeader},
    },
    peer::{Peer, ProxyProtocol, Scheme},
};

/// A connection that can be served.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) client_io: Box<ClientIo>,
    /// Bytes that were already read from `client_io`.
    pub(super) first: FirstBytes,
    pub(super) protocol: Protocol,
    /// Whether the client may change from HTTP/1.1 to HTTP/2.
    pub(super) h2c_upgrade: bool,
    /// The permit for this connection, where connections per client are limited.
    pub(super) permit: Option<Permit>,
}

/// Why a connection is closed without a response.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// A PROXY header is required, and the sender's address is not trusted.
    #[error("it is not among the trusted networks of its listener")]
    Untrusted,
    /// A PROXY header is required, and is missing or malformed.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// The first bytes are of another protocol than the listener takes.
    #[error("{0}")]
    Unexpected(#[from] UnexpectedStart),
    /// The client has too many open connections.
    #[error("{client}: {too_many}")]
    TooMany { client: SocketAddr, too_many: TooMany },
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// The connection ended or failed.
    #[error("it ended before its first request: {0}")]
    Ended(#[from] io::Error),
}

impl HandshakeError {
    /// Returns the name of a reason that an operator should know: a terminator or a listener is misconfigured, or a
    /// client has too many connections. `None`: clients do this all the time.
    pub(super) const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Untrusted => Some("untrusted"),
            Self::Header(_) => Some("proxy_header"),
            Self::Unexpected(start) => Some(start.reason()),
            Self::TooMany { .. } => Some("too_many_connections"),
            Self::Tls(_) | Self::Ended(_) => None,
        }
    }
}

impl From<&HandshakeError> for ConnectionRefusal {
    fn from(error: &HandshakeError) -> Self {
        match error {
            HandshakeError::Untrusted => Self::Untrusted,
            HandshakeError::Header(_) => Self::ProxyHeader,
            HandshakeError::Unexpected(_) => Self::Unexpected,
            HandshakeError::TooMany { .. } => Self::TooMany,
            HandshakeError::Tls(_) => Self::Tls,
            HandshakeError::Ended(_) => Self::Ended,
        }
    }
}

/// Bytes of one read: enough for a PROXY header of version 1 (107 bytes) or a short one of version 2, with the client's
/// first bytes behind it.
const CHUNK: usize = 512;

/// Reads everything before the first request, and the request's first bytes. `sender` is the address of the socket's
/// other end.
pub(super) async fn handshake(
    mut stream: Stream,
    sender: SocketAddr,
    listener: &Listener,
    (clients, max_connections): (&ConnectionLimit, usize),
    meter: &ListenMeter,
) -> Result<Accepted, HandshakeError> {
    let (header, ahead) = match listener.proxy_protocol {
        ProxyProtocol::Off => (ProxyHeader::default(), Vec::new()),
        ProxyProtocol::Required if !listener.trusted.contains(sender.ip()) => return Err(untrusted(&mut stream).await),
        ProxyProtocol::Required => read_header(&mut stream).await?,
    };
    let address = header.client.unwrap_or(sender);
    let permit = clients
        .enter(address.ip(), max_connections)
        .map_err(|too_many| HandshakeError::TooMany {
            client: address,
            too_many,
        })?;
    let ended_here = listener.tls.as_ref().map(|_| Scheme::Https);
    let peer = Peer {
        address,
        scheme: listener.scheme.or(ended_here).or(header.scheme),
        is_trusted: listener.trusted.contains(address.ip()),
        trusted: listener.trusted.clone(),
    };
    let mut client_io = Box::new(ClientIo::new(stream, peer.clone(), ahead));
    let mut agreed = None;
    if let Some(tls) = &listener.tls {
        let first = detect::read(&mut client_io).await?;
        first.check(BelowHttp::Tls)?;
        client_io.put_back(first.read());
        let secured = tls.accept(*client_io, peer).await;
        meter.tls.increment(match &secured {
            Ok(_) => TlsResult::Done,
            Err(_) => TlsResult::Failed,
        });
        let (secured, protocol) = secured.map_err(HandshakeError::Tls)?;
        (client_io, agreed) = (Box::new(secured), protocol);
    }
    let first = detect::read(&mut client_io).await?;
    if listener.tls.is_none() {
        first.check(BelowHttp::Nothing)?;
    }
    // After ALPN the client must speak the agreed protocol (RFC 9113 section 3.2); that protocol's server reports it if
    // not.
    let protocol = agreed.unwrap_or(first.protocol());
    if let Some(alpn) = header.alpn
        && (first.protocol() == Protocol::Http2) != (*alpn == *b"h2")
    {
        let protocol = first.protocol();
        debug!(
            "{address} agreed on {:?} and speaks {protocol:?}",
            alpn.escape_ascii().to_string()
        );
    }
    Ok(Accepted {
        client_io,
        first,
        protocol,
        h2c_upgrade: listener.h2c_upgrade,
        permit,
    })
}

/// Returns why a connection from an untrusted address is closed. One that ends without a byte, as the probes of load
/// balancers and monitors do, counts as ended, which is no reason to warn.
async fn untrusted(stream: &mut Stream) -> HandshakeError {
    match timeout(PROBE_TIMEOUT, stream.read_u8()).await {
        Ok(Err(e)) => HandshakeError::Ended(e),
        Ok(Ok(_)) | Err(_) => HandshakeError::Untrusted,
    }
}

/// Time that a probe has to close its connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads a PROXY header; returns it and the bytes that came behind it.
async fn read_header(stream: &mut Stream) -> Result<(ProxyHeader, Vec<u8>), HandshakeError> {
    let mut bytes = Vec::with_capacity(CHUNK);
    loop {
        if let Some((header, length)) = proxy_header::parse(&bytes)? {
            return Ok((header, bytes.split_off(length)));
        }
        // `parse` fails for headers that are too long, so this never exceeds the longest header and one chunk.
        bytes.reserve(CHUNK);
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}
