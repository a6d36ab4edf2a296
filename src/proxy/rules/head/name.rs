//! Names the fields that rules write, in the two forms that heads want.

use http::{HeaderName, header};

use crate::trace::{self, REQUEST_ID};

/// The name of a field that a rule writes.
#[derive(Debug)]
pub(in crate::proxy) struct FieldName {
    /// The name in the letter case of HTTP/1.x. A plain string, because Pingora copies a `HeaderName` twice.
    pub(super) text: &'static str,
    /// As other heads take it, without a copy.
    pub(super) name: HeaderName,
}

impl FieldName {
    const fn new(text: &'static str, name: HeaderName) -> Self {
        Self { text, name }
    }

    /// Returns the name as one that was read.
    pub(in crate::proxy) const fn as_header(&self) -> &HeaderName {
        &self.name
    }
}

pub(in crate::proxy) static AGE: FieldName = FieldName::new("Age", header::AGE);
pub(in crate::proxy) static CACHE_CONTROL: FieldName = FieldName::new("Cache-Control", header::CACHE_CONTROL);
pub(in crate::proxy) static CACHE_STATUS: FieldName =
    FieldName::new("cache-status", HeaderName::from_static("cache-status"));
pub(in crate::proxy) static CONTENT_LENGTH: FieldName = FieldName::new("Content-Length", header::CONTENT_LENGTH);
pub(in crate::proxy) static CONTENT_TYPE: FieldName = FieldName::new("Content-Type", header::CONTENT_TYPE);
pub(in crate::proxy) static COOKIE: FieldName = FieldName::new("Cookie", header::COOKIE);
pub(in crate::proxy) static DATE: FieldName = FieldName::new("Date", header::DATE);
pub(in crate::proxy) static FORWARDED: FieldName = FieldName::new("Forwarded", header::FORWARDED);
pub(in crate::proxy) static RETRY_AFTER: FieldName = FieldName::new("Retry-After", header::RETRY_AFTER);
pub(in crate::proxy) static TRACEPARENT: FieldName = FieldName::new("traceparent", trace::TRACEPARENT);
pub(in crate::proxy) static VIA: FieldName = FieldName::new("Via", header::VIA);
pub(in crate::proxy) static X_FORWARDED_FOR: FieldName =
    FieldName::new("X-Forwarded-For", HeaderName::from_static("x-forwarded-for"));
pub(in crate::proxy) static X_FORWARDED_HOST: FieldName =
    FieldName::new("X-Forwarded-Host", HeaderName::from_static("x-forwarded-host"));
pub(in crate::proxy) static X_FORWARDED_PORT: FieldName =
    FieldName::new("X-Forwarded-Port", HeaderName::from_static("x-forwarded-port"));
pub(in crate::proxy) static X_FORWARDED_PROTO: FieldName =
    FieldName::new("X-Forwarded-Proto", HeaderName::from_static("x-forwarded-proto"));
pub(in crate::proxy) static X_REQUEST_ID: FieldName = FieldName::new("X-Request-ID", REQUEST_ID);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_one_name() {
        for name in [
            &AGE,
            &CACHE_CONTROL,
            &CACHE_STATUS,
            &CONTENT_LENGTH,
            &CONTENT_TYPE,
            &COOKIE,
            &DATE,
            &FORWARDED,
            &RETRY_AFTER,
            &TRACEPARENT,
            &VIA,
            &X_FORWARDED_FOR,
            &X_FORWARDED_HOST,
            &X_FORWARDED_PORT,
            &X_FORWARDED_PROTO,
            &X_REQUEST_ID,
        ] {
            assert!(name.text.eq_ignore_ascii_case(name.name.as_str()), "{name:?}");
        }
    }
}
