//! Parses the names and values of decoded fields, once.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

/// The name of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// `:method`
    Method,
    /// `:scheme`
    Scheme,
    /// `:authority`
    Authority,
    /// `:path`
    Path,
    /// `:protocol`
    Protocol,
    /// `:status`
    Status,
    /// The name of a regular field.
    Field(HeaderName),
    /// A malformed name: empty, with an upper-case letter or another forbidden byte, or an unknown pseudo-header. The
    /// value of such a field is always [`Value::Malformed`].
    Malformed,
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// The value of a regular field, marked as sensitive if the client sent a never-indexed literal.
    Field(HeaderValue),
    /// The value of a pseudo-header.
    Pseudo(Bytes),
    /// A malformed value (RFC 9113 section 8.2.1): with a control other than a tab, or with a space or tab at an end.
    Malformed,
}

/// Receives the fields of a block in their order.
pub(crate) trait FieldSink {
    /// Returns whether the sink wants a field of this size, before anything is allocated for the field. The size counts
    /// as in SETTINGS_MAX_HEADER_LIST_SIZE: octets of name and value, and 32. A refused field still has its effect on
    /// the dynamic table.
    fn admit(&mut self, size: usize) -> bool;

    /// Receives a field.
    fn field(&mut self, name: Name, value: Value);
}

impl Name {
    /// Parses a name.
    pub(super) fn parse(name: &[u8]) -> Self {
        if name.first() == Some(&b':') {
            return match name {
                b":method" => Self::Method,
                b":scheme" => Self::Scheme,
                b":authority" => Self::Authority,
                b":path" => Self::Path,
                b":protocol" => Self::Protocol,
                b":status" => Self::Status,
                _ => Self::Malformed,
            };
        }
        HeaderName::from_lowercase(name).map_or(Self::Malformed, Self::Field)
    }
}

impl Value {
    /// Parses the value of a field of this name, into a copy. A `shared` value will be cloned soon, so its copy is made
    /// such that a clone allocates nothing.
    pub(super) fn parse(name: &Name, value: &[u8], shared: bool) -> Self {
        if [value.first(), value.last()]
            .iter()
            .any(|end| matches!(end, Some(b' ' | b'\t')))
        {
            return Self::Malformed;
        }
        match name {
            Name::Field(_) if shared => {
                HeaderValue::from_maybe_shared(shared_copy(value)).map_or(Self::Malformed, Self::Field)
            }
            Name::Field(_) => HeaderValue::from_bytes(value).map_or(Self::Malformed, Self::Field),
            Name::Malformed => Self::Malformed,
            // A fold has no early exit, so the compiler vectorises the loop.
            _ if value.iter().fold(true, |good, &byte| good & is_text(byte)) => Self::Pseudo(if shared {
                shared_copy(value)
            } else {
                Bytes::copy_from_slice(value)
            }),
            _ => Self::Malformed,
        }
    }

    /// Marks a value that its sender allows in no table.
    pub(super) fn set_sensitive(&mut self) {
        if let Self::Field(value) = self {
            value.set_sensitive(true);
        }
    }
}

/// Returns whether [`HeaderValue`] allows a byte in a field value.
fn is_text(byte: u8) -> bool {
    (byte >= 32 && byte != 127) || byte == b'\t'
}

/// Copies octets. Up to 127 octets share one allocation with their reference count; longer copies take two.
fn shared_copy(octets: &[u8]) -> Bytes {
    match octets.len() {
        0 => Bytes::new(),
        1..=15 => Short::<15>::copy(octets),
        16..=31 => Short::<31>::copy(octets),
        32..=63 => Short::<63>::copy(octets),
        64..=127 => Short::<127>::copy(octets),
        _ => Bytes::copy_from_slice(octets),
    }
}

/// Up to `N` octets.
struct Short<const N: usize> {
    len: u8,
    octets: [u8; N],
}

impl<const N: usize> Short<N> {
    /// Copies octets; the caller has checked that there are `N` at most.
    fn copy(from: &[u8]) -> Bytes {
        let mut octets = [0; N];
        match (octets.get_mut(..from.len()), u8::try_from(from.len())) {
            (Some(to), Ok(len)) => {
                to.copy_from_slice(from);
                Bytes::from_owner(Self { len, octets })
            }
            _ => Bytes::copy_from_slice(from),
        }
    }
}

impl<const N: usize> AsRef<[u8]> for Short<N> {
    fn as_ref(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or(&[])
    }
}
