//! Tells visitors apart by hashes of their network, cookies and query, which cannot be reversed.

use std::{net::IpAddr, sync::Arc};

use http::{HeaderName, HeaderValue};

use super::{
    common::{CommonPairs, VisitorValue},
    division::{Division, left_out},
    key::KeyHasher,
    policy::LearnKey,
};

/// The facts by which the visitor that got a response is recognised.
#[derive(Debug, Clone)]
pub struct VisitorFacts<'a> {
    /// The authority that the request is for: cookies of one name are others elsewhere.
    pub authority: &'a str,
    /// The client's address.
    pub address: IpAddr,
    /// The request's `Cookie` fields.
    pub cookies: &'a [&'a [u8]],
    /// The response's `Set-Cookie` fields.
    pub set_cookies: &'a [&'a [u8]],
    /// Whether the response depends on the client's address, as its `Vary` says.
    pub is_for_address: bool,
    /// Whether the request has an `Authorization` field.
    pub authorization: bool,
    /// The request's other fields that tell who asks: see [`identities`](super::identities).
    pub identities: &'a [(&'a HeaderName, &'a HeaderValue)],
    /// The request's query.
    pub query: Option<&'a str>,
    /// The fields and parameters by which the documents of the request's key are told apart.
    pub division: Option<&'a Division>,
}

/// The value of a response as evidence that its links are for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evidence {
    /// The application could not know the visitor, so the links are for everybody.
    Anonymous,
    /// The response was made for this visitor.
    Visitor(Visitor),
    /// The response was made for an authorized client, or for one with more than 64 marks, which cannot all be
    /// compared; its links never count.
    Authorized,
}

/// One visitor: marks of its network, and of each of its cookies, identities and parts of its query.
///
/// A single pair in common makes two visits those of one visitor, however short the pair is and whatever else changes:
/// `uid=42` tells a visitor. A pair that everybody has (`consent=yes`) would make all visitors one, and no link would
/// ever be learned, so it is no mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    network: u64,
    marks: Arc<[u64]>,
}

/// Largest number of marks of one visitor.
const MAX_MARKS: usize = 64;

impl Evidence {
    /// Returns the evidence of a response to a visitor with these facts, and notes its pairs among those that many have.
    /// `now`: seconds since 1970.
    pub(super) fn of(
        facts: &VisitorFacts<'_>,
        key: &LearnKey,
        hasher: &KeyHasher,
        (common, now): (&CommonPairs, u64),
    ) -> Self {
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
        let pairs = cookies.chain(query).filter(|(_, pair)| !pair.is_empty());
        let pairs = pairs.map(|(kind, pair)| {
            let mut parts = pair.splitn(2, |&b| b == b'=');
            let name = parts.next().unwrap_or_default();
            // A pair without a name is one of the empty name.
            let (name, value) = parts.next().map_or((&[][..], pair), |value| (name, value));
            (kind, name, value)
        });
        let identities = facts.identities.iter();
        let identities = identities.map(|(name, value)| (IDENTITY, name.as_str().as_bytes(), value.as_bytes()));
        let mut pairs = pairs.chain(identities).peekable();
        if pairs.peek().is_none() && !facts.is_for_address {
            return Self::Anonymous;
        }
        let network = hasher.network(facts.address);
        let mut marks: Vec<u64> = Vec::new();
        for (kind, name, value) in pairs {
            let mark = hasher.mark_of_pair(kind, name, value);
            if marks.contains(&mark) {
                continue;
            }
            let named = || VisitorValue {
                name: hasher.mark_of_name(kind, facts.authority, name),
                value: mark,
                network,
            };
            if value.len() <= LONGEST_COMMON && common.note(named(), now) {
                continue;
            }
            if marks.len() == MAX_MARKS {
                return Self::Authorized;
            }
            marks.push(mark);
        }
        marks.sort_unstable();
        Self::Visitor(Visitor {
            network,
            marks: marks.into(),
        })
    }
}

/// Longest value that may be common to all visitors, in bytes: consent, language and theme have fewer than the 16 of the
/// shortest session identifiers.
const LONGEST_COMMON: usize = 15;

impl Visitor {
    /// Memory in bytes; the marks are shared by all links of a response.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.marks).div_ceil(Arc::strong_count(&self.marks))
    }

    /// Returns whether two visits may be those of one visitor.
    #[must_use]
    pub fn may_be(&self, other: &Self) -> bool {
        self.network == other.network || self.marks.iter().any(|mark| other.marks.binary_search(mark).is_ok())
    }
}

impl KeyHasher {
    fn mark_of_pair(&self, kind: u8, name: &[u8], value: &[u8]) -> u64 {
        let mut parts = self.parts();
        parts.add(&[kind]);
        parts.add(name);
        parts.add(value);
        parts.finish().fold()
    }

    fn mark_of_name(&self, kind: u8, authority: &str, name: &[u8]) -> u64 {
        let mut parts = self.origin("", authority);
        parts.add(&[kind]);
        parts.add(name);
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
const IDENTITY: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const HASHER: KeyHasher = KeyHasher::new((3, 4));

    fn facts<'a>(address: [u8; 4], cookies: &'a [&'a [u8]]) -> VisitorFacts<'a> {
        VisitorFacts {
            authority: "h.example",
            address: address.into(),
            cookies,
            set_cookies: &[],
            is_for_address: false,
            authorization: false,
            identities: &[],
            query: None,
            division: None,
        }
    }

    fn evidence(facts: &VisitorFacts<'_>, key: &LearnKey) -> Evidence {
        Evidence::of(facts, key, &HASHER, (&CommonPairs::default(), 0))
    }

    fn visitor(facts: &VisitorFacts<'_>) -> Visitor {
        match evidence(facts, &LearnKey::Path) {
            Evidence::Visitor(visitor) => visitor,
            other => unreachable!("{other:?}"),
        }
    }

    #[test]
    fn a_request_without_cookie_query_or_authorization_is_anonymous() {
        let anonymous = facts([192, 0, 2, 1], &[]);
        assert_eq!(evidence(&anonymous, &LearnKey::Path), Evidence::Anonymous);
        let authorized = VisitorFacts {
            authorization: true,
            ..anonymous.clone()
        };
        assert_eq!(evidence(&authorized, &LearnKey::Path), Evidence::Authorized);
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
        assert_eq!(evidence(&query, &LearnKey::PathAndQuery), Evidence::Anonymous);
        // The next request sends the cookie that the response set.
        assert!(visitor(&set).may_be(&visitor(&facts([198, 51, 100, 1], &[b"a=2; s=0123456789abcdef"]))));
    }

    #[test]
    fn a_response_made_from_the_address_is_a_visitors_who_is_known_by_its_network() {
        let of = |address| {
            visitor(&VisitorFacts {
                is_for_address: true,
                ..facts(address, &[])
            })
        };
        assert!(of([192, 0, 2, 1]).may_be(&of([192, 0, 2, 9])));
        assert!(!of([192, 0, 2, 1]).may_be(&of([198, 51, 100, 1])));
    }

    #[test]
    fn a_visitor_is_known_by_its_network_or_any_cookie() {
        let one = visitor(&facts([192, 0, 2, 1], &[b"session=1111111111111111; theme=dark"]));
        let moved = visitor(&facts([198, 51, 100, 1], &[b"session=1111111111111111"]));
        let cleared = visitor(&facts([192, 0, 2, 200], &[b"session=9999999999999999"]));
        let other = visitor(&facts([203, 0, 113, 1], &[b"session=2222222222222222; theme=light"]));
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
                ..facts(address, &[])
            })
        };
        let first = of([192, 0, 2, 1], &ann);
        assert!(first.may_be(&of([198, 51, 100, 1], &ann)));
        assert!(!first.may_be(&of([198, 51, 100, 1], &bob)));
        let only = VisitorFacts {
            identities: &[(&name, &ann)],
            ..facts([192, 0, 2, 1], &[])
        };
        assert_ne!(evidence(&only, &LearnKey::PathAndQuery), Evidence::Anonymous);
    }

    #[test]
    fn one_pair_that_stays_makes_one_visitor_whatever_else_changes() {
        let changing: [(&str, [&str; 3]); 5] = [
            (
                "cookie",
                [
                    "uid=42; csrf=0123456789abcdef0123456789abcdef",
                    "uid=42; csrf=fedcba9876543210fedcba9876543210",
                    "csrf=00000000000000000000000000000000; uid=42",
                ],
            ),
            ("cookie", ["uid=42; visits=1", "uid=42; visits=2", "visits=3;uid=42"]),
            (
                "cookie",
                [
                    "SESSIONTOKEN0123456789abcdef; ga=GA1.1.1234567890.1234567890",
                    "SESSIONTOKEN0123456789abcdef; ga=GA1.1.2234567890.1234567890",
                    "ga=GA1.1.3234567890.1234567890;SESSIONTOKEN0123456789abcdef",
                ],
            ),
            ("query", ["uid=42&page=1", "uid=42&page=2", "page=3&uid=42"]),
            ("query", ["42&page=1", "42&page=2", "page=3&42"]),
        ];
        for (kind, visits) in changing {
            let visits = visits.map(|text| {
                let cookies = [text.as_bytes()];
                // A network for each text.
                let sum = text
                    .bytes()
                    .zip(1_u32..)
                    .map(|(byte, n)| u32::from(byte) * n)
                    .sum::<u32>();
                let facts = facts((sum << 8).to_be_bytes(), &[]);
                visitor(&match kind {
                    "cookie" => VisitorFacts {
                        cookies: &cookies,
                        ..facts
                    },
                    _ => VisitorFacts {
                        query: Some(text),
                        ..facts
                    },
                })
            });
            assert!(
                visits[0].may_be(&visits[1]) && visits[1].may_be(&visits[2]),
                "{visits:?}"
            );
        }
        let other = visitor(&facts([203, 0, 113, 1], &[b"uid=43; visits=9"]));
        assert!(!other.may_be(&visitor(&facts([198, 51, 100, 1], &[b"uid=42; visits=1"]))));
    }

    #[test]
    fn a_pair_that_many_networks_have_at_a_time_is_no_mark() {
        let common = CommonPairs::default();
        let of = |network: u8, cookie: &str| {
            let cookies = [cookie.as_bytes()];
            match Evidence::of(
                &facts([10, 0, network, 1], &cookies),
                &LearnKey::Path,
                &HASHER,
                (&common, 0),
            ) {
                Evidence::Visitor(visitor) => visitor,
                other => unreachable!("{other:?}"),
            }
        };
        let session = |n: u8| format!("session={n:032}; lang=en");
        let visitors = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|n| of(n, &session(n)));
        assert!(visitors[0].may_be(&visitors[1]));
        assert!(!visitors[8].may_be(&visitors[9]));
        // Nothing but what all have: the networks still tell visitors apart.
        assert!(!of(21, "lang=en").may_be(&of(22, "lang=en")));
        assert!(of(21, "lang=en").may_be(&of(21, "lang=en")));
        // A long value is a visitor's own, however many networks it comes from.
        let long = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].map(|n| of(n, "session=0123456789abcdef"));
        assert!(long[8].may_be(&long[9]));
    }

    #[test]
    fn a_request_with_more_marks_than_are_compared_never_counts() {
        let cookies = |count: usize| (0..count).map(|n| format!("c{n}={n}")).collect::<Vec<_>>().join("; ");
        for (count, counts) in [(MAX_MARKS, true), (MAX_MARKS + 1, false), (1000, false)] {
            let cookies = cookies(count);
            let facts = facts([192, 0, 2, 1], &[]);
            let fields = [cookies.as_bytes()];
            let facts = VisitorFacts {
                cookies: &fields,
                ..facts
            };
            let is_visitor = matches!(evidence(&facts, &LearnKey::Path), Evidence::Visitor(_));
            assert_eq!(is_visitor, counts, "{count}");
        }
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
