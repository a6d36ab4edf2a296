//! Tests the order of content (RFC 9218), and the number of pushed bytes that are sent.

use std::time::Duration;

use super::{
    Allowance, Pair, Priority, PushPath, Rope,
    client::{self, Frame, get_with},
    prioritized, runs, sent,
};
use crate::push::Urgency;

const LONG: usize = 40_000;

/// Returns a connection whose windows are never full.
fn open() -> Pair {
    let mut pair = Pair::with(super::CONFIG, &[(4, 0x7fff_ffff), (9, 1)]);
    pair.receive(&client::window(0, 0x7000_0000));
    pair
}

fn ask(pair: &mut Pair, id: u32, priority: &str, length: usize) {
    let key = pair.request(&get_with(id, &[("priority", priority)]));
    pair.serve(key, length);
}

fn order(frames: &[Frame]) -> Vec<u32> {
    runs(frames).iter().map(|(id, _)| *id).collect()
}

#[test]
fn more_urgent_streams_go_first_and_equal_ones_by_their_identifiers() {
    let mut pair = open();
    for (id, priority) in [(1, ""), (3, "u=5"), (5, "u=1"), (7, "u=3"), (9, "u=0")] {
        ask(&mut pair, id, priority, LONG);
    }
    assert_eq!(order(&pair.frames()), [9, 5, 1, 7, 3]);
}

#[test]
fn incremental_streams_take_turns() {
    let mut pair = open();
    for id in [1, 3, 5] {
        ask(&mut pair, id, "i", 3 * 16_384);
    }
    assert_eq!(order(&pair.frames()), [1, 3, 5, 1, 3, 5, 1, 3, 5]);
}

#[test]
fn a_client_that_sends_no_priorities_gets_its_responses_in_turns() {
    let mut pair = Pair::with(super::CONFIG, &[(4, 0x7fff_ffff)]);
    pair.receive(&client::window(0, 0x7000_0000));
    for id in [1, 3] {
        let key = pair.get(id);
        pair.serve(key, LONG);
    }
    assert_eq!(order(&pair.frames()), [1, 3, 1, 3, 1, 3]);
}

#[test]
fn a_priority_update_counts_before_its_request_comes_and_while_it_is_served() {
    let mut pair = open();
    pair.receive(&[client::priority_update(3, "u=5"), client::priority_update(3, "u=1")].concat());
    ask(&mut pair, 1, "", LONG);
    ask(&mut pair, 3, "u=7", LONG);
    ask(&mut pair, 5, "u=2", LONG);
    assert_eq!(order(&pair.turn())[0], 3);
    pair.receive(&[client::priority_update(1, "u=0"), client::priority_update(5, "u=6")].concat());
    let rest = order(&pair.frames());
    assert!(rest == [3, 1, 5] || rest == [1, 5] || rest == [1, 3, 5], "{rest:?}");
}

#[test]
fn the_priority_of_the_origin_overrides_that_of_the_client() {
    let mut pair = open();
    ask(&mut pair, 1, "u=2", LONG);
    let key = pair.request(&get_with(3, &[("priority", "u=6")]));
    pair.core.respond(key, prioritized("u=1").of()).unwrap();
    pair.send(key, LONG);
    assert_eq!(order(&pair.frames()), [3, 1]);
}

#[test]
fn pushes_are_sent_after_requests_and_one_after_another() {
    let mut pair = open();
    let document = pair.get(1);
    for urgency in [Priority::default(), Priority::parse(b"u=1"), Priority::parse(b"u=1, i")] {
        let key = pair.core.promise(document, &super::asset(), urgency).unwrap();
        pair.serve(key, LONG);
    }
    pair.serve(document, LONG);
    ask(&mut pair, 3, "u=7", LONG);
    assert_eq!(order(&pair.frames()), [1, 3, 4, 6, 2]);
    assert_eq!(
        Priority::parse(b"u=1").urgency(),
        Urgency::of(None, Some(b"high")).min(Priority::parse(b"u=1").urgency())
    );
}

#[test]
fn a_priority_update_moves_a_push_among_pushes() {
    let mut pair = open();
    let document = pair.get(1);
    let keys = [(); 3].map(|()| pair.promise(document).unwrap());
    pair.receive(&client::priority_update(6, "u=0"));
    for key in keys {
        pair.serve(key, LONG);
    }
    assert_eq!(order(&pair.frames()), [6, 2, 4]);
}

/// An urgent stream holds the others back only while it has something to send.
#[test]
fn an_urgent_stream_delays_others_only_while_it_has_content() {
    let mut pair = open();
    let slow = pair.request(&get_with(1, &[("priority", "u=1")]));
    pair.respond(slow);
    for _ in 0..10 {
        pair.send(slow, 8);
        assert_eq!(sent(&pair.frames(), 1), 8);
        pair.pass(30);
    }
    ask(&mut pair, 3, "u=5", 1000);
    assert_eq!(sent(&pair.turn(), 3), 1000);
}

/// RFC 9218 section 10: streams of one urgency that are not incremental are sent in the order of their identifiers.
#[test]
fn a_stream_that_comes_in_pieces_keeps_its_place_before_later_ones() {
    let mut pair = open();
    let first = pair.request(&get_with(1, &[("priority", "u=3")]));
    pair.respond(first);
    pair.send(first, 20_000);
    assert_eq!(sent(&pair.frames(), 1), 20_000);
    ask(&mut pair, 3, "u=3", 1_000_000);
    pair.turn();
    pair.send(first, 20_000);
    assert_eq!(order(&pair.turn())[0], 1);
}

#[test]
fn a_stream_that_waits_too_long_takes_turns_with_the_most_urgent() {
    for first in ["u=0, i", "u=0", "u=0, i=?0"] {
        let mut pair = open();
        let key = pair.request(&get_with(1, &[("priority", first)]));
        pair.respond(key);
        ask(&mut pair, 3, "u=6", 1_000_000);
        ask(&mut pair, 5, "u=6, i=?0", 1_000_000);
        let mut shares = [0; 3];
        for _ in 0..60 {
            pair.send(key, 100_000);
            let frames = pair.turn();
            for (share, id) in shares.iter_mut().zip([1, 3, 5]) {
                *share += sent(&frames, id);
            }
            pair.pass(100);
            if shares[1] == 0 && shares[2] == 0 {
                continue;
            }
        }
        assert!(shares[1] > 200_000 && shares[2] > 200_000, "{first}: {shares:?}");
        assert!(shares[0] > shares[1], "{first}: {shares:?}");
    }
}

#[test]
fn pushes_wait_half_a_second_for_a_document_whose_window_is_shut() {
    let mut pair = Pair::with(super::CONFIG, &[(4, 1000)]);
    let document = pair.get(1);
    let key = pair.promise(document).unwrap();
    pair.serve(document, 2000);
    pair.serve(key, 100);
    assert_eq!(runs(&pair.frames()), [(1, 1000)]);
    let mut out = Rope::default();
    let again = pair.core.transmit(&mut out, pair.now, &mut super::Free);
    assert_eq!(again, Some(pair.now + Duration::from_millis(500)));
    assert!(pair.core.has_output(false) && !pair.core.has_output(true));
    pair.pass(500);
    assert_eq!(runs(&pair.frames()), [(2, 100)]);
}

/// A path that takes a number of bytes, and counts them.
struct Narrow(usize, usize);

impl PushPath for Narrow {
    fn allowance(&mut self) -> Allowance {
        match self.0 {
            0 => Allowance::After(Duration::from_millis(7)),
            bytes => Allowance::Bytes(bytes),
        }
    }

    fn count(&mut self, bytes: usize) {
        self.0 -= bytes;
        self.1 += bytes;
    }
}

#[test]
fn no_more_of_a_push_is_sent_than_the_path_takes() {
    let mut pair = open();
    let document = pair.get(1);
    let key = pair.promise(document).unwrap();
    pair.serve(key, LONG);
    let mut path = Narrow(20_000, 0);
    let mut out = Rope::default();
    assert_eq!(pair.core.transmit(&mut out, pair.now, &mut path), None);
    assert_eq!(path.1, 16_384, "a frame at a time: a document may come");
    let mut frames = pair.reader.read(&out.take());
    let again = pair.core.transmit(&mut out, pair.now, &mut path);
    assert_eq!(again, Some(pair.now + Duration::from_millis(7)));
    assert_eq!(path.1, 20_000);
    frames.extend(pair.reader.read(&out.take()));
    assert_eq!(sent(&frames, 2), 20_000);
    pair.serve(document, 1000);
    pair.core.transmit(&mut out, pair.now, &mut path);
    assert_eq!(
        runs(&pair.reader.read(&out.take())),
        [(1, 1000)],
        "a request does not wait for the path"
    );
}

#[test]
fn no_more_than_one_turn_waits_to_be_written() {
    let mut pair = open();
    ask(&mut pair, 1, "", 1_000_000);
    let length = sent(&pair.turn(), 1);
    assert!((65_536..82_000).contains(&length), "{length}");
    let mut out = Rope::default();
    pair.core.transmit(&mut out, pair.now, &mut super::Free);
    let length = out.len();
    pair.core.transmit(&mut out, pair.now, &mut super::Free);
    assert_eq!(out.len(), length, "no more is chosen while a turn waits to be written");
}
