//! How old answers are, for how long they are fresh, and whose dates they have.

use std::time::Duration;

use http::Method;

use super::{
    keeping,
    table::{Case, ask, case, get, ok, reply, run},
};
use crate::support::{
    http1::{Http1, field},
    origin::Origin,
};

/// The origin's answer is kept, and used again.
fn kept(name: &'static str, fields: &[(&'static str, &'static str)]) -> Case {
    again(name, fields, 1)
}

/// The origin is asked for each request.
fn passed(name: &'static str, fields: &[(&'static str, &'static str)]) -> Case {
    again(name, fields, 2)
}

fn again(name: &'static str, fields: &[(&'static str, &'static str)], asked: usize) -> Case {
    case(name)
        .origin(ok(fields, "content"))
        .ask(get(&[]).sees(200, "content").asked(1))
        .ask(get(&[]).sees(200, "content").asked(asked))
}

const HOUR: (&str, &str) = ("cache-control", "max-age=3600");

#[tokio::test]
async fn a_date_is_the_origins() {
    let past = ("date", "{now-7200}");
    run(vec![
        case("one of the past")
            .origin(ok(
                &[past, ("expires", "{now-7140}"), ("cache-control", "no-store")],
                "content",
            ))
            .ask(get(&[]).with("date", "{now-7200}").with("expires", "{now-7140}"))
            .ask(ask(Method::HEAD, &[]).with("date", "{now-7200}")),
        case("one that is kept")
            .origin(ok(&[("date", "{now-60}"), HOUR, ("etag", "\"1\"")], "content"))
            .ask(get(&[]).with("date", "{now-60}"))
            .ask(get(&[]).with("date", "{now-60}").aged(60..=70).asked(1))
            .ask(get(&[("if-none-match", "\"1\"")]).status(304).with("date", "{now-60}"))
            .ask(get(&[("range", "bytes=0-1")]).sees(206, "co").with("date", "{now-60}"))
            .ask(get(&[("range", "bytes=99-")]).status(416).with("date", "{now-60}"))
            .ask(ask(Method::HEAD, &[]).with("date", "{now-60}").asked(1)),
        case("the example of the RFC")
            .origin(ok(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT")], "content"))
            .ask(get(&[]).with("date", "Sun, 06 Nov 1994 08:49:37 GMT")),
        case("one that is none")
            .origin(ok(&[("date", "yesterday"), HOUR], "content"))
            .ask(get(&[]).with("date", "yesterday"))
            .ask(get(&[]).with("date", "yesterday").asked(1)),
        case("two of them")
            .origin(ok(&[("date", "{now-60}"), ("date", "{now-7200}")], "content"))
            .ask(get(&[]).with("date", "{now-60}")),
        case("of an error")
            .origin(reply("404 Not Found", &[past], "nothing"))
            .ask(get(&[]).status(404).with("date", "{now-7200}"))
            .ask(ask(Method::POST, &[]).status(404).with("date", "{now-7200}")),
        // It is checked for each case that there is one.
        kept("none", &[HOUR]),
    ])
    .await;
}

/// A connection of HTTP/1.x has one response after another.
#[tokio::test]
async fn a_date_is_that_of_its_own_response() {
    const DATE: &str = "Wed, 25 Nov 2015 07:00:00 GMT";
    let origin = Origin::start().await;
    origin.serve_ok("/dated", &[("date", DATE)], b"content");
    origin.serve_ok("/undated", &[], b"content");
    let edge = keeping(&origin, "all").await;
    let mut http1 = Http1::connect(edge.address).await;
    for (path, is_origins) in [("/dated", true), ("/undated", false), ("/dated", true)] {
        http1
            .send(format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", edge.address))
            .await;
        let (head, body) = http1.answer().await;
        assert_eq!(body, b"content");
        assert_eq!(field(&head, "date") == Some(DATE), is_origins, "{path}: {head}");
        assert_eq!(head.matches("\r\nDate: ").count(), 1, "{head}");
    }
    origin.kill().await;
    http1
        .send(format!("GET /dated HTTP/1.1\r\nhost: {}\r\n\r\n", edge.address))
        .await;
    let (head, _) = http1.answer().await;
    assert!(head.starts_with("HTTP/1.1 502 "), "{head}");
    assert!(field(&head, "date").is_some_and(|date| date != DATE), "{head}");
}

#[tokio::test]
async fn an_age_is_what_the_first_member_says_and_the_way_takes() {
    run(vec![
        kept("young", &[HOUR, ("age", "10")]),
        passed("first of two lines", &[HOUR, ("age", "7200"), ("age", "0")]),
        passed("first of a list", &[HOUR, ("age", "7200, 0")]),
        kept("last of two lines", &[HOUR, ("age", "0"), ("age", "7200")]),
        passed("beyond counting", &[HOUR, ("age", "2147483649")]),
        passed("far beyond counting", &[HOUR, ("age", "99999999999999999999")]),
        kept("no number", &[HOUR, ("age", "soon")]),
        kept("a negative one", &[HOUR, ("age", "-7200")]),
        passed("an old date", &[HOUR, ("date", "{now-7200}")]),
        passed(
            "an old date and a young age",
            &[HOUR, ("date", "{now-7200}"), ("age", "10")],
        ),
        kept("a date to come", &[HOUR, ("date", "Fri, 25 Nov 2095 07:00:00 GMT")]),
        case("on its way")
            .origin(ok(&[HOUR, ("age", "10")], "content").after(Duration::from_secs(3)))
            .ask(get(&[]).with("age", "10").asked(1))
            .ask(get(&[]).aged(13..=16).asked(1)),
        case("longer on its way than fresh")
            .origin(ok(&[("cache-control", "max-age=1")], "content").after(Duration::from_millis(1100)))
            .ask(get(&[]).without("age").asked(1))
            .ask(get(&[]).asked(2)),
        case("as it grows")
            .origin(ok(&[HOUR], "content"))
            .ask(get(&[]).without("age"))
            .ask(get(&[]).after(Duration::from_millis(1100)).aged(1..=3).asked(1)),
        // What was found unchanged a moment ago is not as old as what was found.
        case("found unchanged")
            .origin(ok(
                &[
                    ("cache-control", "max-age=60, stale-if-error=600"),
                    ("date", "{now-100}"),
                    ("etag", "\"1\""),
                ],
                "content",
            ))
            .origin(reply(
                "304 Not Modified",
                &[("cache-control", "max-age=60"), ("etag", "\"1\"")],
                "",
            ))
            .ask(get(&[]).sees(200, "content").with("date", "{now-100}").asked(1))
            .ask(get(&[]).sees(200, "content").asked(2))
            .ask(get(&[]).sees(200, "content").aged(0..=5).asked(2)),
        case("not of another cache before us")
            .origin(ok(&[HOUR, ("age", "100"), ("date", "{now-10}")], "content"))
            .ask(get(&[]).with("age", "100"))
            .ask(get(&[]).aged(100..=103).asked(1)),
    ])
    .await;
}

#[tokio::test]
async fn what_is_said_twice_or_badly_is_not_fresh() {
    let control = |value| ("cache-control", value);
    run(vec![
        kept("a number", &[control("max-age=60")]),
        kept("quotes", &[control("max-age=\"60\"")]),
        kept("twice the same", &[control("max-age=60"), control("max-age=60")]),
        kept("too much", &[control("max-age=99999999999999999999")]),
        passed("two in one", &[control("max-age=0, max-age=60")]),
        passed("two in one, the other way", &[control("max-age=60, max-age=0")]),
        passed("two lines", &[control("max-age=0"), control("max-age=60")]),
        passed(
            "two lines, the other way",
            &[control("max-age=60"), control("max-age=0")],
        ),
        passed("less than nothing", &[control("max-age=-60")]),
        passed("a fraction", &[control("max-age=60.5")]),
        passed(
            "a word",
            &[control("max-age=soon"), ("expires", "Fri, 25 Nov 2095 07:00:00 GMT")],
        ),
        passed("a fence", &[control("max-age=60;no-store")]),
        passed("open quotes", &[control("max-age=60, a=\"b, no-store")]),
        passed(
            "twice an end",
            &[("expires", "Fri, 25 Nov 2095 07:00:00 GMT"), ("expires", "0")],
        ),
        passed("no end", &[("expires", "0")]),
        kept("an end", &[("expires", "Fri, 25 Nov 2095 07:00:00 GMT")]),
        kept(
            "an end in small letters",
            &[("expires", "fri, 25 nov 2095 07:00:00 gmt")],
        ),
        kept("an end as C writes it", &[("expires", "fri nov 25 07:00:00 2095")]),
        kept(
            "an end as it was written",
            &[("expires", "WEDNESDAY, 25-NOV-65 07:00:00 GMT")],
        ),
        passed("an end elsewhere", &[("expires", "Fri, 25 Nov 2095 07:00:00 CET")]),
    ])
    .await;
}

#[tokio::test]
async fn a_field_for_such_caches_takes_the_place_of_the_others() {
    let cdn = |value| ("cdn-cache-control", value);
    let surrogate = |value| ("surrogate-control", value);
    const PRIVATE: (&str, &str) = ("cache-control", "private, no-store");
    run(vec![
        kept("more", &[PRIVATE, cdn("max-age=60")]),
        passed("less", &[HOUR, cdn("no-store")]),
        passed("none", &[HOUR, cdn("max-age=0")]),
        passed("of one", &[HOUR, cdn("private, max-age=60")]),
        passed(
            "without time",
            &[HOUR, cdn("public"), ("expires", "Fri, 25 Nov 2095 07:00:00 GMT")],
        ),
        kept("no dictionary", &[HOUR, cdn("max-age = 0")]),
        kept("nothing", &[HOUR, cdn("")]),
        passed("not allowed in itself", &[cdn("max-age=60"), ("set-cookie", "a=b")]),
        kept("surrogate", &[PRIVATE, surrogate("max-age=60")]),
        passed("no surrogate", &[HOUR, surrogate("no-store")]),
        kept(
            "a surrogate's other business",
            &[HOUR, surrogate("content=\"ESI/1.0\"")],
        ),
        kept("both", &[PRIVATE, cdn("max-age=60"), surrogate("no-store")]),
        case("passed on")
            .origin(ok(&[PRIVATE, cdn("max-age=60"), surrogate("no-store")], "content"))
            .ask(
                get(&[])
                    .with("cdn-cache-control", "max-age=60")
                    .with("surrogate-control", "no-store"),
            )
            .ask(
                get(&[])
                    .with("cdn-cache-control", "max-age=60")
                    .with("cache-control", PRIVATE.1)
                    .asked(1),
            ),
    ])
    .await;
}
