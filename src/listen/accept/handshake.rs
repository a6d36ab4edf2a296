//! From an accepted socket to a connection whose client and protocol are known: PROXY header, the
//! client's number of connections, TLS, the first bytes.
//!
//! The header is read before TLS. Everything here is within one limit of time, which the caller
//! keeps.

use std::{io, net::SocketAddr, time::Duration};

use log::debug;
use pingora::protocols::Stream;
use tokio::{io::AsyncReadExt, time::timeout};

use super::{
    connection_limit::{ConnectionLimit, Permit, TooMany},
    detect::{self, FirstBytes, Protocol},
};
use crate::{
    listen::{
        ClientIo, Listener,
        proxy_header::{self, HeaderError, ProxyHeader},
    },
    peer::{Peer, ProxyProtocol, Scheme},
};

/// A connection that can be served.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) client_io: Box<ClientIo>,
    /// Read from it already.
    pub(super) first: FirstBytes,
    pub(super) protocol: Protocol,
    /// It may change to HTTP/2 later.
    pub(super) h2c_upgrade: bool,
    /// Its place among its client's connections, where those are limited.
    pub(super) permit: Option<Permit>,
}

/// Why a connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// A PROXY header is required, and this address may not send one.
    #[error("it is not among the trusted networks of its listener")]
    Untrusted,
    /// A PROXY header is required, and there is none that can be used.
    #[error("{0}")]
    Header(#[from] HeaderError),
    /// Its client has too many.
    #[error("{client}: {too_many}")]
    TooMany { client: SocketAddr, too_many: TooMany },
    /// No TLS was agreed on.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// It ended or failed.
    #[error("it ended before its first request: {0}")]
    Ended(#[from] io::Error),
}

/// Bytes that are read at once: a header of version 1 or a short one of version 2, and what a client
/// sends first.
const CHUNK: usize = 512;

/// Reads all that comes before the first request. `sender` is the socket's other end.
pub(super) async fn handshake(
    mut stream: Stream,
    sender: SocketAddr,
    listener: &Listener,
    clients: &ConnectionLimit,
    max_connections: usize,
) -> Result<Accepted, HandshakeError> {
    let (told, ahead) = match listener.proxy_protocol {
        ProxyProtocol::Off => (ProxyHeader::default(), Vec::new()),
        ProxyProtocol::Required if !listener.trusted.contains(sender.ip()) => return Err(untrusted(&mut stream).await),
        ProxyProtocol::Required => read_header(&mut stream).await?,
    };
    let address = told.client.unwrap_or(sender);
    let permit = clients
        .enter(address.ip(), max_connections)
        .map_err(|too_many| HandshakeError::TooMany {
            client: address,
            too_many,
        })?;
    let ended_here = listener.tls.as_ref().map(|_| Scheme::Https);
    let peer = Peer {
        address,
        scheme: listener.scheme.or(ended_here).or(told.scheme),
        is_trusted: listener.trusted.contains(address.ip()),
        trusted: listener.trusted.clone(),
    };
    let mut client_io = Box::new(ClientIo::new(stream, peer, ahead));
    let mut agreed = None;
    if let Some(tls) = &listener.tls {
        let (secured, protocol) = tls.accept(*client_io).await.map_err(HandshakeError::Tls)?;
        (client_io, agreed) = (Box::new(secured), protocol);
    }
    let first = detect::read(&mut client_io).await?;
    // A client that agreed on a protocol speaks it, or is told its error in it (RFC 9113 section 3.2).
    let protocol = agreed.unwrap_or(first.protocol());
    if let Some(alpn) = told.alpn
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

/// Why a connection from an untrusted address is closed: one that only looks whether somebody listens
/// is no reason to warn.
async fn untrusted(stream: &mut Stream) -> HandshakeError {
    match timeout(PROBE_TIMEOUT, stream.read_u8()).await {
        Ok(Err(e)) => HandshakeError::Ended(e),
        Ok(Ok(_)) | Err(_) => HandshakeError::Untrusted,
    }
}

/// Whoever only looks is gone by then.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads a PROXY header, and returns the bytes that came behind it.
async fn read_header(stream: &mut Stream) -> Result<(ProxyHeader, Vec<u8>), HandshakeError> {
    let mut bytes = Vec::with_capacity(CHUNK);
    loop {
        if let Some((told, length)) = proxy_header::parse(&bytes)? {
            return Ok((told, bytes.split_off(length)));
        }
        // No longer than a header and one chunk, since a longer header is an error.
        bytes.reserve(CHUNK);
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}
