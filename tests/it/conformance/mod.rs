//! Conformance to RFC 9113 and RFC 7541: two public suites against the real server, in cleartext and over its own TLS.
//!
//! - `httpwg`: the cases of the crate of that name.
//! - `h2spec`: the checks of the program of that name, which is written in Go, over raw frames.
//!
//! A test fails when a case fails that is no named exception, and when an exception passes.

mod h2spec;
mod httpwg;

use std::{any::Any, io::Write, pin::Pin, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    task::{LocalSet, spawn_local},
};

use crate::support::{
    edge::{Edge, listening},
    origin::Origin,
    tls::{Issued, issue},
    within,
};

/// How long the server may be silent where an answer is due. Long, since a busy machine is no fault; only cases that
/// fail take this time.
const DEADLINE: Duration = Duration::from_secs(5);

/// Cases that run at the same time.
const AT_ONCE: usize = 16;

/// What the server answers requests with; some cases need five bytes.
const BODY: &[u8] = b"conformance";

/// Whether a case passed, or why it did not.
type Outcome = Result<(), String>;

/// A case by its name, yet to be run.
type Case = (String, Pin<Box<dyn Future<Output = Outcome>>>);

/// A case that fails, and why that is right.
type Exception = (&'static str, &'static str);

/// A connection of bytes.
trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// The server under test.
struct Target {
    edge: Edge,
    tls: Option<Issued>,
}

impl Target {
    /// A server whose HTTP/2 is asked for by prior knowledge.
    async fn cleartext() -> Rc<Self> {
        let edge = Edge::start(Self::origin().await).await;
        Rc::new(Self { edge, tls: None })
    }

    /// A server that ends TLS itself.
    async fn tls() -> Rc<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let issued = issue(&["localhost"]);
        issued.write(folder.path(), "own");
        let own = folder.path().join("own").display().to_string();
        let listener = format!("tls: {{ certificates: [{{ cert: '{own}.pem', key: '{own}.key' }}] }}");
        let edge = Edge::with(&listening(Self::origin().await, &listener, "")).await;
        Rc::new(Self {
            edge,
            tls: Some(issued),
        })
    }

    async fn origin() -> std::net::SocketAddr {
        let origin = Origin::start().await;
        origin.default_ok(BODY);
        origin.address
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// A new connection; over TLS one on which h2 is agreed.
    async fn connect(&self) -> Box<dyn Stream> {
        let Some(issued) = &self.tls else {
            let stream = TcpStream::connect(self.edge.address).await.expect("the edge listens");
            stream.set_nodelay(true).expect("a TCP socket");
            return Box::new(stream);
        };
        let stream = within("TLS", issued.connect(self.edge.address, "localhost", &["h2"])).await;
        stream.get_ref().0.set_nodelay(true).expect("a TCP socket");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Box::new(stream)
    }
}

/// Runs all cases of a suite, says how many passed, and panics unless those that fail are the exceptions.
async fn passes(suite: &str, cases: Vec<Case>, exceptions: &[Exception]) {
    let outcomes = LocalSet::new().run_until(run(cases)).await;
    let passed = outcomes.iter().filter(|(_, outcome)| outcome.is_ok()).count();
    // Not by eprintln!, which a passing test swallows.
    let (all, named) = (outcomes.len(), exceptions.len());
    let _ = writeln!(
        std::io::stderr(),
        "{suite}: {passed} of {all}, named exceptions: {named}"
    );
    let known = |name: &str| exceptions.iter().find(|(exception, _)| *exception == name);
    let mut wrong: Vec<String> = outcomes
        .iter()
        .filter_map(|(name, outcome)| match (outcome, known(name)) {
            (Err(why), None) => Some(format!("{name}: {why}")),
            (Ok(()), Some((_, reason))) => Some(format!("{name}: passes, but is an exception: {reason}")),
            _ => None,
        })
        .collect();
    for (exception, _) in exceptions {
        if !outcomes.iter().any(|(name, _)| name == exception) {
            wrong.push(format!("{exception}: an exception, but there is no such case"));
        }
    }
    wrong.sort();
    assert!(wrong.is_empty(), "{suite}: {} wrong\n{}", wrong.len(), wrong.join("\n"));
}

async fn run(cases: Vec<Case>) -> Vec<(String, Outcome)> {
    let permits = Rc::new(Semaphore::new(AT_ONCE));
    let tasks: Vec<_> = cases
        .into_iter()
        .map(|(name, case)| {
            let permits = Rc::clone(&permits);
            let task = spawn_local(async move {
                let _permit = permits.acquire().await;
                case.await
            });
            (name, task)
        })
        .collect();
    let mut outcomes = Vec::new();
    for (name, task) in tasks {
        let outcome = task.await.unwrap_or_else(|error| Err(message(&*error.into_panic())));
        outcomes.push((name, outcome));
    }
    outcomes
}

/// The words of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("panicked")
        .to_owned()
}
