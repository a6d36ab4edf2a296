//! Loads one path, with pushes enabled or disabled.

use std::{net::SocketAddr, time::Duration};

use h2::RecvStream;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

use super::support::client::{BROWSER_WINDOW, Failure, Taking, connect, read_to_end};

/// Times since the request, and bytes, of one load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    /// The end of the document.
    pub(crate) document: Duration,
    /// The end of the last push, or of the document.
    pub(crate) all: Duration,
    /// Bytes of pushes.
    pub(crate) pushed: usize,
}

impl Loaded {
    pub(crate) fn to_json(self) -> Value {
        json!({
            "document_us": u64::try_from(self.document.as_micros()).unwrap_or(u64::MAX),
            "all_us": u64::try_from(self.all.as_micros()).unwrap_or(u64::MAX),
            "pushed": self.pushed,
        })
    }

    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(text).ok()?;
        let time = |name: &str| value[name].as_u64().map(Duration::from_micros);
        Some(Self {
            document: time("document_us")?,
            all: time("all_us")?,
            pushed: usize::try_from(value["pushed"].as_u64()?).ok()?,
        })
    }
}

/// Time limit of a load, longer than any takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// Loads a path over a connection of its own.
pub(crate) async fn load(address: SocketAddr, path: &str, taking: Taking) -> Result<Loaded, Failure> {
    tokio::time::timeout(DEADLINE, load_at_last(address, path, taking)).await?
}

async fn load_at_last(address: SocketAddr, path: &str, taking: Taking) -> Result<Loaded, Failure> {
    let (mut sender, connection) = connect(address, taking, BROWSER_WINDOW).await?;
    let request = Request::get(format!("http://{address}{path}")).body(())?;
    let since = Instant::now();
    let (mut response, _) = sender.send_request(request, true)?;
    let mut promises = response.push_promises();
    let (document_done, mut is_done) = oneshot::channel();
    let pushing = tokio::spawn(async move {
        let mut pushes = JoinSet::new();
        // Every promise arrives before the end of its document.
        loop {
            let promise = tokio::select! {
                biased;
                promise = promises.push_promise() => promise,
                _ = &mut is_done => break,
            };
            let Some(Ok(promise)) = promise else { break };
            let (_, response) = promise.into_parts();
            pushes.spawn(async move { whole(response.await?).await });
        }
        let mut pushed = 0;
        while let Some(push) = pushes.join_next().await {
            pushed += push??;
        }
        Ok::<usize, Failure>(pushed)
    });
    whole(response.await?).await?;
    let document = since.elapsed();
    let _ = document_done.send(());
    let pushed = pushing.await??;
    let all = since.elapsed();
    connection.abort();
    Ok(Loaded { document, all, pushed })
}

/// Reads content to its end.
async fn whole(response: Response<RecvStream>) -> Result<usize, Failure> {
    if !response.status().is_success() {
        return Err(response.status().to_string().into());
    }
    Ok(read_to_end(response.into_body()).await?)
}
