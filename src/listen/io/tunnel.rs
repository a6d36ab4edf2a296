//! Follows the frames of a WebSocket on their way to the client (RFC 6455), to find where one ends. Pure.
//!
//! A tunnel that is cut sends its client a Close frame, which is possible only between two frames.

/// Close, 1001: an endpoint is going away (RFC 6455 sections 5.5.1 and 7.4.1).
pub(super) const GOING_AWAY: [u8; 4] = [0x88, 2, 0x03, 0xe9];

/// The opcode of a Close frame.
const CLOSE: u8 = 8;

/// Bytes of the longest frame header: opcode 1, length 1, extended length 8, mask 4.
const LONGEST_HEADER: usize = 14;

/// The position in the stream of frames that the bytes written to a WebSocket's client have reached.
#[derive(Debug)]
pub(super) struct Tunnel(TunnelState);

#[derive(Debug)]
enum TunnelState {
    /// In the head of the 101; the last `end` bytes match the beginning of [`HEAD_END`].
    Head { end: usize },
    /// In the header of a frame, of which `have` bytes were written; 0 is between two frames.
    Header { bytes: [u8; LONGEST_HEADER], have: usize },
    /// In a frame's content, of which this many bytes are to come.
    Content(u64),
    /// After a Close frame.
    Closed,
}

const BEFORE_FRAME: TunnelState = TunnelState::Header {
    bytes: [0; LONGEST_HEADER],
    have: 0,
};

const HEAD_END: &[u8; 4] = b"\r\n\r\n";

impl Tunnel {
    /// Returns a tunnel whose 101 is about to be written.
    pub(super) const fn new() -> Self {
        Self(TunnelState::Head { end: 0 })
    }

    /// Returns whether a frame can be inserted now: between two frames, and not after a Close frame.
    pub(super) fn is_between_frames(&self) -> bool {
        matches!(self.0, TunnelState::Header { have: 0, .. })
    }

    /// Follows bytes that were written.
    pub(super) fn pass(&mut self, mut written: &[u8]) {
        while let Some((&first, rest)) = written.split_first() {
            match &mut self.0 {
                TunnelState::Head { end } => {
                    *end = match HEAD_END.get(*end) {
                        Some(&next) if next == first => *end + 1,
                        _ => usize::from(first == b'\r'),
                    };
                    if *end == HEAD_END.len() {
                        self.0 = BEFORE_FRAME;
                    }
                    written = rest;
                }
                TunnelState::Header { bytes, have } => {
                    if let Some(byte) = bytes.get_mut(*have) {
                        *byte = first;
                    }
                    *have += 1;
                    if let Some(length) = content_length(bytes, *have) {
                        let is_close = bytes.first().is_some_and(|byte| byte & 0xf == CLOSE);
                        self.0 = match length {
                            _ if is_close => TunnelState::Closed,
                            0 => BEFORE_FRAME,
                            length => TunnelState::Content(length),
                        };
                    }
                    written = rest;
                }
                TunnelState::Content(left) => {
                    let length = u64::try_from(written.len()).unwrap_or(u64::MAX).min(*left);
                    *left -= length;
                    if *left == 0 {
                        self.0 = BEFORE_FRAME;
                    }
                    let length = usize::try_from(length).unwrap_or(written.len());
                    written = written.get(length..).unwrap_or_default();
                }
                TunnelState::Closed => return,
            }
        }
    }
}

/// Returns the length of a frame's content; `None` until `have` bytes complete its header (RFC 6455 section 5.2).
fn content_length(header: &[u8; LONGEST_HEADER], have: usize) -> Option<u64> {
    let &[_, second, e0, e1, e2, e3, e4, e5, e6, e7, ..] = header;
    if have < 2 {
        return None;
    }
    let (extension, length) = match second & 0x7f {
        126 => (2, u64::from(u16::from_be_bytes([e0, e1]))),
        127 => (8, u64::from_be_bytes([e0, e1, e2, e3, e4, e5, e6, e7])),
        short => (0, u64::from(short)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    (have >= 2 + extension + mask).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    fn frame(opcode: u8, length: usize, mask: &[u8]) -> Vec<u8> {
        let masked = if mask.is_empty() { 0 } else { 0x80 };
        let mut frame = vec![0x80 | opcode];
        match u8::try_from(length) {
            Ok(short) if short < 126 => frame.push(masked | short),
            _ if length < 65_536 => {
                frame.push(masked | 126);
                frame.extend(u16::try_from(length).expect("short").to_be_bytes());
            }
            _ => {
                frame.push(masked | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(vec![b'x'; length]);
        frame
    }

    #[test]
    fn a_frame_can_be_inserted_after_each_frame_and_nowhere_else() {
        let frames = [
            frame(1, 0, &[]),
            frame(2, 125, &[]),
            frame(9, 126, &[]),
            frame(1, 70_000, &[]),
            frame(1, 5, &[1, 2, 3, 4]),
            frame(0, 0, &[1, 2, 3, 4]),
        ];
        let after = |count| HEAD.len() + frames.iter().take(count).map(Vec::len).sum::<usize>();
        let ends: Vec<usize> = (0..=frames.len()).map(after).collect();
        let all = [HEAD, &frames.concat()].concat();
        for size in [1, 2, 3, 1000, all.len()] {
            let mut tunnel = Tunnel::new();
            let mut at = 0;
            for piece in all.chunks(size) {
                tunnel.pass(piece);
                at += piece.len();
                assert_eq!(tunnel.is_between_frames(), ends.contains(&at), "{at} by {size}");
            }
        }
    }

    #[test]
    fn no_frame_can_be_inserted_after_a_close_frame() {
        for close in [frame(8, 0, &[]), frame(8, 2, &[]), GOING_AWAY.to_vec()] {
            let mut tunnel = Tunnel::new();
            tunnel.pass(&[HEAD, &close].concat());
            assert!(!tunnel.is_between_frames());
        }
    }
}
