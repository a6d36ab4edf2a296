//! WebSocket passes through as it is (RFC 6455), over HTTP/1.1.

use std::{net::TcpStream, time::Duration};

use tungstenite::{Message, WebSocket, accept_hdr, client::IntoClientRequest};

use crate::support::{
    DEADLINE,
    edge::{Edge, PAGES, config},
    handmade::Handmade,
    http1::{Http1, field},
};

const ASKING: &str = "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: keep-alive, Upgrade, X-Hop\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nLink: </a.css>; rel=preload\r\n\r\n";

/// A Close frame with 1001 (RFC 6455 section 7.4.1).
const GOING_AWAY: &[u8] = &[0x88, 2, 0x03, 0xe9];

/// Both ends after the switch, and the head of the request that the origin saw.
async fn switched(edge: &Edge, origin: &Handmade) -> (Http1, Http1, String) {
    let mut client = Http1::sending(edge.address, ASKING).await;
    let (mut server, head) = origin.request().await;
    server.send(SWITCHING).await;
    let answer = client.head().await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    (client, server, head)
}

#[tokio::test]
async fn messages_are_echoed_in_both_directions() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let edge = Edge::start(listener.local_addr().expect("an address")).await;
    let patient = |stream: &TcpStream| {
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_write_timeout(Some(DEADLINE)).expect("a timeout");
    };
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        patient(&stream);
        let mut uri = String::new();
        #[allow(clippy::result_large_err, reason = "tungstenite's signature")]
        let mut socket = accept_hdr(stream, |request: &tungstenite::handshake::server::Request, response| {
            uri = request.uri().to_string();
            Ok(response)
        })
        .expect("a handshake");
        // The server speaks first.
        socket.send(Message::text("hello")).expect("sent");
        loop {
            match socket.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).expect("sent"),
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => return uri,
                Err(e) => panic!("{e}"),
            }
        }
    });
    let address = edge.address;
    let client = tokio::task::spawn_blocking(move || {
        let stream = TcpStream::connect(address).expect("the edge listens");
        patient(&stream);
        let request = format!("ws://{address}/echo?a=b")
            .into_client_request()
            .expect("a request");
        let (mut socket, response): (WebSocket<TcpStream>, _) =
            tungstenite::client(request, stream).expect("a handshake");
        assert_eq!(response.status(), 101);
        assert_eq!(socket.read().expect("a greeting"), Message::text("hello"));
        let large = vec![7; 1 << 20];
        for message in [Message::text("one"), Message::binary(large), Message::text("")] {
            socket.send(message.clone()).expect("sent");
            assert_eq!(socket.read().expect("an echo"), message);
        }
        socket.close(None).expect("closed");
        while !matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)) {}
    });
    client.await.expect("no panic");
    assert_eq!(server.join().expect("no panic"), "/echo?a=b");
    edge.log_line(&["/echo?a=b 101", "promises=0 hints=0"]).await;
}

#[tokio::test]
async fn only_the_fields_of_the_upgrade_pass() {
    let origin = Handmade::start().await;
    let edge = Edge::start(origin.address).await;
    let (_client, _server, head) = switched(&edge, &origin).await;
    assert_eq!(
        field(&head, "connection").map(str::to_ascii_lowercase).as_deref(),
        Some("upgrade")
    );
    assert_eq!(field(&head, "upgrade"), Some("websocket"));
    assert_eq!(field(&head, "sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    for name in ["x-hop", "keep-alive", "proxy-connection", "transfer-encoding"] {
        assert_eq!(field(&head, name), None, "{head}");
    }
}

#[tokio::test]
async fn frames_in_the_packet_of_the_101_are_not_lost() {
    let origin = Handmade::start().await;
    let edge = Edge::start(origin.address).await;
    let mut client = Http1::sending(edge.address, ASKING).await;
    let (mut server, _) = origin.request().await;
    server.send(format!("{SWITCHING}first frame")).await;
    let answer = client.head().await;
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("link", "</a.css>; rel=preload"),
    ] {
        assert_eq!(field(&answer, name), Some(value), "{answer}");
    }
    assert_eq!(client.exactly(11).await, b"first frame");
    client.send("and back").await;
    assert_eq!(server.exactly(8).await, b"and back");
}

#[tokio::test]
async fn either_side_may_close() {
    let origin = Handmade::start().await;
    let edge = Edge::start(origin.address).await;
    let (mut client, mut server, _) = switched(&edge, &origin).await;
    server.send("last words").await;
    drop(server);
    assert_eq!(client.rest().await, b"last words");

    let (mut client, mut server, _) = switched(&edge, &origin).await;
    client.send("last words").await;
    drop(client);
    assert_eq!(server.rest().await, b"last words");
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Handmade::start().await;
    let edge = Edge::start(origin.address).await;
    let mut client = Http1::sending(edge.address, ASKING).await;
    let (mut server, _) = origin.request().await;
    server
        .send(
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno",
        )
        .await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
    assert_eq!(field(&head, "upgrade"), Some("websocket"), "what it would take");
    assert_eq!(body, b"no");
    // And the connection goes on; that to the origin is used for nothing else.
    client.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let (_other, next) = origin.request().await;
    assert!(next.starts_with("GET /next "), "{next}");
    assert!(server.rest().await.is_empty());
}

#[tokio::test]
async fn other_protocols_do_not_pass() {
    let origin = Handmade::start().await;
    let edge = Edge::start(origin.address).await;
    let asking = ASKING.replace("Upgrade: websocket", "Upgrade: example/1");
    let _client = Http1::sending(edge.address, asking).await;
    let (_server, head) = origin.request().await;
    assert_eq!(field(&head, "upgrade"), None, "{head}");
}

#[tokio::test]
async fn tunnels_are_told_before_the_process_ends() {
    let origin = Handmade::start().await;
    let rest = format!("server: {{ graceful_timeout: 2s }}\n{PAGES}");
    let mut edge = Edge::with(&config(origin.address, &rest)).await;
    let (mut between, mut one, _) = switched(&edge, &origin).await;
    let (mut within_frame, mut two, _) = switched(&edge, &origin).await;
    let (mut closed, mut three, _) = switched(&edge, &origin).await;
    one.send(b"\x81\x02ok").await;
    two.send(b"\x81\x03no").await;
    three.send(b"\x88\x00").await;
    let begun = std::time::Instant::now();
    edge.signal("TERM");
    // A tunnel goes on for as long as it may.
    between.send("on").await;
    assert_eq!(one.exactly(2).await, b"on");
    assert_eq!(between.rest().await, [b"\x81\x02ok", GOING_AWAY].concat());
    assert!(begun.elapsed() > Duration::from_millis(500));
    assert_eq!(within_frame.rest().await, b"\x81\x03no");
    assert_eq!(closed.rest().await, b"\x88\x00");
    assert!(edge.ended().await);
}

/// The read limits of both sides, whichever is shorter, end a tunnel on which nothing moves in
/// either direction.
#[tokio::test]
async fn a_tunnel_lives_while_either_side_speaks_and_ends_when_both_are_silent() {
    let origin = Handmade::start().await;
    for (client_limit, origin_limit) in [("1s", "60s"), ("60s", "1s")] {
        let rest = format!("server: {{ limits: {{ read_timeout: {client_limit}, handshake_timeout: 5s }} }}\n{PAGES}");
        let config = config(origin.address, &rest).replace(
            "app: { servers:",
            &format!("app: {{ read_timeout: {origin_limit}, servers:"),
        );
        let edge = Edge::with(&config).await;
        for client_speaks in [false, true] {
            let (mut client, mut server, _) = switched(&edge, &origin).await;
            let (from, to) = if client_speaks {
                (&mut client, &mut server)
            } else {
                (&mut server, &mut client)
            };
            // Three limits long.
            let mut ticks = tokio::time::interval(Duration::from_millis(100));
            for n in 0..30_u8 {
                ticks.tick().await;
                from.send([n]).await;
                assert_eq!(to.exactly(1).await, [n]);
            }
            // One that has heard no half of a frame is told.
            let told: &[u8] = if client_speaks { GOING_AWAY } else { &[] };
            assert_eq!(client.rest().await, told, "closed");
            assert!(server.rest().await.is_empty(), "closed");
        }
    }
}
