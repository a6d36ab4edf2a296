//! Canaries: what Pingora does today that linkpush leads round. One that fails tells that Pingora has changed, and that
//! the place named in `docs/understand/pingora.md` may be simpler now, or wrong.

use std::time::SystemTime;

use pingora::{
    http::{RequestHeader, ResponseHeader},
    protocols::http::v1::{client::HttpSession as Origins, server::HttpSession as Clients},
};
use pingora_cache::{
    CacheKey, CacheMeta, HitStatus, HttpCache, MemCache, Storage as _, cache_control::CacheControl, trace::Span,
};
use pingora_proxy::{RangeType, range_header_filter};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

/// A connection on which these bytes have come, and its other end.
async fn having(bytes: &[u8]) -> (DuplexStream, Box<DuplexStream>) {
    let (mut other, io) = duplex(1 << 20);
    other.write_all(bytes).await.expect("room");
    (other, Box::new(io))
}

/// What Pingora makes of a response: its fields, and its content.
async fn response(bytes: &[u8]) -> Result<(Vec<String>, Vec<u8>), String> {
    let (other, io) = having(bytes).await;
    drop(other);
    let mut session = Origins::new(io);
    session.read_response().await.map_err(|e| e.to_string())?;
    let head = session.resp_header().expect("a head");
    let fields = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    let mut content = Vec::new();
    while let Some(piece) = session.read_body_bytes().await.map_err(|e| e.to_string())? {
        content.extend_from_slice(&piece);
    }
    Ok((fields, content))
}

/// What Pingora makes of a request: its raw target as text, and its content.
async fn request(bytes: &[u8]) -> Result<(String, Vec<u8>), String> {
    let (_other, io) = having(bytes).await;
    let mut session = Clients::new(io);
    session.read_request().await.map_err(|e| e.to_string())?;
    let target = String::from_utf8_lossy(session.req_header().raw_path()).into_owned();
    let mut content = Vec::new();
    while let Some(piece) = session.read_body_bytes().await.map_err(|e| e.to_string())? {
        content.extend_from_slice(&piece);
    }
    Ok((target, content))
}

#[tokio::test]
async fn a_length_beside_a_coding_is_dropped() {
    let both = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let (fields, content) = response(both).await.expect("a response");
    assert_eq!(fields, ["transfer-encoding: \"chunked\""]);
    assert_eq!(content, b"ok");
}

#[tokio::test]
async fn one_control_byte_in_a_field_refuses_a_response() {
    for byte in ["\x01", "\x0c", "\x7f"] {
        let bad = format!("HTTP/1.1 200 OK\r\nLink: </a{byte}>\r\nContent-Length: 0\r\n\r\n");
        assert!(response(bad.as_bytes()).await.is_err(), "{byte:?}");
    }
}

#[tokio::test]
async fn a_response_has_256_fields_at_most() {
    for (fields, is_read) in [(256, true), (257, false)] {
        let head = format!("HTTP/1.1 204 No Content\r\n{}\r\n", "A: b\r\n".repeat(fields));
        assert_eq!(response(head.as_bytes()).await.is_ok(), is_read, "{fields}");
    }
}

#[tokio::test]
async fn trailers_are_dropped() {
    let trailing = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n";
    let (fields, content) = response(trailing).await.expect("a response");
    assert_eq!((fields.len(), content.as_slice()), (1, &b"ok"[..]));
}

#[tokio::test]
async fn targets_that_are_none_are_taken() {
    for target in ["evil.js", "@evil/x", "admin"] {
        let bytes = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        let (raw, _) = request(bytes.as_bytes()).await.expect("a request");
        assert_eq!(raw, target);
    }
}

#[tokio::test]
async fn a_line_feed_in_an_extension_of_a_chunk_is_taken() {
    let bytes = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;a\nb\r\nok\r\n0\r\n\r\n";
    let (_, content) = request(bytes).await.expect("a request");
    assert_eq!(content, b"ok");
}

/// A session of HTTP/1.x writes the time of now, whatever the response says.
#[tokio::test]
async fn the_date_of_a_response_is_overwritten() {
    const DATE: &str = "Wed, 25 Nov 2015 07:00:00 GMT";
    let (mut client, io) = having(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut session = Clients::new(io);
    session.read_request().await.expect("a request");
    let mut head = ResponseHeader::build(204, None).expect("a head");
    head.insert_header("Date", DATE).expect("a field");
    session.write_response_header(Box::new(head)).await.expect("written");
    drop(session);
    let mut written = String::new();
    client.read_to_string(&mut written).await.expect("text");
    assert!(
        written.starts_with("HTTP/1.1 204 ") && written.ends_with("\r\n\r\n"),
        "{written}"
    );
    assert_eq!(written.matches("Date: ").count(), 1, "{written}");
    assert!(!written.contains(DATE), "{written}");
}

/// What Pingora makes of a request of this method with these fields: the part, the status, and whether it says that
/// there are parts.
fn part(method: &str, fields: &[(&'static str, &str)]) -> (RangeType, u16, bool) {
    let mut request = RequestHeader::build(method, b"/", None).expect("a request");
    for (name, value) in fields {
        request.insert_header(*name, *value).expect("a field");
    }
    let mut response = ResponseHeader::build(200, None).expect("a head");
    response.insert_header("Content-Length", "10").expect("a field");
    response.insert_header("ETag", "W/\"1\"").expect("a field");
    let part = range_header_filter(&request, &mut response, None);
    let is_told = response.headers.contains_key("accept-ranges");
    (part, response.status.as_u16(), is_told)
}

#[test]
fn parts_are_announced_for_the_origin() {
    assert_eq!(part("GET", &[]), (RangeType::None, 200, true));
}

#[test]
fn odd_ranges_are_taken_otherwise() {
    let of = |range| part("GET", &[("range", range)]);
    assert_eq!(
        of("bytes=-0").0,
        RangeType::Single(10..10),
        "nothing, which no store can seek"
    );
    assert_eq!(of("bytes=5-2").1, 416);
    assert_eq!(of("bytes=").1, 416);
    assert_eq!(of("bytes=0-99999999999999999999").0, RangeType::Single(0..10));
    assert_eq!(of("bytes=99999999999999999999-").0, RangeType::Invalid);
    let range = ("range", "bytes=0-1");
    assert_eq!(part("HEAD", &[range]).1, 206);
    assert_eq!(part("GET", &[range, ("if-range", "W/\"1\"")]).1, 206);
}

#[test]
fn the_last_of_doubled_directives_counts() {
    let mut fields = http::HeaderMap::new();
    fields.append("cache-control", http::HeaderValue::from_static("max-age=0, max-age=60"));
    let control = CacheControl::from_headers_named("cache-control", &fields).expect("something is said");
    assert_eq!(control.max_age().expect("a number"), Some(60));
}

/// It would wait for a response before it has written all: see `uploads`.
#[tokio::test]
async fn a_response_is_not_read_by_itself_while_content_is_written() {
    let (mut origin, io) = duplex(64);
    let mut session = Origins::new(Box::new(io));
    let mut head = RequestHeader::build("POST", b"/", None).expect("a request");
    head.insert_header("Content-Length", "1000").expect("a field");
    head.insert_header("Host", "a").expect("a field");
    session.write_request_header(Box::new(head)).await.expect("written");
    origin
        .write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        .await
        .expect("room");
    let writing = tokio::time::timeout(std::time::Duration::from_millis(100), session.write_body(&[0; 1000]));
    assert!(writing.await.is_err(), "the write waits for the origin to read");
}

/// `proxy::cache` puts all fields of a 304 into what is kept: see `cache::unchanged`.
#[tokio::test]
async fn some_fields_of_a_304_reach_what_is_kept() {
    let store: &'static MemCache = Box::leak(Box::new(MemCache::new()));
    let header = |status, fields: &[(&'static str, &'static str)]| {
        let mut header = ResponseHeader::build(status, None).expect("a header");
        for (name, value) in fields {
            header.append_header(*name, *value).expect("a field");
        }
        header
    };
    let old = [
        ("cache-control", "old"),
        ("link", "old"),
        ("vary", "old"),
        ("x-a", "old"),
    ];
    let new = [
        ("cache-control", "new"),
        ("link", "new"),
        ("vary", "new"),
        ("x-a", "new"),
        ("x-b", "new"),
    ];
    let long_ago = SystemTime::UNIX_EPOCH;
    let meta = CacheMeta::new(long_ago, long_ago, 0, 0, header(200, &old));
    let key = CacheKey::new("a", "");
    let span = Span::inactive().handle();
    let mut filling = store.get_miss_handler(&key, &meta, &span).await.expect("a fill");
    filling.write_body("content".into(), true).await.expect("written");
    filling.finish().await.expect("kept");
    let mut cache = HttpCache::new();
    cache.enable(store, None, None, None, None);
    cache.set_cache_key(key);
    let (meta, content) = cache.cache_lookup().await.expect("no error").expect("it is kept");
    cache.cache_found(meta, content, HitStatus::Expired);
    let merged = cache.revalidate_merge_header(&header(304, &new));
    let values = ["cache-control", "link", "vary", "x-a", "x-b"].map(|name| merged.headers.get(name));
    let values = values.map(|value| value.map_or("", |value| value.to_str().expect("text")));
    assert_eq!(values, ["new", "old", "old", "old", ""]);
}

/// Every test that the list of these things names is there.
#[test]
fn the_list_names_tests_that_are_there() {
    let list = include_str!("../../docs/understand/pingora.md");
    let names = list.split('`').filter(|name| name.contains("::"));
    let mut count = 0;
    for name in names {
        let (module, test) = name.rsplit_once("::").expect("a path");
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/");
        let path = format!("{folder}{}", module.replace("::", "/"));
        let source = [format!("{path}.rs"), format!("{path}/mod.rs")]
            .iter()
            .find_map(|file| std::fs::read_to_string(file).ok());
        let source = source.unwrap_or_else(|| panic!("no module {module}"));
        assert!(
            test.is_empty() || source.contains(&format!("fn {test}(")),
            "no test {name}"
        );
        count += 1;
    }
    assert!(count > 15, "{count}");
}
