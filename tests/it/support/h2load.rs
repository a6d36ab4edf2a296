//! The load of another program.

use std::{
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

/// A running h2load; killed when dropped.
pub struct H2load(Option<Child>);

impl H2load {
    /// Starts it against a path of a server.
    pub fn start(arguments: &[&str], address: SocketAddr, path: &str) -> Self {
        let child = Command::new("h2load")
            .args(arguments)
            .arg(format!("http://{address}{path}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(Some(child.expect("h2load runs")))
    }

    /// Waits for its end, and that none of its requests failed.
    pub async fn ends_well(mut self) {
        let child = self.0.take().expect("it ends once");
        let output = tokio::task::spawn_blocking(move || child.wait_with_output())
            .await
            .expect("no panic")
            .expect("h2load ends");
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        eprintln!("{report}");
        assert!(report.contains(" 0 failed, 0 errored, 0 timeout"), "{report}");
        assert!(!report.contains(" 0 succeeded"), "{report}");
    }
}

impl Drop for H2load {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
