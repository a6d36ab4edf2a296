//! Tests that a client costs no more than its budget (RFC 9113 section 10.5).

use super::{
    CONFIG, Event, Fault, Frame, Pair, Reason,
    client::{self, get, get_with, post},
};
use crate::h2::{
    core::{Config, HeadBudget},
    wire::frame::{flag, kind},
};

/// Repeats a step until the connection fails, and returns the number of steps and the fault; `None` without a failure.
fn repeat(pair: &mut Pair, most: u32, mut what: impl FnMut(&mut Pair, u32)) -> Option<(u32, Fault)> {
    for at in 0..most {
        what(pair, at);
        // The client reads, so that unread output does not end the loop.
        pair.turn();
        let faults = pair.faults();
        if pair.has_failed() {
            assert!(matches!(pair.frames()[..], [] | [Frame::GoAway { code: 0xb, .. }]));
            return Some((at, faults.last().unwrap().0));
        }
    }
    None
}

fn assert_ends(outcome: Option<(u32, Fault)>, fault: Fault, range: std::ops::Range<u32>) {
    let (times, why) = outcome.expect("it ends");
    assert_eq!(why, fault);
    assert!(range.contains(&times), "{times}");
}

/// Detaches all requests that have come.
fn detach_requests(pair: &mut Pair) {
    for event in pair.events() {
        match event {
            Event::Request { key, .. } => pair.core.detach(key, Reason::CANCEL),
            other => pair.events.push(other),
        }
    }
}

#[test]
fn a_burst_of_resets_ends_the_connection() {
    let mut pair = Pair::new();
    let ended = repeat(&mut pair, 10_000, |pair, at| {
        let id = 2 * at + 1;
        pair.receive(&[get(id), client::reset(id)].concat());
        detach_requests(pair);
    });
    assert_ends(ended, Fault::TooManyResets, 200..1001);
}

#[test]
fn steady_resets_end_the_connection() {
    let mut pair = Pair::new();
    let ended = repeat(&mut pair, 10_000, |pair, at| {
        let id = 2 * at + 1;
        pair.receive(&[get(id), client::reset(id)].concat());
        detach_requests(pair);
        pair.pass(15);
    });
    assert_ends(ended, Fault::TooManyResets, 400..3000);
}

#[test]
fn a_page_that_is_left_is_no_attack() {
    let mut pair = Pair::new();
    for page in 0..20 {
        for at in 0..100 {
            pair.get(2 * (100 * page + at) + 1);
        }
        for at in 0..100 {
            pair.receive(&client::reset(2 * (100 * page + at) + 1));
        }
        detach_requests(&mut pair);
        let keys = pair.core.streams.keys();
        keys.iter().for_each(|key| pair.core.detach(*key, Reason::CANCEL));
        pair.frames();
        pair.pass(3_100);
    }
    assert!(!pair.has_failed());
}

/// CVE-2025-8671: the client makes the server reset streams.
#[test]
fn requests_that_make_the_server_reset_them_end_the_connection() {
    type Kind = fn(u32) -> Vec<u8>;
    let kinds: [(&str, Kind); 7] = [
        ("window of 0", |id| [get(id), client::window(id, 0)].concat()),
        ("window above 2^31 - 1", |id| {
            [get(id), client::window(id, 0x7fff_ffff)].concat()
        }),
        ("content after the end", |id| {
            [get(id), client::data(id, b"a", false)].concat()
        }),
        ("fields after the end", |id| {
            [get(id), client::headers(id, &[("a", "b")], true)].concat()
        }),
        ("priority of 4 bytes", |id| {
            [get(id), client::frame(kind::PRIORITY, 0, id, &[0; 4])].concat()
        }),
        ("depends on itself", |id| {
            let payload = [&id.to_be_bytes()[..], &[1]].concat();
            [get(id), client::frame(kind::PRIORITY, 0, id, &payload)].concat()
        }),
        ("malformed", |id| client::headers(id, &[(":method", "GET")], true)),
    ];
    for (name, attack) in kinds {
        let mut pair = Pair::with(
            Config {
                max_header_fields: 100,
                max_malformed: u32::MAX,
                ..CONFIG
            },
            &[],
        );
        let ended = repeat(&mut pair, 10_000, |pair, at| {
            pair.receive(&attack(2 * at + 1));
            detach_requests(pair);
        });
        let (times, fault) = ended.unwrap_or_else(|| panic!("{name} does not end"));
        assert!(
            fault == Fault::TooManyResets && times < 1001,
            "{name}: {fault} after {times}"
        );
        let mut pair = Pair::with(
            Config {
                max_header_fields: 100,
                max_malformed: 10,
                ..CONFIG
            },
            &[],
        );
        let ended = repeat(&mut pair, 100, |pair, at| {
            pair.receive(&attack(2 * at + 1));
            detach_requests(pair);
        });
        assert_ends(ended, Fault::TooManyMalformed, 9..10);
    }
}

#[test]
fn frames_that_carry_nothing_end_the_connection() {
    type Attack = fn(u32) -> Vec<u8>;
    let attacks: [(&str, Attack); 16] = [
        ("SETTINGS", |_| client::settings(&[])),
        ("SETTINGS of a window", |at| client::settings(&[(4, at % 2)])),
        ("SETTINGS of a table", |at| client::settings(&[(1, 4096 * (at % 2))])),
        ("SETTINGS acknowledged", |_| {
            client::frame(kind::SETTINGS, flag::ACK, 0, &[])
        }),
        ("PING", |_| client::frame(kind::PING, 0, 0, &[0; 8])),
        ("PING answered", |_| client::frame(kind::PING, flag::ACK, 0, &[0; 8])),
        ("GOAWAY", |_| client::goaway(0)),
        ("empty DATA", |_| client::data(3, b"", false)),
        ("padded empty DATA", |_| client::padded(3, b"", 0, false)),
        ("more padded empty DATA", |_| client::padded(3, b"", 9, false)),
        ("PRIORITY", |at| {
            client::frame(kind::PRIORITY, 0, 2 * at + 101, &[0, 0, 0, 1, 1])
        }),
        ("PRIORITY_UPDATE", |at| client::priority_update(2 * at + 101, "u=1")),
        ("tiny windows", |_| client::window(0, 1)),
        ("RST_STREAM", |_| client::reset(1)),
        ("unknown frames", |_| client::frame(99, 0, 0, &[])),
        ("fields of a stream that was reset", |_| {
            client::headers(1, &[("a", "b")], true)
        }),
    ];
    for (name, attack) in attacks {
        let mut pair = Pair::with(
            Config {
                max_streams: 10,
                ..CONFIG
            },
            &[],
        );
        let gone = pair.request(&post(1));
        pair.core.detach(gone, Reason::CANCEL);
        pair.request(&post(3));
        let ended = repeat(&mut pair, 20_000, |pair, at| pair.receive(&attack(at)));
        let (times, fault) = ended.unwrap_or_else(|| panic!("{name} does not end"));
        assert!(
            fault == Fault::TooManyFrames && times <= 5000,
            "{name}: {fault} after {times}"
        );
    }
}

#[test]
fn frames_that_serve_something_are_no_attack() {
    let mut pair = Pair::new();
    // A client that sends WINDOW_UPDATE for each frame, and sometimes PING.
    let key = pair.get(1);
    pair.respond(key);
    for at in 0..5000 {
        pair.send(key, 16_384);
        assert_eq!(super::sent(&pair.frames(), 1), 16_384);
        pair.receive(&[client::window(1, 16_384), client::window(0, 16_384)].concat());
        if at % 10 == 0 {
            pair.receive(&client::frame(kind::PING, 0, 0, &[0; 8]));
        }
    }
    // Short responses, each with its WINDOW_UPDATE frames.
    for at in 1..5000 {
        let key = pair.get(2 * at + 1);
        pair.serve(key, 10);
        pair.frames();
        pair.receive(&client::window(0, 10));
    }
    assert!(!pair.has_failed());
}

#[test]
fn a_client_that_sends_small_frames_is_no_attack() {
    let mut pair = Pair::new();
    let key = pair.request(&post(1));
    for _ in 0..20_000 {
        pair.receive(&client::data(1, b"a", false));
        pair.core.read(key);
        pair.frames();
    }
    assert!(!pair.has_failed());
}

#[test]
fn header_blocks_in_too_many_frames_end_the_connection() {
    let begin = client::frame(
        kind::HEADERS,
        flag::END_STREAM,
        1,
        &client::block(&client::target("GET", "/")),
    );
    let more = |payload: &[u8]| client::frame(kind::CONTINUATION, 0, 1, payload);
    let end = client::frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]);
    for (part, most) in [(more(&[]), 1), (more(&[0x82]), 65), (more(&[0; 16_384]), 2)] {
        let mut pair = Pair::new();
        pair.receive(&begin);
        let ended = repeat(&mut pair, 1000, |pair, _| pair.receive(&part));
        assert_ends(ended, Fault::ContinuationFlood, most - 1..most);
    }
    let mut pair = Pair::new();
    let field = client::block(&[("a", "b")]);
    pair.request(&[begin, more(&field).repeat(60), end].concat());
}

#[test]
fn only_continuations_of_its_stream_follow_a_part_of_a_header_block() {
    let begin = client::frame(kind::HEADERS, flag::END_STREAM, 3, &[0x82]);
    for bytes in [
        client::frame(kind::CONTINUATION, 0, 1, &[0x84]),
        client::frame(kind::PING, 0, 0, &[0; 8]),
        client::data(1, b"", false),
        client::frame(99, 0, 0, &[]),
    ] {
        let mut pair = Pair::new();
        pair.request(&post(1));
        pair.receive(&[&begin[..], &bytes].concat());
        assert_eq!(pair.faults(), [(Fault::UnexpectedFrame, None)]);
    }
}

#[test]
fn streams_above_the_limit_are_refused() {
    let mut pair = Pair::with(
        Config {
            max_streams: 3,
            ..CONFIG
        },
        &[],
    );
    let keys = [1, 3, 5].map(|id| pair.get(id));
    pair.receive(&get(7));
    assert_eq!(pair.faults(), [(Fault::TooManyStreams, Some(7))]);
    assert_eq!(pair.frames(), [Frame::Reset { stream: 7, code: 7 }]);
    pair.serve(keys[1], 10);
    pair.frames();
    pair.get(9);
    // The owner still works on streams that the client has reset.
    for id in [1, 5, 9] {
        pair.receive(&client::reset(id));
    }
    for id in (11..31).step_by(2) {
        pair.receive(&[get(id), client::reset(id)].concat());
    }
    assert!(pair.core.streams.len() <= 12);
    let ended = repeat(&mut pair, 10_000, |pair, at| pair.receive(&get(2 * at + 31)));
    assert_ends(ended, Fault::TooManyFrames, 1000..1300);
}

#[test]
fn requests_above_the_shared_budget_for_heads_are_refused() {
    static HEADS: HeadBudget = HeadBudget::new(1000);
    let config = Config {
        shared_heads: Some(&HEADS),
        ..CONFIG
    };
    let (mut one, mut two) = (Pair::with(config, &[]), Pair::with(config, &[]));
    // A request takes about 150 bytes of the budget, as SETTINGS_MAX_HEADER_LIST_SIZE counts.
    (0..20).for_each(|n| one.receive(&get(2 * n + 1)));
    let refused: Vec<_> = one.faults();
    assert!((10..16).contains(&refused.len()), "{refused:?}");
    assert!(
        refused
            .iter()
            .all(|(fault, stream)| *fault == Fault::HeaderBudget && stream.is_some())
    );
    two.receive(&get(1));
    assert_eq!(two.faults(), [(Fault::HeaderBudget, Some(1))]);
    assert!(!two.has_failed());
    one.core.disconnect();
    two.get(3);
}

#[test]
fn requests_with_too_many_or_too_large_fields_get_431() {
    let many: Vec<_> = (0..=CONFIG.max_header_fields).map(|_| ("a", "b")).collect();
    let large = "x".repeat(4000);
    let large = [("a", &large[..]); 5];
    let crumbs = [("cookie", "a=b"); 1500];
    for fields in [&many[..], &large, &crumbs] {
        let mut pair = Pair::new();
        let bytes = client::block(&[&client::target("GET", "/")[..], fields].concat());
        let (first, second) = bytes.split_at(bytes.len().min(16_000));
        pair.receive(&client::frame(kind::HEADERS, flag::END_STREAM, 1, first));
        pair.receive(&client::frame(kind::CONTINUATION, flag::END_HEADERS, 1, second));
        assert_eq!(pair.faults(), [(Fault::HeaderTooLarge, Some(1))]);
        let frames = pair.frames();
        assert!(
            matches!(&frames[..], [Frame::Headers { fields, is_end: true, .. }] if fields[0].1 == "431"),
            "{frames:?}"
        );
        pair.assert_at_rest();
    }
    let mut pair = Pair::new();
    pair.request(&get_with(1, &many[..CONFIG.max_header_fields]));
    pair.request(&get_with(3, &crumbs[..300]));
}

#[test]
fn content_of_a_request_with_too_large_fields_is_no_fault() {
    let mut pair = Pair::new();
    let large = "x".repeat(5000);
    let block = client::block(
        &[
            &client::target("POST", "/")[..],
            &[("a", &large[..]); 3],
            &[("b", &large)],
        ]
        .concat(),
    );
    let (first, second) = block.split_at(16_000);
    pair.receive(&client::frame(kind::HEADERS, 0, 1, first));
    pair.receive(&client::frame(kind::CONTINUATION, flag::END_HEADERS, 1, second));
    pair.receive(&client::data(1, b"abc", true));
    assert_eq!(pair.faults(), [(Fault::HeaderTooLarge, Some(1))]);
    assert!(super::ends(&pair.frames(), 1) && !pair.has_failed());
    pair.assert_at_rest();
}

#[test]
fn requests_hold_no_more_than_the_budget_of_their_connection() {
    let mut pair = Pair::new();
    let large = "x".repeat(15_000);
    let mut refused = 0;
    for at in 0..100 {
        pair.receive(&get_with(2 * at + 1, &[("a", &large)]));
        refused += pair.faults().len();
    }
    assert!(pair.core.header_bytes <= 17 * 16 * 1024);
    assert_eq!(refused, 82);
    let keys = pair.core.streams.keys();
    keys.iter().for_each(|key| pair.serve(*key, 10));
    pair.frames();
    pair.request(&get_with(201, &[("a", &large)]));
}

#[test]
fn trailers_are_not_stored() {
    let mut pair = Pair::new();
    let large = "x".repeat(15_000);
    for at in 0..100 {
        let id = 2 * at + 1;
        pair.receive(&[post(id), client::headers(id, &[("a", &large)], true)].concat());
        assert!(pair.faults().is_empty());
    }
    assert!(
        pair.core.header_bytes < 100 * 200,
        "trailers take nothing of the budget either"
    );
}

#[test]
fn entries_of_the_dynamic_table_cost_a_request_that_names_them() {
    let mut pair = Pair::new();
    let large = "x".repeat(3900);
    // A field that enters the dynamic table, then 12,000 times the index of its entry.
    let mut block = client::block(&client::target("GET", "/"));
    let mut kept = client::block(&[("a", &large)]);
    kept[0] = 0x40;
    block.extend(kept);
    block.extend(std::iter::repeat_n(0xbe, 12_000));
    for at in 0..100 {
        pair.receive(&client::frame(kind::HEADERS, 5, 2 * at + 1, &block));
        assert!(matches!(pair.faults()[..], [(Fault::HeaderTooLarge, _)]));
        pair.frames();
    }
    assert_eq!(pair.core.header_bytes, 0);
}

#[test]
fn broken_header_blocks_end_the_connection_wherever_they_come() {
    for bytes in [
        client::frame(kind::HEADERS, 5, 1, &[0xff]),
        client::frame(kind::HEADERS, 5, 1, &[0x3f, 0xe2, 0x1f]),
        client::frame(kind::HEADERS, 5, 1, &[0xbe]),
        [post(1), client::frame(kind::HEADERS, 5, 1, &[0xbe])].concat(),
        [get(1), client::reset(1), client::frame(kind::HEADERS, 5, 1, &[0xbe])].concat(),
    ] {
        let mut pair = Pair::new();
        pair.receive(&bytes);
        assert_eq!(pair.faults(), [(Fault::Compression, None)], "{bytes:?}");
    }
}

#[test]
fn the_number_of_stored_early_priorities_is_limited() {
    let mut pair = Pair::new();
    for at in 0..200 {
        pair.receive(&client::priority_update(2 * at + 1, "u=1"));
        pair.receive(&client::priority_update(2 * at + 1, "u=2"));
    }
    assert_eq!(pair.core.early_priorities.len(), super::super::MAX_EARLY_PRIORITIES);
    assert!(!pair.has_failed());
}

#[test]
fn bad_priority_updates_end_the_connection() {
    for bytes in [
        client::priority_update(0, "u=1"),
        client::priority_update(2, "u=1"),
        client::frame(kind::PRIORITY_UPDATE, 0, 0, &[0, 0, 1]),
        client::frame(kind::PRIORITY_UPDATE, 0, 1, &[0, 0, 0, 1]),
    ] {
        let mut pair = Pair::new();
        pair.get(1);
        pair.receive(&bytes);
        assert!(pair.has_failed(), "{bytes:?}");
    }
}

#[test]
fn nothing_is_read_from_a_client_that_reads_nothing() {
    let mut pair = Pair::new();
    let mut at = 0;
    while pair.core.reads() {
        at += 1;
        let key = pair.get(2 * at + 1);
        let mut response = super::no_content();
        response.headers.insert("x", "y".repeat(4000).parse().unwrap());
        pair.core.respond(key, response.of()).unwrap();
        pair.core.detach(key, Reason::CANCEL);
        assert!(at < 100);
    }
    assert!(pair.core.out.len() < 300 * 1024);
    pair.frames();
    assert!(pair.core.reads());
}

#[test]
fn promises_that_are_reset_while_their_heads_wait_leave_nothing() {
    let mut pair = Pair::with(CONFIG, &[(3, 1)]);
    let document = pair.get(1);
    let open = pair.promise(document).unwrap();
    pair.respond(open);
    for _ in 0..1000 {
        let key = pair.promise(document).unwrap();
        pair.respond(key);
        pair.frames();
        pair.receive(&client::reset(key.id()));
        pair.events();
        pair.core.detach(key, Reason::CANCEL);
        // Time passes, so that the budget for resets is not spent.
        pair.pass(100);
    }
    assert!(!pair.has_failed() && pair.core.held.len() <= 1 && pair.core.streams.len() == 2);
}
