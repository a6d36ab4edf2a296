//! Tests flow control, exact to the byte (RFC 9113 sections 5.2 and 6.9).

use super::{
    Event, Fault, Pair, Reason, SendError,
    client::{self, Frame},
    ends, sent,
};
use crate::h2::{
    core::{CONNECTION_WINDOW, STREAM_WINDOW},
    wire::frame::{DEFAULT_FRAME, flag, kind},
};

const MAX: u32 = 0x7fff_ffff;

#[test]
fn no_more_content_is_sent_than_both_windows_take() {
    let mut pair = Pair::with(super::CONFIG, &[(4, 10)]);
    let key = pair.get(1);
    pair.serve(key, 100);
    assert_eq!(sent(&pair.frames(), 1), 10);
    pair.receive(&client::window(1, 1));
    assert_eq!(sent(&pair.frames(), 1), 1);
    pair.receive(&client::window(1, 89));
    let frames = pair.frames();
    assert!(sent(&frames, 1) == 89 && ends(&frames, 1));
    let key = pair.get(3);
    pair.receive(&client::window(3, MAX - 10));
    pair.serve(key, 100_000);
    assert_eq!(sent(&pair.frames(), 3), 65_535 - 100, "the connection's window");
    pair.receive(&client::window(0, MAX));
    assert!(!pair.has_failed(), "2^31 - 1 at most");
    let frames = pair.frames();
    assert!(sent(&frames, 3) == 100_000 - 65_435 && ends(&frames, 3));
    pair.assert_at_rest();
}

#[test]
fn settings_change_the_windows_of_existing_streams_even_below_0() {
    let mut pair = Pair::with(super::CONFIG, &[(4, 100)]);
    let key = pair.get(1);
    let promised = pair.promise(key).unwrap();
    pair.serve(key, 1000);
    pair.serve(promised, 1000);
    pair.frames();
    pair.pass(500);
    assert_eq!(sent(&pair.frames(), 2), 100);
    pair.receive(&client::settings(&[(4, 30)]));
    pair.receive(&client::window(1, 70));
    assert_eq!(sent(&pair.frames(), 1), 0, "its window is 0");
    pair.receive(&client::window(1, 1));
    assert_eq!(sent(&pair.frames(), 1), 1);
    pair.receive(&client::settings(&[(4, 32)]));
    assert_eq!(sent(&pair.frames(), 1), 2);
    pair.receive(&client::settings(&[(4, 1100)]));
    let frames = pair.frames();
    assert_eq!(sent(&frames, 1), 1000 - 103);
    assert_eq!(sent(&frames, 2), 900, "windows of promised streams change, too");
    assert!(ends(&frames, 1) && ends(&frames, 2));
    pair.assert_at_rest();
}

#[test]
fn a_reserved_stream_has_the_windows_of_settings_that_come_before_its_head() {
    let mut pair = Pair::with(super::CONFIG, &[(4, 100)]);
    let document = pair.get(1);
    let promised = pair.promise(document).unwrap();
    pair.receive(&[client::settings(&[(4, 7)]), client::window(2, 2)].concat());
    pair.serve(document, 1);
    pair.serve(promised, 100);
    assert_eq!(sent(&pair.frames(), 2), 9);
}

#[test]
fn windows_above_their_limit_are_faults() {
    let mut pair = Pair::new();
    pair.get(1);
    pair.receive(&client::window(1, MAX - 65_535));
    assert!(pair.faults().is_empty());
    pair.receive(&client::window(1, 1));
    assert_eq!(pair.faults(), [(Fault::FlowControl, Some(1))]);
    assert_eq!(pair.frames(), [Frame::Reset { stream: 1, code: 3 }]);
    pair.receive(&client::window(0, MAX - 65_535));
    assert!(!pair.has_failed());
    pair.receive(&client::window(0, 1));
    assert!(matches!(pair.frames()[..], [Frame::GoAway { code: 3, .. }]));

    let mut pair = Pair::new();
    pair.get(1);
    pair.receive(&[client::window(1, 1), client::settings(&[(4, MAX)])].concat());
    assert_eq!(pair.faults(), [(Fault::FlowControl, None)], "by SETTINGS, too");

    let mut pair = Pair::new();
    pair.get(1);
    pair.receive(&[client::window(1, 1), client::reset(1), client::settings(&[(4, MAX)])].concat());
    assert!(
        !pair.has_failed(),
        "a stream that is closed has no window, though its owner has it"
    );
}

#[test]
fn a_window_update_of_0_is_a_fault_of_its_stream() {
    let mut pair = Pair::new();
    pair.get(1);
    pair.receive(&client::window(1, 0));
    assert_eq!(pair.faults(), [(Fault::ZeroWindowUpdate, Some(1))]);
    pair.receive(&client::window(1, 0));
    assert!(pair.faults().is_empty(), "it is closed");
    pair.receive(&client::window(0, 0));
    assert_eq!(pair.faults(), [(Fault::ZeroWindowUpdate, None)]);
}

#[test]
fn a_client_may_send_as_much_as_it_was_allowed_and_no_more() {
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    let frame = vec![0; DEFAULT_FRAME];
    for _ in 0..STREAM_WINDOW / 16_384 {
        pair.receive(&client::data(1, &frame, false));
    }
    assert!(pair.faults().is_empty() && pair.frames().is_empty());
    pair.receive(&client::data(1, b"x", false));
    assert_eq!(pair.faults(), [(Fault::FlowControl, Some(1))]);
    pair.core.detach(key, Reason::CANCEL);
    pair.assert_at_rest();

    let mut pair = Pair::new();
    let mut left = CONNECTION_WINDOW;
    for id in [1, 3, 5, 7] {
        pair.request(&client::post(id));
        for _ in 0..STREAM_WINDOW / 16_384 {
            pair.receive(&client::data(id, &frame, false));
            left -= 16_384;
        }
    }
    assert!(left == 0 && pair.faults().is_empty());
    pair.request(&client::post(9));
    pair.receive(&client::data(9, b"", true));
    assert!(pair.faults().is_empty(), "no content needs no window");
    pair.request(&client::post(11));
    pair.receive(&client::data(11, b"x", true));
    assert_eq!(pair.faults(), [(Fault::FlowControl, None)]);
}

/// Asserts that the server counts the same receive windows as the client, which adds up the WINDOW_UPDATE frames.
fn assert_windows(pair: &mut Pair, client: &mut (i64, i64), id: u32) {
    for frame in pair.frames() {
        match frame {
            Frame::Window { stream: 0, more } => client.0 += i64::from(more),
            Frame::Window { stream, more } if stream == id => client.1 += i64::from(more),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(pair.core.receive_window, client.0);
    if let Some(key) = pair.core.streams.find(id) {
        assert_eq!(pair.core.streams.get(key).unwrap().receive_window, client.1);
    }
}

#[test]
fn content_that_is_read_opens_both_windows() {
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    let mut windows = (CONNECTION_WINDOW, STREAM_WINDOW);
    for _ in 0..100 {
        pair.receive(&client::padded(1, &[1; 15_000], 255, false));
        windows = (windows.0 - 15_256, windows.1 - 15_256);
        assert_eq!(pair.core.read(key).unwrap().len(), 15_000);
        assert_windows(&mut pair, &mut windows, 1);
    }
    assert!(windows.0 >= CONNECTION_WINDOW / 2 && windows.1 >= STREAM_WINDOW / 2);
    pair.receive(&client::data(1, b"", true));
    pair.serve(key, 1);
    pair.frames();
    pair.assert_at_rest();
}

#[test]
fn padding_alone_opens_both_windows() {
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    let mut windows = (CONNECTION_WINDOW, STREAM_WINDOW);
    for _ in 0..1100 {
        pair.receive(&client::padded(1, b"", 255, false));
        windows = (windows.0 - 256, windows.1 - 256);
        assert_windows(&mut pair, &mut windows, 1);
        assert!(pair.core.read(key).is_none());
    }
    assert!(!pair.has_failed() && windows.1 >= STREAM_WINDOW / 2, "{windows:?}");
}

#[test]
fn content_of_a_stream_that_is_closed_opens_the_window_of_the_connection() {
    for by_client in [true, false] {
        let mut pair = Pair::new();
        let key = pair.request(&client::post(1));
        pair.receive(&client::data(1, &[0; 1000], false));
        match by_client {
            true => pair.receive(&client::reset(1)),
            false => pair.core.reset(key, Reason::CANCEL),
        }
        assert_eq!(pair.core.unreported, 1000);
        pair.receive(&client::data(1, &[0; 500], false));
        pair.receive(&client::padded(1, &[0; 500], 99, false));
        assert_eq!(pair.core.unreported, 2100);
        pair.core.detach(key, Reason::CANCEL);
        pair.assert_at_rest();
    }
}

#[test]
fn content_of_a_detached_stream_opens_the_window_of_the_connection() {
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    pair.receive(&client::data(1, &[0; 1000], false));
    pair.respond(key);
    pair.send(key, 100_000);
    pair.core.finish(key, None).unwrap();
    pair.core.detach(key, Reason::CANCEL);
    assert_eq!(pair.core.unreported, 1000);
    pair.receive(&client::data(1, &[0; 1000], false));
    assert_eq!(pair.core.unreported, 2000);
    pair.frames();
    pair.receive(&[client::window(1, 50_000), client::window(0, 50_000)].concat());
    pair.frames();
    pair.assert_at_rest();
}

#[test]
fn padding_that_is_longer_than_its_frame_ends_the_connection() {
    for (bytes, fault) in [
        (client::frame(kind::DATA, flag::PADDED, 1, &[1]), Fault::Padding),
        (client::frame(kind::DATA, flag::PADDED, 1, &[9, 1, 2]), Fault::Padding),
        (client::frame(kind::DATA, flag::PADDED, 1, &[]), Fault::FrameSize),
        (client::frame(kind::HEADERS, flag::PADDED, 3, &[]), Fault::FrameSize),
        (client::frame(kind::HEADERS, flag::PADDED, 3, &[1]), Fault::Padding),
    ] {
        let mut pair = Pair::new();
        pair.request(&client::post(1));
        pair.receive(&bytes);
        assert_eq!(pair.faults(), [(fault, None)], "{bytes:?}");
    }
    let mut pair = Pair::new();
    let key = pair.request(&client::post(1));
    pair.receive(&client::frame(kind::DATA, flag::PADDED | flag::END_STREAM, 1, &[0]));
    assert!(pair.core.is_request_done(key), "padding of no length");
}

#[test]
fn an_owner_waits_while_its_queue_is_long() {
    let mut pair = Pair::with(super::CONFIG, &[(4, 0)]);
    let key = pair.get(1);
    pair.respond(key);
    pair.send(key, 1);
    assert_eq!(pair.core.poll_writable(key), Ok(false), "the window is shut");
    pair.receive(&client::window(1, 1));
    assert!(
        matches!(pair.events()[..], [Event::Writable(_)]),
        "the queue is short and fits in the window"
    );
    assert_eq!(pair.core.poll_writable(key), Ok(true));
    pair.send(key, 100_000);
    assert_eq!(pair.core.poll_writable(key), Ok(false));
    pair.receive(&client::window(1, 100_000));
    assert!(pair.events().is_empty());
    pair.frames();
    pair.receive(&client::window(0, 99_999));
    pair.frames();
    assert!(matches!(pair.events()[..], [Event::Writable(_)]));
    pair.send(key, 100_000);
    assert_eq!(pair.core.poll_writable(key), Ok(false));
    pair.receive(&client::reset(1));
    assert!(matches!(pair.core.poll_writable(key), Err(SendError::Reset(_))));
}

#[test]
fn a_stream_whose_client_takes_nothing_is_reset() {
    let limit = std::time::Duration::from_secs(10);
    let mut pair = Pair::with(super::CONFIG, &[(4, 10)]);
    let key = pair.get(1);
    pair.serve(key, 100);
    pair.frames();
    pair.pass(9_000);
    pair.receive(&client::window(1, 1));
    pair.frames();
    pair.pass(9_000);
    pair.core.reset_stalled(limit, pair.now);
    assert!(pair.frames().is_empty());
    pair.pass(1_000);
    pair.core.reset_stalled(limit, pair.now);
    assert_eq!(pair.frames(), [Frame::Reset { stream: 1, code: 8 }]);
    pair.assert_at_rest();
}
