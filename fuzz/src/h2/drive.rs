//! Drives the core by what a fuzzer's bytes say: frames of a client, and commands of an owner.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header::HeaderValue};

use super::{
    client::{self, Frame, Reader},
    core::{Config, Core, Event, Key, Reason, Response},
    priority::{Allowance, PushPath},
    wire::rope::Rope,
};
use crate::{input::Input, push::Priority};

const CONFIG: Config = Config {
    max_streams: 4,
    max_header_bytes: 4096,
    max_header_fields: 100,
    max_malformed: 50,
    shared_heads: None,
};

struct Path(usize);

impl PushPath for Path {
    fn allowance(&mut self) -> Allowance {
        match self.0 {
            0 => Allowance::After(Duration::from_millis(5)),
            bytes => Allowance::Bytes(bytes),
        }
    }

    fn count(&mut self, bytes: usize) {
        self.0 = self.0.checked_sub(bytes).expect("no more than is allowed");
    }
}

/// A connection, its owner, and a client that reads strictly.
struct World {
    core: Core<u32>,
    reader: Reader,
    keys: Vec<Key>,
    /// Streams whose side is still with the core.
    open: BTreeSet<u32>,
    now: Instant,
    next: u32,
    last_promise: u32,
    last_goaway: u32,
    is_failed: bool,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            core: Core::new(CONFIG, now),
            reader: Reader::default(),
            keys: Vec::new(),
            open: BTreeSet::new(),
            now,
            next: 1,
            last_promise: 0,
            last_goaway: u32::MAX,
            is_failed: false,
        }
    }

    fn events(&mut self) {
        while let Some(event) = self.core.poll_event() {
            match event {
                Event::Request { key, .. } => self.own(key),
                Event::Closed { key, side, .. } => {
                    // A request may be over before it is heard of, and one that is refused is not heard of at all.
                    assert!(side == key.id() || side == 0);
                    assert!(self.open.remove(&key.id()) || side == 0, "it is closed once");
                }
                _ => {}
            }
        }
    }

    fn own(&mut self, key: Key) {
        // A stream may be over before its request is heard of.
        match self.core.side(key) {
            Some(side) => *side = key.id(),
            None => self.core.detach(key, Reason::CANCEL),
        }
        self.open.insert(key.id());
        self.keys.push(key);
    }

    fn step(&mut self, input: &mut Input<'_>) -> Option<()> {
        let what = input.byte()?;
        match what % 24 {
            // The client's bytes as they are.
            0 => {
                let length = input.large();
                self.core.receive(input.take(length), self.now);
            }
            // A frame whose length is right.
            1..=4 => {
                let (kind, flags, stream) = (input.byte()?, input.byte()?, input.byte()?);
                let length = if kind & 0x80 == 0 {
                    input.number()
                } else {
                    input.large()
                };
                let payload = input.take(length.min(16_384));
                let frame = client::frame(kind % 18, flags, u32::from(stream), payload);
                self.core.receive(&frame, self.now);
            }
            5 | 6 => {
                let get = client::get(self.next);
                self.next += 2;
                self.core.receive(&get, self.now);
            }
            7 => {
                let post = client::post(self.next);
                self.next += 2;
                self.core.receive(&post, self.now);
            }
            8 => {
                let stream = u32::from(input.byte()?);
                let data = client::data(stream, &vec![1; input.large() % 16_385], what >= 128);
                self.core.receive(&data, self.now);
            }
            9 => {
                let (stream, more) = (input.byte()?, input.large() << (input.number() % 16));
                let update = client::window(stream.into(), u32::try_from(more).ok()?);
                self.core.receive(&update, self.now);
            }
            10 => {
                let (id, value) = (input.number() % 10, input.large() << (input.number() % 17));
                let settings = client::settings(&[(u16::try_from(id).ok()?, u32::try_from(value).ok()?)]);
                self.core.receive(&settings, self.now);
            }
            11 => {
                let reset = client::reset(input.byte()?.into());
                self.core.receive(&reset, self.now);
            }
            12 => self.transmit(input),
            13 => self.transmit(&mut Input(&[255, 255, 255, 255])),
            14 => {
                self.now += Duration::from_millis(u64::from(input.byte()?) * 10);
                self.core.tick(self.now);
                self.core.reset_stalled(Duration::from_secs(10), self.now);
            }
            15 => match what / 24 {
                0 => self.core.shut_down(self.now),
                1 => self.core.go_away(),
                2 => self.core.disconnect(),
                _ => self.core.shut_down(self.now),
            },
            _ => self.command(what, input),
        }
        self.events();
        Some(())
    }

    fn command(&mut self, what: u8, input: &mut Input<'_>) {
        let at = input.number();
        let Some(&key) = self.keys.get(at % self.keys.len().max(1)) else {
            return;
        };
        match what % 24 {
            16 => {
                let mut headers = HeaderMap::new();
                if what >= 128 {
                    let value = input.take(60).trim_ascii();
                    if let Ok(value) = HeaderValue::from_bytes(value) {
                        headers.insert("priority", value.clone());
                        headers.insert("x", value);
                    }
                }
                let is_end = at >= 128;
                let status = StatusCode::OK;
                let _ = self.core.respond(
                    key,
                    Response {
                        status,
                        headers: &headers,
                        is_end,
                    },
                );
            }
            17 => drop(self.core.inform(key, StatusCode::EARLY_HINTS, &HeaderMap::new())),
            18 => {
                let request = Request::get("https://h/asset").body(()).expect("a request");
                if let Ok(key) = self.core.promise(key, &request, Priority::default()) {
                    self.own(key);
                }
            }
            19 | 20 => {
                let content = Bytes::from(vec![2; input.large()]);
                let _ = self.core.send(key, content, at >= 128, || self.now);
            }
            21 => drop(self.core.finish(key, (at >= 128).then(HeaderMap::new))),
            22 => {
                self.core.read(key);
                let _ = self.core.poll_writable(key);
                self.core.is_request_done(key);
            }
            _ if what >= 128 => self.core.reset(key, Reason::CANCEL),
            _ => {
                self.core.detach(key, Reason::INTERNAL_ERROR);
                self.keys.retain(|other| *other != key);
            }
        }
    }

    fn transmit(&mut self, input: &mut Input<'_>) {
        let mut path = Path(input.large());
        let mut out = Rope::default();
        self.core.transmit(&mut out, self.now, &mut path);
        let mut slices = [std::io::IoSlice::new(&[]); 64];
        while !out.is_empty() {
            let number = out.slices(&mut slices);
            let all: Vec<u8> = slices.iter().take(number).flat_map(|slice| slice.to_vec()).collect();
            slices = [std::io::IoSlice::new(&[]); 64];
            out.advance(all.len());
            for frame in self.reader.read(&all) {
                self.frame(&frame);
            }
        }
        assert!(self.reader.is_between_frames());
    }

    fn frame(&mut self, frame: &Frame) {
        assert!(!self.is_failed, "nothing follows a GOAWAY that tells of an error");
        match frame {
            Frame::Promise { promised, .. } => {
                assert!(*promised % 2 == 0 && *promised > self.last_promise);
                self.last_promise = *promised;
            }
            Frame::GoAway { last, code } => {
                assert!(*last <= self.last_goaway);
                self.last_goaway = *last;
                self.is_failed = *code != 0;
            }
            _ => {}
        }
    }

    /// All is let go of: nothing must be left.
    fn end(mut self) {
        self.transmit(&mut Input(&[255, 255]));
        self.core.disconnect();
        self.events();
        for key in std::mem::take(&mut self.keys) {
            self.core.detach(key, Reason::CANCEL);
        }
        self.events();
        assert!(self.open.is_empty() && self.core.stream_count() == 0);
        assert!(self.core.is_done() && !self.core.has_output(false));
    }
}

/// Drives a connection by what the bytes say.
pub fn connection(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut world = World::new();
    if input.byte().is_some_and(|first| first < 250) {
        world.core.receive(&client::preface(&[]), world.now);
    }
    while world.step(&mut input).is_some() {}
    world.end();
}

/// Drives an upgraded connection: the settings of its client, a path, and what follows.
pub fn upgraded(bytes: &[u8]) {
    let mut input = Input(bytes);
    let length = input.number();
    let settings = input.take(length);
    let length = input.number() % 64;
    let Ok(uri) = http::Uri::try_from(input.take(length)) else {
        return;
    };
    let mut request = Request::new(());
    *request.uri_mut() = uri;
    let length = input.number() % 64;
    if let Ok(value) = HeaderValue::from_bytes(input.take(length)) {
        request.headers_mut().insert("priority", value);
    }
    let are_good = super::core::settings_are_good(settings);
    let mut world = World::new();
    let begun = world.core.begin_upgraded(settings, Box::new(request.into_parts().0));
    assert_eq!(begun.is_ok(), are_good, "what was acknowledged is taken");
    if begun.is_err() {
        return;
    }
    world.next = 3;
    world.events();
    assert_eq!(world.keys.len(), 0, "the request waits for the client's preface");
    world.core.receive(&client::preface(&[]), world.now);
    world.events();
    assert_eq!(world.keys.len(), 1);
    while world.step(&mut input).is_some() {}
    world.end();
}
