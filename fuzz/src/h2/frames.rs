//! The reader of frames: however the bytes are cut, it reads what a simple reader does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use super::{
    client::{self, Frame, Reader},
    core::{Config, Core, Event, Key},
    priority::{Allowance, PushPath},
    wire::rope::Rope,
};
use crate::input::Input;

const CONFIG: Config = Config {
    max_streams: 8,
    max_header_bytes: 4096,
    max_header_fields: 100,
    max_malformed: 50,
    shared_heads: None,
};

/// Content beyond this would open windows, and when they open depends on the pieces.
const MAX_WIRE: usize = 60_000;

const PREFACE_LENGTH: usize = 24;
const HEADER: usize = 9;
const MAX_PAYLOAD: usize = 16_384;

/// Receives frames at once, one by one and in pieces, and compares all three with a simple reading.
pub fn frames(bytes: &[u8]) {
    let mut input = Input(bytes);
    let piece = input.number() + 1;
    let wire = wire(&mut input);
    let all = receive([&wire[..]].into_iter());
    let read = read(&wire);
    assert_eq!(all, receive(read.cuts.iter().copied()), "frame by frame");
    assert_eq!(all, receive(wire.chunks(piece)), "in pieces of {piece}");
    if piece % 16 == 0 {
        assert_eq!(all, receive(wire.chunks(1)), "byte by byte");
    }

    let pongs = all.frames.iter().filter_map(|frame| match frame {
        Frame::Pong(data) => Some(data),
        _ => None,
    });
    let acks = all
        .frames
        .iter()
        .filter(|frame| matches!(frame, Frame::SettingsAck))
        .count();
    if all.has_failed {
        assert!(read.pings.starts_with(&pongs.into_iter().cloned().collect::<Vec<_>>()) && acks <= read.settings);
        assert!(
            matches!(all.frames.last(), Some(Frame::GoAway { code: 1.., .. })),
            "it says why"
        );
    } else {
        assert!(!read.is_bad, "a frame that must end the connection did not");
        assert!(read.pings.iter().eq(pongs), "every PING is answered, in order");
        assert_eq!(acks, read.settings, "every SETTINGS is acknowledged");
        assert!(!all.frames.iter().any(|frame| matches!(frame, Frame::GoAway { .. })));
    }
    for (stream, content) in &all.content {
        let sent = read.content.get(stream).cloned().unwrap_or_default();
        assert_eq!(content, &sent, "the content of stream {stream}");
    }
}

/// The bytes of a client: frames with the right length, and now and then anything.
fn wire(input: &mut Input<'_>) -> Vec<u8> {
    let mut wire = client::preface(&[]);
    let mut next = 1;
    while let Some(what) = input.byte() {
        let more = match what % 16 {
            0 => input.piece().to_vec(),
            1..=5 => {
                let (kind, flags, stream) = (
                    input.byte().unwrap_or(0),
                    input.byte().unwrap_or(0),
                    input.byte().unwrap_or(0),
                );
                client::frame(kind % 18, flags, u32::from(stream), input.piece())
            }
            6 => {
                next += 2;
                client::get(next - 2)
            }
            7 | 8 => {
                next += 2;
                client::post(next - 2)
            }
            9 => {
                next += 2;
                let length = (what / 16).to_string();
                let fields = [&client::target("PUT", "/")[..], &[("content-length", &length)]].concat();
                client::headers(next - 2, &fields, false)
            }
            10 | 11 => client::data(input.number() as u32, input.piece(), what >= 128),
            12 => client::padded(input.number() as u32, input.piece(), what / 16, input.number() % 2 == 1),
            13 => client::frame(0x6, 0, 0, &[what; 8]),
            14 => client::settings(&[(u16::from(what / 16), input.large() as u32)]),
            _ => client::reset(input.number() as u32),
        };
        if wire.len() + more.len() > MAX_WIRE {
            break;
        }
        wire.extend(more);
    }
    wire
}

/// What a connection makes of the bytes.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    /// All events but that content has come, which it does in pieces.
    events: Vec<String>,
    /// Content of the requests that are complete.
    content: BTreeMap<u32, Vec<u8>>,
    frames: Vec<Frame>,
    has_failed: bool,
}

struct Path;

impl PushPath for Path {
    fn allowance(&mut self) -> Allowance {
        Allowance::Bytes(usize::MAX)
    }

    fn count(&mut self, _bytes: usize) {}
}

fn receive<'w>(pieces: impl Iterator<Item = &'w [u8]>) -> Outcome {
    // Requests tell no time, and budgets fill with it.
    thread_local!(static NOW: Instant = Instant::now());
    let now = NOW.with(|now| *now);
    let mut core: Core<u32> = Core::new(CONFIG, now);
    let (mut events, mut keys): (Vec<String>, Vec<Key>) = (Vec::new(), Vec::new());
    for piece in pieces {
        core.receive(piece, now);
        while let Some(event) = core.poll_event() {
            match event {
                Event::Readable(_) => continue,
                Event::Request { key, .. } => keys.push(key),
                _ => {}
            }
            events.push(format!("{event:?}"));
        }
    }
    let mut content = BTreeMap::new();
    for key in keys {
        let read = core.read(key).unwrap_or_default();
        if core.is_request_done(key) {
            content.insert(key.id(), read.to_vec());
        }
    }
    let mut out = Rope::default();
    core.transmit(&mut out, now, &mut Path);
    let mut reader = Reader::default();
    let mut frames = Vec::new();
    let mut slices = [std::io::IoSlice::new(&[]); 64];
    while !out.is_empty() {
        let number = out.slices(&mut slices);
        let all: Vec<u8> = slices.iter().take(number).flat_map(|slice| slice.to_vec()).collect();
        slices = [std::io::IoSlice::new(&[]); 64];
        out.advance(all.len());
        frames.extend(reader.read(&all));
    }
    assert!(reader.is_between_frames());
    Outcome {
        events,
        content,
        frames,
        has_failed: core.has_failed(),
    }
}

/// What a reader finds that knows frames, and nothing of streams.
#[derive(Default)]
struct Simple<'w> {
    /// The preface, each frame, and what is left.
    cuts: Vec<&'w [u8]>,
    pings: Vec<Vec<u8>>,
    settings: usize,
    content: BTreeMap<u32, Vec<u8>>,
    /// No connection may live on after this.
    is_bad: bool,
}

fn read(wire: &[u8]) -> Simple<'_> {
    let (preface, mut rest) = wire.split_at(PREFACE_LENGTH);
    let mut simple = Simple {
        cuts: vec![preface],
        ..Simple::default()
    };
    // The stream whose header block is open, and those that have ended.
    let mut block = None;
    let mut ended = BTreeSet::new();
    while rest.len() >= HEADER {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = *rest.first_chunk().expect("a header");
        let length = u32::from_be_bytes([0, l2, l1, l0]) as usize;
        let stream = u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]);
        simple.is_bad |= length > MAX_PAYLOAD;
        simple.is_bad |= block.map_or(kind == 9, |open| kind != 9 || open != stream);
        let Some(frame) = rest.get(..HEADER + length) else {
            break;
        };
        let payload = &frame[HEADER..];
        match kind {
            0 => {
                simple.is_bad |= stream == 0;
                let padding = match payload.first() {
                    Some(padding) if flags & 8 != 0 => usize::from(*padding) + 1,
                    None if flags & 8 != 0 => 1,
                    _ => 0,
                };
                simple.is_bad |= padding > payload.len();
                let end = payload.len().saturating_sub(padding.saturating_sub(1));
                let content = payload.get(usize::from(padding > 0)..end).unwrap_or_default();
                if !ended.contains(&stream) {
                    simple.content.entry(stream).or_default().extend_from_slice(content);
                }
            }
            1 | 9 => block = (flags & 4 == 0).then_some(stream),
            3 | 8 => simple.is_bad |= length != 4,
            4 if flags & 1 == 0 => {
                simple.settings += 1;
                simple.is_bad |= length % 6 != 0 || stream != 0;
            }
            4 => simple.is_bad |= length != 0 || stream != 0,
            5 => simple.is_bad = true,
            6 => {
                simple.is_bad |= length != 8 || stream != 0;
                if flags & 1 == 0 {
                    simple.pings.push(payload.to_vec());
                }
            }
            7 => simple.is_bad |= length < 8 || stream != 0,
            _ => {}
        }
        if kind <= 1 && flags & 1 != 0 {
            ended.insert(stream);
        }
        simple.cuts.push(frame);
        rest = &rest[frame.len()..];
    }
    simple.cuts.push(rest);
    simple
}
