//! Checks the beginning of a connection that is upgraded from HTTP/1.1 (RFC 7540 section 3.2): a request, and the
//! client's settings, which the 101 acknowledges.

use http::request::Parts;

use crate::h2::{Limits, core::settings_are_good};

/// The beginning of an upgraded connection.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(super) settings: Vec<u8>,
    pub(super) head: Box<Parts>,
}

/// The reason why a request is not upgraded; it can still be answered as HTTP/1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotUpgradable {
    /// HTTP2-Settings is not the payload of a SETTINGS frame.
    #[error("HTTP2-Settings are no settings")]
    Settings,
    /// The fields are larger than an HTTP/2 request may be.
    #[error("the header is larger than {0} bytes")]
    TooLarge(u32),
}

impl Beginning {
    /// Returns the beginning of a connection. The request has no body and no connection-specific field; `settings` is
    /// the decoded HTTP2-Settings field.
    ///
    /// # Errors
    ///
    /// Returns the reason why the request stays HTTP/1.1.
    pub(crate) fn new(request: &Parts, settings: &[u8], limits: &Limits) -> Result<Self, NotUpgradable> {
        if !settings_are_good(settings) {
            return Err(NotUpgradable::Settings);
        }
        if list_size(request) > usize::try_from(limits.max_header_bytes).unwrap_or(usize::MAX) {
            return Err(NotUpgradable::TooLarge(limits.max_header_bytes));
        }
        let mut head = Box::new(request.clone());
        head.version = http::Version::HTTP_2;
        Ok(Self {
            settings: settings.to_vec(),
            head,
        })
    }
}

/// Returns the size of the fields as SETTINGS_MAX_HEADER_LIST_SIZE counts it (RFC 9113 section 6.5.2).
fn list_size(request: &Parts) -> usize {
    const OVERHEAD: usize = 32;
    let uri = &request.uri;
    let pseudo = [
        (":method", request.method.as_str()),
        (":scheme", uri.scheme_str().unwrap_or("http")),
        (":authority", uri.authority().map_or("", |authority| authority.as_str())),
        (":path", uri.path_and_query().map_or("/", |path| path.as_str())),
    ];
    let pseudo = pseudo.iter().map(|(name, value)| name.len() + value.len() + OVERHEAD);
    let fields = request
        .headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + OVERHEAD);
    pseudo.chain(fields).sum()
}
