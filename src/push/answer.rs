//! Whether a pushed answer may be delivered (rule 10), and for how long a bad one is remembered.

use std::{
    collections::{HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr},
    time::Instant,
};

use http::{HeaderMap, StatusCode, header};

use super::{Credentials, diary::UrlKey};
use crate::url_hash::UrlHasher;

/// Why a pushed answer is not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// A redirect or an error.
    #[error("status {0}")]
    Status(StatusCode),
    /// `Cache-Control: no-store`.
    #[error("cache-control: no-store")]
    NoStore,
    /// `Cache-Control: private`, and the request carried no credentials.
    #[error("cache-control: private")]
    Private,
    /// `Set-Cookie`.
    #[error("set-cookie")]
    SetCookie,
    /// `Vary: *`, or `Vary: Cookie` where the request carried no credentials.
    #[error("vary")]
    Vary,
}

impl BadAnswer {
    /// Whether the answer is bad whoever asks. The other statuses may be for what this visitor's request has in it: a field that
    /// is too long, an address that is shut out, too many requests.
    #[must_use]
    pub fn is_for_everybody(self, credentials: Credentials) -> bool {
        let is_of_url = match self {
            Self::Status(status) => status.is_redirection() || matches!(status.as_u16(), 404 | 405 | 410),
            Self::NoStore | Self::Private | Self::SetCookie | Self::Vary => true,
        };
        is_of_url && credentials == Credentials::Omit
    }
}

/// Looks at the final header of a pushed answer.
///
/// With credentials the answer was made for this very client, so `private` and `Vary: Cookie` are
/// fine then; `no-store`, `Set-Cookie` and `Vary: *` never are, since the client could not match or
/// keep such an answer without asking itself.
///
/// # Errors
///
/// The first reason not to deliver it.
pub fn judge(status: StatusCode, headers: &HeaderMap, credentials: Credentials) -> Result<(), BadAnswer> {
    if !status.is_success() {
        return Err(BadAnswer::Status(status));
    }
    let omitted = credentials == Credentials::Omit;
    if has_token(headers, &header::CACHE_CONTROL, "no-store") {
        return Err(BadAnswer::NoStore);
    }
    if omitted && has_token(headers, &header::CACHE_CONTROL, "private") {
        return Err(BadAnswer::Private);
    }
    if headers.contains_key(header::SET_COOKIE) {
        return Err(BadAnswer::SetCookie);
    }
    if has_token(headers, &header::VARY, "*") || (omitted && has_token(headers, &header::VARY, "cookie")) {
        return Err(BadAnswer::Vary);
    }
    Ok(())
}

/// Whether a comma-separated field names a token; `private="set-cookie"` names `private`.
fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .any(|item| {
            let word = item.split(|&b| b == b'=').next().unwrap_or_default();
            word.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
        })
}

/// Who met a bad answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// Whoever asks gets it.
    Everybody,
    /// This visitor; nobody knows of others.
    Visitor(IpAddr),
}

/// So many visitors have to meet a bad answer that may be one visitor's before nobody is pushed it.
const WITNESSES: usize = 3;

/// URLs whose pushed answer could not be used, each until its time is over; bounded.
#[derive(Debug)]
pub struct BadAnswers {
    hasher: UrlHasher,
    entries: HashMap<UrlKey, Met>,
    order: VecDeque<UrlKey>,
    max_entries: usize,
}

/// Who met the bad answer of a URL.
#[derive(Debug)]
struct Met {
    until: Instant,
    /// Networks of visitors.
    visitors: Vec<IpAddr>,
    by_everybody: bool,
}

impl Met {
    fn counts(&self, now: Instant) -> bool {
        now < self.until && (self.by_everybody || self.visitors.len() >= WITNESSES)
    }
}

/// The network that one visitor may have addresses of at will.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

impl BadAnswers {
    /// An empty memory of at most `max_entries` URLs.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self {
            hasher: UrlHasher::random(),
            entries: HashMap::new(),
            order: VecDeque::new(),
            max_entries,
        }
    }

    /// Remembers at `now` who met the bad answer of a URL, until `until`.
    pub fn record(
        &mut self,
        (scheme, authority, path_and_query): (&str, &str, &str),
        witness: Witness,
        now: Instant,
        until: Instant,
    ) {
        let key = UrlKey::of(&self.hasher, scheme, authority, path_and_query);
        let met = self.entries.entry(key).or_insert_with(|| {
            self.order.push_back(key);
            Met {
                until,
                visitors: Vec::new(),
                by_everybody: false,
            }
        });
        if now >= met.until {
            met.visitors.clear();
            met.by_everybody = false;
        }
        met.until = until;
        match witness {
            Witness::Everybody => met.by_everybody = true,
            Witness::Visitor(address) => {
                let network = network(address);
                if met.visitors.len() < WITNESSES && !met.visitors.contains(&network) {
                    met.visitors.push(network);
                }
            }
        }
        while self.order.len() > self.max_entries {
            if let Some(oldest) = self.order.pop_front() {
                self.entries.remove(&oldest);
            }
        }
    }

    /// Whether a URL should not be promised at `now`.
    #[must_use]
    pub fn contains(&self, scheme: &str, authority: &str, path_and_query: &str, now: Instant) -> bool {
        !self.entries.is_empty()
            && self
                .entries
                .get(&UrlKey::of(&self.hasher, scheme, authority, path_and_query))
                .is_some_and(|met| met.counts(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn judged(
        status: u16,
        fields: &[(header::HeaderName, &'static str)],
        credentials: Credentials,
    ) -> Result<(), BadAnswer> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, http::HeaderValue::from_static(value));
        }
        judge(StatusCode::from_u16(status).expect("a status"), &headers, credentials)
    }

    #[test]
    fn only_what_every_client_may_get_is_delivered() {
        use Credentials::{Include, Omit};
        let status = |s| Err(BadAnswer::Status(StatusCode::from_u16(s).expect("a status")));
        assert_eq!(
            judged(200, &[(header::CACHE_CONTROL, "public, max-age=60")], Omit),
            Ok(())
        );
        assert_eq!(judged(204, &[(header::VARY, "accept-encoding")], Omit), Ok(()));
        for bad in [301, 304, 404, 500] {
            assert_eq!(judged(bad, &[], Omit), status(bad));
        }
        assert_eq!(
            judged(200, &[(header::CACHE_CONTROL, "max-age=0, Private")], Omit),
            Err(BadAnswer::Private)
        );
        assert_eq!(
            judged(200, &[(header::CACHE_CONTROL, "private=\"x\"")], Omit),
            Err(BadAnswer::Private)
        );
        assert_eq!(judged(200, &[(header::CACHE_CONTROL, "private")], Include), Ok(()));
        assert_eq!(
            judged(200, &[(header::CACHE_CONTROL, "no-store")], Include),
            Err(BadAnswer::NoStore)
        );
        assert_eq!(
            judged(200, &[(header::SET_COOKIE, "a=b")], Omit),
            Err(BadAnswer::SetCookie)
        );
        assert_eq!(
            judged(200, &[(header::VARY, "Accept"), (header::VARY, "x, Cookie")], Omit),
            Err(BadAnswer::Vary)
        );
        assert_eq!(judged(200, &[(header::VARY, "Cookie")], Include), Ok(()));
        assert_eq!(judged(200, &[(header::VARY, "*")], Include), Err(BadAnswer::Vary));
    }

    #[test]
    fn a_bad_answer_is_remembered_for_its_time_only() {
        let now = Instant::now();
        let mut bad = BadAnswers::new(2);
        bad.record(
            ("http", "h", "/1"),
            Witness::Everybody,
            now,
            now + Duration::from_secs(1),
        );
        assert!(bad.contains("http", "h", "/1", now));
        assert!(!bad.contains("http", "h", "/1", now + Duration::from_secs(1)));
        assert!(!bad.contains("http", "h", "/2", now));
    }

    #[test]
    fn one_visitor_changes_nothing_for_others() {
        let now = Instant::now();
        let until = now + Duration::from_secs(60);
        let mut bad = BadAnswers::new(2);
        let mut met = |address: &str, at: Instant| {
            let witness = Witness::Visitor(address.parse().expect("an address"));
            bad.record(("http", "h", "/1"), witness, at, at + Duration::from_secs(60));
            bad.contains("http", "h", "/1", at)
        };
        for address in [
            "192.0.2.1",
            "192.0.2.1",
            "::ffff:192.0.2.1",
            "2001:db8::1",
            "2001:db8::2",
            "2001:db8::3",
        ] {
            assert!(!met(address, now), "{address}: two visitors, however often");
        }
        assert!(met("192.0.2.2", now), "three");
        assert!(!met("192.0.2.1", until + Duration::from_secs(1)), "it is over");
    }

    #[test]
    fn what_may_be_a_visitor_s_own_is_not_everybody_s() {
        use Credentials::{Include, Omit};
        let status = |status| BadAnswer::Status(StatusCode::from_u16(status).expect("a status"));
        for (bad, is) in [
            (status(301), true),
            (status(302), true),
            (status(404), true),
            (status(410), true),
            (status(400), false),
            (status(401), false),
            (status(403), false),
            (status(413), false),
            (status(429), false),
            (status(431), false),
            (status(500), false),
            (status(503), false),
            (BadAnswer::NoStore, true),
            (BadAnswer::SetCookie, true),
        ] {
            assert_eq!(bad.is_for_everybody(Omit), is, "{bad}");
            assert!(!bad.is_for_everybody(Include), "{bad}: its request had credentials");
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let now = Instant::now();
        let mut bad = BadAnswers::new(2);
        for path in ["/1", "/2", "/2", "/3"] {
            bad.record(
                ("http", "h", path),
                Witness::Everybody,
                now,
                now + Duration::from_secs(1),
            );
        }
        assert_eq!((bad.entries.len(), bad.order.len()), (2, 2));
        assert!(!bad.contains("http", "h", "/1", now));
    }
}
