//! Finds the query parameters on which the links of a document's responses depend, where the route's `key` leaves them
//! out: `/?p=1`, `index.php?title=Main`.
//!
//! A parameter divides the documents if two of its values come with different links, each value with the same ones
//! again and again, and in turn, so that the change of a page over time does not look alike. A parameter of which
//! values get the same links (`utm_source`), or one value gets different ones, does not.
//!
//! One visitor decides nothing: a network counts once in a row. An invented parameter changes no link, so it divides
//! nothing. Memory is bounded, and none is taken before two responses to different queries had different links.

use crate::learn::{KeyHasher, key::name_of};

/// The evidence of one document.
#[derive(Debug, Clone, Default)]
pub(super) struct QueryEvidence {
    /// Hashes of the query and of the links of the last response to a request with a query.
    last: Option<(u64, u64)>,
    /// The network that got the last response that counted.
    network: u64,
    parameters: Option<Box<[Option<WatchedParameter>; MAX_PARAMETERS]>>,
    /// Number of responses that counted.
    seen: u32,
}

/// The evidence about one query parameter.
#[derive(Debug, Clone)]
struct WatchedParameter {
    name: Box<str>,
    /// Goes up with each response to a request that has the parameter, and down for each other parameter that finds no
    /// place.
    weight: u32,
    /// Responses whose links were those of the last response to this value, and whose were not.
    agreed: u32,
    differed: u32,
    values: Vec<WatchedValue>,
}

#[derive(Debug, Clone, Copy)]
struct WatchedValue {
    value: u64,
    links: u64,
    /// Number of responses in a row with these links.
    row: u32,
    /// Numbers of the first and the last of these.
    first: u32,
    last: u32,
}

/// Parameters that are watched at a time, and the longest name.
const MAX_PARAMETERS: usize = 8;
const MAX_NAME: usize = 32;

/// Values of a parameter that are watched at a time.
const MAX_VALUES: usize = 16;

/// Pairs of one query that are looked at.
const MAX_PAIRS: usize = 16;

/// Responses in a row by which a value is sure to have these links.
const SURE: u32 = 3;

/// Responses that agreed before a parameter divides, and how many of these make up for one that differed. Two designs
/// that are drawn by chance agree in half of the responses.
const MIN_AGREED: u32 = 8;
const AGREED_FOR_ONE: u32 = 8;

/// Number at which older responses count half.
const MAX_COUNTED: u32 = 64;

impl QueryEvidence {
    /// Notes a response with these links to a request with these pairs in its query; returns the parameter that turns
    /// out to divide the documents, if one does.
    pub(super) fn note<'q>(
        &mut self,
        pairs: impl Iterator<Item = &'q str> + Clone,
        links: u64,
        network: u64,
        hasher: &KeyHasher,
    ) -> Option<Box<str>> {
        if self.seen > 0 && self.network == network {
            return None;
        }
        let query = pairs
            .clone()
            .fold(0, |sum: u64, pair| sum.wrapping_add(hasher.mark(PAIR, pair.as_bytes())));
        let last = self.last.replace((query, links));
        self.network = network;
        self.seen = self.seen.saturating_add(1);
        if self.parameters.is_none() {
            let differs = last.is_some_and(|(other, before)| other != query && before != links);
            if !differs {
                return None;
            }
            self.parameters = Some(Box::default());
        }
        let parameters = self.parameters.as_deref_mut()?;
        let mut may_displace = true;
        for pair in pairs.take(MAX_PAIRS) {
            let name = name_of(pair);
            if name.len() > MAX_NAME || !is_name(&name) {
                continue;
            }
            let value = hasher.mark(PAIR, pair.as_bytes());
            if let Some(parameter) = slot(parameters, &name, &mut may_displace) {
                parameter.note(value, links, self.seen);
            }
        }
        let dividing = parameters.iter().flatten().filter(|parameter| parameter.divides());
        let name = dividing.max_by_key(|parameter| parameter.agreed)?.name.clone();
        *self = Self::default();
        Some(name)
    }

    /// Whether there is evidence of a parameter.
    pub(super) const fn has_any(&self) -> bool {
        self.parameters.is_some()
    }

    /// Memory in bytes.
    pub(super) fn size(&self) -> usize {
        let most = size_of::<WatchedParameter>() + MAX_NAME + MAX_VALUES * size_of::<WatchedValue>();
        self.parameters.as_ref().map_or(0, |_| MAX_PARAMETERS * most)
    }
}

/// Returns whether a configuration could have this name, and a log could show it.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

/// Returns the place of a parameter. Of one response, one new parameter at most displaces others: an invented one has to
/// come more often than those that it displaces.
fn slot<'p>(
    parameters: &'p mut [Option<WatchedParameter>; MAX_PARAMETERS],
    name: &str,
    may_displace: &mut bool,
) -> Option<&'p mut WatchedParameter> {
    let known =
        |parameter: &Option<WatchedParameter>| parameter.as_ref().is_some_and(|parameter| *parameter.name == *name);
    if let Some(at) = parameters.iter().position(known) {
        let parameter = parameters.get_mut(at)?.as_mut()?;
        parameter.weight = parameter.weight.saturating_add(1);
        return Some(parameter);
    }
    if !parameters.iter().any(Option::is_none) {
        if !*may_displace {
            return None;
        }
        *may_displace = false;
        for place in parameters.iter_mut() {
            if let Some(parameter) = place {
                parameter.weight -= 1;
                if parameter.weight == 0 {
                    *place = None;
                }
            }
        }
    }
    let free = parameters.iter_mut().find(|place| place.is_none())?;
    Some(free.insert(WatchedParameter {
        name: name.into(),
        weight: 1,
        agreed: 0,
        differed: 0,
        values: Vec::new(),
    }))
}

impl WatchedParameter {
    fn note(&mut self, value: u64, links: u64, now: u32) {
        let new = WatchedValue {
            value,
            links,
            row: 1,
            first: now,
            last: now,
        };
        let Some(known) = self.values.iter_mut().find(|known| known.value == value) else {
            if self.values.len() < MAX_VALUES {
                self.values.push(new);
            } else if let Some(oldest) = self.values.iter_mut().min_by_key(|value| value.last) {
                *oldest = new;
            }
            return;
        };
        if known.links == links {
            known.row += 1;
            known.last = now;
            self.agreed += 1;
        } else {
            *known = new;
            self.differed += 1;
        }
        if self.agreed + self.differed >= MAX_COUNTED {
            self.agreed /= 2;
            self.differed /= 2;
        }
    }

    fn divides(&self) -> bool {
        if self.agreed < MIN_AGREED || self.agreed < AGREED_FOR_ONE * self.differed {
            return false;
        }
        let sure = || self.values.iter().filter(|value| value.row >= SURE);
        // Both had their links before and after the other.
        let are_in_turn = |a: &WatchedValue, b: &WatchedValue| a.first < b.last && b.first < a.last;
        sure().any(|a| sure().any(|b| a.links != b.links && are_in_turn(a, b)))
    }
}

/// Kinds of marks.
const PAIR: u8 = 16;
pub(super) const LINK: u8 = 17;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASHER: KeyHasher = KeyHasher::new((1, 2));

    /// Observes responses to queries, each of another network, and returns the first parameter that divides.
    fn found(responses: &[(&str, u64)]) -> Option<String> {
        let mut evidence = QueryEvidence::default();
        let mut responses = responses.iter().zip(1..);
        responses.find_map(|((query, links), network)| note(&mut evidence, query, *links, network))
    }

    fn note(evidence: &mut QueryEvidence, query: &str, links: u64, network: u64) -> Option<String> {
        let found = evidence.note(
            query.split('&').filter(|pair| !pair.is_empty()),
            links,
            network,
            &HASHER,
        );
        found.map(Into::into)
    }

    #[test]
    fn a_parameter_divides_whose_values_have_links_of_their_own() {
        for (responses, rounds, expected) in [
            (&[("p=1", 1), ("p=2", 2)][..], 6, Some("p")),
            (&[("p=1", 1), ("p=2", 2)], 3, None),
            // The others go along with different pages.
            (
                &[("p=1&utm=a", 1), ("p=2&utm=a", 2), ("utm=b&p=1", 1), ("utm=b&p=2", 2)],
                6,
                Some("p"),
            ),
            // Nothing depends on it.
            (&[("utm=a", 1), ("utm=b", 1)], 20, None),
            // A deploy in between.
            (
                &[
                    ("utm=a", 1),
                    ("utm=a", 1),
                    ("utm=a", 1),
                    ("utm=b", 2),
                    ("utm=b", 2),
                    ("utm=b", 2),
                ],
                1,
                None,
            ),
            // Each value gets links that change.
            (&[("p=1", 1), ("p=2", 2), ("p=1", 3), ("p=2", 4)], 20, None),
            // There is no name.
            (&[("", 1), ("", 2)], 20, None),
            (&[("=1", 1), ("=2", 2)], 20, None),
        ] {
            assert_eq!(found(&responses.repeat(rounds)).as_deref(), expected, "{responses:?}");
        }
    }

    #[test]
    fn one_network_divides_nothing() {
        let mut evidence = QueryEvidence::default();
        for n in 0..1000_u64 {
            assert_eq!(note(&mut evidence, &format!("p={}", n % 2), n % 2, 1), None);
        }
    }

    #[test]
    fn responses_that_vary_by_chance_divide_nothing() {
        // A test of two designs, which are not drawn by anything in the query.
        let mut random = 1_u64;
        let mut evidence = QueryEvidence::default();
        let mut divided = 0;
        for n in 0..20_000_u64 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let query = format!("utm={}", (random >> 40) % 4);
            divided += u32::from(note(&mut evidence, &query, (random >> 50) & 1, n).is_some());
        }
        assert_eq!(divided, 0);
    }

    proptest! {
        /// Whatever one of two clients sends, memory is bounded, and the parameter that divides is found.
        #[test]
        fn invented_parameters_hide_none(invented in proptest::collection::vec("[a-z]{1,40}(=[a-z]{0,3})?", 1..200)) {
            let mut evidence = QueryEvidence::default();
            let mut found = None;
            for (query, n) in invented.iter().cycle().take(400).zip(0_u64..) {
                note(&mut evidence, &format!("{query}&{query}x=1"), 9, 1);
                prop_assert!(evidence.size() <= 8 * 1024);
                let network = 2 + n % 3;
                found = found.or(note(&mut evidence, &format!("page={}", n % 2), n % 2, network));
            }
            prop_assert_eq!(found.as_deref(), Some("page"));
        }
    }
}
