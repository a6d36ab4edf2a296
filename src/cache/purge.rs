//! What is to be forgotten, and the memory of it: an answer that was asked for before a purge must not
//! be kept after it.

use std::{collections::VecDeque, fmt};

use http::Uri;

use super::key::{UrlHash, url_text};

/// What to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// The answers of one URL, all variants of it.
    Url(Box<str>),
    /// Those of all URLs that begin like this.
    Prefix(Box<str>),
    /// Everything.
    All,
}

/// Why a text names no URL whose answers could be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an absolute http or https URL without userinfo and fragment, such as https://shop.example/main.css")]
pub struct BadUrl;

impl Purge {
    /// The answers of this URL.
    ///
    /// # Errors
    ///
    /// It is no URL.
    pub fn url(text: &str) -> Result<Self, BadUrl> {
        Ok(Self::Url(normal(text)?.into()))
    }

    /// The answers of all URLs that begin like this; an authority without a path is all of that.
    ///
    /// # Errors
    ///
    /// It does not begin like a URL.
    pub fn prefix(text: &str) -> Result<Self, BadUrl> {
        Ok(Self::Prefix(normal(text)?.into()))
    }

    /// Whether a URL is meant, given as [`url_text`](super::url_text) writes it.
    #[must_use]
    pub fn reaches(&self, url: &str) -> bool {
        match self {
            Self::Url(one) => **one == *url,
            Self::Prefix(prefix) => url.starts_with(&**prefix),
            Self::All => true,
        }
    }
}

impl fmt::Display for Purge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => f.write_str(url),
            Self::Prefix(prefix) => write!(f, "{prefix}..."),
            Self::All => f.write_str("everything"),
        }
    }
}

/// A URL as it is kept.
fn normal(text: &str) -> Result<String, BadUrl> {
    let uri: Uri = text.parse().map_err(|_| BadUrl)?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let (Some(scheme), Some(authority)) = (scheme, authority) else {
        return Err(BadUrl);
    };
    if text.contains('#') {
        return Err(BadUrl);
    }
    let path_and_query = uri.path_and_query().map_or("/", |path| path.as_str());
    Ok(url_text(scheme, authority.as_str(), path_and_query))
}

/// What had been purged and changed when a request began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Begun {
    purges: u64,
    slot: u16,
    changes: u32,
}

/// The last purges, and how often URLs were changed.
///
/// A change is one URL, and as frequent as clients make it: it is counted in one of [`SLOTS`] places that share all URLs
/// between them, by a hash that nobody outside can tell. A request for a URL of the same place is taken for one of
/// the URL that was changed: its answer is not kept, and the next one is.
#[derive(Debug)]
pub(super) struct PurgeLog {
    count: u64,
    recent: VecDeque<Purge>,
    changes: Box<[u32]>,
}

/// Purges that are told apart. Whatever was begun before the oldest of them is not kept at all.
const RECENT: usize = 256;

/// As many as an index of 16 bits has: 256 KiB.
const SLOTS: usize = 1 << 16;

/// Picks one of [`SLOTS`] for a URL.
const fn slot(url: UrlHash) -> u16 {
    let [.., high, low] = url.to_bytes();
    u16::from_be_bytes([high, low])
}

impl Default for PurgeLog {
    fn default() -> Self {
        Self {
            count: 0,
            recent: VecDeque::new(),
            changes: vec![0; SLOTS].into(),
        }
    }
}

impl PurgeLog {
    /// The mark of a request for this URL that begins now.
    pub(super) fn begin(&self, url: UrlHash) -> Begun {
        let slot = slot(url);
        Begun {
            purges: self.count,
            slot,
            changes: self.changes_in(slot),
        }
    }

    pub(super) fn add(&mut self, purge: Purge) {
        self.count += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(purge);
    }

    /// A URL was changed.
    pub(super) fn change(&mut self, url: UrlHash) {
        if let Some(changes) = self.changes.get_mut(usize::from(slot(url))) {
            *changes = changes.wrapping_add(1);
        }
    }

    /// Whether a URL was purged or changed since a request for it began.
    pub(super) fn reached(&self, begun: Begun, url: &str) -> bool {
        if self.changes_in(begun.slot) != begun.changes {
            return true;
        }
        let since = usize::try_from(self.count - begun.purges.min(self.count)).unwrap_or(usize::MAX);
        since > self.recent.len() || self.recent.iter().rev().take(since).any(|purge| purge.reaches(url))
    }

    fn changes_in(&self, slot: u16) -> u32 {
        self.changes.get(usize::from(slot)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://shop.example/static/main.css";

    fn prefix(text: &str) -> Purge {
        Purge::Prefix(text.into())
    }

    fn hash(slot: u8) -> UrlHash {
        UrlHash::from_bytes([slot; 16])
    }

    #[test]
    fn a_purge_reaches_what_it_names() {
        assert!(Purge::Url(URL.into()).reaches(URL));
        assert!(!Purge::Url("https://shop.example/static/main.css?v=1".into()).reaches(URL));
        assert!(prefix("https://shop.example/static/").reaches(URL));
        assert!(!prefix("http://shop.example/static/").reaches(URL));
        assert!(Purge::All.reaches(URL));
    }

    #[test]
    fn urls_are_read_as_requests_name_them() {
        let url = |text: &str| Purge::url(text).map(|purge| purge.to_string());
        assert_eq!(
            url("HTTPS://Shop.Example:443/A?b").as_deref(),
            Ok("https://shop.example/A?b")
        );
        assert_eq!(url("http://[::1]:8080").as_deref(), Ok("http://[::1]:8080/"));
        let all = Purge::prefix("https://shop.example").map(|purge| purge.to_string());
        assert_eq!(all.as_deref(), Ok("https://shop.example/..."));
        for bad in [
            "",
            "/a",
            "shop.example/a",
            "ftp://a/",
            "https://u@a/",
            "https:///a",
            "https://a/#b",
            "https://a/ b",
        ] {
            assert_eq!(url(bad), Err(BadUrl), "{bad}");
        }
    }

    #[test]
    fn only_what_began_before_is_reached() {
        let mut log = PurgeLog::default();
        let before = log.begin(hash(1));
        assert!(!log.reached(before, URL));
        log.add(prefix("https://shop.example/static/"));
        let after = log.begin(hash(1));
        assert!(log.reached(before, URL));
        assert!(!log.reached(before, "https://shop.example/"));
        assert!(!log.reached(after, URL));
    }

    #[test]
    fn what_is_too_long_ago_to_tell_is_reached() {
        let mut log = PurgeLog::default();
        let before = log.begin(hash(1));
        for _ in 0..RECENT {
            log.add(prefix("https://other.example/"));
        }
        assert!(!log.reached(before, URL));
        log.add(prefix("https://other.example/"));
        assert!(log.reached(before, URL));
        assert!(!log.reached(log.begin(hash(1)), URL));
    }

    #[test]
    fn a_change_reaches_requests_for_its_url_that_began_before() {
        let mut log = PurgeLog::default();
        let (before, other) = (log.begin(hash(1)), log.begin(hash(2)));
        log.change(hash(1));
        let after = log.begin(hash(1));
        assert!(log.reached(before, URL));
        assert!(!log.reached(other, URL));
        assert!(!log.reached(after, URL));
        // However many changes there are, requests for other URLs are not taken for older than can be told.
        for _ in 0..=RECENT {
            log.change(hash(1));
        }
        assert!(log.reached(after, URL));
        assert!(!log.reached(other, URL));
    }
}
