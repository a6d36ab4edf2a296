//! Holds a stored response, and computes its weight in the store.

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};
use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;

use super::{
    body::Body,
    rules::{
        freshness::announced_length,
        key::{UrlHasher, Variance},
        vary,
    },
};
use crate::{
    fields::compact,
    push::{self, Credentials},
};

/// A response without its content.
#[derive(Debug, Clone)]
pub struct Head {
    /// The target URI, as [`url_text`](super::url_text) writes it.
    pub url: Box<str>,
    /// The name of the upstream that sent the response.
    pub upstream: Box<str>,
    /// The status.
    pub status: StatusCode,
    /// The fields, without those of the origin's connection.
    pub fields: HeaderMap,
    pub(super) vary: Box<[HeaderName]>,
    pub(super) variance: Option<Variance>,
    /// When the response was stored. Variants of the same URL that were stored earlier are not used.
    pub(super) created: SystemTime,
    epoch: SystemTime,
    fresh_until: SystemTime,
    stale_while_revalidate: u32,
    stale_if_error: u32,
}

/// A stored response.
#[derive(Debug)]
pub struct Object {
    /// The number of the fill that brought the response, or a new one since a revalidation.
    pub(super) id: u64,
    pub(super) head: Head,
    pub(super) body: Body,
    is_pushable: bool,
}

impl Head {
    /// Makes a head from Pingora's record of a response.
    pub(super) fn of(meta: &CacheMeta, url: &str, upstream: &str) -> Self {
        let response = meta.response_header();
        let mut fields = response.headers.clone();
        compact(&mut fields);
        Self {
            url: url.into(),
            upstream: upstream.into(),
            status: response.status,
            fields,
            // A response whose Vary cannot be used was refused before.
            vary: vary::names(&response.headers).unwrap_or_default(),
            variance: meta.variance(),
            created: meta.provenance(),
            epoch: meta.epoch(),
            fresh_until: meta.fresh_until(),
            stale_while_revalidate: meta.stale_while_revalidate_sec(),
            stale_if_error: meta.stale_if_error_sec(),
        }
    }

    /// Notes that a revalidation changed `Vary`: `variance` is the hash of the request's values of the fields that the
    /// new `Vary` names. Variants of the URL that were stored before `now`, by the old fields, are not used any more.
    pub(super) const fn vary_anew(&mut self, variance: Option<Variance>, now: SystemTime) {
        self.variance = variance;
        self.created = now;
    }

    /// Makes Pingora's record of the response. Pingora compares variants by `created` and counts the age from the
    /// epoch, so both are carried over.
    pub(super) fn meta(&self) -> CacheMeta {
        let mut response = Response::new(());
        *response.status_mut() = self.status;
        *response.version_mut() = Version::HTTP_11;
        *response.headers_mut() = self.fields.clone();
        let header = ResponseHeader::from(response.into_parts().0);
        let mut meta = CacheMeta::new(
            self.fresh_until,
            self.created,
            self.stale_while_revalidate,
            self.stale_if_error,
            header,
        );
        meta.set_epoch_override(self.epoch);
        if let Some(variance) = self.variance {
            meta.set_variance(variance);
        }
        meta
    }

    /// Returns the bytes of content that the fields announce.
    pub(super) fn length(&self) -> Option<usize> {
        announced_length(&self.fields)
    }

    /// Returns whether the response is fresh (RFC 9111 section 4.2).
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        self.fresh_until >= now
    }

    /// Returns the bytes that the head takes in memory.
    pub(super) fn size(&self) -> usize {
        let fields = self.fields.iter();
        let fields: usize = fields
            .map(|(name, value)| FIELD + name.as_str().len() + value.len())
            .sum();
        let vary: usize = self.vary.iter().map(|name| FIELD + name.as_str().len()).sum();
        HEAD + self.url.len() + self.upstream.len() + fields + vary
    }
}

/// Bytes of an entry besides its texts and content: the object itself, and its place in the store.
const HEAD: usize = 1024;

/// Bytes of a field besides its name and value, in a map that is at most half empty.
const FIELD: usize = 150;

/// Bytes of a piece of content besides its own.
const PIECE: usize = 64;

/// Percent of its size that a head counts for. Memory that small responses have freed is of no use to larger ones, as
/// some small response is left in nearly every page of the allocator. With this and [`CONTENT_SHARE`], resident memory
/// after millions of responses of mixed sizes stays below 1.25 times the bound of the store (`benches/cache.rs`).
const HEAD_SHARE: usize = 170;

/// Percent of its size that content counts for.
const CONTENT_SHARE: usize = 130;

impl Object {
    /// Makes a stored response: Content-Length takes the place of Transfer-Encoding.
    pub(super) fn new(id: u64, mut head: Head, body: Body) -> Self {
        head.fields.remove(header::TRANSFER_ENCODING);
        head.fields
            .insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        let is_pushable = push::check_pushable(head.status, &head.fields, Credentials::Omit).is_ok();
        Self {
            id,
            head,
            body,
            is_pushable,
        }
    }

    /// Returns the status, fields and URL.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Returns the content.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// Returns whether the response may be pushed to any client: [`push::check_pushable`] without credentials.
    #[must_use]
    pub const fn is_pushable(&self) -> bool {
        self.is_pushable
    }

    /// Returns whether the response is fresh (RFC 9111 section 4.2).
    #[must_use]
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.head.is_fresh(now)
    }

    /// Returns the age in seconds (RFC 9111 section 4.2.3).
    #[must_use]
    pub fn age(&self, now: SystemTime) -> u64 {
        now.duration_since(self.head.epoch).unwrap_or_default().as_secs()
    }

    /// Returns the seconds for which the response stays fresh.
    #[must_use]
    pub fn time_left(&self, now: SystemTime) -> u64 {
        self.head.fresh_until.duration_since(now).unwrap_or_default().as_secs()
    }

    /// Returns whether a request with these fields selects this variant (RFC 9111 section 4.1).
    pub(super) fn matches(&self, hasher: &UrlHasher, request: &HeaderMap) -> bool {
        self.head.variance == vary::variance(hasher, &self.head.vary, request)
    }

    /// Returns the weight in the store: the bytes of the response, and its share of the gaps between responses.
    pub(super) fn weight(&self) -> u32 {
        let content = self.body.len() + PIECE * self.body.pieces().len();
        let weight = self.head.size() * HEAD_SHARE / 100 + content * CONTENT_SHARE / 100;
        u32::try_from(weight).unwrap_or(u32::MAX)
    }
}
