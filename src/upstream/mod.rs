//! Pools of origin servers: which server a request goes to, and how.
//!
//! Reading order: `policy` (settings), `ca_bundle` (certificates to trust), `balance` (which server), `connect` (how it is reached), `transport` (how its bytes
//! are read), `failure` (why not).
//!
//! A server is *unhealthy* when health checks say so, which is certain: it gets no request, even if
//! that leaves none (503), as HAProxy has it. It is *ejected* when requests failed at it, which is a
//! guess: if all are ejected, they are used all the same, as Envoy and nginx have it.
//!
//! `proxy` asks a pool for a server, and tells it how the request went; `server` makes the pools and
//! spawns an [`maintenance`] for each.

mod balance;
mod ca_bundle;
mod connect;
mod failure;
mod policy;
mod transport;

pub use balance::{
    maintenance::maintenance,
    pool::{NoServer, Pool, RETRY_AFTER, renew},
    resolver::{ResolveError, Resolver},
    server::{InFlight, OriginServer},
};
pub use ca_bundle::{CaBundle, CaBundleError};
pub use connect::connector::Connector;
pub use failure::reason;
pub use policy::{
    Balance, EjectionPolicy, HashKey, HealthCheckPolicy, Host, PoolPolicy, ResolverPolicy, ServerPolicy, TlsPolicy,
    Verify,
};
pub use transport::{duplex::Exchange, head::is_doubled, pace, paced::exchange};
