//! What a server must refuse, and how (RFC 7540, by its sections; RFC 9113 has the same rules).

use super::script::{
    CANCEL, CLOSED, COMPRESSION, Check,
    Expect::{
        ConnectionError, Data, End, Goaway, Pong, PongOrEnd, Preface, Reset, Response, SettingsAck, SomeData,
        StreamEnd, StreamError,
    },
    FLOW_CONTROL, FRAME_SIZE, MARK, MAX_FRAME_SIZE, PADDED, PRIORITIZED, PROTOCOL, REFUSED, Step, WHOLE, bytes, check,
    continuation, data, dependency, dummy, expect, goaway, headers, ping, priority, reset, send, settings, start,
    window, window_update,
};
use crate::support::raw::{
    ACK, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS,
    PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};

/// A frame type that nobody has defined.
const UNKNOWN: u8 = 0x16;
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// A connection error of type PROTOCOL_ERROR.
fn violation() -> Step {
    expect(ConnectionError(&[PROTOCOL]))
}

/// A stream error of type PROTOCOL_ERROR.
fn malformed() -> Step {
    expect(StreamError(&[PROTOCOL]))
}

pub const CHECKS: &[Check] = &[
    start("http2/3.5/1", "client connection preface", |_| {
        let set = settings(&[(INITIAL_WINDOW_SIZE, 65_535)]);
        vec![bytes(PREFACE), set, expect(Preface)]
    }),
    start("http2/3.5/2", "invalid connection preface", |_| {
        vec![bytes(b"INVALID CONNECTION PREFACE\r\n\r\n"), violation()]
    }),
    check("http2/4.1/1", "a frame of unknown type", |_| {
        vec![send(UNKNOWN, 0, 0, &[0; 8]), ping(MARK), expect(Pong(MARK))]
    }),
    check("http2/4.1/2", "a frame with undefined flags", |_| {
        vec![send(PING, 0x16, 0, MARK), expect(Pong(MARK))]
    }),
    check("http2/4.1/3", "a frame with the reserved bit", |_| {
        vec![send(PING, 0x16, 1 << 31, MARK), expect(Pong(MARK))]
    }),
    check("http2/4.2/1", "DATA of 2^14 bytes", |p| {
        let body = vec![b'x'; p.setting(MAX_FRAME_SIZE, 1 << 14) as usize];
        vec![
            p.post(1, END_HEADERS),
            send(DATA, END_STREAM, 1, &body),
            expect(Response(1)),
        ]
    }),
    check("http2/4.2/2", "DATA above MAX_FRAME_SIZE", |p| {
        let body = vec![b'x'; p.setting(MAX_FRAME_SIZE, 1 << 14) as usize + 1];
        let refused = expect(StreamError(&[FRAME_SIZE]));
        vec![p.post(1, END_HEADERS), send(DATA, END_STREAM, 1, &body), refused]
    }),
    check("http2/4.2/3", "HEADERS above MAX_FRAME_SIZE", |p| {
        vec![p.get_ending(&dummy(5)), expect(ConnectionError(&[FRAME_SIZE]))]
    }),
    check("http2/4.3/1", "an invalid header block", |_| {
        vec![
            send(HEADERS, WHOLE, 1, b"\x40"),
            expect(ConnectionError(&[COMPRESSION])),
        ]
    }),
    check("http2/4.3/2", "PRIORITY within a header block", |p| {
        let rest = continuation(1, END_HEADERS, &dummy(1));
        vec![p.get(1, 0), priority(1, 0, 255), rest, violation()]
    }),
    check("http2/4.3/3", "HEADERS of another stream within a header block", |p| {
        let rest = continuation(1, END_HEADERS, &dummy(1));
        vec![p.get(1, 0), p.get(3, WHOLE), rest, violation()]
    }),
    check("http2/5.1/1", "idle: DATA", |_| vec![data(1, END_STREAM), violation()]),
    check("http2/5.1/2", "idle: RST_STREAM", |_| {
        vec![reset(1, CANCEL), violation()]
    }),
    check("http2/5.1/3", "idle: WINDOW_UPDATE", |_| {
        vec![window_update(1, 100), violation()]
    }),
    check("http2/5.1/4", "idle: CONTINUATION", |p| {
        vec![continuation(1, END_HEADERS, &p.block()), violation()]
    }),
    check("http2/5.1/5", "half-closed (remote): DATA", |p| {
        vec![p.get(1, WHOLE), data(1, END_STREAM), expect(StreamError(&[CLOSED]))]
    }),
    check("http2/5.1/6", "half-closed (remote): HEADERS", |p| {
        vec![p.get(1, WHOLE), p.get(1, WHOLE), expect(StreamError(&[CLOSED]))]
    }),
    check("http2/5.1/7", "half-closed (remote): CONTINUATION", |p| {
        let more = continuation(1, END_HEADERS, &p.block());
        vec![p.get(1, WHOLE), more, expect(StreamError(&[CLOSED, PROTOCOL]))]
    }),
    check("http2/5.1/8", "closed: DATA after RST_STREAM", |p| {
        let closed = expect(StreamError(&[CLOSED]));
        vec![p.get(1, END_HEADERS), reset(1, CANCEL), data(1, END_STREAM), closed]
    }),
    check("http2/5.1/9", "closed: HEADERS after RST_STREAM", |p| {
        let closed = expect(StreamError(&[CLOSED]));
        vec![p.get(1, END_HEADERS), reset(1, CANCEL), p.get(1, WHOLE), closed]
    }),
    check("http2/5.1/10", "closed: CONTINUATION after RST_STREAM", |p| {
        let more = continuation(1, END_HEADERS, &dummy(1));
        let closed = expect(StreamError(&[CLOSED, PROTOCOL]));
        vec![p.get(1, END_HEADERS), reset(1, CANCEL), more, closed]
    }),
    check("http2/5.1/11", "closed: DATA", |p| {
        let closed = expect(StreamError(&[CLOSED]));
        vec![p.get(1, WHOLE), expect(StreamEnd), data(1, END_STREAM), closed]
    }),
    check("http2/5.1/12", "closed: HEADERS", |p| {
        let closed = expect(ConnectionError(&[CLOSED]));
        vec![p.get(1, WHOLE), expect(StreamEnd), p.get(1, WHOLE), closed]
    }),
    check("http2/5.1/13", "closed: CONTINUATION", |p| {
        let more = continuation(1, END_HEADERS, &dummy(1));
        let closed = expect(ConnectionError(&[CLOSED, PROTOCOL]));
        vec![p.get(1, WHOLE), expect(StreamEnd), more, closed]
    }),
    check("http2/5.1.1/1", "an even stream identifier", |p| {
        vec![p.get(2, WHOLE), violation()]
    }),
    check("http2/5.1.1/2", "a stream identifier below the last one", |p| {
        vec![p.get(5, WHOLE), p.get(3, WHOLE), violation()]
    }),
    check("http2/5.1.2/1", "more streams than MAX_CONCURRENT_STREAMS", |p| {
        let last = p.setting(MAX_CONCURRENT_STREAMS, 100);
        let mut steps = vec![window(0)];
        steps.extend((0..=last).map(|n| p.get(2 * n + 1, WHOLE)));
        steps.push(expect(StreamError(&[PROTOCOL, REFUSED])));
        steps
    }),
    check("http2/5.3.1/1", "HEADERS that depend on themselves", |p| {
        let payload = [dependency(1, 255), p.block()].concat();
        vec![send(HEADERS, WHOLE | PRIORITIZED, 1, &payload), malformed()]
    }),
    check("http2/5.3.1/2", "PRIORITY that depends on itself", |_| {
        vec![priority(1, 1, 255), malformed()]
    }),
    check("http2/5.4.1/1", "an invalid PING closes the connection", |_| {
        vec![send(PING, 0, 3, &[0; 8]), expect(End)]
    }),
    check("http2/5.4.1/2", "an invalid PING is answered by GOAWAY", |_| {
        vec![send(PING, 0, 3, &[0; 8]), expect(Goaway(PROTOCOL))]
    }),
    check("http2/5.5/1", "an unknown extension frame", |_| {
        vec![send(UNKNOWN, 0, 0, &[0; 8]), ping(MARK), expect(Pong(MARK))]
    }),
    check("http2/5.5/2", "an unknown extension frame within a header block", |p| {
        vec![p.get(1, END_STREAM), send(UNKNOWN, 0, 0, &[0; 8]), violation()]
    }),
    check("http2/6.1/1", "DATA on stream 0", |_| {
        vec![data(0, END_STREAM), violation()]
    }),
    check("http2/6.1/2", "DATA on a stream that is not open", |p| {
        vec![p.post(1, WHOLE), data(1, END_STREAM), expect(StreamError(&[CLOSED]))]
    }),
    check("http2/6.1/3", "DATA with too much padding", |p| {
        let padded = send(DATA, END_STREAM | PADDED, 1, b"\x06Test");
        vec![p.post_with("content-length", "4"), padded, violation()]
    }),
    check("http2/6.2/1", "HEADERS without END_HEADERS, then PRIORITY", |p| {
        let rest = continuation(1, END_HEADERS, &dummy(1));
        vec![p.get(1, 0), priority(1, 0, 255), rest, violation()]
    }),
    check(
        "http2/6.2/2",
        "HEADERS without END_HEADERS, then another stream's",
        |p| {
            let rest = continuation(1, END_HEADERS, &dummy(1));
            vec![p.get(1, 0), p.get(3, WHOLE), rest, violation()]
        },
    ),
    check("http2/6.2/3", "HEADERS on stream 0", |p| {
        vec![p.get(0, WHOLE), violation()]
    }),
    check("http2/6.2/4", "HEADERS with too much padding", |p| {
        let block = p.block();
        let payload = [&[block.len() as u8 + 2][..], &block].concat();
        vec![send(HEADERS, WHOLE | PADDED, 1, &payload), malformed()]
    }),
    check("http2/6.3/1", "PRIORITY on stream 0", |_| {
        vec![priority(0, 0, 255), violation()]
    }),
    check("http2/6.3/2", "PRIORITY of 4 bytes", |p| {
        let short = send(PRIORITY, 0, 1, b"\x80\0\0\x01");
        vec![p.get(1, WHOLE), short, expect(StreamError(&[FRAME_SIZE]))]
    }),
    check("http2/6.4/1", "RST_STREAM on stream 0", |_| {
        vec![reset(0, CANCEL), violation()]
    }),
    check("http2/6.4/2", "RST_STREAM on an idle stream", |_| {
        vec![reset(1, CANCEL), violation()]
    }),
    check("http2/6.4/3", "RST_STREAM of 3 bytes", |p| {
        let short = send(RST_STREAM, 0, 1, &[0; 3]);
        vec![p.get(1, WHOLE), short, expect(StreamError(&[FRAME_SIZE]))]
    }),
    check("http2/6.5/1", "SETTINGS with ACK and a payload", |_| {
        vec![send(SETTINGS, ACK, 0, &[0]), expect(ConnectionError(&[FRAME_SIZE]))]
    }),
    check("http2/6.5/2", "SETTINGS on a stream", |_| {
        vec![send(SETTINGS, 0, 1, b"\0\x03\0\0\0\x64"), violation()]
    }),
    check("http2/6.5/3", "SETTINGS of 3 bytes", |_| {
        vec![
            send(SETTINGS, 0, 0, b"\0\x03\0"),
            expect(StreamError(&[PROTOCOL, FRAME_SIZE])),
        ]
    }),
    check("http2/6.5.2/1", "ENABLE_PUSH of 2", |_| {
        vec![settings(&[(ENABLE_PUSH, 2)]), violation()]
    }),
    check("http2/6.5.2/2", "INITIAL_WINDOW_SIZE above the maximum", |_| {
        vec![window(MAX_WINDOW + 1), expect(ConnectionError(&[FLOW_CONTROL]))]
    }),
    check("http2/6.5.2/3", "MAX_FRAME_SIZE below the minimum", |_| {
        vec![settings(&[(MAX_FRAME_SIZE, (1 << 14) - 1)]), violation()]
    }),
    check("http2/6.5.2/4", "MAX_FRAME_SIZE above the maximum", |_| {
        vec![settings(&[(MAX_FRAME_SIZE, 1 << 24)]), violation()]
    }),
    check("http2/6.5.2/5", "an unknown setting", |_| {
        vec![settings(&[(0xff, 1)]), ping(MARK), expect(Pong(MARK))]
    }),
    check("http2/6.5.3/1", "INITIAL_WINDOW_SIZE twice in a frame", |p| {
        let twice = settings(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]);
        vec![twice, expect(SettingsAck), p.get(1, WHOLE), expect(Data(1))]
    }),
    check("http2/6.5.3/2", "SETTINGS are acknowledged", |_| {
        vec![settings(&[(ENABLE_PUSH, 0)]), expect(SettingsAck)]
    }),
    check("http2/6.7/1", "PING", |_| vec![ping(MARK), expect(Pong(MARK))]),
    check("http2/6.7/2", "PING with ACK", |_| {
        vec![send(PING, ACK, 0, b"invalid\0"), ping(MARK), expect(Pong(MARK))]
    }),
    check("http2/6.7/3", "PING on a stream", |_| {
        vec![send(PING, 0, 1, &[0; 8]), violation()]
    }),
    check("http2/6.7/4", "PING of 6 bytes", |_| {
        vec![ping(&[0; 6]), expect(ConnectionError(&[FRAME_SIZE]))]
    }),
    check("http2/6.8/1", "GOAWAY on a stream", |_| {
        vec![send(GOAWAY, 0, 1, &[0; 8]), violation()]
    }),
    check("http2/6.9/1", "WINDOW_UPDATE of 0", |_| {
        vec![window_update(0, 0), violation()]
    }),
    check("http2/6.9/2", "WINDOW_UPDATE of 0 on a stream", |p| {
        vec![p.get(1, END_HEADERS), window_update(1, 0), malformed()]
    }),
    check("http2/6.9/3", "WINDOW_UPDATE of 3 bytes", |_| {
        let short = send(WINDOW_UPDATE, 0, 0, b"\0\0\x01");
        vec![short, expect(ConnectionError(&[FRAME_SIZE]))]
    }),
    check("http2/6.9.1/1", "a window of 1", |p| {
        vec![window(1), expect(SettingsAck), p.get(1, WHOLE), expect(Data(1))]
    }),
    check("http2/6.9.1/2", "a connection's window above the maximum", |_| {
        let more = || window_update(0, MAX_WINDOW);
        vec![more(), more(), expect(Goaway(FLOW_CONTROL))]
    }),
    check("http2/6.9.1/3", "a stream's window above the maximum", |p| {
        let more = || window_update(1, MAX_WINDOW);
        vec![p.get(1, END_HEADERS), more(), more(), expect(Reset(1, FLOW_CONTROL))]
    }),
    check("http2/6.9.2/1", "INITIAL_WINDOW_SIZE changes after HEADERS", |p| {
        vec![
            window(0),
            expect(SettingsAck),
            p.get(1, WHOLE),
            window(1),
            expect(Data(1)),
        ]
    }),
    check("http2/6.9.2/2", "a negative window", |p| {
        vec![
            window(3),
            expect(SettingsAck),
            p.get(1, WHOLE),
            expect(SomeData),
            window(2),
            expect(SettingsAck),
            window_update(1, 2),
            expect(Data(1)),
        ]
    }),
    check("http2/6.9.2/3", "INITIAL_WINDOW_SIZE above the maximum", |_| {
        vec![window(1 << 31), expect(ConnectionError(&[FLOW_CONTROL]))]
    }),
    check("http2/6.10/1", "CONTINUATION frames after HEADERS", |p| {
        vec![
            p.get(1, END_STREAM),
            continuation(1, 0, &dummy(1)),
            continuation(1, END_HEADERS, &dummy(1)),
            expect(Response(1)),
        ]
    }),
    check("http2/6.10/2", "CONTINUATION, then another frame", |p| {
        vec![
            p.post(1, 0),
            continuation(1, 0, &dummy(1)),
            data(1, END_STREAM),
            violation(),
        ]
    }),
    check("http2/6.10/3", "CONTINUATION on stream 0", |p| {
        vec![
            p.get(1, END_STREAM),
            continuation(0, END_HEADERS, &dummy(1)),
            violation(),
        ]
    }),
    check("http2/6.10/4", "CONTINUATION after HEADERS with END_HEADERS", |p| {
        vec![p.get(1, WHOLE), continuation(1, END_HEADERS, &dummy(1)), violation()]
    }),
    check("http2/6.10/5", "CONTINUATION after one with END_HEADERS", |p| {
        let more = || continuation(1, END_HEADERS, &dummy(1));
        vec![p.get(1, END_STREAM), more(), more(), violation()]
    }),
    check("http2/6.10/6", "CONTINUATION after DATA", |p| {
        vec![
            p.post(1, 0),
            data(1, END_STREAM),
            continuation(1, 0, &dummy(1)),
            continuation(0, END_HEADERS, &dummy(1)),
            violation(),
        ]
    }),
    check("http2/7/1", "GOAWAY with an unknown code", |_| {
        vec![goaway(0xff, b""), ping(MARK), expect(PongOrEnd(MARK))]
    }),
    check("http2/7/2", "RST_STREAM with an unknown code", |p| {
        vec![p.post(1, END_HEADERS), reset(1, 0xff), ping(MARK), expect(Pong(MARK))]
    }),
    check("http2/8.1/1", "a second HEADERS without END_STREAM", |p| {
        let second = headers(1, END_HEADERS, &[("x-test", "ok")]);
        vec![p.post(1, END_HEADERS), data(1, 0), second, malformed()]
    }),
    check("http2/8.1.2/1", "a field name in upper case", |p| {
        vec![p.get_with(&[("X-TEST", "ok")]), malformed()]
    }),
    check("http2/8.1.2.1/1", "an unknown pseudo-field", |p| {
        vec![p.get_with(&[(":test", "ok")]), malformed()]
    }),
    check("http2/8.1.2.1/2", "a pseudo-field of responses", |p| {
        vec![p.get_with(&[(":status", "200")]), malformed()]
    }),
    check("http2/8.1.2.1/3", "a pseudo-field as a trailer", |p| {
        let trailers = headers(1, END_HEADERS, &[(":method", "POST")]);
        vec![p.post(1, END_HEADERS), data(1, 0), trailers, malformed()]
    }),
    check("http2/8.1.2.1/4", "a pseudo-field after a regular one", |p| {
        let fields = [vec![("x-test", "ok")], p.fields("GET")].concat();
        vec![headers(1, WHOLE, &fields), malformed()]
    }),
    check("http2/8.1.2.2/1", "a connection-specific field", |p| {
        vec![p.get_with(&[("connection", "keep-alive")]), malformed()]
    }),
    check("http2/8.1.2.2/2", "TE other than trailers", |p| {
        let fields = [("trailers", "test"), ("te", "trailers, deflate")];
        vec![p.get_with(&fields), malformed()]
    }),
    check("http2/8.1.2.3/1", "an empty :path", |p| {
        let mut fields = p.fields("GET");
        fields[2].1 = "";
        vec![headers(1, WHOLE, &fields), malformed()]
    }),
    // h2spec leaves out :scheme, too.
    check("http2/8.1.2.3/2", "no :method", |p| {
        vec![headers(1, WHOLE, &p.fields("GET")[2..]), malformed()]
    }),
    check("http2/8.1.2.3/3", "no :scheme", |p| {
        vec![without(p.fields("GET"), 1), malformed()]
    }),
    check("http2/8.1.2.3/4", "no :path", |p| {
        vec![without(p.fields("GET"), 2), malformed()]
    }),
    check("http2/8.1.2.3/5", "two :method", |p| {
        vec![p.get_with(&[(":method", "GET")]), malformed()]
    }),
    check("http2/8.1.2.3/6", "two :scheme", |p| {
        let fields = [p.fields("GET"), vec![p.fields("GET")[1]]].concat();
        vec![headers(1, WHOLE, &fields), malformed()]
    }),
    check("http2/8.1.2.3/7", "two :path", |p| {
        vec![p.get_with(&[(":path", "/")]), malformed()]
    }),
    check("http2/8.1.2.6/1", "a content-length that differs from DATA", |p| {
        let head = p.post_with("content-length", "1");
        vec![head, data(1, END_STREAM), malformed()]
    }),
    check(
        "http2/8.1.2.6/2",
        "a content-length that differs from the sum of DATA",
        |p| {
            let head = p.post_with("content-length", "1");
            vec![head, data(1, 0), data(1, END_STREAM), malformed()]
        },
    ),
    check("http2/8.2/1", "PUSH_PROMISE", |p| {
        let promise = [&3_u32.to_be_bytes()[..], &p.block()].concat();
        vec![send(PUSH_PROMISE, END_HEADERS, 1, &promise), violation()]
    }),
];

fn without(mut fields: super::script::Fields<'_>, field: usize) -> Step {
    fields.remove(field);
    headers(1, WHOLE, &fields)
}
