//! A kept answer, and what it weighs.

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

/// All of an answer but its content: made when its header came.
#[derive(Debug, Clone)]
pub struct Head {
    /// The whole URL, as [`url_text`](super::url_text) writes it.
    pub url: Box<str>,
    /// The upstream that answered.
    pub upstream: Box<str>,
    /// Its status.
    pub status: StatusCode,
    /// Its fields, without those of the origin's connection.
    pub fields: HeaderMap,
    pub(super) vary: Box<[HeaderName]>,
    pub(super) variance: Option<Variance>,
    /// Since when it is kept; what was kept earlier under the same URL for other variants is not used.
    pub(super) created: SystemTime,
    epoch: SystemTime,
    fresh_until: SystemTime,
    stale_while_revalidate: u32,
    stale_if_error: u32,
}

/// A whole answer.
#[derive(Debug)]
pub struct Object {
    /// That of the fill that brought it, unless it was revalidated since.
    pub(super) id: u64,
    pub(super) head: Head,
    pub(super) body: Body,
    is_pushable: bool,
}

impl Head {
    /// The head that Pingora's record of an answer tells.
    pub(super) fn of(meta: &CacheMeta, url: &str, upstream: &str) -> Self {
        let response = meta.response_header();
        let mut fields = response.headers.clone();
        compact(&mut fields);
        Self {
            url: url.into(),
            upstream: upstream.into(),
            status: response.status,
            fields,
            // What varies by too much was refused before.
            vary: vary::names(&response.headers).unwrap_or_default(),
            variance: meta.variance(),
            created: meta.provenance(),
            epoch: meta.epoch(),
            fresh_until: meta.fresh_until(),
            stale_while_revalidate: meta.stale_while_revalidate_sec(),
            stale_if_error: meta.stale_if_error_sec(),
        }
    }

    /// It varies by other fields than before, of which the request that revalidated it has these. What is kept of its URL for
    /// other variants, by the old ones, is not used any more.
    pub(super) const fn vary_anew(&mut self, variance: Option<Variance>, now: SystemTime) {
        self.variance = variance;
        self.created = now;
    }

    /// The same as Pingora's record, as far as that can be made anew.
    ///
    /// It counts the validity of variants from `created` and age from the epoch, so those are kept.
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

    /// Bytes of content that it announces.
    pub(super) fn length(&self) -> Option<usize> {
        announced_length(&self.fields)
    }

    /// Whether it is fresh at this time.
    pub(super) fn is_fresh(&self, now: SystemTime) -> bool {
        self.fresh_until >= now
    }

    /// What it takes in memory.
    pub(super) fn size(&self) -> usize {
        let fields = self.fields.iter();
        let fields: usize = fields
            .map(|(name, value)| FIELD + name.as_str().len() + value.len())
            .sum();
        let vary: usize = self.vary.iter().map(|name| FIELD + name.as_str().len()).sum();
        HEAD + self.url.len() + self.upstream.len() + fields + vary
    }
}

/// Bytes of an entry besides what it holds: the object itself, and the place in the store.
const HEAD: usize = 1024;

/// Bytes of a field besides its name and value, in a map that is at most half empty.
const FIELD: usize = 150;

/// Bytes of a piece of content besides its own.
const PIECE: usize = 64;

/// Percent of a head's size that it counts for: what a store of small responses has freed is of no use to the larger
/// ones that follow, as some of them is left in nearly every page of the allocator. With this, what is resident after
/// millions of responses of mixed sizes stays below 1.25 times the bound of the store (`benches/cache.rs`).
const HEAD_SHARE: usize = 170;

/// Percent of a content's size that it counts for, likewise.
const CONTENT_SHARE: usize = 130;

impl Object {
    /// A whole answer: its length is known now.
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

    /// Its status, fields and URL.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Its content.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// Whether it may be pushed to anybody (rule 10).
    #[must_use]
    pub const fn is_pushable(&self) -> bool {
        self.is_pushable
    }

    /// Whether it is fresh at this time.
    #[must_use]
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        self.head.is_fresh(now)
    }

    /// Seconds since it was new (RFC 9111 section 4.2.3).
    #[must_use]
    pub fn age(&self, now: SystemTime) -> u64 {
        now.duration_since(self.head.epoch).unwrap_or_default().as_secs()
    }

    /// Seconds for which it is still fresh.
    #[must_use]
    pub fn time_left(&self, now: SystemTime) -> u64 {
        self.head.fresh_until.duration_since(now).unwrap_or_default().as_secs()
    }

    /// Whether a request with these fields may be answered with it.
    pub(super) fn matches(&self, hasher: &UrlHasher, request: &HeaderMap) -> bool {
        self.head.variance == vary::variance(hasher, &self.head.vary, request)
    }

    /// What it counts for in the store: the bytes that it takes, and its share of the gaps between them.
    pub(super) fn weight(&self) -> u32 {
        let content = self.body.len() + PIECE * self.body.pieces().len();
        let weight = self.head.size() * HEAD_SHARE / 100 + content * CONTENT_SHARE / 100;
        u32::try_from(weight).unwrap_or(u32::MAX)
    }
}
