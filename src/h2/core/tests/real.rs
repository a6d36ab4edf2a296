//! Tests with the h2 crate's client over a pipe: documents that promise concurrently, resets by both sides, small
//! windows. The client fails the connection for any promise out of order, frame in a wrong state or byte above a
//! window.

use std::{collections::HashMap, pin::pin};

use bytes::Bytes;
use h2::client::{PushPromises, SendRequest};
use http::{HeaderMap, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::oneshot,
    task::{JoinSet, LocalSet},
    time::{sleep, timeout},
};

use super::{CONFIG, Core, Duration, Event, Free, Instant, Key, Priority, Reason, Rope, ok};

/// A generator of pseudo-random numbers from a seed (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    fn is_one_of(&mut self, many: usize) -> bool {
        self.roll(many) == 0
    }
}

/// Returns the content of a path `/LENGTH`, which determines its length and bytes.
fn content(path: &str) -> Bytes {
    let length = path.trim_start_matches('/').parse().unwrap_or(0);
    (0..length).map(|at: usize| at.to_le_bytes()[0]).collect()
}

/// The rest of a response.
struct Work {
    key: Key,
    left: Bytes,
    has_head: bool,
    promises: usize,
}

/// Serves the state machine over a pipe until the client is gone.
async fn serve(io: DuplexStream, mut dice: Dice) -> Core<()> {
    let mut core: Core<()> = Core::new(CONFIG, Instant::now());
    let mut work: Vec<Work> = Vec::new();
    let (mut reader, mut writer) = tokio::io::split(io);
    let mut written = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let mut is_busy = false;
        while let Some(event) = core.poll_event() {
            match event {
                Event::Request { key, head, .. } => work.push(Work {
                    key,
                    left: content(head.uri.path()),
                    has_head: false,
                    promises: dice.roll(5),
                }),
                Event::Fault { fault, stream } => panic!("{fault}, stream {stream:?}"),
                _ => {}
            }
        }
        if !work.is_empty() {
            let at = dice.roll(work.len());
            let key = work[at].key;
            is_busy = true;
            if core.reset_reason(key).is_some() {
                core.detach(key, Reason::CANCEL);
                work.swap_remove(at);
            } else if work[at].promises > 0 {
                work[at].promises -= 1;
                let path = format!("https://h/{}", dice.roll(30_000));
                let request = Request::get(&path).body(()).unwrap();
                if let Ok(key) = core.promise(key, &request, Priority::default()) {
                    work.push(Work {
                        key,
                        left: content(request.uri().path()),
                        has_head: false,
                        promises: 0,
                    });
                }
            } else if !work[at].has_head {
                work[at].has_head = core.respond(key, ok().of()).is_ok();
            } else {
                let most = work[at].left.len().min(1 + dice.roll(20_000));
                let part = work[at].left.split_to(most);
                let is_last = work[at].left.is_empty();
                is_busy = core.poll_writable(key) == Ok(true) || is_last;
                if core.send(key, part, false, Instant::now).is_ok() && is_last {
                    let mut trailers = HeaderMap::new();
                    trailers.insert("length", "1".parse().unwrap());
                    let _ = core.finish(key, dice.is_one_of(3).then_some(trailers));
                }
                if is_last {
                    core.detach(key, Reason::CANCEL);
                    work.swap_remove(at);
                }
            }
        }
        if written.is_empty() && (dice.is_one_of(3) || !is_busy) {
            let mut out = Rope::default();
            core.transmit(&mut out, Instant::now(), &mut Free);
            written = out.take();
        }
        // Polls the pipe once, or for a millisecond if there is nothing else to do.
        let patience = Duration::from_millis(u64::from(!is_busy));
        tokio::select! {
            biased;
            come = reader.read(&mut buffer) => match come {
                Ok(0) | Err(_) => break,
                Ok(length) => core.receive(&buffer[..length], Instant::now()),
            },
            gone = writer.write(&written), if !written.is_empty() => match gone {
                Ok(length) => drop(written.drain(..length)),
                Err(_) => break,
            },
            () = sleep(patience) => {}
        }
    }
    for Work { key, .. } in work {
        core.detach(key, Reason::CANCEL);
    }
    core
}

/// Reads content to its end, or drops the stream after the first part.
async fn body(path: String, mut body: h2::RecvStream, leaves: bool) {
    let expected = content(&path);
    let mut length = 0;
    while let Some(part) = body.data().await {
        let part = part.unwrap_or_else(|e| panic!("{path}: {e}"));
        assert_eq!(part, expected.slice(length..length + part.len()), "{path}");
        length += part.len();
        body.flow_control().release_capacity(part.len()).unwrap();
        if leaves {
            return;
        }
    }
    assert_eq!(length, expected.len(), "{path}");
    body.trailers().await.unwrap();
}

/// Takes the promises of a document: reads some, and resets others before or after their heads.
async fn pushes(mut promises: PushPromises, choices: Vec<usize>, document: oneshot::Receiver<()>) {
    let mut tasks = JoinSet::new();
    let mut choices = choices.into_iter().cycle();
    let mut document = pin!(document);
    let mut is_over = false;
    loop {
        // The crate does not wake a task that waits for promises when the document ends.
        let promise = tokio::select! {
            biased;
            promise = promises.push_promise() => promise,
            _ = &mut document, if !is_over => {
                is_over = true;
                continue;
            }
            () = std::future::ready(()), if is_over => None,
        };
        let Some(promise) = promise else { break };
        let (request, response) = promise.expect("a promise").into_parts();
        let path = request.uri().path().to_owned();
        let choice = choices.next().unwrap_or(0);
        tasks.spawn_local(async move {
            if choice == 1 {
                drop(response);
                return;
            }
            let response = response.await.unwrap_or_else(|e| panic!("pushed {path}: {e}"));
            body(path, response.into_body(), choice == 2).await;
        });
    }
    drop(promises);
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

async fn document(client: SendRequest<Bytes>, path: String, choices: Vec<usize>) {
    let mut client = client.ready().await.expect("a connection");
    let request = Request::get(format!("https://h{path}")).body(()).unwrap();
    let (mut response, _) = client.send_request(request, true).unwrap();
    let (done, document) = oneshot::channel();
    let promises = response.push_promises();
    let pushes = tokio::task::spawn_local(pushes(promises, choices.clone(), document));
    // All promises come before the head. The document is reset only after that: otherwise the crate forgets promises
    // that are on their way, and fails the connection when their responses come.
    let response = response.await.unwrap_or_else(|e| panic!("{path}: {e}"));
    match choices[0] {
        3 => drop(response),
        choice => body(path, response.into_body(), choice == 4).await,
    }
    drop((done, client));
    pushes.await.unwrap();
}

/// Runs a connection with several concurrent documents.
async fn session(seed: u64) {
    let mut dice = Dice(seed);
    let (near, far) = tokio::io::duplex(1 << (6 + dice.roll(12)));
    let server = tokio::task::spawn_local(serve(far, Dice(seed + 7)));
    let mut builder = h2::client::Builder::new();
    let windows = [1000, 65_535, 1_000_000];
    builder
        .initial_window_size(windows[dice.roll(3)])
        .initial_connection_window_size([65_535, 2_000_000][dice.roll(2)])
        .max_concurrent_streams([1, 2, 100][dice.roll(3)])
        .header_table_size([0, 100, 4096, 65_536][dice.roll(4)])
        .enable_push(true);
    let (client, connection) = builder.handshake::<_, Bytes>(near).await.unwrap();
    let connection = tokio::task::spawn_local(connection);
    let mut documents = JoinSet::new();
    let mut paths = HashMap::new();
    for at in 0..1 + dice.roll(8) {
        let choices: Vec<_> = (0..4).map(|_| dice.roll(5)).collect();
        let path = format!("/{}", dice.roll(100_000));
        paths.insert(at, path.clone());
        documents.spawn_local(document(client.clone(), path, choices));
    }
    while let Some(done) = documents.join_next().await {
        done.unwrap();
    }
    drop(client);
    connection.await.unwrap().expect("no error of the connection");
    let core = server.await.unwrap();
    assert_eq!(core.header_bytes + core.queued + core.held.len(), 0, "{paths:?}");
}

#[test]
fn the_h2_crate_s_client_gets_all_promised_responses() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let sessions = std::env::var("SESSIONS").map_or(60, |sessions| sessions.parse().unwrap());
    for seed in 1..=sessions {
        let session = async move { timeout(Duration::from_secs(60), session(seed)).await };
        LocalSet::new()
            .block_on(&runtime, session)
            .unwrap_or_else(|_| panic!("session {seed} hangs"));
    }
}
