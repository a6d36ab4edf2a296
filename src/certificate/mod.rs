//! Reads the certificates of TLS listeners from PEM files, checks them, and chooses one for a client.
//!
//! `config` reads certificates with the configuration, so that a bad file is an error of the configuration, and a
//! reload reads the files again; `listen` serves them. Reading order: this file, then `choose` ([`Chooser`]).

mod choose;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Read as _},
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    Error as RustlsError, InconsistentKeys,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

pub use choose::Chooser;

/// A certificate chain with its key, which match.
#[derive(Debug)]
pub struct Certificate {
    served: std::sync::Arc<CertifiedKey>,
    names: Vec<Box<str>>,
    validity: Validity,
}

/// A certificate chain, the server's own certificate first.
#[derive(Debug)]
pub struct Chain(Vec<CertificateDer<'static>>);

/// A private key.
#[derive(Debug)]
pub struct Key(PrivateKeyDer<'static>);

/// The time in which a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Validity {
    not_before: SystemTime,
    not_after: SystemTime,
}

/// Why files contain no certificate that can be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(Box<str>),
    /// The file is longer than any certificate chain or key.
    #[error("it is longer than {MAX_FILE} bytes")]
    TooLong,
    /// The file is not valid PEM.
    #[error("it is not PEM: {0}")]
    Pem(Box<str>),
    /// The file has no certificate.
    #[error("it has no certificate")]
    NoCertificate,
    /// A certificate cannot be parsed.
    #[error("it has a certificate that cannot be understood: {0}")]
    Certificate(Box<str>),
    /// The file has no private key, or an encrypted one.
    #[error("it has no private key, or an encrypted one, which cannot be used")]
    NoKey,
    /// The key is of a kind that is not supported.
    #[error("its key cannot be used: {0}")]
    Key(Box<str>),
    /// The key belongs to another certificate.
    #[error("it is not the key of the certificate")]
    Mismatch,
}

/// A reason for clients to refuse a certificate, of which the operator should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Its time of validity is over.
    #[error("it has expired")]
    Expired,
    /// Its time of validity has not begun.
    #[error("it is not valid yet")]
    NotYetValid,
    /// It names no host, so clients that verify the host refuse it.
    #[error("it names no host")]
    Nameless,
}

/// Bytes of a file at most, 1 MiB: a chain of ten large certificates has 30 KB.
const MAX_FILE: u64 = 1024 * 1024;

impl Chain {
    /// Reads a PEM file: the server's certificate first, then the intermediate ones, each of which signed the one
    /// before.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no certificate, or an invalid one.
    pub fn read(file: &Path) -> Result<Self, CertificateError> {
        let pem = read(file)?;
        let chain = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| CertificateError::Pem(e.to_string().into()))?;
        if chain.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        for certificate in &chain {
            parsed(certificate)?;
        }
        Ok(Self(chain))
    }
}

impl Key {
    /// Reads the first private key of a PEM file: PKCS#8, PKCS#1 (RSA) or SEC1 (ECDSA).
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no private key.
    pub fn read(file: &Path) -> Result<Self, CertificateError> {
        use rustls::pki_types::pem::Error;
        PrivateKeyDer::from_pem_slice(&read(file)?)
            .map(Self)
            .map_err(|e| match e {
                Error::NoItemsFound => CertificateError::NoKey,
                other => CertificateError::Pem(other.to_string().into()),
            })
    }
}

impl Certificate {
    /// Joins a chain with its key.
    ///
    /// # Errors
    ///
    /// The key is of a kind that is not supported, or belongs to another certificate.
    pub fn new(chain: Chain, key: &Key) -> Result<Self, CertificateError> {
        let signing = any_supported_type(&key.0).map_err(|e| CertificateError::Key(e.to_string().into()))?;
        let (names, validity) = match chain.0.first() {
            Some(own) => parsed(own)?,
            None => return Err(CertificateError::NoCertificate),
        };
        let served = CertifiedKey::new(chain.0, signing);
        match served.keys_match() {
            Ok(()) => Ok(Self {
                served: served.into(),
                names,
                validity,
            }),
            Err(RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Err(CertificateError::Mismatch),
            Err(other) => Err(CertificateError::Certificate(other.to_string().into())),
        }
    }

    /// Returns the hosts that the certificate names, in lower case: `shop.example`, `*.shop.example`.
    #[must_use]
    pub fn names(&self) -> &[Box<str>] {
        &self.names
    }

    /// Returns the end of its validity.
    #[must_use]
    pub const fn not_after(&self) -> SystemTime {
        self.validity.not_after
    }

    /// Returns a reason for clients to refuse the certificate at this time, if there is one.
    #[must_use]
    pub fn doubt(&self, now: SystemTime) -> Option<Doubt> {
        if now > self.validity.not_after {
            Some(Doubt::Expired)
        } else if now < self.validity.not_before {
            Some(Doubt::NotYetValid)
        } else {
            self.names.is_empty().then_some(Doubt::Nameless)
        }
    }
}

/// Compares chains only: keys that match equal chains are equal.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.served.cert == other.served.cert
    }
}

impl Eq for Certificate {}

fn read(file: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |e: io::Error| CertificateError::Unreadable(e.to_string().into());
    let mut bytes = Vec::new();
    let length = std::fs::File::open(file)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if u64::try_from(length).is_ok_and(|length| length > MAX_FILE) {
        return Err(CertificateError::TooLong);
    }
    Ok(bytes)
}

/// Parses the names and the time of validity of a certificate.
fn parsed(der: &CertificateDer<'_>) -> Result<(Vec<Box<str>>, Validity), CertificateError> {
    let bad = |reason: String| CertificateError::Certificate(reason.into());
    let (_, certificate) = X509Certificate::from_der(der).map_err(|e| bad(e.to_string()))?;
    let alternative = certificate.subject_alternative_name().map_err(|e| bad(e.to_string()))?;
    let names = alternative
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into()),
            _ => None,
        })
        .collect();
    let validity = certificate.validity();
    Ok((
        names,
        Validity {
            not_before: time(validity.not_before.timestamp()),
            not_after: time(validity.not_after.timestamp()),
        },
    ))
}

/// Converts seconds since 1970; an earlier time becomes 1970.
fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.max(0).unsigned_abs())
}
