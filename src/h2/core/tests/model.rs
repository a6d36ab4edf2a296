//! Tests any interleaving of valid client frames, owner commands and writes against a model of a strict client (RFC
//! 9113). The model fails on any frame that a client must treat as an error, on a lost byte, and on windows and counts
//! that are not exact.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proptest::prelude::*;

use super::{
    Allowance, Config, Core, Duration, Ending, Event, Fault, Frame, Instant, Key, Priority, PushPath, Reader, Reason,
    Rope, SendError, asset, client, no_content, ok,
};
use crate::h2::{
    core::{CONNECTION_WINDOW, MAX_REMEMBERED, SHUTDOWN_PING, STREAM_WINDOW, stream::State},
    wire::frame::{flag, kind, setting},
};

/// One step of a test. `at` chooses among the streams that exist.
#[derive(Debug, Clone)]
enum Step {
    // Steps of the client.
    Open {
        skip: u8,
        has_content: bool,
        length: Option<u16>,
        priority: Option<u8>,
        parts: u8,
    },
    Data {
        at: u8,
        length: u16,
        padding: Option<u8>,
        is_end: bool,
    },
    Trailers(u8),
    Reset(u8),
    Window {
        at: u8,
        more: u32,
    },
    ConnectionWindow(u32),
    InitialWindow(u32),
    MaxStreams(u32),
    EnablePush(bool),
    Table(u32),
    Ping,
    PriorityUpdate {
        at: u8,
        ahead: bool,
        urgency: u8,
        incremental: bool,
    },
    GoAway,

    // Commands of the owner.
    Respond {
        at: u8,
        is_end: bool,
        length: u16,
    },
    Inform(u8),
    Promise(u8),
    Send {
        at: u8,
        length: u32,
        is_end: bool,
    },
    Finish {
        at: u8,
        trailers: Option<u8>,
    },
    OwnerReset(u8),
    Detach(u8),
    Read(u8),
    AwaitWritable(u8),
    ShutDown,
    GoAwayNow,

    // Time, and the path between them.
    Transmit {
        allowance: u32,
        accept: u32,
    },
    Pass(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let client = prop_oneof![
        10 => (
            0..2u8,
            any::<bool>(),
            prop::option::weighted(0.3, 0..2000u16),
            prop::option::of(0..16u8),
            0..4u8
        )
            .prop_map(|(skip, has_content, length, priority, parts)| Step::Open {
                skip, has_content, length, priority, parts,
            }),
        6 => (any::<u8>(), prop_oneof![0..100u16, 0..16_000u16], prop::option::of(any::<u8>()), any::<bool>())
            .prop_map(|(at, length, padding, is_end)| Step::Data { at, length, padding, is_end }),
        1 => any::<u8>().prop_map(Step::Trailers),
        2 => any::<u8>().prop_map(Step::Reset),
        3 => (any::<u8>(), prop_oneof![1..100u32, 1..100_000u32])
            .prop_map(|(at, more)| Step::Window { at, more }),
        2 => prop_oneof![1..100u32, 1..100_000u32].prop_map(Step::ConnectionWindow),
        1 => prop_oneof![Just(0), 0..1000u32, 0..200_000u32].prop_map(Step::InitialWindow),
        1 => prop_oneof![0..4u32, Just(u32::MAX)].prop_map(Step::MaxStreams),
        1 => any::<bool>().prop_map(Step::EnablePush),
        1 => prop_oneof![Just(0), 0..300u32, 0..10_000u32].prop_map(Step::Table),
        1 => Just(Step::Ping),
        2 => (any::<u8>(), any::<bool>(), 0..8u8, any::<bool>()).prop_map(|(at, ahead, urgency, incremental)| {
            Step::PriorityUpdate { at, ahead, urgency, incremental }
        }),
    ];
    let owner = prop_oneof![
        8 => (any::<u8>(), prop::bool::weighted(0.2), prop_oneof![Just(0), 0..500u16, Just(20_000)])
            .prop_map(|(at, is_end, length)| Step::Respond { at, is_end, length }),
        1 => any::<u8>().prop_map(Step::Inform),
        6 => any::<u8>().prop_map(Step::Promise),
        8 => (any::<u8>(), prop_oneof![Just(0), 0..100u32, 0..20_000u32, Just(100_000)], prop::bool::weighted(0.2))
            .prop_map(|(at, length, is_end)| Step::Send { at, length, is_end }),
        4 => (any::<u8>(), prop::option::weighted(0.3, 0..3u8))
            .prop_map(|(at, trailers)| Step::Finish { at, trailers }),
        1 => any::<u8>().prop_map(Step::OwnerReset),
        3 => any::<u8>().prop_map(Step::Detach),
        4 => any::<u8>().prop_map(Step::Read),
        2 => any::<u8>().prop_map(Step::AwaitWritable),
    ];
    let way = prop_oneof![
        12 => (
            prop_oneof![Just(0), 1..2000u32, Just(u32::MAX)],
            prop_oneof![0..100u32, 0..30_000u32, Just(u32::MAX)]
        )
            .prop_map(|(allowance, accept)| Step::Transmit { allowance, accept }),
        2 => (0..1500u16).prop_map(Step::Pass),
    ];
    prop_oneof![
        30 => client,
        40 => owner,
        15 => way,
    ]
}

/// Generates at most one step that begins the end of the connection, with its position.
fn last_steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    let end = prop_oneof![Just(Step::GoAway), Just(Step::ShutDown), Just(Step::GoAwayNow)];
    prop::collection::vec((0..150usize, end), 0..2)
}

/// A stream as the client sees it.
#[derive(Debug)]
struct Seen {
    state: Seeing,
    /// Bytes that the server, and then the client, may still send.
    receive_window: i64,
    send_window: i64,
    has_head: bool,
    received: usize,
    trailers: Option<usize>,
    has_response: bool,
    /// The client has sent RST_STREAM, or a GOAWAY excludes the stream.
    is_given_up: bool,
    was_reset: bool,
    sent: usize,
    /// Bytes of content that Content-Length announced and that are still to be sent.
    owed: Option<usize>,
}

/// The states of a stream on the client (RFC 9113 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seeing {
    Reserved,
    Open,
    /// The client has sent END_STREAM.
    HalfClosedLocal,
    /// The server has sent END_STREAM.
    HalfClosedRemote,
    Closed,
}

/// A stream as its owner sees it.
#[derive(Debug)]
struct Owned {
    key: Key,
    has_head: bool,
    length: usize,
    /// Number of trailers, once the response is finished.
    end: Option<usize>,
    is_attached: bool,
    is_closed: bool,
    /// The owner has reset the stream, or detached it before its end.
    is_given_up: bool,
    read: usize,
    is_awaited: bool,
}

/// The state of a strict client.
struct Peer {
    reader: Reader,
    streams: BTreeMap<u32, Seen>,
    next: u32,
    receive_window: i64,
    send_window: i64,
    /// The server's settings.
    max_streams: usize,
    /// The client's own settings that are acknowledged, and those that are not.
    initial_window: i64,
    max_pushes: u32,
    takes_pushes: bool,
    unacknowledged: VecDeque<(u16, u32)>,
    unechoed: VecDeque<Vec<u8>>,
    last_promise: u32,
    /// The last stream that a GOAWAY of the server named.
    last: Option<u32>,
    is_going: bool,
    /// The client has had a limit of 0 promised streams at some time.
    took_none: bool,
    said: Vec<u8>,
}

/// A path that takes this number of pushed bytes.
struct Path(usize);

impl PushPath for Path {
    fn allowance(&mut self) -> Allowance {
        match self.0 {
            0 => Allowance::After(Duration::from_millis(3)),
            bytes => Allowance::Bytes(bytes),
        }
    }

    fn count(&mut self, bytes: usize) {
        self.0 = self.0.checked_sub(bytes).expect("no more than is allowed");
    }
}

struct World {
    core: Core<u32>,
    peer: Peer,
    owned: Vec<Owned>,
    /// Streams whose owner's data was given back.
    returned: BTreeSet<u32>,
    now: Instant,
    out: Rope,
    /// Determines the pieces in which the client's bytes come.
    cut: usize,
}

fn byte(id: u32, at: usize) -> u8 {
    let [low, ..] = (at * 7 + at / 251 + usize::try_from(id).unwrap() * 31).to_le_bytes();
    low
}

fn bytes(id: u32, from: usize, length: usize) -> Vec<u8> {
    (from..from + length).map(|at| byte(id, at)).collect()
}

impl Peer {
    fn stream(&mut self, id: u32) -> &mut Seen {
        self.streams
            .get_mut(&id)
            .unwrap_or_else(|| panic!("stream {id} is idle"))
    }

    fn is_open(&self, seen: &Seen) -> bool {
        !matches!(seen.state, Seeing::Closed | Seeing::Reserved)
    }

    fn open_requests(&self) -> usize {
        let open = |(id, seen): &(&u32, &Seen)| *id % 2 == 1 && self.is_open(seen);
        self.streams.iter().filter(open).count()
    }

    /// Takes a frame of the server as a strict client does.
    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Data {
                stream,
                content,
                is_end,
            } => {
                let length = i64::try_from(content.len()).unwrap();
                self.receive_window -= length;
                assert!(self.receive_window >= 0, "the connection's window is exceeded");
                let seen = self.stream(stream);
                assert!(!seen.was_reset, "DATA after RST_STREAM on {stream}");
                if seen.is_given_up {
                    return;
                }
                assert!(
                    matches!(seen.state, Seeing::Open | Seeing::HalfClosedLocal) && seen.has_head,
                    "DATA on {stream}: {seen:?}"
                );
                seen.receive_window -= length;
                assert!(
                    seen.receive_window >= 0 || length == 0,
                    "the window of {stream} is exceeded"
                );
                assert_eq!(
                    content,
                    bytes(stream, seen.received, content.len()),
                    "content of {stream}"
                );
                seen.received += content.len();
                if is_end {
                    seen.end();
                }
            }
            Frame::Headers { stream, fields, is_end } => self.headers(stream, &fields, is_end),
            Frame::Promise { stream, promised, .. } => {
                assert!(self.takes_pushes, "a promise though push is off");
                assert!(promised % 2 == 0 && promised > self.last_promise, "{promised} in order");
                self.last_promise = promised;
                let window = self.initial_window;
                let parent = self.stream(stream);
                assert!(stream % 2 == 1 && !parent.was_reset);
                assert!(
                    parent.is_given_up || matches!(parent.state, Seeing::Open | Seeing::HalfClosedLocal),
                    "a promise on {stream}: {parent:?}"
                );
                let mut seen = Seen::new(Seeing::Reserved, window, 0);
                // The promise is above the last one that the client's GOAWAY named.
                seen.is_given_up = self.is_going;
                self.streams.insert(promised, seen);
            }
            Frame::Reset { stream, code } => {
                let seen = self.stream(stream);
                assert!(!seen.was_reset, "RST_STREAM twice on {stream}");
                assert!([0, 2, 7, 8].contains(&code), "{stream} is reset: {code}");
                assert!(
                    code != 0 || seen.has_response || seen.is_given_up,
                    "a part of a response is none"
                );
                seen.was_reset = true;
                seen.state = Seeing::Closed;
            }
            Frame::Settings(settings) => {
                for (id, value) in settings {
                    if id == setting::MAX_CONCURRENT_STREAMS {
                        self.max_streams = usize::try_from(value).unwrap();
                    }
                }
                self.said.extend(client::frame(kind::SETTINGS, flag::ACK, 0, &[]));
            }
            Frame::SettingsAck => self.acknowledged(),
            Frame::Ping(payload) => self.said.extend(client::frame(kind::PING, flag::ACK, 0, &payload)),
            Frame::Pong(payload) => assert_eq!(self.unechoed.pop_front(), Some(payload)),
            Frame::GoAway { last, code } => {
                assert_eq!(code, 0, "the connection fails");
                assert!(
                    self.last.is_none_or(|before| last <= before),
                    "a last stream that grows"
                );
                self.last = Some(last);
                for (id, seen) in &mut self.streams {
                    if id % 2 == 1 && *id > last {
                        assert!(!seen.has_head && !seen.was_reset, "{id} was answered");
                        seen.is_given_up = true;
                        seen.state = Seeing::Closed;
                    }
                }
            }
            Frame::Window { stream: 0, more } => {
                self.send_window += i64::from(more);
                assert!(self.send_window <= CONNECTION_WINDOW);
            }
            Frame::Window { stream, more } => {
                let seen = self.stream(stream);
                assert!(stream % 2 == 1 && !seen.was_reset);
                seen.send_window += i64::from(more);
                assert!(seen.send_window <= STREAM_WINDOW);
            }
        }
    }

    fn headers(&mut self, stream: u32, fields: &[client::Field], is_end: bool) {
        let open_pushes = {
            let open = |(id, seen): &(&u32, &Seen)| *id % 2 == 0 && self.is_open(seen);
            self.streams.iter().filter(open).count()
        };
        let max_pushes = usize::try_from(self.max_pushes).unwrap();
        let seen = self.stream(stream);
        assert!(!seen.was_reset, "HEADERS after RST_STREAM on {stream}");
        if seen.is_given_up {
            return;
        }
        if seen.state == Seeing::Reserved {
            assert!(open_pushes < max_pushes, "{open_pushes} pushes are open");
            seen.state = Seeing::HalfClosedLocal;
        }
        assert!(
            matches!(seen.state, Seeing::Open | Seeing::HalfClosedLocal),
            "HEADERS on {stream}: {seen:?}"
        );
        let status = fields.iter().find(|(name, _)| name == ":status");
        match status {
            Some((_, status)) if status.starts_with('1') => {
                assert!(!seen.has_head && !is_end && stream % 2 == 1);
            }
            Some(_) => {
                assert!(!seen.has_head, "two heads on {stream}");
                seen.has_head = true;
            }
            None => {
                assert!(seen.has_head && is_end, "trailers of {stream}");
                seen.trailers = Some(fields.len());
            }
        }
        if is_end {
            seen.end();
        }
    }

    fn acknowledged(&mut self) {
        let (id, value) = self.unacknowledged.pop_front().expect("SETTINGS were sent");
        match id {
            setting::INITIAL_WINDOW_SIZE => {
                let more = i64::from(value) - self.initial_window;
                self.initial_window += more;
                for seen in self.streams.values_mut() {
                    seen.receive_window += more;
                }
            }
            setting::MAX_CONCURRENT_STREAMS => self.max_pushes = value,
            setting::ENABLE_PUSH => self.takes_pushes = value == 1,
            setting::HEADER_TABLE_SIZE => self.reader.table_acknowledged(value),
            _ => {}
        }
    }
}

impl Seen {
    fn new(state: Seeing, receive_window: i64, send_window: i64) -> Self {
        Self {
            state,
            receive_window,
            send_window,
            has_head: false,
            received: 0,
            trailers: None,
            has_response: false,
            is_given_up: false,
            was_reset: false,
            sent: 0,
            owed: None,
        }
    }

    /// END_STREAM came.
    fn end(&mut self) {
        assert!(self.has_head);
        self.has_response = true;
        self.state = match self.state {
            Seeing::Open => Seeing::HalfClosedRemote,
            _ => Seeing::Closed,
        };
    }

    fn sends(&self) -> bool {
        matches!(self.state, Seeing::Open | Seeing::HalfClosedRemote)
    }

    /// END_STREAM was sent.
    fn sent_end(&mut self) {
        self.state = match self.state {
            Seeing::Open => Seeing::HalfClosedLocal,
            _ => Seeing::Closed,
        };
    }
}

impl World {
    fn new(max_streams: u32, cut: usize) -> Self {
        let config = Config {
            max_streams,
            max_header_bytes: 16 * 1024,
            max_header_fields: 100,
            max_malformed: u32::MAX,
            shared_heads: None,
        };
        let mut world = Self {
            core: Core::new(config, Instant::now()),
            peer: Peer {
                reader: Reader::default(),
                streams: BTreeMap::new(),
                next: 1,
                receive_window: 65_535,
                send_window: 65_535,
                max_streams: 1,
                initial_window: 65_535,
                max_pushes: u32::MAX,
                takes_pushes: true,
                unacknowledged: VecDeque::new(),
                unechoed: VecDeque::new(),
                last_promise: 0,
                last: None,
                is_going: false,
                took_none: false,
                said: Vec::new(),
            },
            owned: Vec::new(),
            returned: BTreeSet::new(),
            now: Instant::now(),
            out: Rope::default(),
            cut,
        };
        world.peer.unacknowledged.push_back((0, 0));
        world.say(&client::preface(&[]));
        world.transmit(usize::MAX, usize::MAX);
        world
    }

    /// Passes the client's bytes to the core, in pieces.
    fn say(&mut self, said: &[u8]) {
        for part in said.chunks(self.cut) {
            self.core.receive(part, self.now);
            self.check();
        }
        self.events();
    }

    fn events(&mut self) {
        while let Some(event) = self.core.poll_event() {
            match event {
                Event::Request { key, head, .. } => {
                    assert_eq!(head.uri.path(), format!("/{}", key.id()));
                    self.own(key);
                }
                Event::Closed { key, side, .. } => {
                    assert_eq!(side, key.id());
                    assert!(self.returned.insert(side), "{side} is closed once");
                    let owned = self.owned.iter_mut().find(|owned| owned.key == key).unwrap();
                    owned.is_closed = true;
                    owned.is_awaited = false;
                }
                Event::Writable(key) => {
                    let owned = self.owned.iter_mut().find(|owned| owned.key == key).unwrap();
                    assert!(owned.is_awaited || !owned.is_attached, "the owner did not wait");
                    owned.is_awaited = false;
                }
                Event::Fault { fault, stream } => {
                    // The owner may still work on more streams than are open.
                    assert_eq!(fault, Fault::TooManyStreams, "stream {stream:?}");
                    assert!(self.core.streams.requested() >= 4);
                }
                _ => {}
            }
        }
    }

    fn own(&mut self, key: Key) {
        *self.core.side(key).expect("it is open") = key.id();
        self.owned.push(Owned {
            key,
            has_head: false,
            length: 0,
            end: None,
            is_attached: true,
            is_closed: false,
            is_given_up: false,
            read: 0,
            is_awaited: false,
        });
    }

    /// Writes this number of bytes, which the client reads.
    fn transmit(&mut self, allowance: usize, accept: usize) {
        self.core.transmit(&mut self.out, self.now, &mut Path(allowance));
        let mut slices = [std::io::IoSlice::new(&[]); 1000];
        let number = self.out.slices(&mut slices);
        let mut written: Vec<u8> = slices[..number].iter().flat_map(|slice| slice.to_vec()).collect();
        written.truncate(accept);
        self.out.advance(written.len());
        self.peer.reader.take(&written);
        while let Some(frame) = self.peer.reader.next() {
            self.peer.take(frame);
        }
        let said = std::mem::take(&mut self.peer.said);
        self.say(&said);
    }

    fn settings(&mut self, id: u16, value: u32) {
        self.peer.unacknowledged.push_back((id, value));
        self.say(&client::settings(&[(id, value)]));
    }

    /// Chooses one of the client's streams.
    fn choose(&self, at: u8, is_fit: impl Fn(u32, &Seen) -> bool) -> Option<u32> {
        let fit: Vec<u32> = self
            .peer
            .streams
            .iter()
            .filter(|(id, seen)| is_fit(**id, seen))
            .map(|(id, _)| *id)
            .collect();
        fit.get(usize::from(at) % fit.len().max(1)).copied()
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open { .. }
            | Step::Data { .. }
            | Step::Trailers(_)
            | Step::Reset(_)
            | Step::Window { .. }
            | Step::ConnectionWindow(_)
            | Step::InitialWindow(_)
            | Step::MaxStreams(_)
            | Step::EnablePush(_)
            | Step::Table(_)
            | Step::Ping
            | Step::PriorityUpdate { .. }
            | Step::GoAway => self.client_step(step),
            Step::Transmit { allowance, accept } => {
                self.transmit(allowance.try_into().unwrap(), accept.try_into().unwrap());
            }
            Step::Pass(millis) => {
                self.now += Duration::from_millis(millis.into());
                self.core.tick(self.now);
            }
            Step::ShutDown => self.core.shut_down(self.now),
            Step::GoAwayNow => self.core.go_away(),
            _ => self.owner_step(step),
        }
        self.events();
        self.check();
    }

    fn client_step(&mut self, step: Step) {
        let peer = &mut self.peer;
        match step {
            Step::Open {
                skip,
                has_content,
                length,
                priority,
                parts,
            } => {
                if peer.last.is_some() || peer.is_going || peer.open_requests() >= peer.max_streams {
                    return;
                }
                let id = peer.next + 2 * u32::from(skip);
                peer.next = id + 2;
                let said = open(id, has_content, length.filter(|_| has_content), priority, parts);
                let state = if has_content {
                    Seeing::Open
                } else {
                    Seeing::HalfClosedLocal
                };
                let mut seen = Seen::new(state, peer.initial_window, STREAM_WINDOW);
                seen.owed = length.filter(|_| has_content).map(usize::from);
                peer.streams.insert(id, seen);
                self.say(&said);
            }
            Step::Data {
                at,
                length,
                padding,
                is_end,
            } => {
                let Some(id) = self.choose(at, |_, seen| seen.sends()) else {
                    return;
                };
                self.data(id, usize::from(length), padding, is_end);
            }
            Step::Trailers(at) => {
                let is_complete = |seen: &Seen| seen.owed.is_none_or(|owed| owed == 0);
                let Some(id) = self.choose(at, |_, seen| seen.sends() && is_complete(seen)) else {
                    return;
                };
                self.peer.stream(id).sent_end();
                self.say(&client::headers(id, &[("checksum", "1")], true));
            }
            Step::Reset(at) => {
                let Some(id) = self.choose(at, |_, seen| seen.state != Seeing::Closed) else {
                    return;
                };
                let seen = self.peer.stream(id);
                seen.state = Seeing::Closed;
                seen.is_given_up = true;
                self.say(&client::reset(id));
            }
            Step::Window { at, more } => {
                let takes = |seen: &Seen| !matches!(seen.state, Seeing::Closed | Seeing::HalfClosedRemote);
                let Some(id) = self.choose(at, |_, seen| takes(seen)) else {
                    return;
                };
                self.peer.stream(id).receive_window += i64::from(more);
                self.say(&client::window(id, more));
            }
            Step::ConnectionWindow(more) => {
                peer.receive_window += i64::from(more);
                self.say(&client::window(0, more));
            }
            Step::InitialWindow(size) => self.settings(setting::INITIAL_WINDOW_SIZE, size),
            Step::MaxStreams(most) => {
                peer.took_none |= most == 0;
                self.settings(setting::MAX_CONCURRENT_STREAMS, most);
            }
            Step::EnablePush(is_on) => self.settings(setting::ENABLE_PUSH, is_on.into()),
            Step::Table(size) => self.settings(setting::HEADER_TABLE_SIZE, size),
            Step::Ping => {
                let payload = [u8::try_from(peer.unechoed.len()).unwrap(); 8];
                peer.unechoed.push_back(payload.to_vec());
                self.say(&client::frame(kind::PING, 0, 0, &payload));
            }
            Step::PriorityUpdate {
                at,
                ahead,
                urgency,
                incremental,
            } => {
                let next = peer.next;
                let known = self.choose(at, |_, _| true).filter(|_| !ahead);
                let field = format!("u={urgency}{}", if incremental { ", i" } else { "" });
                self.say(&client::priority_update(known.unwrap_or(next), &field));
            }
            Step::GoAway => {
                let last = peer.last_promise;
                peer.is_going = true;
                for (id, seen) in &mut peer.streams {
                    if id % 2 == 0 && *id > last {
                        seen.is_given_up = true;
                    }
                }
                self.say(&client::goaway(last));
            }
            other => panic!("{other:?} is the owner's"),
        }
    }

    /// Sends content from the client, up to its windows.
    fn data(&mut self, id: u32, length: usize, padding: Option<u8>, is_end: bool) {
        let connection = self.peer.send_window;
        let seen = self.peer.stream(id);
        let overhead = padding.map_or(0, |padding| 1 + usize::from(padding));
        let room = usize::try_from(seen.send_window.min(connection)).unwrap().min(16_384);
        let Some(room) = room.checked_sub(overhead) else {
            return;
        };
        let length = length.min(room).min(seen.owed.unwrap_or(usize::MAX));
        let is_end = is_end && seen.owed.is_none_or(|owed| owed == length);
        if length + overhead == 0 && !is_end {
            return;
        }
        let content = bytes(id, seen.sent, length);
        seen.sent += length;
        seen.owed = seen.owed.map(|owed| owed - length);
        let all = i64::try_from(length + overhead).unwrap();
        seen.send_window -= all;
        if is_end {
            seen.sent_end();
        }
        self.peer.send_window -= all;
        let said = match padding {
            Some(padding) => client::padded(id, &content, padding, is_end),
            None => client::data(id, &content, is_end),
        };
        self.say(&said);
    }

    fn owner_step(&mut self, step: Step) {
        let at = match step {
            Step::Respond { at, .. }
            | Step::Inform(at)
            | Step::Promise(at)
            | Step::Send { at, .. }
            | Step::Finish { at, .. }
            | Step::OwnerReset(at)
            | Step::Detach(at)
            | Step::Read(at)
            | Step::AwaitWritable(at) => at,
            other => panic!("{other:?} is the client's"),
        };
        let attached: Vec<usize> = (0..self.owned.len()).filter(|&at| self.owned[at].is_attached).collect();
        let Some(&at) = attached.get(usize::from(at) % attached.len().max(1)) else {
            return;
        };
        self.command(at, step);
    }

    fn command(&mut self, at: usize, step: Step) {
        let Self { core, owned, now, .. } = self;
        let owned = &mut owned[at];
        let (key, id) = (owned.key, owned.key.id());
        let is_over = owned.is_closed;
        let expect = |result: Result<(), SendError>, is_in_order: bool| {
            match &result {
                Ok(()) => assert!(is_in_order && !is_over),
                Err(SendError::State) => assert!(!is_in_order),
                Err(SendError::Reset(_)) => assert!(core_is_closed(is_over, id)),
            }
            result.is_ok()
        };
        match step {
            Step::Respond { is_end, length, .. } => {
                let mut response = if is_end { no_content() } else { ok() };
                for part in 0..length / 400 {
                    let name: http::HeaderName = format!("x-{part}").parse().unwrap();
                    response.headers.insert(name, "~".repeat(400).parse().unwrap());
                }
                let result = core.respond(key, response.of());
                if result == Err(SendError::Reset(Reason::CANCEL)) && id % 2 == 0 {
                    // The client takes no pushes at all, or the stream is over.
                    return;
                }
                if expect(result, !owned.has_head) {
                    owned.has_head = true;
                    owned.end = is_end.then_some(0);
                }
            }
            Step::Inform(_) => {
                let result = core.inform(key, StatusCode::EARLY_HINTS, &HeaderMap::new());
                expect(result, !owned.has_head && id % 2 == 1);
            }
            Step::Promise(_) => {
                if let Ok(key) = core.promise(key, &asset(), Priority::default()) {
                    self.own(key);
                }
            }
            Step::Send { length, is_end, .. } => {
                let length = usize::try_from(length).unwrap();
                let content = Bytes::from(bytes(id, owned.length, length));
                let result = core.send(key, content, is_end, || *now);
                if expect(result, owned.has_head && owned.end.is_none()) {
                    owned.length += length;
                    owned.end = is_end.then_some(0);
                }
            }
            Step::Finish { trailers, .. } => {
                let mut map = HeaderMap::new();
                for at in 0..trailers.unwrap_or(0) {
                    let name: http::HeaderName = format!("t-{at}").parse().unwrap();
                    map.insert(name, "t".parse().unwrap());
                }
                let result = core.finish(key, trailers.map(|_| map));
                if expect(result, owned.has_head && owned.end.is_none()) {
                    owned.end = Some(trailers.unwrap_or(0).into());
                }
            }
            Step::OwnerReset(_) => {
                core.reset(key, Reason::CANCEL);
                owned.is_given_up = true;
            }
            Step::Detach(_) => {
                core.detach(key, Reason::INTERNAL_ERROR);
                owned.is_attached = false;
                owned.is_awaited = false;
                owned.is_given_up |= owned.end.is_none();
            }
            Step::Read(_) => {
                if let Some(content) = core.read(key) {
                    assert_eq!(content, bytes(id, owned.read, content.len()), "content of {id}");
                    owned.read += content.len();
                }
            }
            Step::AwaitWritable(_) => {
                owned.is_awaited = core.poll_writable(key) == Ok(false);
            }
            other => panic!("{other:?} is no command"),
        }
    }

    /// Asserts what holds at any time.
    fn check(&self) {
        let core = &self.core;
        assert_ne!(core.ending, Ending::Failed);
        let mut totals = (0, 0, 0, 0, 0, 0);
        let under_way = core
            .content
            .as_ref()
            .map_or(0, |content| i64::try_from(content.left()).unwrap());
        for key in core.streams.keys() {
            let stream = core.streams.get(key).unwrap();
            let received = i64::try_from(stream.received.len()).unwrap();
            let is_closed = stream.state == State::Closed;
            totals.0 += stream.queued;
            totals.1 += received;
            totals.2 += usize::from(!is_closed && !stream.is_promised());
            let is_open = stream.is_promised() && stream.state == State::HalfClosedRemote;
            totals.3 += usize::from(is_open);
            totals.4 += stream.header_bytes;
            assert_eq!(stream.queued, stream.queue.iter().map(Bytes::len).sum::<usize>());
            let can_send = stream.queued > 0 && stream.send_window > 0 && stream.has_begun() && stream.state.sends();
            assert_eq!(stream.rank.is_some(), can_send, "{stream:?}");
            totals.5 += usize::from(can_send);
            assert!(!is_closed || stream.is_attached, "a closed stream has an owner");
            if stream.is_attached && stream.state.receives() {
                let here = core.content.as_ref().is_some_and(|content| content.key() == Some(key));
                let expected = STREAM_WINDOW - if here { under_way } else { 0 };
                assert_eq!(
                    stream.receive_window + i64::from(stream.unreported) + received,
                    expected
                );
            }
        }
        assert_eq!(core.queued, totals.0);
        assert_eq!(
            core.receive_window + i64::from(core.unreported) + totals.1 + under_way,
            CONNECTION_WINDOW
        );
        assert_eq!((core.open_requests, core.open_promises), (totals.2, totals.3));
        assert_eq!(core.header_bytes, totals.4);
        assert_eq!(core.schedule.len(), totals.5);
        assert!(core.remembered.len() <= MAX_REMEMBERED);
    }

    /// Brings all streams to their end, and checks that nothing is lost and nothing is left.
    fn finish(mut self) {
        const WINDOW: u32 = 1 << 29;
        self.settings(setting::MAX_CONCURRENT_STREAMS, 3);
        self.peer.receive_window += i64::from(WINDOW);
        self.say(&client::window(0, WINDOW));
        self.settings(setting::INITIAL_WINDOW_SIZE, WINDOW);
        for at in 0..self.owned.len() {
            if !self.owned[at].is_attached {
                continue;
            }
            let owned = &self.owned[at];
            if owned.is_awaited {
                continue;
            }
            if !owned.has_head {
                self.command(
                    at,
                    Step::Respond {
                        at: 0,
                        is_end: true,
                        length: 0,
                    },
                );
            } else if owned.end.is_none() {
                self.command(at, Step::Finish { at: 0, trailers: None });
            }
        }
        for round in 0..2000 {
            self.now += Duration::from_millis(600);
            self.core.tick(self.now);
            let before = self.out.len();
            self.transmit(usize::MAX, 20_000 + round);
            self.events();
            self.check();
            let sending: Vec<u32> = self
                .peer
                .streams
                .iter()
                .filter(|(_, seen)| seen.sends())
                .map(|(id, _)| *id)
                .collect();
            for id in &sending {
                self.data(*id, 16_384, None, true);
            }
            for at in 0..self.owned.len() {
                if self.owned[at].is_attached {
                    self.command(at, Step::Read(0));
                }
            }
            // Owners that have waited go on.
            for at in 0..self.owned.len() {
                let owned = &self.owned[at];
                if owned.is_attached && !owned.is_awaited && owned.has_head && owned.end.is_none() {
                    self.command(at, Step::Finish { at: 0, trailers: None });
                }
            }
            let is_still = before == 0 && self.out.is_empty() && !self.core.has_output(false);
            if is_still && sending.is_empty() {
                break;
            }
        }
        assert!(self.out.is_empty() && self.peer.reader.is_between_frames());
        let left = self.owned.iter().find(|owned| owned.is_awaited);
        assert!(left.is_none(), "an owner is never woken: {left:?}, {:?}", self.core);
        for owned in self.owned.iter().filter(|owned| owned.end.is_some()) {
            let id = owned.key.id();
            let seen = &self.peer.streams[&id];
            // A promise is canceled if the client takes no promised stream.
            let is_canceled = self.peer.took_none && id % 2 == 0;
            if seen.is_given_up || (!seen.has_response && (owned.is_given_up || is_canceled)) {
                continue;
            }
            assert!(seen.has_response, "{id} has no end: {seen:?}, {owned:?}");
            assert_eq!(seen.received, owned.length, "content of {id}");
            assert_eq!(seen.trailers.unwrap_or(0), owned.end.unwrap());
        }
        for owned in &self.owned {
            let seen = &self.peer.streams[&owned.key.id()];
            if owned.is_attached && !seen.is_given_up && !seen.was_reset {
                assert_eq!(owned.read, seen.sent, "what the client sent on {:?}", owned.key);
            }
        }
        for at in 0..self.owned.len() {
            if self.owned[at].is_attached {
                self.command(at, Step::Detach(0));
            }
        }
        self.transmit(usize::MAX, usize::MAX);
        self.events();
        let core = &self.core;
        assert!(core.streams.is_empty(), "{:?}", core.streams);
        assert_eq!((core.header_bytes, core.open_requests, core.open_promises), (0, 0, 0));
        assert_eq!((core.queued, core.held.len(), core.schedule.len()), (0, 0, 0));
        assert_eq!(core.send_window, self.peer.receive_window);
        assert_eq!(core.receive_window, self.peer.send_window);
        assert!(self.peer.unacknowledged.is_empty() && self.peer.unechoed.is_empty());
        assert_eq!(self.returned.len(), self.owned.len());
        assert_eq!(core.is_done(), self.peer.is_going || self.peer.last.is_some());
        assert!(SHUTDOWN_PING.len() == 8);
    }
}

fn core_is_closed(is_over: bool, id: u32) -> bool {
    assert!(is_over, "{id} is not over");
    true
}

/// Returns a request in HEADERS and CONTINUATION frames.
fn open(id: u32, has_content: bool, length: Option<u16>, priority: Option<u8>, parts: u8) -> Vec<u8> {
    let path = format!("/{id}");
    let mut fields = client::target(if has_content { "POST" } else { "GET" }, &path).to_vec();
    let length = length.map(|length| length.to_string());
    if let Some(length) = &length {
        fields.push(("content-length", length));
    }
    let field = priority.map(|priority| format!("u={}{}", priority % 8, if priority >= 8 { ", i" } else { "" }));
    if let Some(field) = &field {
        fields.push(("priority", field));
    }
    let block = client::block(&fields);
    let end = if has_content { 0 } else { flag::END_STREAM };
    let parts = usize::from(parts);
    if parts == 0 {
        return client::frame(kind::HEADERS, flag::END_HEADERS | end, id, &block);
    }
    let chunks: Vec<&[u8]> = block.chunks(block.len().div_ceil(parts + 1)).collect();
    let last = chunks.len() - 1;
    chunks
        .iter()
        .enumerate()
        .flat_map(|(at, chunk)| {
            let (kind, flags) = if at == 0 {
                (kind::HEADERS, end)
            } else {
                (kind::CONTINUATION, 0)
            };
            client::frame(kind, flags | if at == last { flag::END_HEADERS } else { 0 }, id, chunk)
        })
        .collect()
}

proptest! {
    #[test]
    fn any_interleaving_is_what_a_strict_client_takes(
        steps in prop::collection::vec(step(), 1..150),
        ends in last_steps(),
        max_streams in 1..8u32,
        cut in prop_oneof![Just(usize::MAX), 1..40usize],
    ) {
        let mut world = World::new(max_streams, cut);
        for (at, step) in steps.into_iter().enumerate() {
            for (_, end) in ends.iter().filter(|(end_at, _)| *end_at == at) {
                world.step(end.clone());
            }
            world.step(step);
        }
        world.finish();
    }
}
