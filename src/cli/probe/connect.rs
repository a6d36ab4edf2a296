//! Opens a connection for HTTP/2: cleartext by prior knowledge (RFC 9113 section 3.3), or TLS with ALPN `h2`.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// A byte stream to a server, encrypted or not.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// Why no connection could be opened.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The URL's scheme is neither http nor https.
    #[error("the scheme must be http or https, got {0}")]
    Scheme(String),
    /// The URL names no host.
    #[error("the URL names no host")]
    NoHost,
    /// TCP could not connect, or the name could not be resolved.
    #[error("connecting to {address}")]
    Tcp {
        /// Host and port.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// The system has no root certificates.
    #[error("the system has no trusted root certificates ({0}); --insecure goes without")]
    NoRoots(String),
    /// The TLS client could not be set up.
    #[error("setting up TLS")]
    Setup(#[source] rustls::Error),
    /// The handshake failed.
    #[error("TLS with {host}")]
    Tls {
        /// The server's name.
        host: String,
        /// The error of TLS.
        source: io::Error,
    },
    /// The certificate is not valid for the host, or no trusted root has signed it.
    #[error("the certificate of {host} is not trusted (--insecure accepts any)")]
    Certificate {
        /// The server's name.
        host: String,
        /// The error of TLS.
        source: io::Error,
    },
    /// The server chose another protocol than HTTP/2.
    #[error("the server selected {0} by ALPN, not h2: it offers no HTTP/2 here")]
    Alpn(String),
}

/// Whether a server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verification {
    /// The certificate is verified against the system's roots.
    System,
    /// Any certificate is accepted.
    Skipped,
}

/// Connects to a URL's host, with TLS and ALPN for `https`.
///
/// # Errors
///
/// See [`ConnectError`].
pub(super) async fn connect(url: &Url, verification: Verification) -> Result<Box<dyn Transport>, ConnectError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConnectError::Scheme(url.scheme().to_owned()));
    }
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(ConnectError::NoHost);
    };
    // An IPv6 address has brackets in a URL, and none here.
    let name = match host {
        url::Host::Domain(name) => name.to_owned(),
        url::Host::Ipv4(address) => address.to_string(),
        url::Host::Ipv6(address) => address.to_string(),
    };
    let stream = TcpStream::connect((name.as_str(), port))
        .await
        .map_err(|source| ConnectError::Tcp {
            address: format!("{host}:{port}"),
            source,
        })?;
    // Small frames must not wait for acknowledgements, which would distort the table's times.
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("probe: TCP_NODELAY: {error}");
    }
    if url.scheme() == "http" {
        return Ok(Box::new(stream));
    }
    encrypt(stream, name, verification).await
}

async fn encrypt(
    stream: TcpStream,
    host: String,
    verification: Verification,
) -> Result<Box<dyn Transport>, ConnectError> {
    let name = ServerName::try_from(host.clone()).map_err(|_| ConnectError::NoHost)?;
    let connector = TlsConnector::from(Arc::new(client_config(verification)?));
    let stream = connector
        .connect(name, stream)
        .await
        .map_err(|source| tls_error(host, source))?;
    match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Ok(Box::new(stream)),
        Some(other) => Err(ConnectError::Alpn(String::from_utf8_lossy(other).into_owned())),
        None => Err(ConnectError::Alpn("no protocol".to_owned())),
    }
}

fn client_config(verification: Verification) -> Result<ClientConfig, ConnectError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(ConnectError::Setup)?;
    let mut config = match verification {
        Verification::System => builder.with_root_certificates(system_roots()?),
        Verification::Skipped => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    }
    .with_no_client_auth();
    // http/1.1 is offered so that a server without HTTP/2 selects it, instead of failing the handshake.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn system_roots() -> Result<RootCertStore, ConnectError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Certificates that rustls cannot read are skipped.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let reason = found
            .errors
            .first()
            .map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(ConnectError::NoRoots(reason));
    }
    Ok(roots)
}

fn tls_error(host: String, source: io::Error) -> ConnectError {
    let is_certificate = source
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .is_some_and(|error| matches!(error, rustls::Error::InvalidCertificate(_)));
    if is_certificate {
        ConnectError::Certificate { host, source }
    } else {
        ConnectError::Tls { host, source }
    }
}

/// A verifier that accepts every certificate, and checks that the server has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
