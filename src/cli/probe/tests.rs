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
