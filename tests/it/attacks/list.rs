//! The attacks.

use std::time::Duration;

use tokio::time::{interval, sleep};

use super::{
    CALM,
    attacker::{Attacker, End},
    measure::{Attack, QUIET, Target},
};
use crate::support::{
    origin::{Step, response},
    raw::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS,
        PING, PREFACE, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get, settings_payload,
    },
};

const PRIORITY: u8 = 2;
const PRIORITY_UPDATE: u8 = 16;
const PADDED: u8 = 8;
const HEADER_TABLE_SIZE: u16 = 1;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const REFUSED_STREAM: u32 = 7;
const MAX_WINDOW: u32 = (1 << 31) - 1;

/// SETTINGS_MAX_CONCURRENT_STREAMS of the edge.
const STREAMS: usize = 128;

/// Frames of a flood, for one unit of scale.
const FLOOD: usize = 20_000;

/// An attack that ends with ENHANCE_YOUR_CALM, and needs next to no memory.
const CALMED: Attack = Attack {
    name: "",
    server: "",
    end: End::Goaway(CALM),
    most: 8,
    quiet: QUIET,
    reason: "",
    run: |_| Box::pin(async { Vec::new() }),
};

const RESET: Attack = Attack {
    reason: "too many resets",
    ..CALMED
};

const MALFORMED: Attack = Attack {
    reason: "too many malformed requests",
    ..CALMED
};

const FLOODED: Attack = Attack {
    reason: "too many control frames",
    ..CALMED
};

const CONTINUED: Attack = Attack {
    reason: "too many CONTINUATION frames",
    ..CALMED
};

/// Processor time for each second after an attack that leaves a hundred streams waiting for their client: each looks four
/// times a second whether the origin is to be kept from a time limit. The edge of the tests is not optimized.
const MANY_WAIT: Duration = Duration::from_millis(150);

/// One whose connections live.
const LIVES: Attack = Attack {
    end: End::Lives,
    ..CALMED
};

/// Floods one connection with the same frame.
async fn flood(target: Target, frame: Vec<u8>) -> Vec<Attacker> {
    let mut attacker = Attacker::connect(target.edge, &[]).await;
    attacker.settle().await;
    attacker.repeat(&frame, FLOOD * target.scale).await;
    vec![attacker]
}

/// Opens streams again and again, each followed by what makes the edge reset it.
async fn made_you_reset(
    target: Target,
    make: impl Fn(&mut Attacker) -> Vec<u8> + Send + Sync + 'static,
) -> Vec<Attacker> {
    let mut attackers = Vec::new();
    for _ in 0..target.scale {
        let mut attacker = Attacker::connect(target.edge, &[]).await;
        for _ in 0..2000 {
            let bytes = make(&mut attacker);
            if !attacker.send(&bytes).await {
                break;
            }
        }
        attackers.push(attacker);
    }
    attackers
}

/// A GET that is not answered, followed by a frame for its stream.
fn get_and(attacker: &mut Attacker, kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let (stream, mut bytes) = attacker.get("/never");
    bytes.extend(frame(kind, flags, stream, payload));
    bytes
}

/// A POST, followed by a frame for its stream.
fn post_and(attacker: &mut Attacker, fields: &[(&[u8], &[u8])], (kind, flags, payload): (u8, u8, &[u8])) -> Vec<u8> {
    let (stream, mut bytes) = attacker.post("/never", fields);
    bytes.extend(frame(kind, flags, stream, payload));
    bytes
}

/// Requests and their resets, so many each second.
async fn paced(target: Target, each_second: u64, times: usize) -> Vec<Attacker> {
    let mut attacker = Attacker::connect(target.edge, &[]).await;
    // Ten at a time, where timers are too coarse.
    let batch = if each_second > 100 { 10 } else { 1 };
    let mut pace = interval(Duration::from_micros(1_000_000 * batch / each_second));
    for _ in 0..times / batch as usize {
        pace.tick().await;
        let mut bytes = Vec::new();
        for _ in 0..batch {
            bytes.extend(get_and(&mut attacker, RST_STREAM, 0, &CANCEL));
        }
        if !attacker.send(&bytes).await {
            break;
        }
    }
    vec![attacker]
}

pub const RESETS: &[Attack] = &[
    Attack {
        name: "rapid reset",
        // Pingora's tasks of some hundred requests, until they hear of the resets.
        most: 40,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    let mut bytes = Vec::new();
                    for _ in 0..2000 {
                        bytes.extend(get_and(&mut attacker, RST_STREAM, 0, &CANCEL));
                    }
                    attacker.send(&bytes).await;
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..RESET
    },
    Attack {
        name: "rapid reset, 25 a second",
        run: |target| Box::pin(async move { paced(target.clone(), 25, 50 * target.scale).await }),
        ..LIVES
    },
    Attack {
        name: "rapid reset, 200 a second",
        most: 20,
        run: |target| Box::pin(paced(target, 200, 1200)),
        ..RESET
    },
    Attack {
        name: "made you reset: WINDOW_UPDATE of 0",
        run: |target| Box::pin(made_you_reset(target, |at| get_and(at, WINDOW_UPDATE, 0, &[0; 4]))),
        ..MALFORMED
    },
    Attack {
        name: "made you reset: window overflow",
        run: |target| {
            Box::pin(made_you_reset(target, |at| {
                get_and(at, WINDOW_UPDATE, 0, &MAX_WINDOW.to_be_bytes())
            }))
        },
        ..MALFORMED
    },
    Attack {
        name: "made you reset: DATA on half-closed",
        run: |target| Box::pin(made_you_reset(target, |at| get_and(at, DATA, END_STREAM, b"x"))),
        ..MALFORMED
    },
    Attack {
        name: "made you reset: HEADERS on half-closed",
        run: |target| {
            Box::pin(made_you_reset(target, |at| {
                get_and(at, HEADERS, END_HEADERS | END_STREAM, &[0x82])
            }))
        },
        ..MALFORMED
    },
    Attack {
        name: "made you reset: content above content-length",
        run: |target| {
            Box::pin(made_you_reset(target, |at| {
                post_and(at, &[(b"content-length", b"1")], (DATA, 0, b"xy"))
            }))
        },
        ..MALFORMED
    },
    Attack {
        name: "made you reset: content below content-length",
        run: |target| {
            Box::pin(made_you_reset(target, |at| {
                post_and(at, &[(b"content-length", b"9")], (DATA, END_STREAM, b"xy"))
            }))
        },
        ..MALFORMED
    },
    Attack {
        name: "made you reset: PRIORITY on itself",
        run: |target| {
            Box::pin(made_you_reset(target, |at| {
                let (stream, mut bytes) = at.get("/never");
                let payload = [&stream.to_be_bytes()[..], &[16]].concat();
                bytes.extend(frame(PRIORITY, 0, stream, &payload));
                bytes
            }))
        },
        ..MALFORMED
    },
    Attack {
        name: "made you reset: PRIORITY of 4 bytes",
        run: |target| Box::pin(made_you_reset(target, |at| get_and(at, PRIORITY, 0, &[0; 4]))),
        ..MALFORMED
    },
    Attack {
        name: "made you reset: trailers without an end",
        run: |target| {
            Box::pin(made_you_reset(target, |at| {
                post_and(at, &[], (HEADERS, END_HEADERS, &block(&[(b"x", b"y")])))
            }))
        },
        ..MALFORMED
    },
    Attack {
        name: "made you reset: malformed requests",
        run: |target| {
            Box::pin(made_you_reset(target, |at| {
                let (stream, fields) = (at.stream(), block(&[(b":method", b"GET"), (b"X-Upper", b"1")]));
                frame(HEADERS, END_HEADERS | END_STREAM, stream, &fields)
            }))
        },
        ..MALFORMED
    },
    Attack {
        name: "made you reset: DATA behind its own reset",
        run: |target| {
            Box::pin(made_you_reset(target, |at| {
                let (stream, mut bytes) = at.post("/never", &[]);
                bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
                bytes.extend(frame(DATA, 0, stream, b"x"));
                bytes
            }))
        },
        ..MALFORMED
    },
];

pub const FLOODS: &[Attack] = &[
    Attack {
        name: "SETTINGS",
        run: |target| {
            let settings = settings_payload(&[(INITIAL_WINDOW_SIZE, 70_000)]);
            Box::pin(flood(target, frame(SETTINGS, 0, 0, &settings)))
        },
        ..FLOODED
    },
    Attack {
        name: "SETTINGS acknowledged again and again",
        run: |target| Box::pin(flood(target, frame(SETTINGS, ACK, 0, b""))),
        ..FLOODED
    },
    Attack {
        name: "PING",
        run: |target| Box::pin(flood(target, frame(PING, 0, 0, &[0; 8]))),
        ..FLOODED
    },
    Attack {
        name: "PING, answers not read",
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    attacker.send_unread(&frame(PING, 0, 0, &[0; 8]).repeat(FLOOD)).await;
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..FLOODED
    },
    Attack {
        name: "empty DATA",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                let (stream, post) = attacker.post("/never", &[]);
                attacker.send(&post).await;
                attacker
                    .repeat(&frame(DATA, 0, stream, b""), FLOOD * target.scale)
                    .await;
                vec![attacker]
            })
        },
        ..FLOODED
    },
    Attack {
        name: "DATA of padding",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                let (stream, post) = attacker.post("/never", &[]);
                attacker.send(&post).await;
                attacker
                    .repeat(&frame(DATA, PADDED, stream, &[0]), FLOOD * target.scale)
                    .await;
                vec![attacker]
            })
        },
        ..FLOODED
    },
    Attack {
        name: "PRIORITY",
        run: |target| Box::pin(flood(target, frame(PRIORITY, 0, 1001, &[0, 0, 0, 1, 0]))),
        ..FLOODED
    },
    Attack {
        name: "PRIORITY_UPDATE",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                let number = u32::try_from(FLOOD * target.scale).unwrap_or(u32::MAX);
                let mut bytes = Vec::new();
                for n in 0..number {
                    let payload = [&(2 * n + 1).to_be_bytes()[..], b"u=1"].concat();
                    bytes.extend(frame(PRIORITY_UPDATE, 0, 0, &payload));
                }
                attacker.send(&bytes).await;
                vec![attacker]
            })
        },
        ..FLOODED
    },
    Attack {
        name: "PRIORITY_UPDATE of 16 KB",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                let (stream, request) = attacker.get("/never");
                attacker.send(&request).await;
                let mut payload = stream.to_be_bytes().to_vec();
                for n in 0..2300 {
                    payload.extend(format!("k{n:04}, ").bytes());
                }
                payload.extend(b"u=1");
                // As many as nobody has to count: the parser is what they are for.
                attacker
                    .repeat(&frame(PRIORITY_UPDATE, 0, 0, &payload), 300 * target.scale)
                    .await;
                vec![attacker]
            })
        },
        ..FLOODED
    },
    Attack {
        name: "WINDOW_UPDATE of 1",
        run: |target| Box::pin(flood(target, frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))),
        ..FLOODED
    },
    Attack {
        name: "RST_STREAM of closed streams",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                attacker.fetch("/ok").await;
                attacker
                    .repeat(&frame(RST_STREAM, 0, 1, &CANCEL), FLOOD * target.scale)
                    .await;
                vec![attacker]
            })
        },
        ..FLOODED
    },
    Attack {
        name: "HEADERS of streams that were reset",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                let stream = attacker.stream();
                let malformed = block(&[(b"X-Upper", b"1")]);
                attacker.send(&frame(HEADERS, END_HEADERS, stream, &malformed)).await;
                let late = frame(HEADERS, END_HEADERS, stream, &[0x82]);
                attacker.repeat(&late, FLOOD * target.scale).await;
                vec![attacker]
            })
        },
        ..FLOODED
    },
    Attack {
        name: "GOAWAY",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                for _ in 0..100 {
                    let (_, request) = attacker.get("/never");
                    attacker.send(&request).await;
                }
                let goaway = frame(GOAWAY, 0, 0, &[0; 8]);
                attacker.repeat(&goaway, FLOOD * target.scale).await;
                vec![attacker]
            })
        },
        ..FLOODED
    },
    Attack {
        name: "unknown frames",
        run: |target| Box::pin(flood(target, frame(0xbb, 0, 0, b""))),
        ..FLOODED
    },
    Attack {
        name: "INITIAL_WINDOW_SIZE up and down",
        most: 30,
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[(INITIAL_WINDOW_SIZE, 0)]).await;
                ask(&mut attacker, "/never", STREAMS).await;
                let mut round = frame(SETTINGS, 0, 0, &settings_payload(&[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]));
                round.extend(frame(SETTINGS, 0, 0, &settings_payload(&[(INITIAL_WINDOW_SIZE, 0)])));
                attacker.repeat(&round, FLOOD * target.scale).await;
                vec![attacker]
            })
        },
        ..FLOODED
    },
    Attack {
        name: "a window of 1, opened by 1",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[(INITIAL_WINDOW_SIZE, 1)]).await;
                let (stream, request) = attacker.get("/big");
                attacker.send(&request).await;
                let more = frame(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 1]);
                let mut data = 0;
                // Each byte is awaited, so that it leaves in a frame of its own.
                while attacker.count(DATA) < FLOOD {
                    data += 1;
                    if !attacker.read_until("a byte", |at| at.count(DATA) >= data).await || !attacker.send(&more).await
                    {
                        break;
                    }
                }
                vec![attacker]
            })
        },
        ..FLOODED
    },
];

/// Asks for a path so many times; reads what comes.
async fn ask(attacker: &mut Attacker, path: &str, times: usize) {
    for _ in 0..times {
        let (_, request) = attacker.get(path);
        attacker.send(&request).await;
    }
}

/// The beginning of a GET as bytes of HPACK that leave the dynamic table alone.
fn head(authority: &str, path: &str) -> Vec<u8> {
    let mut head = vec![0x82, 0x86, 0x01, authority.len() as u8];
    head.extend(authority.as_bytes());
    head.extend([0x04, path.len() as u8]);
    head.extend(path.as_bytes());
    head
}

/// Sends GETs of `/never` that each refer to one field of the dynamic table so many times. `literal` puts it there.
async fn refer(attacker: &mut Attacker, literal: &[u8], times: usize, requests: usize, reset: bool) {
    let head = head(attacker.authority(), "/never");
    let mut block = [&head, literal, &vec![0xbe; times - 1][..]].concat();
    for _ in 0..requests {
        let stream = attacker.stream();
        let mut bytes = frame(HEADERS, END_HEADERS | END_STREAM, stream, &block);
        if reset {
            bytes.extend(frame(RST_STREAM, 0, stream, &CANCEL));
        }
        if !attacker.send(&bytes).await {
            return;
        }
        block = [&head, &vec![0xbe; times][..]].concat();
    }
}

/// A field of 4,000 bytes, to be indexed.
fn large_field() -> Vec<u8> {
    // Length 4000 with a prefix of 7 bits: 127, then 3873 in groups of 7.
    let mut field = vec![0x40, 1, b'x', 0x7f, (3873 % 128) as u8 | 0x80, (3873 / 128) as u8];
    field.extend([b'v'; 4000]);
    field
}

pub const HEADERS_AND_TABLES: &[Attack] = &[
    Attack {
        name: "CONTINUATION: an endless block",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                let (authority, stream) = (attacker.authority().to_owned(), attacker.stream());
                let fields = block(&get(&authority, b"/ok"));
                attacker.send(&frame(HEADERS, END_STREAM, stream, &fields)).await;
                let junk = frame(CONTINUATION, 0, stream, &block(&[(b"x-junk", &[b'x'; 16_000])]));
                attacker.repeat(&junk, 500 * target.scale).await;
                vec![attacker]
            })
        },
        ..CONTINUED
    },
    Attack {
        name: "CONTINUATION: frames of 1 byte",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                attacker.send(&frame(HEADERS, END_STREAM, 1, &[0x82])).await;
                attacker.repeat(&frame(CONTINUATION, 0, 1, &[0x86]), FLOOD).await;
                vec![attacker]
            })
        },
        ..CONTINUED
    },
    Attack {
        name: "CONTINUATION: empty frames",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                attacker.send(&frame(HEADERS, END_STREAM, 1, &[0x82])).await;
                attacker.repeat(&frame(CONTINUATION, 0, 1, b""), FLOOD).await;
                vec![attacker]
            })
        },
        ..CONTINUED
    },
    Attack {
        name: "half-open header blocks",
        server: "limits: { idle_timeout: 2s }",
        most: 20,
        end: End::Goaway(0),
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..100 * target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    let part = block(&[(b"x-part", &[b'x'; 16_000])]);
                    attacker.send(&frame(HEADERS, END_STREAM, 1, &part)).await;
                    for _ in 0..3 {
                        attacker.send(&frame(CONTINUATION, 0, 1, &part)).await;
                    }
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..LIVES
    },
    Attack {
        name: "handshakes that stall",
        server: "limits: { handshake_timeout: 2s }",
        end: End::Closed,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..30 * target.scale {
                    for said in [
                        b"".as_slice(),
                        &PREFACE[..9],
                        PREFACE,
                        &[PREFACE, &[0, 0, 6, 4, 0]].concat(),
                    ] {
                        let mut attacker = Attacker::silent(target.edge).await;
                        attacker.send(said).await;
                        attackers.push(attacker);
                    }
                }
                attackers
            })
        },
        ..LIVES
    },
    Attack {
        name: "1,500 crumbs of a cookie a request",
        // 20 connections already, whatever the scale.
        most: 25,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..20 {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    refer(&mut attacker, &[0x60, 1, b'a'], 1500, STREAMS, false).await;
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..LIVES
    },
    Attack {
        name: "a field of 4 KB, 15 times a request",
        most: 60,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..5 * target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    refer(&mut attacker, &large_field(), 15, STREAMS, false).await;
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..LIVES
    },
    Attack {
        name: "a field of 4 KB, 15 times a request, reset",
        most: 100,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..2 * target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    refer(&mut attacker, &large_field(), 15, 2000, true).await;
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..RESET
    },
    Attack {
        name: "a field of 4 KB, 12,000 times a request",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                refer(&mut attacker, &large_field(), 12_000, 1000, false).await;
                vec![attacker]
            })
        },
        ..RESET
    },
    Attack {
        name: "HEADER_TABLE_SIZE toggled",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                for size in [0, u32::MAX, 4096, 1].into_iter().cycle().take(200) {
                    let settings = settings_payload(&[(HEADER_TABLE_SIZE, size)]);
                    attacker.send(&frame(SETTINGS, 0, 0, &settings)).await;
                    if !attacker.fetch("/ok").await {
                        break;
                    }
                }
                vec![attacker]
            })
        },
        ..LIVES
    },
    Attack {
        name: "table size updates, 4,000 a block",
        run: |target| {
            Box::pin(async move {
                let mut attacker = Attacker::connect(target.edge, &[]).await;
                let updates = [0x20, 0x3f, 0xe1, 0x1f].repeat(2000);
                let head = head(attacker.authority(), "/ok");
                for n in 1..=100 {
                    let stream = attacker.stream();
                    let block = [&updates[..], &head].concat();
                    let answered = attacker
                        .send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, &block))
                        .await
                        && attacker.read_until("an answer", |at| at.count_ok() >= n).await;
                    if !answered {
                        break;
                    }
                }
                vec![attacker]
            })
        },
        ..LIVES
    },
];

/// Pages without content, each with 16 links to assets of 64 KB, and a client that accepts no push of them.
async fn never_accepted(target: Target, max_streams: u32) -> Vec<Attacker> {
    const PAGES: usize = 32;
    for page in 0..PAGES {
        let mut links = Vec::new();
        for n in 0..16 {
            links.push(format!("</asset-{page}-{n}>; rel=preload; as=style"));
            let fields = [("cache-control", "max-age=60")];
            target.origin.on(
                &format!("/asset-{page}-{n}"),
                [Step::Send(response("200 OK", &fields, &[b'a'; 64 << 10]))],
            );
        }
        target
            .origin
            .serve_ok(&format!("/page-{page}"), &[("link", &links.join(", "))], b"");
    }
    let mut attackers = Vec::new();
    for _ in 0..target.scale {
        let settings = [(MAX_CONCURRENT_STREAMS, max_streams), (INITIAL_WINDOW_SIZE, 0)];
        let mut attacker = Attacker::connect(target.edge, &settings).await;
        for page in 0..PAGES {
            if !attacker.fetch(&format!("/page-{page}")).await {
                break;
            }
        }
        assert!(attacker.count(PUSH_PROMISE) > 0, "{:?}", attacker.frames);
        assert!(attacker.count(PUSH_PROMISE) <= 256, "{:?}", attacker.frames);
        attackers.push(attacker);
    }
    attackers
}

/// Asks for large answers with windows that take all of them, and reads nothing.
async fn never_read(target: Target, connections: usize, streams: usize, time: Duration) -> Vec<Attacker> {
    let mut attackers = Vec::new();
    for _ in 0..connections * target.scale {
        let mut attacker = Attacker::connect(target.edge, &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]).await;
        let mut bytes = frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
        for _ in 0..streams {
            bytes.extend(attacker.get("/big").1);
        }
        attacker.send_unread(&bytes).await;
        attackers.push(attacker);
    }
    // Time in which the attacker does nothing: first the edge sends what it can.
    sleep(time).await;
    attackers
}

pub const WAITING: &[Attack] = &[
    Attack {
        name: "two answers that are never read",
        end: End::Silent,
        run: |target| Box::pin(never_read(target, 4, 2, Duration::from_secs(2))),
        ..LIVES
    },
    Attack {
        name: "100 answers that are never read",
        quiet: MANY_WAIT,
        end: End::Silent,
        most: 60,
        run: |target| Box::pin(never_read(target, 1, 100, Duration::from_secs(2))),
        ..LIVES
    },
    Attack {
        name: "answers that are never read, and time limits",
        server: "limits: { write_timeout: 1s, idle_timeout: 2s }",
        end: End::Closed,
        most: 60,
        run: |target| Box::pin(never_read(target, 1, 50, Duration::from_secs(5))),
        ..LIVES
    },
    Attack {
        name: "a window of 0",
        server: "limits: { write_timeout: 2s }",
        most: 60,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[(INITIAL_WINDOW_SIZE, 0)]).await;
                    ask(&mut attacker, "/big", STREAMS).await;
                    attacker
                        .read_until("all to be reset", |at| at.count(RST_STREAM) >= STREAMS)
                        .await;
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..LIVES
    },
    Attack {
        name: "uploads that nobody reads",
        // A megabyte may be sent ahead on each connection.
        most: 40,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..10 * target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    let mut room = 1 << 20;
                    while room > 0 {
                        let (stream, post) = attacker.post("/deaf", &[]);
                        attacker.send(&post).await;
                        for _ in 0..16 {
                            attacker.send(&frame(DATA, 0, stream, &[b'x'; 16 * 1024])).await;
                            room -= 16 * 1024;
                        }
                    }
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..LIVES
    },
    Attack {
        name: "promises never accepted, MAX_CONCURRENT_STREAMS 1",
        most: 40,
        run: |target| Box::pin(never_accepted(target, 1)),
        ..LIVES
    },
    Attack {
        name: "promises never accepted, MAX_CONCURRENT_STREAMS 100000",
        quiet: MANY_WAIT,
        most: 80,
        run: |target| Box::pin(never_accepted(target, 100_000)),
        ..LIVES
    },
    Attack {
        name: "pushes that are never read",
        end: End::Silent,
        most: 60,
        run: |target| {
            Box::pin(async move {
                let mut links = Vec::new();
                for n in 0..16 {
                    links.push(format!("</big-{n}>; rel=preload; as=style"));
                    let body = response("200 OK", &[("cache-control", "max-age=60")], &[b'a'; 1 << 20]);
                    target.origin.on(&format!("/big-{n}"), [Step::Send(body)]);
                }
                target.origin.serve_ok("/page", &[("link", &links.join(", "))], b"page");
                let mut attackers = Vec::new();
                for _ in 0..target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[(INITIAL_WINDOW_SIZE, MAX_WINDOW)]).await;
                    let mut bytes = frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
                    bytes.extend(attacker.get("/page").1);
                    attacker.send_unread(&bytes).await;
                    attackers.push(attacker);
                }
                sleep(Duration::from_secs(2)).await;
                attackers
            })
        },
        ..LIVES
    },
    Attack {
        name: "128 requests reset while they wait for their turn",
        server: "threads: 1",
        most: 20,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    let mut bytes = Vec::new();
                    for _ in 0..STREAMS {
                        bytes.extend(attacker.get("/never").1);
                    }
                    for n in 0..STREAMS as u32 {
                        bytes.extend(frame(RST_STREAM, 0, 2 * n + 1, &CANCEL));
                    }
                    attacker.send(&bytes).await;
                    assert!(attacker.fetch("/ok").await, "the connection goes on");
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..LIVES
    },
    Attack {
        name: "1,000 requests above the limit",
        most: 20,
        run: |target| {
            Box::pin(async move {
                let mut attackers = Vec::new();
                for _ in 0..target.scale {
                    let mut attacker = Attacker::connect(target.edge, &[]).await;
                    ask(&mut attacker, "/never", 1000).await;
                    let refused = 1000 - STREAMS;
                    attacker
                        .read_until("refusals", |at| at.count_resets(REFUSED_STREAM) >= refused)
                        .await;
                    attackers.push(attacker);
                }
                attackers
            })
        },
        ..LIVES
    },
];
