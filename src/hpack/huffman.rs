//! Decodes and encodes strings of the Huffman code (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: all codes follow from their lengths, so the tables are derived at compile time.

use bytes::{BufMut, BytesMut};

/// Bits of one look-up: the codes of two of the most frequent symbols have 10 to 12 bits together.
const LOOKUP_BITS: u32 = 12;

/// The length of the longest code, that of EOS.
const MAX_BITS: u32 = 30;

/// The end-of-string symbol, which no string may contain (RFC 7541 section 5.2).
const EOS: usize = 256;

/// Bits of the code of each octet, and of EOS.
#[rustfmt::skip]
pub(super) const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The code of each octet.
pub(super) static CODES: [u32; 256] = codes();

/// One or two symbols for each value of the next [`LOOKUP_BITS`] bits.
static PAIRS: [Pair; 1 << LOOKUP_BITS] = pairs();

/// The range of codes of each length that is too long for [`PAIRS`], shortest first.
static LONG: [Long; (MAX_BITS - LOOKUP_BITS) as usize] = long();

/// The symbols whose codes have more than [`LOOKUP_BITS`] bits, in the order of their codes.
static LONG_SYMBOLS: [u8; 256] = long_symbols();

/// The symbols whose codes some bits begin with. From the lowest octet: the first symbol, the second, the bits of their
/// codes, and the bits of the symbols themselves (8 or 16). All are 0 if the first code is longer than a look-up.
#[derive(Clone, Copy)]
struct Pair(u32);

/// The codes of one length.
#[derive(Clone, Copy)]
struct Long {
    /// The first code, at the left of 32 bits.
    from: u32,
    /// The first code of a greater length, at the left of 32 bits; equal to `from` if there is no code of this length.
    below: u32,
    bits: u32,
    /// The number of codes that are longer than a look-up and shorter than this length.
    before: usize,
}

/// Returns how many octets [`decode`] needs for an encoded string of `encoded` octets: the shortest code has 5 bits,
/// and each write has eight octets.
pub(super) fn room(encoded: usize) -> usize {
    encoded * 8 / 5 + 8
}

/// Decodes a string into `out`, which has the octets that [`room`] asks for, and returns the length of the plain
/// string; `None` if the string contains EOS, or if its padding is longer than 7 bits or is not a prefix of EOS.
pub(super) fn decode(mut rest: &[u8], out: &mut [u8]) -> Option<usize> {
    // The next bits, from the left: `have` bits of the string, then bits that will be read again, or ones past the end.
    let mut bits: u64 = 0;
    let mut have: u32 = 0;
    let mut at = 0;
    loop {
        bits |= next_eight(rest) >> have;
        let taken = (63 - have) / 8;
        if let Some(after) = rest.get(usize::try_from(taken).unwrap_or(0)..) {
            rest = after;
            have += taken * 8;
        } else {
            have += u32::try_from(rest.len()).unwrap_or(0) * 8;
            rest = &[];
        }
        if have < 8 && bits == u64::MAX {
            return Some(at);
        }

        // Four look-ups of 12 bits fit into 56 bits. A look-up without a result changes nothing, so needs no branch.
        let (mut left, mut symbols) = (bits, 0);
        let (mut used, mut width) = (0, 0);
        for _ in 0..4 {
            let pair = lookup(left);
            symbols |= u64::from(pair.symbols()) << width;
            left <<= pair.bits();
            used += pair.bits();
            width += pair.width();
        }
        if used == 0 {
            let (symbol, length) = long_symbol(bits)?;
            symbols = u64::from(symbol);
            left = bits << length;
            used = length;
            width = 8;
        }
        // Good padding never counts as a code: with the ones behind it, it begins like EOS. So a code that ends beyond
        // the string means bad padding.
        have = have.checked_sub(used)?;
        bits = left;
        *out.get_mut(at..)?.first_chunk_mut()? = symbols.to_le_bytes();
        at += usize::try_from(width / 8).unwrap_or(0);
    }
}

/// Returns the next eight octets, with ones in the place of octets past the end.
#[inline]
fn next_eight(rest: &[u8]) -> u64 {
    if let Some(chunk) = rest.first_chunk::<8>() {
        return u64::from_be_bytes(*chunk);
    }
    rest.iter()
        .rev()
        .fold(u64::MAX, |bits, &byte| (bits >> 8) | (u64::from(byte) << 56))
}

/// Returns the entry of [`PAIRS`] for the next bits.
#[inline]
fn lookup(bits: u64) -> Pair {
    let [high, low, ..] = bits.to_be_bytes();
    let index = u16::from_be_bytes([high, low]) >> (16 - LOOKUP_BITS);
    PAIRS.get(usize::from(index)).copied().unwrap_or(Pair(0))
}

impl Pair {
    /// Creates a pair of `count` symbols.
    const fn new(symbols: [u8; 2], bits: u8, count: u8) -> Self {
        let [first, second] = symbols;
        Self(u32::from_le_bytes([first, second, bits, count * 8]))
    }

    /// Returns both symbols.
    const fn symbols(self) -> u16 {
        let [first, second, ..] = self.0.to_le_bytes();
        u16::from_le_bytes([first, second])
    }

    /// Returns the number of bits of the codes.
    const fn bits(self) -> u32 {
        (self.0 >> 16) & 0xff
    }

    /// Returns the number of bits of the symbols.
    const fn width(self) -> u32 {
        self.0 >> 24
    }
}

/// Returns the next symbol, whose code is longer than a look-up, and the bits of its code; `None` for EOS.
#[cold]
fn long_symbol(bits: u64) -> Option<(u8, u32)> {
    let [a, b, c, d, ..] = bits.to_be_bytes();
    let next = u32::from_be_bytes([a, b, c, d]);
    let long = LONG.iter().find(|long| next < long.below)?;
    let nth = usize::try_from((next - long.from) >> (32 - long.bits)).ok()?;
    LONG_SYMBOLS.get(long.before + nth).map(|&symbol| (symbol, long.bits))
}

/// Returns the octets that a string takes when encoded.
pub(super) fn encoded_len(plain: &[u8]) -> usize {
    plain
        .iter()
        .map(|&byte| usize::from(length_of(byte)))
        .sum::<usize>()
        .div_ceil(8)
}

/// Encodes a string.
pub(super) fn encode(plain: &[u8], out: &mut BytesMut) {
    // The lowest `have` bits are not written yet.
    let mut bits: u64 = 0;
    let mut have: u32 = 0;
    for &byte in plain {
        let length = u32::from(length_of(byte));
        bits = (bits << length) | u64::from(CODES.get(usize::from(byte)).copied().unwrap_or(0));
        have += length;
        if have >= 32 {
            have -= 32;
            let [.., a, b, c, d] = (bits >> have).to_be_bytes();
            out.put_slice(&[a, b, c, d]);
        }
    }
    if have > 0 {
        let [.., a, b, c, d] = ((bits << (32 - have)) | (u64::from(u32::MAX) >> have)).to_be_bytes();
        let last = usize::try_from(have.div_ceil(8)).unwrap_or(0);
        out.put_slice([a, b, c, d].get(..last).unwrap_or(&[]));
    }
}

/// Returns the bits of the code of an octet.
#[inline]
fn length_of(byte: u8) -> u8 {
    LENGTHS.get(usize::from(byte)).copied().unwrap_or(0)
}

/// Derives the codes from their lengths.
#[expect(clippy::indexing_slicing, reason = "it runs at compile time")]
const fn codes() -> [u32; 256] {
    let mut codes = [0; 256];
    let mut code = 0;
    let mut bits = 1;
    while bits <= MAX_BITS {
        code <<= 1;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as u32 == bits {
                if symbol != EOS {
                    codes[symbol] = code;
                }
                code += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    codes
}

/// Makes [`PAIRS`].
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it runs at compile time"
)]
const fn pairs() -> [Pair; 1 << LOOKUP_BITS] {
    let codes = codes();
    let mut single = [Pair(0); 1 << LOOKUP_BITS];
    let mut symbol = 0;
    while symbol < EOS {
        let bits = LENGTHS[symbol];
        if bits as u32 <= LOOKUP_BITS {
            let free = LOOKUP_BITS - bits as u32;
            let mut tail = 0;
            while tail < 1 << free {
                single[((codes[symbol] << free) | tail) as usize] = Pair::new([symbol as u8, 0], bits, 1);
                tail += 1;
            }
        }
        symbol += 1;
    }
    let mut pairs = single;
    let mut index = 0;
    while index < pairs.len() {
        let first = single[index];
        let second = single[(index << first.bits()) & (pairs.len() - 1)];
        let bits = first.bits() + second.bits();
        if first.bits() > 0 && second.bits() > 0 && bits <= LOOKUP_BITS {
            pairs[index] = Pair::new([first.symbols() as u8, second.symbols() as u8], bits as u8, 2);
        }
        index += 1;
    }
    pairs
}

/// Makes [`LONG`].
#[expect(clippy::indexing_slicing, reason = "it runs at compile time")]
const fn long() -> [Long; (MAX_BITS - LOOKUP_BITS) as usize] {
    let mut long = [Long {
        from: 0,
        below: 0,
        bits: 0,
        before: 0,
    }; (MAX_BITS - LOOKUP_BITS) as usize];
    // 64 bits, since the end of the last code takes 33.
    let mut from: u64 = 0;
    let mut before = 0;
    let mut bits = 1;
    while bits <= MAX_BITS {
        let mut count = 0;
        let mut symbol = 0;
        while symbol < EOS {
            if LENGTHS[symbol] as u32 == bits {
                count += 1;
            }
            symbol += 1;
        }
        let below = from + ((count as u64) << (32 - bits));
        if bits > LOOKUP_BITS {
            long[(bits - LOOKUP_BITS - 1) as usize] = Long {
                from: low_half(from),
                below: low_half(below),
                bits,
                before,
            };
            before += count;
        }
        from = below;
        bits += 1;
    }
    long
}

/// Makes [`LONG_SYMBOLS`].
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it runs at compile time"
)]
const fn long_symbols() -> [u8; 256] {
    let mut symbols = [0; 256];
    let mut nth = 0;
    let mut bits = LOOKUP_BITS + 1;
    while bits <= MAX_BITS {
        let mut symbol = 0;
        while symbol < EOS {
            if LENGTHS[symbol] as u32 == bits {
                symbols[nth] = symbol as u8;
                nth += 1;
            }
            symbol += 1;
        }
        bits += 1;
    }
    symbols
}

/// Returns the lower half of a number whose upper half is 0, since EOS, the last code, is not in [`LONG`].
#[expect(clippy::cast_possible_truncation, reason = "it runs at compile time")]
const fn low_half(wide: u64) -> u32 {
    wide as u32
}
