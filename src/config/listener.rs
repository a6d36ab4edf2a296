//! Reads the `listeners` section.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use super::{
    decode::{At, list, non_empty_list, parse, parse_or_reason, unless_off, word},
    findings::{Findings, Reported},
    settings::read_settings,
    value,
};
use crate::{
    certificate::{Certificate, Chain, Key},
    peer::{ProxyProtocol, Scheme, Trusted},
};

/// An address on which HTTP/2 and HTTP/1.x connections are accepted.
///
/// # Defaults
///
/// Cleartext, without a PROXY header; no trusted peers; the scheme from the connection; upgrades to HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerPolicy {
    /// The address.
    pub address: SocketAddr,
    /// Whether connections begin with a PROXY header; if so, `trusted` is not empty.
    pub proxy_protocol: ProxyProtocol,
    /// The peers whose PROXY header and forwarding fields are believed.
    pub trusted: Trusted,
    /// The scheme that clients use; `None` takes the scheme from the connection.
    pub scheme: Option<Scheme>,
    /// Whether HTTP/1.1 clients may switch to HTTP/2 by `Upgrade: h2c`.
    pub h2c_upgrade: bool,
    /// The certificates for TLS, the first being the default; empty for a listener without TLS.
    pub certificates: Vec<Arc<Certificate>>,
}

impl ListenerPolicy {
    /// Makes a listener with the defaults.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            proxy_protocol: ProxyProtocol::Off,
            trusted: Trusted::default(),
            scheme: None,
            h2c_upgrade: true,
            certificates: Vec::new(),
        }
    }
}

pub(super) fn listeners(at: &At<'_>, found: &mut Findings<'_>) -> Result<Vec<ListenerPolicy>, Reported> {
    let mut seen = HashMap::new();
    non_empty_list(LISTENERS, |at, found| listener(at, &mut seen, found))(at, found)
}

fn listener(
    at: &At<'_>,
    seen: &mut HashMap<SocketAddr, u64>,
    found: &mut Findings<'_>,
) -> Result<ListenerPolicy, Reported> {
    let mut listener = ListenerPolicy::new(SocketAddr::from(([0, 0, 0, 0], 0)));
    let settings = read_settings!(at, found, {
        "address";
        "proxy_protocol" => listener.proxy_protocol, word(PROXY_PROTOCOL);
        "trusted";
        "scheme";
        "h2c_upgrade" => listener.h2c_upgrade, word(value::SWITCH);
        "tls";
    });
    let address = settings.required("address", ADDRESS, found, |at, found| {
        let address: SocketAddr = parse(ADDRESS, |text| text.parse().ok())(at, found)?;
        match address.port() {
            0 => Ok(address), // a different free port each time
            _ => at.unique(address, seen, found),
        }
    });
    let mut networks = list("a list of networks", parse(value::NETWORK_ALLOWED, value::network));
    let trusted = settings
        .find("trusted")
        .map_or(Ok(Vec::new()), |at| networks(at, found));
    let tls = settings.find("tls");
    let certificates = tls.map_or(Ok(None), |at| unless_off(certificates)(at, found));
    // A listener with bad certificates counts as one with TLS.
    let schemes = match certificates {
        Ok(None) => SCHEME,
        _ if at.describes() => SCHEME,
        _ => TLS_SCHEME,
    };
    settings.set("scheme", &mut listener.scheme, found, word(schemes));
    listener.trusted = Trusted::new(trusted?);
    if listener.proxy_protocol == ProxyProtocol::Required && listener.trusted.is_empty() {
        let nobody = "must name the networks of those who send PROXY headers, which proxy_protocol requires";
        return Err(settings.report("trusted", nobody, found));
    }
    listener.certificates = certificates?.unwrap_or_default();
    listener.address = address?;
    Ok(listener)
}

fn certificates(at: &At<'_>, found: &mut Findings<'_>) -> Result<Vec<Arc<Certificate>>, Reported> {
    let settings = read_settings!(at, found, {
        "certificates";
    });
    let mut certificates = non_empty_list(CERTIFICATES, |at, found| certificate(at, found).map(Arc::new));
    settings.required("certificates", CERTIFICATES, found, |at, found| certificates(at, found))
}

/// Reads a certificate from its files, so that an unusable certificate is a problem of the configuration.
fn certificate(at: &At<'_>, found: &mut Findings<'_>) -> Result<Certificate, Reported> {
    let settings = read_settings!(at, found, {
        "cert";
        "key";
    });
    let read_chain = parse_or_reason(CERT, |folder, text| Chain::read(&folder.join(text)));
    let chain = settings.required("cert", CERT, found, read_chain);
    settings.required("key", KEY, found, |at, found| {
        let key = parse_or_reason(KEY, |folder, text| Key::read(&folder.join(text)))(at, found)?;
        Certificate::new(chain?, &key)
            .map_err(|e| at.must_be(format!("the certificate's key in a PEM file ({e})"), found))
    })
}

pub(super) const LISTENERS: &str = "a list of listeners, at least one";
const ADDRESS: &str = "an IP address with a port, in quotes if IPv6 (0.0.0.0:8080, \"[::]:8080\")";
const CERTIFICATES: &str = "a list of certificates, at least one";
const CERT: &str = "a PEM file with the certificate and its chain";
const KEY: &str = "a PEM file with the certificate's private key";

const PROXY_PROTOCOL: &[(&str, ProxyProtocol)] = &[("off", ProxyProtocol::Off), ("required", ProxyProtocol::Required)];

const SCHEME: &[(&str, Option<Scheme>)] = &[
    ("auto", None),
    ("http", Some(Scheme::Http)),
    ("https", Some(Scheme::Https)),
];

/// The schemes of a listener with TLS, whose clients use https.
const TLS_SCHEME: &[(&str, Option<Scheme>)] = &[("auto", None), ("https", Some(Scheme::Https))];
