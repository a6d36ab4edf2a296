//! Tests invalid bytes: the core does not panic, its memory is bounded, its counts stay exact, and the pieces in which
//! the bytes come make no difference.

use proptest::prelude::*;

use super::{
    Allowance, Config, Core, Duration, Ending, Event, Frame, HeaderMap, Instant, Key, Priority, PushPath, Reader,
    Reason, Rope, asset, client, content, no_content, ok,
};
use crate::h2::{
    core::{CONNECTION_WINDOW, HEADER_BUDGET, MAX_EARLY_PRIORITIES, MAX_PROMISES, MAX_REMEMBERED, STREAMS_PER_OPEN},
    wire::frame::{flag, kind},
};

const MAX_STREAMS: u32 = 4;
const MAX_HEADER_BYTES: u32 = 2048;

/// A piece of a client's output, valid or not.
#[derive(Debug, Clone)]
enum Said {
    /// A valid request.
    Request {
        id: u32,
        is_end: bool,
    },
    /// A frame of a known type with any payload.
    Frame {
        kind: u8,
        flags: u8,
        stream: u32,
        payload: Vec<u8>,
    },
    /// A frame whose payload is one number, as the type demands.
    Number {
        kind: u8,
        stream: u32,
        number: u32,
    },
    Settings(Vec<(u16, u32)>),
    Data {
        stream: u32,
        length: usize,
        flags: u8,
    },
    Block {
        stream: u32,
        flags: u8,
        fields: Vec<(usize, usize)>,
    },
    PriorityUpdate {
        stream: u32,
        field: Vec<u8>,
    },
    Noise(Vec<u8>),
    Pass(u16),
}

/// Generates stream identifiers of requested and promised streams, and of streams that are never open.
fn stream() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0..12u32, 1 => 12..40u32, 1 => any::<u32>()]
}

fn said() -> impl Strategy<Value = Said> {
    let number = prop_oneof![Just(0), 1..100u32, 1..100_000u32, any::<u32>()];
    prop_oneof![
        8 => (0..20u32, any::<bool>()).prop_map(|(at, is_end)| Said::Request { id: 2 * at + 1, is_end }),
        3 => (0..12u8, any::<u8>(), stream(), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(kind, flags, stream, payload)| Said::Frame { kind, flags, stream, payload }),
        4 => (prop::sample::select(vec![kind::RST_STREAM, kind::WINDOW_UPDATE]), stream(), number.clone())
            .prop_map(|(kind, stream, number)| Said::Number { kind, stream, number }),
        2 => prop::collection::vec((0..11u16, number), 0..5).prop_map(Said::Settings),
        4 => (stream(), 0..3000usize, any::<u8>())
            .prop_map(|(stream, length, flags)| Said::Data { stream, length, flags }),
        3 => (stream(), any::<u8>(), prop::collection::vec((0..FIELDS.len(), 0..FIELDS.len()), 0..8))
            .prop_map(|(stream, flags, fields)| Said::Block { stream, flags, fields }),
        1 => (stream(), prop::collection::vec(any::<u8>(), 0..10))
            .prop_map(|(stream, field)| Said::PriorityUpdate { stream, field }),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(Said::Noise),
        1 => (0..2000u16).prop_map(Said::Pass),
    ]
}

/// Names and values of fields; some make a request malformed.
const FIELDS: [&str; 14] = [
    ":method",
    ":path",
    ":scheme",
    ":authority",
    "GET",
    "/",
    "https",
    "content-length",
    "5",
    "cookie",
    "te",
    "connection",
    "A",
    "",
];

impl Said {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Request { id, is_end } => client::headers(*id, &client::target("GET", "/"), *is_end),
            Self::Frame {
                kind,
                flags,
                stream,
                payload,
            } => client::frame(*kind, *flags, *stream, payload),
            Self::Number { kind, stream, number } => client::number(*kind, *stream, *number),
            Self::Settings(settings) => client::settings(settings),
            Self::Data { stream, length, flags } => client::frame(kind::DATA, *flags, *stream, &vec![3; *length]),
            Self::Block { stream, flags, fields } => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| (FIELDS[*name], FIELDS[*value]))
                    .collect();
                let flags = (flags & !flag::PADDED & !flag::PRIORITY) | (flag::END_HEADERS * u8::from(*flags > 30));
                client::frame(kind::HEADERS, flags, *stream, &client::block(&fields))
            }
            Self::PriorityUpdate { stream, field } => {
                let payload = [&stream.to_be_bytes()[..], field].concat();
                client::frame(kind::PRIORITY_UPDATE, 0, 0, &payload)
            }
            Self::Noise(bytes) => bytes.clone(),
            Self::Pass(_) => Vec::new(),
        }
    }
}

/// An owner that treats each stream by its number.
struct World {
    core: Core<()>,
    reader: Reader,
    keys: Vec<Key>,
    now: Instant,
    /// All frames of the server but WINDOW_UPDATE for the connection, whose increments depend on the pieces in which
    /// content comes: `window` has their sum.
    frames: Vec<Frame>,
    window: u64,
    faults: Vec<String>,
}

/// A path that takes 700 bytes at a time.
struct Path;

impl PushPath for Path {
    fn allowance(&mut self) -> Allowance {
        Allowance::Bytes(700)
    }

    fn count(&mut self, bytes: usize) {
        assert!(bytes <= 700);
    }
}

impl World {
    fn new(now: Instant) -> Self {
        Self {
            core: Core::new(
                Config {
                    max_streams: MAX_STREAMS,
                    max_header_bytes: MAX_HEADER_BYTES,
                    max_header_fields: 100,
                    max_malformed: 20,
                    shared_heads: None,
                },
                now,
            ),
            reader: Reader::default(),
            keys: Vec::new(),
            now,
            frames: Vec::new(),
            window: 0,
            faults: Vec::new(),
        }
    }

    fn receive(&mut self, bytes: &[u8], cut: usize) {
        for part in bytes.chunks(cut) {
            self.core.receive(part, self.now);
            self.check();
        }
    }

    /// Answers all requests that have come, and writes all output.
    fn respond(&mut self) {
        while let Some(event) = self.core.poll_event() {
            match event {
                Event::Request { key, .. } => self.begin(key),
                Event::Fault { fault, stream } => self.faults.push(format!("{fault} {stream:?}")),
                _ => {}
            }
        }
        self.keys.retain(|key| {
            if key.id() % 5 != 0 {
                self.core.read(*key);
            }
            let is_over = self.core.reset_reason(*key).is_some();
            if is_over {
                self.core.detach(*key, Reason::CANCEL);
            }
            !is_over
        });
        let mut out = Rope::default();
        self.core.transmit(&mut out, self.now, &mut Path);
        for frame in self.reader.read(&out.take()) {
            match frame {
                Frame::Window { stream: 0, more } => self.window += u64::from(more),
                frame => self.frames.push(frame),
            }
        }
        self.core.reset_stalled(Duration::from_secs(5), self.now);
        self.check();
    }

    fn begin(&mut self, key: Key) {
        let id = key.id();
        for _ in 0..id % 3 {
            if let Ok(promised) = self.core.promise(key, &asset(), Priority::default()) {
                let _ = self
                    .core
                    .respond(promised, (if id % 4 == 1 { ok() } else { no_content() }).of());
                let _ = self.core.send(promised, content(3000), false, || self.now);
                let _ = self.core.finish(promised, None);
                self.core.detach(promised, Reason::CANCEL);
            }
        }
        match id % 8 {
            1 => drop(self.core.respond(key, no_content().of())),
            3 | 5 => {
                let _ = self.core.respond(key, ok().of());
                let _ = self.core.send(key, content(70_000), false, || self.now);
                let _ = self.core.finish(key, (id % 16 > 8).then(HeaderMap::new));
            }
            _ => drop(self.core.respond(key, ok().of())),
        }
        if id.is_multiple_of(7) {
            self.core.detach(key, Reason::INTERNAL_ERROR);
        } else {
            self.keys.push(key);
        }
    }

    /// Asserts that memory is bounded, and that counts agree with what they count.
    fn check(&self) {
        let core = &self.core;
        let streams: Vec<_> = core
            .streams
            .keys()
            .iter()
            .filter_map(|key| core.streams.get(*key))
            .collect();
        let most = usize::try_from(MAX_HEADER_BYTES).unwrap();
        assert!(core.streams.requested() <= usize::try_from(MAX_STREAMS).unwrap() * STREAMS_PER_OPEN + 1);
        assert!(core.streams.promised() <= MAX_PROMISES);
        assert!(core.open_requests <= usize::try_from(MAX_STREAMS).unwrap() + 1);
        assert!(core.header_bytes <= (HEADER_BUDGET + 1) * most);
        assert!(core.partial.len() <= 16_384 + 9);
        assert!(core.block.as_ref().is_none_or(|block| block.length() <= most + 16_384));
        assert!(core.remembered.len() <= MAX_REMEMBERED && core.early_priorities.len() <= MAX_EARLY_PRIORITIES);
        let received: usize = streams.iter().map(|stream| stream.received.len()).sum();
        assert!(i64::try_from(received).unwrap() <= CONNECTION_WINDOW);
        assert_eq!(core.queued, streams.iter().map(|stream| stream.queued).sum::<usize>());
        assert_eq!(
            core.header_bytes,
            streams.iter().map(|stream| stream.header_bytes).sum::<usize>()
        );
        assert_eq!(
            core.schedule.len(),
            streams.iter().filter(|stream| stream.rank.is_some()).count()
        );
        if core.ending != Ending::Failed {
            let left = core
                .content
                .as_ref()
                .map_or(0, super::super::receive::IncomingData::left);
            assert_eq!(
                core.receive_window + i64::from(core.unreported) + i64::try_from(received + left).unwrap(),
                CONNECTION_WINDOW
            );
        }
    }
}

fn run(all: &[Said], cut: usize, noise: &[(usize, u8)], now: Instant) -> World {
    let mut world = World::new(now);
    world.receive(&client::preface(&[]), cut);
    for (at, said) in all.iter().enumerate() {
        let mut bytes = said.bytes();
        for (_, byte) in noise.iter().filter(|(where_, _)| *where_ % 40 == at) {
            let length = bytes.len().max(1);
            if let Some(place) = bytes.get_mut(usize::from(*byte) % length) {
                *place ^= 1 << (byte % 8);
            }
        }
        if let Said::Pass(millis) = said {
            world.now += Duration::from_millis((*millis).into());
        }
        world.receive(&bytes, cut);
        world.respond();
    }
    world.core.disconnect();
    for key in world.core.streams.keys() {
        world.core.detach(key, Reason::CANCEL);
    }
    assert!(world.core.streams.is_empty());
    assert_eq!(
        (world.core.header_bytes, world.core.queued, world.core.open_requests),
        (0, 0, 0)
    );
    assert_eq!((world.core.open_promises, world.core.held.len()), (0, 0));
    world
}

proptest! {
    #[test]
    fn any_frames_are_taken_or_refused_wherever_they_are_cut(
        all in prop::collection::vec(said(), 1..40),
        noise in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        cut in 1..50usize,
    ) {
        let now = Instant::now();
        let whole = run(&all, usize::MAX, &noise, now);
        let cut = run(&all, cut, &noise, now);
        prop_assert_eq!(&whole.frames, &cut.frames);
        prop_assert_eq!(&whole.faults, &cut.faults);
        let differs = whole.window.abs_diff(cut.window);
        prop_assert!(differs < 16_384, "the connection's window differs by {}", differs);
    }

    #[test]
    fn any_bytes_are_taken_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        begins in any::<bool>(),
        cut in 1..50usize,
    ) {
        let mut world = World::new(Instant::now());
        if begins {
            world.receive(&client::preface(&[]), cut);
        }
        world.receive(&bytes, cut);
        world.respond();
    }
}
