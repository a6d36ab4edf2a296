//! Decides whether a pushed response may be delivered (rule 10), and remembers the URLs whose response may not.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Instant,
};

use http::{HeaderMap, StatusCode, header};

use super::{Credentials, recent::RecentUrls};

/// Why a pushed response is not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPushable {
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

impl NotPushable {
    /// Returns whether every client would get this response. Other errors may be due to this visitor's request: a field
    /// that is too long, a blocked address, too many requests.
    #[must_use]
    pub fn is_for_everybody(self, credentials: Credentials) -> bool {
        let is_of_url = match self {
            Self::Status(status) => status.is_redirection() || matches!(status.as_u16(), 404 | 405 | 410),
            Self::NoStore | Self::Private | Self::SetCookie | Self::Vary => true,
        };
        is_of_url && credentials == Credentials::Omit
    }
}

/// Checks the final header of a pushed response.
///
/// With credentials the response was made for this client, so `private` and `Vary: Cookie` are accepted. `no-store`,
/// `Set-Cookie` and `Vary: *` never are, since the client could not store the response or match it with its own
/// request.
///
/// # Errors
///
/// The first reason not to deliver the response.
pub fn check_pushable(status: StatusCode, headers: &HeaderMap, credentials: Credentials) -> Result<(), NotPushable> {
    if !status.is_success() {
        return Err(NotPushable::Status(status));
    }
    let omitted = credentials == Credentials::Omit;
    if has_token(headers, &header::CACHE_CONTROL, "no-store") {
        return Err(NotPushable::NoStore);
    }
    if omitted && has_token(headers, &header::CACHE_CONTROL, "private") {
        return Err(NotPushable::Private);
    }
    if headers.contains_key(header::SET_COOKIE) {
        return Err(NotPushable::SetCookie);
    }
    if has_token(headers, &header::VARY, "*") || (omitted && has_token(headers, &header::VARY, "cookie")) {
        return Err(NotPushable::Vary);
    }
    Ok(())
}

/// Returns whether a comma-separated field has a token; `private="set-cookie"` has `private`.
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

/// Which clients get a bad response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// Every client.
    Everybody,
    /// This visitor; other clients may get a good response.
    Visitor(IpAddr),
}

/// Number of visitors that must get a bad response, which may depend on the visitor, before nobody is pushed the URL.
const WITNESSES: usize = 3;

/// URLs whose pushed response could not be delivered, each until a deadline; `max_entries` at most.
#[derive(Debug)]
pub struct Unpushable(RecentUrls<Met>);

/// The clients that got the bad response of one URL.
#[derive(Debug)]
struct Met {
    until: Instant,
    witnesses: Witnesses,
}

/// The clients that got a response of one kind.
#[derive(Debug, Default)]
pub(super) struct Witnesses {
    /// Networks of visitors, [`WITNESSES`] at most.
    visitors: Vec<IpAddr>,
    by_everybody: bool,
}

impl Witnesses {
    /// Adds a witness.
    pub(super) fn add(&mut self, witness: Witness) {
        match witness {
            Witness::Everybody => self.by_everybody = true,
            Witness::Visitor(address) => {
                let network = network(address);
                if self.visitors.len() < WITNESSES && !self.visitors.contains(&network) {
                    self.visitors.push(network);
                }
            }
        }
    }

    /// Returns whether there are enough of them to speak for everybody.
    pub(super) fn count(&self) -> bool {
        self.by_everybody || self.visitors.len() >= WITNESSES
    }
}

impl Met {
    fn counts(&self, now: Instant) -> bool {
        now < self.until && self.witnesses.count()
    }
}

/// Returns the network whose addresses one visitor may use freely: the address itself in IPv4, the /64 in IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

impl Unpushable {
    /// Makes an empty memory of at most `max_entries` URLs.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self(RecentUrls::new(max_entries))
    }

    /// Remembers at `now`, until `until`, that a witness got a bad response for a URL, given as scheme, authority and path
    /// with query.
    pub fn record(&mut self, url: (&str, &str, &str), witness: Witness, now: Instant, until: Instant) {
        let key = self.0.key(url);
        let new = || Met {
            until,
            witnesses: Witnesses::default(),
        };
        let Some(met) = self.0.entry(key, new) else { return };
        if now >= met.until {
            met.witnesses = Witnesses::default();
        }
        met.until = until;
        met.witnesses.add(witness);
    }

    /// Returns whether a URL should not be promised at `now`.
    #[must_use]
    pub fn contains(&self, scheme: &str, authority: &str, path_and_query: &str, now: Instant) -> bool {
        let met = || self.0.get(self.0.key((scheme, authority, path_and_query)));
        !self.0.is_empty() && met().is_some_and(|met| met.counts(now))
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
    ) -> Result<(), NotPushable> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, http::HeaderValue::from_static(value));
        }
        check_pushable(StatusCode::from_u16(status).expect("a status"), &headers, credentials)
    }

    #[test]
    fn only_a_response_that_every_client_may_get_is_delivered() {
        use Credentials::{Include, Omit};
        let status = |s| Err(NotPushable::Status(StatusCode::from_u16(s).expect("a status")));
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
            Err(NotPushable::Private)
        );
        assert_eq!(
            judged(200, &[(header::CACHE_CONTROL, "private=\"x\"")], Omit),
            Err(NotPushable::Private)
        );
        assert_eq!(judged(200, &[(header::CACHE_CONTROL, "private")], Include), Ok(()));
        assert_eq!(
            judged(200, &[(header::CACHE_CONTROL, "no-store")], Include),
            Err(NotPushable::NoStore)
        );
        assert_eq!(
            judged(200, &[(header::SET_COOKIE, "a=b")], Omit),
            Err(NotPushable::SetCookie)
        );
        assert_eq!(
            judged(200, &[(header::VARY, "Accept"), (header::VARY, "x, Cookie")], Omit),
            Err(NotPushable::Vary)
        );
        assert_eq!(judged(200, &[(header::VARY, "Cookie")], Include), Ok(()));
        assert_eq!(judged(200, &[(header::VARY, "*")], Include), Err(NotPushable::Vary));
    }

    #[test]
    fn a_bad_response_is_remembered_until_its_deadline() {
        let now = Instant::now();
        let mut bad = Unpushable::new(2);
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
    fn three_visitors_must_get_a_bad_response_before_nobody_is_pushed_it() {
        let now = Instant::now();
        let until = now + Duration::from_secs(60);
        let mut bad = Unpushable::new(2);
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
    fn a_response_that_may_depend_on_the_visitor_is_not_for_everybody() {
        use Credentials::{Include, Omit};
        let status = |status| NotPushable::Status(StatusCode::from_u16(status).expect("a status"));
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
            (NotPushable::NoStore, true),
            (NotPushable::SetCookie, true),
        ] {
            assert_eq!(bad.is_for_everybody(Omit), is, "{bad}");
            assert!(!bad.is_for_everybody(Include), "{bad}: its request had credentials");
        }
    }

    #[test]
    fn the_memory_is_bounded() {
        let now = Instant::now();
        let mut bad = Unpushable::new(2);
        for path in ["/1", "/2", "/2", "/3"] {
            bad.record(
                ("http", "h", path),
                Witness::Everybody,
                now,
                now + Duration::from_secs(1),
            );
        }
        assert_eq!(bad.0.len(), 2);
        assert!(!bad.contains("http", "h", "/1", now));
    }
}
