//! Visits a scripted server over an in-memory connection.

use h2::server::{Connection, SendResponse};
use http::Response;
use tokio::io::DuplexStream;

use h2::RecvStream;

use super::*;
use crate::cli::visit::itinerary::ServerAddress;
use crate::cli::visit::visited::{VisitOutcome, lines_of};

type Server = Connection<DuplexStream, Bytes>;
type Reply = SendResponse<Bytes>;

const PAGE: &str = "<link rel=stylesheet href=/a.css><script src=/b.js></script>";

fn itinerary(push: PushSetting) -> Itinerary {
    let page = Url::parse("http://shop.example/").expect("a valid URL");
    let server = ServerAddress::of(&page).expect("a host");
    Itinerary {
        push,
        ..Itinerary::new(page, server, Duration::from_secs(10))
    }
}

/// Visits a server that responds to each request by `respond`.
fn visited(itinerary: &Itinerary, respond: impl Fn(&Request<RecvStream>, &mut Reply) + Send + 'static) -> Visited {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (client, server) = tokio::io::duplex(1 << 16);
        tokio::spawn(async move {
            let mut server: Server = h2::server::handshake(server).await.expect("a handshake");
            while let Some(Ok((request, mut reply))) = server.accept().await {
                respond(&request, &mut reply);
            }
        });
        let deadline = Instant::now() + itinerary.limit;
        visit(Box::new(client), itinerary, deadline)
            .await
            .expect("a connection")
    })
}

fn send(reply: &mut Reply, body: &'static str) {
    let head = Response::builder().header("link", "</a.css>; rel=preload, </c.woff2>; rel=preload");
    let mut stream = reply
        .send_response(head.body(()).expect("valid"), false)
        .expect("an open stream");
    stream
        .send_data(Bytes::from_static(body.as_bytes()), true)
        .expect("an open stream");
}

fn promise(reply: &mut Reply, url: &str) -> h2::server::SendPushedResponse<Bytes> {
    let request = Request::get(url).body(()).expect("valid");
    reply.push_request(request).expect("a client that accepts pushes")
}

fn requested(report: &Visited, initiator: Initiator) -> Vec<&str> {
    report
        .exchanges
        .iter()
        .filter(|exchange| exchange.initiator == initiator)
        .map(|exchange| exchange.target.as_str())
        .collect()
}

fn outcome<'a>(report: &'a Visited, target: &str) -> &'a VisitOutcome {
    let found = report.exchanges.iter().find(|exchange| exchange.target == target);
    &found.expect("an exchange").outcome
}

#[test]
fn fetches_what_the_page_and_its_links_name() {
    let report = visited(&itinerary(PushSetting::Accepted), |_, reply| send(reply, PAGE));
    assert_eq!(
        requested(&report, Initiator::Client),
        ["/", "/a.css", "/b.js", "/c.woff2"]
    );
    assert_eq!(report.named, ["/a.css", "/c.woff2"]);
    assert!(report.page().is_some());
}

#[test]
fn does_not_fetch_what_was_pushed() {
    let report = visited(&itinerary(PushSetting::Accepted), |request, reply| {
        if request.uri().path() == "/" {
            let mut pushed = promise(reply, "http://shop.example/a.css");
            send(reply, PAGE);
            let mut body = pushed.send_response(Response::new(()), false).expect("an open stream");
            body.send_data(Bytes::from_static(b"a{}"), true)
                .expect("an open stream");
        } else {
            send(reply, "");
        }
    });
    assert_eq!(requested(&report, Initiator::Server), ["/a.css"]);
    assert_eq!(requested(&report, Initiator::Client), ["/", "/b.js", "/c.woff2"]);
    let pushed = report
        .exchanges
        .iter()
        .find_map(|exchange| exchange.response().filter(|_| exchange.stream == 2));
    assert_eq!(
        pushed.map(|pushed| (pushed.status, pushed.size)),
        Some((http::StatusCode::OK, 3))
    );
}

#[test]
fn says_that_a_push_was_reset() {
    let report = visited(&itinerary(PushSetting::Accepted), |request, reply| {
        if request.uri().path() == "/" {
            promise(reply, "http://shop.example/a.css").send_reset(h2::Reason::CANCEL);
        }
        send(reply, PAGE);
    });
    assert_eq!(
        outcome(&report, "/a.css"),
        &VisitOutcome::Failed("reset by the server: CANCEL".to_owned())
    );
}

#[test]
fn writes_another_origins_promise_as_a_url() {
    let report = visited(&itinerary(PushSetting::Accepted), |request, reply| {
        if request.uri().path() == "/" {
            promise(reply, "http://cdn.example/a.css").send_reset(h2::Reason::CANCEL);
        }
        send(reply, "");
    });
    assert_eq!(requested(&report, Initiator::Server), ["http://cdn.example/a.css"]);
}

#[test]
fn refuses_pushes_when_told_to() {
    let report = visited(&itinerary(PushSetting::Refused), |request, reply| {
        let refused = Request::get("http://shop.example/a.css").body(()).expect("valid");
        assert!(reply.push_request(refused).is_err(), "{}", request.uri());
        send(reply, "");
    });
    assert!(requested(&report, Initiator::Server).is_empty());
    assert!(report.page().is_some());
}

#[test]
fn reports_every_103() {
    let report = visited(&itinerary(PushSetting::Accepted), |request, reply| {
        if request.uri().path() == "/" {
            assert_eq!(
                request.headers().get("sec-fetch-mode").map(|mode| mode.as_bytes()),
                Some(&b"navigate"[..])
            );
            for link in ["</a.css>; rel=preload; as=style", "<//cdn.example>; rel=preconnect"] {
                let hint = Response::builder().status(103).header("link", link);
                reply
                    .send_informational(hint.body(()).expect("valid"))
                    .expect("an open stream");
            }
        }
        send(reply, "");
    });
    let links = |headers| lines_of(headers, http::header::LINK);
    let hints = report.hints.iter().map(|hint| (links(&hint.headers), &hint.targets));
    let hints: Vec<_> = hints.collect();
    assert_eq!(
        hints,
        [
            (
                vec!["</a.css>; rel=preload; as=style".to_owned()],
                &vec!["/a.css".to_owned()]
            ),
            (vec!["<//cdn.example>; rel=preconnect".to_owned()], &vec![]),
        ]
    );
}

#[test]
fn a_page_that_is_reset_does_not_count_as_received() {
    let report = visited(&itinerary(PushSetting::Accepted), |_, reply| {
        reply.send_reset(h2::Reason::INTERNAL_ERROR);
    });
    assert!(report.page().is_none());
    assert_eq!(
        outcome(&report, "/"),
        &VisitOutcome::Failed("reset by the server: INTERNAL_ERROR".to_owned())
    );
}

#[test]
fn the_deadline_ends_a_visit_and_leaves_the_rest_open() {
    let itinerary = Itinerary {
        limit: Duration::from_millis(100),
        ..itinerary(PushSetting::Accepted)
    };
    let report = visited(&itinerary, |request, reply| {
        if request.uri().path() == "/" {
            send(reply, PAGE);
        } else {
            // A head without an end of the response.
            let body = reply.send_response(Response::new(()), false).expect("an open stream");
            std::mem::forget(body);
        }
    });
    assert!(report.page().is_some());
    assert_eq!(outcome(&report, "/b.js"), &VisitOutcome::Open);
}

#[test]
fn at_most_a_hundred_assets_are_fetched() {
    let report = visited(&itinerary(PushSetting::Accepted), |request, reply| {
        let html: String = (0..=MAX_ASSETS)
            .map(|number| format!("<img src=/{number}.png>"))
            .collect();
        let is_page = request.uri().path() == "/";
        let body = if is_page { Bytes::from(html) } else { Bytes::new() };
        let mut stream = reply.send_response(Response::new(()), false).expect("an open stream");
        stream.send_data(body, true).expect("an open stream");
    });
    assert_eq!(report.exchanges.len(), 1 + MAX_ASSETS);
    assert_eq!(report.notes, ["left out, as the limit is 100 assets: 1"]);
}

#[test]
fn content_beyond_the_limit_ends_its_exchange() {
    let report = visited(&itinerary(PushSetting::Accepted), |_, reply| {
        let mut body = reply.send_response(Response::new(()), false).expect("an open stream");
        body.send_data(Bytes::from(vec![b' '; (16 << 20) + 1]), true)
            .expect("an open stream");
    });
    assert_eq!(
        outcome(&report, "/"),
        &VisitOutcome::Failed("the body is larger than 16 MiB".to_owned())
    );
}
