//! `linkpush demo`, tried as it says itself: the page that is learned.

use std::time::Duration;

use crate::{
    clients::{heads, nghttp_as_browser, run},
    support::{
        edge::BINARY,
        program::{Program, free_address},
    },
};

/// What the demo's origin takes for `/learned`.
const THINK: Duration = Duration::from_millis(300);
const ASSETS: [&str; 4] = ["/style.css", "/app.js", "/font.woff2", "/logo.png"];

async fn demo() -> (Program, String) {
    let (edge, origin) = (free_address(), free_address());
    let (port, origin_port) = (edge.port().to_string(), origin.port().to_string());
    let arguments = ["demo", "--port", &port, "--origin-port", &origin_port];
    let demo = Program::start(BINARY, &arguments, edge).await;
    (demo, format!("http://{edge}/learned"))
}

#[tokio::test]
async fn the_second_visit_has_the_assets_while_the_origin_thinks() {
    let (_demo, url) = demo().await;
    let first = run("nghttp", &["-ans", &url]).await;
    for path in ASSETS {
        // Promised with the page's header, so not before it.
        let (end, is_pushed) = row(&first.stdout, path);
        assert!(is_pushed && end >= THINK, "{path}: {first:?}");
    }
    let second = run("nghttp", &["-ansv", &url]).await;
    let (page, _) = row(&second.stdout, "/learned");
    for path in ASSETS {
        let (end, is_pushed) = row(&second.stdout, path);
        assert!(is_pushed && end + THINK / 2 < page, "{path}: {second:?}");
    }
    // On the wire: the last bytes of every asset, then the page's header.
    let (before, _) = second
        .stdout
        .split_once("content-type: text/html")
        .expect("the page's header");
    let ends = before
        .lines()
        .filter(|line| line.contains("recv DATA frame") && line.contains("flags=0x01"));
    assert_eq!(ends.count(), ASSETS.len(), "{second:?}");
}

#[tokio::test]
async fn a_browsers_second_visit_gets_a_103_while_the_origin_thinks() {
    let (_demo, url) = demo().await;
    let first = run("nghttp", &nghttp_as_browser(&url)).await;
    assert_eq!(heads(&first.stdout).len(), 1, "{first:?}");
    let second = run("nghttp", &nghttp_as_browser(&url)).await;
    let [early, page] = &heads(&second.stdout)[..] else {
        panic!("not two responses: {second:?}");
    };
    assert_eq!(early.fields.first().map(String::as_str), Some(":status: 103"));
    assert!(early.at + THINK / 2 < page.at, "{second:?}");
}

/// The end of a response in the table of `nghttp -s`, and whether it was pushed.
fn row(printed: &str, path: &str) -> (Duration, bool) {
    let line = printed
        .lines()
        .find(|line| line.contains(" +") && line.ends_with(&format!(" {path}")))
        .unwrap_or_else(|| panic!("no row for {path}: {printed}"));
    let mut words = line.split_whitespace();
    let end = words.nth(1).expect("an end").trim_start_matches('+');
    let number = end.trim_end_matches(char::is_alphabetic);
    let seconds: f64 = number.parse().expect("a number");
    let scale = match end.strip_prefix(number) {
        Some("us") => 1e-6,
        Some("ms") => 1e-3,
        _ => 1.0,
    };
    (Duration::from_secs_f64(seconds * scale), words.next() == Some("*"))
}
