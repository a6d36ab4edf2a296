//! `check` and `explain`, as a user calls them.

use std::{
    ffi::OsStr,
    io::Write as _,
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::{Command, Output, Stdio},
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

/// Runs `check` over a text on standard input.
fn check(args: &[&str], text: &str) -> Output {
    let mut child = Command::new(BINARY)
        .arg("check")
        .args(args)
        .arg("-")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(text.as_bytes()).expect("it reads");
    drop(input);
    child.wait_with_output().expect("a child")
}

const DOUBTFUL: &str = "listeners: [{ address: '127.0.0.1:8080' }]
upstreams:
  app: { servers: ['127.0.0.1:8080'] }
  old: { servers: ['127.0.0.1:9000'] }
push: { max_promises: 4 }
routes:
  - name: blog
    match: { path: /blog/* }
    upstream: app
    push: off
  - { name: all, upstream: app, push: { max_hints: 7 } }
  - { name: late, match: { path: ^/late }, upstream: app }
";

#[test]
fn check_warns_of_what_is_probably_not_meant() {
    let output = check(&[], DOUBTFUL);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let lines: Vec<&str> = said.lines().collect();
    let expected = [
        "-:3:20: warning: upstreams.app.servers[0]: this is the listener 127.0.0.1:8080 of linkpush itself",
        "-:4:8: warning: upstreams.old: no route uses this upstream",
        "-:8:20: warning: routes[0].match.path: a regular expression, in which /* is any number of /",
        "-:12:5: warning: routes[2]: no request takes the route late: routes[1] (all) stands before it",
    ];
    assert_eq!(lines.len(), expected.len(), "{said}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
    let output = check(&["--format", "json"], DOUBTFUL);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let file = &json["files"][0];
    assert_eq!(file["valid"], true);
    assert_eq!(
        file["counts"],
        serde_json::json!({ "listeners": 1, "upstreams": 2, "routes": 3 })
    );
    let warning = &file["warnings"][1];
    let unused = serde_json::json!({
        "line": 4, "column": 8, "setting": "upstreams.old", "message": "no route uses this upstream",
    });
    assert_eq!(*warning, unused);
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn check_tells_where_each_setting_of_a_route_comes_from() {
    let output = check(&["--effective", "--format", "json"], DOUBTFUL);
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let setting = |route: usize, name: &str| {
        let settings = json["files"][0]["effective"][route]["settings"]
            .as_array()
            .expect("settings");
        let found = settings.iter().find(|setting| setting["setting"] == name);
        found.map(|setting| {
            let text = |key: &str| setting[key].to_string().trim_matches('"').to_owned();
            format!("{} {} {}", text("value"), text("from"), text("line"))
        })
    };
    for (route, name, expected) in [
        (0, "match.path", Some("/blog/* route 8")),
        (0, "upstream", Some("app route 9")),
        (0, "push.delivery", Some("off route 10")),
        (0, "push.max_promises", Some("4 defaults 5")),
        (0, "push.max_hints", Some("20 built_in null")),
        (0, "learn.learning", Some("off built_in null")),
        (0, "forwarded", Some("off built_in null")),
        (1, "push.delivery", Some("auto built_in null")),
        (1, "push.max_hints", Some("7 route 11")),
        (1, "match.path", None),
        (2, "cache.caching", Some("assets built_in null")),
    ] {
        assert_eq!(setting(route, name).as_deref(), expected, "{route} {name}");
    }
    let output = check(&["--effective"], DOUBTFUL);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = printed.lines().map(words).collect();
    for expected in [
        "route blog",
        "push.delivery \"off\" route, -:10",
        "push.max_promises 4 defaults, -:5",
        "push.max_hints 20 built in",
    ] {
        assert!(lines.iter().any(|line| line == expected), "{expected}: {printed}");
    }
}

#[test]
fn check_tries_the_paths_that_the_server_will_write() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let at = folder.path().display();
    std::fs::write(folder.path().join("notes"), "keep me").expect("a file");
    let text = format!(
        "server:\n  pid_file: {at}/notes\n  admin: {at}/absent/admin.sock\n  manifests: {{ file: {at} }}\n\
         listeners: [{{ address: '127.0.0.1:0' }}]\nupstreams: {{ app: {{ servers: ['a:1'] }} }}\n\
         routes: [{{ name: all, upstream: app }}]\n"
    );
    let output = check(&[], &text);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let expected = format!(
        "-:2:13: server.pid_file: {at}/notes cannot be written: the file has other content than a process id\n\
         -:4:22: server.manifests.file: {at} cannot be written: there is a folder at this path\n\
         -:3:10: server.admin: {at}/absent/admin.sock cannot be written: there is no folder {at}/absent\n"
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
    assert!(check(&["--skip-paths"], &text).status.success());
    // A start says the same, and touches nothing.
    let file = folder.path().join("edge.yaml");
    std::fs::write(&file, &text).expect("a file");
    let output = linkpush(&["run".as_ref(), "--config".as_ref(), file.as_os_str()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let name = file.display().to_string();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr).trim_end(),
        expected.trim_end().replace("-:", &format!("{name}:"))
    );
    let kept = std::fs::read_to_string(folder.path().join("notes")).expect("a file");
    assert_eq!(kept, "keep me");
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn check_reads_standard_input_and_prints_problems_as_json() {
    let output = check(&["--format", "json"], "push: never\nroutes: []\n");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let json: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let problems = json["files"][0]["problems"].as_array().expect("problems");
    assert!(problems.len() >= 3, "{problems:?}");
    assert_eq!(problems[0]["setting"], "listeners");
    let push = problems
        .iter()
        .find(|problem| problem["setting"] == "push")
        .expect("of push");
    assert_eq!((&push["line"], &push["column"]), (&1.into(), &7.into()));
    let message = "must be auto, push, hint, off or a mapping, got \"never\"";
    assert_eq!(push["message"], message);
}

#[test]
fn the_schema_is_printed() {
    let output = text(&["schema"]);
    let schema: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let committed = std::fs::read(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("conf/edge.schema.json"));
    let committed: Value = serde_json::from_slice(&committed.expect("a file")).expect("JSON");
    assert!(
        schema == committed,
        "write it anew: linkpush schema > conf/edge.schema.json"
    );
}

#[test]
fn completions_and_man_pages_know_each_command() {
    let help = String::from_utf8_lossy(&text(&["--help"]).stdout).into_owned();
    let (_, commands) = help.split_once("Commands:\n").expect("commands");
    let commands: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.len() >= 10, "{commands:?}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join("linkpush.bash");
    for shell in ["bash", "zsh", "fish"] {
        let output = text(&["completions", shell]);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        for command in &commands {
            assert!(printed.contains(command), "{shell}: {command}");
        }
        if shell == "bash" {
            std::fs::write(&script, &printed).expect("a file");
        }
    }
    // As bash asks for the words that may follow.
    let ask = "source \"$0\"; COMP_WORDS=(linkpush rel); COMP_CWORD=1; _linkpush linkpush rel linkpush; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash")
        .args(["-c", ask])
        .arg(&script)
        .output()
        .expect("bash");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "reload", "{output:?}");
    let pages = folder.path().join("man");
    let output = linkpush(&["man".as_ref(), pages.as_os_str()]);
    assert!(output.status.success(), "{output:?}");
    let page = |name: &str| std::fs::read_to_string(pages.join(name)).unwrap_or_default();
    assert!(page("linkpush.1").contains(".TH linkpush 1"));
    for command in commands {
        assert!(
            page(&format!("linkpush-{command}.1")).contains(".SH SYNOPSIS"),
            "{command}"
        );
    }
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
    // A link that is too long takes no place, and of the HTML 32 links are read.
    assert_eq!((skipped("too_long"), skipped("too_many_learned")), (1, 0));
    assert_eq!(
        answer["hints"].as_array().map(Vec::len),
        Some(32 - skipped("max_hints"))
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
