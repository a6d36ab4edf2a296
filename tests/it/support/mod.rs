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

/// Says that a test is skipped, past what the test harness captures; in CI it fails.
pub fn missing(what: &str) {
    use std::io::Write;

    assert!(
        std::env::var_os("CI").is_none_or(|ci| ci != "true"),
        "{what} is missing, which tests/support/install.sh test clients installs"
    );
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let _ = writeln!(
        std::io::stderr(),
        "\n{name}: SKIPPED, {what} is missing, which tests/support/install.sh test clients installs"
    );
}
