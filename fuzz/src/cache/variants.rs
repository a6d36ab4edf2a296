//! `Vary`: which fields of a request count, and which requests are the same.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    key::UrlHasher,
    vary::{BadVary, names, variance},
};
use crate::input::Input;

const REQUEST: [&str; 8] = [
    "accept-encoding",
    "accept-encoding",
    "accept-language",
    "accept",
    "origin",
    "x-a",
    "user-agent",
    "cookie",
];

/// Reads `Vary`, and two requests, each with a field on a line.
pub fn variants(bytes: &[u8]) {
    let mut input = Input(bytes);
    let lines: Vec<&[u8]> = (0..input.number() % 4).map(|_| input.line()).collect();
    let response = fields(lines.iter().map(|line| (header::VARY, *line)));
    let named = names(&response);
    by_names(&response, &named);
    let Ok(named) = named else { return };
    let count = input.number() % 6;
    let first = request(&mut input, count);
    let second = request(&mut input, usize::MAX);
    let hasher = UrlHasher::new((1, 2));
    let of = |request: &HeaderMap| variance(&hasher, &named, request);
    assert_eq!(of(&first).is_none(), named.is_empty());
    let only: HeaderMap = first
        .iter()
        .filter(|(name, _)| named.contains(name))
        .map(owned)
        .collect();
    assert_eq!(of(&first), of(&only), "what is not named does not count");
    let are_same = named.iter().all(|name| is_same(name, &first, &second));
    assert_eq!(of(&first) == of(&second), are_same, "{first:?} {second:?}");
}

fn owned((name, value): (&HeaderName, &HeaderValue)) -> (HeaderName, HeaderValue) {
    (name.clone(), value.clone())
}

fn fields<'l>(lines: impl Iterator<Item = (HeaderName, &'l [u8])>) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for (name, line) in lines {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            fields.append(name, value);
        }
    }
    fields
}

fn request(input: &mut Input<'_>, most: usize) -> HeaderMap {
    let mut lines = Vec::new();
    while lines.len() < most
        && let Some(name) = input.byte()
    {
        let name = HeaderName::from_static(REQUEST[usize::from(name) % REQUEST.len()]);
        lines.push((name, input.line()));
    }
    fields(lines.into_iter())
}

/// The names are those of all lines, whatever their order and case.
fn by_names(response: &HeaderMap, named: &Result<Box<[HeaderName]>, BadVary>) {
    let lines: Vec<&[u8]> = response
        .get_all(header::VARY)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let joined = lines.join(&b", "[..]);
    assert_eq!(
        &names(&fields([(header::VARY, &joined[..])].into_iter())),
        named,
        "lines are one list"
    );
    let elements: Vec<Vec<u8>> = joined
        .split(|&b| b == b',')
        .map(|one| one.trim_ascii().to_ascii_lowercase())
        .collect();
    let has = |name: &str| elements.iter().any(|one| one == name.as_bytes());
    let backwards: Vec<&[u8]> = elements.iter().rev().map(Vec::as_slice).collect();
    let backwards = names(&fields([(header::VARY, &backwards.join(&b","[..])[..])].into_iter()));
    match named {
        Ok(names) => {
            assert_eq!(backwards.as_ref(), Ok(names), "their order does not count");
            let expected: BTreeSet<&[u8]> = elements
                .iter()
                .map(Vec::as_slice)
                .filter(|one| !one.is_empty())
                .collect();
            assert!(
                names.iter().map(|name| name.as_str().as_bytes()).eq(expected),
                "sorted, each once"
            );
            for client in [
                "*",
                "cookie",
                "authorization",
                "forwarded",
                "x-forwarded-for",
                "x-real-ip",
                "via",
            ] {
                assert!(!has(client), "{client}");
            }
        }
        Err(_) => assert!(backwards.is_err()),
    }
}

/// Whether two requests have the same under a name (RFC 9111 section 4.1): the same lines, or the same well-known codings.
fn is_same(name: &HeaderName, first: &HeaderMap, second: &HeaderMap) -> bool {
    let lines = |request: &HeaderMap| -> Vec<Vec<u8>> {
        request
            .get_all(name)
            .iter()
            .map(|value| value.as_bytes().to_vec())
            .collect()
    };
    let (first, second) = (lines(first), lines(second));
    if first == second {
        return true;
    }
    if *name != header::ACCEPT_ENCODING || first.is_empty() || second.is_empty() {
        return false;
    }
    let codings = |lines: Vec<Vec<u8>>| -> BTreeSet<Vec<u8>> {
        let elements = lines.into_iter().flat_map(|line| {
            let elements: Vec<Vec<u8>> = line
                .split(|&b| b == b',')
                .map(|one| one.trim_ascii().to_ascii_lowercase())
                .collect();
            elements
        });
        elements.filter(|one| !one.is_empty()).collect()
    };
    let (first, second) = (codings(first), codings(second));
    let known = |coding: &Vec<u8>| [&b"gzip"[..], b"deflate", b"br", b"zstd", b"identity"].contains(&coding.as_slice());
    first == second && first.iter().all(known)
}
