//! Which requests are given the same answer.

use super::table::{case, get, ok, run};

const HOUR: (&str, &str) = ("cache-control", "max-age=3600");
const VARY: (&str, &str) = ("vary", "Accept-Encoding");

#[tokio::test]
async fn a_list_of_no_codings_is_not_the_lack_of_a_list() {
    let codings = |codings| [("accept-encoding", codings)];
    run(vec![
        // Who says nothing takes any coding; who lists none takes none.
        case("absent and empty")
            .origin(ok(&[HOUR, VARY, ("content-encoding", "gzip")], "coded"))
            .origin(ok(&[HOUR, VARY], "plain"))
            .ask(get(&[]).sees(200, "coded").asked(1))
            .ask(
                get(&codings(""))
                    .sees(200, "plain")
                    .without("content-encoding")
                    .asked(2),
            )
            .ask(get(&[]).sees(200, "coded").asked(2))
            .ask(get(&codings("")).sees(200, "plain").asked(2)),
        case("weights")
            .origin(ok(&[HOUR, VARY, ("content-encoding", "gzip")], "coded"))
            .origin(ok(&[HOUR, VARY], "plain"))
            .ask(get(&codings("gzip, br")).sees(200, "coded").asked(1))
            .ask(get(&codings("gzip;q=0, br")).sees(200, "plain").asked(2))
            .ask(get(&codings("br,GZIP")).sees(200, "coded").asked(2)),
        case("other fields")
            .origin(ok(&[HOUR, ("vary", "Accept-Language")], "one"))
            .origin(ok(&[HOUR, ("vary", "Accept-Language")], "two"))
            .ask(get(&[]).sees(200, "one").asked(1))
            .ask(get(&[("accept-language", "")]).sees(200, "two").asked(2))
            .ask(get(&[]).sees(200, "one").asked(2)),
    ])
    .await;
}

#[tokio::test]
async fn no_client_has_the_origin_asked_at_will() {
    let mut cases = Vec::new();
    for control in ["no-cache", "no-store", "No-Store, max-age=0", "max-age=0"] {
        let wish = [("cache-control", control)];
        // Whoever asks first.
        cases.push(
            case(format!("first {control}").replace(',', "").leak())
                .origin(ok(&[HOUR], "content"))
                .ask(get(&wish).sees(200, "content").asked(1))
                .ask(get(&[]).sees(200, "content").asked(1))
                .ask(get(&wish).sees(200, "content").asked(1)),
        );
    }
    run(cases).await;
}

/// By any of these an application may answer for another URL or method.
#[tokio::test]
async fn a_request_for_something_else_fills_nothing() {
    let mut cases = Vec::new();
    for (number, fields) in [
        &[("x-scheme", "https"), ("x-http-host-override", "evil.example")][..],
        &[("x_http_host_override", "evil.example")],
        &[("x-original-url", "/admin")],
        &[("x-rewrite-uri", "/admin")],
        &[("x-host", "evil.example")],
        &[("x-host-override", "evil.example")],
        &[("x-envoy-original-path", "/admin")],
        &[("x-middleware-subrequest", "middleware")],
        &[("x-http-method-override", "DELETE")],
        &[("x-http-method", "DELETE")],
    ]
    .into_iter()
    .enumerate()
    {
        cases.push(
            case(format!("something else {number}").leak())
                .origin(ok(&[HOUR], "of something else"))
                .origin(ok(&[HOUR], "its own"))
                .ask(get(fields).sees(200, "of something else").asked(1))
                .ask(get(&[]).sees(200, "its own").asked(2))
                .ask(get(&[]).sees(200, "its own").asked(2)),
        );
    }
    run(cases).await;
}
