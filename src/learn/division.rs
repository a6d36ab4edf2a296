//! Divides the documents of one key into variants, as far as their responses show that requests get different ones: by
//! request fields that `Vary` names, and by query parameters on which their links depend.
//!
//! ```text
//! key of the route ──► manifest with a division ──┬─► variant, known by the values of these fields and parameters
//!                                                 ├─► variant
//!                                                 └─► …, at most MAX_VARIANTS
//! ```
//!
//! A document that nothing divides costs nothing. Clients choose the values, so they could invent variants: of a
//! document, [`MAX_VARIANTS`] are known. Variants that [`ESTABLISHED`] networks asked for are established, and up to all
//! but [`ON_TRIAL`] are displaced only by others that as many asked for, those first that nobody has asked for the longest.
//! Among variants on trial, the network that brought most loses its own first, so that what one network invents leaves
//! room for what others ask for. A request whose values are longer than [`MAX_VALUES`] is for no variant.

use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use super::{
    key::{DocumentKey, KeyHasher, is_named},
    policy::LearnKey,
};

/// The fields and query parameters that divide the documents of one key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Division {
    fields: Vec<HeaderName>,
    parameters: Vec<Box<str>>,
}

/// A request, as far as a division depends on it.
#[derive(Debug, Clone, Copy)]
pub struct DividedBy<'a> {
    /// The query.
    pub query: Option<&'a str>,
    /// The fields.
    pub fields: &'a HeaderMap,
}

/// The document that a response is of.
#[derive(Debug, Clone)]
pub struct DocumentPlace {
    /// The key by the route's settings.
    pub(super) base: DocumentKey,
    /// The key under which the links are known: the variant's where there is a division.
    pub(super) key: DocumentKey,
    /// The fields and parameters by which the documents of `base` are told apart.
    pub(super) division: Option<Arc<Division>>,
}

/// The variants of one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Variants {
    division: Arc<Division>,
    known: Vec<Variant>,
    /// Counts uses, for the order in which variants were used.
    clock: u32,
}

#[derive(Debug, Clone, Copy)]
struct Variant {
    key: DocumentKey,
    /// The marks of the networks that asked first, and second.
    networks: [u64; 2],
    /// Number of networks that asked, up to [`ESTABLISHED`].
    asked: u8,
    /// The time of the last use on the clock of all.
    used: u32,
}

/// Most fields of a division. A response whose `Vary` names more teaches nothing.
const MAX_FIELDS: usize = 8;

/// Most query parameters of a division.
const MAX_PARAMETERS: usize = 3;

/// Most variants that are known of the documents of one key: 48 bytes each.
pub(super) const MAX_VARIANTS: usize = 128;

/// Number of networks that make a variant established.
const ESTABLISHED: u8 = 3;

/// Places that established variants leave to new ones.
const ON_TRIAL: usize = 32;

/// Most bytes of all values together by which a request is assigned to a variant.
const MAX_VALUES: usize = 1024;

impl From<DocumentKey> for DocumentPlace {
    fn from(key: DocumentKey) -> Self {
        Self {
            base: key,
            key,
            division: None,
        }
    }
}

impl DocumentPlace {
    /// The document's key.
    #[must_use]
    pub const fn key(&self) -> DocumentKey {
        self.key
    }

    /// The fields and parameters by which the documents of the route's key are told apart.
    #[must_use]
    pub fn division(&self) -> Option<&Division> {
        self.division.as_deref()
    }

    /// Returns the place of a response that names these fields in `Vary`; `None` if a request like this is for no
    /// document: it has values that are too long, or there are too many fields.
    #[must_use]
    pub fn varied<'v>(
        self,
        vary: impl Iterator<Item = &'v [u8]>,
        request: DividedBy<'_>,
        hasher: &KeyHasher,
    ) -> Option<Self> {
        let known = self.division.as_deref();
        let mut added = Vec::new();
        for name in vary {
            let is_same = |field: &HeaderName| field.as_str().as_bytes().eq_ignore_ascii_case(name);
            let is_known = known.is_some_and(|known| known.fields.iter().any(is_same));
            if !is_known && !added.iter().any(is_same) {
                if added.len() == MAX_FIELDS {
                    return None;
                }
                added.push(HeaderName::from_bytes(name).ok()?);
            }
        }
        if added.is_empty() {
            return Some(self);
        }
        let more = Division::new(added.iter().map(HeaderName::as_str), [].into_iter());
        let division = known.map_or_else(|| more.clone(), |known| known.joined(&more));
        // The limits may have left some out.
        division.covers(&more).then_some(())?;
        Self::divided(self.base, Arc::new(division), request, hasher)
    }

    fn divided(base: DocumentKey, division: Arc<Division>, request: DividedBy<'_>, hasher: &KeyHasher) -> Option<Self> {
        Some(Self {
            base,
            key: division.key(base, request, hasher)?,
            division: Some(division),
        })
    }
}

impl Division {
    /// Makes a division, as far as the limits allow; the fields that are no names are left out.
    pub(super) fn new<'n>(fields: impl Iterator<Item = &'n str>, parameters: impl Iterator<Item = &'n str>) -> Self {
        let mut fields: Vec<_> = fields.filter_map(|name| name.parse().ok()).take(MAX_FIELDS).collect();
        fields.sort_unstable_by(|a: &HeaderName, b| a.as_str().cmp(b.as_str()));
        fields.dedup();
        let mut parameters: Vec<Box<str>> = parameters.map(Into::into).take(MAX_PARAMETERS).collect();
        parameters.sort_unstable();
        parameters.dedup();
        Self { fields, parameters }
    }

    /// The request fields.
    #[must_use]
    pub fn fields(&self) -> &[HeaderName] {
        &self.fields
    }

    /// The query parameters.
    #[must_use]
    pub fn parameters(&self) -> &[Box<str>] {
        &self.parameters
    }

    /// Returns whether another query parameter may divide the documents.
    pub(super) fn has_room(&self) -> bool {
        self.parameters.len() < MAX_PARAMETERS
    }

    /// Returns the key of the variant that a request is for; `None` if its values are too long.
    fn key(&self, base: DocumentKey, request: DividedBy<'_>, hasher: &KeyHasher) -> Option<DocumentKey> {
        let mut parts = hasher.parts();
        parts.add(&base.0.to_be_bytes());
        let mut left = MAX_VALUES;
        for name in &self.fields {
            parts.add(name.as_str().as_bytes());
            for value in request.fields.get_all(name) {
                left = left.checked_sub(value.len())?;
                parts.add(value.as_bytes());
            }
        }
        for name in &self.parameters {
            // No field has such a name.
            parts.add(b"?");
            parts.add(name.as_bytes());
            for pair in request.query.unwrap_or_default().split('&') {
                if is_named(pair, name) {
                    left = left.checked_sub(pair.len())?;
                    parts.add(pair.as_bytes());
                }
            }
        }
        Some(DocumentKey::of(parts))
    }

    /// Returns whether this division has all fields and parameters of another.
    fn covers(&self, other: &Self) -> bool {
        other.fields.iter().all(|name| self.fields.contains(name))
            && other.parameters.iter().all(|name| self.parameters.contains(name))
    }

    /// Returns a division by the fields and parameters of both, as far as the limits allow.
    fn joined(&self, other: &Self) -> Self {
        Self::new(
            self.fields.iter().chain(&other.fields).map(HeaderName::as_str),
            self.parameters.iter().chain(&other.parameters).map(|name| &**name),
        )
    }
}

impl Variant {
    const fn is_established(&self) -> bool {
        self.asked >= ESTABLISHED
    }

    /// Notes that a network asked.
    fn note(&mut self, network: u64) {
        let [first, second] = self.networks;
        if self.is_established() || first == network || self.asked == 2 && second == network {
            return;
        }
        if self.asked == 1 {
            self.networks = [first, network];
        }
        self.asked += 1;
    }
}

impl Variants {
    /// Makes the variants that a file knows.
    pub(super) fn restored(division: Division, keys: impl Iterator<Item = DocumentKey>) -> Self {
        // Established, and the first of these to go until it is asked for.
        let variant = |key| Variant {
            key,
            networks: [0; 2],
            asked: ESTABLISHED,
            used: 0,
        };
        Self {
            division: Arc::new(division),
            known: keys.take(MAX_VARIANTS).map(variant).collect(),
            clock: 0,
        }
    }

    /// The fields and parameters by which the documents are told apart.
    pub(super) const fn division(&self) -> &Arc<Division> {
        &self.division
    }

    /// The keys of the variants.
    pub(super) fn keys(&self) -> impl Iterator<Item = DocumentKey> + '_ {
        self.known.iter().map(|variant| variant.key)
    }

    /// Returns the variant that a request is for; `None` if its values are too long.
    pub(super) fn place(&self, base: DocumentKey, request: DividedBy<'_>, hasher: &KeyHasher) -> Option<DocumentPlace> {
        DocumentPlace::divided(base, Arc::clone(&self.division), request, hasher)
    }

    /// Divides by more, where a division has more; returns the keys of the variants that are none any more.
    pub(super) fn widen(&mut self, division: &Division) -> Vec<DocumentKey> {
        if self.division.covers(division) {
            return Vec::new();
        }
        let joined = self.division.joined(division);
        if !joined.covers(division) {
            return Vec::new();
        }
        self.division = Arc::new(joined);
        self.known.drain(..).map(|variant| variant.key).collect()
    }

    /// Returns whether a variant is known; it counts as a use.
    pub(super) fn is_used(&mut self, key: DocumentKey) -> bool {
        let now = self.tick();
        let variant = self.known.iter_mut().find(|variant| variant.key == key);
        variant.is_some_and(|variant| {
            variant.used = now;
            true
        })
    }

    /// Notes a variant that this network asked for; returns the variant that leaves for the new one, if one does.
    pub(super) fn admit(&mut self, key: DocumentKey, network: u64) -> Option<DocumentKey> {
        let used = self.tick();
        if let Some(variant) = self.known.iter_mut().find(|variant| variant.key == key) {
            variant.note(network);
            variant.used = used;
            return None;
        }
        let variant = Variant {
            key,
            networks: [network, 0],
            asked: 1,
            used,
        };
        if self.known.len() < MAX_VARIANTS {
            self.known.push(variant);
            return None;
        }
        let leaving = self.leaving()?;
        Some(std::mem::replace(self.known.get_mut(leaving)?, variant).key)
    }

    /// Returns the place of the variant that leaves for a new one.
    fn leaving(&self) -> Option<usize> {
        let on_trial = || self.known.iter().filter(|variant| !variant.is_established());
        let is_established = on_trial().count() < ON_TRIAL;
        let brought = |variant: &Variant| {
            on_trial()
                .filter(|other| other.networks[0] == variant.networks[0])
                .count()
        };
        let candidates = self.known.iter().enumerate();
        let candidates = candidates.filter(|(_, variant)| variant.is_established() == is_established);
        let leaving = candidates.min_by_key(|(_, variant)| {
            let brought = if is_established { 0 } else { brought(variant) };
            (std::cmp::Reverse(brought), variant.used)
        });
        leaving.map(|(at, _)| at)
    }

    /// Memory in bytes.
    pub(super) fn size(&self) -> usize {
        let parameters: usize = self.division.parameters.iter().map(|name| name.len()).sum();
        size_of::<Self>() + self.known.capacity() * size_of::<Variant>() + parameters + MAX_FIELDS * 64
    }

    fn tick(&mut self) -> u32 {
        self.clock = self.clock.wrapping_add(1);
        if self.clock == 0 {
            // The order begins anew.
            self.known.iter_mut().for_each(|variant| variant.used = 0);
        }
        self.clock
    }
}

/// Yields the pairs of a query that are not part of a document's key, nor of what divides the documents of this key.
pub(super) fn left_out<'q>(
    key: &'q LearnKey,
    division: Option<&'q Division>,
    query: Option<&'q str>,
) -> impl Iterator<Item = &'q str> + Clone {
    let pairs = match key {
        LearnKey::PathAndQuery => None,
        LearnKey::Path | LearnKey::Parameters(_) => query,
    };
    let divides = move |pair: &str| {
        division.is_some_and(|division| division.parameters().iter().any(|name| is_named(pair, name)))
    };
    let is_in_key = move |pair: &str| match key {
        LearnKey::Parameters(names) => names.iter().any(|name| is_named(pair, name)),
        LearnKey::Path | LearnKey::PathAndQuery => false,
    };
    pairs
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter(move |pair| !pair.is_empty() && !is_in_key(pair) && !divides(pair))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const HASHER: KeyHasher = KeyHasher::new((1, 2));
    const BASE: DocumentKey = DocumentKey(7);

    fn fields(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            let value = HeaderValue::from_str(value).expect("a value");
            (HeaderName::from_static(name), value)
        };
        fields.iter().map(field).collect()
    }

    fn varied(place: DocumentPlace, vary: &str, fields: &HeaderMap, query: Option<&str>) -> Option<DocumentPlace> {
        let names = vary
            .split(',')
            .map(|name| name.trim().as_bytes())
            .filter(|name| !name.is_empty());
        place.varied(names, DividedBy { query, fields }, &HASHER)
    }

    #[test]
    fn requests_whose_named_fields_differ_are_for_different_variants() {
        let of = |language: &str, agent: &str| {
            let fields = fields(&[("accept-language", language), ("user-agent", agent)]);
            varied(BASE.into(), "Accept-Language", &fields, None)
                .expect("a place")
                .key()
        };
        assert_ne!(of("de", "a"), of("fr", "a"));
        assert_eq!(of("de", "a"), of("de", "b"));
        assert_ne!(of("de", "a"), BASE);
        let nothing = varied(BASE.into(), "", &HeaderMap::new(), None).expect("a place");
        assert_eq!(nothing.key(), BASE);
        assert!(nothing.division().is_none());
    }

    #[test]
    fn a_division_has_bounds() {
        let none = HeaderMap::new();
        assert!(varied(BASE.into(), "a,b,c,d,e,f,g,h", &none, None).is_some());
        assert!(varied(BASE.into(), "a,b,c,d,e,f,g,h,i", &none, None).is_none());
        assert!(varied(BASE.into(), "a,a,A,b,c,d,e,f,g,h", &none, None).is_some());
        assert!(varied(BASE.into(), "not a name", &none, None).is_none());
        let long = fields(&[("a", &"x".repeat(MAX_VALUES + 1))]);
        assert!(varied(BASE.into(), "a", &long, None).is_none());
        assert!(varied(BASE.into(), "b", &long, None).is_some());
    }

    #[test]
    fn a_division_by_parameters_counts_these_in_any_order() {
        let variants = Variants::restored(Division::new([].into_iter(), ["p", "s"].into_iter()), [].into_iter());
        let of = |query| {
            let fields = HeaderMap::new();
            let request = DividedBy { query, fields: &fields };
            variants.place(BASE, request, &HASHER).expect("a place").key()
        };
        assert_eq!(of(Some("p=1&utm=a&s=x")), of(Some("s=x&p=1")));
        assert_ne!(of(Some("p=1")), of(Some("p=2")));
        assert_ne!(of(Some("p=1")), of(Some("s=1")));
        assert_eq!(of(None), of(Some("utm=a")));
        assert_ne!(of(Some("%70=secret")), of(None));
    }

    #[test]
    fn pairs_are_left_out_that_are_in_neither_key_nor_division() {
        let division = Division::new([].into_iter(), ["p"].into_iter());
        let query = Some("v=2&lang=de&utm=x&&t&p=1");
        let encoded = Some("%76=2&l%61ng=de&utm=x&%70=1");
        let names = LearnKey::Parameters(vec!["lang".into(), "v".into()]);
        for (key, division, query, expected) in [
            (&names, None, query, "utm=x t p=1"),
            (&names, Some(&division), query, "utm=x t"),
            (&names, Some(&division), encoded, "utm=x"),
            (&LearnKey::Path, Some(&division), query, "v=2 lang=de utm=x t"),
            (&LearnKey::PathAndQuery, None, query, ""),
        ] {
            let left: Vec<&str> = left_out(key, division, query).collect();
            assert_eq!(left.join(" "), expected, "{key:?}");
        }
    }

    #[test]
    fn a_wider_division_forgets_the_variants_of_the_narrower() {
        let mut variants = Variants::restored(Division::new(["a"].into_iter(), [].into_iter()), [].into_iter());
        variants.admit(DocumentKey(1), 1);
        assert!(
            variants
                .widen(&Division::new(["a"].into_iter(), [].into_iter()))
                .is_empty()
        );
        let wider = Division::new(["b"].into_iter(), ["p"].into_iter());
        assert_eq!(variants.widen(&wider), [DocumentKey(1)]);
        assert_eq!(variants.division().fields(), ["a", "b"].map(HeaderName::from_static));
        assert_eq!(variants.division().parameters(), [Box::from("p")]);
        assert_eq!(variants.keys().count(), 0);
    }

    /// Asks for variants by networks, and tells which of these are known then.
    fn ask(variants: &mut Variants, keys: impl Iterator<Item = u128> + Clone, networks: std::ops::Range<u64>) -> usize {
        for network in networks {
            for key in keys.clone() {
                variants.admit(DocumentKey(key), network);
            }
        }
        keys.filter(|key| variants.keys().any(|known| known == DocumentKey(*key)))
            .count()
    }

    #[test]
    fn new_pages_displace_old_ones_that_nobody_asks_for() {
        let full = |keys: std::ops::Range<u128>| {
            let mut variants = Variants::default();
            ask(&mut variants, keys, 1..4);
            variants
        };
        let restored = Variants::restored(Division::default(), (1..=128).map(DocumentKey));
        for (what, mut variants) in [
            ("established", full(1..129)),
            ("restored", restored),
            ("on trial", Variants::restored(Division::default(), [].into_iter())),
        ] {
            // Some of the old are asked for after the others.
            assert_eq!(ask(&mut variants, 1..=10, 4..5), 10, "{what}");
            // In turn, as pages of a site are asked for, while one network invents values.
            for round in 0..20_u64 {
                for key in 1000..1020_u128 {
                    variants.admit(DocumentKey(key), 10 + round);
                    variants.admit(DocumentKey(1_000_000 + u128::from(round) * 100 + key), 99);
                }
                ask(&mut variants, 1..=10, 4..5);
            }
            assert_eq!(ask(&mut variants, 1000..=1019, 0..0), 20, "{what}");
            assert_eq!(ask(&mut variants, 1..=10, 0..0), 10, "{what}");
            assert!(variants.known.len() <= MAX_VARIANTS);
        }
    }

    proptest! {
        /// Two networks that invent values take none of the variants away that three others ask for.
        #[test]
        fn invented_values_do_not_displace_those_of_several_networks(
            invented in proptest::collection::vec((1000_u128..2000, 8..10_u64), 0..2000),
            real in 1_u128..=96,
        ) {
            let mut variants = Variants::default();
            for network in [1, 2, 3] {
                for key in 1..=real {
                    variants.admit(DocumentKey(key), network);
                }
            }
            for (key, network) in invented {
                variants.admit(DocumentKey(key), network);
                prop_assert!(variants.keys().count() <= MAX_VARIANTS);
            }
            for key in 1..=real {
                prop_assert!(variants.is_used(DocumentKey(key)), "{key}");
            }
        }
    }
}
