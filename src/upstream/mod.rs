//! Pools of origin servers: which server a request goes to, and how.
//!
//! Reading order: `policy` (settings), `authorities` (certificates to trust), `server` (one address,
//! its state), `group` (the choice among them), `pool` (a pool at work), `peer` (how to connect), `origins` (who connects), `pace` and `paced` (how fast is read), `duplex` (what is heard meanwhile), `head` (what of a response's head Pingora is shown), `switch` (for a WebSocket),
//! `failure` (why not), then what happens beside requests: `names` (resolution), `health` (checks),
//! `upkeep` (when).
//!
//! A server is *unhealthy* when health checks say so, which is certain: it gets no request, even if
//! that leaves none (503), as HAProxy has it. It is *ejected* when requests failed at it, which is a
//! guess: if all are ejected, they are used all the same, as Envoy and nginx have it.
//!
//! `proxy` asks a pool for a server, and tells it how the request went; `server` makes the pools and
//! spawns an [`upkeep`] for each.

mod authorities;
mod duplex;
mod failure;
mod group;
mod head;
mod health;
mod names;
mod origins;
mod pace;
mod paced;
mod peer;
mod policy;
mod pool;
mod server;
mod switch;
mod upkeep;

pub use authorities::{Authorities, AuthoritiesError};
pub use duplex::Exchange;
pub use failure::reason;
pub use head::is_doubled;
pub use names::{Names, NamesError};
pub use origins::Origins;
pub use pace::{abandoned, arrived, granted, is_abandoned, opened, paced, passed_on, trickle};
pub use paced::exchange;
pub use policy::{
    Balance, EjectionPolicy, HashKey, HealthCheckPolicy, Host, PoolPolicy, ResolverPolicy, ServerPolicy, TlsPolicy,
    Verify,
};
pub use pool::{NoServer, Pool, RETRY_AFTER, renew};
pub use server::{InFlight, Server};
pub use upkeep::upkeep;
