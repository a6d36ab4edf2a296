//! Tests the core.
//!
//! Reading order: `client` (writes and reads frames), `states`, `windows`, `order`, `promises`, `limits`, `shutdown`
//! (one topic each), `model` (any valid exchange, against a strict client), `garbage` (invalid bytes), `real` (the h2
//! crate's client).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics"
)]

mod client;
mod garbage;
mod limits;
mod model;
mod order;
mod promises;
mod real;
mod shutdown;
mod states;
mod windows;

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};

use super::{Config, Core, Ending, Event, Fault, Key, NotPromised, Reason, SendError};
use crate::{
    h2::{
        priority::{Allowance, PushPath},
        wire::rope::Rope,
    },
    push::Priority,
};
use client::{Frame, Reader};

const CONFIG: Config = Config {
    max_streams: 100,
    max_header_bytes: 16 * 1024,
    max_header_fields: 100,
    max_malformed: 1000,
    shared_heads: None,
};

/// A path that takes any number of bytes.
#[derive(Debug, Default)]
struct Free;

impl PushPath for Free {
    fn allowance(&mut self) -> Allowance {
        Allowance::Bytes(usize::MAX)
    }

    fn count(&mut self, _bytes: usize) {}
}

/// A server and its client.
struct Pair {
    core: Core<()>,
    reader: Reader,
    now: Instant,
    /// Events that no test step has read yet.
    events: Vec<Event<()>>,
}

impl Pair {
    fn new() -> Self {
        Self::with(CONFIG, &[])
    }

    /// Returns a connection whose client has these settings. Both sides have acknowledged SETTINGS.
    fn with(config: Config, settings: &[(u16, u32)]) -> Self {
        let mut pair = Self::unbegun(config);
        pair.receive(&client::preface(settings));
        let frames = pair.frames();
        assert!(matches!(
            frames[..],
            [Frame::Settings(_), Frame::Window { .. }, Frame::SettingsAck]
        ));
        pair.events();
        pair
    }

    fn unbegun(config: Config) -> Self {
        let now = Instant::now();
        Self {
            core: Core::new(config, now),
            reader: Reader::default(),
            now,
            events: Vec::new(),
        }
    }

    fn receive(&mut self, bytes: &[u8]) {
        self.core.receive(bytes, self.now);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Writes one turn.
    fn turn(&mut self) -> Vec<Frame> {
        let mut out = Rope::default();
        self.core.transmit(&mut out, self.now, &mut Free);
        self.reader.read(&out.take())
    }

    /// Writes all that can be written.
    fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            let more = self.turn();
            if more.is_empty() {
                return frames;
            }
            frames.extend(more);
        }
    }

    fn events(&mut self) -> Vec<Event<()>> {
        self.events.extend(std::iter::from_fn(|| self.core.poll_event()));
        std::mem::take(&mut self.events)
    }

    /// Returns the faults since the last call.
    fn faults(&mut self) -> Vec<(Fault, Option<u32>)> {
        let fault = |event| match event {
            Event::Fault { fault, stream } => Some((fault, stream)),
            _ => None,
        };
        self.events().into_iter().filter_map(fault).collect()
    }

    /// Receives bytes that complete a request, and returns its key.
    fn request(&mut self, bytes: &[u8]) -> Key {
        self.receive(bytes);
        let mut key = None;
        for event in self.events() {
            match event {
                Event::Request { key: new, .. } => assert!(key.replace(new).is_none(), "one request"),
                other => self.events.push(other),
            }
        }
        key.expect("a request")
    }

    fn get(&mut self, stream: u32) -> Key {
        self.request(&client::get(stream))
    }

    fn respond(&mut self, key: Key) {
        self.core.respond(key, ok().of()).unwrap();
    }

    /// Responds with this number of bytes.
    fn serve(&mut self, key: Key, length: usize) {
        self.respond(key);
        self.core.send(key, content(length), true, || self.now).unwrap();
        self.core.detach(key, Reason::CANCEL);
    }

    fn send(&mut self, key: Key, length: usize) {
        self.core.send(key, content(length), false, || self.now).unwrap();
    }

    fn promise(&mut self, document: Key) -> Result<Key, NotPromised> {
        self.core.promise(document, &asset(), Priority::default())
    }

    fn has_failed(&self) -> bool {
        self.core.ending == Ending::Failed
    }

    /// Asserts that nothing of any stream is left.
    fn assert_at_rest(&self) {
        let core = &self.core;
        assert!(core.streams.is_empty(), "{:?}", core.streams);
        assert_eq!(core.header_bytes, 0);
        assert_eq!((core.open_requests, core.open_promises), (0, 0));
        assert_eq!((core.queued, core.held.len()), (0, 0));
        assert_eq!(core.schedule.len(), 0);
        assert_eq!(
            core.receive_window + i64::from(core.unreported),
            super::CONNECTION_WINDOW
        );
    }
}

/// A response head that owns its fields.
#[derive(Debug)]
struct Response {
    status: StatusCode,
    headers: HeaderMap,
    is_end: bool,
}

impl Response {
    fn of(&self) -> super::Response<'_> {
        super::Response {
            status: self.status,
            headers: &self.headers,
            is_end: self.is_end,
        }
    }
}

fn ok() -> Response {
    Response {
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        is_end: false,
    }
}

fn no_content() -> Response {
    Response {
        status: StatusCode::NO_CONTENT,
        headers: HeaderMap::new(),
        is_end: true,
    }
}

fn prioritized(priority: &'static str) -> Response {
    let mut response = ok();
    response.headers.insert("priority", priority.parse().unwrap());
    response
}

fn content(length: usize) -> Bytes {
    Bytes::from(vec![b'x'; length])
}

fn asset() -> Request<()> {
    Request::get("https://h/asset").body(()).unwrap()
}

/// Returns the runs of DATA frames: the stream and the number of bytes that it sent in a row.
fn runs(frames: &[Frame]) -> Vec<(u32, usize)> {
    let mut runs: Vec<(u32, usize)> = Vec::new();
    for frame in frames {
        if let Frame::Data { stream, content, .. } = frame {
            match runs.last_mut() {
                Some((last, length)) if last == stream => *length += content.len(),
                _ => runs.push((*stream, content.len())),
            }
        }
    }
    runs
}

/// Returns the number of bytes of content on a stream.
fn sent(frames: &[Frame], id: u32) -> usize {
    runs(frames)
        .iter()
        .filter(|(stream, _)| *stream == id)
        .map(|(_, length)| length)
        .sum()
}

/// Returns whether these frames end a stream.
fn ends(frames: &[Frame], id: u32) -> bool {
    frames.iter().any(|frame| {
        frame.is_about(id)
            && matches!(
                frame,
                Frame::Data { is_end: true, .. } | Frame::Headers { is_end: true, .. }
            )
    })
}

fn is_reset(error: SendError) -> bool {
    matches!(error, SendError::Reset(_))
}
