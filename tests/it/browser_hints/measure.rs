//! A page in a browser, with hints and without: which assets came early, how often each was fetched, how long it took.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    pages::Pages,
    site::{Sites, Spec, THINK, Zone, location},
};

/// The visits of one page.
#[derive(Debug)]
pub struct Measured {
    /// The load with `push: off`.
    pub off: Visit,
    /// Loads with hints: as many as it took until all hints were used and the page was no slower.
    pub on: Vec<Visit>,
}

/// One visit with an empty profile.
#[derive(Debug)]
pub struct Visit {
    pub time: Duration,
    /// How often the origin was asked for each asset, by URL without scheme.
    pub fetched: BTreeMap<String, usize>,
    /// Assets that were asked for while the origin thought about the page.
    pub early: BTreeSet<String>,
}

/// How much slower a page may be than without hints: a busy machine is no bug, and Firefox's wait for a policy is 5 s.
const NOISE: Duration = Duration::from_millis(400);

/// Visits with hints at most: Chromium drops a 103 now and then, of other servers too.
const TRIES: usize = 8;

impl Visit {
    /// Loads a page in a new profile.
    pub async fn of(pages: &Pages, sites: &Sites, spec: &Spec, zone: Zone) -> Self {
        let before = sites.seen(spec, zone).len();
        let time = pages.load(&spec.url(zone)).await;
        let seen = sites.seen(spec, zone).split_off(before);
        let document = format!("{}{}", spec.host(zone), spec.path());
        let asked = seen.iter().find(|seen| location(seen) == document);
        let answered = asked.expect("a request for the page").at + THINK;
        let mut visit = Self {
            time,
            fetched: BTreeMap::new(),
            early: BTreeSet::new(),
        };
        for seen in seen {
            let url = location(&seen);
            if seen.at < answered && url != document {
                visit.early.insert(url.clone());
            }
            *visit.fetched.entry(url).or_default() += 1;
        }
        visit
    }
}

impl Measured {
    /// Visits a page without hints, then with them until a browser has used all of these; `hinted` are URLs without
    /// scheme.
    pub async fn of(pages: &Pages, sites: &Sites, spec: &Spec, zone: Zone, hinted: &BTreeSet<String>) -> Self {
        let off = Visit::of(pages, sites, spec, Zone::Off).await;
        let mut measured = Self { off, on: Vec::new() };
        while measured.on.len() < TRIES {
            measured.on.push(Visit::of(pages, sites, spec, zone).await);
            if measured.is_used(hinted) && !measured.is_slower() {
                break;
            }
        }
        measured
    }

    fn is_used(&self, hinted: &BTreeSet<String>) -> bool {
        self.on.iter().any(|visit| hinted.is_subset(&visit.early))
    }

    fn is_slower(&self) -> bool {
        let quickest = self.on.iter().map(|visit| visit.time).min();
        quickest.is_some_and(|time| time > self.off.time + NOISE)
    }

    /// Tells what is wrong: a hint that was not used, an asset that was fetched early without one, an asset fetched
    /// twice or not at all, a slower page.
    pub fn judge(&self, hinted: &BTreeSet<String>) -> Result<(), String> {
        if !self.is_used(hinted) {
            return Err(format!("not used: {self:?}"));
        }
        for visit in self.on.iter().chain([&self.off]) {
            if !visit.early.is_subset(hinted) {
                return Err(format!("early though not hinted: {visit:?}"));
            }
            if let Some((url, count)) = visit.fetched.iter().find(|(_, count)| **count > 1) {
                return Err(format!("{url} was fetched {count} times: {self:?}"));
            }
        }
        for visit in &self.on {
            if let Some(url) = hinted.iter().find(|url| !visit.fetched.contains_key(*url)) {
                return Err(format!("{url} was not fetched: {visit:?}"));
            }
        }
        if self.is_slower() {
            return Err(format!("slower: {self:?}"));
        }
        Ok(())
    }
}
