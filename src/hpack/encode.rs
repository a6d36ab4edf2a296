//! Encodes fields into header blocks (RFC 7541 section 6), and decides which of them enter the dynamic table.

use bytes::{BufMut, BytesMut};
use http::{HeaderName, HeaderValue, StatusCode};

use super::recent::{AUTHORITY, EntryName, Hash, Recent, RecentMatch};
use super::static_table::{self, index};
use super::{FIELD_OVERHEAD, INITIAL_TABLE, huffman, integer};

/// The index of the newest entry of the dynamic table.
const FIRST_DYNAMIC: usize = 62;

/// The first bits of the representations (RFC 7541 section 6), and the mask of the integer that follows them.
const INDEXED: (u8, u8) = (0x80, 0x7f);
const INCREMENTAL: (u8, u8) = (0x40, 0x3f);
const SIZE_UPDATE: (u8, u8) = (0x20, 0x1f);
const NEVER_INDEXED: (u8, u8) = (0x10, 0x0f);
const NOT_INDEXED: (u8, u8) = (0, 0x0f);

/// Octets of the longest string that is sent without the Huffman code if it enters no table. To measure and encode an
/// octet takes about 22 instructions, and four octets save one: `content-length`, `etag` and `last-modified` of each
/// response would cost 1,080 instructions more, and save 12 octets.
const PLAIN_MAX: usize = 32;

/// Octets of the longest `link` value that enters the dynamic table: longer values belong to a single document.
const LINK_MAX: usize = 128;

/// The pseudo-headers of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PseudoName {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
}

/// An encoder of one connection's blocks, which must be sent whole and in the order of encoding.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Recent,
    /// The smallest size that the table had since the last block, if the size changed.
    resized: Option<usize>,
}

/// Whether a field enters the dynamic table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Insertion {
    /// The field enters if the table has no entry of its name, or if the pair of name and value comes again.
    Usual,
    /// The field always enters: each new value is repeated for a while.
    Always,
    /// The field never enters: its value is seldom repeated.
    Not,
    /// The field never enters any table, an intermediary's neither: its value is a secret (RFC 7541 section 7.1.3).
    Secret,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// Creates an encoder with a dynamic table of 4,096 octets. The first entry is the first allocation.
    pub(crate) fn new() -> Self {
        Self {
            table: Recent::new(INITIAL_TABLE),
            resized: None,
        }
    }

    /// Applies the client's SETTINGS_HEADER_TABLE_SIZE, of which the encoder uses 4,096 octets at most. The next block
    /// begins with the size update.
    pub(crate) fn set_max_table_size(&mut self, client_limit: u32) {
        let size = usize::try_from(client_limit)
            .unwrap_or(INITIAL_TABLE)
            .min(INITIAL_TABLE);
        if size != self.table.max_size() {
            self.table.resize(size);
            self.resized = Some(self.resized.map_or(size, |smallest| smallest.min(size)));
        }
    }

    /// Encodes `:status`.
    pub(crate) fn status(&mut self, status: StatusCode, out: &mut BytesMut) {
        self.begin(out);
        let index = match status.as_u16() {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                // A status takes five octets each time, too little for an entry of the table.
                out.put_u8(index::STATUS);
                plain(status.as_str().as_bytes(), out);
                return;
            }
        };
        out.put_u8(INDEXED.0 | index);
    }

    /// Encodes a pseudo-header of a request.
    pub(crate) fn pseudo(&mut self, name: PseudoName, value: &[u8], out: &mut BytesMut) {
        self.begin(out);
        let (whole, name_index) = match (name, value) {
            (PseudoName::Method, b"GET") => (2, index::METHOD),
            (PseudoName::Method, b"POST") => (3, index::METHOD),
            (PseudoName::Path, b"/") => (4, index::PATH),
            (PseudoName::Path, b"/index.html") => (5, index::PATH),
            (PseudoName::Scheme, b"http") => (6, index::SCHEME),
            (PseudoName::Scheme, b"https") => (7, index::SCHEME),
            (PseudoName::Method, _) => (0, index::METHOD),
            (PseudoName::Path, _) => (0, index::PATH),
            (PseudoName::Scheme, _) => (0, index::SCHEME),
            (PseudoName::Authority, _) => return self.authority(value, out),
        };
        if whole > 0 {
            out.put_u8(INDEXED.0 | whole);
        } else {
            out.put_u8(NOT_INDEXED.0 | name_index);
            text(value, PLAIN_MAX, out);
        }
    }

    /// Encodes a regular field.
    pub(crate) fn field(&mut self, name: &HeaderName, value: &HeaderValue, out: &mut BytesMut) {
        self.begin(out);
        let hash = Hash::of(name);
        if value.is_sensitive() {
            return self.literal(
                Insertion::Secret,
                hash,
                name,
                value.as_bytes(),
                RecentMatch::Nothing,
                out,
            );
        }
        match self.table.find_field(hash, name, value.as_bytes()) {
            RecentMatch::Pair(age) => integer::encode(INDEXED.0, INDEXED.1, FIRST_DYNAMIC + age, out),
            found => self.literal(Insertion::Usual, hash, name, value.as_bytes(), found, out),
        }
    }

    /// Writes the size update that is due at the beginning of a block, if any.
    #[inline]
    fn begin(&mut self, out: &mut BytesMut) {
        if self.resized.is_some() {
            self.size_updates(out);
        }
    }

    /// Writes the smallest size since the last block, at which the client evicts the entries that were evicted here,
    /// and the current size (RFC 7541 section 4.2).
    #[cold]
    fn size_updates(&mut self, out: &mut BytesMut) {
        let last = self.table.max_size();
        if let Some(smallest) = self.resized.take()
            && smallest < last
        {
            integer::encode(SIZE_UPDATE.0, SIZE_UPDATE.1, smallest, out);
        }
        integer::encode(SIZE_UPDATE.0, SIZE_UPDATE.1, last, out);
    }

    /// Encodes `:authority`, which most promises of a connection share, and which therefore enters the table.
    fn authority(&mut self, value: &[u8], out: &mut BytesMut) {
        let hash = Hash::AUTHORITY;
        match self.table.find_authority(hash, value) {
            RecentMatch::Pair(age) => integer::encode(INDEXED.0, INDEXED.1, FIRST_DYNAMIC + age, out),
            _ if self.is_small(AUTHORITY.len() + value.len()) => {
                out.put_u8(INCREMENTAL.0 | index::AUTHORITY);
                text(value, 0, out);
                self.table.insert(hash, EntryName::Authority, value);
            }
            _ => {
                out.put_u8(NOT_INDEXED.0 | index::AUTHORITY);
                text(value, PLAIN_MAX, out);
            }
        }
    }

    /// Returns whether a field of this length takes a quarter of the table at most.
    fn is_small(&self, length: usize) -> bool {
        length + FIELD_OVERHEAD <= self.table.max_size() / 4
    }

    /// Encodes a field as a literal, since neither table has its pair of name and value.
    #[inline(never)]
    fn literal(
        &mut self,
        policy: Insertion,
        hash: Hash,
        name: &HeaderName,
        value: &[u8],
        found: RecentMatch,
        out: &mut BytesMut,
    ) {
        let static_index = static_table::index_of(name);
        if static_index == index::ACCEPT_ENCODING && policy == Insertion::Usual && value == b"gzip, deflate" {
            out.put_u8(INDEXED.0 | index::ACCEPT_ENCODING);
            return;
        }
        let policy = if policy == Insertion::Secret {
            policy
        } else {
            Insertion::of(static_index, value)
        };
        let name_len = name.as_str().len();
        let insert = match policy {
            Insertion::Secret | Insertion::Not => false,
            Insertion::Usual | Insertion::Always if !self.is_small(name_len + value.len()) => false,
            Insertion::Always => true,
            Insertion::Usual => found == RecentMatch::Nothing || self.table.came_before(hash, value),
        };
        let (flags, mask) = match policy {
            Insertion::Secret => NEVER_INDEXED,
            _ if insert => INCREMENTAL,
            _ => NOT_INDEXED,
        };
        let plain_max = if insert { 0 } else { PLAIN_MAX };
        match (static_index, found) {
            (0, RecentMatch::Name(age) | RecentMatch::Pair(age)) => {
                integer::encode(flags, mask, FIRST_DYNAMIC + age, out)
            }
            (0, RecentMatch::Nothing) => {
                out.put_u8(flags);
                text(name.as_str().as_bytes(), plain_max, out);
            }
            _ => integer::encode(flags, mask, usize::from(static_index), out),
        }
        text(value, plain_max, out);
        if insert {
            self.table.insert(hash, EntryName::Field(name.clone()), value);
        }
    }
}

impl Insertion {
    /// Returns the policy for a value by the static index of its name, 0 for other names.
    fn of(static_index: u8, value: &[u8]) -> Self {
        match static_index {
            index::DATE => Self::Always,
            index::AUTHORIZATION | index::COOKIE | index::PROXY_AUTHORIZATION | index::SET_COOKIE => Self::Secret,
            index::AGE
            | index::CONTENT_LENGTH
            | index::CONTENT_LOCATION
            | index::CONTENT_RANGE
            | index::ETAG
            | index::EXPIRES
            | index::IF_MODIFIED_SINCE
            | index::IF_NONE_MATCH
            | index::LAST_MODIFIED
            | index::LOCATION => Self::Not,
            index::LINK if value.len() > LINK_MAX => Self::Not,
            _ => Self::Usual,
        }
    }
}

/// Encodes a string, with the Huffman code if the string is longer than `plain_max` octets and becomes shorter.
fn text(value: &[u8], plain_max: usize, out: &mut BytesMut) {
    if value.len() > plain_max {
        let encoded = huffman::encoded_len(value);
        if encoded < value.len() {
            integer::encode(0x80, 0x7f, encoded, out);
            huffman::encode(value, out);
            return;
        }
    }
    plain(value, out);
}

/// Encodes a string without the Huffman code.
fn plain(value: &[u8], out: &mut BytesMut) {
    integer::encode(0, 0x7f, value.len(), out);
    out.put_slice(value);
}
