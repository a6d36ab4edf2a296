//! Chooses an origin server for each request from a pool, and connects to it.
//!
//! Reading order: `policy` (settings), `ca_bundle` (trusted authorities), `balance` (the choice of a server), `connect`
//! (how a connection is made), `transport` (how its bytes are read and written), `failure` (errors as reasons), `meter` (counters).
//!
//! A server is *unhealthy* when health checks say so, which is certain: it gets no request, even if no server is left
//! (503), as in HAProxy. A server is *ejected* when requests to it failed, which is a guess: if all servers are
//! ejected, they get requests all the same, as in Envoy and nginx.
//!
//! `proxy` asks a pool for a server, and reports how the request went; `server` makes the pools and spawns a
//! [`maintenance`] task for each.

mod balance;
mod ca_bundle;
mod connect;
mod failure;
mod meter;
mod policy;
mod transport;

pub use balance::{
    maintenance::maintenance,
    pool::{NoServer, Pool, RETRY_AFTER, ServerStates, renew},
    resolver::{ResolveError, Resolver},
    server::{Health, InFlight, OriginServer},
};
pub use ca_bundle::{CaBundle, CaBundleError};
pub use connect::connector::Connector;
pub use failure::{OriginFailure, reason};
pub use meter::{OriginConnection, PoolMeter};
pub use policy::{
    Balance, EjectionPolicy, HashKey, HealthCheckPolicy, Host, PoolPolicy, ResolverPolicy, ServerPolicy, TlsPolicy,
    Verify,
};
pub use transport::{duplex::OriginExchange, head::is_doubled, pace, paced::exchange};
