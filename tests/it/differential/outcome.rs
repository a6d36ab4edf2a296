//! What became of a case at a server.

use std::{fmt, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{servers::Lane, table::Case};

/// How long a server may say nothing before it is taken to wait for more.
const QUIET: Duration = Duration::from_secs(4);

/// What a server did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// How many requests its origin saw.
    pub passed: usize,
    /// The last answer of its own.
    pub refusal: Option<u16>,
    /// It has closed the connection.
    pub closed: bool,
}

impl Outcome {
    /// Sends a case to a lane.
    pub async fn of(case: &Case, lane: &Lane) -> Self {
        let (answer, closed) = exchange(lane.front, &case.bytes).await;
        let statuses = statuses(&answer);
        Self {
            passed: lane.origin.taken().await,
            refusal: statuses.last().copied().filter(|status| *status >= 300),
            closed,
        }
    }

    /// Whether it told the client no, by an answer or by closing the connection, and its origin nothing.
    pub fn is_refusal(self) -> bool {
        self.passed == 0 && (self.refusal.is_some() || self.closed)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.passed, self.refusal) {
            (0, Some(status)) => write!(f, "{status}"),
            (0, None) if self.closed => f.write_str("closed"),
            (0, None) => f.write_str("waits"),
            (1, None) => f.write_str("passed"),
            (1, Some(status)) => write!(f, "passed, then {status}"),
            (more, None) => write!(f, "passed {more}"),
            (more, Some(status)) => write!(f, "passed {more}, then {status}"),
        }
    }
}

/// Sends bytes on a connection of its own; returns what was answered, and whether the connection was closed.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> (Vec<u8>, bool) {
    let stream = TcpStream::connect(address).await.expect("a server listens");
    let (mut from, mut to) = stream.into_split();
    let sending = async {
        // A server that refuses may take no more.
        let _ = to.write_all(bytes).await;
        to
    };
    let reading = async {
        let mut answer = Vec::new();
        loop {
            match timeout(QUIET, from.read_buf(&mut answer)).await {
                Err(_) => return (answer, false),
                Ok(Ok(1..)) => {}
                Ok(Ok(0) | Err(_)) => return (answer, true),
            }
        }
    };
    let (_to, read) = tokio::join!(timeout(QUIET, sending), reading);
    read
}

/// The final statuses of answers.
fn statuses(answer: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(answer);
    let lines = text.split("HTTP/1.").skip(1);
    lines
        .filter_map(|line| line.get(2..5)?.parse().ok())
        .filter(|status| *status >= 200)
        .collect()
}

#[test]
fn outcomes_are_told_from_answers_and_requests() {
    assert_eq!(
        statuses(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\npageHTTP/1.0 400 Bad\r\n\r\n<html>"),
        [200, 400]
    );
    assert_eq!(statuses(b"<html>"), [0; 0]);
    let table = [
        ((0, Some(400), true), "400", true),
        ((0, None, true), "closed", true),
        ((0, None, false), "waits", false),
        ((1, None, false), "passed", false),
        ((2, Some(400), true), "passed 2, then 400", false),
    ];
    for ((passed, refusal, closed), told, is_refusal) in table {
        let outcome = Outcome {
            passed,
            refusal,
            closed,
        };
        assert_eq!((&*outcome.to_string(), outcome.is_refusal()), (told, is_refusal));
    }
}
