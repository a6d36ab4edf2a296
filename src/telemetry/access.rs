//! Writes the access log: one line per request, under the log target `access`. `docs/operate/logs.md` explains each
//! word.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::{HeaderValue, Version};

use super::{
    CacheWord, ClientProtocol,
    log::{self, ACCESS_LEVEL, ACCESS_TARGET, AccessFields, AccessLines, LogFormat, LogLine, with_line},
};
use crate::{meter::Label as _, peer::TlsSession, push::Skips};

/// Most bytes of a request's path and query in a line.
const MAX_PATH: usize = 2048;

/// Most bytes of another value of a client, or of a reason.
const MAX_VALUE: usize = 512;

/// Most bytes of a method.
const MAX_METHOD: usize = 64;

/// The part of the cache in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The part itself.
    pub word: CacheWord,
    /// The reason of `pass`, for which nothing was stored.
    pub reason: Option<&'static str>,
}

impl Outcome {
    /// A stored response was sent, and was fresh.
    pub const HIT: Self = Self {
        word: CacheWord::Hit,
        reason: None,
    };

    /// Returns the outcome of a request that bypassed the cache for this reason.
    #[must_use]
    pub const fn passed(reason: &'static str) -> Self {
        Self {
            word: CacheWord::Pass,
            reason: Some(reason),
        }
    }
}

/// One finished request.
#[derive(Debug)]
pub struct Access<'a> {
    /// The peer's address.
    pub peer: Option<SocketAddr>,
    /// The client's address: the peer's, or that of its client if the peer is trusted.
    pub client: Option<IpAddr>,
    /// The request's method.
    pub method: &'a str,
    /// The scheme of the target URI.
    pub scheme: &'a str,
    /// The authority of the target URI.
    pub authority: &'a str,
    /// The path and query of the target URI.
    pub path_and_query: &'a str,
    /// The final status, if one was sent.
    pub status: Option<u16>,
    /// The name of the route.
    pub route: Option<&'a str>,
    /// `h2`, `http/1.1` or `http/1.0`.
    pub protocol: &'static str,
    /// The time from the request's head to the end of the response.
    pub duration: Duration,
    /// Bytes of the response's content.
    pub bytes: usize,
    /// Promises made for this document.
    pub promises: usize,
    /// Links sent in 103s.
    pub hints: usize,
    /// Links not delivered, by reason.
    pub skips: &'a Skips,
    /// Links that were delivered early because the document's manifest had them.
    pub learned: usize,
    /// Early links that the document's response did not have.
    pub missed: u32,
    /// The stream of the document, if the request is a promise.
    pub pushed_by: Option<u32>,
    /// The part of the cache in the response.
    pub cache: Option<Outcome>,
    /// The origin server that responded, or failed last.
    pub server: Option<SocketAddr>,
    /// Origin servers that were tried.
    pub tries: u32,
    /// Why the request failed, if it did.
    pub failure: Option<&'a str>,
    /// The further fields, as far as the settings ask for them.
    pub details: AccessDetails<'a>,
}

/// Further fields of one finished request.
#[derive(Debug, Clone, Copy, Default)]
pub struct AccessDetails<'a> {
    /// `User-Agent`.
    pub user_agent: Option<&'a HeaderValue>,
    /// `Referer`.
    pub referer: Option<&'a HeaderValue>,
    /// The request's id.
    pub request_id: Option<&'a HeaderValue>,
    /// `traceparent` as the origin was sent it.
    pub traceparent: Option<&'a HeaderValue>,
    /// The time from the choice of the last server to the head of its response.
    pub origin_time: Option<Duration>,
    /// Each failure of an attempt at a server.
    pub failures: &'a [String],
    /// TLS of the client's connection, where it ends here.
    pub tls: Option<TlsSession>,
}

/// Returns whether any request has an access line.
#[must_use]
pub fn is_enabled() -> bool {
    log::settings().access != AccessLines::Off
}

/// Returns the further fields of access lines; none if there are no lines.
#[must_use]
pub fn fields() -> AccessFields {
    let settings = log::settings();
    match settings.access {
        AccessLines::Off => AccessFields::default(),
        AccessLines::On | AccessLines::Errors => settings.fields,
    }
}

/// Writes an access line, unless the settings leave it out.
pub fn write(access: &Access<'_>) {
    let settings = log::settings();
    let is_wanted = match settings.access {
        AccessLines::Off => false,
        AccessLines::On => true,
        AccessLines::Errors => access.is_error(),
    };
    if is_wanted {
        with_line(settings.format, ACCESS_LEVEL, ACCESS_TARGET, |line| {
            access.write(line);
            line.end();
            log::push(line.bytes());
        });
    }
}

/// Writes the access line of a request that was refused before its route was looked up: its method and target as far as
/// they are known, the status if a response was sent, and why.
pub fn write_refused(
    peer: Option<SocketAddr>,
    protocol: &'static str,
    (method, target): (&str, &str),
    status: Option<u16>,
    why: &dyn fmt::Display,
) {
    if is_enabled() {
        write(&Access::refused(
            peer,
            protocol,
            (method, target),
            status,
            &why.to_string(),
        ));
    }
}

/// Returns the ALPN identifier of a protocol version (RFC 7301).
#[must_use]
pub fn protocol(version: Version) -> &'static str {
    ClientProtocol::from(version).label()
}

impl<'a> Access<'a> {
    /// Returns what is known of a request that was refused before its route was looked up. A target without a scheme
    /// and an authority is the whole URL.
    #[must_use]
    pub fn refused(
        peer: Option<SocketAddr>,
        protocol: &'static str,
        (method, target): (&'a str, &'a str),
        status: Option<u16>,
        why: &'a str,
    ) -> Self {
        Self {
            peer,
            client: peer.map(|peer| peer.ip()),
            method,
            scheme: "-",
            authority: "-",
            path_and_query: target,
            status,
            route: None,
            protocol,
            duration: Duration::ZERO,
            bytes: 0,
            promises: 0,
            hints: 0,
            skips: &NO_SKIPS,
            learned: 0,
            missed: 0,
            pushed_by: None,
            cache: None,
            server: None,
            tries: 0,
            failure: Some(why),
            details: AccessDetails::default(),
        }
    }

    /// Returns whether the request failed, as `access: errors` understands it.
    fn is_error(&self) -> bool {
        self.failure.is_some() || self.status.is_none_or(|status| status >= 400)
    }

    fn write(&self, line: &mut LogLine<'_>) {
        self.write_request(line);
        self.write_response(line);
        if let Some(parent) = self.pushed_by {
            line.number("pushed_by", u64::from(parent));
        }
        if let Some(cache) = self.cache {
            line.key("cache");
            line.quote();
            line.bare(cache.word.label());
            if let Some(reason) = cache.reason {
                line.bare(":");
                line.bare(reason);
            }
            line.quote();
        }
        match (self.peer, self.client) {
            (Some(peer), Some(client)) if client != peer.ip().to_canonical() => {
                line.address("client", client);
                line.socket("peer", peer);
            }
            (Some(peer), _) => line.socket("client", peer),
            (None, _) => {}
        }
        if let Some(server) = self.server {
            line.socket("server", server);
        }
        if self.tries > 1 {
            line.number("tries", u64::from(self.tries));
        }
        self.details.write(line);
        if let Some(failure) = self.failure {
            line.quoted("failure", failure, MAX_VALUE);
        }
    }

    /// Writes method, URL and status, which have no names in text.
    fn write_request(&self, line: &mut LogLine<'_>) {
        let is_json = line.format() == LogFormat::Json;
        if is_json {
            line.value("method", self.method.as_bytes(), MAX_METHOD);
            line.key("url");
            line.bare("\"");
        } else {
            line.bare_value(self.method.as_bytes(), MAX_METHOD);
            line.bare(" ");
        }
        line.bare(self.scheme);
        line.bare("://");
        line.bare_value(self.authority.as_bytes(), MAX_VALUE);
        line.bare_value(self.path_and_query.as_bytes(), MAX_PATH);
        match (is_json, self.status) {
            (true, Some(status)) => {
                line.bare("\"");
                line.number("status", u64::from(status));
            }
            (true, None) => {
                line.bare("\"");
                line.nothing("status");
            }
            (false, Some(status)) => {
                line.bare(" ");
                line.bare_number(u64::from(status));
            }
            (false, None) => line.bare(" -"),
        }
        match self.route {
            Some(route) => line.word("route", route),
            None => line.nothing("route"),
        }
        line.word("proto", self.protocol);
    }

    fn write_response(&self, line: &mut LogLine<'_>) {
        line.milliseconds("time", self.duration);
        line.number("bytes", self.bytes as u64);
        line.number("promises", self.promises as u64);
        line.number("hints", self.hints as u64);
        self.write_skips(line);
        if self.learned > 0 {
            line.number("learned", self.learned as u64);
            line.number("missed", u64::from(self.missed));
        }
    }

    fn write_skips(&self, line: &mut LogLine<'_>) {
        line.key("skips");
        let is_json = line.format() == LogFormat::Json;
        line.bare(if is_json { "{" } else { "" });
        let mut is_first = true;
        for (reason, count) in self.skips.iter() {
            line.bare(if is_first { "" } else { "," });
            line.quote();
            line.bare(reason.label());
            line.quote();
            line.bare(":");
            line.bare_number(u64::from(count));
            is_first = false;
        }
        line.bare(match (is_json, is_first) {
            (true, _) => "}",
            (false, true) => "-",
            (false, false) => "",
        });
    }
}

impl AccessDetails<'_> {
    fn write(&self, line: &mut LogLine<'_>) {
        if let Some(time) = self.origin_time {
            line.milliseconds("origin_time", time);
        }
        if !self.failures.is_empty() {
            line.list("failures", self.failures.iter().map(String::as_str), MAX_VALUE);
        }
        if let Some(tls) = self.tls {
            line.word("tls", tls.version);
            if let Some(alpn) = tls.alpn {
                line.word("alpn", alpn);
            }
        }
        for (name, value, limit) in [
            ("request_id", self.request_id, MAX_VALUE),
            ("traceparent", self.traceparent, MAX_VALUE),
            ("user_agent", self.user_agent, MAX_VALUE),
            ("referer", self.referer, MAX_PATH),
        ] {
            if let Some(value) = value {
                line.value(name, value.as_bytes(), limit);
            }
        }
    }
}

static NO_SKIPS: Skips = Skips::NONE;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::SkipReason;

    fn text(access: &Access<'_>) -> String {
        written(LogFormat::Text, access)
            .split_once("] ")
            .expect("the begin of a line")
            .1
            .to_owned()
    }

    fn written(format: LogFormat, access: &Access<'_>) -> String {
        with_line(format, ACCESS_LEVEL, ACCESS_TARGET, |line| {
            access.write(line);
            String::from_utf8(line.bytes().to_vec()).expect("UTF-8")
        })
    }

    #[test]
    fn a_line_has_every_word() {
        let mut skips = Skips::default();
        skips.add(SkipReason::Nopush);
        let access = Access {
            peer: Some(SocketAddr::from(([192, 0, 2, 1], 40000))),
            client: Some([192, 0, 2, 1].into()),
            method: "GET",
            scheme: "https",
            authority: "shop.example",
            path_and_query: "/?q",
            status: Some(200),
            route: Some("pages"),
            protocol: "h2",
            duration: Duration::from_micros(12_345),
            bytes: 77,
            promises: 2,
            hints: 0,
            skips: &skips,
            learned: 2,
            missed: 1,
            pushed_by: Some(13),
            cache: Some(Outcome::HIT),
            server: Some(SocketAddr::from(([10, 0, 0, 1], 9000))),
            tries: 2,
            failure: Some("upstream: ReadTimedout"),
            details: AccessDetails::default(),
        };
        let behind_a_proxy = Access {
            client: Some([203, 0, 113, 7].into()),
            ..access
        };
        assert!(text(&behind_a_proxy).contains(" client=203.0.113.7 peer=192.0.2.1:40000 server="));
        let access = Access {
            client: Some([192, 0, 2, 1].into()),
            ..behind_a_proxy
        };
        assert_eq!(
            text(&access),
            "GET https://shop.example/?q 200 route=pages proto=h2 time=12.3ms bytes=77 promises=2 hints=0 \
             skips=nopush:1 learned=2 missed=1 pushed_by=13 cache=hit client=192.0.2.1:40000 server=10.0.0.1:9000 tries=2 \
             failure=\"upstream: ReadTimedout\""
        );
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&format!("{}}}", written(LogFormat::Json, &access)))
                .map(|mut line| {
                    line.as_object_mut()
                        .expect("an object")
                        .remove("timestamp")
                        .expect("a time");
                    line
                })
                .expect("valid JSON"),
            serde_json::json!({
                "level": "INFO", "target": "access", "method": "GET", "url": "https://shop.example/?q", "status": 200,
                "route": "pages", "proto": "h2", "time_ms": 12.3, "bytes": 77, "promises": 2, "hints": 0,
                "skips": { "nopush": 1 }, "learned": 2, "missed": 1, "pushed_by": 13, "cache": "hit",
                "client": "192.0.2.1:40000", "server": "10.0.0.1:9000", "tries": 2,
                "failure": "upstream: ReadTimedout",
            })
        );
    }

    #[test]
    fn further_fields_are_bounded_and_escaped() {
        let value = |bytes: &[u8]| HeaderValue::from_bytes(bytes).expect("a value");
        let (agent, referer, id) = (value(b"a \"b\" \xff"), value(&[b'r'; 5000]), value(b"id-1"));
        let failures = ["10.0.0.1:9000 after 2.0ms: ConnectRefused".to_owned(), "x\"".to_owned()];
        let path = "/x".repeat(5000);
        let access = Access {
            details: AccessDetails {
                user_agent: Some(&agent),
                referer: Some(&referer),
                request_id: Some(&id),
                traceparent: None,
                origin_time: Some(Duration::from_micros(1_500)),
                failures: &failures,
                tls: Some(TlsSession {
                    version: "1.3",
                    alpn: Some("h2"),
                }),
            },
            ..Access::refused(None, "h2", ("GET", &path), None, "why")
        };
        let line = text(&access);
        assert!(line.len() < 6000, "{}", line.len());
        for part in [
            "... - route=- proto=h2",
            " origin_time=1.5ms failures=[\"10.0.0.1:9000 after 2.0ms: ConnectRefused\",\"x\\\"\"] tls=1.3 alpn=h2 ",
            " request_id=id-1 user_agent=a%20\"b\"%20%FF referer=rrr",
            "rrr... failure=\"why\"",
        ] {
            assert!(line.contains(part), "{part}: {line}");
        }
        let json = format!("{}}}", written(LogFormat::Json, &access));
        let line: serde_json::Value = serde_json::from_str(&json).expect("valid JSON");
        assert_eq!(line.get("user_agent"), Some(&"a \"b\" \u{fffd}".into()));
        assert_eq!(line.pointer("/failures/1"), Some(&"x\"".into()));
        assert_eq!(line.get("status"), Some(&serde_json::Value::Null));
        assert_eq!(line.get("origin_time_ms"), Some(&1.5.into()));
    }

    #[test]
    fn errors_are_failures_and_bad_statuses() {
        for (status, failure, expected) in [
            (Some(200), None, false),
            (Some(304), None, false),
            (Some(400), None, true),
            (Some(502), None, true),
            (None, None, true),
            (Some(200), Some("the client left"), true),
        ] {
            let access = Access {
                status,
                failure,
                ..Access::refused(None, "h2", ("GET", "/"), None, "")
            };
            assert_eq!(access.is_error(), expected, "{status:?} {failure:?}");
        }
    }
}
