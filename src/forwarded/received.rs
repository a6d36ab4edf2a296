//! Carries a trusted peer's fields about the client from a document's request to the requests of its promises. Pure.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::names::{X_FORWARDED_HOST, X_FORWARDED_PORT, is_of_family};

/// A trusted peer's fields about the client of a document.
///
/// The fields are never part of a PUSH_PROMISE, which the client would see: they are in the extensions of the promised
/// request, and go into the request to the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    fields: HeaderMap,
    /// The document's authority.
    authority: Box<str>,
}

impl Received {
    /// Takes the fields of a document's request; `None` if there are none about the client.
    #[must_use]
    pub fn of(document: &HeaderMap, authority: &str) -> Option<Self> {
        let mut fields = HeaderMap::new();
        for (name, value) in document {
            if is_of_family(name.as_str()) {
                fields.append(name, value.clone());
            }
        }
        (!fields.is_empty()).then(|| Self {
            fields,
            authority: authority.into(),
        })
    }

    /// Returns the fields as the document's request had them.
    #[must_use]
    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// Yields the field lines, in order, that hold for a request of the same client to this authority: for another
    /// authority than the document's, all but X-Forwarded-Host and -Port.
    pub fn fields_for(&self, authority: &str) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let is_same = self.authority.eq_ignore_ascii_case(authority);
        self.fields
            .iter()
            .filter(move |(name, _)| is_same || (**name != X_FORWARDED_HOST && **name != X_FORWARDED_PORT))
    }
}
