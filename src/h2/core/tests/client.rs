//! Writes a client's frames, and reads the server's frames as strictly as RFC 9113 allows.

use crate::{
    h2::wire::frame::{DEFAULT_FRAME, FrameHeader, HEADER_LEN, PREFACE, flag, kind},
    hpack::{Decoder, FieldSink, Name, Value},
};

/// A frame of the server, with its fields decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Frame {
    Data {
        stream: u32,
        content: Vec<u8>,
        is_end: bool,
    },
    Headers {
        stream: u32,
        fields: Vec<Field>,
        is_end: bool,
    },
    Promise {
        stream: u32,
        promised: u32,
        fields: Vec<Field>,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    Settings(Vec<(u16, u32)>),
    SettingsAck,
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    GoAway {
        last: u32,
        code: u32,
    },
    Window {
        stream: u32,
        more: u32,
    },
}

pub(super) type Field = (String, String);

impl Frame {
    pub(super) fn is_about(&self, id: u32) -> bool {
        match self {
            Self::Data { stream, .. }
            | Self::Headers { stream, .. }
            | Self::Promise { stream, .. }
            | Self::Reset { stream, .. }
            | Self::Window { stream, .. } => *stream == id,
            _ => id == 0,
        }
    }
}

/// The client's reader of frames.
#[derive(Debug)]
pub(super) struct Reader {
    bytes: Vec<u8>,
    decoder: Decoder,
    /// A header block that has not come as a whole: the header of its first frame, and the fragments.
    block: Option<(FrameHeader, Vec<u8>)>,
    /// The smallest table size that was acknowledged since the last block; the next block must begin with this size.
    smaller_table: Option<usize>,
    table: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            decoder: Decoder::new(4096),
            block: None,
            smaller_table: None,
            table: 4096,
        }
    }
}

#[derive(Default)]
struct Fields(Vec<Field>);

impl FieldSink for Fields {
    fn admit(&mut self, _size: usize) -> bool {
        true
    }

    fn field(&mut self, name: Name, value: Value) {
        let name = match name {
            Name::Method => ":method".to_owned(),
            Name::Scheme => ":scheme".to_owned(),
            Name::Authority => ":authority".to_owned(),
            Name::Path => ":path".to_owned(),
            Name::Status => ":status".to_owned(),
            Name::Field(name) => name.to_string(),
            other => panic!("a server sends no {other:?}"),
        };
        let value = match value {
            Value::Field(value) => String::from_utf8_lossy(value.as_bytes()).into_owned(),
            Value::Pseudo(value) => String::from_utf8_lossy(&value).into_owned(),
            Value::Malformed => panic!("a server sends no malformed {name}"),
        };
        self.0.push((name, value));
    }
}

impl Reader {
    /// Takes bytes and returns the frames that they complete.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.take(bytes);
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Takes bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next frame that has come as a whole.
    pub(super) fn next(&mut self) -> Option<Frame> {
        loop {
            let &head = self.bytes.first_chunk::<HEADER_LEN>()?;
            let header = FrameHeader::parse(head);
            assert!(header.length <= DEFAULT_FRAME, "{header:?} is longer than was agreed");
            assert_eq!(head[5] & 0x80, 0, "the reserved bit of {header:?}");
            let all = HEADER_LEN + header.length;
            if self.bytes.len() < all {
                return None;
            }
            let payload: Vec<u8> = self.bytes.drain(..all).skip(HEADER_LEN).collect();
            if let Some(frame) = self.frame(header, &payload) {
                return Some(frame);
            }
        }
    }

    /// Notes that the server has acknowledged a SETTINGS_HEADER_TABLE_SIZE.
    pub(super) fn table_acknowledged(&mut self, size: u32) {
        let size = usize::try_from(size).unwrap();
        if size < self.table {
            self.smaller_table = Some(self.smaller_table.unwrap_or(size).min(size));
        }
        self.table = self.table.min(size);
    }

    /// Returns whether the last byte that came is the last of a frame and of a header block.
    pub(super) fn is_between_frames(&self) -> bool {
        self.bytes.is_empty() && self.block.is_none()
    }

    fn frame(&mut self, header: FrameHeader, payload: &[u8]) -> Option<Frame> {
        let FrameHeader { stream, flags, .. } = header;
        let known = match header.kind {
            kind::DATA => flag::END_STREAM,
            kind::HEADERS => flag::END_STREAM | flag::END_HEADERS,
            kind::PUSH_PROMISE | kind::CONTINUATION => flag::END_HEADERS,
            kind::SETTINGS | kind::PING => flag::ACK,
            _ => 0,
        };
        assert_eq!(flags & !known, 0, "flags of {header:?}");
        let is_of_connection = matches!(header.kind, kind::SETTINGS | kind::PING | kind::GOAWAY);
        assert!(
            header.kind == kind::WINDOW_UPDATE || is_of_connection == (stream == 0),
            "the stream of {header:?}"
        );
        if let Some((first, mut block)) = self.block.take() {
            assert_eq!((header.kind, stream), (kind::CONTINUATION, first.stream), "in a block");
            block.extend_from_slice(payload);
            return self.block(first, header, block);
        }
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        Some(match header.kind {
            kind::DATA => Frame::Data {
                stream,
                content: payload.to_vec(),
                is_end: header.has(flag::END_STREAM),
            },
            kind::HEADERS | kind::PUSH_PROMISE => return self.block(header, header, payload.to_vec()),
            kind::RST_STREAM => {
                assert_eq!(payload.len(), 4);
                Frame::Reset {
                    stream,
                    code: number(0),
                }
            }
            kind::SETTINGS if header.has(flag::ACK) => {
                assert!(payload.is_empty());
                Frame::SettingsAck
            }
            kind::SETTINGS => {
                let (settings, rest) = payload.as_chunks::<6>();
                assert!(rest.is_empty());
                let setting = |&[i1, i0, v3, v2, v1, v0]: &[u8; 6]| {
                    (u16::from_be_bytes([i1, i0]), u32::from_be_bytes([v3, v2, v1, v0]))
                };
                Frame::Settings(settings.iter().map(setting).collect())
            }
            kind::PING => {
                assert_eq!(payload.len(), 8);
                match header.has(flag::ACK) {
                    true => Frame::Pong(payload.to_vec()),
                    false => Frame::Ping(payload.to_vec()),
                }
            }
            kind::GOAWAY => Frame::GoAway {
                last: number(0),
                code: number(4),
            },
            kind::WINDOW_UPDATE => {
                assert_eq!(payload.len(), 4);
                assert!(
                    (1..=0x7fff_ffff).contains(&number(0)),
                    "a window update of {}",
                    number(0)
                );
                Frame::Window {
                    stream,
                    more: number(0),
                }
            }
            other => panic!("a server sends no frame of type {other}"),
        })
    }

    fn block(&mut self, first: FrameHeader, last: FrameHeader, block: Vec<u8>) -> Option<Frame> {
        if !last.has(flag::END_HEADERS) {
            self.block = Some((first, block));
            return None;
        }
        let (promised, block) = match first.kind {
            kind::PUSH_PROMISE => {
                let (promised, block) = block.split_first_chunk::<4>().unwrap();
                (Some(u32::from_be_bytes(*promised)), block)
            }
            _ => (None, &block[..]),
        };
        // RFC 7541 section 4.2; a block without a field may leave it to the next one.
        if !block.is_empty()
            && let Some(smallest) = self.smaller_table.take()
        {
            assert_eq!(block[0] & 0xe0, 0x20, "a smaller table is signaled first");
            let first = usize::from(block[0] & 0x1f);
            assert!(first == 0x1f || first <= smallest, "the smallest size comes first");
        }
        let mut fields = Fields::default();
        self.decoder
            .decode(block, &mut fields)
            .unwrap_or_else(|e| panic!("{first:?}: {e}"));
        let (stream, fields) = (first.stream, fields.0);
        Some(match promised {
            Some(promised) => Frame::Promise {
                stream,
                promised,
                fields,
            },
            None => Frame::Headers {
                stream,
                fields,
                is_end: first.has(flag::END_STREAM),
            },
        })
    }
}

// The client's output.

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    let header = FrameHeader {
        length: payload.len(),
        kind,
        flags,
        stream,
    };
    header.put(&mut out);
    out.extend_from_slice(payload);
    out.to_vec()
}

/// Encodes fields as literals that do not enter the dynamic table.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fn text(text: &str, out: &mut Vec<u8>) {
        match text.len() {
            short @ 0..127 => out.push(u8::try_from(short).unwrap()),
            long => {
                out.push(127);
                let mut rest = long - 127;
                while rest >= 128 {
                    out.push(u8::try_from(rest % 128).unwrap() | 0x80);
                    rest /= 128;
                }
                out.push(u8::try_from(rest).unwrap());
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
        text(name, &mut out);
        text(value, &mut out);
    }
    out
}

pub(super) fn headers(stream: u32, fields: &[(&str, &str)], is_end: bool) -> Vec<u8> {
    let end = if is_end { flag::END_STREAM } else { 0 };
    frame(kind::HEADERS, flag::END_HEADERS | end, stream, &block(fields))
}

pub(super) fn target<'a>(method: &'a str, path: &'a str) -> [(&'a str, &'a str); 4] {
    [
        (":method", method),
        (":scheme", "https"),
        (":authority", "h"),
        (":path", path),
    ]
}

pub(super) fn get(stream: u32) -> Vec<u8> {
    headers(stream, &target("GET", "/"), true)
}

pub(super) fn get_with(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    headers(stream, &[&target("GET", "/"), more].concat(), true)
}

/// Returns a request whose content is still to come.
pub(super) fn post(stream: u32) -> Vec<u8> {
    headers(stream, &target("POST", "/"), false)
}

pub(super) fn data(stream: u32, content: &[u8], is_end: bool) -> Vec<u8> {
    frame(kind::DATA, u8::from(is_end), stream, content)
}

pub(super) fn padded(stream: u32, content: &[u8], padding: u8, is_end: bool) -> Vec<u8> {
    let payload = [&[padding][..], content, &vec![0; usize::from(padding)]].concat();
    frame(kind::DATA, flag::PADDED | u8::from(is_end), stream, &payload)
}

pub(super) fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, 0, stream, &number.to_be_bytes())
}

pub(super) fn window(stream: u32, more: u32) -> Vec<u8> {
    number(kind::WINDOW_UPDATE, stream, more)
}

pub(super) fn reset(stream: u32) -> Vec<u8> {
    number(kind::RST_STREAM, stream, 8)
}

pub(super) fn settings(settings: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = settings
        .iter()
        .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

pub(super) fn goaway(last: u32) -> Vec<u8> {
    let payload = [last.to_be_bytes(), [0; 4]].concat();
    frame(kind::GOAWAY, 0, 0, &payload)
}

pub(super) fn priority_update(stream: u32, field: &str) -> Vec<u8> {
    let payload = [&stream.to_be_bytes()[..], field.as_bytes()].concat();
    frame(kind::PRIORITY_UPDATE, 0, 0, &payload)
}

/// Returns the preface with these settings.
pub(super) fn preface(with: &[(u16, u32)]) -> Vec<u8> {
    [&PREFACE[..], &settings(with)].concat()
}
