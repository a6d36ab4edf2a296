//! An upgraded connection with the h2 crate on it, and the pieces by themselves.

use h2::{RecvStream, server};
use http::{HeaderValue, Method, Request, Version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::h2::{
    chunk::Chunk,
    frames::tests::{frame, setting},
};

fn limits() -> Limits {
    Limits {
        max_streams: 8,
        max_header_bytes: 64 * 1024,
        max_malformed: 8,
        diary_entries: 16,
        handshake_timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(20),
        read_timeout: Duration::from_secs(20),
        write_timeout: Duration::from_secs(20),
    }
}

fn request(fields: &[(&'static str, &str)]) -> Parts {
    let mut request = Request::get("http://a.example/x?y").version(Version::HTTP_2);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).expect("a request").into_parts().0
}

type Conn = server::Connection<Upgraded<DuplexStream>, Chunk>;

/// A connection that begins with this request, and its client; the transport holds `capacity` bytes.
async fn begun(request: &Parts, settings: &[u8], capacity: usize) -> (DuplexStream, Conn) {
    let (client, io) = duplex(capacity);
    let beginning = Beginning::new(request, settings, &limits()).expect("an upgrade");
    let conn = server::Builder::new().handshake(Upgraded::new(io, Some(beginning)));
    (client, conn.await.expect("a handshake"))
}

async fn first_request(conn: &mut Conn) -> (Request<RecvStream>, server::SendResponse<Chunk>) {
    conn.accept().await.expect("a request").expect("well-formed")
}

#[tokio::test]
async fn the_request_is_stream_1_and_whole() {
    let cookie = "c=".to_owned() + &"0123456789".repeat(4000);
    let fields = [
        ("cookie", cookie.as_str()),
        ("x-empty", ""),
        ("x-two", "1"),
        ("x-two", "2"),
    ];
    let (_client, mut conn) = begun(&request(&fields), b"", 4096).await;
    let (mut request, respond) = first_request(&mut conn).await;
    assert_eq!(respond.stream_id().as_u32(), 1);
    assert_eq!(request.method(), Method::GET);
    assert_eq!(request.uri(), "http://a.example/x?y");
    let seen: Vec<_> = request
        .headers()
        .iter()
        .map(|(n, v)| (n.as_str(), v.to_str().expect("ASCII")))
        .collect();
    assert_eq!(seen, fields);
    assert!(request.body_mut().is_end_stream());
}

/// Frames in what a server wrote.
fn frames_of(mut bytes: &[u8]) -> Vec<(u8, u8, u32)> {
    let mut frames = Vec::new();
    while let [l2, l1, l0, kind, flags, s3, s2, s1, s0, rest @ ..] = bytes {
        frames.push((*kind, *flags, u32::from_be_bytes([*s3, *s2, *s1, *s0])));
        bytes = rest
            .get(u32::from_be_bytes([0, *l2, *l1, *l0]) as usize..)
            .expect("whole frames");
    }
    assert!(bytes.is_empty(), "whole frames");
    frames
}

#[tokio::test]
async fn one_acknowledgement_is_taken_out_however_slowly_it_is_read() {
    for capacity in [1, 7, 4096] {
        let (mut client, mut conn) = begun(&request(&[]), &setting(frames::ENABLE_PUSH, 0), 4096.max(capacity)).await;
        let (_, mut respond) = first_request(&mut conn).await;
        respond.send_response(http::Response::new(()), true).expect("sent");
        let client = tokio::spawn(async move {
            client.write_all(frames::PREFACE).await.expect("sent");
            client
                .write_all(&frame(frames::SETTINGS, 0, 0, b""))
                .await
                .expect("sent");
            client
                .write_all(&frame(frames::GOAWAY, 0, 0, &[0; 8]))
                .await
                .expect("sent");
            let mut written = Vec::new();
            let mut piece = vec![0; capacity];
            loop {
                match client.read(&mut piece).await.expect("read") {
                    0 => return written,
                    read => written.extend_from_slice(piece.get(..read).expect("as many")),
                }
            }
        });
        while let Some(more) = conn.accept().await {
            assert!(more.is_err(), "no other request");
        }
        drop(conn);
        let frames = frames_of(&client.await.expect("no panic"));
        let count = |wanted: (u8, u8, u32)| frames.iter().filter(|&&frame| frame == wanted).count();
        assert_eq!(frames.first(), Some(&(frames::SETTINGS, 0, 0)), "{frames:?}");
        assert_eq!(count((frames::SETTINGS, frames::ACK, 0)), 1, "{frames:?}");
        assert_eq!(
            count((frames::HEADERS, frames::END_STREAM | frames::END_HEADERS, 1)),
            1,
            "{frames:?}"
        );
    }
}

#[tokio::test]
async fn writes_that_are_cut_anywhere_lose_nothing_but_the_acknowledgement() {
    let ack = frame(frames::SETTINGS, frames::ACK, 0, b"");
    let settings = frame(frames::SETTINGS, 0, 0, &setting(frames::ENABLE_PUSH, 0));
    let data = frame(frames::DATA, 0, 1, &ack.repeat(3));
    let written = [settings.as_slice(), &data, &ack, &data, &ack].concat();
    let expected = [settings.as_slice(), &data, &data, &ack].concat();
    for capacity in 1..40 {
        let (mut client, io) = duplex(capacity);
        let beginning = Beginning::new(&request(&[]), b"", &limits()).expect("an upgrade");
        let mut io = Upgraded::new(io, Some(beginning));
        let written = written.clone();
        tokio::spawn(async move { io.write_all(&written).await.expect("written") });
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.expect("read");
        assert_eq!(read, expected, "capacity {capacity}");
    }
}

async fn after_upgrade(sent: &[u8], timeout: Duration) -> io::Error {
    let (mut client, io) = duplex(4096);
    let limits = Limits {
        handshake_timeout: timeout,
        ..limits()
    };
    let beginning = Beginning::new(&request(&[]), b"", &limits).expect("an upgrade");
    let mut io = Upgraded::new(io, Some(beginning));
    client.write_all(sent).await.expect("sent");
    let mut read = Vec::new();
    io.read_to_end(&mut read).await.expect_err("the end")
}

#[tokio::test]
async fn another_preface_ends_the_connection() {
    for wrong in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nXX"] {
        let error = after_upgrade(wrong, Duration::from_secs(20)).await;
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn a_preface_that_does_not_come_ends_the_connection() {
    for part in [0, 1, 23] {
        let error = after_upgrade(frames::PREFACE.get(..part).expect("a part"), Duration::from_millis(5)).await;
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn after_the_preface_all_passes() {
    let (mut client, io) = duplex(4096);
    let beginning = Beginning::new(&request(&[]), b"", &limits()).expect("an upgrade");
    let told = beginning.told.clone();
    let mut io = Upgraded::new(io, Some(beginning));
    client
        .write_all(&[frames::PREFACE.as_slice(), frames::PREFACE, b"more"].concat())
        .await
        .expect("sent");
    drop(client);
    let mut read = Vec::new();
    io.read_to_end(&mut read).await.expect("read");
    assert_eq!(read, [told.as_slice(), frames::PREFACE, b"more"].concat());
}

#[test]
fn settings_are_checked_as_the_h2_crate_does() {
    let table = [
        (vec![], true),
        (setting(frames::ENABLE_PUSH, 0), true),
        (setting(frames::ENABLE_PUSH, 1), true),
        (setting(frames::ENABLE_PUSH, 2), false),
        (setting(frames::ENABLE_CONNECT_PROTOCOL, 2), false),
        (setting(frames::INITIAL_WINDOW_SIZE, 0x7fff_ffff), true),
        (setting(frames::INITIAL_WINDOW_SIZE, 0x8000_0000), false),
        (setting(frames::MAX_FRAME_SIZE, 0x4000), true),
        (setting(frames::MAX_FRAME_SIZE, 0x3fff), false),
        (setting(frames::MAX_FRAME_SIZE, 0x100_0000), false),
        (setting(0xffff, u32::MAX), true),
        (
            [setting(frames::ENABLE_PUSH, 1), setting(frames::ENABLE_PUSH, 2)].concat(),
            false,
        ),
        (vec![0; 5], false),
        (setting(0xffff, 0).repeat(2731), false),
    ];
    for (payload, expected) in table {
        assert_eq!(are_settings(&payload), expected, "{payload:?}");
    }
}

#[test]
fn what_http2_would_refuse_is_not_upgraded() {
    let refused = |request: &Parts, settings: &[u8]| Beginning::new(request, settings, &limits()).map(|_| ());
    assert_eq!(refused(&request(&[]), b"123"), Err(NotUpgradable::Settings));
    let large = "x".repeat(64 * 1024);
    let large = request(&[("cookie", &large)]);
    assert_eq!(refused(&large, b""), Err(NotUpgradable::TooLarge(64 * 1024)));
    let mut two_hosts = request(&[]);
    for _ in 0..2 {
        two_hosts.headers.append("host", HeaderValue::from_static("a.example"));
    }
    assert_eq!(
        refused(&two_hosts, b""),
        Err(NotUpgradable::Rejected(Rejection::DuplicateHost))
    );
}
