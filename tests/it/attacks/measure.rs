//! Runs an attack against an edge of its own, and measures what it does to the edge and to another client.

use std::{
    fmt::Write as _,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    sync::Semaphore,
    task::JoinHandle,
    time::sleep,
};

use super::attacker::{Attacker, End};
use crate::support::{
    client::Client,
    edge::Edge,
    origin::{Origin, Step},
};

/// An attack, and what it may do.
#[derive(Clone, Copy)]
pub struct Attack {
    pub name: &'static str,
    /// Keys of `server` in the configuration.
    pub server: &'static str,
    /// How each of its connections stands in the end.
    pub end: End,
    /// MiB more resident memory at its peak, for one unit of [`Target::scale`].
    pub most: usize,
    /// Processor time that the edge may take afterwards, for each second.
    pub quiet: Duration,
    /// Why the edge ends the connections, in its log.
    pub reason: &'static str,
    /// Carries it out, and returns the connections, which are kept for a while.
    pub run: fn(Target) -> Pin<Box<dyn Future<Output = Vec<Attacker>> + Send>>,
}

/// What an attack is against.
#[derive(Clone)]
pub struct Target {
    pub edge: SocketAddr,
    pub origin: Origin,
    /// How heavy it is to be: 1, or more in a soak.
    pub scale: usize,
}

/// Latencies of another client.
#[derive(Debug, Default)]
pub struct Latency(Vec<Duration>);

/// What an attack did.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub connections: usize,
    pub sent: usize,
    pub took: Duration,
    /// Resident memory before, at the peak, and when all is quiet.
    pub memory: [usize; 3],
    /// Processor time while it ran, and in the last window after it.
    pub cpu: [Duration; 2],
    pub window: Duration,
    /// Before, during, after.
    pub latency: [Latency; 3],
    pub ends: Vec<End>,
    /// Log lines with the reason.
    pub told: usize,
}

/// Processor time that an edge may take after an attack, for each second. Two busy test threads are not what it measures.
pub const QUIET: Duration = Duration::from_millis(20);

/// How long another client's request may take meanwhile. The machine may be busy with other attacks.
const WORST_LATENCY: Duration = Duration::from_secs(10);

/// Attacks that run at a time: what they measure is not to be each other.
static AT_A_TIME: Semaphore = Semaphore::const_new(6);

/// An edge, and what stands around it.
pub struct Scene {
    edge: Edge,
    origin: Origin,
    /// Serves the other client, and is it: what the attackers' origin and the attackers take in this process is not to be
    /// in its latency.
    elsewhere: Option<Runtime>,
}

/// Runs an attack against an edge of its own; `window` is how long the edge is looked at afterwards.
pub async fn run(attack: &Attack, scale: usize, window: Duration) -> Row {
    Scene::start(attack).await.run(attack, scale, window).await
}

impl Scene {
    /// Starts an edge in front of an origin, of one that never reads, and of the other client's.
    pub async fn start(attack: &Attack) -> Self {
        let origin = Origin::start().await;
        prepare(&origin);
        let elsewhere = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let probed = elsewhere.spawn(async {
            let origin = Origin::start().await;
            origin.serve_ok("/probe", &[("cache-control", "no-store")], b"probe");
            origin.address
        });
        let config = format!(
            "listeners:\n  - address: 127.0.0.1:0\nserver: {{ {} }}\n\
             upstreams:\n  app: {{ servers: ['{}'] }}\n  deaf: {{ servers: ['{}'] }}\n  probed: {{ servers: ['{}'] }}\n\
             routes:\n  - {{ name: deaf, match: {{ path: '^/deaf' }}, upstream: deaf }}\n  \
             - {{ name: probed, match: {{ path: '^/probe' }}, upstream: probed }}\n  \
             - {{ name: pages, upstream: app, push: auto, cache: off }}\n",
            attack.server,
            origin.address,
            deaf().await,
            probed.await.expect("no panic"),
        );
        Self {
            edge: Edge::with_env(&config, &[("RUST_LOG", "info".as_ref())]).await,
            origin,
            elsewhere: Some(elsewhere),
        }
    }

    /// Runs an attack.
    pub async fn run(&self, attack: &Attack, scale: usize, window: Duration) -> Row {
        let edge = &self.edge;
        let permit = AT_A_TIME.acquire().await.expect("not closed");
        let before = self.probe(Until::Enough).await.expect("no panic");
        edge.forget_peak_memory();
        let (memory, cpu) = (edge.memory(), edge.cpu());

        let is_over = Arc::new(AtomicBool::new(false));
        let probing = self.probe(Until::Told(Arc::clone(&is_over)));
        let since = Instant::now();
        let target = Target {
            edge: edge.address,
            origin: self.origin.clone(),
            scale,
        };
        let mut attackers = (attack.run)(target).await;
        let mut ends = Vec::new();
        for attacker in &mut attackers {
            ends.push(attacker.end(attack.end).await);
        }
        let took = since.elapsed();
        is_over.store(true, Ordering::Relaxed);
        let during = probing.await.expect("no panic");
        let spent = edge.cpu() - cpu;
        drop(permit);

        let quiet = quiet(edge, window, attack.quiet.mul_f64(window.as_secs_f64())).await;
        let after = self.probe(Until::Enough).await.expect("no panic");
        Row {
            name: attack.name,
            connections: attackers.len(),
            sent: attackers.iter().map(|attacker| attacker.sent).sum(),
            took,
            memory: [memory, edge.peak_memory(), edge.memory()],
            cpu: [spent, quiet],
            window,
            latency: [before, during, after],
            ends,
            told: edge.count_lines(attack.reason),
        }
    }

    fn probe(&self, until: Until) -> JoinHandle<Latency> {
        let elsewhere = self.elsewhere.as_ref().expect("it runs");
        elsewhere.spawn(probe(self.edge.address, until))
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if let Some(elsewhere) = self.elsewhere.take() {
            elsewhere.shutdown_background();
        }
    }
}

fn prepare(origin: &Origin) {
    origin
        .on("/never", [Step::Gate("never")])
        .serve_ok("/ok", &[("cache-control", "no-store")], b"ok")
        .serve_ok("/big", &[("cache-control", "no-store")], &vec![b'b'; 1 << 20]);
}

/// An origin that takes connections and reads nothing.
async fn deaf() -> SocketAddr {
    let socket = TcpSocket::new_v4().expect("a socket");
    // The system holds little for it.
    socket.set_recv_buffer_size(4096).expect("an open socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let listener = socket.listen(1024).expect("a bound socket");
    let address = listener.local_addr().expect("a bound socket");
    tokio::spawn(async move {
        let mut held: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    address
}

/// How long the other client goes on.
enum Until {
    Enough,
    Told(Arc<AtomicBool>),
}

/// Fetches a page again and again, at least once.
async fn probe(edge: SocketAddr, until: Until) -> Latency {
    let client = Client::connect(edge).await;
    let mut latency = Latency::default();
    loop {
        let since = Instant::now();
        let page = client.get("/probe").await;
        latency.0.push(since.elapsed());
        assert_eq!(page.answer.body, b"probe");
        let is_over = match &until {
            Until::Enough => latency.0.len() >= 20,
            Until::Told(is_over) => is_over.load(Ordering::Relaxed),
        };
        if is_over {
            return latency;
        }
        // The pace of the other client.
        sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until the edge takes hardly any processor time over a window, at most five of them; returns what it took in
/// the last one.
async fn quiet(edge: &Edge, window: Duration, most: Duration) -> Duration {
    let mut took = Duration::MAX;
    for _ in 0..5 {
        let before = edge.cpu();
        // What is measured here is time in which nothing is asked for.
        sleep(window).await;
        took = edge.cpu() - before;
        if took < most {
            break;
        }
    }
    took
}

impl Latency {
    pub fn median(&self) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    pub fn worst(&self) -> Duration {
        self.0.iter().max().copied().unwrap_or_default()
    }
}

impl Row {
    /// What the attack did that it must not.
    pub fn problems(&self, attack: &Attack, scale: usize) -> Vec<String> {
        let mut problems = Vec::new();
        let name = self.name;
        // A connection that ends because it is idle may get to say so.
        let is_as_expected = |end: &End| *end == attack.end || (attack.end == End::Closed && *end == End::Goaway(0));
        if !self.ends.iter().all(is_as_expected) {
            problems.push(format!("{name}: {:?}, expected {:?}", self.ends, attack.end));
        }
        if self.told == 0 {
            problems.push(format!("{name}: the log does not say {:?}", attack.reason));
        }
        let more = self.memory[1].saturating_sub(self.memory[0]);
        if more > (attack.most * scale) << 20 {
            problems.push(format!("{name}: {} KiB more memory", more >> 10));
        }
        if self.cpu[1] >= attack.quiet.mul_f64(self.window.as_secs_f64()) {
            problems.push(format!(
                "{name}: {:?} processor time in {:?} afterwards",
                self.cpu[1], self.window
            ));
        }
        let worst = self.latency[1].worst();
        if worst > WORST_LATENCY {
            problems.push(format!("{name}: another client waited {worst:?}"));
        }
        problems
    }

    /// The names of the columns of [`Row::line`].
    pub fn heading() -> String {
        "| attack | connections | sent KB | s | MB before | peak | after | CPU s | CPU ms in 3 s after \
         | other client ms: before | during | after | end |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|"
            .to_owned()
    }

    /// One line of the table; latencies are median/worst.
    pub fn line(&self) -> String {
        let megabytes = |bytes: usize| format!("{:.1}", bytes as f64 / 1e6);
        let mut line = format!(
            "| {} | {} | {} | {:.1} |",
            self.name,
            self.connections,
            self.sent / 1000,
            self.took.as_secs_f64()
        );
        for bytes in self.memory {
            let _ = write!(line, " {} |", megabytes(bytes));
        }
        let _ = write!(
            line,
            " {:.2} | {} |",
            self.cpu[0].as_secs_f64(),
            self.cpu[1].as_millis()
        );
        for latency in &self.latency {
            let _ = write!(
                line,
                " {:.1}/{:.1} |",
                latency.median().as_secs_f64() * 1e3,
                latency.worst().as_secs_f64() * 1e3
            );
        }
        let mut kinds: Vec<String> = Vec::new();
        for end in &self.ends {
            let kind = format!("{end:?}");
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let _ = write!(line, " {} |", kinds.join(", "));
        line
    }
}
