//! Terminates TLS with rustls: TLS 1.2 and 1.3, ALPN `h2` and `http/1.1`, certificates chosen by SNI.
//!
//! Pingora's own TLS listeners take one certificate, which a reload cannot replace, and read no PROXY header first. So
//! Pingora's listeners stay cleartext, and TLS begins here, behind the PROXY header if there is one.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType, raw_connect::ProxyDigest, tls::SslDigest,
};
use rustls::{
    ProtocolVersion, ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::detect::Protocol;
use crate::{
    certificate::{Certificate, Chooser},
    listen::ClientIo,
    peer::{Peer, TlsSession},
};

/// The TLS settings of a listener; clones share them.
#[derive(Debug, Clone)]
pub(crate) struct Tls(Arc<ServerConfig>);

/// Why TLS cannot be set up with these certificates.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum TlsError {
    /// The list of certificates is empty.
    #[error("a TLS listener without a certificate")]
    NoCertificate,
    /// rustls refuses the settings.
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Most encrypted bytes that wait for the socket. A document that arrives during a push is queued behind them, so they
/// are two TLS records (16 KiB each) instead of rustls's 64 KiB.
const BUFFER: usize = 32 * 1024;

/// The protocols offered by ALPN, best first (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

impl Tls {
    /// Returns TLS with these certificates. Clients that name no host, or an unknown one, get the first.
    ///
    /// # Errors
    ///
    /// There is no certificate, or rustls refuses.
    pub(crate) fn new(certificates: Vec<Arc<Certificate>>) -> Result<Self, TlsError> {
        let chooser = Chooser::new(certificates).ok_or(TlsError::NoCertificate)?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(BySni(chooser)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Self(Arc::new(config)))
    }

    /// Performs the TLS handshake; returns the secured connection, and the protocol if the client speaks ALPN.
    pub(super) async fn accept(&self, client_io: ClientIo, peer: Peer) -> io::Result<(ClientIo, Option<Protocol>)> {
        let mut tls = TlsAcceptor::from(Arc::clone(&self.0)).accept(client_io).await?;
        tls.get_mut().1.set_buffer_limit(Some(BUFFER));
        let session = tls.get_ref().1;
        let agreed = session.alpn_protocol().map(|protocol| match protocol {
            b"h2" => Protocol::Http2,
            _ => Protocol::Http1,
        });
        let facts = TlsSession {
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                // rustls knows no other.
                _ => "1.3",
            },
            alpn: agreed.map(|protocol| match protocol {
                Protocol::Http2 => "h2",
                Protocol::Http1 => "http/1.1",
            }),
        };
        let name = |known: Option<String>| known.unwrap_or_default();
        let digest = SslDigest::new(
            name(
                session
                    .negotiated_cipher_suite()
                    .map(|suite| format!("{:?}", suite.suite())),
            ),
            name(session.protocol_version().map(|version| format!("{version:?}"))),
            None,
            None,
            Vec::new(),
        );
        let digest = Arc::new(digest);
        let secured = ClientIo::secured(Box::new(Secured { tls, digest }), peer, facts);
        Ok((secured, agreed))
    }
}

#[derive(Debug)]
struct BySni(Chooser);

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.choose(hello.server_name(), hello.signature_schemes())
    }
}

/// An encrypted connection as Pingora sees it.
#[derive(Debug)]
struct Secured {
    tls: TlsStream<ClientIo>,
    digest: Arc<SslDigest>,
}

/// Time for a client to take the TLS close_notify alert.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

impl Secured {
    fn below(&self) -> &ClientIo {
        self.tls.get_ref().0
    }
}

impl AsyncRead for Secured {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_read(cx, buf)
    }
}

impl AsyncWrite for Secured {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }
}

#[async_trait]
impl Shutdown for Secured {
    async fn shutdown(&mut self) {
        // A client that has left, or takes no more bytes, needs no close_notify.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, AsyncWriteExt::shutdown(&mut self.tls)).await;
    }
}

impl UniqueID for Secured {
    fn id(&self) -> UniqueIDType {
        self.below().id()
    }
}

impl Ssl for Secured {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        Some(Arc::clone(&self.digest))
    }
}

impl Peek for Secured {}

impl GetTimingDigest for Secured {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.below().get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.below().get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.below().get_write_pending_time()
    }
}

impl GetProxyDigest for Secured {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.below().get_proxy_digest()
    }
}

impl GetSocketDigest for Secured {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.below().get_socket_digest()
    }
}
