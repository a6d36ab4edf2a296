//! Whether a response would be kept for others, for how long and under which key, or why not.

use std::{
    collections::BTreeMap,
    fmt,
    io::Read as _,
    path::Path,
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;

use super::{Request, field};
use crate::{
    cache::{self, Asked, Passed, url_text},
    proxy::fault,
    route::{Caching, Route},
};

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// Longest file that is read: heads are shorter.
const MAX_BYTES: u64 = 1024 * 1024;

impl Response {
    /// Reads a head as `curl -I` prints it; `-` is the standard input. Of several the last counts, as behind a 103.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let mut text = Vec::new();
        let name = file.display();
        let read = if file == Path::new("-") {
            std::io::stdin().take(MAX_BYTES).read_to_end(&mut text)
        } else {
            std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text))
        };
        read.with_context(|| format!("--response {name}"))?;
        Self::parse(&text).with_context(|| format!("--response {name}"))
    }

    fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let mut lines = text.split(|&b| b == b'\n').enumerate();
        let (_, first) = lines.next().context("is empty")?;
        let mut response = Self::begin(first.trim_ascii_end()).context("line 1")?;
        while let Some((at, line)) = lines.next() {
            let line = line.trim_ascii_end();
            if line.is_empty() {
                match lines.next() {
                    Some((at, next)) if response.status.is_informational() => {
                        response = Self::begin(next.trim_ascii_end()).with_context(|| format!("line {}", at + 1))?;
                        continue;
                    }
                    _ => break,
                }
            }
            let (name, value): (HeaderName, HeaderValue) = field(line).with_context(|| format!("line {}", at + 1))?;
            response.headers.append(name, value);
        }
        if response.status.is_informational() {
            bail!("no final response behind the {}", response.status.as_u16());
        }
        Ok(response)
    }

    fn begin(line: &[u8]) -> anyhow::Result<Self> {
        let wrong = || {
            format!(
                "must be a status line, such as HTTP/1.1 200 OK, got {}",
                line.escape_ascii()
            )
        };
        let mut words = line.split(|&b| b == b' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| StatusCode::from_bytes(status).ok());
        let status = status.filter(|_| version.starts_with(b"HTTP/")).with_context(wrong)?;
        Ok(Self {
            status,
            headers: HeaderMap::new(),
        })
    }
}

/// What becomes of it, as it is printed.
#[derive(Debug, Serialize, PartialEq, Eq)]
#[serde(untagged)]
pub(super) enum Stored {
    /// It is kept.
    Yes {
        /// Seconds for which it is fresh.
        seconds: u64,
        /// Seconds past that, while it is asked for again and while the origin fails.
        stale_while_revalidate: u32,
        stale_if_error: u32,
        /// The URL that it is found by.
        key: String,
        /// The fields that a request must have alike, with those of this one.
        vary: BTreeMap<String, Option<String>>,
        /// Only where a page preloads the URL.
        assets_only: bool,
    },
    /// It is not.
    No {
        /// The name of the first reason.
        reason: &'static str,
        /// The same in words.
        why: String,
    },
}

impl Stored {
    /// What becomes of a response to this request; `limit`: bytes of content that are kept.
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
        let asked = Asked::with(
            &request.headers,
            route.cache.cookies,
            usize::try_from(limit).unwrap_or(usize::MAX),
        );
        if let Some(bad) = fault(response.status, &response.headers) {
            return no("framing", &format_args!("{bad}: its client gets 502"));
        }
        let freshness = match cache::keep(response.status, &response.headers, asked, now) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_programs_print_them() {
        let read = |text: &str| Response::parse(text.as_bytes()).map_err(|e| format!("{e:#}"));
        let response =
            read("HTTP/2 200 \r\ncache-control: max-age=60\r\nlink: </a>\r\n\r\nbody: none\r\n").expect("a head");
        assert_eq!((response.status, response.headers.len()), (StatusCode::OK, 2));
        let last = read("HTTP/1.1 103 Early Hints\nlink: </a>\n\nHTTP/1.1 404 Not Found\nage: 1\n").expect("a head");
        assert_eq!((last.status, last.headers.len()), (StatusCode::NOT_FOUND, 1));
        for (text, problem) in [
            ("", "line 1: must be a status line, such as HTTP/1.1 200 OK, got "),
            (
                "200 OK",
                "line 1: must be a status line, such as HTTP/1.1 200 OK, got 200 OK",
            ),
            ("HTTP/1.1 103 x\n", "no final response behind the 103"),
            ("HTTP/1.1 200\nnothing\n", "line 2: must be NAME: VALUE, got nothing"),
        ] {
            assert_eq!(read(text), Err(problem.to_owned()), "{text:?}");
        }
    }
}
