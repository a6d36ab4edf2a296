//! Changes heads: which of their fields are passed on, and in which form.
//!
//! `name` (of the fields that are written), `framing` (where a response ends), `hops` (what belongs to one connection),
//! `date` (when a response was made). The rules take a head as [`Fields`], so that each driver may have heads of its
//! own.

pub(in crate::proxy) mod date;
pub(in crate::proxy) mod framing;
pub(in crate::proxy) mod hops;
pub(in crate::proxy) mod name;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, response};
use pingora::http::{RequestHeader, ResponseHeader};

use self::name::FieldName;

/// The fields of a head that a rule changes. No head has so many that there is no room for another.
pub(in crate::proxy) trait Fields {
    /// Returns all fields.
    fn fields(&self) -> &HeaderMap;
    /// Sets a field in the place of all its lines.
    fn set(&mut self, name: &FieldName, value: HeaderValue);
    /// Adds a line to a field.
    fn add(&mut self, name: &FieldName, value: HeaderValue);
    /// Adds a line to a field that was read.
    fn add_named(&mut self, name: &HeaderName, value: HeaderValue);
    /// Removes all lines of a field.
    fn remove(&mut self, name: &HeaderName);
}

/// The head of a response that a rule changes.
pub(in crate::proxy) trait ResponseHead: Fields {
    /// Returns the status.
    fn status(&self) -> StatusCode;
    /// Returns the version of HTTP that it came in.
    fn version(&self) -> Version;
    /// Sets the version of HTTP.
    fn set_version(&mut self, version: Version);
}

/// Implements [`Fields`] for one of Pingora's heads, which keep the case of names beside them. Their errors are an
/// invalid name or value and more fields than a head may have.
macro_rules! fields_of_pingora {
    ($head:ty) => {
        impl Fields for $head {
            fn fields(&self) -> &HeaderMap {
                &self.headers
            }

            fn set(&mut self, name: &FieldName, value: HeaderValue) {
                let _ = self.insert_header(name.text, value);
            }

            fn add(&mut self, name: &FieldName, value: HeaderValue) {
                let _ = self.append_header(name.text, value);
            }

            fn add_named(&mut self, name: &HeaderName, value: HeaderValue) {
                let _ = self.append_header(name, value);
            }

            fn remove(&mut self, name: &HeaderName) {
                self.remove_header(name);
            }
        }
    };
}

fields_of_pingora!(RequestHeader);
fields_of_pingora!(ResponseHeader);

impl ResponseHead for ResponseHeader {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        Self::set_version(self, version);
    }
}

impl Fields for HeaderMap {
    fn fields(&self) -> &HeaderMap {
        self
    }

    fn set(&mut self, name: &FieldName, value: HeaderValue) {
        let _ = self.try_insert(name.name.clone(), value);
    }

    fn add(&mut self, name: &FieldName, value: HeaderValue) {
        let _ = self.try_append(name.name.clone(), value);
    }

    fn add_named(&mut self, name: &HeaderName, value: HeaderValue) {
        let _ = self.try_append(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        Self::remove(self, name);
    }
}

impl Fields for response::Parts {
    fn fields(&self) -> &HeaderMap {
        &self.headers
    }

    fn set(&mut self, name: &FieldName, value: HeaderValue) {
        self.headers.set(name, value);
    }

    fn add(&mut self, name: &FieldName, value: HeaderValue) {
        self.headers.add(name, value);
    }

    fn add_named(&mut self, name: &HeaderName, value: HeaderValue) {
        self.headers.add_named(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        self.headers.remove(name);
    }
}

impl ResponseHead for response::Parts {
    fn status(&self) -> StatusCode {
        self.status
    }

    fn version(&self) -> Version {
        self.version
    }

    fn set_version(&mut self, version: Version) {
        self.version = version;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(head: &mut impl Fields) -> Vec<(String, String)> {
        head.add_named(&HeaderName::from_static("x-a"), HeaderValue::from_static("1"));
        head.add(&name::VIA, HeaderValue::from_static("2"));
        head.add(&name::VIA, HeaderValue::from_static("3"));
        head.set(&name::X_FORWARDED_FOR, HeaderValue::from_static("4"));
        head.set(&name::X_FORWARDED_FOR, HeaderValue::from_static("5"));
        head.set(&name::AGE, HeaderValue::from_static("6"));
        head.remove(&name::AGE.name);
        let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
        let fields = head.fields().iter();
        fields.map(|(name, value)| (name.to_string(), text(value))).collect()
    }

    #[test]
    fn every_head_is_changed_alike() {
        let expected = [("x-a", "1"), ("via", "2"), ("via", "3"), ("x-forwarded-for", "5")];
        let expected = expected.map(|(name, value)| (name.into(), value.into()));
        let mut request = RequestHeader::build("GET", b"/", None).expect("a request");
        assert_eq!(change(&mut request), expected);
        let mut response = ResponseHeader::build(200, None).expect("a header");
        assert_eq!(change(&mut response), expected);
        let mut wire = Vec::new();
        response.header_to_h1_wire(&mut wire);
        assert_eq!(
            wire, b"x-a: 1\r\nVia: 2\r\nVia: 3\r\nX-Forwarded-For: 5\r\n",
            "the case of names is kept"
        );
        let (mut parts, ()) = http::Response::new(()).into_parts();
        assert_eq!(change(&mut parts), expected);
    }
}
