//! Holds the request that `linkpush explain` decides about.

use http::{HeaderMap, Method, StatusCode, Uri};

use super::{html::ParsedPage, response::Response};
use crate::link::Document;

/// The request, and the response where `--response` gave one, as the arguments describe them.
pub(super) struct Request {
    pub(super) uri: Uri,
    pub(super) scheme: String,
    pub(super) authority: String,
    pub(super) method: Method,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) document: Document,
    pub(super) response: Option<Response>,
    pub(super) page: Option<ParsedPage>,
}
