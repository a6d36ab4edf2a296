//! What a trusted peer said of the client of a document, for the requests of its promises.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::names::{X_FORWARDED_HOST, X_FORWARDED_PORT, is_of_family};

/// The fields with which a trusted peer told of a document's client.
///
/// They never go into a PUSH_PROMISE, which the client would see: they ride in the extensions of the
/// promised request and are put into the request to the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    fields: HeaderMap,
    /// The document's.
    authority: Box<str>,
}

impl Received {
    /// Of a document's request; `None` if the peer said nothing.
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

    /// The fields, as the document's request had them.
    #[must_use]
    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// What holds for a request of the same client to this authority, field lines in order.
    ///
    /// Hosts and ports that were said of the document are no other authority's.
    pub fn fields_for(&self, authority: &str) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        let is_same = self.authority.eq_ignore_ascii_case(authority);
        self.fields
            .iter()
            .filter(move |(name, _)| is_same || (**name != X_FORWARDED_HOST && **name != X_FORWARDED_PORT))
    }
}
