//! Traces: what a collector gets of a page, and that nobody waits for it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::any_value::Value,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use tokio::{net::TcpListener, sync::Notify};

use crate::{
    http1::exchange,
    support::{
        client::Client,
        edge::{Edge, config},
        http1::{Http1, field},
        origin::Origin,
        within,
    },
};

/// A collector that speaks OTLP over HTTP.
#[derive(Clone)]
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    came: Arc<Notify>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let collector = Self {
            address: listener.local_addr().expect("an address"),
            spans: Arc::default(),
            came: Arc::default(),
        };
        let served = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let buffer = Vec::new();
                served.serve(Http1 { stream, buffer }).await;
            }
        });
        collector
    }

    async fn serve(&self, mut client: Http1) {
        let head = client.head().await;
        assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
        assert_eq!(field(&head, "content-type"), Some("application/x-protobuf"), "{head}");
        let length = field(&head, "content-length").and_then(|length| length.parse().ok());
        let body = client.exactly(length.expect("a length")).await;
        let request = ExportTraceServiceRequest::decode(&body[..]).expect("protobuf");
        for resource in request.resource_spans {
            let about = resource.resource.expect("a resource");
            assert_eq!(text(&about.attributes, "service.name").as_deref(), Some("linkpush"));
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().expect("no panic").extend(spans);
        }
        client.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        self.came.notify_waiters();
    }

    /// Waits for a span of this name whose path is this; all spans of a request come together or one after another.
    async fn span(&self, name: &str, is_wanted: impl Fn(&Span) -> bool) -> Span {
        within(name, async {
            loop {
                let came = self.came.notified();
                let spans = self.spans.lock().expect("no panic").clone();
                if let Some(span) = spans.into_iter().find(|span| span.name == name && is_wanted(span)) {
                    return span;
                }
                came.await;
            }
        })
        .await
    }
}

fn text(attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], key: &str) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => Some(format!("{other:?}")),
    }
}

fn is_of(span: &Span, path: &str) -> bool {
    text(&span.attributes, "url.path").as_deref() == Some(path)
}

/// A configuration whose requests are all recorded.
fn traced(origin: SocketAddr, collector: SocketAddr, push: &str) -> String {
    let server = format!("server: {{ threads: 1, traces: {{ otlp: 'http://{collector}', sample: 1 }} }}");
    let routes = format!("routes: [{{ name: pages, upstream: app, push: {push} }}]");
    config(origin, &format!("{server}\n{routes}"))
}

#[tokio::test]
async fn a_page_has_a_span_with_its_promises_and_attempts_below() {
    let origin = Origin::start().await;
    let link = "</style.css>; rel=preload; as=style";
    origin
        .serve_ok("/?secret", &[("Link", link)], b"page")
        .asset("/style.css", b"style");
    let collector = Collector::start().await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let dead_address = dead.local_addr().expect("an address");
    drop(dead);
    let config = traced(origin.address, collector.address, "auto").replace(
        &format!("servers: ['{}']", origin.address),
        &format!("servers: ['{dead_address}', '{}']", origin.address),
    );
    let edge = Edge::with(&config).await;
    let client = Client::connect(edge.address).await;
    let page = client.get("/?secret").await;
    assert_eq!(page.promised(), ["/style.css"]);
    let document = collector.span("GET pages", |span| is_of(span, "/")).await;
    let promise = collector.span("GET pages", |span| is_of(span, "/style.css")).await;
    assert_eq!(promise.parent_span_id, document.span_id);
    assert_eq!(promise.trace_id, document.trace_id);
    assert!(document.parent_span_id.is_empty(), "{document:?}");
    assert_eq!(document.kind, SpanKind::Server as i32);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("linkpush.promises", "1"),
        ("linkpush.route", "pages"),
    ] {
        assert_eq!(text(&document.attributes, key).as_deref(), Some(value), "{document:?}");
    }
    assert!(!format!("{document:?}").contains("secret"), "{document:?}");
    assert!(document.end_time_unix_nano >= document.start_time_unix_nano);
    // One of the two requests was sent to the dead server first.
    let is_failed = |span: &Span| {
        span.status
            .as_ref()
            .is_some_and(|status| status.code() == StatusCode::Error)
    };
    let failed = collector.span("origin", is_failed).await;
    assert_eq!(failed.trace_id, document.trace_id);
    for (request, path) in [(&document, "/?secret"), (&promise, "/style.css")] {
        let good = |span: &Span| span.parent_span_id == request.span_id && !is_failed(span);
        let attempt = collector.span("origin", good).await;
        assert_eq!(attempt.kind, SpanKind::Client as i32);
        assert_eq!(
            text(&attempt.attributes, "server.port"),
            Some(origin.address.port().to_string())
        );
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let told = format!("00-{}-{}-01", hex(&attempt.trace_id), hex(&attempt.span_id));
        let seen = origin.request(path).await;
        assert_eq!(seen.field("traceparent"), Some(&*told));
    }
}

#[tokio::test]
async fn hints_are_below_their_page_and_a_caller_above_it() {
    let origin = Origin::start().await;
    origin.serve_ok("/", &[], b"page");
    let collector = Collector::start().await;
    let push = "{ delivery: hint, links: ['</style.css>; rel=preload; as=style'] }";
    let edge = Edge::with(&traced(origin.address, collector.address, push)).await;
    let client = Client::without_push(edge.address).await;
    let mut request = client.get_request("/", &[("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]);
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    request
        .headers_mut()
        .insert("traceparent", caller.parse().expect("a value"));
    let page = client.fetch(request).await;
    assert_eq!(page.hints().len(), 1);
    let document = collector.span("GET pages", |span| is_of(span, "/")).await;
    assert_eq!(document.trace_id[..2], [0x0a, 0xf7]);
    assert_eq!(document.parent_span_id[..2], [0xb7, 0xad]);
    let hint = collector.span("103 Early Hints", |_| true).await;
    assert_eq!(hint.parent_span_id, document.span_id);
    assert_eq!(text(&hint.attributes, "linkpush.links").as_deref(), Some("1"));
}

#[tokio::test]
async fn a_collector_that_is_down_or_silent_costs_nothing() {
    let origin = Origin::start().await;
    origin.default_ok(b"page");
    // It accepts, as the system does for it, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let silent_address = silent.local_addr().expect("an address");
    let dead = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let dead_address = dead.local_addr().expect("an address");
    drop(dead);
    for collector in [silent_address, dead_address] {
        let mut edge = Edge::with(&traced(origin.address, collector, "auto")).await;
        let client = Client::connect(edge.address).await;
        within("all requests", async {
            for _ in 0..2_000 {
                client.get("/").await;
            }
        })
        .await;
        edge.signal("TERM");
        drop(client);
        let ended = tokio::time::timeout(Duration::from_secs(10), edge.ended()).await;
        assert!(ended.expect("it waits for no collector"));
    }
}

#[tokio::test]
async fn without_a_sample_the_origin_is_told_so_and_the_collector_nothing() {
    let origin = Origin::start().await;
    origin.default_ok(b"page");
    let collector = Collector::start().await;
    let config = traced(origin.address, collector.address, "auto").replace("sample: 1", "sample: 0");
    let mut edge = Edge::with(&config).await;
    exchange(edge.address, "/none", &[]).await;
    let seen = origin.request("/none").await;
    let told = seen.field("traceparent").expect("a place").to_owned();
    assert!(
        told.starts_with("00-") && told.ends_with("-00") && told.len() == 55,
        "{told}"
    );
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    exchange(edge.address, "/caller", &[("traceparent", caller)]).await;
    assert_eq!(origin.request("/caller").await.field("traceparent"), Some(caller));
    exchange(edge.address, "/bad", &[("traceparent", "x"), ("tracestate", "a=1")]).await;
    let seen = origin.request("/bad").await;
    assert!(seen.field("traceparent").is_some_and(|told| told.ends_with("-00")));
    edge.signal("TERM");
    assert!(edge.ended().await);
    assert!(collector.spans.lock().expect("no panic").is_empty());
}
