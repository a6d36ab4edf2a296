//! Tests the reading of valid and invalid certificates, and the choice of one for a client.

use std::{fs, path::PathBuf, sync::Arc};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use rustls::SignatureScheme;
use tempfile::TempDir;

use super::*;

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];

struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).expect("a writable folder");
        path
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("names")
}

/// Returns a certificate and its key, both PEM.
fn issue(params: &CertificateParams) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate.pem(), key.serialize_pem())
}

fn load(params: &CertificateParams) -> Certificate {
    let files = Files::new();
    let (certificate, key) = issue(params);
    let chain = Chain::read(&files.write("cert.pem", &certificate)).expect("a chain");
    Certificate::new(chain, &Key::read(&files.write("key.pem", &key)).expect("a key")).expect("a pair")
}

#[test]
fn the_hosts_of_a_certificate_are_its_dns_names_in_lower_case() {
    let loaded = load(&params(&["Shop.Example", "*.shop.example", "127.0.0.1"]));
    assert_eq!(loaded.names(), ["shop.example".into(), Box::from("*.shop.example")]);
}

#[test]
fn each_kind_of_bad_file_has_its_own_error() {
    let files = Files::new();
    let (certificate, key) = issue(&params(&["a.example"]));
    let (_, other_key) = issue(&params(&["a.example"]));
    let cut = certificate.replace("-----END CERTIFICATE-----", "");
    let scrambled = certificate.replacen("MII", "AAA", 1);
    let chain = |name, text: &str| Chain::read(&files.write(name, text)).map(|_| ()).expect_err(name);
    let private = |name, text: &str| Key::read(&files.write(name, text)).map(|_| ()).expect_err(name);
    let missing = files.folder.path().join("missing.pem");
    for error in [
        Chain::read(&missing).map(|_| ()).expect_err("missing"),
        Key::read(&missing).map(|_| ()).expect_err("missing"),
        Chain::read(files.folder.path()).map(|_| ()).expect_err("a folder"),
    ] {
        assert!(matches!(error, CertificateError::Unreadable(_)), "{error}");
    }
    assert_eq!(chain("empty", ""), CertificateError::NoCertificate);
    assert_eq!(chain("key-as-chain", &key), CertificateError::NoCertificate);
    assert!(matches!(chain("cut", &cut), CertificateError::Pem(_)));
    assert!(matches!(
        chain("scrambled", &scrambled),
        CertificateError::Certificate(_)
    ));
    assert_eq!(chain("long", &"x".repeat(1024 * 1024 + 1)), CertificateError::TooLong);
    assert_eq!(private("no-key", &certificate), CertificateError::NoKey);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    assert_eq!(private("encrypted", &encrypted), CertificateError::NoKey);

    let pair = |key: &str| {
        let chain = Chain::read(&files.write("cert.pem", &certificate)).expect("a chain");
        let key = Key::read(&files.write("key.pem", key)).expect("a key");
        Certificate::new(chain, &key)
    };
    pair(&key).expect("a pair");
    assert_eq!(pair(&other_key).expect_err("another's"), CertificateError::Mismatch);
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert!(matches!(pair(garbage).expect_err("no key"), CertificateError::Key(_)));
}

#[test]
fn expired_early_and_nameless_certificates_are_doubted() {
    let mut dated = params(&["a.example"]);
    dated.not_before = date_time_ymd(2020, 1, 1);
    dated.not_after = date_time_ymd(2030, 1, 1);
    let loaded = load(&dated);
    let year = |years: u64| UNIX_EPOCH + Duration::from_secs(years * 31_556_952);
    assert_eq!(loaded.doubt(year(49)), Some(Doubt::NotYetValid));
    assert_eq!(loaded.doubt(year(55)), None);
    assert_eq!(loaded.doubt(year(61)), Some(Doubt::Expired));
    assert_eq!(load(&params(&[])).doubt(year(56)), Some(Doubt::Nameless));
}

#[test]
fn the_host_chooses_an_exact_name_before_a_wildcard_before_the_first() {
    let names: [&[&str]; 4] = [
        &["first.example"],
        &["*.shop.example", "shop.example"],
        &["www.shop.example"],
        &["*.example"],
    ];
    let all: Vec<_> = names.iter().map(|names| Arc::new(load(&params(names)))).collect();
    let chooser = Chooser::new(all.clone()).expect("some");
    let chosen = |host| {
        let served = chooser.choose(host, ECDSA).expect("one");
        all.iter().position(|one| Arc::ptr_eq(&one.served, &served))
    };
    for (host, expected) in [
        (None, 0),
        (Some("first.example"), 0),
        (Some("shop.example"), 1),
        (Some("img.shop.example"), 1),
        (Some("IMG.Shop.Example"), 1),
        (Some("www.shop.example"), 2),
        (Some("a.b.shop.example"), 0),
        (Some("other.example"), 3),
        (Some("example"), 0),
        (Some("elsewhere.test"), 0),
        (Some(""), 0),
        (Some("."), 0),
    ] {
        assert_eq!(chosen(host), Some(expected), "{host:?}");
    }
    assert!(Chooser::new(Vec::new()).is_none());
}

#[test]
fn among_certificates_for_a_host_the_client_gets_one_whose_key_it_supports() {
    let ecdsa = Arc::new(load(&params(&["a.example"])));
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let files = Files::new();
    let issued = params(&["a.example"]).self_signed(&key).expect("a certificate");
    let chain = Chain::read(&files.write("cert.pem", &issued.pem())).expect("a chain");
    let key = Key::read(&files.write("key.pem", &key.serialize_pem())).expect("a key");
    let ed25519 = Arc::new(Certificate::new(chain, &key).expect("a pair"));
    let chooser = Chooser::new(vec![Arc::clone(&ed25519), Arc::clone(&ecdsa)]).expect("some");
    for host in [Some("a.example"), None] {
        let chosen = |schemes| chooser.choose(host, schemes).expect("one");
        assert!(Arc::ptr_eq(&chosen(ECDSA), &ecdsa.served));
        assert!(Arc::ptr_eq(&chosen(&[SignatureScheme::ED25519]), &ed25519.served));
        // If the client supports no key, the first is served and the handshake fails.
        assert!(Arc::ptr_eq(
            &chosen(&[SignatureScheme::RSA_PSS_SHA256]),
            &ed25519.served
        ));
    }
}
