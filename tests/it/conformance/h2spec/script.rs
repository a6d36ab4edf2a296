//! What a check sends and expects, and how it is run.

use std::{collections::HashMap, rc::Rc};

use tokio::time::timeout;

use super::super::{DEADLINE, Outcome, Stream, Target};
use crate::support::raw::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, PING, PREFACE,
    PRIORITY, RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, block, frame, settings_payload,
};

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL: u32 = 1;
pub const FLOW_CONTROL: u32 = 3;
pub const CLOSED: u32 = 5;
pub const FRAME_SIZE: u32 = 6;
pub const REFUSED: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION: u32 = 9;

pub const HEADER_TABLE_SIZE: u16 = 1;
pub const MAX_FRAME_SIZE: u16 = 5;
pub const MAX_HEADER_LIST_SIZE: u16 = 6;

/// Flags of HEADERS that are a whole request.
pub const WHOLE: u8 = END_STREAM | END_HEADERS;
pub const PADDED: u8 = 8;
/// The flag of HEADERS that begin with a priority.
pub const PRIORITIZED: u8 = 0x20;

/// The payload of the pings.
pub const MARK: &[u8] = b"h2spec\0\0";

/// The fields of a request, in order.
pub type Fields<'p> = Vec<(&'p str, &'p str)>;

/// A check: its number, what h2spec says that it does, and that.
#[derive(Clone, Copy)]
pub struct Check {
    pub number: &'static str,
    pub title: &'static str,
    /// Whether it begins after the prefaces and the settings of both sides.
    pub connected: bool,
    pub script: fn(&Peer) -> Vec<Step>,
}

/// A check of an HTTP/2 connection.
pub const fn check(number: &'static str, title: &'static str, script: fn(&Peer) -> Vec<Step>) -> Check {
    Check {
        number,
        title,
        connected: true,
        script,
    }
}

/// A check of how a connection begins.
pub const fn start(number: &'static str, title: &'static str, script: fn(&Peer) -> Vec<Step>) -> Check {
    Check {
        connected: false,
        ..check(number, title, script)
    }
}

/// One thing that a check does.
pub enum Step {
    /// Writes these bytes, at once.
    Send(Vec<u8>),
    /// Reads until this is there.
    Expect(Expect),
}

/// What must come next; frames that say nothing about it may come before.
#[derive(Debug)]
pub enum Expect {
    /// GOAWAY with one of these codes, or the end.
    ConnectionError(&'static [u32]),
    /// RST_STREAM or GOAWAY with one of these codes, or the end.
    StreamError(&'static [u32]),
    /// The end of the connection.
    End,
    /// GOAWAY with this code.
    Goaway(u32),
    /// RST_STREAM of this stream with this code.
    Reset(u32, u32),
    /// SETTINGS as the very first frame.
    Preface,
    /// The acknowledgement of SETTINGS.
    SettingsAck,
    /// The acknowledgement of a PING with this payload, as the first one.
    Pong(&'static [u8]),
    /// The same, or the end.
    PongOrEnd(&'static [u8]),
    /// HEADERS of this stream, as the first ones.
    Response(u32),
    /// DATA of this many bytes, as the first ones.
    Data(usize),
    /// DATA of any length.
    SomeData,
    /// The end of a stream.
    StreamEnd,
}

use Expect::{
    ConnectionError, Data, End, Goaway, Pong, PongOrEnd, Preface, Reset, Response, SettingsAck, SomeData, StreamEnd,
    StreamError,
};

impl Expect {
    /// Whether this frame, or the end, is as it must be; `None` when it says nothing about it.
    fn judge(&self, frame: Option<&Frame>) -> Option<bool> {
        let Some(frame) = frame else {
            return Some(matches!(self, ConnectionError(_) | StreamError(_) | End | PongOrEnd(_)));
        };
        let ack = frame.flags & ACK != 0;
        match (self, frame.kind) {
            (ConnectionError(codes), GOAWAY) | (StreamError(codes), GOAWAY | RST_STREAM) => {
                Some(codes.contains(&frame.error_code()))
            }
            (Goaway(code), GOAWAY) => Some(frame.error_code() == *code),
            (Reset(stream, code), RST_STREAM) => Some(frame.stream == *stream && frame.error_code() == *code),
            (Preface, kind) => Some(kind == SETTINGS && !ack),
            (SettingsAck, SETTINGS) => Some(ack),
            (Pong(payload) | PongOrEnd(payload), PING) => Some(ack && frame.payload == *payload),
            (Response(stream), HEADERS) => Some(frame.stream == *stream),
            (Data(length), DATA) => Some(frame.payload.len() == *length),
            (SomeData, DATA) => Some(true),
            (StreamEnd, DATA | HEADERS) if frame.flags & END_STREAM != 0 => Some(true),
            (StreamEnd, RST_STREAM) => Some(frame.error_code() == NO_ERROR),
            _ => None,
        }
    }
}

/// The server, as a check must know it to speak to it.
pub struct Peer {
    scheme: &'static str,
    authority: String,
    settings: HashMap<u16, u32>,
}

impl Peer {
    /// What it has set, or else the default.
    pub fn setting(&self, id: u16, default: u32) -> u32 {
        self.settings.get(&id).copied().unwrap_or(default)
    }

    /// The fields that every request has.
    pub fn fields(&self, method: &'static str) -> Fields<'_> {
        vec![
            (":method", method),
            (":scheme", self.scheme),
            (":path", "/"),
            (":authority", &self.authority),
        ]
    }

    /// The header block of a GET.
    pub fn block(&self) -> Vec<u8> {
        encode(&self.fields("GET"))
    }

    /// HEADERS with a GET.
    pub fn get(&self, stream: u32, flags: u8) -> Step {
        headers(stream, flags, &self.fields("GET"))
    }

    /// HEADERS with a POST.
    pub fn post(&self, stream: u32, flags: u8) -> Step {
        headers(stream, flags, &self.fields("POST"))
    }

    /// HEADERS with a POST that has one field more, and a body.
    pub fn post_with(&self, name: &'static str, value: &'static str) -> Step {
        let mut fields = self.fields("POST");
        fields.push((name, value));
        headers(1, END_HEADERS, &fields)
    }

    /// A whole GET with more fields.
    pub fn get_with(&self, more: &[(&'static str, &'static str)]) -> Step {
        let mut fields = self.fields("GET");
        fields.extend_from_slice(more);
        headers(1, WHOLE, &fields)
    }

    /// A whole GET with these bytes at the end of its header block.
    pub fn get_ending(&self, bytes: &[u8]) -> Step {
        send(HEADERS, WHOLE, 1, &[&self.block()[..], bytes].concat())
    }

    /// A whole GET with these bytes at the beginning of its header block.
    pub fn get_beginning(&self, bytes: &[u8]) -> Step {
        send(HEADERS, WHOLE, 1, &[bytes, &self.block()].concat())
    }
}

/// The header block of these fields.
pub fn encode(fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    block(&fields)
}

/// A header block with this many long fields.
pub fn dummy(count: usize) -> Vec<u8> {
    let value = "x".repeat(4000);
    let names: Vec<_> = (0..count).map(|n| format!("x-dummy{n}")).collect();
    let fields: Vec<_> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
    encode(&fields)
}

pub fn send(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Step {
    Step::Send(frame(kind, flags, stream, payload))
}

pub fn bytes(bytes: &[u8]) -> Step {
    Step::Send(bytes.to_vec())
}

pub fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Step {
    send(HEADERS, flags, stream, &encode(fields))
}

pub fn continuation(stream: u32, flags: u8, fragment: &[u8]) -> Step {
    send(CONTINUATION, flags, stream, fragment)
}

pub fn data(stream: u32, flags: u8) -> Step {
    send(DATA, flags, stream, b"test")
}

pub fn ping(payload: &[u8]) -> Step {
    send(PING, 0, 0, payload)
}

pub fn reset(stream: u32, code: u32) -> Step {
    send(RST_STREAM, 0, stream, &code.to_be_bytes())
}

pub fn settings(settings: &[(u16, u32)]) -> Step {
    send(SETTINGS, 0, 0, &settings_payload(settings))
}

pub fn window(size: u32) -> Step {
    settings(&[(INITIAL_WINDOW_SIZE, size)])
}

pub fn window_update(stream: u32, increment: u32) -> Step {
    send(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes())
}

/// GOAWAY with nothing answered yet.
pub fn goaway(code: u32, debug: &[u8]) -> Step {
    let payload = [&[0; 4][..], &code.to_be_bytes(), debug].concat();
    send(GOAWAY, 0, 0, &payload)
}

/// A dependency and a weight, as HEADERS and PRIORITY have them.
pub fn dependency(on: u32, weight: u8) -> Vec<u8> {
    [&on.to_be_bytes()[..], &[weight]].concat()
}

pub fn priority(stream: u32, on: u32, weight: u8) -> Step {
    send(PRIORITY, 0, stream, &dependency(on, weight))
}

pub fn expect(expect: Expect) -> Step {
    Step::Expect(expect)
}

impl Check {
    pub fn name(&self) -> String {
        self.number.to_owned()
    }

    /// Runs it over a connection of its own.
    pub async fn run(self, target: Rc<Target>) -> Outcome {
        let mut peer = Peer {
            scheme: target.scheme(),
            authority: format!("localhost:{}", target.edge.address.port()),
            settings: HashMap::new(),
        };
        let mut raw = Raw::over(target.connect().await, Vec::new(), target.edge.address);
        if self.connected {
            let greeting = timeout(DEADLINE, greet(&mut raw)).await;
            peer.settings = greeting.ok().flatten().ok_or("no settings of the server's")?;
        }
        for step in (self.script)(&peer) {
            match step {
                Step::Send(bytes) => raw.send_bytes(&bytes).await,
                Step::Expect(expect) => {
                    awaited(&mut raw, &expect)
                        .await
                        .map_err(|why| format!("{}: {expect:?} expected, but {why}", self.title))?;
                }
            }
        }
        Ok(())
    }
}

/// Exchanges the prefaces; returns the server's settings once both sides' are acknowledged.
async fn greet(raw: &mut Raw<Box<dyn Stream>>) -> Option<HashMap<u16, u32>> {
    raw.send_bytes(PREFACE).await;
    raw.settings(&[(INITIAL_WINDOW_SIZE, 65_535)]).await;
    let (mut settings, mut acknowledged) = (None, false);
    while settings.is_none() || !acknowledged {
        let frame = raw.read().await?;
        match (frame.kind, frame.flags & ACK) {
            (SETTINGS, 0) => {
                settings = Some(frame.payload.chunks_exact(6).map(setting).collect());
                raw.send(SETTINGS, ACK, 0, b"").await;
            }
            (SETTINGS, _) => acknowledged = true,
            _ => {}
        }
    }
    settings
}

fn setting(bytes: &[u8]) -> (u16, u32) {
    let value = bytes[2..6].try_into().expect("four bytes");
    (u16::from_be_bytes([bytes[0], bytes[1]]), u32::from_be_bytes(value))
}

async fn awaited(raw: &mut Raw<Box<dyn Stream>>, expect: &Expect) -> Outcome {
    let mut last = String::from("nothing");
    let found = timeout(DEADLINE, async {
        loop {
            let frame = raw.read().await;
            if let Some(right) = expect.judge(frame.as_ref()) {
                let what = frame.as_ref().map_or_else(|| "the end".to_owned(), describe);
                return if right { Ok(()) } else { Err(what) };
            }
            last = frame.as_ref().map(describe).unwrap_or_default();
        }
    });
    match found.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(what)) => Err(format!("{what} came, after {last}")),
        Err(_) => Err(format!("nothing came for {DEADLINE:?} after {last}")),
    }
}

fn describe(frame: &Frame) -> String {
    let name = KINDS.get(usize::from(frame.kind)).unwrap_or(&"an unknown frame");
    match frame.kind {
        GOAWAY | RST_STREAM => format!("{name} with code {}", frame.error_code()),
        _ => format!("{name} (flags {:#x}, stream {})", frame.flags, frame.stream),
    }
}

/// Names of frame types, by their codes.
const KINDS: [&str; 10] = [
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
];
