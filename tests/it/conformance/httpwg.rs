//! The cases of the `httpwg` crate.
//!
//! The crate takes the end of the connection for an answer where an error is due, and its reader ends when the server is
//! silent. [`Reader`] notes silence, so that a case does not pass by it.

use std::{
    cell::Cell,
    collections::HashMap,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use buffet::IntoHalves;
use httpwg::{Config, Conn};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf},
    time::{Instant, Sleep},
};

use super::{Case, DEADLINE, Exception, Stream, Target, passes};

httpwg_macros::gen_catalog!(catalog);

/// Buffers of 4 KiB that the crate keeps for all of its connections on this thread.
const BUFFERS: u32 = 16 * 1024;

/// Cases that fail rightly, in cleartext and over TLS.
const EXCEPTIONS: &[Exception] = &[(
    "sends headers frame with mismatched host authority",
    "answered with 400 instead of RST_STREAM, which RFC 9113 section 8.1.1 leaves to the server",
)];

#[tokio::test]
async fn all_cases_of_httpwg_pass_in_cleartext() {
    passes("httpwg in cleartext", cases(&Target::cleartext().await), EXCEPTIONS).await;
}

#[tokio::test]
async fn all_cases_of_httpwg_pass_over_tls() {
    passes("httpwg over TLS", cases(&Target::tls().await), EXCEPTIONS).await;
}

fn cases(target: &Rc<Target>) -> Vec<Case> {
    if !buffet::bufpool::is_allocator_initialized() {
        buffet::bufpool::initialize_allocator_with_num_bufs(BUFFERS).expect("memory");
    }
    let config = Rc::new(Config {
        host: "localhost".into(),
        port: target.edge.address.port(),
        tls: target.tls.is_some(),
        // Never reached: the reader ends before.
        timeout: DEADLINE * 10,
        ..Config::default()
    });
    let mut cases: Vec<Case> = Vec::new();
    for case in catalog::<Io>().into_values().flat_map(HashMap::into_values).flatten() {
        let (name, case) = case;
        let (target, config) = (Rc::clone(target), Rc::clone(&config));
        let run = async move {
            let silent = Rc::new(Cell::new(false));
            let io = Io {
                stream: target.connect().await,
                silent: Rc::clone(&silent),
            };
            case(Conn::new(config, io))
                .await
                .map_err(|error| format!("{error:#}"))?;
            if silent.get() {
                return Err(format!("the server was silent for {DEADLINE:?}"));
            }
            Ok(())
        };
        cases.push((name.to_owned(), Box::pin(run)));
    }
    cases.sort_by(|(a, _), (b, _)| a.cmp(b));
    cases
}

/// A connection as the crate wants it.
struct Io {
    stream: Box<dyn Stream>,
    silent: Rc<Cell<bool>>,
}

impl IntoHalves for Io {
    type Read = Reader;
    type Write = Writer;

    fn into_halves(self) -> (Reader, Writer) {
        let (stream, writer) = tokio::io::split(self.stream);
        let reader = Reader {
            stream,
            patience: Box::pin(tokio::time::sleep(DEADLINE)),
            silent: self.silent,
        };
        (
            reader,
            Writer {
                stream: writer,
                taken: 0,
            },
        )
    }
}

/// Ends when nothing has come for a while, and notes that.
struct Reader {
    stream: ReadHalf<Box<dyn Stream>>,
    patience: Pin<Box<Sleep>>,
    silent: Rc<Cell<bool>>,
}

impl AsyncRead for Reader {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            self.patience.as_mut().reset(Instant::now() + DEADLINE);
            return Poll::Ready(read);
        }
        ready!(self.patience.as_mut().poll(cx));
        self.silent.set(true);
        Poll::Ready(Ok(()))
    }
}

/// Writes for as long as anybody reads; that nobody does is for the reader to notice.
struct Writer {
    stream: WriteHalf<Box<dyn Stream>>,
    /// Bytes taken, but not flushed.
    taken: usize,
}

impl AsyncWrite for Writer {
    /// Takes bytes and flushes them: the crate never flushes, and TLS keeps them until then.
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.taken == 0 {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
            self.taken = written.unwrap_or(bytes.len());
        }
        let _ = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(Ok(std::mem::take(&mut self.taken)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
