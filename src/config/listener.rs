//! The `listeners` section.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use super::{
    build::LISTENERS,
    decode::At,
    found::{Found, Reported},
    model::Listener,
    value,
};
use crate::{
    certificate::{Certificate, Chain, Key},
    peer::{ProxyProtocol, Scheme, Trusted},
};

pub(super) fn listeners(at: &At<'_>, found: &mut Found<'_>) -> Result<Vec<Listener>, Reported> {
    let mut seen = HashMap::new();
    at.non_empty_list(LISTENERS, found, |at, found| listener(at, &mut seen, found))
}

fn listener(at: &At<'_>, seen: &mut HashMap<SocketAddr, u64>, found: &mut Found<'_>) -> Result<Listener, Reported> {
    let fields = at.mapping(LISTENER, found)?;
    let address = fields.required("address", ADDRESS, found, |at, found| {
        let address: SocketAddr = at.parse(ADDRESS, found, |text| text.parse().ok())?;
        match address.port() {
            0 => Ok(address), // a different free port each time
            _ => at.unique(address, seen, found),
        }
    });
    let mut listener = Listener::new(SocketAddr::from(([0, 0, 0, 0], 0)));
    fields.set("proxy_protocol", &mut listener.proxy_protocol, found, |at, found| {
        at.word(PROXY_PROTOCOL, None, found)
    });
    let mut trusted = Ok(Vec::new());
    if let Some(at) = fields.find("trusted") {
        trusted = at.list("a list of networks", found, |at, found| {
            at.parse(value::NETWORK_ALLOWED, found, value::network)
        });
    }
    let mut certificates = Ok(None);
    if let Some(at) = fields.find("tls") {
        certificates = at.unless_off(found, self::certificates);
    }
    // A listener whose certificates are bad still is one with TLS.
    let schemes = match certificates {
        Ok(None) => SCHEME,
        _ => TLS_SCHEME,
    };
    fields.set("scheme", &mut listener.scheme, found, |at, found| {
        at.word(schemes, None, found)
    });
    fields.set("h2c_upgrade", &mut listener.h2c_upgrade, found, |at, found| {
        at.word(value::SWITCH, None, found)
    });
    listener.trusted = Trusted::new(trusted?);
    if listener.proxy_protocol == ProxyProtocol::Required && listener.trusted.is_empty() {
        let nobody = "must name the networks of those who send PROXY headers, which proxy_protocol requires";
        return Err(fields.report("trusted", nobody, found));
    }
    listener.certificates = certificates?.unwrap_or_default();
    listener.address = address?;
    Ok(listener)
}

fn certificates(at: &At<'_>, found: &mut Found<'_>) -> Result<Vec<Arc<Certificate>>, Reported> {
    let fields = at.mapping(TLS, found)?;
    fields.required("certificates", CERTIFICATES, found, |at, found| {
        at.non_empty_list(CERTIFICATES, found, |at, found| certificate(at, found).map(Arc::new))
    })
}

/// Reads the files, so that one that cannot be served is a problem of the configuration.
fn certificate(at: &At<'_>, found: &mut Found<'_>) -> Result<Certificate, Reported> {
    let fields = at.mapping(CERTIFICATE, found)?;
    let chain = fields.required("cert", CERT, found, |at, found| {
        let folder = found.folder();
        at.parse_or_reason(CERT, found, |text| {
            Chain::read(&folder.join(text)).map_err(|e| e.to_string())
        })
    });
    fields.required("key", KEY, found, |at, found| {
        let folder = found.folder();
        let key = at.parse_or_reason(KEY, found, |text| {
            Key::read(&folder.join(text)).map_err(|e| e.to_string())
        })?;
        Certificate::new(chain?, &key)
            .map_err(|e| at.must_be(format!("the certificate's key in a PEM file ({e})"), found))
    })
}

const LISTENER: &[&str] = &["address", "proxy_protocol", "trusted", "scheme", "h2c_upgrade", "tls"];
const TLS: &[&str] = &["certificates"];
const CERTIFICATE: &[&str] = &["cert", "key"];
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

/// Where TLS is ended here, clients speak https.
const TLS_SCHEME: &[(&str, Option<Scheme>)] = &[("auto", None), ("https", Some(Scheme::Https))];
