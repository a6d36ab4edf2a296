//! Opens a connection: TCP, a PROXY header, TLS; each step within the time limit.
//!
//! `trust` is the TLS client, `upgrade` changes a connection from HTTP/1.1 to h2c.

mod trust;
mod upgrade;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use url::Host;

use super::error::{Stage, VisitError};
use super::itinerary::{Itinerary, ProxyVersion, Wire};
use super::transport::Transport;

pub(super) use upgrade::upgrade;

/// Connects as an itinerary says, with TLS and ALPN for `https`.
///
/// # Errors
///
/// See [`VisitError`].
pub(super) async fn connect(itinerary: &Itinerary, deadline: Instant) -> Result<Box<dyn Transport>, VisitError> {
    let mut stream = tcp(itinerary, deadline).await?;
    // Small frames must not wait for acknowledgements, which would distort the times.
    if let Err(error) = stream.set_nodelay(true) {
        log::debug!("probe: TCP_NODELAY: {error}");
    }
    if let Some(version) = itinerary.proxy_header {
        let sent = async {
            let header = proxy_header(version, stream.local_addr()?, stream.peer_addr()?)?;
            stream.write_all(&header).await
        };
        let sent = timeout_at(deadline, sent).await;
        let sent = sent.map_err(|_| VisitError::late(itinerary, Stage::Connect))?;
        sent.map_err(|source| VisitError::Tcp {
            address: itinerary.server.clone(),
            source,
        })?;
    }
    if itinerary.is_tls() {
        encrypt(itinerary, stream, deadline).await
    } else {
        Ok(Box::new(stream))
    }
}

/// Resolves the name and connects to the first of its addresses that takes the connection.
async fn tcp(itinerary: &Itinerary, deadline: Instant) -> Result<TcpStream, VisitError> {
    let server = &itinerary.server;
    let addresses = timeout_at(deadline, tokio::net::lookup_host((server.host.as_str(), server.port))).await;
    let addresses: Vec<SocketAddr> = addresses
        .map_err(|_| VisitError::late(itinerary, Stage::Resolve))?
        .map_err(|source| VisitError::Name {
            host: server.host.clone(),
            source,
        })?
        .collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for (at, address) in addresses.iter().enumerate() {
        // An address that swallows packets leaves time for the others.
        let left = u32::try_from(addresses.len() - at).unwrap_or(u32::MAX);
        let share = deadline.saturating_duration_since(Instant::now()) / left;
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) if left == 1 => return Err(VisitError::late(itinerary, Stage::Connect)),
            Err(_) => {}
        }
    }
    Err(VisitError::Tcp {
        address: server.clone(),
        source: last,
    })
}

/// Writes a PROXY header of a connection from `source` to `destination`.
fn proxy_header(version: ProxyVersion, source: SocketAddr, destination: SocketAddr) -> io::Result<Vec<u8>> {
    match version {
        ProxyVersion::V1 => Ok(ppp::v1::Addresses::from((source, destination)).to_string().into_bytes()),
        ProxyVersion::V2 => ppp::v2::Builder::with_addresses(
            ppp::v2::Version::Two | ppp::v2::Command::Proxy,
            ppp::v2::Protocol::Stream,
            (source, destination),
        )
        .build(),
    }
}

async fn encrypt(
    itinerary: &Itinerary,
    stream: TcpStream,
    deadline: Instant,
) -> Result<Box<dyn Transport>, VisitError> {
    let address = &itinerary.server;
    let host = match itinerary.page.host() {
        Some(Host::Domain(name)) => name.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => address.host.clone(),
    };
    let failed = |source| VisitError::Tls {
        address: address.clone(),
        source,
    };
    let name = ServerName::try_from(host.clone())
        .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let second = ServerName::try_from(address.host.clone()).ok();
    let config = trust::client_config(itinerary.wire, itinerary.verification, second)?;
    let connector = TlsConnector::from(Arc::new(config));
    let stream = timeout_at(deadline, connector.connect(name, stream)).await;
    let stream = stream
        .map_err(|_| VisitError::late(itinerary, Stage::Tls))?
        .map_err(|source| match is_untrusted(&source) {
            true => VisitError::Certificate { host, source },
            false => failed(source),
        })?;
    let selected = stream.get_ref().1.alpn_protocol();
    if itinerary.wire == Wire::Http1 || selected == Some(b"h2") {
        return Ok(Box::new(stream));
    }
    Err(VisitError::Alpn {
        address: address.clone(),
        selected: selected.map_or_else(
            || "no protocol".to_owned(),
            |selected| String::from_utf8_lossy(selected).into_owned(),
        ),
    })
}

fn is_untrusted(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::InvalidCertificate(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_header_names_both_ends() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let (source, destination) = (address("192.0.2.7:4000"), address("10.0.0.5:80"));
        let text = proxy_header(ProxyVersion::V1, source, destination).expect("a header");
        assert_eq!(text, b"PROXY TCP4 192.0.2.7 10.0.0.5 4000 80\r\n");
        let six = proxy_header(ProxyVersion::V1, address("[2001:db8::7]:4000"), address("[::1]:80"));
        assert_eq!(six.expect("a header"), b"PROXY TCP6 2001:db8::7 ::1 4000 80\r\n");
        let binary = proxy_header(ProxyVersion::V2, source, destination).expect("a header");
        let parsed = ppp::v2::Header::try_from(binary.as_slice()).expect("a header of version 2");
        assert_eq!(parsed.addresses, (source, destination).into());
        assert_eq!(binary.get(12..14), Some(&[0x21, 0x11][..]));
    }
}
