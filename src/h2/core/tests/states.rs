//! Tests the states of streams: heads, ends and resets of both sides (RFC 9113 sections 5.1 and 8.1).

use http::{HeaderMap, StatusCode};

use super::{
    CONFIG, Fault, Pair, Reason, Response, SendError,
    client::{self, Frame},
    content, ends, is_reset, no_content, ok,
};
use crate::h2::{
    core::{Config, Event},
    wire::frame::{flag, kind},
};

#[test]
fn a_response_has_a_head_content_and_an_end() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.serve(key, 5);
    let frames = pair.frames();
    assert!(matches!(
        &frames[..],
        [Frame::Headers { stream: 1, fields, is_end: false }, Frame::Data { content, is_end: true, .. }]
            if fields[0] == (":status".to_owned(), "200".to_owned()) && content == b"xxxxx"
    ));
    assert!(matches!(
        pair.events()[..],
        [Event::Closed {
            sent: 5,
            reason: None,
            ..
        }]
    ));
    pair.assert_at_rest();
}

#[test]
fn a_response_without_content_ends_with_its_head() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.core.respond(key, no_content().of()).unwrap();
    assert_eq!(
        pair.core.send(key, content(1), false, || pair.now),
        Err(SendError::State)
    );
    pair.core.detach(key, Reason::INTERNAL_ERROR);
    assert!(matches!(pair.frames()[..], [Frame::Headers { is_end: true, .. }]));
    pair.assert_at_rest();
}

#[test]
fn an_empty_response_ends_with_an_empty_frame() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.respond(key);
    pair.core.send(key, content(0), false, || pair.now).unwrap();
    pair.core.finish(key, None).unwrap();
    pair.core.detach(key, Reason::INTERNAL_ERROR);
    assert!(matches!(&pair.frames()[1..], [Frame::Data { content, is_end: true, .. }] if content.is_empty()));
    pair.assert_at_rest();
}

#[test]
fn the_end_after_all_content_has_left_is_a_frame_of_its_own() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.respond(key);
    pair.send(key, 3);
    assert!(!ends(&pair.frames(), 1));
    pair.core.finish(key, None).unwrap();
    assert!(ends(&pair.frames(), 1));
}

#[test]
fn trailers_follow_all_content() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.respond(key);
    pair.send(key, 100_000);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    pair.core.finish(key, Some(trailers)).unwrap();
    pair.core.detach(key, Reason::INTERNAL_ERROR);
    let frames = pair.frames();
    assert!(
        matches!(frames.last(), Some(Frame::Data { is_end: false, .. })),
        "the window is shut"
    );
    pair.receive(&[client::window(1, 50_000), client::window(0, 50_000)].concat());
    let frames = pair.frames();
    assert!(matches!(
        frames.last(),
        Some(Frame::Headers { fields, is_end: true, .. }) if fields[0].0 == "grpc-status"
    ));
    pair.assert_at_rest();
}

#[test]
fn trailers_of_a_request_end_it() {
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    pair.receive(&client::data(1, b"abc", false));
    pair.receive(&client::headers(1, &[("checksum", "7")], true));
    assert!(!pair.core.is_request_done(key), "it is to be read");
    assert_eq!(pair.core.read(key).unwrap(), "abc");
    assert!(pair.core.is_request_done(key));
    pair.serve(key, 1);
    pair.frames();
    pair.assert_at_rest();
}

#[test]
fn malformed_trailers_reset_the_stream() {
    for trailers in [
        client::headers(1, &[("a", "b")], false),
        client::headers(1, &[(":path", "/")], true),
        client::headers(1, &[("A", "b")], true),
    ] {
        let mut pair = Pair::new();
        pair.request(&client::post(1));
        pair.receive(&trailers);
        assert_eq!(pair.faults(), [(Fault::Malformed, Some(1))]);
        assert!(!pair.has_failed());
    }
}

#[test]
fn interim_responses_go_before_the_final_one_only() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    let hints = HeaderMap::new();
    for _ in 0..2 {
        pair.core.inform(key, StatusCode::EARLY_HINTS, &hints).unwrap();
    }
    pair.respond(key);
    assert_eq!(
        pair.core.inform(key, StatusCode::EARLY_HINTS, &hints),
        Err(SendError::State)
    );
    let statuses: Vec<_> = pair
        .frames()
        .iter()
        .filter_map(|frame| match frame {
            Frame::Headers { fields, is_end, .. } => Some((fields[0].1.clone(), *is_end)),
            _ => None,
        })
        .collect();
    let is = |status: &str| (status.to_owned(), false);
    assert_eq!(statuses, [is("103"), is("103"), is("200")]);
}

#[test]
fn commands_out_of_order_are_errors() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    assert_eq!(
        pair.core.send(key, content(1), false, || pair.now),
        Err(SendError::State)
    );
    assert_eq!(pair.core.finish(key, None), Err(SendError::State));
    pair.respond(key);
    assert_eq!(pair.core.respond(key, ok().of()), Err(SendError::State));
    pair.core.finish(key, None).unwrap();
    assert_eq!(pair.core.finish(key, None), Err(SendError::State));
    assert_eq!(pair.core.respond(key, ok().of()), Err(SendError::State));
    pair.frames();
    pair.core.detach(key, Reason::CANCEL);
    assert!(
        is_reset(pair.core.respond(key, ok().of()).unwrap_err()),
        "a key whose stream is gone"
    );
    pair.assert_at_rest();
}

#[test]
fn a_head_longer_than_a_frame_goes_on_in_continuations() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    let mut headers = HeaderMap::new();
    for at in 0..40 {
        let name: http::HeaderName = format!("x-{at}").parse().unwrap();
        headers.insert(name, "\u{7e}~~~~~~~".repeat(200).parse().unwrap());
    }
    let is_end = true;
    let status = StatusCode::OK;
    pair.core
        .respond(
            key,
            Response {
                status,
                headers,
                is_end,
            }
            .of(),
        )
        .unwrap();
    let frames = pair.frames();
    assert!(matches!(&frames[..], [Frame::Headers { fields, is_end: true, .. }] if fields.len() == 41));
}

#[test]
fn the_smallest_table_that_settings_name_is_signaled_before_fields() {
    for sizes in [
        &[&[(1, 0), (1, 4096)][..]][..],
        &[&[(1, 0)], &[(1, 4096)]],
        &[&[(1, 100)]],
    ] {
        let mut pair = Pair::new();
        let key = pair.get(1);
        pair.core.respond(key, super::prioritized("u=1").of()).unwrap();
        pair.frames();
        for sizes in sizes {
            pair.receive(&client::settings(sizes));
            sizes.iter().for_each(|(_, size)| pair.reader.table_acknowledged(*size));
        }
        let key = pair.get(3);
        pair.core.respond(key, super::prioritized("u=1").of()).unwrap();
        assert!(matches!(pair.frames().last(), Some(Frame::Headers { fields, .. }) if fields.len() == 2));
    }
}

#[test]
fn a_reset_of_the_client_drops_what_waits() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.respond(key);
    pair.send(key, 200_000);
    pair.frames();
    pair.receive(&client::reset(1));
    assert!(matches!(
        pair.events()[..],
        [Event::Closed {
            sent: 65_535,
            reason: Some(Reason::CANCEL),
            ..
        }]
    ));
    assert!(pair.frames().is_empty(), "no reset answers a reset");
    assert!(is_reset(
        pair.core.send(key, content(1), false, || pair.now).unwrap_err()
    ));
    pair.core.detach(key, Reason::INTERNAL_ERROR);
    assert!(pair.frames().is_empty());
    pair.assert_at_rest();
}

#[test]
fn a_detached_stream_is_reset_unless_its_response_is_complete() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.core.detach(key, Reason::INTERNAL_ERROR);
    assert_eq!(pair.frames(), [Frame::Reset { stream: 1, code: 2 }]);
    let key = pair.get(3);
    pair.respond(key);
    pair.send(key, 10);
    pair.core.detach(key, Reason::INTERNAL_ERROR);
    assert!(pair.frames().contains(&Frame::Reset { stream: 3, code: 2 }));
    pair.assert_at_rest();
}

#[test]
fn a_response_before_the_end_of_its_request_asks_the_client_to_stop() {
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    pair.serve(key, 10);
    let frames = pair.frames();
    assert!(ends(&frames, 1));
    assert_eq!(frames.last(), Some(&Frame::Reset { stream: 1, code: 0 }));
    // Content that the client sent before it saw the reset.
    pair.receive(&[client::data(1, b"abc", false), client::headers(1, &[("a", "b")], true)].concat());
    assert!(pair.faults().is_empty() && pair.frames().is_empty());
    pair.assert_at_rest();
}

#[test]
fn a_response_may_end_before_its_request_while_the_owner_reads_on() {
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    pair.respond(key);
    pair.core.finish(key, None).unwrap();
    assert!(ends(&pair.frames(), 1));
    pair.receive(&client::data(1, b"abc", true));
    assert!(matches!(pair.events().last(), Some(Event::Closed { reason: None, .. })));
    assert_eq!(pair.core.read(key).unwrap(), "abc");
    assert!(pair.core.is_request_done(key) && pair.core.reset_reason(key).is_none());
    pair.core.detach(key, Reason::CANCEL);
    pair.assert_at_rest();
}

#[test]
fn content_must_have_its_content_length() {
    let length = |length| ("content-length", length);
    let post = |id, said| client::headers(id, &[&client::target("POST", "/")[..], &[length(said)]].concat(), false);
    let too_long = [post(1, "3"), client::data(1, b"abcd", false)].concat();
    let too_short = [post(1, "3"), client::data(1, b"ab", true)].concat();
    let before_trailers = [post(1, "3"), client::headers(1, &[("a", "b")], true)].concat();
    let none = client::get_with(1, &[length("3")]);
    for bytes in [too_long, too_short, before_trailers, none] {
        let mut pair = Pair::new();
        pair.receive(&bytes);
        assert_eq!(pair.faults(), [(Fault::ContentLength, Some(1))]);
        assert_eq!(pair.frames(), [Frame::Reset { stream: 1, code: 1 }]);
    }
    let mut pair = Pair::new();
    pair.receive(
        &[
            post(1, "3"),
            client::padded(1, b"ab", 9, false),
            client::data(1, b"c", true),
        ]
        .concat(),
    );
    assert!(pair.faults().is_empty());
}

#[test]
fn content_of_a_detached_stream_must_have_its_content_length() {
    let mut pair = Pair::new();
    let said = [&client::target("POST", "/")[..], &[("content-length", "3")]].concat();
    let key = pair.request(&client::headers(1, &said, false));
    pair.serve(key, 100_000);
    pair.frames();
    pair.receive(&client::data(1, b"abc", true));
    assert_eq!(pair.faults(), []);
    pair.receive(&[client::window(1, 50_000), client::window(0, 50_000)].concat());
    assert!(ends(&pair.frames(), 1), "the response goes on");
}

/// RFC 9113 section 5.1, "closed": frames may be under way when a stream is reset, whatever the reason of the reset.
#[test]
fn frames_sent_before_the_client_saw_a_reset_are_no_fault() {
    let rest = |id| {
        [
            client::data(id, b"abc", false),
            client::window(id, 100),
            client::headers(id, &[("a", "b")], true),
            client::reset(id),
        ]
        .concat()
    };
    let malformed = client::headers(1, &[(":method", "POST")], false);
    let config = Config {
        max_streams: 1,
        ..CONFIG
    };
    for begin in [
        &malformed[..],
        &client::headers(
            1,
            &[&client::target("POST", "/")[..], &[("connection", "close")]].concat(),
            false,
        ),
        &[client::post(1), client::headers(1, &[("a", "b")], false)].concat(),
    ] {
        let mut pair = Pair::with(config, &[]);
        pair.receive(begin);
        pair.faults();
        pair.receive(&rest(1));
        assert_eq!(pair.faults(), [], "{begin:?}");
        assert!(!pair.has_failed());
    }
    let mut pair = Pair::with(config, &[]);
    pair.request(&client::post(1));
    pair.receive(&client::post(3));
    assert_eq!(pair.faults(), [(Fault::TooManyStreams, Some(3))]);
    pair.receive(&rest(3));
    assert_eq!(pair.faults(), [], "a request that was refused");
    assert!(!pair.has_failed());
}

#[test]
fn frames_of_idle_streams_end_the_connection() {
    for bytes in [
        client::data(5, b"a", false),
        client::reset(5),
        client::window(5, 1),
        client::reset(2),
        client::window(2, 1),
        client::data(2, b"a", false),
        client::headers(2, &client::target("GET", "/"), true),
        client::frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]),
        client::frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2]),
    ] {
        let mut pair = Pair::new();
        pair.receive(&bytes);
        assert_eq!(pair.faults(), [(Fault::UnexpectedFrame, None)], "{bytes:?}");
        assert!(matches!(pair.frames()[..], [Frame::GoAway { code: 1, .. }]));
    }
}

#[test]
fn frames_after_the_end_of_a_request_are_faults() {
    let mut pair = Pair::new();
    let key = pair.get(1);
    pair.receive(&client::data(1, b"a", false));
    assert_eq!(pair.faults(), [(Fault::StreamClosed, Some(1))]);
    pair.core.detach(key, Reason::CANCEL);
    pair.get(3);
    pair.receive(&client::headers(3, &[("a", "b")], true));
    assert_eq!(pair.faults(), [(Fault::StreamClosed, Some(3))]);
    let key = pair.get(5);
    pair.serve(key, 1);
    pair.frames();
    pair.receive(&client::data(5, b"a", false));
    assert_eq!(
        pair.faults(),
        [(Fault::StreamClosed, None)],
        "it is closed on both sides"
    );
}

#[test]
fn nothing_but_settings_follows_the_preface() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        &[&client::preface(&[])[..24], &client::get(1)].concat(),
    ] {
        let mut pair = Pair::unbegun(CONFIG);
        pair.receive(bytes);
        assert_eq!(pair.faults(), [(Fault::Preface, None)]);
        assert!(pair.core.is_done() && !pair.core.reads() && !pair.core.has_begun());
    }
}

#[test]
fn an_upgraded_connection_answers_the_request_that_it_begins_with_once_the_preface_has_come() {
    let mut pair = Pair::unbegun(CONFIG);
    let head = http::Request::get("http://h/").body(()).unwrap().into_parts().0;
    let settings = client::settings(&[(4, 3)]).split_off(9);
    pair.core.begin_upgraded(&settings, Box::new(head)).unwrap();
    let preface = client::preface(&[(3, 5)]);
    pair.receive(&preface[..23]);
    assert!(pair.events().is_empty() && !pair.core.has_events());
    pair.receive(&preface[23..24]);
    let request = |event| match event {
        Event::Request { key, is_end: true, .. } => Some(key),
        _ => None,
    };
    let key = pair.events().into_iter().find_map(request).expect("a request");
    pair.serve(key, 5);
    let frames = pair.frames();
    assert_eq!(super::sent(&frames, 1), 3, "its settings of the upgrade count");
    pair.receive(&[&preface[24..], &client::settings(&[(4, 5)])].concat());
    let frames = pair.frames();
    assert_eq!(super::sent(&frames, 1), 2);
    assert!(pair.core.has_begun() && !pair.has_failed());
    pair.assert_at_rest();
}

#[test]
fn a_disconnect_gives_the_owner_all_its_data_back() {
    let mut pair = Pair::new();
    let (one, two) = (pair.get(1), pair.request(&client::post(3)));
    pair.receive(&client::data(3, b"abc", false));
    let three = pair.promise(one).unwrap();
    pair.respond(one);
    pair.send(one, 100_000);
    pair.core.disconnect();
    let closed = |event: &Event<()>| matches!(event, Event::Closed { reason: Some(_), .. });
    assert_eq!(pair.events().iter().filter(|event| closed(event)).count(), 3);
    for key in [one, two, three] {
        assert!(is_reset(pair.core.respond(key, ok().of()).unwrap_err()));
        assert!(pair.core.poll_writable(key).is_err() && pair.core.read(key).is_none());
        pair.core.detach(key, Reason::CANCEL);
    }
    assert!(pair.core.is_done() && pair.core.streams.is_empty() && !pair.core.has_output(false));
}

#[test]
fn a_request_that_is_reset_is_never_complete_unless_all_of_it_was_read() {
    let resets = [
        &[][..],
        &client::data(1, b"part", false),
        &client::data(1, b"whole", true),
    ];
    for more in resets {
        let mut pair = Pair::new();
        let key = pair.request(&client::post(1));
        pair.receive(&[more, &client::reset(1)].concat());
        assert!(!pair.core.is_request_done(key), "{}", more.escape_ascii());
        pair.core.detach(key, Reason::CANCEL);
        pair.assert_at_rest();
    }
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    pair.receive(&client::data(1, b"whole", true));
    assert_eq!(pair.core.read(key).unwrap(), "whole");
    pair.receive(&client::reset(1));
    assert!(pair.core.is_request_done(key));
}
