//! Holds the static table (RFC 7541 appendix A), and finds its names.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::entry::TableEntry;
use super::recent::Hash;
use super::{Name, Value};

/// Defines the table once, as entries, and as names that can be hashed at compile time.
macro_rules! static_table {
    ($($name:literal: $value:literal,)*) => {
        /// The entries; the first has index 1.
        pub(super) static STATIC_TABLE: [TableEntry; 61] = [$(entry($name, $value),)*];

        /// The names of the entries.
        const NAMES: [&str; 61] = [$($name,)*];
    };
}

static_table! {
    ":authority": "",
    ":method": "GET",
    ":method": "POST",
    ":path": "/",
    ":path": "/index.html",
    ":scheme": "http",
    ":scheme": "https",
    ":status": "200",
    ":status": "204",
    ":status": "206",
    ":status": "304",
    ":status": "400",
    ":status": "404",
    ":status": "500",
    "accept-charset": "",
    "accept-encoding": "gzip, deflate",
    "accept-language": "",
    "accept-ranges": "",
    "accept": "",
    "access-control-allow-origin": "",
    "age": "",
    "allow": "",
    "authorization": "",
    "cache-control": "",
    "content-disposition": "",
    "content-encoding": "",
    "content-language": "",
    "content-length": "",
    "content-location": "",
    "content-range": "",
    "content-type": "",
    "cookie": "",
    "date": "",
    "etag": "",
    "expect": "",
    "expires": "",
    "from": "",
    "host": "",
    "if-match": "",
    "if-modified-since": "",
    "if-none-match": "",
    "if-range": "",
    "if-unmodified-since": "",
    "last-modified": "",
    "link": "",
    "location": "",
    "max-forwards": "",
    "proxy-authenticate": "",
    "proxy-authorization": "",
    "range": "",
    "referer": "",
    "refresh": "",
    "retry-after": "",
    "server": "",
    "set-cookie": "",
    "strict-transport-security": "",
    "transfer-encoding": "",
    "user-agent": "",
    "vary": "",
    "via": "",
    "www-authenticate": "",
}

/// The indices of names for which the encoder has rules.
pub(super) mod index {
    pub(crate) const AUTHORITY: u8 = 1;
    pub(crate) const METHOD: u8 = 2;
    pub(crate) const PATH: u8 = 4;
    pub(crate) const SCHEME: u8 = 6;
    pub(crate) const STATUS: u8 = 8;
    pub(crate) const ACCEPT_ENCODING: u8 = 16;
    pub(crate) const AGE: u8 = 21;
    pub(crate) const AUTHORIZATION: u8 = 23;
    pub(crate) const CONTENT_LENGTH: u8 = 28;
    pub(crate) const CONTENT_LOCATION: u8 = 29;
    pub(crate) const CONTENT_RANGE: u8 = 30;
    pub(crate) const COOKIE: u8 = 32;
    pub(crate) const DATE: u8 = 33;
    pub(crate) const ETAG: u8 = 34;
    pub(crate) const EXPIRES: u8 = 36;
    pub(crate) const IF_MODIFIED_SINCE: u8 = 40;
    pub(crate) const IF_NONE_MATCH: u8 = 41;
    pub(crate) const LAST_MODIFIED: u8 = 44;
    pub(crate) const LINK: u8 = 45;
    pub(crate) const LOCATION: u8 = 46;
    pub(crate) const PROXY_AUTHORIZATION: u8 = 49;
    pub(crate) const SET_COOKIE: u8 = 55;
}

/// Slots of the hash table of regular names.
const SLOTS: usize = 256;

/// The hash table of regular names, with open addressing: each slot has an index of the static table, or 0.
static SLOTS_OF_NAMES: [u8; SLOTS] = slots_of_names();

/// Returns the first index that has the name of a regular field; 0 if there is none.
pub(super) fn index_of(name: &HeaderName) -> u8 {
    let mut slot = Hash::of_octets(name.as_str().as_bytes()).slot();
    while let Some(&index) = SLOTS_OF_NAMES.get(slot % SLOTS)
        && let Some(entry) = STATIC_TABLE.get(usize::from(index).wrapping_sub(1))
    {
        if matches!(&entry.name, Name::Field(known) if known == name) {
            return index;
        }
        slot += 1;
    }
    0
}

/// Makes [`SLOTS_OF_NAMES`].
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "it runs at compile time"
)]
const fn slots_of_names() -> [u8; SLOTS] {
    let mut slots = [0; SLOTS];
    let mut at = 0;
    while at < NAMES.len() {
        let name = NAMES[at].as_bytes();
        if name[0] != b':' {
            let mut slot = Hash::of_octets(name).slot();
            while slots[slot % SLOTS] != 0 {
                slot += 1;
            }
            slots[slot % SLOTS] = at as u8 + 1;
        }
        at += 1;
    }
    slots
}

/// Creates an entry.
const fn entry(name: &'static str, value: &'static str) -> TableEntry {
    let pseudo = match name.as_bytes() {
        b":authority" => Name::Authority,
        b":method" => Name::Method,
        b":path" => Name::Path,
        b":scheme" => Name::Scheme,
        b":status" => Name::Status,
        _ => {
            let field = Name::Field(HeaderName::from_static(name));
            return TableEntry::new(
                field,
                name.len(),
                Value::Field(HeaderValue::from_static(value)),
                value.len(),
            );
        }
    };
    TableEntry::new(
        pseudo,
        name.len(),
        Value::Pseudo(Bytes::from_static(value.as_bytes())),
        value.len(),
    )
}
