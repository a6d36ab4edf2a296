//! Tests promises: their identifiers, their documents, and their reset or refusal by the client (RFC 9113 section 8.4).

use super::{
    CONFIG, Event, NotPromised, Pair, Reason, SendError,
    client::{self, Frame},
    content, ends, is_reset, no_content, ok, sent,
};
use crate::h2::core::{Config, MAX_PROMISES};

fn promised(frames: &[Frame]) -> Vec<(u32, u32)> {
    let promise = |frame: &Frame| match frame {
        Frame::Promise { stream, promised, .. } => Some((*stream, *promised)),
        _ => None,
    };
    frames.iter().filter_map(promise).collect()
}

fn refusals(pair: &mut Pair) -> usize {
    let events = pair.events();
    events
        .iter()
        .filter(|event| matches!(event, Event::PromiseRefused))
        .count()
}

#[test]
fn promises_of_several_documents_leave_in_the_order_of_their_identifiers() {
    let mut pair = Pair::new();
    let documents = [pair.get(1), pair.get(3), pair.get(5)];
    for at in [0, 2, 1, 0, 1, 2, 2] {
        pair.promise(documents[at]).unwrap();
    }
    let frames = pair.frames();
    assert_eq!(
        promised(&frames),
        [(1, 2), (5, 4), (3, 6), (1, 8), (3, 10), (5, 12), (5, 14)]
    );
    let Frame::Promise { fields, .. } = &frames[0] else {
        panic!("a promise")
    };
    let fields: Vec<_> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(
        fields,
        [
            (":method", "GET"),
            (":scheme", "https"),
            (":authority", "h"),
            (":path", "/asset")
        ]
    );
}

#[test]
fn a_promise_is_sent_before_the_head_and_content_that_follow_it() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    let key = pair.promise(document).unwrap();
    pair.serve(document, 10);
    pair.serve(key, 10);
    let frames = pair.frames();
    assert!(matches!(
        frames[..],
        [
            Frame::Promise { promised: 2, .. },
            Frame::Headers { stream: 1, .. },
            Frame::Data { stream: 1, .. },
            Frame::Headers { stream: 2, .. },
            Frame::Data { stream: 2, .. },
        ]
    ));
    pair.assert_at_rest();
}

#[test]
fn a_document_that_has_ended_promises_nothing() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    pair.respond(document);
    pair.send(document, 100_000);
    pair.core.finish(document, None).unwrap();
    pair.frames();
    assert!(pair.promise(document).is_ok(), "its end has not left");
    pair.receive(&[client::window(1, 50_000), client::window(0, 50_000)].concat());
    assert!(ends(&pair.frames(), 1));
    assert_eq!(pair.promise(document), Err(NotPromised::Parent));

    let document = pair.get(3);
    let key = pair.promise(document).unwrap();
    assert_eq!(pair.promise(key), Err(NotPromised::Parent), "nor a promise");
    pair.receive(&client::reset(3));
    assert_eq!(pair.promise(document), Err(NotPromised::Parent));
    pair.core.detach(document, Reason::CANCEL);
    assert_eq!(pair.promise(document), Err(NotPromised::Parent));

    let document = pair.request(&client::post(5));
    pair.respond(document);
    pair.core.finish(document, None).unwrap();
    assert_eq!(pair.promise(document), Err(NotPromised::Parent), "half closed");
}

#[test]
fn a_promise_outlives_the_reset_of_its_document() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    let key = pair.promise(document).unwrap();
    pair.receive(&client::reset(1));
    pair.core.detach(document, Reason::CANCEL);
    pair.serve(key, 10);
    let frames = pair.frames();
    assert!(ends(&frames, 2) && sent(&frames, 2) == 10);
    pair.assert_at_rest();
}

#[test]
fn a_promise_may_be_reset_before_its_head_and_after() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    let keys = [(); 3].map(|()| pair.promise(document).unwrap());
    pair.receive(&client::reset(2));
    assert!(is_reset(pair.core.respond(keys[0], ok().of()).unwrap_err()));
    pair.respond(keys[1]);
    pair.send(keys[1], 100_000);
    pair.frames();
    pair.receive(&client::reset(4));
    assert!(is_reset(
        pair.core.send(keys[1], content(1), false, || pair.now).unwrap_err()
    ));
    assert_eq!(refusals(&mut pair), 2);
    pair.core.reset(keys[2], Reason::CANCEL);
    assert_eq!(pair.frames(), [Frame::Reset { stream: 6, code: 8 }]);
    for key in keys {
        pair.core.detach(key, Reason::CANCEL);
    }
    pair.core.detach(document, Reason::CANCEL);
    assert!(!pair.has_failed());
    pair.assert_at_rest();
}

#[test]
fn a_promise_is_refused_once() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    let key = pair.promise(document).unwrap();
    pair.receive(&[client::reset(2), client::reset(2)].concat());
    assert_eq!(refusals(&mut pair), 1);
    pair.core.detach(key, Reason::CANCEL);
    let key = pair.promise(document).unwrap();
    pair.serve(key, 1);
    pair.frames();
    pair.receive(&[client::reset(4), client::reset(4)].concat());
    assert_eq!(refusals(&mut pair), 1, "of a push that has been sent");
    assert!(!pair.has_failed());
}

#[test]
fn reserved_streams_take_window_updates_and_priorities() {
    let mut pair = Pair::with(CONFIG, &[(4, 0)]);
    let document = pair.get(1);
    let key = pair.promise(document).unwrap();
    pair.receive(
        &[
            client::window(2, 10),
            client::priority_update(2, "u=1"),
            client::frame(2, 0, 2, &[0, 0, 0, 0, 1]),
        ]
        .concat(),
    );
    assert!(pair.faults().is_empty());
    pair.serve(key, 10);
    pair.core.detach(document, Reason::CANCEL);
    assert!(ends(&pair.frames(), 2));
    pair.receive(&client::data(2, b"a", false));
    assert!(pair.has_failed(), "and nothing else");
}

#[test]
fn heads_wait_for_the_client_s_limit_of_streams() {
    let mut pair = Pair::with(CONFIG, &[(3, 1)]);
    let document = pair.get(1);
    let keys = [(); 4].map(|()| pair.promise(document).unwrap());
    pair.serve(document, 1);
    pair.serve(keys[0], 100_000);
    pair.serve(keys[1], 10);
    pair.respond(keys[2]);
    pair.send(keys[2], 20);
    assert_eq!(pair.core.poll_writable(keys[2]), Ok(false), "its head has not left");
    pair.core.respond(keys[3], no_content().of()).unwrap();
    pair.core.detach(keys[3], Reason::CANCEL);
    let frames = pair.frames();
    assert!(
        !frames
            .iter()
            .any(|frame| matches!(frame, Frame::Headers { stream: 4.., .. }))
    );
    pair.events();
    pair.receive(&[client::window(2, 50_000), client::window(0, 50_000)].concat());
    let frames = pair.frames();
    assert!(ends(&frames, 2));
    assert!(
        ends(&frames, 4) && sent(&frames, 4) == 10,
        "content that waited goes: {frames:?}"
    );
    assert_eq!(sent(&frames, 6), 20);
    assert!(
        pair.events()
            .iter()
            .any(|event| matches!(event, Event::Writable(key) if *key == keys[2]))
    );
    pair.core.finish(keys[2], None).unwrap();
    pair.core.detach(keys[2], Reason::CANCEL);
    let frames = pair.frames();
    assert!(ends(&frames, 6) && ends(&frames, 8), "{frames:?}");
    pair.assert_at_rest();
}

#[test]
fn the_reset_of_a_held_promise_opens_no_other_promise() {
    let mut pair = Pair::with(CONFIG, &[(3, 1)]);
    let document = pair.get(1);
    pair.respond(document);
    let open = pair.promise(document).unwrap();
    pair.respond(open);
    let held = [(); 2].map(|()| pair.promise(document).unwrap());
    for key in held {
        pair.serve(key, 10);
    }
    pair.frames();
    pair.receive(&client::reset(4));
    let frames = pair.frames();
    assert!(frames.is_empty(), "one is open: {frames:?}");
    assert_eq!(pair.core.held.len(), 1, "the reset promise is not held any more");
    pair.receive(&client::reset(2));
    assert!(ends(&pair.frames(), 6));
    pair.core.detach(open, Reason::CANCEL);
    pair.core.detach(document, Reason::CANCEL);
    pair.frames();
    pair.assert_at_rest();
}

#[test]
fn promises_are_reset_if_the_client_allows_no_stream() {
    let mut pair = Pair::with(CONFIG, &[(3, 1)]);
    let document = pair.get(1);
    let keys = [(); 4].map(|()| pair.promise(document).unwrap());
    pair.respond(keys[0]);
    pair.respond(keys[1]);
    pair.frames();
    pair.receive(&client::settings(&[(3, 0)]));
    assert!(pair.frames().contains(&Frame::Reset { stream: 4, code: 8 }));
    assert_eq!(
        pair.core.respond(keys[2], ok().of()),
        Err(SendError::Reset(Reason::CANCEL))
    );
    pair.send(keys[0], 5);
    pair.core.finish(keys[0], None).unwrap();
    assert!(ends(&pair.frames(), 2), "an open one is finished");
    pair.receive(&client::settings(&[(3, 1)]));
    pair.respond(keys[3]);
    assert!(matches!(
        pair.frames()[..],
        [Frame::SettingsAck, Frame::Headers { stream: 8, .. }]
    ));
    for key in keys {
        pair.core.detach(key, Reason::CANCEL);
    }
    pair.core.detach(document, Reason::CANCEL);
    pair.frames();
    pair.assert_at_rest();
}

#[test]
fn held_heads_are_sent_when_the_client_s_limit_grows() {
    let mut pair = Pair::with(CONFIG, &[(3, 1)]);
    let document = pair.get(1);
    let keys = [(); 3].map(|()| pair.promise(document).unwrap());
    pair.serve(document, 1);
    for key in keys {
        pair.respond(key);
        pair.send(key, 5);
    }
    pair.frames();
    pair.receive(&client::settings(&[(3, 2)]));
    let frames = pair.frames();
    assert_eq!(
        frames[0],
        Frame::SettingsAck,
        "the client counts by its old limit until then"
    );
    assert_eq!((sent(&frames, 4), sent(&frames, 6)), (5, 0));
}

#[test]
fn a_client_may_turn_push_off_and_on() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    let key = pair.promise(document).unwrap();
    pair.receive(&client::settings(&[(2, 0)]));
    assert_eq!(pair.promise(document), Err(NotPromised::Disabled));
    pair.serve(key, 10);
    assert!(ends(&pair.frames(), 2), "a promise stays valid");
    pair.receive(&client::settings(&[(2, 1)]));
    assert!(pair.promise(document).is_ok());
    let events = pair.events();
    let settings = events.iter().filter_map(|event| match event {
        Event::Settings { enable_push, .. } => Some(*enable_push),
        _ => None,
    });
    assert_eq!(settings.collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_goaway_of_the_client_drops_the_promises_that_it_has_not_seen() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    let keys = [(); 3].map(|()| pair.promise(document).unwrap());
    pair.receive(&client::goaway(2));
    assert_eq!(pair.promise(document), Err(NotPromised::Disabled));
    let events = pair.events();
    assert!(matches!(
        events[..],
        [Event::GoingAway, Event::Closed { .. }, Event::Closed { .. }]
    ));
    for key in keys {
        if pair.core.respond(key, ok().of()).is_ok() {
            pair.core.finish(key, None).unwrap();
        }
        pair.core.detach(key, Reason::CANCEL);
    }
    pair.serve(document, 10);
    let frames = pair.frames();
    assert!(ends(&frames, 1) && ends(&frames, 2) && promised(&frames).len() == 3);
    assert!(!frames.iter().any(|frame| frame.is_about(4) || frame.is_about(6)));
    // The client may have seen them meanwhile.
    pair.receive(&[client::reset(4), client::window(6, 10), client::goaway(0)].concat());
    assert!(pair.core.is_done() && !pair.has_failed());
    pair.assert_at_rest();
}

#[test]
fn the_number_of_promises_is_limited() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    let keys: Vec<_> = (0..MAX_PROMISES).map(|_| pair.promise(document).unwrap()).collect();
    assert_eq!(pair.promise(document), Err(NotPromised::TooMany));
    pair.core.detach(keys[7], Reason::CANCEL);
    assert!(pair.promise(document).is_ok());
}

#[test]
fn promises_do_not_count_in_the_limit_of_requests() {
    let mut pair = Pair::with(
        Config {
            max_streams: 2,
            ..CONFIG
        },
        &[],
    );
    let document = pair.get(1);
    for _ in 0..100 {
        pair.promise(document).unwrap();
    }
    pair.get(3);
    assert!(pair.faults().is_empty());
}

#[test]
fn no_promise_is_sent_after_the_last_identifier() {
    let mut pair = Pair::new();
    let document = pair.get(1);
    pair.core.next_promise = 0x7fff_fffe;
    let key = pair.promise(document).unwrap();
    assert_eq!(key.id(), 0x7fff_fffe);
    assert_eq!(pair.promise(document), Err(NotPromised::TooMany));
}
