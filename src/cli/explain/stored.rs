//! Decides whether the cache would store a response, for how long and under which key, or why not.

use std::{
    collections::BTreeMap,
    fmt,
    time::{Duration, SystemTime},
};

use http::HeaderName;
use serde::Serialize;

use super::{request::Request, response::Response};
use crate::{
    cache::{self, Passed, RequestFacts, url_text},
    proxy::fault,
    route::{Caching, Route},
};

/// The outcome for a response, as it is printed.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(untagged)]
pub(super) enum Stored {
    /// The cache stores the response.
    Yes {
        /// Freshness lifetime that is left, seconds.
        seconds: u64,
        /// Seconds for which the stale response is served while it is revalidated (RFC 5861 section 3).
        stale_while_revalidate: u32,
        /// Seconds for which the stale response is served while the origin fails (RFC 5861 section 4).
        stale_if_error: u32,
        /// The URL by which the cache finds the response.
        key: String,
        /// The fields that `Vary` names, with the values of this request.
        vary: BTreeMap<String, Option<String>>,
        /// Whether the cache stores the response only once a page preloads its URL.
        assets_only: bool,
    },
    /// The cache does not store the response.
    No {
        /// The label of the first reason.
        reason: &'static str,
        /// The reason in words.
        why: String,
    },
}

impl Stored {
    /// Decides about a response to this request. `limit` is the cache's limit on content, bytes.
    pub(super) fn of(request: &Request, response: &Response, route: &Route, limit: u32) -> Self {
        let now = SystemTime::now();
        let no = |reason, why: &dyn fmt::Display| Self::No {
            reason,
            why: why.to_string(),
        };
        if route.cache.caching == Caching::Off {
            return no("off", &"the route keeps nothing");
        }
        if let Err(passed) = Passed::check(&request.method, &request.headers) {
            return no(passed.label(), &passed);
        }
        if cache::asks_for_less(&request.method, &request.headers) {
            return no(Passed::Part.label(), &Passed::Part);
        }
        let facts = RequestFacts::with(
            &request.headers,
            route.cache.cookies,
            usize::try_from(limit).unwrap_or(usize::MAX),
        );
        if let Some(bad) = fault(response.status, &response.headers) {
            return no("framing", &format_args!("{bad}: its client gets 502"));
        }
        let freshness = match cache::check_storable(response.status, &response.headers, facts, now) {
            Ok(freshness) => freshness,
            Err(reason) => return no(reason.label(), &reason),
        };
        let left = freshness.fresh_until.duration_since(now).unwrap_or(Duration::ZERO);
        let path_and_query = request.uri.path_and_query().map_or("/", |pq| pq.as_str());
        let names = cache::vary_names(&response.headers).unwrap_or_default();
        let asked_with = |name: &HeaderName| {
            let values: Vec<_> = request.headers.get_all(name).iter().collect();
            let values: Vec<_> = values.iter().map(|v| String::from_utf8_lossy(v.as_bytes())).collect();
            (!values.is_empty()).then(|| values.join(", "))
        };
        Self::Yes {
            seconds: left.as_secs(),
            stale_while_revalidate: freshness.stale_while_revalidate,
            stale_if_error: freshness.stale_if_error,
            key: url_text(&request.scheme, &request.authority, path_and_query),
            vary: names.iter().map(|name| (name.to_string(), asked_with(name))).collect(),
            assets_only: route.cache.caching == Caching::Assets,
        }
    }
}

impl fmt::Display for Stored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No { reason, why } => writeln!(f, "cache    not kept  reason={reason} ({why})"),
            Self::Yes {
                seconds,
                stale_while_revalidate,
                stale_if_error,
                key,
                vary,
                assets_only,
            } => {
                write!(f, "cache    kept for {seconds} s")?;
                if *stale_while_revalidate > 0 {
                    write!(f, ", {stale_while_revalidate} s more while it is renewed")?;
                }
                if *stale_if_error > 0 {
                    write!(f, ", {stale_if_error} s more while the origin fails")?;
                }
                writeln!(f, "  key={key}")?;
                for (name, value) in vary {
                    let value = value.as_deref().unwrap_or("(none)");
                    writeln!(f, "         for requests with {name}: {}", value.escape_debug())?;
                }
                if *assets_only {
                    writeln!(f, "         once a page preloads it (cache: assets)")?;
                }
                Ok(())
            }
        }
    }
}
