//! The request that is explained.

use http::{HeaderMap, Method, StatusCode, Uri};

use super::{html::ParsedPage, response::Response};
use crate::link::Document;

/// A request that the arguments describe.
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
