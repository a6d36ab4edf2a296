//! What of a kept answer a request is given: all, a part, its header, or word that it has it already.

use http::Method;

use super::table::{Case, ask, case, get, ok, run};

const HOUR: (&str, &str) = ("cache-control", "max-age=3600");
const SIX: &str = "Wed, 25 Nov 2015 06:00:00 GMT";
const SEVEN: &str = "Wed, 25 Nov 2015 07:00:00 GMT";
const EIGHT: &str = "Wed, 25 Nov 2015 08:00:00 GMT";

/// Ten bytes that are kept, with these fields.
fn ten(name: &'static str, fields: &[(&'static str, &'static str)]) -> Case {
    let fields = [&[HOUR, ("content-type", "text/css")][..], fields].concat();
    case(name).origin(ok(&fields, "0123456789")).ask(
        get(&[])
            .sees(200, "0123456789")
            .without("accept-ranges")
            .without("content-range"),
    )
}

#[tokio::test]
async fn odd_ranges_are_answered_from_memory() {
    const ALL: &str = "0123456789";
    let mut cases = Vec::new();
    for (range, status, body, content) in [
        ("bytes=0-0", 206, "0", Some("bytes 0-0/10")),
        ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
        ("BYTES=2-4", 206, "234", Some("bytes 2-4/10")),
        ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-3", 206, "789", Some("bytes 7-9/10")),
        ("bytes=-30", 206, ALL, Some("bytes 0-9/10")),
        ("bytes=0-18446744073709551616", 206, ALL, Some("bytes 0-9/10")),
        ("bytes=-18446744073709551616", 206, ALL, Some("bytes 0-9/10")),
        ("bytes=20-30,0-1", 206, "01", Some("bytes 0-1/10")),
        ("bytes=-0", 416, "", Some("bytes */10")),
        ("bytes=9999-", 416, "", Some("bytes */10")),
        ("bytes=10-10", 416, "", Some("bytes */10")),
        ("bytes=18446744073709551616-", 416, "", Some("bytes */10")),
        ("bytes=5-2", 200, ALL, None),
        ("bytes=abc", 200, ALL, None),
        ("bytes=", 200, ALL, None),
        ("bytes=-", 200, ALL, None),
        ("bytes=0-5,3-8", 200, ALL, None),
        ("bytes=8-9,0-1", 200, ALL, None),
        ("items=0-1", 200, ALL, None),
        ("0-1", 200, ALL, None),
    ] {
        let name = range.replace([',', '='], "_").leak();
        let asked = get(&[("range", range)]).sees(status, body).asked(1);
        let asked = match content {
            Some(content) => asked.with("content-range", content),
            None => asked.without("content-range"),
        };
        let asked = if status == 416 {
            asked
                .with("cache-control", "no-store")
                .without("content-type")
                .with("content-length", "0")
        } else {
            asked.with("cache-control", HOUR.1).with("content-type", "text/css")
        };
        cases.push(
            ten(name, &[])
                .ask(asked.without("accept-ranges"))
                .ask(get(&[]).sees(200, ALL).asked(1)),
        );
    }
    let many: Vec<String> = (0..5000).map(|at| format!("{at}-{at}")).collect();
    let many: &str = format!("bytes={}", many.join(",")).leak();
    cases.push(ten("many", &[]).ask(get(&[("range", many)]).sees(200, ALL).asked(1)));
    cases.push(
        ten("two lines", &[]).ask(
            get(&[("range", "bytes=0-1"), ("range", "bytes=3-4")])
                .sees(200, ALL)
                .asked(1),
        ),
    );
    cases.push(
        ten("two parts", &[]).ask(
            get(&[("range", "bytes=0-0,-1")])
                .status(206)
                .without("content-range")
                .asked(1),
        ),
    );
    let log = run(cases).await;
    let errors: Vec<&String> = log.iter().filter(|line| line.contains(" ERROR ")).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[tokio::test]
async fn parts_of_one_answer_have_a_boundary_between_them() {
    use crate::support::{client::Client, origin::Origin};
    let origin = Origin::start().await;
    origin.serve_ok("/a", &[HOUR, ("content-type", "text/css")], b"0123456789");
    let edge = super::keeping(&origin, "all").await;
    let client = Client::connect(edge.address).await;
    client.get("/a").await;
    let answer = super::get(&client, "/a", &[("range", "bytes=0-0,-1")]).await.answer;
    let kind = answer.headers["content-type"].to_str().expect("text");
    let boundary = kind
        .strip_prefix("multipart/byteranges; boundary=")
        .expect("a boundary");
    let part = |range: &str, content: &str| {
        format!("\r\n--{boundary}\r\nContent-Type: text/css\r\nContent-Range: bytes {range}/10\r\n\r\n{content}")
    };
    let expected = format!("{}{}\r\n--{boundary}--\r\n", part("0-0", "0"), part("9-9", "9"));
    assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    assert_eq!(answer.headers["content-length"], expected.len().to_string().as_str());
}

#[tokio::test]
async fn what_the_origin_says_of_ranges_stays_its_own() {
    run(vec![
        ten("unsaid", &[])
            .ask(get(&[]).without("accept-ranges").asked(1))
            .ask(ask(Method::HEAD, &[]).without("accept-ranges").asked(1))
            .ask(get(&[("range", "bytes=0-1")]).sees(206, "01").without("accept-ranges")),
        case("said")
            .origin(ok(&[HOUR, ("accept-ranges", "bytes")], "0123456789"))
            .ask(get(&[]).with("accept-ranges", "bytes"))
            .ask(get(&[]).with("accept-ranges", "bytes").asked(1))
            .ask(
                get(&[("range", "bytes=0-1")])
                    .sees(206, "01")
                    .with("accept-ranges", "bytes"),
            ),
        case("refused")
            .origin(ok(&[HOUR, ("accept-ranges", "none")], "0123456789"))
            .ask(get(&[]).with("accept-ranges", "none"))
            .ask(
                get(&[("range", "bytes=0-1")])
                    .sees(200, "0123456789")
                    .with("accept-ranges", "none")
                    .asked(1),
            ),
        case("not kept")
            .origin(ok(&[("cache-control", "no-store")], "0123456789"))
            .ask(get(&[]).without("accept-ranges"))
            .ask(get(&[]).without("accept-ranges").asked(2)),
        case("of nothing")
            .origin(ok(&[HOUR], ""))
            .ask(get(&[]).sees(200, ""))
            .ask(
                get(&[("range", "bytes=0-")])
                    .sees(416, "")
                    .with("content-range", "bytes */0"),
            )
            .ask(get(&[("range", "bytes=-5")]).sees(200, "").asked(1)),
    ])
    .await;
}

#[tokio::test]
async fn a_header_is_that_of_the_whole() {
    let head = |fields: &[(&'static str, &'static str)]| {
        ask(Method::HEAD, fields)
            .sees(200, "")
            .with("content-length", "10")
            .without("content-range")
            .asked(1)
    };
    run(vec![
        ten("head", &[("etag", "\"1\"")])
            .ask(head(&[]))
            .ask(head(&[("range", "bytes=0-1")]))
            .ask(head(&[("range", "bytes=99-")]))
            .ask(head(&[("range", "bytes=0-1"), ("if-range", "\"1\"")]))
            .ask(ask(Method::HEAD, &[("if-none-match", "\"1\"")]).sees(304, "").asked(1)),
    ])
    .await;
}

#[tokio::test]
async fn a_part_is_given_of_the_same_answer_alone() {
    let part = |validator| get(&[("range", "bytes=0-1"), ("if-range", validator)]).asked(1);
    let same = |validator| part(validator).sees(206, "01");
    let other = |validator| part(validator).sees(200, "0123456789").without("content-range");
    run(vec![
        ten("strong", &[("etag", "\"1\"")])
            .ask(same("\"1\""))
            .ask(other("\"2\""))
            .ask(other("W/\"1\""))
            .ask(other("1"))
            .ask(other(SEVEN)),
        ten("weak", &[("etag", "W/\"1\"")])
            .ask(other("W/\"1\""))
            .ask(other("\"1\"")),
        ten("date", &[("last-modified", SEVEN)])
            .ask(same(SEVEN))
            .ask(other(SIX))
            .ask(other(EIGHT))
            .ask(other("\"1\"")),
        // It may have been changed once more in the same second.
        ten("date of now", &[("last-modified", "{now-5}"), ("date", "{now-5}")]).ask(other("{now-5}")),
        ten("date of before", &[("last-modified", "{now-6}"), ("date", "{now-5}")]).ask(same("{now-6}")),
    ])
    .await;
}

#[tokio::test]
async fn a_condition_is_what_can_be_read_of_it() {
    let known = |fields: &[(&'static str, &'static str)]| {
        get(fields)
            .sees(304, "")
            .without("content-length")
            .without("content-type")
            .asked(1)
    };
    let new = |fields: &[(&'static str, &'static str)]| get(fields).sees(200, "0123456789").asked(1);
    run(vec![
        ten("dates", &[("last-modified", SEVEN)])
            .ask(known(&[("if-modified-since", SEVEN)]))
            .ask(known(&[("if-modified-since", EIGHT)]))
            .ask(known(&[("if-modified-since", "wednesday, 25-nov-15 07:00:00 gmt")]))
            .ask(new(&[("if-modified-since", SIX)]))
            .ask(new(&[("if-modified-since", "yesterday")]))
            .ask(new(&[("if-modified-since", "0")]))
            .ask(new(&[("if-modified-since", EIGHT), ("if-none-match", "\"1\"")]))
            .ask(known(&[("if-modified-since", SIX), ("if-none-match", "*")])),
        ten("no date", &[("last-modified", "yesterday")])
            .ask(new(&[("if-modified-since", "yesterday")]))
            .ask(new(&[("if-modified-since", EIGHT)])),
        ten("tags", &[("etag", "W/\"1\""), ("last-modified", SEVEN)])
            .ask(known(&[("if-none-match", "\"1\"")]))
            .ask(known(&[("if-none-match", "\"0\", W/\"1\"")]))
            .ask(known(&[("if-none-match", "\"0\""), ("if-none-match", "\"1\"")]))
            .ask(known(&[("if-none-match", "\"1\""), ("if-modified-since", SIX)]))
            .ask(new(&[("if-none-match", "\"2\""), ("if-modified-since", EIGHT)]))
            .ask(known(&[("if-none-match", "\"1\""), ("range", "bytes=0-1")])),
    ])
    .await;
}
