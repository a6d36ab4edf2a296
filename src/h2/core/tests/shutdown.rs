//! Tests the end of a connection: GOAWAY of both sides (RFC 9113 section 6.8).

use std::time::Duration;

use super::{
    Fault, NotPromised, Pair, Reason,
    client::{self, Frame},
    ends,
};
use crate::h2::{
    core::SHUTDOWN_PING,
    wire::frame::{flag, kind},
};

fn pong() -> Vec<u8> {
    client::frame(kind::PING, flag::ACK, 0, &SHUTDOWN_PING)
}

fn last(frames: &[Frame]) -> Vec<u32> {
    let goaway = |frame: &Frame| match frame {
        Frame::GoAway { last, code: 0 } => Some(*last),
        Frame::GoAway { code, .. } => panic!("failed: {code}"),
        _ => None,
    };
    frames.iter().filter_map(goaway).collect()
}

#[test]
fn requests_under_way_at_a_shutdown_are_served_to_their_end() {
    let mut pair = Pair::new();
    let one = pair.get(1);
    let promised = pair.promise(one).unwrap();
    pair.core.shut_down(pair.now);
    let frames = pair.frames();
    assert_eq!(last(&frames), [0x7fff_ffff]);
    assert!(frames.contains(&Frame::Ping(SHUTDOWN_PING.to_vec())));
    assert_eq!(pair.promise(one), Err(NotPromised::Disabled));
    let two = pair.get(3);
    pair.receive(&pong());
    assert_eq!(last(&pair.frames()), [3]);
    pair.receive(&client::get(5));
    assert!(pair.events().is_empty() && pair.frames().is_empty());
    pair.serve(one, 10);
    pair.serve(two, 10);
    pair.serve(promised, 10);
    assert!(!pair.core.is_done());
    let frames = pair.frames();
    assert!([1, 2, 3].iter().all(|id| ends(&frames, *id)));
    assert!(pair.core.is_done() && !pair.has_failed());
    pair.assert_at_rest();
}

#[test]
fn a_shutdown_goes_on_without_an_acknowledged_ping() {
    let mut pair = Pair::new();
    assert_eq!(pair.core.tick(pair.now), None);
    pair.core.shut_down(pair.now);
    pair.core.shut_down(pair.now);
    let due = pair.core.tick(pair.now).unwrap();
    assert_eq!(due, pair.now + Duration::from_secs(1));
    pair.now = due;
    assert_eq!(pair.core.tick(pair.now), None);
    assert_eq!(last(&pair.frames()), [0x7fff_ffff, 0]);
    assert!(pair.core.is_done());
    pair.receive(&pong());
    assert!(pair.frames().is_empty(), "a late acknowledgement");
}

#[test]
fn another_ping_ends_no_shutdown() {
    let mut pair = Pair::new();
    pair.core.shut_down(pair.now);
    pair.receive(&client::frame(kind::PING, 0, 0, &SHUTDOWN_PING));
    pair.receive(&client::frame(kind::PING, flag::ACK, 0, b"12345678"));
    let frames = pair.frames();
    assert_eq!(last(&frames), [0x7fff_ffff]);
    assert!(frames.contains(&Frame::Pong(SHUTDOWN_PING.to_vec())));
}

/// A client may not have seen the GOAWAY when it sends.
#[test]
fn a_request_after_the_last_one_that_goaway_named_is_ignored_with_all_its_frames() {
    let mut pair = Pair::new();
    let one = pair.get(1);
    pair.core.go_away();
    assert_eq!(last(&pair.frames()), [1]);
    let window = pair.core.receive_window + i64::from(pair.core.unreported);
    pair.receive(
        &[
            client::post(3),
            client::data(3, b"abc", false),
            client::padded(3, b"abc", 3, false),
            client::window(3, 10),
            client::priority_update(3, "u=1"),
            client::headers(3, &[("a", "b")], true),
            client::get(5),
            client::reset(5),
            client::post(7),
            client::data(7, b"", true),
        ]
        .concat(),
    );
    assert_eq!(pair.faults(), []);
    assert!(!pair.has_failed() && pair.frames().is_empty());
    let now = pair.core.receive_window + i64::from(pair.core.unreported);
    assert_eq!(now, window, "its content counts and is given back");
    pair.serve(one, 5);
    assert!(ends(&pair.frames(), 1) && pair.core.is_done());
    pair.receive(&client::data(9, b"abc", false));
    assert_eq!(
        pair.faults(),
        [(Fault::UnexpectedFrame, None)],
        "an idle one is still idle"
    );
}

#[test]
fn hpack_tables_agree_after_an_ignored_request() {
    let mut pair = Pair::new();
    pair.get(1);
    pair.core.go_away();
    // A field that enters the dynamic table, then the index of its entry.
    let kept = [&client::block(&client::target("GET", "/"))[..], b"\x40\x01a\x01b"].concat();
    pair.receive(&client::frame(kind::HEADERS, 5, 3, &kept));
    pair.receive(&client::frame(kind::HEADERS, 5, 5, &[0xbe]));
    assert!(pair.faults().is_empty());
    pair.receive(&client::frame(kind::HEADERS, 5, 7, &[0xbf]));
    assert_eq!(pair.faults(), [(Fault::Compression, None)]);
}

#[test]
fn the_goaway_of_a_fault_names_the_last_request() {
    let mut pair = Pair::new();
    let key = pair.get(5);
    pair.respond(key);
    pair.send(key, 10);
    pair.receive(&client::frame(kind::PING, 0, 1, &[0; 8]));
    let frames = pair.frames();
    assert_eq!(frames.last(), Some(&Frame::GoAway { last: 5, code: 1 }));
    assert!(pair.core.is_done() && !pair.core.reads());
    pair.receive(&client::get(7));
    pair.core.shut_down(pair.now);
    pair.core.go_away();
    pair.core.count_malformed();
    assert!(pair.frames().is_empty());
    pair.core.detach(key, Reason::CANCEL);
    assert!(pair.core.streams.is_empty());
}

#[test]
fn a_client_that_goes_away_is_served_to_the_end() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.receive(&client::goaway(0));
    assert!(!pair.core.is_done());
    pair.serve(key, 10);
    assert!(ends(&pair.frames(), 1) && pair.core.is_done());
}
