//! Makes connections to origins that are read at the [pace](crate::upstream::transport::paced) of the client:
//! [`Connector`].
//!
//! Pingora calls a custom connector before its HTTP/1.1, for a protocol that is agreed on in TLS. The trait is public
//! but doc-hidden; only this file, `listen`'s acceptor and `h2`'s session touch such interfaces, and Pingora is pinned
//! to `~0.9.1`. A peer marked with [`paced_protocol`] is connected to here. Pingora's HTTP/1.1 then uses the
//! connection, and pools it for later requests. The mark never leaves this process.

use std::{any::Any, sync::LazyLock, time::Duration};

use async_trait::async_trait;
use pingora::{
    Result,
    connectors::{
        ConnectorOptions, TransportConnector,
        http::custom::{self, Connection},
    },
    protocols::{ALPN, tls::CustomALPN},
    upstreams::peer::{HttpPeer, Peer},
};

use crate::upstream::transport::paced::Paced;

/// The connector of peers marked with `paced_protocol`.
pub struct Connector(TransportConnector);

impl Connector {
    /// Makes a connector with these options.
    #[must_use]
    pub fn new(options: ConnectorOptions) -> Self {
        Self(TransportConnector::new(Some(options)))
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector").finish_non_exhaustive()
    }
}

/// Returns the mark of a peer whose connections are paced.
pub(in crate::upstream) fn paced_protocol() -> ALPN {
    static PACED: LazyLock<ALPN> = LazyLock::new(|| ALPN::Custom(CustomALPN::new(b"paced".to_vec())));
    PACED.clone()
}

#[async_trait]
impl custom::Connector for Connector {
    type Session = ();

    async fn get_http_session<P: Peer + Send + Sync + 'static>(&self, peer: &P) -> Result<(Connection<()>, bool)> {
        let connected = match (peer as &dyn Any).downcast_ref::<HttpPeer>() {
            Some(peer) if peer.tls() => {
                let mut peer = peer.clone();
                peer.options.alpn = ALPN::H1;
                self.0.new_stream(&peer).await?
            }
            _ => self.0.new_stream(peer).await?,
        };
        Ok((Connection::Stream(Box::new(Paced::new(connected))), false))
    }

    /// Returns none: Pingora's HTTP/1.1 pools the connections.
    async fn reused_http_session<P: Peer + Send + Sync + 'static>(&self, _peer: &P) -> Option<()> {
        None
    }

    async fn release_http_session<P: Peer + Send + Sync + 'static>(
        &self,
        _session: (),
        _peer: &P,
        _idle_timeout: Option<Duration>,
    ) {
    }
}
