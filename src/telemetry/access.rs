//! Writes the access log: one line per request, under the log target `access`. `docs/operate/logs.md` explains each
//! word.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use http::Version;
use log::{Level, info, log_enabled};

use super::{CacheWord, ClientProtocol};
use crate::{meter::Label as _, push::Skips};

/// The log target of access lines: `RUST_LOG=info,access=off` keeps the rest.
pub const TARGET: &str = "access";

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
}

/// Returns whether access lines are logged.
#[must_use]
pub fn is_enabled() -> bool {
    log_enabled!(target: TARGET, Level::Info)
}

/// Writes an access line.
pub fn write(access: &Access<'_>) {
    info!(target: TARGET, "{access}");
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
        write(&Access {
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
            skips: &Skips::default(),
            learned: 0,
            missed: 0,
            pushed_by: None,
            cache: None,
            server: None,
            tries: 0,
            failure: Some(&why.to_string()),
        });
    }
}

/// Returns the ALPN identifier of a protocol version (RFC 7301).
#[must_use]
pub fn protocol(version: Version) -> &'static str {
    ClientProtocol::from(version).label()
}

/// Displays text from a client with every byte percent-encoded that is no graphic ASCII character, so that a client
/// cannot forge other parts of the line.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.bytes().position(|byte| !byte.is_ascii_graphic()) {
            let (plain, escaped) = rest.split_at(at);
            f.write_str(plain)?;
            let length = escaped.chars().next().map_or(0, char::len_utf8);
            let (escaped, after) = escaped.split_at(length);
            for byte in escaped.bytes() {
                write!(f, "%{byte:02X}")?;
            }
            rest = after;
        }
        f.write_str(rest)
    }
}

impl fmt::Display for Access<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}://{}{} ",
            Escaped(self.method),
            self.scheme,
            Escaped(self.authority),
            Escaped(self.path_and_query)
        )?;
        match self.status {
            Some(status) => write!(f, "{status}")?,
            None => f.write_str("-")?,
        }
        write!(
            f,
            " route={} proto={} time={:.1}ms bytes={} promises={} hints={} skips={}",
            self.route.unwrap_or("-"),
            self.protocol,
            self.duration.as_secs_f64() * 1e3,
            self.bytes,
            self.promises,
            self.hints,
            self.skips,
        )?;
        if self.learned > 0 {
            write!(f, " learned={} missed={}", self.learned, self.missed)?;
        }
        if let Some(parent) = self.pushed_by {
            write!(f, " pushed_by={parent}")?;
        }
        if let Some(cache) = self.cache {
            write!(f, " cache={}", cache.word.label())?;
            if let Some(reason) = cache.reason {
                write!(f, ":{reason}")?;
            }
        }
        match (self.peer, self.client) {
            (Some(peer), Some(client)) if client != peer.ip().to_canonical() => {
                write!(f, " client={client} peer={peer}")?;
            }
            (Some(peer), _) => write!(f, " client={peer}")?,
            (None, _) => {}
        }
        if let Some(server) = self.server {
            write!(f, " server={server}")?;
        }
        if self.tries > 1 {
            write!(f, " tries={}", self.tries)?;
        }
        if let Some(failure) = self.failure {
            write!(f, " failure={failure:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::push::SkipReason;

    #[test]
    fn text_of_a_client_is_one_word() {
        for (written, told) in [
            ("", ""),
            ("/a?b=%20\"c", "/a?b=%20\"c"),
            ("a/ 200 route=admin", "a/%20200%20route=admin"),
            ("/x\r\n\t\u{7f}", "/x%0D%0A%09%7F"),
            ("/é\u{85}", "/%C3%A9%C2%85"),
            ("\u{fffd}", "%EF%BF%BD"),
        ] {
            assert_eq!(Escaped(written).to_string(), told);
        }
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
        };
        let behind_a_proxy = Access {
            client: Some([203, 0, 113, 7].into()),
            ..access
        };
        assert!(
            behind_a_proxy
                .to_string()
                .contains(" client=203.0.113.7 peer=192.0.2.1:40000 server=")
        );
        let access = Access {
            client: Some([192, 0, 2, 1].into()),
            ..behind_a_proxy
        };
        assert_eq!(
            access.to_string(),
            "GET https://shop.example/?q 200 route=pages proto=h2 time=12.3ms bytes=77 promises=2 hints=0 \
             skips=nopush:1 learned=2 missed=1 pushed_by=13 cache=hit client=192.0.2.1:40000 server=10.0.0.1:9000 tries=2 \
             failure=\"upstream: ReadTimedout\""
        );
    }
}
