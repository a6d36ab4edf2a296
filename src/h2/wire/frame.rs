//! Parses and writes frame headers, writes short frames, and names the numbers of RFC 9113 section 6: frame types,
//! flags, settings.

use bytes::{BufMut, BytesMut};

pub(in crate::h2) use crate::peer::PREFACE;

/// Bytes of a frame header (RFC 9113 section 4.1).
pub(in crate::h2) const HEADER_LEN: usize = 9;

/// The largest payload, in bytes, until SETTINGS_MAX_FRAME_SIZE raises it (RFC 9113 section 4.2). The server sends no
/// such setting, and uses no larger one of the client.
pub(in crate::h2) const DEFAULT_FRAME: usize = 16_384;

/// The largest flow-control window (RFC 9113 section 6.9.1).
pub(in crate::h2) const MAX_WINDOW: i64 = 0x7fff_ffff;

pub(in crate::h2) mod kind {
    pub(in crate::h2) const DATA: u8 = 0x0;
    pub(in crate::h2) const HEADERS: u8 = 0x1;
    pub(in crate::h2) const PRIORITY: u8 = 0x2;
    pub(in crate::h2) const RST_STREAM: u8 = 0x3;
    pub(in crate::h2) const SETTINGS: u8 = 0x4;
    pub(in crate::h2) const PUSH_PROMISE: u8 = 0x5;
    pub(in crate::h2) const PING: u8 = 0x6;
    pub(in crate::h2) const GOAWAY: u8 = 0x7;
    pub(in crate::h2) const WINDOW_UPDATE: u8 = 0x8;
    pub(in crate::h2) const CONTINUATION: u8 = 0x9;
    /// RFC 9218 section 7.1.
    pub(in crate::h2) const PRIORITY_UPDATE: u8 = 0x10;
}

pub(in crate::h2) mod flag {
    pub(in crate::h2) const END_STREAM: u8 = 0x1;
    pub(in crate::h2) const ACK: u8 = 0x1;
    pub(in crate::h2) const END_HEADERS: u8 = 0x4;
    pub(in crate::h2) const PADDED: u8 = 0x8;
    pub(in crate::h2) const PRIORITY: u8 = 0x20;
}

pub(in crate::h2) mod setting {
    pub(in crate::h2) const HEADER_TABLE_SIZE: u16 = 0x1;
    pub(in crate::h2) const ENABLE_PUSH: u16 = 0x2;
    pub(in crate::h2) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(in crate::h2) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(in crate::h2) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(in crate::h2) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    /// RFC 8441 section 3.
    pub(in crate::h2) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
    /// RFC 9218 section 2.1.
    pub(in crate::h2) const NO_RFC7540_PRIORITIES: u16 = 0x9;
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::h2) struct FrameHeader {
    /// Bytes of the payload.
    pub(in crate::h2) length: usize,
    pub(in crate::h2) kind: u8,
    pub(in crate::h2) flags: u8,
    pub(in crate::h2) stream: u32,
}

impl FrameHeader {
    /// Parses a header, and ignores the reserved bit of the stream identifier.
    pub(in crate::h2) fn parse(bytes: [u8; HEADER_LEN]) -> Self {
        let [l2, l1, l0, kind, flags, s3, s2, s1, s0] = bytes;
        Self {
            length: u32::from_be_bytes([0, l2, l1, l0]) as usize,
            kind,
            flags,
            stream: u32::from_be_bytes([s3 & 0x7f, s2, s1, s0]),
        }
    }

    /// Appends the header to `out`.
    pub(in crate::h2) fn put(self, out: &mut BytesMut) {
        let mut bytes = [0; HEADER_LEN];
        let [l2, l1, l0, kind, flags, stream @ ..] = &mut bytes;
        [*l2, *l1, *l0] = length(self.length);
        (*kind, *flags) = (self.kind, self.flags);
        stream.copy_from_slice(&self.stream.to_be_bytes());
        out.extend_from_slice(&bytes);
    }

    /// Returns whether the frame has this flag.
    pub(in crate::h2) const fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// Returns the three bytes of a payload length; our frames are shorter than 2^24 bytes.
pub(in crate::h2) fn length(length: usize) -> [u8; 3] {
    let [_, l2, l1, l0] = u32::try_from(length).unwrap_or(0xff_ffff).to_be_bytes();
    [l2, l1, l0]
}

/// Appends a frame, and copies its payload.
pub(in crate::h2) fn put(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let header = FrameHeader {
        length: payload.len(),
        kind,
        flags,
        stream,
    };
    header.put(out);
    out.extend_from_slice(payload);
}

/// Appends a frame whose payload is one number: RST_STREAM or WINDOW_UPDATE.
pub(in crate::h2) fn put_number(out: &mut BytesMut, kind: u8, stream: u32, number: u32) {
    put(out, kind, 0, stream, &number.to_be_bytes());
}

/// Appends a SETTINGS frame.
pub(in crate::h2) fn put_settings(out: &mut BytesMut, settings: &[(u16, u32)]) {
    let header = FrameHeader {
        length: settings.len() * 6,
        kind: kind::SETTINGS,
        flags: 0,
        stream: 0,
    };
    header.put(out);
    for &(identifier, value) in settings {
        out.put_u16(identifier);
        out.put_u32(value);
    }
}

/// Appends a GOAWAY frame.
pub(in crate::h2) fn put_goaway(out: &mut BytesMut, last_stream: u32, code: u32) {
    let header = FrameHeader {
        length: 8,
        kind: kind::GOAWAY,
        flags: 0,
        stream: 0,
    };
    header.put(out);
    out.put_u32(last_stream);
    out.put_u32(code);
}
