//! Tests that only the right requests find a stored response, and that the store stays within its bound.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::HeaderValue;
use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;

use super::*;
use crate::cache::Body;

fn store(bytes: u64) -> Store {
    let limits = StoreLimits { bytes, object: 1 << 20 };
    Store::new(limits, (1, 2))
}

fn request(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut request = HeaderMap::new();
    for (name, value) in fields {
        request.append(*name, HeaderValue::from_static(value));
    }
    request
}

fn url(path: &str) -> String {
    format!("https://shop.example{path}")
}

fn key(store: &Store, path: &str) -> EntryKey {
    EntryKey {
        url: store.hasher().url("https", "shop.example", path),
        variance: None,
    }
}

/// Stores a response as Pingora's cache would: the first of a URL without variance in its key, others with it.
fn insert(store: &Store, path: &str, vary: &'static str, requested: &HeaderMap, body: &'static [u8], second: u64) {
    let mut response = ResponseHeader::build(200, None).expect("a header");
    response.insert_header("vary", vary).expect("a field");
    let created = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let variance = store.variance(&response.headers, requested);
    let mut meta = CacheMeta::new(created + Duration::from_secs(60), created, 0, 0, response);
    let mut key = key(store, path);
    if let Some(variance) = variance {
        meta.set_variance(variance);
        if store.has(key.url) {
            key.variance = Some(variance);
        }
    }
    let object = Object::new(
        store.next_id(),
        Head::of(&meta, &url(path), "app"),
        Body::new([Bytes::from_static(body)]),
    );
    assert!(store.insert(key, object, store.begin(key.url)));
}

fn found(store: &Store, path: &str, fields: &[(&'static str, &'static str)]) -> Option<Bytes> {
    let object = store.find(key(store, path).url, "app", &request(fields))?;
    object.body().pieces().first().cloned()
}

#[test]
fn each_variant_answers_only_its_requests() {
    let store = store(1 << 20);
    const GZIP: &[(&str, &str)] = &[("accept-encoding", "gzip")];
    const BR: &[(&str, &str)] = &[("accept-encoding", "br, gzip")];
    insert(&store, "/a", "accept-encoding", &request(GZIP), b"gzip", 1);
    insert(&store, "/a", "accept-encoding", &request(BR), b"br", 2);
    assert_eq!(found(&store, "/a", GZIP).as_deref(), Some(&b"gzip"[..]));
    assert_eq!(found(&store, "/a", BR).as_deref(), Some(&b"br"[..]));
    assert_eq!(found(&store, "/a", &[]), None);
    // A new first response of the URL makes older variants unused.
    store.remove(key(&store, "/a"));
    insert(&store, "/a", "accept-encoding", &request(GZIP), b"new", 3);
    assert_eq!(found(&store, "/a", GZIP).as_deref(), Some(&b"new"[..]));
    assert_eq!(found(&store, "/a", BR), None);
}

#[test]
fn a_stored_response_is_not_found_for_another_upstream() {
    let store = store(1 << 20);
    insert(&store, "/a", "", &HeaderMap::new(), b"app", 1);
    let url = key(&store, "/a").url;
    assert!(store.find(url, "app", &HeaderMap::new()).is_some());
    assert!(store.find(url, "other", &HeaderMap::new()).is_none());
}

#[test]
fn a_purge_takes_all_variants_and_counts_them() {
    let store = store(1 << 20);
    for path in ["/static/a", "/static/b", "/c"] {
        for codings in ["gzip", "br"] {
            let requested = request(&[("accept-encoding", codings)]);
            insert(&store, path, "accept-encoding", &requested, b"x", 1);
        }
    }
    assert_eq!(store.purge(&Purge::Url(url("/static/a").into())), 2);
    assert_eq!(store.purge(&Purge::Url(url("/static/a").into())), 0);
    assert_eq!(store.purge(&Purge::Prefix(url("/static/").into())), 2);
    assert_eq!(store.purge(&Purge::All), 2);
    assert_eq!(store.size(), (0, 0));
}

#[test]
fn a_response_requested_before_a_purge_is_not_stored_after_it() {
    let store = store(1 << 20);
    let begun = store.begin(key(&store, "/b").url);
    let object = |path: &str| {
        let response = ResponseHeader::build(200, None).expect("a header");
        let now = SystemTime::UNIX_EPOCH;
        let head = Head::of(&CacheMeta::new(now, now, 0, 0, response), &url(path), "app");
        Object::new(store.next_id(), head, Body::default())
    };
    store.purge(&Purge::Prefix(url("/static/").into()));
    assert!(!store.insert(key(&store, "/static/a"), object("/static/a"), begun));
    assert!(store.insert(key(&store, "/b"), object("/b"), begun));
    assert!(store.insert(
        key(&store, "/static/a"),
        object("/static/a"),
        store.begin(key(&store, "/static/a").url)
    ));
    let found = store.get(key(&store, "/static/a")).expect("stored");
    let place = key(&store, "/static/a");
    assert!(!store.replace((place, &found), place, object("/static/a"), begun));
    let begun = store.begin(key(&store, "/static/a").url);
    store.forget(key(&store, "/static/a").url);
    assert!(!store.has(key(&store, "/static/a").url));
    assert!(!store.insert(key(&store, "/static/a"), object("/static/a"), begun));
}

#[test]
fn a_stored_response_does_not_hold_the_buffer_that_its_header_was_read_into() {
    let buffer = Bytes::from(vec![b'a'; 4096]);
    let mut response = ResponseHeader::build(200, None).expect("a header");
    let value = HeaderValue::from_maybe_shared(buffer.slice(..9)).expect("a value");
    response.insert_header("server", value).expect("a field");
    let now = SystemTime::UNIX_EPOCH;
    let head = Head::of(&CacheMeta::new(now, now, 0, 0, response), &url("/a"), "app");
    assert!(head.fields.get("server").is_some_and(|value| value == "aaaaaaaaa"));
    assert!(buffer.is_unique());
}

#[test]
fn a_response_that_was_replaced_meanwhile_gets_no_new_head() {
    let store = store(1 << 20);
    insert(&store, "/a", "", &HeaderMap::new(), b"one", 1);
    let one = store.get(key(&store, "/a")).expect("stored");
    insert(&store, "/a", "", &HeaderMap::new(), b"two", 2);
    let renewed = Object::new(store.next_id(), one.head().clone(), one.body().clone());
    let place = key(&store, "/a");
    assert!(!store.replace((place, &one), place, renewed, store.begin(place.url)));
    assert_eq!(found(&store, "/a", &[]).as_deref(), Some(&b"two"[..]));
}

#[test]
fn a_scan_of_many_urls_stays_within_the_bound_and_evicts_none_in_use() {
    const BOUND: u64 = 4 << 20;
    let store = store(BOUND);
    let used: Vec<String> = (0..200).map(|n| format!("/used/{n}")).collect();
    let ask = |path: &str, second| {
        if found(&store, path, &[]).is_none() {
            // The look-up before the request to the origin.
            assert!(store.get(key(&store, path)).is_none());
            insert(&store, path, "", &HeaderMap::new(), b"content", second);
        }
    };
    for round in 0..5 {
        used.iter().for_each(|path| ask(path, round));
    }
    let mut again = used.iter().cycle();
    for n in 0..20_000_u64 {
        ask(&format!("/scan/{n}"), n);
        if n % 10 == 0 {
            ask(again.next().expect("a cycle"), n);
        }
        if n % 500 == 0 {
            assert!(store.size().1 <= BOUND, "{:?}", store.size());
        }
    }
    let remaining = used.iter().filter(|path| found(&store, path, &[]).is_some()).count();
    assert!(remaining >= 190, "{remaining} of 200 are left");
}
