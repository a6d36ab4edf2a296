//! Chooses the certificate for a client: by the host in its SNI (RFC 6066 section 3), and by the signature schemes that
//! it supports.

use std::{collections::HashMap, sync::Arc};

use rustls::{SignatureScheme, sign::CertifiedKey};

use super::Certificate;

/// The certificates of a listener, by the hosts that they name.
#[derive(Debug)]
pub struct Chooser {
    /// All certificates, in the order of the configuration; the first one serves hosts that no certificate names.
    all: Vec<Arc<CertifiedKey>>,
    /// The certificates with a name such as `shop.example` or `*.shop.example`, in the order of the configuration.
    by_name: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
}

impl Chooser {
    /// Makes a chooser of these certificates; `None` if there are none.
    #[must_use]
    pub fn new(certificates: Vec<Arc<Certificate>>) -> Option<Self> {
        let mut by_name: HashMap<Box<str>, Vec<_>> = HashMap::new();
        for certificate in &certificates {
            for name in certificate.names() {
                let named = by_name.entry(name.clone()).or_default();
                named.push(Arc::clone(&certificate.served));
            }
        }
        let all: Vec<_> = certificates
            .iter()
            .map(|certificate| Arc::clone(&certificate.served))
            .collect();
        (!all.is_empty()).then_some(Self { all, by_name })
    }

    /// Returns the certificate for a host: one that names the host, else one with a wildcard for it, else one of all.
    /// Among several, the first whose key the client supports, else the first.
    #[must_use]
    pub fn choose(&self, host: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let named = host.and_then(|host| {
            let host = host.to_ascii_lowercase();
            let exact = self.by_name.get(host.as_str());
            exact.or_else(|| {
                // A wildcard stands for one label (RFC 9525 section 6.3).
                let (_, parent) = host.split_once('.')?;
                self.by_name.get(format!("*.{parent}").as_str())
            })
        });
        let candidates = named.unwrap_or(&self.all);
        let suits = |served: &&Arc<CertifiedKey>| served.key.choose_scheme(schemes).is_some();
        candidates.iter().find(suits).or_else(|| candidates.first()).cloned()
    }
}
