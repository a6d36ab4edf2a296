//! Decodes content codings (RFC 9110, section 8.4.1).
//!
//! Memory: the window takes at most 8 MiB of address space for zstd (RFC 9659), 4 MiB for brotli, 32 KiB for gzip and
//! deflate. A decoder touches no more of the window than its output is long, and the output is bounded.

use std::io::{self, Write};

use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};
use zstd::stream::raw::{DParameter, Decoder as Zstd, InBuffer, Operation as _, OutBuffer};

/// A decoder of one content coding.
pub(in crate::html) enum ContentDecoder {
    Identity,
    Gzip(Box<GzDecoder<DecodedOutput>>),
    /// `deflate` before its second byte, which shows whether the server sends the zlib wrapper or raw deflate.
    Deflate(Option<u8>),
    Zlib(Box<ZlibDecoder<DecodedOutput>>),
    Raw(Box<DeflateDecoder<DecodedOutput>>),
    /// `br` before its first byte, which has the size of the window.
    Brotli,
    BrotliWindow(Box<DecompressorWriter<DecodedOutput>>),
    Zstd {
        decoder: Zstd<'static>,
        is_at_end: bool,
    },
}

impl std::fmt::Debug for ContentDecoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Identity => "Identity",
            Self::Gzip(_) => "Gzip",
            Self::Deflate(_) | Self::Zlib(_) | Self::Raw(_) => "Deflate",
            Self::Brotli | Self::BrotliWindow(_) => "Brotli",
            Self::Zstd { .. } => "Zstd",
        })
    }
}

/// Decoded content, up to a bound.
#[derive(Debug, Default)]
pub(in crate::html) struct DecodedOutput {
    bytes: Vec<u8>,
    room: usize,
}

impl Write for DecodedOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        if taken == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend(bytes.iter().take(taken));
        self.room -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The outcome of decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::html) enum Decoded {
    /// All input is decoded.
    All,
    /// The output is full, and more would follow.
    Full,
    /// The input does not match the coding.
    Corrupt,
}

impl ContentDecoder {
    /// Makes the decoder for a `Content-Encoding` field value; `None` for an unknown coding, or several.
    pub(in crate::html) fn new(coding: &[u8]) -> Option<Self> {
        let coding = coding.trim_ascii().to_ascii_lowercase();
        Some(match &*coding {
            b"" | b"identity" => Self::Identity,
            b"gzip" | b"x-gzip" => Self::Gzip(Box::new(GzDecoder::new(DecodedOutput::default()))),
            b"deflate" => Self::Deflate(None),
            b"br" => Self::Brotli,
            b"zstd" => {
                let mut decoder = Zstd::new().ok()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG)).ok()?;
                Self::Zstd {
                    decoder,
                    is_at_end: false,
                }
            }
            _ => return None,
        })
    }

    /// Decodes some input and appends at most `room` bytes to `output`. The output does not depend on how the input is
    /// cut into pieces, unless it is corrupt: then the cuts decide how much is decoded before the error.
    pub(in crate::html) fn decode(&mut self, mut input: &[u8], output: &mut Vec<u8>, room: usize) -> Decoded {
        if let Self::Deflate(first) = self {
            let head = match (*first, input) {
                (_, []) => return Decoded::All,
                (None, [only]) => {
                    *first = Some(*only);
                    return Decoded::All;
                }
                (None, [one, two, ..]) => [*one, *two],
                (Some(one), [two, ..]) => [one, *two],
            };
            let before = first.map(|byte| [byte]);
            // CMF and FLG of RFC 1950: a window for method 8, and a checksum of both.
            let is_zlib = head[0] & 0x0f == 8 && u16::from_be_bytes(head).is_multiple_of(31);
            *self = if is_zlib {
                Self::Zlib(Box::new(ZlibDecoder::new(DecodedOutput::default())))
            } else {
                Self::Raw(Box::new(DeflateDecoder::new(DecodedOutput::default())))
            };
            let of_first = before.map_or(Decoded::All, |before| self.decode(&before, output, room));
            if of_first != Decoded::All {
                return of_first;
            }
        }
        if let (Self::Brotli, Some(&first)) = (&self, input.first()) {
            if brotli_window_log(first) > BROTLI_WINDOW_LOG {
                return Decoded::Corrupt;
            }
            *self = Self::BrotliWindow(Box::new(DecompressorWriter::new(DecodedOutput::default(), BUFFER)));
        }
        match self {
            Self::Identity => {
                let taken = input.len().min(room);
                output.extend(input.iter().take(taken));
                if taken < input.len() {
                    Decoded::Full
                } else {
                    Decoded::All
                }
            }
            Self::Gzip(decoder) => write(&mut **decoder, GzDecoder::get_mut, input, output, room),
            Self::Zlib(decoder) => write(&mut **decoder, ZlibDecoder::get_mut, input, output, room),
            Self::Raw(decoder) => write(&mut **decoder, DeflateDecoder::get_mut, input, output, room),
            Self::BrotliWindow(decoder) => write(&mut **decoder, DecompressorWriter::get_mut, input, output, room),
            Self::Zstd { decoder, is_at_end } => {
                let end = output.len() + room;
                let mut buffer = [0; BUFFER];
                loop {
                    let mut from = InBuffer::around(input);
                    let mut to = OutBuffer::around(&mut buffer[..]);
                    let Ok(hint) = decoder.run(&mut from, &mut to) else {
                        return Decoded::Corrupt;
                    };
                    let (read, written) = (from.pos(), to.as_slice());
                    *is_at_end = hint == 0;
                    let taken = written.len().min(end.saturating_sub(output.len()));
                    output.extend(written.iter().take(taken));
                    if taken < written.len() {
                        return Decoded::Full;
                    }
                    let is_drained = written.len() < BUFFER;
                    input = input.get(read..).unwrap_or_default();
                    if input.is_empty() && (is_drained || *is_at_end) {
                        return Decoded::All;
                    }
                }
            }
            Self::Deflate(_) | Self::Brotli => Decoded::All,
        }
    }

    /// Returns whether the input was complete.
    pub(in crate::html) fn is_whole(&mut self) -> bool {
        match self {
            Self::Identity => true,
            Self::Gzip(decoder) => decoder.try_finish().is_ok(),
            Self::Zlib(decoder) => decoder.try_finish().is_ok(),
            Self::Raw(decoder) => decoder.try_finish().is_ok(),
            Self::BrotliWindow(decoder) => decoder.close().is_ok(),
            Self::Zstd { is_at_end, .. } => *is_at_end,
            Self::Deflate(_) | Self::Brotli => false,
        }
    }
}

/// Lends `output` to a decoder, which appends at most `room` bytes.
fn write<D: Write>(
    decoder: &mut D,
    of: impl Fn(&mut D) -> &mut DecodedOutput,
    mut input: &[u8],
    output: &mut Vec<u8>,
    room: usize,
) -> Decoded {
    *of(decoder) = DecodedOutput {
        bytes: std::mem::take(output),
        room,
    };
    let mut outcome = Ok(());
    while !input.is_empty() {
        match decoder.write(input) {
            // The coding has ended; like browsers, ignore the bytes behind the end.
            Ok(0) => break,
            Ok(read) => input = input.get(read..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => {
                outcome = Err(e);
                break;
            }
        }
    }
    // Without a flush the decoder holds back decoded bytes until more input comes.
    let outcome = outcome.and_then(|()| decoder.flush());
    let written = std::mem::take(of(decoder));
    *output = written.bytes;
    match outcome {
        Ok(()) => Decoded::All,
        Err(_) if written.room == 0 => Decoded::Full,
        Err(_) => Decoded::Corrupt,
    }
}

/// Returns the base-2 logarithm of the window size in the first byte of a brotli stream (RFC 7932, section 9.1).
fn brotli_window_log(first: u8) -> u32 {
    match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, ..) => 16,
        (_, 0, 0) => 17,
        // Reserved; streams of the "large window" extension begin with this code.
        (_, 0, 1) => u32::MAX,
        (_, 0, high) => 8 + u32::from(high),
        (_, low, _) => 17 + u32::from(low),
    }
}

/// 4 MiB: the largest window in use, except by the `brotli` tool for files larger than 4 MiB.
const BROTLI_WINDOW_LOG: u32 = 22;
/// 8 MiB: RFC 9659, section 3.
const ZSTD_WINDOW_LOG: u32 = 23;
const BUFFER: usize = 4096;
