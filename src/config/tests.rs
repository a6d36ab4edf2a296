//! Tests that the shipped files parse, that invalid files give the expected problems, that `edge.yaml` shows every
//! setting with its default, and that no text makes the parser panic.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;

use super::{decode::At, findings::Findings, *};
use crate::{
    forwarded::ForwardedField,
    learn::LearnPolicy,
    push::{Delivery, Destination, Destinations, Policy},
    route::{CachePolicy, HostPattern},
    upstream::{HealthCheckPolicy, PoolPolicy, TlsPolicy, Verify},
};

/// Returns the `.yaml` files of a folder of this crate, each with its path from the crate's root.
fn yaml_files(folder: &str) -> Vec<(String, PathBuf)> {
    let mut files: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))
        .expect("a folder of the crate")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .map(|path| {
            let name = path.file_name().expect("a file").to_string_lossy();
            (format!("{folder}/{name}"), path)
        })
        .collect();
    files.sort();
    files
}

fn edge() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/edge.yaml")).expect("a file of the crate")
}

#[test]
fn every_shipped_configuration_is_valid() {
    let files = yaml_files("conf");
    assert!(files.len() >= 3, "{files:?}");
    for (name, path) in files {
        if let Err(problems) = read(&path) {
            unreachable!("{name}:\n{problems}");
        }
    }
}

/// With `BLESS` in the environment, overwrites the expected problems: read the difference before committing it.
#[test]
fn every_invalid_configuration_gives_the_expected_problems() {
    let files = yaml_files("conf/invalid");
    assert!(files.len() >= 15, "{files:?}");
    let mut wrong = Vec::new();
    for (name, path) in files {
        let text = fs::read_to_string(&path).expect("a file of the crate");
        let said = match parse(&name, &text) {
            Ok(_) => "is valid\n".to_owned(),
            Err(problems) => format!("{problems}\n"),
        };
        let expected = path.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&expected, &said).expect("a writable crate");
        }
        if fs::read_to_string(&expected).ok().as_deref() != Some(&said) {
            wrong.push(said);
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n{}", wrong.join("\n"));
}

#[test]
fn edge_yaml_gives_every_setting_its_default() {
    let config = parse("conf/edge.yaml", &edge()).expect("a valid file");
    assert_eq!(config.server, ProcessPolicy::default());
    let servers = vec![SocketAddr::from(([127, 0, 0, 1], 9000)).into()];
    assert_eq!(config.upstreams, [PoolPolicy::new("app", servers)]);
    let [route] = &config.routes[..] else {
        unreachable!("one route, got {:?}", config.routes);
    };
    assert_eq!(route.push, Policy::default());
    assert_eq!(route.forwarded, ForwardedField::default());
    assert_eq!(route.learn, LearnPolicy::default());
    assert_eq!(route.cache, CachePolicy::default());
    assert!(route.matches.hosts.is_empty() && route.matches.methods.is_empty());
    // A route without `push` has the file's defaults, which are the built-in defaults.
    let silent = edge().replace("    push: auto\n", "");
    let config = parse("conf/edge.yaml", &silent).expect("a valid file");
    assert_eq!(config.routes.first().map(|route| &route.push), Some(&Policy::default()));
}

/// Returns `edge.yaml` with the mappings in its comments in place of the word `off` behind them.
fn edge_with_examples() -> String {
    schema::with_examples(&edge())
}

#[test]
fn edge_yaml_sets_every_key() {
    let text = edge_with_examples();
    let root = node::parse(&text).expect("a valid file");
    let mut found = Findings::new("conf/edge.yaml");
    assert!(build::config(&At::root(&root), &mut found).is_ok());
    assert_eq!(found.unset, Vec::<String>::new());
}

#[test]
fn examples_in_comments_show_the_defaults() {
    let config = parse("conf/edge.yaml", &edge_with_examples()).expect("a valid file");
    let pool = config.upstreams.first().expect("an upstream");
    assert_eq!(pool.health_check, Some(HealthCheckPolicy::new("/health")));
    let tls = TlsPolicy {
        sni: Some("app.example".into()),
        ca_bundle: None,
        verify: Verify::On,
    };
    assert_eq!(pool.tls, Some(tls));
}

#[test]
fn a_minimal_configuration_has_the_defaults() {
    let (_, path) = yaml_files("conf")
        .into_iter()
        .find(|(name, _)| name == "conf/minimal.yaml")
        .expect("a shipped file");
    let config = read(&path).expect("a valid file");
    assert_eq!(config.server, ProcessPolicy::default());
    assert_eq!(config.routes.first().map(|route| &route.push), Some(&Policy::default()));
}

/// Parses a file with these defaults and this route; returns the route's policy.
fn with_push(defaults: &str, route: &str) -> Policy {
    let text = format!(
        "listeners: [{{ address: '[::]:0' }}]\nupstreams: {{ app: {{ servers: [a:1] }} }}\n\
         push: {defaults}\nroutes: [{{ name: r, upstream: app, push: {route} }}]\n"
    );
    let config = parse("test.yaml", &text).expect("a valid file");
    config.routes.into_iter().next().expect("one route").push
}

#[test]
fn off_without_quotes_is_the_word() {
    assert_eq!(with_push("auto", "off").delivery, Delivery::Off);
    assert_eq!(with_push("off", "{ delivery: push }").delivery, Delivery::Push);
}

#[test]
fn a_route_overrides_the_defaults_key_by_key() {
    let defaults = "{ delivery: hint, as: [style, Font], max_promises: 5, links: [<a>; rel=preload] }";
    let expected = Policy {
        delivery: Delivery::Hint,
        destinations: Destinations::Only(vec![Destination::Style, Destination::Font]),
        max_promises: 5,
        links: vec!["<a>; rel=preload".into()],
        ..Policy::default()
    };
    assert_eq!(with_push(defaults, "{}"), expected);
    assert_eq!(
        with_push(defaults, "off"),
        Policy {
            delivery: Delivery::Off,
            ..expected.clone()
        }
    );
    assert_eq!(
        with_push(defaults, "{ as: any, links: [], retry_bad_after: 1s }"),
        Policy {
            destinations: Destinations::Any,
            links: Vec::new(),
            retry_bad_after: Duration::from_secs(1),
            ..expected
        }
    );
}

#[test]
fn routes_keep_their_order_and_know_their_upstream() {
    let text = "
listeners: [{ address: 127.0.0.1:0 }, { address: 127.0.0.1:0 }]
upstreams: { b: { servers: [b:1] }, a: { servers: [a:1, '[::1]:2'] } }
routes:
  - { name: first, upstream: a, match: { host: '*.Example', methods: [GET] } }
  - { name: second, upstream: b, match: { host: [one.example, two.example], path: ^/x } }
";
    let config = parse("test.yaml", text).expect("a valid file");
    assert_eq!(config.listeners.len(), 2);
    let routes: Vec<(&str, usize)> = config
        .routes
        .iter()
        .map(|route| (&*route.name, route.upstream))
        .collect();
    assert_eq!(routes, [("first", 1), ("second", 0)]);
    let hosts: Vec<_> = config.routes.iter().flat_map(|route| &route.matches.hosts).collect();
    assert_eq!(
        hosts,
        [
            &HostPattern::Suffix(".example".into()),
            &HostPattern::Exact("one.example".into()),
            &HostPattern::Exact("two.example".into()),
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem_without_a_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let said = |name: &str, bytes: Option<&[u8]>| {
        let path = folder.path().join(name);
        if let Some(bytes) = bytes {
            fs::write(&path, bytes).expect("a writable folder");
        }
        let problems = read(&path).expect_err("a bad file").to_string();
        problems.replace(&*folder.path().to_string_lossy(), "conf")
    };
    assert_eq!(
        said("absent.yaml", None),
        "conf/absent.yaml: cannot be read: No such file or directory (os error 2)"
    );
    assert_eq!(
        said("latin.yaml", Some(b"a: \xe9")),
        "conf/latin.yaml: cannot be read: byte 3 is not UTF-8"
    );
    assert_eq!(
        said("large.yaml", Some(&vec![b'#'; 1024 * 1024 + 1])),
        "conf/large.yaml: must be at most 1 MiB"
    );
}

/// Asserts that parsing ends without a panic, and that a refusal has one line with the file's name per problem.
fn parse_any(text: &str) -> Result<(), TestCaseError> {
    if let Err(problems) = parse("any.yaml", text) {
        prop_assert!(!problems.as_slice().is_empty());
        for line in problems.to_string().lines() {
            prop_assert!(line.starts_with("any.yaml:"), "{line:?}");
        }
        prop_assert_eq!(problems.to_string().lines().count(), problems.as_slice().len());
    }
    Ok(())
}

/// Pieces of YAML and of settings, which reach more of the parser than random letters.
const PIECES: [&str; 40] = [
    "listeners",
    "upstreams",
    "routes",
    "push",
    "server",
    "limits",
    "name",
    "match",
    "path",
    "host",
    "links",
    "address",
    "servers",
    ":",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "\n    ",
    "{",
    "}",
    "[",
    "]",
    ", ",
    "&a ",
    "*a",
    "<<: *a",
    "!!int ",
    "!x ",
    "'",
    "\"",
    "\\",
    "|\n ",
    ">-\n ",
    "# ",
    "---\n",
    "~",
    "off",
    "99999999999999999999",
    "0x1",
];

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        parse_any(&text)?;
    }

    #[test]
    fn no_pieces_of_yaml_make_the_parser_panic(pieces in proptest::collection::vec(0..PIECES.len(), 0..60)) {
        let text: String = pieces.iter().filter_map(|&piece| PIECES.get(piece).copied()).collect();
        parse_any(&text)?;
    }

    #[test]
    fn no_mutation_of_a_valid_file_makes_the_parser_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_usize, 0..PIECES.len()), 1..6),
    ) {
        let mut text: Vec<char> = edge().chars().collect();
        for (index, removed, piece) in edits {
            let start = index.index(text.len());
            let end = text.len().min(start + removed);
            text.splice(start..end, PIECES.get(piece).copied().unwrap_or_default().chars());
        }
        parse_any(&text.into_iter().collect::<String>())?;
    }
}
