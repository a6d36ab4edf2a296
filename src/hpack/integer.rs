//! Decodes and encodes integers with a prefix (RFC 7541 section 5.1).

use bytes::{BufMut, BytesMut};

use super::DecodeError;

/// Octets that may follow the prefix: no size of a table or a block needs more than 28 bits.
const MAX_MORE: u32 = 4;

/// Decodes an integer from its first octet, which has been read, and `rest`. Its prefix is the bits of `mask`.
#[inline]
pub(super) fn decode(first: u8, mask: u8, rest: &mut &[u8]) -> Result<usize, DecodeError> {
    let prefix = first & mask;
    if prefix < mask {
        Ok(usize::from(prefix))
    } else {
        decode_long(usize::from(mask), rest)
    }
}

/// Decodes the octets after a full prefix, and adds them to the prefix's value.
#[cold]
fn decode_long(mut value: usize, rest: &mut &[u8]) -> Result<usize, DecodeError> {
    for more in 0..MAX_MORE {
        let (&byte, after) = rest.split_first().ok_or(DecodeError::Truncated)?;
        *rest = after;
        value += usize::from(byte & 0x7f) << (7 * more);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(DecodeError::Integer)
}

/// Encodes an integer with a prefix of the bits of `mask`, in an octet that also has the bits of `flags`.
#[inline]
pub(super) fn encode(flags: u8, mask: u8, value: usize, out: &mut BytesMut) {
    match u8::try_from(value) {
        Ok(small) if small < mask => out.put_u8(flags | small),
        _ => encode_long(flags | mask, value.saturating_sub(usize::from(mask)), out),
    }
}

/// Encodes a full prefix, and the value beyond it.
fn encode_long(prefix: u8, beyond: usize, out: &mut BytesMut) {
    // The static index of a literal's name never takes a third octet.
    match u8::try_from(beyond) {
        Ok(last) if last < 0x80 => out.put_slice(&[prefix, last]),
        _ => encode_longer(prefix, beyond, out),
    }
}

/// Encodes a full prefix, and a value beyond it that has more than 7 bits.
#[cold]
fn encode_longer(prefix: u8, mut beyond: usize, out: &mut BytesMut) {
    out.put_u8(prefix);
    while beyond >= 0x80 {
        let [low, ..] = beyond.to_le_bytes();
        out.put_u8(low | 0x80);
        beyond >>= 7;
    }
    let [last, ..] = beyond.to_le_bytes();
    out.put_u8(last);
}
