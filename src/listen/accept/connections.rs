//! Counts open client connections, so that a shutdown can wait for the last one.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// The number of open connections; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct OpenConnections(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    open: AtomicUsize,
    closed: Notify,
}

/// One open connection; dropping it ends its count.
#[derive(Debug)]
pub(in crate::listen) struct Open(Arc<Count>);

impl OpenConnections {
    /// Counts one more connection until the returned value is dropped.
    pub(in crate::listen) fn open(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::SeqCst);
        Open(Arc::clone(&self.0))
    }

    /// Returns the number of open connections.
    pub(crate) fn count(&self) -> usize {
        self.0.open.load(Ordering::SeqCst)
    }

    /// Waits until no connection is open.
    pub(crate) async fn none_left(&self) {
        loop {
            let closed = self.0.closed.notified();
            if self.0.open.load(Ordering::SeqCst) == 0 {
                return;
            }
            closed.await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.closed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn waiting_ends_when_the_last_connection_closes() {
        let connections = OpenConnections::default();
        let (one, two) = (connections.open(), connections.open());
        let waiting = tokio::spawn({
            let connections = connections.clone();
            async move { connections.none_left().await }
        });
        drop(one);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(two);
        tokio::time::timeout(Duration::from_secs(5), waiting)
            .await
            .expect("noticed in time")
            .expect("no panic");
    }
}
