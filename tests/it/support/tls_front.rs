//! TLS in front of an origin, with a certificate of an authority of its own.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a client asked for in TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub name: Option<String>,
    pub protocol: Option<Vec<u8>>,
}

/// A running front; stops with the runtime of its test.
pub struct TlsFront {
    pub address: SocketAddr,
    /// The file of its authority.
    pub ca: tempfile::NamedTempFile,
    hellos: Arc<Mutex<Vec<Hello>>>,
}

impl TlsFront {
    /// Starts a front of an origin whose certificate has this name. It speaks HTTP/2, too, if asked.
    pub async fn start(origin: SocketAddr, name: &str) -> Self {
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &authority).expect("signed");
        let ca = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(ca.path(), authority.pem()).expect("written");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate");
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let front = Self {
            address: listener.local_addr().expect("an address"),
            ca,
            hellos: Arc::default(),
        };
        let hellos = Arc::clone(&front.hellos);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, hellos) = (acceptor.clone(), Arc::clone(&hellos));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let tls = stream.get_ref().1;
                    hellos.lock().expect("no panic").push(Hello {
                        name: tls.server_name().map(str::to_owned),
                        protocol: tls.alpn_protocol().map(<[u8]>::to_vec),
                    });
                    let mut origin = TcpStream::connect(origin).await.expect("the origin listens");
                    let _ = tokio::io::copy_bidirectional(&mut stream, &mut origin).await;
                });
            }
        });
        front
    }

    /// Handshakes that ended well, in order.
    pub fn hellos(&self) -> Vec<Hello> {
        self.hellos.lock().expect("no panic").clone()
    }
}
