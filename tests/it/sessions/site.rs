//! A site whose bodies can be told from their paths, so that clients in every language can check them.

use std::{path::PathBuf, time::Duration};

use h2::client::Builder;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::support::{
    client::Client,
    edge::{Edge, config},
    origin::{Origin, Step, response},
    program::Limited,
};

/// Both kinds of documents, and assets that are stored and that are not.
const KINDS: [&str; 2] = ["learned", "plain"];
const ASSET_KINDS: [&str; 2] = ["stored", "fresh"];
/// Documents of each kind; documents in all are no multiple of the stride of `clients/sessions.c`.
const DOCUMENTS: usize = 24;
/// Below 100 promises for eight documents, which is the least that a client of the tests allows.
const MOST_LINKS: u32 = 5;
const ASSETS: u32 = 60;

/// Refusing is what some of the clients are for.
const ROUTES: &str = "push: { max_refusals: 1000 }\n\
    routes:\n  - { name: learned, match: { path: '^/learned/' }, upstream: app, push: auto, learn: on }\n  \
    - { name: pages, upstream: app, push: auto, learn: off, cache: assets }";

/// Random whole numbers: xorshift, 32 bits (Marsaglia 2003).
#[derive(Clone)]
pub struct Random(u32);

impl Random {
    /// Begins with a seed.
    pub fn new(seed: u32) -> Self {
        let mut random = Self(seed.wrapping_mul(2_654_435_761) | 1);
        for _ in 0..8 {
            random.below(2);
        }
        random
    }

    /// The next number below a limit.
    pub fn below(&mut self, limit: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        self.0 % limit
    }
}

/// The body at a path: numbered lines, cut at the length that the path ends in.
pub fn body(path: &str) -> Vec<u8> {
    let length: usize = path
        .rsplit('-')
        .next()
        .and_then(|length| length.parse().ok())
        .expect("a length");
    let mut body = Vec::new();
    for number in 0.. {
        if body.len() >= length {
            break;
        }
        body.extend_from_slice(format!("{path} {number}\n").as_bytes());
    }
    body.truncate(length);
    body
}

/// The targets of a Link header.
pub fn targets(link: &str) -> Vec<&str> {
    link.split('<')
        .skip(1)
        .filter_map(|rest| rest.split('>').next())
        .collect()
}

/// An edge in front of an origin with documents that each name several assets.
pub struct Site {
    pub origin: Origin,
    pub edge: Edge,
    pub documents: Vec<String>,
    folder: tempfile::TempDir,
    /// Resident memory when the first client came.
    memory: usize,
    /// Sessions so far, and what went wrong in some.
    sessions: usize,
    failed: Vec<String>,
}

impl Site {
    /// Starts both, and shows the learned documents to the edge.
    pub async fn start() -> Self {
        let origin = Origin::start().await;
        let mut random = Random::new(1);
        let assets: Vec<String> = (0..ASSETS)
            .map(|n| {
                let length = match random.below(4) {
                    0 => random.below(200),
                    1 => 40_000 + random.below(60_000),
                    _ => 1000 + random.below(15_000),
                };
                format!("/{}/{n}-{length}", ASSET_KINDS[n as usize % 2])
            })
            .collect();
        for path in &assets {
            let stored = path.starts_with("/stored/");
            let fields = if stored {
                &[("cache-control", "max-age=600")][..]
            } else {
                &[]
            };
            origin.on(path, answer(path, fields, &mut random));
        }
        let mut documents = Vec::new();
        for n in 0..2 * DOCUMENTS {
            let path = format!("/{}/{n}-{}", KINDS[n % 2], 200 + random.below(20_000));
            let mut links: Vec<String> = Vec::new();
            for _ in 0..2 + random.below(MOST_LINKS - 1) {
                let asset = &assets[random.below(ASSETS) as usize];
                let link = format!("<{asset}>; rel=preload; as=style");
                if !links.contains(&link) {
                    links.push(link);
                }
            }
            let link = links.join(", ");
            origin.on(&path, answer(&path, &[("link", &link)], &mut random));
            documents.push(path);
        }
        let edge = Edge::with_env(
            &config(origin.address, ROUTES),
            // The log is kept in memory, and a soak would fill it.
            &[("RUST_LOG", "info,access=off".as_ref())],
        )
        .await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("documents"), documents.join("\n")).expect("a writable folder");
        // Documents are learned by their host, and libcurl takes another.
        for host in [edge.address.to_string(), "shop.example".to_owned()] {
            let stream = TcpStream::connect(edge.address).await.expect("the edge listens");
            let client = Client::over(stream, &format!("http://{host}"), Builder::new().enable_push(false)).await;
            for path in documents.iter().filter(|path| path.starts_with("/learned/")) {
                client.get(path).await;
            }
        }
        Self {
            memory: edge.memory(),
            sessions: 0,
            failed: Vec::new(),
            origin,
            edge,
            documents,
            folder,
        }
    }

    /// The start of its URLs.
    pub fn url(&self) -> String {
        format!("http://{}", self.edge.address)
    }

    /// A file with the paths of its documents.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("documents")
    }

    /// From 1 to 8 of its documents.
    pub fn choose(&self, random: &mut Random) -> Vec<String> {
        let mut left = self.documents.clone();
        (0..=random.below(8))
            .map(|_| left.swap_remove(random.below(left.len() as u32) as usize))
            .collect()
    }

    /// Runs so many sessions of a client, a program that is called as the scripts of `clients/` say.
    pub async fn visit(&mut self, client: &Program, how: &str, sessions: usize, seed: u32) {
        let (url, file) = (self.url(), self.file());
        let (count, seed_text) = (sessions.to_string(), seed.to_string());
        let mut arguments: Vec<&str> = client.arguments.iter().map(String::as_str).collect();
        arguments.extend([
            url.as_str(),
            file.to_str().expect("UTF-8"),
            how,
            count.as_str(),
            seed_text.as_str(),
        ]);
        arguments.extend(client.trailing.iter().map(String::as_str));
        // The deadline of each session is the client's own.
        let limit = Duration::from_secs(60 + sessions as u64 * 16);
        let output = Limited::run(&client.program, &arguments, limit).await;
        let (failed, rest): (Vec<&str>, Vec<&str>) =
            output.stdout.lines().partition(|line| line.starts_with("failed: "));
        let last = rest.last().copied().unwrap_or("");
        let seen: Value =
            serde_json::from_str(last).unwrap_or_else(|e| panic!("{e}: {} {}", output.stdout, output.stderr));
        assert_eq!(seen["sessions"], sessions, "{output:?}");
        if !matches!(how, "destroy" | "leave" | "swallow") {
            assert!(
                seen["pushes"].as_u64() > Some(0),
                "{how}: nothing was pushed: {output:?}"
            );
        }
        if !matches!(how, "destroy" | "leave") {
            assert!(seen["documents"].as_u64() > Some(0), "{how}: {output:?}");
        }
        self.note(client.name, sessions, failed.into_iter().map(str::to_owned).collect());
    }

    /// Notes sessions of a client with the failures among them; panics unless the edge has outlived them.
    pub fn note(&mut self, client: &str, sessions: usize, failed: Vec<String>) {
        self.sessions += sessions;
        self.failed.extend(failed);
        self.stands(client);
        self.origin.forget_seen();
    }

    /// Panics if a session failed, or if the edge has taken more than so many bytes of memory since the first client.
    pub fn conclude(&self, bytes: usize) {
        assert!(
            self.failed.is_empty(),
            "{} failures in {} sessions:\n{}",
            self.failed.len(),
            self.sessions,
            self.failed.join("\n")
        );
        let memory = self.edge.memory();
        assert!(
            memory < self.memory + bytes,
            "{} KiB, then {} KiB",
            self.memory / 1024,
            memory / 1024
        );
    }

    /// Panics unless the edge is the process that was started, and none of its threads has panicked.
    fn stands(&mut self, client: &str) {
        let ended = self.edge.has_ended();
        let log = self.edge.log();
        let panicked: Vec<_> = log.iter().filter(|line| line.contains("panicked")).collect();
        assert!(
            ended.is_none() && panicked.is_empty(),
            "the server after {client}: {ended:?}, {panicked:?}; failed before: {:?}",
            self.failed
        );
    }

    /// Takes the memory of now for that of the beginning.
    pub fn settle_memory(&mut self) {
        self.memory = self.edge.memory();
    }
}

/// A program that speaks HTTP/2 as the scripts of `clients/` do.
pub struct Program {
    pub name: &'static str,
    pub program: String,
    /// Come before those that every client takes.
    pub arguments: Vec<String>,
    /// Come after them.
    pub trailing: Vec<String>,
}

/// How the origin answers: after a while, and in one piece or two.
fn answer(path: &str, fields: &[(&str, &str)], random: &mut Random) -> Vec<Step> {
    let think = |random: &mut Random| Step::Think(Duration::from_millis(u64::from(random.below(20))));
    let mut steps = vec![think(random)];
    let mut first = response("200 OK", fields, &body(path));
    if random.below(3) == 0 {
        let second = first.split_off(random.below(first.len() as u32) as usize);
        steps.extend([Step::Send(first), think(random), Step::Send(second)]);
    } else {
        steps.push(Step::Send(first));
    }
    steps
}
