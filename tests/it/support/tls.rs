//! Certificates, and a TLS client that trusts them.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{CertificateParams, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A certificate that vouches for itself, with its key.
pub struct Issued {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

/// A certificate for these hosts and addresses.
pub fn issue(names: &[&str]) -> Issued {
    issue_with(names, |_| ())
}

/// The same, changed before it is signed.
pub fn issue_with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    change(&mut params);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    Issued {
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        der: certificate.der().clone(),
    }
}

impl Issued {
    /// Writes `name.pem` and `name.key`, at once each.
    pub fn write(&self, folder: &Path, name: &str) {
        for (end, text) in [("pem", &self.certificate), ("key", &self.key)] {
            let new = folder.join(format!("{name}.{end}.new"));
            fs::write(&new, text).expect("a writable folder");
            fs::rename(new, folder.join(format!("{name}.{end}"))).expect("a writable folder");
        }
    }

    /// Writes one file with both, as terminators want it.
    pub fn write_both(&self, folder: &Path) -> PathBuf {
        let path = folder.join("both.pem");
        fs::write(&path, format!("{}{}", self.key, self.certificate)).expect("a writable folder");
        path
    }

    /// A TLS connection over which only this certificate is taken.
    pub async fn connect(&self, address: SocketAddr, host: &str, alpn: &[&str]) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        super::within("TLS", self.over(stream, host, alpn)).await.expect("TLS")
    }

    /// The same over a connection that is there; an error where TLS is not agreed on.
    pub async fn over(&self, stream: TcpStream, host: &str, alpn: &[&str]) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        let host = ServerName::try_from(host.to_owned()).expect("a host");
        TlsConnector::from(Arc::new(config)).connect(host, stream).await
    }
}
