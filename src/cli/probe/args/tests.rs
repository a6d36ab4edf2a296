//! Tests the arguments: page URLs and durations.

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(line: &[&str]) -> Result<Args, String> {
    let line = ["probe"].iter().chain(line);
    Line::try_parse_from(line)
        .map(|line| line.args)
        .map_err(|error| error.to_string())
}

#[test]
fn a_url_alone_accepts_pushes_navigates_and_verifies() {
    let args = args(&["http://127.0.0.1:8080/#top"]).expect("valid");
    assert_eq!(args.url.as_str(), "http://127.0.0.1:8080/");
    assert!(!args.no_push && !args.no_navigate && !args.insecure);
    assert_eq!(args.timeout, Duration::from_secs(10));
}

#[test]
fn the_last_of_navigate_and_no_navigate_counts() {
    let no_navigate = |flags: &[&str]| args(&[&["http://a/"], flags].concat()).expect("valid").no_navigate;
    assert!(no_navigate(&["--navigate", "--no-navigate"]));
    assert!(!no_navigate(&["--no-navigate", "--navigate"]));
}

#[test]
fn other_schemes_and_credentials_are_refused() {
    for (url, problem) in [
        ("ftp://a/", "http or https"),
        ("localhost:8080", "http or https"),
        ("/page", "http://127.0.0.1:8080/"),
        ("Link: </a.css>; rel=preload", "is relative"),
        ("http://me:secret@a/", "user name"),
    ] {
        let error = args(&[url]).expect_err(url);
        assert!(error.contains(problem), "{url}: {error}");
    }
}

#[test]
fn durations_have_units_and_bounds() {
    assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
    for bad in ["", "10", "s", "0s", "-1s", "1.5s", "61m", "99999999999999999999s", "1h"] {
        assert!(duration(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_client_and_the_server_are_described() {
    let described = |line: &[&str]| args(line).and_then(|args| args.itinerary());
    let plain = described(&["https://shop.example/a"]).expect("valid");
    assert_eq!(plain.server.to_string(), "shop.example:443");
    assert_eq!((plain.wire, plain.client), (Wire::Http2, VisitClient::Navigation));
    let through = [
        "http://10.0.0.5:81/a",
        "--host",
        "shop.example",
        "--proxy-protocol",
        "v2",
    ];
    let through = described(&through).expect("valid");
    assert_eq!(
        (through.page.as_str(), through.server.to_string().as_str()),
        ("http://shop.example/a", "10.0.0.5:81")
    );
    assert_eq!(through.proxy_header, Some(ProxyVersion::V2));
    let pinned = described(&["https://shop.example/", "--connect-to", "[::1]:8443", "--http1"]).expect("valid");
    assert_eq!(
        (pinned.page.as_str(), pinned.server.to_string().as_str()),
        ("https://shop.example/", "[::1]:8443")
    );
    assert_eq!((pinned.wire, pinned.push), (Wire::Http1, PushSetting::Refused));
    let browser = described(&["http://a/", "--as-browser"]).expect("valid");
    assert_eq!(
        (browser.client, browser.push),
        (VisitClient::Browser, PushSetting::Refused)
    );
    let cookie = described(&["http://a/", "--header", "cookie: a=b", "--header", "cookie: c=d"]).expect("valid");
    assert_eq!(cookie.fields.get_all("cookie").iter().count(), 2);
    for (line, problem) in [
        (&["https://a/", "--h2c-upgrade"][..], "--h2c-upgrade"),
        (&["http://a/", "--host", "a/b"], "--host"),
        (&["http://a/", "--header", "host: b"], "--host"),
        (&["http://a/", "--header", "nothing"], "NAME: VALUE"),
        (&["http://a/", "--connect-to", "b"], "HOST:PORT"),
        (&["http://a/", "--proxy-protocol", "v3"], "v3"),
        (&["http://a/", "--http1", "--h2c-upgrade"], "cannot be used"),
        (&["http://a/", "--as-browser", "--no-navigate"], "cannot be used"),
    ] {
        let error = described(line).expect_err(problem);
        assert!(error.contains(problem), "{line:?}: {error}");
    }
}
