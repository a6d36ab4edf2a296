//! `check` and `explain`, as a user calls them.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use crate::support::edge::BINARY;

fn linkpush(args: &[&OsStr]) -> Output {
    Command::new(BINARY)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("the binary starts")
}

fn text(args: &[&str]) -> Output {
    linkpush(&args.iter().map(OsStr::new).collect::<Vec<_>>())
}

fn explain(args: &[&str]) -> Value {
    let mut all = vec!["explain", "--config", "conf/demo.yaml", "--format", "json"];
    all.extend_from_slice(args);
    let output = text(&all);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn check_accepts_what_is_shipped() {
    let output = text(&["check", "conf/edge.yaml", "conf/minimal.yaml", "conf/demo.yaml"]);
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn check_tells_every_problem_and_fails() {
    let invalid = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conf/invalid");
    let mut seen = 0;
    for entry in std::fs::read_dir(invalid).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "yaml") {
            let name = format!("conf/invalid/{}", path.file_name().expect("a name").to_string_lossy());
            let expected = std::fs::read_to_string(path.with_extension("expected")).expect("beside it");
            let output = text(&["check", &name]);
            assert_eq!(output.status.code(), Some(1), "{name}");
            assert_eq!(
                String::from_utf8_lossy(&output.stderr).trim_end(),
                expected.trim_end(),
                "{name}"
            );
            seen += 1;
        }
    }
    assert!(seen >= 15, "{seen} invalid files");
}

#[test]
fn a_broken_configuration_does_not_start_a_server() {
    let output = text(&["run", "--config", "conf/invalid/does-not-exist.yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("conf/invalid/does-not-exist.yaml"),
        "{output:?}"
    );
}

#[test]
fn explain_tells_promises_and_reasons() {
    let answer = explain(&[
        "--link",
        "</b.js>; rel=preload; as=script, </c.css>; rel=preload; as=style; nopush",
        "--link",
        "<https://cdn.example/x>; rel=preload, <a.css>; rel=preload; as=style, </n>; rel=next",
        "https://shop.example/p/index.html",
    ]);
    let expected = serde_json::json!({
        "route": "pages",
        "promises": [
            {"url": "https://shop.example/b.js", "as": "script", "source": "response"},
            {"url": "https://shop.example/p/a.css", "as": "style", "source": "response"},
        ],
        "hints": [],
        "skipped": [
            {"target": "/c.css", "reason": "nopush"},
            {"target": "https://cdn.example/x", "reason": "other_origin"},
            {"target": "/n", "reason": "relation"},
        ],
    });
    assert_eq!(answer, expected);
}

#[test]
fn explain_goes_through_the_sources_in_order() {
    let link = "</a.css>; rel=preload; as=style";
    let answer = explain(&["--early", link, "--link", link, "http://h/"]);
    assert_eq!(answer["promises"][0]["source"], "early");
    assert_eq!(answer["skipped"][0]["reason"], "already_pushed");
    let answer = explain(&[
        "--client",
        "hint",
        "--header",
        "Sec-Fetch-Mode: navigate",
        "--early",
        link,
        "--link",
        link,
        "http://h/",
    ]);
    assert_eq!(answer["hints"], serde_json::json!([link]));
    assert_eq!(answer["skipped"][0]["reason"], "too_late_to_hint");
    for (args, reason) in [
        (vec!["--client", "hint"], "not_navigation"),
        (vec!["--client", "http1"], "http1"),
        (vec!["--method", "POST"], "method"),
        (vec!["--status", "404"], "status"),
        (vec!["--header", "Save-Data: on"], "save_data"),
        (vec!["--header", "accept-push-policy: none"], "accept_push_policy"),
        (vec!["--pushed-parent"], "pushed_parent"),
    ] {
        let answer = explain(&[args.as_slice(), &["--link", link, "http://h/"]].concat());
        assert_eq!(answer["skipped"][0]["reason"], reason, "{args:?}");
        assert_eq!(answer["promises"], serde_json::json!([]), "{args:?}");
    }
    assert_eq!(
        explain(&["--link", link, "http://h/quiet"])["skipped"][0]["reason"],
        "off"
    );
}

#[test]
fn explain_knows_what_was_learned() {
    let link = "</a.css>; rel=preload; as=style";
    let learned = ["--learned", link, "--link", link, "http://h/learned"];
    let answer = explain(&learned);
    assert_eq!(answer["promises"][0]["source"], "learned");
    assert_eq!(answer["skipped"][0]["reason"], "already_pushed");
    let answer = explain(&[&["--header", "if-none-match: *"], learned.as_slice()].concat());
    assert_eq!(answer["skipped"][0]["reason"], "returning");
    assert_eq!(answer["promises"][0]["source"], "response");
    let refused = text(&["explain", "--config", "conf/demo.yaml", "--learned", link, "http://h/"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("the route pages does not learn"), "{refused:?}");
}

#[test]
fn explain_takes_any_bytes() {
    let args = ["explain", "--config", "conf/demo.yaml", "--format", "json", "--link"].map(OsStr::new);
    let link = OsStr::from_bytes(b"-</\xff>; rel=preload, </ok>; rel=preload");
    let output = linkpush(&[args.as_slice(), &[link, OsStr::new("http://h/")]].concat());
    assert!(output.status.success(), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(answer["promises"][0]["url"], "http://h/ok");
    assert_eq!(answer["skipped"][0]["reason"], "malformed");
}

#[test]
fn explain_says_what_is_wrong_with_its_usage() {
    let base = ["explain", "--config", "conf/demo.yaml"];
    for (args, said) in [
        (vec!["/relative"], "absolute"),
        (vec!["ftp://h/"], "ftp"),
        (vec!["--status", "99", "http://h/"], "--status 99"),
        (vec!["--status", "abc", "http://h/"], "--status abc"),
        (vec!["--header", "no colon", "http://h/"], "NAME: VALUE"),
        (vec!["--method", "G T", "http://h/"], "--method"),
        (vec!["--client", "tv", "http://h/"], "tv"),
        (vec![], "URL"),
    ] {
        let output = text(&[base.as_slice(), &args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(said),
            "{args:?}: {output:?}"
        );
    }
}

#[test]
fn explain_prints_text_for_people() {
    let output = text(&[
        "explain",
        "--config",
        "conf/demo.yaml",
        "--link",
        "</a>; rel=preload, </b>; rel=preload; nopush",
        "http://h/",
    ]);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        printed.contains("promise  http://h/a") && printed.contains("skipped  /b  reason=nopush"),
        "{printed}"
    );
}
