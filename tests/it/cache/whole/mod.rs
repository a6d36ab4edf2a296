//! Nothing is cut: whoever reads gets every byte, whatever is kept of it, and however slow others are.

mod reader;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use self::reader::{
    FULL, Pace, after, http2, leaving, origin, path, rate, read_http1, read_http2, read_pushed, stalled,
};
use crate::support::edge::{Edge, config};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// An edge that keeps all; one content of up to 256 KiB, and four of them on their way at once.
async fn small(origin: SocketAddr) -> Edge {
    let rest = "server: { cache: { bytes: 8MiB, object: 256KiB } }\n\
                routes: [{ name: all, upstream: app, cache: { caching: all, wait: 20s } }]";
    Edge::with(&config(origin, rest)).await
}

/// The limits as they are when nobody sets them.
async fn default(origin: SocketAddr, caching: &str) -> Edge {
    let rest = format!("routes: [{{ name: all, upstream: app, cache: {caching} }}]");
    Edge::with(&config(origin, &rest)).await
}

/// How a content is asked for.
#[derive(Debug, Clone, Copy)]
enum By {
    Http1,
    /// On a connection of its own.
    Http2,
    /// On one connection for all.
    OneHttp2,
    Pushed,
}

struct Clients {
    edge: SocketAddr,
    shared: h2::client::SendRequest<bytes::Bytes>,
    reading: JoinSet<(String, Result<(), String>)>,
}

impl Clients {
    async fn of(edge: &Edge) -> Self {
        Self {
            edge: edge.address,
            shared: http2(edge.address, 256 * 1024).await,
            reading: JoinSet::new(),
        }
    }

    fn read(&mut self, by: By, path: &str, pace: Pace) {
        let (edge, path) = (self.edge, path.to_owned());
        let shared = self.shared.clone();
        self.reading.spawn(async move {
            let read = match by {
                By::Http1 => read_http1(edge, &path, pace).await,
                By::Http2 => read_http2(http2(edge, 64 * 1024).await, edge, &path, pace).await,
                By::OneHttp2 => read_http2(shared, edge, &path, pace).await,
                By::Pushed => read_pushed(http2(edge, 64 * 1024).await, edge, &path, pace).await,
            };
            (format!("{by:?} {path} {pace:?}"), read)
        });
    }

    /// Waits for all, who all must have had everything.
    async fn end(mut self) {
        let mut cut = Vec::new();
        let mut count = 0;
        while let Some(read) = self.reading.join_next().await {
            let (what, outcome) = read.expect("no panic");
            count += 1;
            cut.extend(outcome.err().map(|why| format!("{what}: {why}")));
        }
        assert!(cut.is_empty(), "{} of {count} cut:\n{}", cut.len(), cut.join("\n"));
    }
}

#[tokio::test]
async fn any_size_around_any_limit_comes_whole() {
    let origin = origin().await;
    let edge = small(origin).await;
    let sizes = [
        1,
        KIB,
        64 * KIB - 1,
        64 * KIB,
        128 * KIB + 1,
        256 * KIB - 1,
        256 * KIB,
        256 * KIB + 1,
        512 * KIB,
        MIB,
        MIB + 1,
        3 * MIB,
    ];
    let mut name = 0;
    for is_chunked in [true, false] {
        for by in [By::Http1, By::Http2, By::OneHttp2, By::Pushed] {
            let mut clients = Clients::of(&edge).await;
            for size in sizes {
                name += 1;
                let path = path(size, is_chunked, name);
                for pace in [FULL, rate(MIB), after(5, FULL), after(50, rate(2 * MIB))] {
                    clients.read(by, &path, pace);
                }
            }
            clients.end().await;
        }
    }
}

#[tokio::test]
async fn many_readers_of_one_content_each_get_all_of_it() {
    let origin = origin().await;
    let edge = small(origin).await;
    for (n, (size, is_chunked)) in [(200 * KIB, true), (200 * KIB, false), (2 * MIB, true), (2 * MIB, false)]
        .into_iter()
        .enumerate()
    {
        let mut clients = Clients::of(&edge).await;
        let path = path(size, is_chunked, 1000 + n);
        for reader in 0..50 {
            let by = [By::Http1, By::Http2, By::OneHttp2][reader % 3];
            let pace = match reader % 5 {
                0 => FULL,
                1 => rate(500 * KIB),
                2 => after(3 * reader as u64, FULL),
                3 => after(10 * reader as u64, rate(MIB)),
                _ => stalled(100 * KIB, 1),
            };
            clients.read(by, &path, pace);
        }
        clients.end().await;
    }
}

/// Who stalls must not hold up others: of what is kept not at all.
#[tokio::test]
async fn who_stalls_holds_up_nobody_else() {
    let origin = origin().await;
    let edge = default(origin, "all").await;
    for (n, by) in [By::Http1, By::Http2].into_iter().enumerate() {
        for is_chunked in [true, false] {
            // More than the buffers on the way hold.
            let path = path(4 * MIB - 1, is_chunked, 2000 + n);
            let mut slow = Clients::of(&edge).await;
            slow.read(by, &path, stalled(10 * KIB, 6));
            tokio::time::sleep(Duration::from_millis(300)).await;
            let begun = Instant::now();
            for other in [By::Http1, By::Http2] {
                let mut clients = Clients::of(&edge).await;
                clients.read(other, &path, FULL);
                clients.end().await;
            }
            let took = begun.elapsed();
            assert!(took < Duration::from_secs(5), "{by:?} chunked={is_chunked}: {took:?}");
            slow.end().await;
        }
    }
}

/// The first one brings the content, and leaves: others who have begun get all of it, soon.
#[tokio::test]
async fn who_leaves_is_not_waited_for() {
    let origin = origin().await;
    let edge = small(origin).await;
    let mut name = 2500;
    for by in [By::Http1, By::Http2, By::OneHttp2, By::Pushed] {
        for (size, is_chunked) in [(200 * KIB, true), (200 * KIB, false), (4 * MIB, true)] {
            name += 1;
            let path = path(size, is_chunked, name);
            let mut clients = Clients::of(&edge).await;
            clients.read(by, &path, leaving(100 * KIB, 300 * KIB));
            for other in [By::Http1, By::Http2] {
                clients.read(other, &path, after(30, FULL));
            }
            let begun = Instant::now();
            clients.end().await;
            let took = begun.elapsed();
            assert!(
                took < Duration::from_secs(8),
                "{by:?} {size} chunked={is_chunked}: {took:?}"
            );
        }
    }
}

/// A client that reads nothing for longer than the origin may be silent: the origin waits for it, and is not blamed.
#[tokio::test]
async fn an_origin_that_is_held_back_is_not_taken_for_silent() {
    let origin = origin().await;
    let config = format!(
        "listeners: [{{ address: '127.0.0.1:0' }}]\n\
         upstreams: {{ app: {{ servers: ['{origin}'], read_timeout: 1s }} }}\n\
         server: {{ cache: {{ bytes: 8MiB, object: 256KiB }} }}\n\
         routes: [{{ name: all, upstream: app, cache: all }}]"
    );
    let edge = Edge::with(&config).await;
    let mut clients = Clients::of(&edge).await;
    for (n, by) in [By::Http1, By::Http2, By::OneHttp2, By::Pushed].into_iter().enumerate() {
        clients.read(by, &path(24 * MIB, true, 2700 + n), stalled(MIB, 4));
    }
    clients.end().await;
}

/// Downloads of a usual site with the default limits: contents beyond what is kept, many at once, slow clients.
#[tokio::test]
async fn downloads_are_whole_with_the_default_limits() {
    let origin = origin().await;
    let edge = default(origin, "assets").await;
    let mut clients = Clients::of(&edge).await;
    for n in 0..9 {
        let path = path(8 * MIB, true, 3000 + n);
        // The page makes it an asset, the push or the request a content on its way.
        clients.read(By::Pushed, &path, rate(4 * MIB));
        clients.read(By::Http2, &path, after(200, rate(4 * MIB)));
        clients.read(By::Http1, &path, after(400, FULL));
    }
    clients.end().await;
    let edge = default(origin, "all").await;
    let mut clients = Clients::of(&edge).await;
    for n in 0..12 {
        clients.read(By::Http2, &path(3 * MIB, false, 3100 + n), rate(600 * KIB));
    }
    for n in 0..24 {
        clients.read(By::OneHttp2, &path(3_200_000, false, 3200 + n), FULL);
    }
    clients.read(By::Http1, &path(64 * MIB, true, 3300), FULL);
    clients.read(By::Http2, &path(64 * MIB, true, 3301), FULL);
    clients.read(By::Http2, &path(64 * MIB, false, 3302), FULL);
    clients.end().await;
}

/// Ten minutes of anything, or `SOAK_MINUTES`; `SOAK_SEED` begins another one.
#[tokio::test]
#[ignore = "takes ten minutes"]
#[expect(clippy::print_stdout, reason = "it tells how far it is")]
async fn soak_downloads() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse().ok())
            .unwrap_or(otherwise)
    };
    let mut state = number("SOAK_SEED", 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut any = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as usize % below
    };
    let until = Instant::now() + Duration::from_secs(60 * number("SOAK_MINUTES", 10));
    let origin = origin().await;
    let edges = [small(origin).await, default(origin, "all").await];
    let (mut rounds, mut readers) = (0, 0);
    while Instant::now() < until {
        let edge = &edges[any(2)];
        let mut clients = Clients::of(edge).await;
        for _ in 0..1 + any(6) {
            let size = match any(4) {
                0 => any(4 * KIB),
                1 => any(300 * KIB),
                2 => any(5 * MIB),
                _ => any(24 * MIB),
            };
            let path = path(size, any(2) == 0, 10_000 + any(200_000));
            let most = [1, 2, 5, 50][any(4)];
            for _ in 0..1 + any(most) {
                let by = [By::Http1, By::Http2, By::OneHttp2, By::Pushed][any(4)];
                let slowest = (size / 20).max(50_000);
                let pace = match any(4) {
                    0 => FULL,
                    1 => rate(slowest + any(4 * MIB)),
                    2 => stalled(any(size + 1), any(3) as u64),
                    _ => rate(slowest),
                };
                clients.read(by, &path, after(any(500) as u64, pace));
                readers += 1;
            }
        }
        clients.end().await;
        rounds += 1;
        if rounds % 10 == 0 {
            let memory: Vec<usize> = edges.iter().map(|edge| edge.memory() >> 20).collect();
            println!("{rounds} rounds, {readers} readers, none cut; {memory:?} MB");
        }
    }
}
