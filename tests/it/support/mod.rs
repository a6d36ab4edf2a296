//! What the tests run against: the real server binary, a scripted origin, clients.

pub mod client;
pub mod dns;
pub mod edge;
pub mod h2load;
pub mod handmade;
pub mod http1;
pub mod origin;
pub mod program;
pub mod raw;
pub mod tls;
pub mod tls_front;

use std::{future::Future, time::Duration};

/// How long anything may take that is expected to happen: generous, since a busy machine is no bug.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Awaits something that must happen.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: did not happen within {DEADLINE:?}"),
    }
}
