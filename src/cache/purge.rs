//! What is to be forgotten, and the memory of it: an answer that was asked for before a purge must not
//! be kept after it.

use std::collections::VecDeque;

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

impl Purge {
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

/// How many purges there were when a request began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Begun(u64);

/// The last purges.
#[derive(Debug, Default)]
pub(super) struct PurgeLog {
    count: u64,
    recent: VecDeque<Purge>,
}

/// Purges that are told apart. Whatever was begun before the oldest of them is not kept at all.
const RECENT: usize = 256;

impl PurgeLog {
    /// The mark of a request that begins now.
    pub(super) const fn begin(&self) -> Begun {
        Begun(self.count)
    }

    pub(super) fn add(&mut self, purge: Purge) {
        self.count += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(purge);
    }

    /// Whether a URL was purged since a request for it began.
    pub(super) fn reached(&self, begun: Begun, url: &str) -> bool {
        let since = usize::try_from(self.count - begun.0.min(self.count)).unwrap_or(usize::MAX);
        since > self.recent.len() || self.recent.iter().rev().take(since).any(|purge| purge.reaches(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://shop.example/static/main.css";

    fn prefix(text: &str) -> Purge {
        Purge::Prefix(text.into())
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
    fn only_what_began_before_is_reached() {
        let mut log = PurgeLog::default();
        let before = log.begin();
        assert!(!log.reached(before, URL));
        log.add(prefix("https://shop.example/static/"));
        let after = log.begin();
        assert!(log.reached(before, URL));
        assert!(!log.reached(before, "https://shop.example/"));
        assert!(!log.reached(after, URL));
    }

    #[test]
    fn what_is_too_long_ago_to_tell_is_reached() {
        let mut log = PurgeLog::default();
        let before = log.begin();
        for _ in 0..RECENT {
            log.add(prefix("https://other.example/"));
        }
        assert!(!log.reached(before, URL));
        log.add(prefix("https://other.example/"));
        assert!(log.reached(before, URL));
        assert!(!log.reached(log.begin(), URL));
    }
}
