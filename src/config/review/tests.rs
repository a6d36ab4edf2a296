//! Tests of the warnings, each by a whole file.

use std::time::SystemTime;

use regex::Regex;

use super::covers;
use crate::config::parse;

fn warnings(listeners: &str, upstreams: &str, routes: &str) -> Vec<String> {
    let text = format!("listeners: [{listeners}]\nupstreams: {{ {upstreams} }}\nroutes: [{routes}]\n");
    let config = parse("test.yaml", &text).expect("a valid file");
    let warnings = config.warnings(SystemTime::now());
    warnings.iter().map(ToString::to_string).collect()
}

fn of_routes(routes: &[&str]) -> Vec<String> {
    let routes: Vec<String> = routes
        .iter()
        .enumerate()
        .map(|(n, matches)| format!("{{ name: r{n}, upstream: app, match: {{ {matches} }} }}"))
        .collect();
    warnings(
        "{ address: '127.0.0.1:0' }",
        "app: { servers: ['a:1'] }",
        &routes.join(", "),
    )
}

#[test]
fn a_route_behind_one_that_takes_all_of_its_requests_is_told() {
    for (first, second) in [
        ("", ""),
        ("", "host: a.example, path: ^/a, methods: [GET]"),
        ("path: ^/", "path: ^/checkout"),
        ("path: /", "methods: [POST]"),
        ("path: ^/a", "path: ^/a/b"),
        ("path: ^/a.*", "path: '^/ab[0-9]+$'"),
        ("path: '^/a\\.b'", "path: '^/a\\.b/c'"),
        ("path: /static/", "path: ^/x/static/y"),
        ("path: '\\.css$'", "path: '^/a\\.css$'"),
        ("path: ^/(a|b)", "path: ^/(a|b)"),
        ("host: '*.example'", "host: [a.example, '*.shop.example']"),
        ("methods: [GET, POST]", "methods: [POST]"),
        (
            "host: a.example, path: ^/a",
            "host: A.Example, path: ^/a/, methods: [PUT]",
        ),
    ] {
        let expected =
            "routes[1]: no request takes the route r1: routes[0] (r0) stands before it and matches all of them";
        assert_eq!(of_routes(&[first, second]), [expected], "{first} | {second}");
    }
}

#[test]
fn a_route_that_some_request_takes_is_not_told() {
    for (first, second) in [
        ("path: ^/checkout", "path: ^/"),
        ("path: ^/a/b", "path: ^/a"),
        ("path: ^/a$", "path: ^/a"),
        ("path: ^/a+", "path: ^/b"),
        ("path: ^/ab", "path: ^/ab?c"),
        ("path: ^/a", "path: '^/a|^/b'"),
        ("path: ^/a", "path: '(?i)^/a'"),
        ("path: ^/a", "path: /a"),
        ("path: /b", "path: ^/a"),
        ("path: '^/a[0-9]'", "path: ^/ab"),
        ("path: '\\.css$'", "path: '^/a\\.js$'"),
        ("host: a.example", "host: '*.a.example'"),
        ("host: '*.a.example'", "host: a.example"),
        ("host: a.example", ""),
        ("methods: [GET]", ""),
        ("methods: [GET]", "methods: [GET, POST]"),
    ] {
        assert_eq!(of_routes(&[first, second]), Vec::<String>::new(), "{first} | {second}");
    }
}

#[test]
fn what_covers_matches_all_that_is_covered() {
    let patterns = [
        "^/", "/", "^/a", "^/a/", "^/a$", "/a", "^/a.*", "^/ab?", "a|b", "^/a|b", "(?i)^/A", "^/[ab]", "b$", "^", "",
        ".*", "^/a\\.b",
    ];
    let paths = [
        "/", "/a", "/A", "/ab", "/a/", "/a/b", "/b", "/b/a", "/a.b", "/axb", "/c", "/B",
    ];
    for first in patterns {
        for second in patterns {
            let (first, second) = [first, second].map(|text| Regex::new(text).expect("a pattern")).into();
            if covers::path(Some(&first), Some(&second)) {
                for path in paths.into_iter().filter(|path| second.is_match(path)) {
                    assert!(
                        first.is_match(path),
                        "{first} is said to cover {second}, but for {path}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_pattern_that_looks_like_a_glob_is_told_with_its_meaning() {
    for (pattern, instead) in [
        ("/blog/*", "^/blog/"),
        ("^/blog/*", "^/blog/"),
        ("/blog/**", "^/blog/"),
        ("/blog/*/edit", "^/blog/.*/edit$"),
        ("/*.css", "^/.*\\\\.css$"),
        ("/img*", "^/img.*$"),
    ] {
        let said = of_routes(&[&format!("path: '{pattern}'")]);
        let [said] = &said[..] else {
            unreachable!("{pattern}: {said:?}")
        };
        assert!(
            said.starts_with("routes[0].match.path: a regular expression, in which "),
            "{said}"
        );
        assert!(said.ends_with(&format!("it would be \"{instead}\"")), "{said}");
    }
    for pattern in [
        "^/blog/.*",
        "^/[a-z]*",
        "^/a(b)*",
        "^/\\d*",
        "^/ab*c$",
        "^/a/*?b",
        "^/blog/",
    ] {
        assert_eq!(
            of_routes(&[&format!("path: '{pattern}'")]),
            Vec::<String>::new(),
            "{pattern}"
        );
    }
}

#[test]
fn an_unused_upstream_and_one_that_leads_back_are_told() {
    let route = "{ name: r, upstream: app }";
    let said = warnings(
        "{ address: '127.0.0.1:0' }",
        "app: { servers: ['a:1'] }, old: { servers: ['b:1'] }",
        route,
    );
    assert_eq!(said, ["upstreams.old: no route uses this upstream"]);
    for (listener, server) in [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("127.0.0.1:8080", "localhost:8080"),
        ("127.0.0.1:8080", "0.0.0.0:8080"),
        ("0.0.0.0:8080", "127.0.0.2:8080"),
        ("0.0.0.0:8080", "LocalHost:8080"),
        ("[::]:8080", "127.0.0.1:8080"),
        ("[::]:8080", "[::1]:8080"),
        ("10.0.0.1:8080", "10.0.0.1:8080"),
    ] {
        let said = warnings(
            &format!("{{ address: '127.0.0.1:1' }}, {{ address: '{listener}' }}"),
            &format!("app: {{ servers: ['a:1', '{server}'] }}"),
            route,
        );
        let expected = format!(
            "upstreams.app.servers[1]: this is the listener {listener} of linkpush itself, to which requests would return"
        );
        assert_eq!(said, [expected], "{listener} {server}");
    }
    for (listener, server) in [
        ("127.0.0.1:8080", "127.0.0.1:8081"),
        ("127.0.0.1:8080", "127.0.0.2:8080"),
        ("10.0.0.1:8080", "localhost:8080"),
        ("0.0.0.0:8080", "10.0.0.1:8080"),
        ("0.0.0.0:8080", "app.example:8080"),
    ] {
        let said = warnings(
            &format!("{{ address: '{listener}' }}"),
            &format!("app: {{ servers: ['{server}'] }}"),
            route,
        );
        assert_eq!(said, Vec::<String>::new(), "{listener} {server}");
    }
}
