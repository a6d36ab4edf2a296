//! Whether a pushed answer may be delivered (rule 10), and for how long a bad one is remembered.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use http::{HeaderMap, StatusCode, header};

use super::{
    Credentials,
    diary::{UrlHasher, UrlKey},
};

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

/// URLs whose pushed answer could not be used, each until its time is over; bounded.
#[derive(Debug)]
pub struct BadAnswers {
    hasher: UrlHasher,
    until: HashMap<UrlKey, Instant>,
    order: VecDeque<UrlKey>,
    max_entries: usize,
}

impl BadAnswers {
    /// An empty memory of at most `max_entries` URLs.
    #[must_use]
    pub fn new(max_entries: usize) -> Self {
        Self {
            hasher: UrlHasher::default(),
            until: HashMap::new(),
            order: VecDeque::new(),
            max_entries,
        }
    }

    /// Remembers a URL until `until`.
    pub fn record(&mut self, scheme: &str, authority: &str, path_and_query: &str, until: Instant) {
        let key = self.hasher.key(scheme, authority, path_and_query);
        if self.until.insert(key, until).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > self.max_entries {
            if let Some(oldest) = self.order.pop_front() {
                self.until.remove(&oldest);
            }
        }
    }

    /// Whether a URL should not be promised at `now`.
    #[must_use]
    pub fn contains(&self, scheme: &str, authority: &str, path_and_query: &str, now: Instant) -> bool {
        !self.until.is_empty()
            && self
                .until
                .get(&self.hasher.key(scheme, authority, path_and_query))
                .is_some_and(|&until| now < until)
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
        bad.record("http", "h", "/1", now + Duration::from_secs(1));
        assert!(bad.contains("http", "h", "/1", now));
        assert!(!bad.contains("http", "h", "/1", now + Duration::from_secs(1)));
        assert!(!bad.contains("http", "h", "/2", now));
    }

    #[test]
    fn the_memory_is_bounded() {
        let now = Instant::now();
        let mut bad = BadAnswers::new(2);
        for path in ["/1", "/2", "/2", "/3"] {
            bad.record("http", "h", path, now + Duration::from_secs(1));
        }
        assert_eq!((bad.until.len(), bad.order.len()), (2, 2));
        assert!(!bad.contains("http", "h", "/1", now));
    }
}
