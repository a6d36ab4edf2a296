//! What a server must accept.

use super::script::{
    CANCEL, Check,
    Expect::{Pong, PongOrEnd, Preface, Response, SettingsAck, SomeData, StreamEnd},
    HEADER_TABLE_SIZE, MARK, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE, NO_ERROR, PADDED, PRIORITIZED, WHOLE, bytes, check,
    continuation, data, dependency, expect, goaway, headers, ping, priority, reset, send, settings, start, window,
    window_update,
};
use crate::support::raw::{
    DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PREFACE,
};

const EXCLUSIVE: u32 = 1 << 31;

/// Literal fields after their first byte: `user-agent: h2spec` and `x-test: h2spec`, plain and with Huffman coding.
const AGENT: &[u8] = b"\x0auser-agent\x06h2spec";
const AGENT_HUFFMAN: &[u8] = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93\x84\x9c\x48\xac\xa4";
const TEST: &[u8] = b"\x06x-test\x06h2spec";
const TEST_HUFFMAN: &[u8] = b"\x85\xf2\xb2\x4a\x84\xff\x84\x9c\x48\xac\xa4";

macro_rules! literal {
    ($number:literal, $title:literal, $first:literal, $rest:ident) => {
        check($number, $title, |p| {
            vec![p.get_ending(&[&[$first], $rest].concat()), expect(Response(1))]
        })
    };
}

pub const CHECKS: &[Check] = &[
    start("generic/1/1", "client connection preface", |_| {
        let set = settings(&[(INITIAL_WINDOW_SIZE, 65_535)]);
        vec![bytes(PREFACE), set, expect(Preface)]
    }),
    check("generic/2/1", "PRIORITY on an idle stream", |_| {
        vec![priority(1, 0, 255), ping(MARK), expect(Pong(MARK))]
    }),
    check("generic/2/2", "WINDOW_UPDATE on a half-closed (remote) stream", |p| {
        vec![window(0), p.get(1, WHOLE), window_update(1, 1), expect(SomeData)]
    }),
    check("generic/2/3", "PRIORITY on a half-closed (remote) stream", |p| {
        let order = priority(1, 0, 255);
        vec![window(0), p.get(1, WHOLE), order, window_update(1, 1), expect(SomeData)]
    }),
    check("generic/2/4", "RST_STREAM on a half-closed (remote) stream", |p| {
        vec![p.get(1, WHOLE), reset(1, CANCEL), ping(MARK), expect(Pong(MARK))]
    }),
    check("generic/2/5", "PRIORITY on a closed stream", |p| {
        let order = priority(1, 0, 255);
        vec![
            p.get(1, WHOLE),
            expect(StreamEnd),
            order,
            ping(MARK),
            expect(Pong(MARK)),
        ]
    }),
    check("generic/3.1/1", "a DATA frame", |p| {
        vec![p.post(1, END_HEADERS), data(1, END_STREAM), expect(Response(1))]
    }),
    check("generic/3.1/2", "DATA frames", |p| {
        vec![
            p.post(1, END_HEADERS),
            data(1, 0),
            data(1, END_STREAM),
            expect(Response(1)),
        ]
    }),
    check("generic/3.1/3", "DATA with padding", |p| {
        let padded = send(DATA, END_STREAM | PADDED, 1, b"\x05test\0\0\0\0\0");
        vec![p.post(1, END_HEADERS), padded, expect(Response(1))]
    }),
    check("generic/3.2/1", "HEADERS", |p| {
        vec![p.get(1, WHOLE), expect(Response(1))]
    }),
    check("generic/3.2/2", "HEADERS with padding", |p| {
        let padded = [&[8][..], &p.block(), &[0; 8]].concat();
        vec![send(HEADERS, WHOLE | PADDED, 1, &padded), expect(Response(1))]
    }),
    check("generic/3.2/3", "HEADERS with a priority", |p| {
        let payload = [dependency(0, 255), p.block()].concat();
        vec![send(HEADERS, WHOLE | PRIORITIZED, 1, &payload), expect(Response(1))]
    }),
    check("generic/3.3/1", "PRIORITY with weight 1", |p| {
        vec![priority(1, 0, 0), p.get(1, WHOLE), expect(Response(1))]
    }),
    check("generic/3.3/2", "PRIORITY with weight 256", |p| {
        vec![priority(1, 0, 255), p.get(1, WHOLE), expect(Response(1))]
    }),
    check("generic/3.3/3", "PRIORITY with a stream dependency", |p| {
        vec![priority(3, 1, 0), p.get(1, WHOLE), expect(Response(1))]
    }),
    check("generic/3.3/4", "PRIORITY with an exclusive dependency", |p| {
        vec![priority(1, EXCLUSIVE, 0), p.get(1, WHOLE), expect(Response(1))]
    }),
    check(
        "generic/3.3/5",
        "PRIORITY of an idle stream, then a lower stream",
        |p| vec![priority(3, 0, 255), p.get(1, WHOLE), expect(Response(1))],
    ),
    check("generic/3.4/1", "RST_STREAM", |p| {
        vec![p.get(1, END_HEADERS), reset(1, CANCEL), ping(MARK), expect(Pong(MARK))]
    }),
    check("generic/3.5/1", "SETTINGS", |_| {
        let all = [
            (HEADER_TABLE_SIZE, 4096),
            (ENABLE_PUSH, 1),
            (MAX_CONCURRENT_STREAMS, 100),
            (INITIAL_WINDOW_SIZE, 65_535),
            (MAX_FRAME_SIZE, 16_384),
            (MAX_HEADER_LIST_SIZE, 100),
        ];
        vec![settings(&all), expect(SettingsAck)]
    }),
    check("generic/3.7/1", "PING", |_| vec![ping(MARK), expect(Pong(MARK))]),
    check("generic/3.8/1", "GOAWAY", |_| {
        vec![goaway(NO_ERROR, b"h2spec"), ping(MARK), expect(PongOrEnd(MARK))]
    }),
    check("generic/3.9/1", "WINDOW_UPDATE of the connection", |_| {
        vec![window_update(0, 1), ping(MARK), expect(Pong(MARK))]
    }),
    check("generic/3.9/2", "WINDOW_UPDATE of a stream", |p| {
        vec![p.get(1, WHOLE), window_update(1, 1), expect(Response(1))]
    }),
    check("generic/3.10/1", "a CONTINUATION frame", |p| {
        let block = p.block();
        let begin = send(HEADERS, END_STREAM, 1, &block[..5]);
        vec![begin, continuation(1, END_HEADERS, &block[5..]), expect(Response(1))]
    }),
    check("generic/3.10/2", "CONTINUATION frames", |p| {
        let block = p.block();
        vec![
            send(HEADERS, END_STREAM, 1, &block[..5]),
            continuation(1, 0, &block[5..10]),
            continuation(1, END_HEADERS, &block[10..]),
            expect(Response(1)),
        ]
    }),
    check("generic/4/1", "a GET", |p| vec![p.get(1, WHOLE), expect(Response(1))]),
    check("generic/4/2", "a HEAD", |p| {
        vec![headers(1, WHOLE, &p.fields("HEAD")), expect(Response(1))]
    }),
    check("generic/4/3", "a POST", |p| {
        vec![p.post(1, END_HEADERS), data(1, END_STREAM), expect(Response(1))]
    }),
    check("generic/4/4", "a POST with trailers", |p| {
        vec![
            p.post_with("trailer", "x-test"),
            data(1, 0),
            headers(1, WHOLE, &[("x-test", "ok")]),
            expect(Response(1)),
        ]
    }),
    check("generic/5/1", "an indexed field", |p| {
        vec![p.get_ending(b"\xba"), expect(Response(1))]
    }),
    literal!(
        "generic/5/2",
        "incremental indexing, name, Huffman",
        0x40,
        AGENT_HUFFMAN
    ),
    literal!("generic/5/3", "incremental indexing, name", 0x40, AGENT),
    literal!("generic/5/4", "incremental indexing, new name", 0x40, TEST),
    literal!(
        "generic/5/5",
        "incremental indexing, new name, Huffman",
        0x40,
        TEST_HUFFMAN
    ),
    literal!("generic/5/6", "without indexing, name", 0x00, AGENT),
    literal!("generic/5/7", "without indexing, name, Huffman", 0x00, AGENT_HUFFMAN),
    literal!("generic/5/8", "without indexing, new name", 0x00, TEST),
    literal!("generic/5/9", "without indexing, new name, Huffman", 0x00, TEST_HUFFMAN),
    literal!("generic/5/10", "never indexed, name", 0x10, AGENT),
    literal!("generic/5/11", "never indexed, name, Huffman", 0x10, AGENT_HUFFMAN),
    literal!("generic/5/12", "never indexed, new name", 0x10, TEST),
    literal!("generic/5/13", "never indexed, new name, Huffman", 0x10, TEST_HUFFMAN),
    check("generic/5/14", "a dynamic table size update", |p| {
        vec![p.get_beginning(b"\x20"), expect(Response(1))]
    }),
    check("generic/5/15", "two dynamic table size updates", |p| {
        vec![p.get_beginning(b"\x20\x3f\xe1\x1f"), expect(Response(1))]
    }),
];
