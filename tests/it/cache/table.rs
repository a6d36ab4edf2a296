//! Cases of the cache as a table: what the origin answers in order, what clients ask, what they see. Each case is run in
//! three ways, each with a path of its own, and all must see the same: over HTTP/1.1; over HTTP/2, where fresh answers come
//! straight from memory; and over HTTP/2 where a route has links to deliver, so that they come out of the store through
//! Pingora.

use std::{
    collections::BTreeMap,
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use http::Method;
use tokio::task::JoinSet;

use super::keeping;
use crate::support::{
    client::Client,
    http1::{Http1, field},
    origin::{Origin, Step, response},
};

/// What happens to one URL.
#[derive(Clone)]
pub struct Case {
    name: &'static str,
    replies: Vec<Reply>,
    asks: Vec<Ask>,
}

/// An answer of the origin. `{now-60}` in a value is the date of 60 seconds before the case began.
#[derive(Clone)]
pub struct Reply {
    status: &'static str,
    fields: Vec<(&'static str, &'static str)>,
    body: &'static str,
    delay: Duration,
}

/// A request, and what is to be seen.
#[derive(Clone)]
pub struct Ask {
    method: Method,
    fields: Vec<(&'static str, &'static str)>,
    pause: Duration,
    status: u16,
    body: Option<&'static str>,
    seen: Vec<(&'static str, Option<&'static str>)>,
    age: Option<RangeInclusive<u64>>,
    asked: Option<usize>,
}

/// An answer as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    status: u16,
    fields: BTreeMap<String, Vec<String>>,
    body: String,
    /// How often the origin has been asked by then.
    asked: usize,
}

pub fn case(name: &'static str) -> Case {
    Case {
        name,
        replies: Vec::new(),
        asks: Vec::new(),
    }
}

impl Case {
    /// The origin's next answer; the last one is given again and again.
    pub fn origin(mut self, reply: Reply) -> Self {
        self.replies.push(reply);
        self
    }

    pub fn ask(mut self, ask: Ask) -> Self {
        self.asks.push(ask);
        self
    }
}

/// A 200 with this content.
pub fn ok(fields: &[(&'static str, &'static str)], body: &'static str) -> Reply {
    reply("200 OK", fields, body)
}

pub fn reply(status: &'static str, fields: &[(&'static str, &'static str)], body: &'static str) -> Reply {
    Reply {
        status,
        fields: fields.to_vec(),
        body,
        delay: Duration::ZERO,
    }
}

impl Reply {
    /// It takes the origin so long.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A GET, whose answer is to be a 200.
pub fn get(fields: &[(&'static str, &'static str)]) -> Ask {
    ask(Method::GET, fields)
}

pub fn ask(method: Method, fields: &[(&'static str, &'static str)]) -> Ask {
    Ask {
        method,
        fields: fields.to_vec(),
        pause: Duration::ZERO,
        status: 200,
        body: None,
        seen: Vec::new(),
        age: None,
        asked: None,
    }
}

impl Ask {
    /// It comes so long after the one before.
    pub fn after(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub fn sees(mut self, status: u16, body: &'static str) -> Self {
        (self.status, self.body) = (status, Some(body));
        self
    }

    /// The answer has this status; its content is no matter.
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// The answer has this field, once, and with this value.
    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.seen.push((name, Some(value)));
        self
    }

    /// The answer has no such field.
    pub fn without(mut self, name: &'static str) -> Self {
        self.seen.push((name, None));
        self
    }

    /// The answer is so many seconds old.
    pub fn aged(mut self, age: RangeInclusive<u64>) -> Self {
        self.age = Some(age);
        self
    }

    /// The origin has been asked so often by now.
    pub fn asked(mut self, times: usize) -> Self {
        self.asked = Some(times);
        self
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Http1,
    Memory,
    Pingora,
}

/// Runs the cases in front of an edge that keeps everything; returns its log.
pub async fn run(cases: Vec<Case>) -> Vec<String> {
    let origin = Origin::start().await;
    let edge = keeping(&origin, "{ caching: all, status: on }").await;
    let links = "{ caching: all, status: on }, push: { delivery: off, links: ['</a.css>; rel=preload; as=style'] }";
    let other = keeping(&origin, links).await;
    let mut running = JoinSet::new();
    for case in cases {
        let origin = origin.clone();
        let (address, other) = (edge.address, other.address);
        running.spawn(async move {
            let now = SystemTime::now();
            let (over_http1, from_memory, through_pingora) = tokio::join!(
                observe(&case, Way::Http1, &origin, address, now),
                observe(&case, Way::Memory, &origin, address, now),
                observe(&case, Way::Pingora, &origin, other, now),
            );
            for (way, answers) in [
                (Way::Http1, &over_http1),
                (Way::Memory, &from_memory),
                (Way::Pingora, &through_pingora),
            ] {
                for (number, (ask, seen)) in case.asks.iter().zip(answers).enumerate() {
                    check(ask, seen, now, &format!("{}, request {number}, {way:?}", case.name));
                }
            }
            let is_dated = case
                .replies
                .iter()
                .all(|reply| reply.fields.iter().any(|(name, _)| *name == "date"));
            for (way, answers) in [(Way::Http1, &over_http1), (Way::Pingora, &through_pingora)] {
                for (number, (one, other)) in answers.iter().zip(&from_memory).enumerate() {
                    let (one, other) = (comparable(one, is_dated), comparable(other, is_dated));
                    assert_eq!(one, other, "{}, request {number}: {way:?} differs", case.name);
                }
            }
        });
    }
    while let Some(ended) = running.join_next().await {
        if let Err(e) = ended {
            std::panic::resume_unwind(e.into_panic());
        }
    }
    [edge.log(), other.log()].concat()
}

async fn observe(case: &Case, way: Way, origin: &Origin, address: std::net::SocketAddr, now: SystemTime) -> Vec<Seen> {
    let path = format!("/{}/{way:?}", case.name.replace(' ', "-"));
    let mut answers = Vec::new();
    for ask in &case.asks {
        tokio::time::sleep(ask.pause).await;
        let next = origin.count(&path).min(case.replies.len() - 1);
        let reply = &case.replies[next];
        let fields: Vec<(&str, String)> = reply
            .fields
            .iter()
            .map(|(name, value)| (*name, at(value, now)))
            .collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = response(reply.status, &fields, reply.body.as_bytes());
        origin.on(&path, [Step::Think(reply.delay), Step::Send(answer)]);
        let fields: Vec<(&str, String)> = ask.fields.iter().map(|(name, value)| (*name, at(value, now))).collect();
        let mut seen = match way {
            Way::Http1 => over_http1(address, &ask.method, &path, &fields).await,
            Way::Memory | Way::Pingora => over_http2(address, &ask.method, &path, &fields).await,
        };
        seen.asked = origin.count(&path);
        answers.push(seen);
    }
    answers
}

async fn over_http1(address: std::net::SocketAddr, method: &Method, path: &str, fields: &[(&str, String)]) -> Seen {
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n");
    for (name, value) in fields {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    let mut http1 = Http1::sending(address, request + "\r\n").await;
    let head = http1.head().await;
    let status: u16 = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    let length = match status {
        204 | 304 => 0,
        _ if *method == Method::HEAD => 0,
        _ => field(&head, "content-length")
            .and_then(|length| length.parse().ok())
            .expect("a length"),
    };
    let body = http1.exactly(length).await;
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in head.lines().skip(1).filter_map(|line| line.split_once(':')) {
        seen.entry(name.to_ascii_lowercase())
            .or_default()
            .push(value.trim().to_owned());
    }
    Seen {
        status,
        fields: seen,
        body: String::from_utf8(body).expect("text"),
        asked: 0,
    }
}

async fn over_http2(address: std::net::SocketAddr, method: &Method, path: &str, fields: &[(&str, String)]) -> Seen {
    let client = Client::connect(address).await;
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut request = client.get_request(path, &fields);
    *request.method_mut() = method.clone();
    let answer = client.fetch(request).await.answer;
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in &answer.headers {
        let value = value.to_str().expect("text").to_owned();
        seen.entry(name.to_string()).or_default().push(value);
    }
    Seen {
        status: answer.status.as_u16(),
        fields: seen,
        body: String::from_utf8(answer.body).expect("text"),
        asked: 0,
    }
}

fn check(ask: &Ask, seen: &Seen, now: SystemTime, what: &str) {
    assert_eq!(seen.status, ask.status, "{what}: {seen:?}");
    if let Some(body) = ask.body {
        assert_eq!(seen.body, body, "{what}: {seen:?}");
    }
    for (name, value) in &ask.seen {
        let expected = value.map(|value| vec![at(value, now)]);
        assert_eq!(seen.fields.get(*name), expected.as_ref(), "{what}: {name} of {seen:?}");
    }
    if let Some(ages) = &ask.age {
        let age = seen
            .fields
            .get("age")
            .and_then(|age| age[0].parse().ok())
            .expect("an age");
        assert!(ages.contains(&age), "{what}: {age} seconds, not {ages:?}");
    }
    if let Some(asked) = ask.asked {
        assert_eq!(seen.asked, asked, "{what}: times the origin was asked; {seen:?}");
    }
}

/// What two clients must see alike: not what belongs to a connection, nor what depends on the second.
fn comparable(seen: &Seen, is_dated: bool) -> Seen {
    let mut seen = seen.clone();
    seen.fields.remove("connection");
    if !is_dated {
        // There must be one, though.
        assert!(seen.fields.remove("date").is_some_and(|dates| dates.len() == 1));
    }
    if let Some(age) = seen.fields.get_mut("age") {
        *age = vec!["some".to_owned(); age.len()];
    }
    for status in seen.fields.get_mut("cache-status").into_iter().flatten() {
        *status = status.split("; ttl=").next().unwrap_or_default().to_owned();
    }
    let kind = seen.fields.get_mut("content-type");
    if let Some((_, boundary)) = kind.and_then(|kind| {
        kind[0]
            .split_once("boundary=")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
    }) {
        seen.body = seen.body.replace(&boundary, "boundary");
        seen.fields
            .insert("content-type".to_owned(), vec!["multipart".to_owned()]);
    }
    seen
}

/// A value with its dates written out.
fn at(value: &str, now: SystemTime) -> String {
    let Some((before, rest)) = value.split_once("{now-") else {
        return value.to_owned();
    };
    let (seconds, after) = rest.split_once('}').expect("a closing brace");
    let moment = now - Duration::from_secs(seconds.parse().expect("seconds"));
    format!("{before}{}{after}", httpdate::fmt_http_date(moment))
}
