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
fn explain_tells_whether_a_response_would_be_kept_and_why_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let head = |text: &str| {
        let file = folder.path().join("head");
        std::fs::write(&file, text).expect("written");
        file.to_str().expect("UTF-8").to_owned()
    };
    let kept = head(
        "HTTP/1.1 200 OK\r\ncache-control: max-age=600, stale-if-error=60\r\nage: 10\r\nvary: accept-encoding\r\n\
         content-length: 5\r\nlink: </b.css>; rel=preload; as=style\r\n\r\n",
    );
    let answer = explain(&["--response", &kept, "--header", "accept-encoding: br", "https://h/a?b"]);
    assert_eq!(answer["promises"][0]["url"], "https://h/b.css");
    let expected = serde_json::json!({
        "seconds": 590, "stale_while_revalidate": 0, "stale_if_error": 60, "key": "https://h/a?b",
        "vary": {"accept-encoding": "br"}, "assets_only": true,
    });
    assert_eq!(answer["cache"], expected);
    for (fields, request, reason) in [
        ("cache-control: max-age=60\nset-cookie: a=b", "x: y", "set_cookie"),
        ("cache-control: max-age=60, private", "x: y", "private"),
        (
            "cdn-cache-control: no-store\ncache-control: max-age=60",
            "x: y",
            "no_store",
        ),
        ("etag: \"a\"", "x: y", "not_fresh"),
        ("cache-control: max-age=60\nvary: cookie", "x: y", "vary"),
        (
            "cache-control: max-age=60\ncontent-length: 99999999",
            "x: y",
            "too_large",
        ),
        ("cache-control: max-age=60", "authorization: Basic x", "authorization"),
        ("cache-control: max-age=60", "x-original-url: /b", "another_url"),
        ("cache-control: max-age=60", "cookie: a=b", "cookie"),
        ("content-length: 2\ncache-control: max-age=60", "x: y", "framing"),
        (
            "cache-control: max-age=60\ntransfer-encoding: chunked",
            "x: y",
            "framing",
        ),
    ] {
        let head = head(&format!("HTTP/1.1 200 OK\ncontent-length: 1\n{fields}\n").replace(
            "content-length: 1\ncache-control: max-age=60\ncontent-length",
            "cache-control: max-age=60\ncontent-length",
        ));
        let answer = explain(&["--response", &head, "--header", request, "https://h/a"]);
        assert_eq!(answer["cache"]["reason"], reason, "{fields}");
    }
    let bad = head("HTTP/1.1 200 OK\nno field\n");
    let output = text(&[
        "explain",
        "--config",
        "conf/demo.yaml",
        "--response",
        &bad,
        "https://h/",
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("line 2: must be NAME: VALUE, got no field"));
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

/// A server learns 32 links of a page, of 1,024 bytes each at most.
#[test]
fn explain_learns_no_more_than_a_server() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sheets: String = (0..40)
        .map(|n| format!("<link rel=stylesheet href=/{n}.css>"))
        .collect();
    let file = folder.path().join("page.html");
    std::fs::write(&file, format!("<head>{sheets}</head>")).expect("a file");
    let long = format!("</{}.css>; rel=preload; as=style", "x".repeat(1024));
    let client = [
        "--client",
        "hint",
        "--header",
        "sec-fetch-mode: navigate",
        "--learned",
        &long,
        "--html",
    ];
    let answer = explain(&[client.as_slice(), &[file.to_str().expect("UTF-8"), "http://h/learned"]].concat());
    let skipped = |reason: &str| {
        let all = answer["skipped"].as_array().expect("a list");
        all.iter().filter(|skipped| skipped["reason"] == reason).count()
    };
    assert_eq!((skipped("too_long"), skipped("too_many_learned")), (1, 1));
    assert_eq!(
        answer["hints"].as_array().map(Vec::len),
        Some(31 - skipped("max_hints"))
    );

    let page = folder.path().join("policy.html");
    let policy =
        "<meta http-equiv=content-security-policy content=\"script-src 'nonce-a'\"><script src=/a.js></script>";
    std::fs::write(&page, policy).expect("a file");
    let client = ["--client", "hint", "--header", "sec-fetch-mode: navigate", "--html"];
    let answer = explain(&[client.as_slice(), &[page.to_str().expect("UTF-8"), "http://h/learned"]].concat());
    assert_eq!(answer["skipped"][0]["reason"], "csp");
}

#[test]
fn explain_reads_the_html_of_a_page() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        file.to_str().expect("UTF-8").to_owned()
    };
    let file = write(
        "page.html",
        "<link rel=stylesheet href=a.css crossorigin><link rel=stylesheet media=print href=p.css>\
         <script defer src=/b.js></script><script src=//cdn.example/1.js></script></head>",
    );
    let link = "</c.css>; rel=preload; as=style";
    let page = ["--html", &file, "http://h/learned/"];
    let answer = explain(&[&["--learned", link], page.as_slice()].concat());
    let promises = serde_json::json!([
        {"url": "http://h/c.css", "as": "style", "source": "learned"},
        {"url": "http://h/learned/a.css", "as": "style", "source": "html"},
        {"url": "http://h/b.js", "as": "script", "source": "html"},
    ]);
    assert_eq!(answer["promises"], promises);
    let skipped = serde_json::json!([
        {"target": "p.css", "reason": "media"},
        {"target": "http://cdn.example/1.js", "reason": "other_origin"},
    ]);
    assert_eq!(answer["skipped"], skipped);
    let client = ["--client", "hint", "--header", "sec-fetch-mode: navigate"];
    let answer = explain(&[client.as_slice(), &page].concat());
    let hints = serde_json::json!([
        "</learned/a.css>; rel=preload; as=style; crossorigin",
        "<http://cdn.example/1.js>; rel=preload; as=script",
        "</b.js>; rel=preload; as=script",
    ]);
    assert_eq!(answer["hints"], hints);
    let answer = explain(&[&["--header", "if-none-match: *"], page.as_slice()].concat());
    assert_eq!(answer["skipped"][1]["reason"], "returning");

    let head = write("head", "HTTP/1.1 200 OK\ncontent-type: application/xhtml+xml\n");
    let answer = explain(&[&["--response", &head], page.as_slice()].concat());
    assert_eq!(answer["html"], "not_html");
    assert_eq!(answer["promises"], serde_json::json!([]));
    let long = write("long.html", &" ".repeat(200_000));
    let said = text(&[
        "explain",
        "--config",
        "conf/demo.yaml",
        "--html",
        &long,
        "http://h/learned",
    ]);
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("html     teaches nothing  reason=too_long"), "{said}");
    for (args, reason) in [
        (["--html", &file, "http://h/"], "the route pages does not learn"),
        (["--html", "no.html", "http://h/learned"], "--html no.html"),
    ] {
        let refused = text(&[&["explain", "--config", "conf/demo.yaml"], args.as_slice()].concat());
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains(reason), "{said}");
    }
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
