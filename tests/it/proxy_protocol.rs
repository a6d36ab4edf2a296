//! PROXY headers in front of connections: who is believed, what is told, what is refused.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use crate::support::{
    client::Client,
    edge::{Edge, listening},
    origin::Origin,
    program::{haproxy, hitch},
    raw,
    tls::issue,
    within,
};

const REQUIRED: &str = "proxy_protocol: required, trusted: [127.0.0.0/8]";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// 192.0.2.7:40000 to 10.0.0.1:443.
const CLIENT4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x9c, 0x40, 0x01, 0xbb];
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n";
const CLIENT: &str = "client=192.0.2.7:40000";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = (block.len() as u16).to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &(value.len() as u16).to_be_bytes()[..], value].concat()
}

/// A header of version 2 for the same client, with these TLVs behind the addresses.
fn v2_with(tlvs: &[Vec<u8>]) -> Vec<u8> {
    v2(0x21, 0x11, &[CLIENT4, &tlvs.concat()].concat())
}

async fn shop() -> Origin {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", "</a.css>; rel=preload; as=style")], b"page")
        .serve_ok("/a.css", &[], b"css");
    origin
}

/// Sends bytes at once, and returns all that comes back until the connection is closed.
async fn answer(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("the edge listens");
    let _ = stream.write_all(bytes).await;
    rest(&mut stream).await
}

async fn rest(stream: &mut TcpStream) -> String {
    within("the end of the connection", async {
        let mut answer = Vec::new();
        // A connection that is closed over unread bytes ends with an error.
        while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
        String::from_utf8_lossy(&answer).into_owned()
    })
    .await
}

/// Connects from another address of this machine.
async fn connect_from(own: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from((own, 0))).expect("loopback");
    socket.connect(address).await.expect("somebody listens")
}

/// What the origin was told last of the client of a path: its address and its scheme.
fn told(origin: &Origin, path: &str) -> (String, String) {
    let seen = origin.seen();
    let seen = seen.iter().rfind(|seen| seen.path() == path).expect("a request");
    let field = |name| seen.field(name).expect("a field").to_owned();
    (field("x-forwarded-for"), field("x-forwarded-proto"))
}

async fn http2(address: SocketAddr, header: &[u8], origin: &str) -> Client {
    let mut stream = TcpStream::connect(address).await.expect("the edge listens");
    stream.write_all(header).await.expect("a header");
    Client::over(stream, origin, &h2::client::Builder::new()).await
}

#[tokio::test]
async fn the_client_of_the_header_is_the_client() {
    let origin = shop().await;
    let edge = Edge::with(&listening(origin.address, REQUIRED, "")).await;
    let client6 = [&[0x20, 1][..], &[0; 13], &[7], &[0; 16], &[0x9c, 0x40, 1, 0xbb]].concat();
    for (header, client) in [
        (V1.to_vec(), CLIENT),
        (
            b"PROXY TCP6 2001:db8::7 ::1 7 443\r\n".to_vec(),
            "client=[2001:db8::7]:7",
        ),
        (v2_with(&[]), CLIENT),
        (v2(0x21, 0x21, &client6), "client=[2001::7]:40000"),
    ] {
        let lines = edge.count_lines(client);
        let http1 = answer(edge.address, &[&header, GET].concat()).await;
        assert!(http1.starts_with("HTTP/1.1 200") && http1.ends_with("page"), "{http1}");
        let page = http2(edge.address, &header, "http://shop.example").await.get("/").await;
        assert_eq!((page.promised(), &page.answer.body[..]), (vec!["/a.css"], &b"page"[..]));
        // The page, the page and its asset.
        edge.lines(client, lines + 3).await;
    }
}

#[tokio::test]
async fn a_header_for_nobody_leaves_the_connection_its_own_address() {
    let origin = shop().await;
    let edge = Edge::with(&listening(origin.address, REQUIRED, "")).await;
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 192.0.2.7 10.0.0.1 40000 443\r\n".to_vec(),
        b"PROXY UNKNOWN some words more than an address has, all of them ignored\r\n".to_vec(),
        v2(0x20, 0x00, b""),
        v2(0x20, 0x11, CLIENT4),
        v2(0x20, 0xff, &[7; 300]),
        v2(0x21, 0x00, &[9; 20]),
        v2(0x21, 0x31, &[0; 216]),
    ] {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let mut stream = socket.connect(edge.address).await.expect("the edge listens");
        let own = stream.local_addr().expect("an address");
        stream.write_all(&[&header, GET].concat()).await.expect("sent");
        let http1 = rest(&mut stream).await;
        assert!(http1.ends_with("page"), "{header:?}: {http1}");
        edge.log_line(&["GET", &format!("client={own}")]).await;
    }
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    let origin = shop().await;
    let edge = Edge::with(&listening(origin.address, REQUIRED, "")).await;
    let long = v2_with(&[tlv(0xea, &[b'x'; 700]), tlv(0x20, &[1, 0, 0, 0, 0])]);
    for header in [V1.to_vec(), v2_with(&[]), long] {
        let mut stream = TcpStream::connect(edge.address).await.expect("the edge listens");
        stream.set_nodelay(true).expect("a TCP socket");
        for byte in [&header, GET].concat() {
            stream.write_all(&[byte]).await.expect("sent");
            tokio::task::yield_now().await;
        }
        let http1 = rest(&mut stream).await;
        assert!(http1.ends_with("page"), "{http1}");
    }
    edge.lines(CLIENT, 3).await;
}

/// Headers that are no good, however long one waits; a good request follows each.
fn broken() -> Vec<Vec<u8>> {
    let mut broken: Vec<Vec<u8>> = [
        &b""[..],
        b"GET / HTTP/1.1\r\nHost: first\r\n\r\n",
        raw::PREFACE,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\0",
        b"\r\n",
        b" PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n",
        b"proxy TCP4 192.0.2.7 10.0.0.1 40000 443\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP4\r\n",
        b"PROXY tcp4 192.0.2.7 10.0.0.1 40000 443\r\n",
        b"PROXY UDP4 192.0.2.7 10.0.0.1 40000 443\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY TCP4 192.0.2.7\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443 5\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443 \r\n",
        b"PROXY TCP4  192.0.2.7 10.0.0.1 40000 443\r\n",
        b"PROXY\tTCP4 192.0.2.7 10.0.0.1 40000 443\r\n",
        b"PROXY TCP4 192.0.2.256 10.0.0.1 40000 443\r\n",
        b"PROXY TCP4 192.0.2 10.0.0.1 40000 443\r\n",
        b"PROXY TCP4 ::1 ::1 40000 443\r\n",
        b"PROXY TCP6 192.0.2.7 10.0.0.1 40000 443\r\n",
        b"PROXY TCP6 [::1] [::1] 40000 443\r\n",
        b"PROXY TCP6 fe80::1%lo ::1 40000 443\r\n",
        b"PROXY TCP4 shop.example 10.0.0.1 40000 443\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 -1 443\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 +40000 443\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 040000 443\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4e4 443\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 \r\n",
        b"PROXY TCP4 192.0.2.7\xff 10.0.0.1 40000 443\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\r\n",
        b"\r\n\r\n\0\r\nQUIT\r",
    ]
    .map(<[u8]>::to_vec)
    .into();
    broken.push([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200], b"\r\n"].concat());
    let ssl = |flags: &[u8]| v2_with(&[tlv(0x20, flags)]);
    let fixed = |length: [u8; 2]| [SIGNATURE, &[0x21, 0x11], &length, &[0; 300]].concat();
    broken.extend([
        v2(0x11, 0x11, CLIENT4),
        v2(0x31, 0x11, CLIENT4),
        v2(0x22, 0x11, CLIENT4),
        v2(0x2f, 0x11, CLIENT4),
        v2(0x21, 0x41, CLIENT4),
        v2(0x21, 0xf1, CLIENT4),
        v2(0x21, 0x13, CLIENT4),
        v2(0x21, 0x1f, CLIENT4),
        v2(0x21, 0x12, CLIENT4),
        v2(0x21, 0x11, b""),
        v2(0x21, 0x11, &CLIENT4[..11]),
        v2(0x21, 0x21, CLIENT4),
        v2(0x21, 0x21, &[0; 35]),
        v2(0x21, 0x31, &[0; 215]),
        v2(0x21, 0x11, &[CLIENT4, b"\x01"].concat()),
        v2(0x21, 0x11, &[CLIENT4, b"\x01\0"].concat()),
        v2(0x21, 0x11, &[CLIENT4, b"\x01\0\x03h2"].concat()),
        v2(0x21, 0x11, &[CLIENT4, b"\x04\xff\xffx"].concat()),
        ssl(b""),
        ssl(&[1, 0, 0, 0]),
        fixed([0xff, 0xff]),
        fixed([0x20, 0x01]),
    ]);
    broken
}

#[tokio::test]
async fn each_broken_header_closes_its_connection_and_no_other() {
    let origin = shop().await;
    // So long that only a refusal closes a connection before the test's own deadline.
    let limit = "server: { limits: { handshake_timeout: 1h } }";
    let edge = Edge::with(&listening(origin.address, REQUIRED, limit)).await;
    let other = http2(edge.address, V1, "http://shop.example").await;
    let broken = broken();
    assert!(broken.len() >= 30, "{}", broken.len());
    for header in &broken {
        let answer = answer(edge.address, &[header, GET].concat()).await;
        assert_eq!(answer, "", "{header:?}");
        assert_eq!(other.get("/").await.answer.body, b"page", "{header:?}");
    }
    // Only the other connection's requests came through: the page each time, its asset once.
    assert_eq!(origin.seen().len(), broken.len() + 1);
    // A flood of them is told once, not once each.
    edge.log_line(&["WARN", "closed a connection from 127.0.0.1:", "no PROXY header"])
        .await;
    assert_eq!(edge.count_lines("WARN"), 1, "{:?}", edge.log());
}

#[tokio::test]
async fn a_header_that_does_not_come_in_time_closes_its_connection() {
    let origin = shop().await;
    let limit = "server: { limits: { handshake_timeout: 200ms } }";
    let edge = Edge::with(&listening(origin.address, REQUIRED, limit)).await;
    let other = http2(edge.address, V1, "http://shop.example").await;
    assert_eq!(other.get("/").await.answer.body, b"page");
    let whole = v2_with(&[tlv(0xea, &[0; 600])]);
    let slow: [&[u8]; 10] = [
        b"",
        b"P",
        b"PROXY",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r",
        b"\r",
        SIGNATURE,
        &whole[..15],
        &whole[..16],
        &whole[..whole.len() - 1],
    ];
    for part in slow {
        assert_eq!(answer(edge.address, part).await, "", "{part:?}");
        assert_eq!(other.get("/").await.answer.body, b"page", "{part:?}");
    }
    // A drip of bytes is one header, and has one limit.
    let mut stream = TcpStream::connect(edge.address).await.expect("the edge listens");
    within("the end of a drip", async {
        for byte in [&b"PROXY UNKNOWN "[..], &[b'x'; 80]].concat() {
            if stream.write_all(&[byte]).await.is_err() {
                return;
            }
            // The drip itself.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("still open after 1.8 s");
    })
    .await;
}

#[tokio::test]
async fn an_untrusted_address_may_not_speak_for_others() {
    let origin = shop().await;
    let listener = "proxy_protocol: required, trusted: [127.0.0.77, '2001:db8::/32']";
    let edge = Edge::with(&listening(origin.address, listener, "")).await;
    for header in [V1.to_vec(), v2_with(&[]), b"PROXY UNKNOWN\r\n".to_vec(), Vec::new()] {
        assert_eq!(answer(edge.address, &[&header, GET].concat()).await, "");
    }
    edge.log_line(&["WARN", "it is not among the trusted networks"]).await;
    assert!(origin.seen().is_empty());
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind("127.0.0.77:0".parse().expect("an address"))
        .expect("loopback");
    let mut stream = socket.connect(edge.address).await.expect("the edge listens");
    stream.write_all(&[V1, GET].concat()).await.expect("sent");
    assert!(rest(&mut stream).await.ends_with("page"));
    edge.log_line(&["GET", CLIENT]).await;
}

#[tokio::test]
async fn a_header_without_being_asked_for_is_a_bad_request() {
    let origin = shop().await;
    let edge = Edge::with(&listening(origin.address, "proxy_protocol: off", "")).await;
    for header in [V1.to_vec(), v2_with(&[])] {
        let answer = answer(edge.address, &[&header, GET].concat()).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert!(origin.seen().is_empty());
}

#[tokio::test]
async fn only_a_trusted_client_speaks_for_others_not_one_whom_a_trusted_terminator_names() {
    let origin = shop().await;
    let listener = "proxy_protocol: required, trusted: [127.0.0.1, 198.51.100.0/24]";
    let edge = Edge::with(&listening(origin.address, listener, "")).await;
    let get = b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-For: 203.0.113.5\r\nConnection: close\r\n\r\n";
    for (header, chain) in [
        // A stranger, though the terminator is trusted.
        (V1.to_vec(), "192.0.2.7"),
        // Another proxy of ours, which talks to the terminator.
        (
            b"PROXY TCP4 198.51.100.9 10.0.0.1 40000 443\r\n".to_vec(),
            "203.0.113.5, 198.51.100.9",
        ),
        // The terminator itself.
        (v2(0x20, 0, b""), "203.0.113.5, 127.0.0.1"),
    ] {
        assert!(
            answer(edge.address, &[&header, &get[..]].concat())
                .await
                .ends_with("page")
        );
        assert_eq!(told(&origin, "/").0, chain, "{header:?}");
    }
    // Without PROXY headers it is the connection's own address that counts.
    for (trusted, chain) in [("[]", "127.0.0.1"), ("['127.0.0.0/8']", "203.0.113.5, 127.0.0.1")] {
        let edge = Edge::with(&listening(origin.address, &format!("trusted: {trusted}"), "")).await;
        assert!(answer(edge.address, get).await.ends_with("page"));
        assert_eq!(told(&origin, "/").0, chain, "{trusted}");
    }
}

/// The scheme that a page and its promise have on a listener.
async fn scheme(listener: &str, header: &[u8], claimed: &str) -> (String, String) {
    let origin = shop().await;
    let edge = Edge::with(&listening(origin.address, listener, "")).await;
    let client = http2(edge.address, header, &format!("{claimed}://shop.example")).await;
    let page = client.get("/").await;
    let promise = page.push("/a.css");
    assert_eq!(promise.delivered().body, b"css");
    let promised = promise.request.uri().scheme_str().expect("a scheme").to_owned();
    let line = edge.log_line(&["GET ", "://shop.example/ 200", "proto=h2"]).await;
    let logged = line.split("GET ").nth(1).and_then(|url| url.split("://").next());
    // HTTP/1.1 has no word in it.
    let http1 = answer(edge.address, &[header, GET].concat()).await;
    assert!(http1.ends_with("page"), "{http1}");
    let line = edge.log_line(&["GET ", "://shop.example/ 200", "proto=http/1.1"]).await;
    let http1 = line.split("GET ").nth(1).and_then(|url| url.split("://").next());
    let told = format!("{} {}", logged.expect("a URL"), http1.expect("a URL"));
    (promised, told)
}

#[tokio::test]
async fn the_scheme_is_what_the_client_spoke() {
    let ssl = |flags: u8| v2_with(&[tlv(0x20, &[flags, 0, 0, 0, 0]), tlv(1, b"h2")]);
    let required = |scheme: &str| format!("{REQUIRED}, scheme: {scheme}");
    for (listener, header, claimed, promised, logged) in [
        // Nobody tells: HTTP/2 says it itself.
        ("scheme: auto".to_owned(), Vec::new(), "http", "http", "http http"),
        ("scheme: auto".to_owned(), Vec::new(), "https", "https", "https http"),
        (required("auto"), V1.to_vec(), "https", "https", "https http"),
        // The header tells.
        (required("auto"), ssl(1), "http", "https", "https https"),
        (required("auto"), ssl(0), "https", "http", "http http"),
        // The listener tells, before all others.
        ("scheme: https".to_owned(), Vec::new(), "http", "https", "https https"),
        (required("https"), V1.to_vec(), "http", "https", "https https"),
        (required("http"), ssl(1), "https", "http", "http http"),
    ] {
        let told = scheme(&listener, &header, claimed).await;
        assert_eq!(
            told,
            (promised.to_owned(), logged.to_owned()),
            "{listener} {header:?} {claimed}"
        );
    }
}

#[tokio::test]
async fn haproxy_tells_its_clients() {
    let origin = shop().await;
    let folder = tempfile::tempdir().expect("a folder");
    // HAProxy itself may speak for others, its client may not.
    let listener = "proxy_protocol: required, trusted: [127.0.0.1]";
    let edge = Edge::with(&listening(origin.address, listener, "")).await;
    for (host, how) in ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"].iter().enumerate() {
        let haproxy = haproxy(folder.path(), edge.address, how).await;
        let stream = connect_from([127, 0, 9, host as u8], haproxy.address).await;
        let own = stream.local_addr().expect("an address");
        let client = Client::over(stream, "http://shop.example", &h2::client::Builder::new()).await;
        let page = client.get("/").await;
        assert_eq!(page.promised(), ["/a.css"], "{how}");
        for path in ["/", "/a.css"] {
            assert_eq!(told(&origin, path), (own.ip().to_string(), "http".to_owned()), "{how}");
        }
        edge.log_line(&["http://shop.example/ 200", "proto=h2", &format!("client={own}")])
            .await;
    }
}

#[tokio::test]
async fn hitch_tells_its_clients_and_ends_their_tls() {
    let origin = shop().await;
    let folder = tempfile::tempdir().expect("a folder");
    let issued = issue(&["shop.example"]);
    let pem = issued.write_both(folder.path());
    let listener = "proxy_protocol: required, trusted: [127.0.0.1]";
    let edge = Edge::with(&listening(origin.address, listener, "")).await;
    // Version 1 cannot tell of TLS; HTTP/2 tells it itself, HTTP/1.1 cannot.
    for (how, http1_scheme) in [("--write-proxy-v1", "http"), ("--write-proxy-v2", "https")] {
        let hitch = hitch(&pem, edge.address, &[how]).await;
        let stream = connect_from([127, 0, 9, 1], hitch.address).await;
        let tls = within("TLS", issued.over(stream, "shop.example", &["h2"])).await;
        let tls = tls.expect("TLS");
        let own = tls.get_ref().0.local_addr().expect("an address");
        let client = Client::over(tls, "https://shop.example", &h2::client::Builder::new()).await;
        let page = client.get("/").await;
        let promised = page.push("/a.css").request.uri().to_string();
        assert_eq!(promised, "https://shop.example/a.css", "{how}");
        for path in ["/", "/a.css"] {
            assert_eq!(told(&origin, path), (own.ip().to_string(), "https".to_owned()), "{how}");
        }
        edge.log_line(&["https://shop.example/ 200", "proto=h2", &format!("client={own}")])
            .await;

        let mut tls = issued.connect(hitch.address, "shop.example", &["http/1.1"]).await;
        let own = tls.get_ref().0.local_addr().expect("an address");
        tls.write_all(GET).await.expect("sent");
        let mut answer = String::new();
        let _ = within("an answer", tls.read_to_string(&mut answer)).await;
        assert!(answer.ends_with("page"), "{how}: {answer}");
        assert_eq!(
            told(&origin, "/"),
            (own.ip().to_string(), http1_scheme.to_owned()),
            "{how}"
        );
        let line = format!("GET {http1_scheme}://shop.example/ 200");
        edge.log_line(&[&line, "proto=http/1.1", &format!("client={own}")])
            .await;
    }
}

#[tokio::test]
async fn one_client_has_no_more_connections_than_it_may() {
    let origin = shop().await;
    let limits = "server: { limits: { max_connections_per_client: 2 } }";
    let edge = Edge::with(&listening(origin.address, REQUIRED, limits)).await;
    let first = http2(edge.address, V1, "http://shop.example").await;
    let second = http2(edge.address, &v2_with(&[]), "http://shop.example").await;
    for client in [&first, &second] {
        assert_eq!(client.get("/").await.answer.body, b"page");
    }
    for _ in 0..3 {
        assert_eq!(answer(edge.address, &[V1, GET].concat()).await, "");
    }
    edge.log_line(&["WARN", "192.0.2.7:40000: 2 connections are open from there already"])
        .await;
    assert_eq!(edge.count_lines("WARN"), 1, "{:?}", edge.log());
    // Another client, though the terminator is the same.
    let other = b"PROXY TCP4 192.0.2.8 10.0.0.1 40000 443\r\n";
    assert!(answer(edge.address, &[other, GET].concat()).await.ends_with("page"));
    assert_eq!(first.get("/").await.answer.body, b"page");
    // A connection that ends makes room.
    drop(first);
    within("room", async {
        while !answer(edge.address, &[V1, GET].concat()).await.ends_with("page") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
