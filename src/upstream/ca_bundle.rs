//! Reads the certificate authorities of a PEM file once: [`CaBundle`].

use std::{fmt, path::Path, sync::Arc};

use pingora::{protocols::tls::CaType, utils::tls::WrappedX509};
use rustls::{RootCertStore, pki_types::CertificateDer};
use rustls_pki_types::pem::PemObject as _;

/// Certificate authorities that may have signed the certificates of servers.
#[derive(Clone)]
pub struct CaBundle {
    certificates: Vec<CertificateDer<'static>>,
    /// The certificates in Pingora's form.
    parsed: Arc<CaType>,
}

/// Why a file of authorities cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaBundleError {
    /// The file cannot be read, or is not PEM.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    /// The file has no certificate.
    #[error("it has no certificate")]
    Empty,
    /// A certificate in the file is invalid.
    #[error("certificate {number} in it is not valid: {reason}")]
    Invalid {
        /// Its number in the file, from 1.
        number: usize,
        /// The error of the parser.
        reason: String,
    },
}

impl CaBundle {
    /// Reads a PEM file.
    ///
    /// # Errors
    ///
    /// The file has no certificate, or an invalid one.
    pub fn read(file: &Path) -> Result<Self, CaBundleError> {
        let unreadable = |e: rustls_pki_types::pem::Error| {
            CaBundleError::Unreadable(match e {
                rustls_pki_types::pem::Error::Io(e) => e.to_string(),
                e => e.to_string(),
            })
        };
        let certificates = CertificateDer::pem_file_iter(file)
            .map_err(unreadable)?
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        Self::new(certificates)
    }

    fn new(certificates: Vec<CertificateDer<'static>>) -> Result<Self, CaBundleError> {
        let mut store = RootCertStore::empty();
        let mut parsed = Vec::with_capacity(certificates.len());
        for (index, certificate) in certificates.iter().enumerate() {
            let invalid = |reason: String| CaBundleError::Invalid {
                number: index + 1,
                reason,
            };
            store.add(certificate.clone()).map_err(|e| invalid(e.to_string()))?;
            // Pingora's own function panics on an invalid certificate.
            let one = WrappedX509::try_new(certificate.to_vec(), |der| {
                x509_parser::parse_x509_certificate(der).map(|(_, parsed)| parsed)
            });
            parsed.push(one.map_err(|e| invalid(e.to_string()))?);
        }
        if parsed.is_empty() {
            return Err(CaBundleError::Empty);
        }
        Ok(Self {
            certificates,
            parsed: parsed.into(),
        })
    }

    pub(in crate::upstream) fn parsed(&self) -> &Arc<CaType> {
        &self.parsed
    }
}

impl PartialEq for CaBundle {
    fn eq(&self, other: &Self) -> bool {
        self.certificates == other.certificates
    }
}

impl Eq for CaBundle {}

impl fmt::Debug for CaBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaBundle({} certificates)", self.certificates.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_valid_certificates_is_refused_with_the_reason() {
        let said = |bytes: &[u8]| {
            let file = tempfile::NamedTempFile::new().expect("a temporary file");
            std::fs::write(file.path(), bytes).expect("written");
            CaBundle::read(file.path()).map(|_| ()).expect_err("no authorities")
        };
        assert_eq!(said(b""), CaBundleError::Empty);
        let pem = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert!(matches!(said(pem), CaBundleError::Invalid { number: 1, .. }));
        assert!(matches!(
            CaBundle::read(Path::new("/no/such/file")),
            Err(CaBundleError::Unreadable(_))
        ));
    }
}
