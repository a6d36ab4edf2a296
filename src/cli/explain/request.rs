//! Holds the request that `linkpush explain` decides about.

use anyhow::{Context as _, bail};
use http::{HeaderMap, Method, StatusCode, Uri};

use super::{html::ParsedPage, response::Response};
use crate::link::Document;

/// The request, and its response where one is known.
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

impl Request {
    /// Makes a GET request for a URL, without fields, that is answered with 200.
    pub(super) fn of(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("URL {url:?}"))?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
            bail!("URL {url:?}: must be absolute, such as https://shop.example/");
        };
        let (scheme, authority) = (scheme.to_owned(), authority.to_string());
        let path_and_query = uri.path_and_query().map_or("/", |pq| pq.as_str());
        let document = Document::new(&scheme, &authority, path_and_query).with_context(|| format!("URL {url:?}"))?;
        Ok(Self {
            scheme,
            authority,
            method: Method::GET,
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            response: None,
            page: None,
            document,
            uri,
        })
    }
}
