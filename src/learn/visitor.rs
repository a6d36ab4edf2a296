//! Tells visitors apart by hashes of their network, cookies and query, which cannot be reversed.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};

use super::{
    division::{Division, left_out},
    key::KeyHasher,
    policy::LearnKey,
};

/// The facts by which the visitor that got a response is recognised.
#[derive(Debug, Clone)]
pub struct VisitorFacts<'a> {
    /// The client's address.
    pub address: IpAddr,
    /// The request's `Cookie` fields.
    pub cookies: &'a [&'a [u8]],
    /// The response's `Set-Cookie` fields.
    pub set_cookies: &'a [&'a [u8]],
    /// Whether the request has an `Authorization` field.
    pub authorization: bool,
    /// The request's other fields that tell who asks: see [`identities`](super::identities).
    pub identities: &'a [(&'a HeaderName, &'a HeaderValue)],
    /// The request's query.
    pub query: Option<&'a str>,
    /// What divides the documents of the request's key.
    pub division: Option<&'a Division>,
}

/// The value of a response as evidence that its links are for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The application could not know the visitor, so the links are for everybody.
    Anonymous,
    /// The response was made for this visitor.
    Visitor(Visitor),
    /// The response was made for an authorized client; its links never count.
    Authorized,
}

/// One visitor: marks of its network, its cookies and its query.
///
/// Visitors that share a common value (`consent=yes`) must stay different visitors, or no link would ever be learned:
/// pairs with a value shorter than 16 bytes count only if there is no longer one, and then all together as one mark.
///
/// A visitor with many marks has only the 16 smallest. Two visits with most marks in common share some of the smallest,
/// too (min-wise hashing), so a cookie that changes with each response does not make a new visitor while other cookies
/// stay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    network: u64,
    marks: Vec<u64>,
}

/// Largest number of marks of one visitor.
const MAX_MARKS: usize = 16;

impl Evidence {
    /// Returns the evidence of a response to a visitor with these facts.
    #[must_use]
    pub fn of(facts: &VisitorFacts<'_>, key: &LearnKey, hasher: &KeyHasher) -> Self {
        if facts.authorization {
            return Self::Authorized;
        }
        let requested = facts.cookies.iter().flat_map(|field| field.split(|&b| b == b';'));
        let set = facts
            .set_cookies
            .iter()
            .filter_map(|field| field.split(|&b| b == b';').next());
        let cookies = requested.chain(set).map(|pair| (COOKIE, pair.trim_ascii()));
        let query = left_out(key, facts.division, facts.query).map(|pair| (QUERY, pair.as_bytes()));
        let pairs: Vec<(u8, &[u8])> = cookies.chain(query).filter(|(_, pair)| !pair.is_empty()).collect();
        if pairs.is_empty() && facts.identities.is_empty() {
            return Self::Anonymous;
        }
        let telling = pairs.iter().filter(|(_, pair)| tells_visitors_apart(pair));
        let mut marks: Vec<u64> = telling.map(|(kind, pair)| hasher.mark(*kind, pair)).collect();
        // However short, a name is a visitor's own.
        let identities = facts.identities.iter();
        marks.extend(identities.map(|(name, value)| hasher.mark_of_field(name, value)));
        if marks.is_empty() {
            let all: Vec<&[u8]> = pairs.iter().map(|(_, pair)| *pair).collect();
            marks.push(hasher.mark(ALL, &all.concat()));
        }
        marks.sort_unstable();
        marks.dedup();
        marks.truncate(MAX_MARKS);
        Self::Visitor(Visitor {
            network: hasher.network(facts.address),
            marks,
        })
    }
}

/// Returns whether a pair's value is long enough to be unique to a visitor.
fn tells_visitors_apart(pair: &[u8]) -> bool {
    let value = pair.splitn(2, |&b| b == b'=').nth(1).unwrap_or_default();
    value.len() >= MIN_TELLING
}

/// Shortest value that may identify a visitor, in bytes: session identifiers have at least 16, consent, language and
/// theme fewer.
const MIN_TELLING: usize = 16;

impl Visitor {
    /// Memory in bytes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.marks.len() * size_of::<u64>()
    }

    /// Returns whether two visits may be those of one visitor.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        self.network == other.network || self.marks.iter().any(|mark| other.marks.binary_search(mark).is_ok())
    }
}

impl KeyHasher {
    fn mark_of_field(&self, name: &HeaderName, value: &HeaderValue) -> u64 {
        let mut parts = self.parts();
        parts.add(&[IDENTITY]);
        parts.add(name.as_str().as_bytes());
        parts.add(value.as_bytes());
        parts.finish().fold()
    }

    /// Returns the mark of an address's network, within which one visitor may get other addresses: /24, or /48 for
    /// IPv6.
    #[must_use]
    pub fn network(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                self.mark(NETWORK, &[a, b, c])
            }
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.octets();
                self.mark(NETWORK, &[a, b, c, d, e, f])
            }
        }
    }
}

const NETWORK: u8 = 0;
const COOKIE: u8 = 1;
const QUERY: u8 = 2;
const ALL: u8 = 3;
const IDENTITY: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const HASHER: KeyHasher = KeyHasher::new((3, 4));

    fn facts<'a>(address: [u8; 4], cookies: &'a [&'a [u8]]) -> VisitorFacts<'a> {
        VisitorFacts {
            address: address.into(),
            cookies,
            set_cookies: &[],
            authorization: false,
            identities: &[],
            query: None,
            division: None,
        }
    }

    fn visitor(facts: &VisitorFacts<'_>) -> Visitor {
        match Evidence::of(facts, &LearnKey::Path, &HASHER) {
            Evidence::Visitor(visitor) => visitor,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_request_without_cookie_query_or_authorization_is_anonymous() {
        let anonymous = facts([192, 0, 2, 1], &[]);
        assert_eq!(Evidence::of(&anonymous, &LearnKey::Path, &HASHER), Evidence::Anonymous);
        let authorized = VisitorFacts {
            authorization: true,
            ..anonymous.clone()
        };
        assert_eq!(
            Evidence::of(&authorized, &LearnKey::Path, &HASHER),
            Evidence::Authorized
        );
    }

    #[test]
    fn a_set_cookie_or_a_query_that_is_left_out_makes_a_visitor() {
        let set = VisitorFacts {
            set_cookies: &[b"s=0123456789abcdef; Path=/"],
            ..facts([192, 0, 2, 1], &[])
        };
        visitor(&set);
        let query = VisitorFacts {
            query: Some("token=1"),
            ..facts([192, 0, 2, 1], &[])
        };
        visitor(&query);
        assert_eq!(
            Evidence::of(&query, &LearnKey::PathAndQuery, &HASHER),
            Evidence::Anonymous
        );
        // The next request sends the cookie that the response set.
        assert!(visitor(&set).may_be(&visitor(&facts([198, 51, 100, 1], &[b"a=2; s=0123456789abcdef"]))));
    }

    #[test]
    fn a_visitor_is_known_by_its_network_or_any_cookie() {
        let one = visitor(&facts([192, 0, 2, 1], &[b"session=1111111111111111; theme=dark"]));
        let moved = visitor(&facts([198, 51, 100, 1], &[b"session=1111111111111111"]));
        let cleared = visitor(&facts([192, 0, 2, 200], &[b"session=9999999999999999"]));
        let other = visitor(&facts([203, 0, 113, 1], &[b"session=2222222222222222; theme=dark"]));
        assert!(one.may_be(&moved) && one.may_be(&cleared));
        assert!(!one.may_be(&other) && !moved.may_be(&other));
    }

    #[test]
    fn a_name_in_a_field_is_a_visitors_own_however_short() {
        let name = HeaderName::from_static("x-user");
        let (ann, bob) = (HeaderValue::from_static("ann"), HeaderValue::from_static("bob"));
        let of = |address, value| {
            visitor(&VisitorFacts {
                identities: &[(&name, value)],
                ..facts(address, &[b"theme=dark"])
            })
        };
        let first = of([192, 0, 2, 1], &ann);
        assert!(first.may_be(&of([198, 51, 100, 1], &ann)));
        assert!(!first.may_be(&of([198, 51, 100, 1], &bob)));
        let only = VisitorFacts {
            identities: &[(&name, &ann)],
            ..facts([192, 0, 2, 1], &[])
        };
        assert_ne!(
            Evidence::of(&only, &LearnKey::PathAndQuery, &HASHER),
            Evidence::Anonymous
        );
    }

    #[test]
    fn short_values_count_together_if_there_is_no_long_one() {
        let one = visitor(&facts([192, 0, 2, 1], &[b"uid=42; theme=dark"]));
        let moved = visitor(&facts([198, 51, 100, 1], &[b"uid=42; theme=dark"]));
        let other = visitor(&facts([203, 0, 113, 1], &[b"uid=43; theme=dark"]));
        assert!(one.may_be(&moved));
        assert!(!one.may_be(&other));
    }

    #[test]
    fn a_visitor_stays_the_same_while_some_of_many_cookies_change() {
        let cookies = |changed: usize| -> Vec<u8> {
            let kept = (0..30).map(|n| format!("kept{n}={n:016}"));
            let new = (0..10).map(|n| format!("new{n}={changed:016}"));
            kept.chain(new).collect::<Vec<_>>().join("; ").into_bytes()
        };
        let (first, second) = (cookies(1), cookies(2));
        let first = visitor(&facts([192, 0, 2, 1], &[&first]));
        let second = visitor(&facts([198, 51, 100, 1], &[&second]));
        assert!(first.may_be(&second));
    }
}
