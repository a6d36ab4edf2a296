//! Decides for each link of a document whether it is pushed, hinted or skipped.
//!
//! Each check is an early return with its [`SkipReason`]; their order decides which reason a link gets. Each reason
//! needs a scene in `tests.rs`.

mod facts;
mod way;

use http::{HeaderMap, HeaderValue, Request, Uri};

pub use facts::{Facts, Http2Facts};
pub use way::early_refusal;

use self::way::{Way, way};
use super::{
    Destination, Nopush, Policy, SkipReason,
    diary::Known,
    hint,
    mention::{MAX_LINKS, Mention, Source},
    recent::UrlKey,
    request::promised_request,
    state::Slot,
    urgency::Urgency,
};
use crate::link::{Document, Link, Need, Relation, ResourceHint, Spelled, Target};

/// One asset to push.
#[derive(Debug, Clone)]
pub struct Promise {
    /// The promised request, complete with scheme and authority.
    pub request: Request<()>,
    /// The `as` of the link; `None` if absent or unknown.
    pub destination: Option<Destination>,
    /// Where the link was found.
    pub source: Source,
    /// The urgency of the pushed body.
    pub urgency: Urgency,
    /// The URL's key in the diary of the connection.
    pub key: UrlKey,
    /// The reserved place among the client's streams; `None` in an explanation.
    pub slot: Option<std::sync::Arc<Slot>>,
}

/// The promises and hints for one document.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Promises, in the order of first mention, which is the order of their PUSH_PROMISE frames.
    pub promises: Vec<Promise>,
    /// Link values of a 103, in order.
    pub hints: Vec<HeaderValue>,
    /// The origin's fields that a 103 carries beside its links.
    pub fields: HeaderMap,
    /// For each hint but preconnects: the URL's key in the diary of the connection, and the index of its mention.
    pub hinted: Vec<(UrlKey, usize)>,
}

impl Plan {
    /// Whether the plan has neither promises nor hints.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.promises.is_empty() && self.hints.is_empty()
    }

    /// Adds the promises and hints of another plan; no hint is repeated. Returns the other plan if the hints of both do
    /// not go into one 103: since their fields differ, and a policy must not reach links that came without it, or since
    /// they are too long together.
    pub fn append(&mut self, other: Self) -> Option<Self> {
        if !self.hints.is_empty() && !other.hints.is_empty() {
            let hints = self.hints.iter().chain(&other.hints);
            if self.fields != other.fields || hints.map(HeaderValue::len).sum::<usize>() > MAX_HINT_BYTES {
                return Some(other);
            }
        } else if !other.hints.is_empty() {
            self.fields = other.fields;
        }
        self.promises.extend(other.promises);
        for hint in other.hints {
            if !self.hints.contains(&hint) {
                self.hints.push(hint);
            }
        }
        self.hinted.extend(other.hinted);
        None
    }
}

/// Plans the links of some fields, in order; where there are too many to deliver all, by [`Need`] first.
///
/// Calls `skipped` for every link that is neither promised nor hinted, with the target as received. Callers need not
/// call `plan` where it would do nothing: for a route that is off, or a header without `Link`.
pub fn plan(
    policy: &Policy,
    facts: &Facts<'_>,
    document: &Document,
    mentions: &[Mention<'_>],
    skipped: &mut dyn FnMut(&[u8], SkipReason),
) -> Plan {
    let way = way(policy, facts);
    let mut planner = Planner {
        policy,
        facts,
        document,
        seen: Vec::new(),
        hinted: Vec::new(),
        hint_bytes: 0,
        plan: Plan::default(),
    };
    for (place, mention) in ordered(mentions, is_crowded(policy, mentions)) {
        let outcome = match &mention.link {
            Err(malformed) => Err((malformed.raw, SkipReason::Malformed)),
            Ok(link) => planner
                .decide(way, (place, mention), link)
                .map_err(|reason| (link.target, reason)),
        };
        if let Err((target, reason)) = outcome {
            skipped(target, reason);
        }
    }
    if mentions.len() > MAX_LINKS {
        skipped(b"", SkipReason::TooManyLinks);
    }
    planner.plan
}

/// Returns whether some of the links cannot be delivered: there are more than the policy allows, or than a 103 carries.
fn is_crowded(policy: &Policy, mentions: &[Mention<'_>]) -> bool {
    let length = |mention: &Mention<'_>| mention.link.as_ref().map_or(0, |link| link.raw.len());
    mentions.len() > policy.max_hints.min(policy.max_promises)
        || mentions.iter().map(length).sum::<usize>() > MAX_HINT_BYTES
}

/// Yields the first [`MAX_LINKS`] mentions with their places, in order; of a crowd, those of the most urgent [`Need`]
/// first.
fn ordered<'m, 'f>(mentions: &'m [Mention<'f>], is_crowded: bool) -> impl Iterator<Item = (usize, &'m Mention<'f>)> {
    let rounds = if is_crowded { &Need::ALL[..] } else { &[Need::Page] };
    let need = move |mention: &Mention<'_>| match &mention.link {
        Ok(link) if is_crowded => Need::of(link),
        _ => Need::Page,
    };
    rounds.iter().flat_map(move |round| {
        let all = mentions.iter().take(MAX_LINKS).enumerate();
        all.filter(move |(_, mention)| need(mention) == *round)
    })
}

/// Largest sum of all links in one 103, in bytes: header limits of browsers and proxies start at 8 KiB.
const MAX_HINT_BYTES: usize = 4096;

struct Planner<'p> {
    policy: &'p Policy,
    facts: &'p Facts<'p>,
    document: &'p Document,
    seen: Vec<UrlKey>,
    hinted: Vec<(Target, Spelled)>,
    hint_bytes: usize,
    plan: Plan,
}

impl Planner<'_> {
    fn decide(&mut self, way: Way, (place, mention): (usize, &Mention<'_>), link: &Link<'_>) -> Result<(), SkipReason> {
        match (way, self.facts.http2) {
            (Way::Push, Some(http2)) => self.push(mention.source, link, &http2),
            (Way::Hint { late }, _) => self.hint((place, mention), link, late),
            (Way::Neither(reason), _) if link.has_relation("preload") || link.has_relation("modulepreload") => {
                Err(reason)
            }
            _ => Err(SkipReason::Relation),
        }
    }

    fn push(&mut self, source: Source, link: &Link<'_>, http2: &Http2Facts<'_>) -> Result<(), SkipReason> {
        let is_module = !link.has_relation("preload");
        if is_module && !link.has_relation("modulepreload") {
            return Err(SkipReason::Relation);
        }
        if link.nopush() && self.policy.nopush == Nopush::Honour {
            return Err(SkipReason::Nopush);
        }
        self.check_anchor(link)?;
        if matches!(source, Source::Learned | Source::Html) && self.facts.returning {
            return Err(SkipReason::Returning);
        }
        // A module without `as` is a script (HTML, "modulepreload").
        let destination = match link.destination() {
            None if is_module => Some(Destination::Script),
            named => named.and_then(Destination::parse),
        };
        if !self.policy.destinations.allow(destination) {
            return Err(SkipReason::Destination);
        }
        let target = self.resolve(link)?;
        let same_origin = self.document.is_same_origin(&target);
        if !same_origin && !self.policy.lists(self.document, &target) {
            return Err(SkipReason::OtherOrigin);
        }
        let authority = if same_origin {
            self.document.authority()
        } else {
            target.authority()
        };
        let key = http2.diary.key(target.scheme(), authority, target.path_and_query());
        if self.seen.contains(&key) {
            return Err(SkipReason::Duplicate);
        }
        match http2.diary.knows(key) {
            Some(Known::Pushed) => return Err(SkipReason::AlreadyPushed),
            Some(Known::Fetched) => return Err(SkipReason::AlreadyFetched),
            None => {}
        }
        if (self.facts.is_bad)(&target) {
            return Err(SkipReason::NotPushable);
        }
        let planned = self.plan.promises.len();
        if self.facts.promised + planned >= self.policy.max_promises {
            return Err(SkipReason::MaxPromises);
        }
        if http2.open_promises + planned >= http2.max_concurrent_streams {
            return Err(SkipReason::ClientStreamLimit);
        }
        let uri = Uri::builder()
            .scheme(target.scheme())
            .authority(authority)
            .path_and_query(target.path_and_query())
            .build()
            .map_err(|_| SkipReason::BadTarget)?;
        self.seen.push(key);
        self.plan.promises.push(Promise {
            request: promised_request(uri, destination, self.facts.request, self.policy.credentials),
            destination,
            source,
            urgency: Urgency::of(destination, link.fetch_priority()),
            key,
            slot: None,
        });
        Ok(())
    }

    fn hint(
        &mut self,
        (place, mention): (usize, &Mention<'_>),
        link: &Link<'_>,
        late: SkipReason,
    ) -> Result<(), SkipReason> {
        let read = ResourceHint::of(link).ok_or(SkipReason::Relation)?;
        if mention.source == Source::Response {
            return Err(late);
        }
        hint::check(&read)?;
        self.check_anchor(link)?;
        let target = self.resolve(link)?;
        if self
            .facts
            .csp
            .is_some_and(|csp| !csp.allows(self.document, &target, &read))
        {
            return Err(SkipReason::Csp);
        }
        if read.relation != Relation::Preconnect && (self.facts.is_not_reusable)(&target) {
            return Err(SkipReason::NotReusable);
        }
        if let Some(reason) = mention.withheld {
            return Err(reason);
        }
        let relation = read.relation;
        let spelled = read.without_anchor().spelled();
        let written = spelled.hint();
        let length = written.len();
        // No URL or token has a byte other than visible ASCII.
        let value = HeaderValue::from_bytes(written)
            .ok()
            .filter(|value| value.to_str().is_ok())
            .ok_or(SkipReason::BadTarget)?;
        let same = |known: &(Target, Spelled)| known.0 == target && known.1.is_alike(&spelled);
        if self.hinted.iter().any(same) || self.was_told(&target, &spelled) {
            return Err(SkipReason::Duplicate);
        }
        if self.facts.hinted + self.plan.hints.len() >= self.policy.max_hints
            || self.hint_bytes + length > MAX_HINT_BYTES
        {
            return Err(SkipReason::MaxHints);
        }
        self.hint_bytes += length;
        self.hinted.push((target.clone(), spelled));
        self.plan.hints.push(value);
        if let Some(http2) = self.facts.http2.filter(|_| relation != Relation::Preconnect) {
            let key = http2
                .diary
                .key(target.scheme(), target.authority(), target.path_and_query());
            self.plan.hinted.push((key, place));
        }
        Ok(())
    }

    /// Returns whether linkpush hinted this link before, in any spelling: see [`Facts::told`].
    fn was_told(&self, target: &Target, link: &Spelled) -> bool {
        self.facts.told.iter().any(|known| {
            let Some(known) = Spelled::read(known.as_bytes()) else {
                return false;
            };
            known.is_alike(link)
                && self
                    .document
                    .resolve(known.target())
                    .is_ok_and(|known| known == *target)
        })
    }

    fn check_anchor(&self, link: &Link<'_>) -> Result<(), SkipReason> {
        match link.anchor() {
            Some(anchor) if !self.document.anchors_here(anchor) => Err(SkipReason::Anchor),
            _ => Ok(()),
        }
    }

    fn resolve(&self, link: &Link<'_>) -> Result<Target, SkipReason> {
        let target = self.document.resolve(link.target).map_err(|_| SkipReason::BadTarget)?;
        if self.document.is_itself(&target) {
            return Err(SkipReason::Itself);
        }
        Ok(target)
    }
}

#[cfg(test)]
mod tests;
