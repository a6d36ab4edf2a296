//! Loads pages with three assets each, as a client that accepts pushes.
//!
//! 32 connections load one page at a time each. A connection loads 256 pages, then a new connection takes its place. No
//! asset belongs to two pages of one connection, so that a server that remembers its pushes on a connection pushes
//! every time. Assets that were not pushed are requested together when the page is complete.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use h2::{RecvStream, client::SendRequest};
use http::{Request, Response, StatusCode};

use super::{
    origin::{ASSETS, SMALL},
    support::client::{Failure, Taking, connect, read_to_end},
};

/// A kind of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Pages whose assets may not be cached. Each connection has pages of its own.
    Plain,
    /// Pages whose assets may be cached. All connections load the same pages.
    Cached,
}

/// The result of a load.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loaded {
    pub(crate) seconds: f64,
    /// The number of pages whose assets were all pushed.
    pub(crate) pushed: u64,
}

/// Loads this many pages.
pub(crate) async fn load(address: SocketAddr, pages: Pages, number: u64) -> Result<Loaded, Failure> {
    let begin = Instant::now();
    let left = Arc::new(AtomicU64::new(number));
    let visitors: Vec<_> = (0..CONNECTIONS)
        .map(|visitor| tokio::spawn(visit(address, pages, visitor, Arc::clone(&left))))
        .collect();
    let mut pushed = 0;
    for visitor in visitors {
        pushed += visitor.await??;
    }
    Ok(Loaded {
        seconds: begin.elapsed().as_secs_f64(),
        pushed,
    })
}

/// Opens one connection after another until no page is left. Returns the number of pages whose assets were all pushed.
async fn visit(address: SocketAddr, pages: Pages, visitor: u64, left: Arc<AtomicU64>) -> Result<u64, Failure> {
    let mut pushed = 0;
    loop {
        let (sender, connection) = connect(address, Taking::Pushes, WINDOW).await?;
        let mut sender = sender.ready().await?;
        for turn in 0..PAGES_PER_CONNECTION {
            let one_less = |left: u64| left.checked_sub(1);
            if left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less)
                .is_err()
            {
                drop(sender);
                connection.await??;
                return Ok(pushed);
            }
            let (name, folder, number) = match pages {
                Pages::Plain => ("page", "asset", visitor * PAGES_PER_CONNECTION + turn),
                // Connections begin at different pages, so that they do not all request the same page together.
                Pages::Cached => {
                    let first = visitor * PAGES_PER_CONNECTION / CONNECTIONS;
                    ("cached-page", "cached", (first + turn) % PAGES_PER_CONNECTION)
                }
            };
            let page = format!("http://{address}/{name}/{number}");
            let assets = ASSETS.map(|(ending, ..)| format!("/{folder}/{number}.{ending}"));
            pushed += u64::from(one(&mut sender, address, &page, &assets).await? == ASSETS.len());
        }
        drop(sender);
        connection.await??;
    }
}

/// Loads one page, and returns the number of its pushed assets.
async fn one(
    sender: &mut SendRequest<Bytes>,
    address: SocketAddr,
    page: &str,
    assets: &[String],
) -> Result<usize, Failure> {
    let request = Request::get(page).body(())?;
    let (mut response, _) = sender.send_request(request, true)?;
    let mut promises = response.push_promises();
    // The promises of a page end with the page.
    let promised = async {
        let mut promised = Vec::with_capacity(assets.len());
        while let Some(promise) = promises.push_promise().await {
            promised.push(promise?.into_parts());
        }
        Ok::<_, Failure>(promised)
    };
    let page = async { whole(response.await?).await };
    let (page, promised) = tokio::join!(page, promised);
    page?;
    let mut came: HashSet<String> = HashSet::with_capacity(assets.len());
    for (request, response) in promised? {
        let path = request.uri().path();
        if !assets.iter().any(|asset| asset == path) || came.contains(path) {
            return Err(format!("a promise of {path}").into());
        }
        // The asset of a failed push is requested.
        if let Ok(response) = response.await {
            whole(response).await?;
            came.insert(path.to_owned());
        }
    }
    let mut asked = Vec::new();
    for asset in assets.iter().filter(|asset| !came.contains(*asset)) {
        let request = Request::get(format!("http://{address}{asset}")).body(())?;
        asked.push(sender.send_request(request, true)?.0);
    }
    for response in asked {
        whole(response.await?).await?;
    }
    Ok(came.len())
}

/// Reads content, and checks its length.
async fn whole(response: Response<RecvStream>) -> Result<(), Failure> {
    let (head, body) = response.into_parts();
    let size = read_to_end(body).await?;
    if (head.status, size) == (StatusCode::OK, SMALL) {
        Ok(())
    } else {
        Err(format!("an answer of {} with {size} bytes", head.status).into())
    }
}

const CONNECTIONS: u64 = 32;
const PAGES_PER_CONNECTION: u64 = 256;
const WINDOW: u32 = 1 << 20;
