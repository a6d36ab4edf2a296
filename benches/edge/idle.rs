//! Opens HTTP/2 connections that have one request each, and are idle from then on.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::{net::TcpStream, task::JoinHandle};

use super::support::client::{Connection, Failure, read_to_end};

/// Idle connections.
#[derive(Debug)]
pub(crate) struct Idle(Vec<Open>);

/// One connection. Dropping its sender would close it.
#[derive(Debug)]
struct Open {
    _sender: SendRequest<Bytes>,
    task: Connection,
}

impl Idle {
    /// Opens this many connections, 64 at a time, and sends one request on each.
    pub(crate) async fn open(address: SocketAddr, number: usize) -> Result<Self, Failure> {
        let openers: Vec<JoinHandle<Result<Vec<Open>, Failure>>> = (0..AT_A_TIME)
            .map(|opener| {
                let share = number / AT_A_TIME + usize::from(opener < number % AT_A_TIME);
                tokio::spawn(async move {
                    let mut opened = Vec::with_capacity(share);
                    for _ in 0..share {
                        opened.push(one(address).await?);
                    }
                    Ok(opened)
                })
            })
            .collect();
        let mut all = Vec::with_capacity(number);
        for opener in openers {
            all.extend(opener.await??);
        }
        Ok(Self(all))
    }

    /// Returns the number of connections that the server has closed.
    pub(crate) fn closed(&self) -> usize {
        self.0.iter().filter(|open| open.task.is_finished()).count()
    }
}

async fn one(address: SocketAddr) -> Result<Open, Failure> {
    let stream = TcpStream::connect(address).await?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    let task = tokio::spawn(connection);
    let mut sender = sender.ready().await?;
    let request = Request::get(format!("http://{address}/1k")).body(())?;
    let response = sender.send_request(request, true)?.0.await?;
    read_to_end(response.into_body()).await?;
    Ok(Open { _sender: sender, task })
}

const AT_A_TIME: usize = 64;
