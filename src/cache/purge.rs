//! Names the stored responses to forget, and remembers past purges: a response requested before a purge must not be
//! stored after it.

use std::{collections::VecDeque, fmt};

use http::Uri;

use super::rules::key::{UrlHash, url_text};

/// The stored responses to forget.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purge {
    /// All variants of one URL.
    Url(Box<str>),
    /// All URLs that begin with this text.
    Prefix(Box<str>),
    /// Everything.
    All,
}

/// A text that is no URL of a stored response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an absolute http or https URL without userinfo and fragment, such as https://shop.example/main.css")]
pub struct BadUrl;

impl Purge {
    /// Names the stored responses of one URL.
    ///
    /// # Errors
    ///
    /// The text is no such URL.
    pub fn url(text: &str) -> Result<Self, BadUrl> {
        Ok(Self::Url(normal(text)?.into()))
    }

    /// Names the stored responses of all URLs that begin with this text; an authority without a path names all its
    /// URLs.
    ///
    /// # Errors
    ///
    /// The text is no beginning of such a URL.
    pub fn prefix(text: &str) -> Result<Self, BadUrl> {
        Ok(Self::Prefix(normal(text)?.into()))
    }

    /// Returns whether a URL, as [`url_text`] writes it, is among those to forget.
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

/// Returns a URL as [`url_text`] writes it.
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

/// The counts of purges and changes when a request began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Begun {
    purges: u64,
    slot: u16,
    changes: u32,
}

/// Remembers the last [`RECENT`] purges, and counts the changes of URLs.
///
/// A change concerns one URL, and clients cause as many as they like (RFC 9111 section 4.4). So [`SLOTS`] counters
/// stand for all URLs, picked by a hash that no client can predict. A change stops the storing of responses under way
/// for every URL with the same counter; their next responses are stored.
#[derive(Debug)]
pub(super) struct PurgeLog {
    count: u64,
    recent: VecDeque<Purge>,
    changes: Box<[u32]>,
}

/// Purges that are remembered. A response requested before the oldest of them is not stored, whatever its URL.
const RECENT: usize = 256;

/// Counters of changes: one for each index of 16 bits, 256 KiB in all.
const SLOTS: usize = 1 << 16;

/// Returns the counter of a URL, below [`SLOTS`].
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
    /// Returns the mark of a request for this URL that begins now.
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

    /// Counts a change of a URL.
    pub(super) fn change(&mut self, url: UrlHash) {
        if let Some(changes) = self.changes.get_mut(usize::from(slot(url))) {
            *changes = changes.wrapping_add(1);
        }
    }

    /// Returns whether a URL was, or may have been, purged or changed since a request for it began.
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
    fn a_purge_reaches_the_urls_that_it_names() {
        assert!(Purge::Url(URL.into()).reaches(URL));
        assert!(!Purge::Url("https://shop.example/static/main.css?v=1".into()).reaches(URL));
        assert!(prefix("https://shop.example/static/").reaches(URL));
        assert!(!prefix("http://shop.example/static/").reaches(URL));
        assert!(Purge::All.reaches(URL));
    }

    #[test]
    fn urls_of_purges_are_normalized_like_those_of_requests() {
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
    fn a_purge_reaches_only_requests_that_began_before_it() {
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
    fn a_request_older_than_the_remembered_purges_counts_as_purged() {
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
        // Changes, however many, do not make requests for other URLs count as purged.
        for _ in 0..=RECENT {
            log.change(hash(1));
        }
        assert!(log.reached(after, URL));
        assert!(!log.reached(other, URL));
    }
}
