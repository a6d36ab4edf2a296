//! `linkpush probe --hop`: chains of real servers, whole ones and ones with a hop that is broken on purpose.

use std::{fs, net::SocketAddr, path::Path};

use serde_json::Value;

use crate::{
    clients::run,
    support::{
        edge::{BINARY, Edge, config, listening},
        origin::{Origin, Step, early_hints, response},
        program::{Program, free_address, haproxy, hitch},
        tls::issue,
    },
};

const LINK: &str = "</main.css>; rel=preload; as=style";

/// A site whose page sends Link, and a 103 under `/early`.
async fn site() -> Origin {
    let origin = Origin::start().await;
    origin
        .serve_ok("/", &[("link", LINK), ("content-type", "text/html")], b"page")
        .on(
            "/early",
            [
                Step::Send(early_hints(&[LINK])),
                Step::Send(response("200 OK", &[("link", LINK)], b"page")),
            ],
        )
        .serve_ok("/main.css", &[("cache-control", "max-age=60")], b"css");
    origin
}

/// A server and the folder of its files.
struct Hop {
    program: Program,
    _folder: tempfile::TempDir,
}

/// nginx in front of a server; `http` and `location` are more lines of its configuration, `listen` the words behind its
/// address.
async fn nginx(server: SocketAddr, listen: &str, http: &str, location: &str) -> Hop {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().display().to_string();
    let address = free_address();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {path}/{name};\n"))
        .concat();
    let text = format!(
        "daemon off;\nworker_processes 1;\npid {path}/pid;\nerror_log {path}/error;\nevents {{}}\nhttp {{\n\
         access_log off;\n{temporary}{http}\nserver {{ listen {address} {listen};\nlocation / {{\n\
         proxy_pass http://{server};\nproxy_http_version 1.1;\nproxy_set_header Host $http_host;\n\
         proxy_set_header Sec-Fetch-Mode $http_sec_fetch_mode;\nproxy_buffer_size 64k;\nproxy_buffers 8 64k;\n\
         {location}\n}} }}\n}}\n"
    );
    let file = folder.path().join("nginx.conf");
    fs::write(&file, text).expect("a writable folder");
    let log = format!("{path}/error");
    let file = file.display().to_string();
    let program = Program::start("nginx", &["-e", &log, "-c", &file], address).await;
    Hop {
        program,
        _folder: folder,
    }
}

/// HAProxy in HTTP mode in front of a server; `rules` are lines of its frontend.
async fn balancer(server: SocketAddr, rules: &str) -> Hop {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = free_address();
    let text = format!(
        "global\n  tune.maxrewrite 8192\n  tune.bufsize 65536\ndefaults\n  mode http\n  timeout connect 20s\n  timeout client 20s\n  \
         timeout server 20s\nlisten all\n  bind {address}\n{rules}  server next {server}\n"
    );
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, text).expect("a writable folder");
    let program = Program::start("haproxy", &["-db", "-f", &file.display().to_string()], address).await;
    Hop {
        program,
        _folder: folder,
    }
}

/// Varnish in front of a server; `feature` is `+http2` or `-http2`.
async fn varnish(server: SocketAddr, feature: &str) -> Hop {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let address = free_address();
    let rules = folder.path().join("rules.vcl");
    let (host, port) = (server.ip(), server.port());
    let text = format!("vcl 4.1;\nbackend next {{ .host = \"{host}\"; .port = \"{port}\"; }}\n");
    fs::write(&rules, text).expect("a writable folder");
    let path = |path: &Path| path.display().to_string();
    let state = path(&folder.path().join("state"));
    let listen = address.to_string();
    let arguments = [
        "-F",
        "-j",
        "none",
        "-T",
        "none",
        "-s",
        "malloc,16m",
        "-p",
        "thread_pool_min=10",
        "-p",
        "vsl_space=1M",
        "-n",
        &state,
        "-a",
        &listen,
        "-f",
        &path(&rules),
        "-p",
        &format!("feature={feature}"),
    ];
    let program = Program::start("varnishd", &arguments, address).await;
    Hop {
        program,
        _folder: folder,
    }
}

fn hop(name: &str, address: SocketAddr) -> String {
    format!("{name}=http://{address}")
}

/// Probes the hops for a page of `shop.example`; returns the exit code, the JSON, and the findings as words with names.
async fn chain(path: &str, hops: &[String]) -> (i32, Value, Vec<String>) {
    chain_within("10s", path, hops).await
}

async fn chain_within(limit: &str, path: &str, hops: &[String]) -> (i32, Value, Vec<String>) {
    let url = format!("http://shop.example{path}");
    let mut arguments = vec!["probe", "--insecure", "--format", "json", "--timeout", limit, &url];
    for hop in hops {
        arguments.extend(["--hop", hop]);
    }
    let output = run(BINARY, &arguments).await;
    let value: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let findings = value["findings"].as_array().expect("findings");
    let word = |found: &Value, key: &str| found[key].as_str().expect("text").to_owned();
    let found = findings
        .iter()
        .map(|found| format!("{} {}", word(found, "finding"), word(found, "hop")));
    let found = found.collect();
    (output.status.code().expect("an exit code"), value, found)
}

/// One cell of the table for each hop.
fn cells<'v>(value: &'v Value, key: &str) -> Vec<&'v Value> {
    let hops = value["hops"].as_array().expect("hops");
    hops.iter().map(|hop| &hop[key]).collect()
}

#[tokio::test]
async fn a_chain_with_linkpush_outermost_pushes_and_each_hop_is_known() {
    let origin = site().await;
    let nginx = nginx(origin.address, "", "", "").await;
    let balancer = balancer(nginx.program.address, "").await;
    let varnish = varnish(balancer.program.address, "+http2").await;
    let required = "proxy_protocol: required, trusted: [127.0.0.0/8]";
    let edge = Edge::with(&listening(varnish.program.address, required, "")).await;
    let hops = [
        hop("linkpush", edge.address),
        hop("cache", varnish.program.address),
        hop("haproxy", balancer.program.address),
        hop("web", nginx.program.address),
        hop("app", origin.address),
    ];
    let (code, value, found) = chain("/", &hops).await;
    assert_eq!(found, ["proxy_header linkpush", "push_arrives linkpush"], "{value}");
    assert_eq!(code, 0);
    let software = cells(&value, "software");
    assert_eq!(software[..3], ["linkpush", "Varnish", "HAProxy"]);
    assert!(
        software[3].as_str().is_some_and(|nginx| nginx.starts_with("nginx 1.")),
        "{value}"
    );
    assert_eq!(cells(&value, "link"), ["kept", "kept", "kept", "kept", "sent"]);
    assert_eq!(
        cells(&value, "http2"),
        ["prior_knowledge", "prior_knowledge", "prior_knowledge", "none", "none"]
    );
    assert_eq!(value["hops"][0]["pushed"], serde_json::json!(["/main.css"]));
    assert_eq!(value["hops"][0]["proxy_header"], "v1");
    assert_eq!(origin.request("/").await.field("host"), Some("shop.example"));

    // Without linkpush.
    let (code, value, found) = chain("/", &hops[1..]).await;
    assert_eq!((code, found), (3, vec!["push_dies cache".to_owned()]), "{value}");
    let remedy = value["findings"][0]["remedy"].as_str().expect("a remedy");
    assert!(
        remedy.contains("Varnish speaks HTTP/2 (feature=+http2) and has no pushes"),
        "{remedy}"
    );
    let said = value["findings"][0]["text"].as_str().expect("a sentence");
    assert_eq!(
        said,
        "push dies at *cache*: it speaks HTTP/2 to you but sends no promises; Link survives"
    );
}

#[tokio::test]
async fn an_nginx_that_pushes_itself_is_seen_behind_the_hop_that_does_not() {
    let origin = site().await;
    let nginx = nginx(origin.address, "http2", "", "http2_push_preload on;").await;
    let plain = varnish(origin.address, "-http2").await;
    let hops = [hop("varnish", plain.program.address), hop("web", nginx.program.address)];
    let (code, value, found) = chain("/", &hops).await;
    assert_eq!(
        (code, found),
        (3, ["no_http2 varnish", "push_dies varnish"].map(str::to_owned).to_vec()),
        "{value}"
    );
    assert_eq!(value["hops"][1]["pushed"], serde_json::json!(["/main.css"]));
    assert_eq!(cells(&value, "http2"), ["none", "prior_knowledge"]);
    let remedy = value["findings"][1]["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("with feature=+http2 it would"), "{remedy}");
}

#[tokio::test]
async fn link_that_is_stripped_cut_or_changed_is_found_at_its_hop() {
    let origin = site().await;
    let long: Vec<String> = (0..120)
        .map(|n| format!("</asset-{n:0>20}.css>; rel=preload; as=style"))
        .collect();
    let long = long.join(", ");
    assert!(long.len() > 4096);
    origin.serve_ok("/long", &[("link", &long)], b"page");
    origin.serve_ok(
        "/lines",
        &[("link", LINK), ("link", "</b.js>; rel=preload; as=script")],
        b"page",
    );
    let inner = balancer(origin.address, "").await;

    let stripping = balancer(inner.program.address, "  http-response del-header link\n").await;
    let hops = [
        hop("outer", stripping.program.address),
        hop("inner", inner.program.address),
        hop("app", origin.address),
    ];
    let (code, value, found) = chain("/", &hops).await;
    assert_eq!(
        (code, found),
        (4, ["link_lost outer", "push_dies outer"].map(str::to_owned).to_vec()),
        "{value}"
    );

    let cut = "map $upstream_http_link $cut { \"~^(?<start>.{4096})\" $start; default $upstream_http_link; }";
    let cutting = nginx(
        inner.program.address,
        "http2",
        cut,
        "proxy_hide_header Link;\nadd_header Link $cut;",
    )
    .await;
    let hops = [
        hop("outer", cutting.program.address),
        hop("inner", inner.program.address),
        hop("app", origin.address),
    ];
    let (code, value, found) = chain("/long", &hops).await;
    assert_eq!(
        (code, found),
        (4, ["link_cut outer", "push_dies outer"].map(str::to_owned).to_vec()),
        "{value}"
    );
    assert_eq!(cells(&value, "link"), ["cut", "kept", "sent"]);

    let other = "proxy_hide_header Link;\nadd_header Link '</x.css>; rel=preload; as=style';";
    let changing = nginx(origin.address, "http2", "", other).await;
    let hops = [hop("outer", changing.program.address), hop("app", origin.address)];
    let (code, _, found) = chain("/", &hops).await;
    assert_eq!(
        (code, found),
        (4, ["link_changed outer", "push_dies outer"].map(str::to_owned).to_vec())
    );

    let joined = format!("{LINK}, </b.js>; rel=preload; as=script");
    let one = Origin::start().await;
    one.serve_ok("/lines", &[("link", &joined)], b"page");
    let hops = [hop("outer", one.address), hop("app", origin.address)];
    let (code, value, found) = chain("/lines", &hops).await;
    assert!(found.contains(&"link_merged outer".to_owned()), "{value}");
    assert_eq!(code, 3);
}

#[tokio::test]
async fn a_103_that_is_lost_or_breaks_the_page_is_found_at_its_hop() {
    let origin = site().await;
    let off = "routes:\n  - { name: quiet, upstream: app, push: off }\n";
    let quiet = Edge::with(&config(origin.address, off)).await;
    let hops = [hop("outer", quiet.address), hop("app", origin.address)];
    let (code, value, found) = chain("/early", &hops).await;
    assert_eq!(
        (code, found),
        (3, ["push_dies outer", "early_lost outer"].map(str::to_owned).to_vec()),
        "{value}"
    );
    assert_eq!(cells(&value, "early"), ["lost", "sent"]);

    let edge = Edge::start(origin.address).await;
    let hops = [hop("linkpush", edge.address), hop("app", origin.address)];
    let (code, value, found) = chain("/early", &hops).await;
    assert_eq!(code, 0, "{value}");
    assert_eq!(found, ["early_arrives linkpush", "push_arrives linkpush"]);
    assert_eq!(cells(&value, "early"), ["passed", "sent"]);

    // Varnish 7.1 takes a 103 for a response that it cannot use, nginx 1.22 for the final one, and waits for its content.
    let varnish = varnish(origin.address, "+http2").await;
    let nginx = nginx(origin.address, "", "", "").await;
    for breaking in [varnish, nginx] {
        let hops = [hop("outer", breaking.program.address), hop("app", origin.address)];
        let (code, value, found) = chain_within("2s", "/early", &hops).await;
        assert_eq!(
            (code, found),
            (4, vec!["early_breaks_page outer".to_owned()]),
            "{value}"
        );
        assert_eq!(cells(&value, "early"), ["breaks_page", "sent"]);
    }
}

#[tokio::test]
async fn what_clients_are_offered_is_told() {
    let origin = site().await;
    let folder = tempfile::tempdir().expect("a folder");
    let pem = issue(&["localhost"]).write_both(folder.path());
    let edge = Edge::start(origin.address).await;
    let https = |name: &str, address: SocketAddr| format!("{name}=https://{address}");

    // hitch offers h2 in front of a server without it, then in front of linkpush, then no h2.
    let wrong = hitch(&pem, origin.address, &[]).await;
    let (code, value, found) = chain("/", &[https("hitch", wrong.address), hop("app", origin.address)]).await;
    assert_eq!(code, 4, "{value}");
    assert_eq!(found, ["alpn_without_http2 hitch", "push_dies hitch"]);
    let right = hitch(&pem, edge.address, &[]).await;
    let (code, value, found) = chain("/", &[https("hitch", right.address), hop("linkpush", edge.address)]).await;
    assert_eq!((code, found), (0, vec!["push_arrives hitch".to_owned()]), "{value}");
    assert_eq!(cells(&value, "upgrade"), [&Value::Null, &Value::Bool(true)]);
    let old = hitch(&pem, edge.address, &["--alpn-protos=http/1.1"]).await;
    let (code, value, found) = chain("/", &[https("hitch", old.address), hop("linkpush", edge.address)]).await;
    assert_eq!(
        (code, found),
        (3, ["no_http2 hitch", "push_dies hitch"].map(str::to_owned).to_vec()),
        "{value}"
    );
    assert!(
        value["findings"][1]["text"]
            .as_str()
            .is_some_and(|text| text.contains("*linkpush* behind it pushes"))
    );

    // In TCP mode it passes HTTP/2 on as it is.
    let front = haproxy(folder.path(), edge.address, "").await;
    let (code, value, _) = chain("/", &[hop("haproxy", front.address), hop("linkpush", edge.address)]).await;
    assert_eq!(code, 0, "{value}");
}

#[tokio::test]
async fn a_hop_that_gives_no_page_says_why() {
    let origin = site().await;
    let closed = free_address();
    let edge = Edge::start(origin.address).await;
    let hops = [
        hop("closed", closed),
        format!("cleartext=https://{}", edge.address),
        hop("app", origin.address),
    ];
    let (code, value, found) = chain("/", &hops).await;
    assert_eq!(code, 4);
    assert_eq!(found, ["no_page closed", "no_page cleartext"], "{value}");
    for (at, problem) in [(0, "Connection refused"), (1, "expects cleartext, not TLS")] {
        let failure = value["hops"][at]["failure"].as_str().expect("a failure");
        assert!(failure.contains(problem), "{failure}");
    }
    let (code, _, found) = chain("/missing", &[hop("linkpush", edge.address), hop("app", origin.address)]).await;
    assert_eq!((code, found), (3, vec!["no_link app".to_owned()]));
}

#[tokio::test]
async fn the_table_is_for_people() {
    let origin = site().await;
    let edge = Edge::start(origin.address).await;
    let (outer, inner) = (hop("linkpush", edge.address), hop("app", origin.address));
    let arguments = ["probe", "http://shop.example/", "--hop", &outer, "--hop", &inner];
    let output = run(BINARY, &arguments).await;
    let lines: Vec<Vec<&str>> = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let head = [
        "hop", "software", "protocol", "Upgrade", "status", "Link", "103", "head", "end", "pushed",
    ];
    assert_eq!(lines[0], head);
    assert_eq!(
        lines[1][..8],
        [
            "linkpush", "linkpush", "HTTP/2", "(h2c)", "answered", "200", "kept", "none"
        ]
    );
    assert_eq!(lines[1][10..], ["*", "/main.css"]);
    assert_eq!(
        lines[2][..7],
        ["app", "unknown", "HTTP/1.1", "no", "200", "sent", "none"]
    );
    assert!(
        output
            .stdout
            .ends_with("\npush_arrives: pushes reach the client at *linkpush* (/main.css).\n"),
        "{output:?}"
    );
    origin.forget_seen();
    let arguments = ["probe", "https://shop.example/", "--hop", &inner];
    let output = run(BINARY, &arguments).await;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let seen = origin.request("/").await;
    let told = ["host", "x-forwarded-proto"].map(|name| seen.field(name));
    assert_eq!(told, [Some("shop.example"), Some("https")], "{seen:?}");
    for (arguments, problem) in [
        (["--hop", "http://a/"], "NAME=URL"),
        (["--hop", "a=http://b/page"], "a hop has no path"),
    ] {
        let all = [&["probe", "http://shop.example/"][..], &arguments].concat();
        let output = run(BINARY, &all).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(output.stderr.contains(problem), "{output:?}");
    }
}
