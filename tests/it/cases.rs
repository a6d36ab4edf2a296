//! The tables of Link headers and 103s: through the plan, and over the wire.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use linkpush::{
    link::Document,
    push::{Facts, Policy, PushState, Source, mentions, plan},
};
use serde::Deserialize;

use crate::support::{
    client::{Client, Page},
    edge::{Edge, config},
    origin::{Origin, Step, early_hints, response},
};

#[derive(Deserialize)]
struct Table<T> {
    cases: Vec<T>,
}

#[derive(Deserialize)]
struct LinkCase {
    id: String,
    document: String,
    method: String,
    status: u16,
    #[serde(default)]
    links: Vec<String>,
    #[serde(default)]
    early_hints: Vec<Vec<String>>,
    #[serde(default)]
    request_headers: std::collections::BTreeMap<String, String>,
    push: Vec<String>,
    #[serde(default)]
    accept_also: Vec<Vec<String>>,
    strength: String,
    why: String,
}

impl LinkCase {
    /// A `must` or `spec` case has one right outcome; a `choice` has several.
    fn accepts(&self, outcome: &[String]) -> bool {
        self.push == outcome || (self.strength == "choice" && self.accept_also.iter().any(|other| other == outcome))
    }
}

fn link_cases() -> Vec<LinkCase> {
    let table: Table<LinkCase> =
        serde_json::from_str(include_str!("../data/link_cases.json")).expect("a table of link cases");
    assert!(table.cases.len() > 100, "the table is complete");
    table.cases
}

#[test]
fn the_plan_promises_what_each_link_case_asks_for() {
    let mut wrong = Vec::new();
    for case in link_cases() {
        let planned = planned(&case);
        if !case.accepts(&planned) {
            wrong.push(format!(
                "{} [{}] {}: promised {planned:?}",
                case.id, case.strength, case.why
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn planned(case: &LinkCase) -> Vec<String> {
    let uri: Uri = case.document.parse().expect("a URL");
    let document = Document::new(
        uri.scheme_str().expect("a scheme"),
        uri.authority().expect("an authority").as_str(),
        uri.path_and_query().expect("a path").as_str(),
    )
    .expect("a document");
    let method: Method = case.method.parse().expect("a method");
    let request: HeaderMap = case
        .request_headers
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().expect("a name"),
                HeaderValue::from_str(value).expect("a value"),
            )
        })
        .collect();
    let client = Arc::new(PushState::new(64));
    let (policy, mut plans) = (Policy::default(), Vec::new());
    let early = case.early_hints.iter().map(|lines| (Source::Early, None, lines));
    let status = StatusCode::from_u16(case.status).expect("a status");
    for (source, status, lines) in early.chain([(Source::Response, Some(status), &case.links)]) {
        let promised = plans
            .iter()
            .map(|plan: &linkpush::push::Plan| plan.promises.len())
            .sum();
        plans.push(client.plan(|http2| {
            let facts = Facts {
                method: &method,
                status,
                request: &request,
                pushed_parent: false,
                promised,
                hinted: 0,
                told: &[],
                returning: false,
                http2: Some(*http2),
                is_bad: &|_| false,
                is_not_reusable: &|_| false,
                csp: None,
            };
            plan(
                &policy,
                &facts,
                &document,
                &mentions(lines.iter().map(|l| (source, l.as_bytes()))),
                &mut |_, _| {},
            )
        }));
    }
    plans
        .iter()
        .flat_map(|plan| &plan.promises)
        .map(|promise| promise.request.uri().to_string())
        .collect()
}

#[tokio::test]
async fn the_wire_carries_what_each_link_case_asks_for_and_the_page_unharmed() {
    let origin = Origin::start().await;
    origin.default_ok(b"asset");
    // One case's document is another one's asset.
    let routes = "routes: [{ name: pages, upstream: app, cache: off }]";
    let edge = Edge::with(&config(origin.address, routes)).await;
    let mut wrong = Vec::new();
    for case in link_cases() {
        let uri: Uri = case.document.parse().expect("a URL");
        let body = if case.method == "HEAD" {
            b"".as_slice()
        } else {
            b"the page"
        };
        let mut steps: Vec<Step> = case
            .early_hints
            .iter()
            .map(|links| Step::Send(early_hints(&links.iter().map(String::as_str).collect::<Vec<_>>())))
            .collect();
        origin.clear();
        let fields: Vec<_> = case.links.iter().map(|link| ("link", link.as_str())).collect();
        steps.push(Step::Send(response(&case.status.to_string(), &fields, body)));
        origin.on(uri.path_and_query().expect("a path").as_str(), steps);
        let mut request = http::Request::builder()
            .method(case.method.as_str())
            .uri(&case.document);
        for (name, value) in &case.request_headers {
            request = request.header(name, value);
        }
        let client = Client::connect(edge.address).await;
        let page = client.fetch(request.body(()).expect("a request")).await;
        let promised: Vec<String> = page.pushes.iter().map(|push| push.request.uri().to_string()).collect();
        let links: Vec<_> = page
            .answer
            .headers
            .get_all("link")
            .iter()
            .map(|v| v.as_bytes().to_vec())
            .collect();
        let sent: Vec<_> = case
            .links
            .iter()
            .map(|l| l.trim_matches([' ', '\t']).as_bytes().to_vec())
            .collect();
        let mut fail = |what: String| wrong.push(format!("{} [{}] {}: {what}", case.id, case.strength, case.why));
        if !case.accepts(&promised) {
            fail(format!("promised {promised:?}"));
        }
        if page.answer.status.as_u16() != case.status || page.answer.body != body || links != sent {
            fail(format!("the page changed: {:?}", page.answer));
        }
        if let Some(lost) = page
            .pushes
            .iter()
            .find(|push| !push.answer.as_ref().is_ok_and(|a| a.body == b"asset"))
        {
            fail(format!("a push did not arrive: {lost:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[derive(Deserialize)]
struct HintCase {
    id: String,
    client: String,
    navigate: bool,
    origin: Vec<Message>,
    hints: Vec<Vec<String>>,
    push: Vec<String>,
    status: u16,
    why: String,
}

#[derive(Deserialize)]
struct Message {
    status: u16,
    link: Vec<String>,
    #[serde(default)]
    wait: u64,
}

#[tokio::test]
async fn the_wire_carries_the_103s_that_each_hint_case_asks_for() {
    let table: Table<HintCase> =
        serde_json::from_str(include_str!("../data/hint_cases.json")).expect("a table of hint cases");
    let origin = Origin::start().await;
    origin.default_ok(b"asset");
    let edge = Edge::start(origin.address).await;
    for case in table.cases {
        let path = format!("/p/{}", case.id);
        let mut steps = Vec::new();
        for message in &case.origin {
            let links: Vec<&str> = message.link.iter().map(String::as_str).collect();
            if message.wait > 0 {
                steps.push(Step::Think(std::time::Duration::from_millis(message.wait)));
            }
            steps.push(match message.status {
                0 => Step::Close,
                103 => Step::Send(early_hints(&links)),
                status if status < 200 => Step::Send(format!("HTTP/1.1 {status} Wait\r\n\r\n").into_bytes()),
                status => {
                    let fields: Vec<_> = links.iter().map(|link| ("link", *link)).collect();
                    Step::Send(response(&status.to_string(), &fields, b"the page"))
                }
            });
        }
        origin.on(&path, steps);
        let fields: &[(&str, &str)] = if case.navigate {
            &[("sec-fetch-mode", "navigate")]
        } else {
            &[]
        };
        let context = format!("{} ({})", case.id, case.why);
        if case.client == "h1" {
            let answer = crate::http1::exchange(edge.address, &path, fields).await;
            assert!(
                answer.starts_with(&format!("HTTP/1.1 {}", case.status)),
                "{context}: {answer}"
            );
            continue;
        }
        let client = match case.client.as_str() {
            "push" => Client::connect(edge.address).await,
            _ => Client::without_push(edge.address).await,
        };
        let page: Page = client.fetch(client.get_request(&path, fields)).await;
        // 103s that come together leave as one.
        assert_eq!(page.hints().concat(), case.hints.concat(), "{context}");
        assert_eq!(page.promised(), case.push, "{context}");
        assert_eq!(page.answer.status.as_u16(), case.status, "{context}");
        for (at, early) in &page.informational {
            assert_eq!(early.status(), 103, "{context}");
            assert!(
                early.headers().keys().all(|name| name == "link"),
                "{context}: {early:?}"
            );
            if case.origin.iter().any(|message| message.wait > 1000) {
                assert!(
                    page.answer.head_at - *at > std::time::Duration::from_secs(1),
                    "{context}: not at once"
                );
            }
        }
    }
}
