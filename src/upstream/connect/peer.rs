//! Describes a server for Pingora's connector: time limits, TLS, and which requests may share a connection.

use std::{sync::Arc, time::Duration};

use pingora::{
    protocols::{ALPN, tls::CaType},
    upstreams::peer::{HttpPeer, PeerOptions},
};

use super::connector::paced_protocol;
use crate::upstream::{CaBundle, Host, OriginServer, Pool, Verify, transport::websocket};

impl Pool {
    /// Returns the peer by which Pingora connects to this server, or finds a pooled connection.
    #[must_use]
    pub fn peer(&self, server: &OriginServer) -> HttpPeer {
        let mut peer = self.unpaced_peer(server);
        peer.options.alpn = paced_protocol();
        peer
    }

    fn unpaced_peer(&self, server: &OriginServer) -> HttpPeer {
        let policy = self.policy();
        let mut peer = HttpPeer::new(server.address(), policy.tls.is_some(), self.sni(server));
        // Pingora finds pooled connections by this, but not by the authorities that verified them: so no pool uses a
        // connection that another pool verified.
        peer.group_key = self.number();
        peer.options.connection_timeout = Some(policy.connect_timeout);
        peer.options.total_connection_timeout = Some(policy.connect_timeout);
        peer.options.read_timeout = Some(policy.read_timeout);
        peer.options.write_timeout = Some(policy.write_timeout);
        peer.options.idle_timeout = Some(policy.idle_timeout);
        if let Some(tls) = &policy.tls {
            let ca = tls.ca_bundle.as_ref().map(CaBundle::parsed);
            set_tls(&mut peer.options, tls.verify, ca);
        }
        peer
    }

    /// Returns the peer for a request that asks for another protocol (RFC 9110 section 7.8).
    #[must_use]
    pub fn peer_to_switch(&self, server: &OriginServer) -> HttpPeer {
        let mut peer = self.unpaced_peer(server);
        websocket::allow(&mut peer, self.policy().connect_timeout);
        peer
    }

    /// Returns the peer for a health check: `limit` replaces every time limit.
    pub(in crate::upstream) fn peer_to_check(&self, server: &OriginServer, limit: Duration) -> HttpPeer {
        let mut peer = self.unpaced_peer(server);
        peer.options.connection_timeout = Some(limit);
        peer.options.total_connection_timeout = Some(limit);
        peer.options.read_timeout = Some(limit);
        peer.options.write_timeout = Some(limit);
        peer
    }

    /// Returns the name in TLS: the configured one, else the server's own. Empty without TLS.
    fn sni(&self, server: &OriginServer) -> String {
        let Some(tls) = &self.policy().tls else {
            return String::new();
        };
        match (
            &tls.sni,
            self.policy().servers.get(server.entry()).map(|server| &server.host),
        ) {
            (Some(name), _) | (None, Some(Host::Name(name))) => String::from(&**name),
            // Happens only without verification, as the configuration ensures. An address is no SNI, but Pingora
            // refuses an empty name.
            (None, _) => server.address().ip().to_string(),
        }
    }
}

fn set_tls(options: &mut PeerOptions, verify: Verify, ca: Option<&Arc<CaType>>) {
    options.alpn = ALPN::H1;
    options.verify_cert = verify == Verify::On;
    options.verify_hostname = verify == Verify::On;
    options.ca = ca.map(Arc::clone);
}
