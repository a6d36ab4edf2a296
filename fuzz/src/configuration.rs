//! The configuration: a file is read as a whole, or each problem says where it is.

use linkpush::config::{Config, Problems, parse};

const FILE: &str = "fuzz.yaml";

/// Reads a configuration.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // Certificates are files: none of them is this machine's.
    if text.contains("cert") || text.contains('&') && text.contains("key") {
        return;
    }
    let outcome = parse(FILE, text);
    match &outcome {
        Ok(config) => whole(config),
        Err(problems) => placed(problems, text),
    }
    // A comment before it moves all places by a line, and changes nothing else.
    if text.starts_with(['\u{feff}', '%']) {
        return;
    }
    let moved = parse(FILE, &format!("# A comment.\n{text}"));
    match (&outcome, moved) {
        (Ok(config), Ok(same)) => assert_eq!(format!("{config:?}"), format!("{same:?}")),
        (Err(problems), Err(moved)) => {
            let places = |problems: &Problems, by: u64| -> Vec<_> {
                let places = problems.as_slice().iter();
                let mut places: Vec<_> = places
                    .map(|one| (one.place.map(|place| (place.line + by, place.column)), one.path.clone()))
                    .collect();
                places.sort();
                places
            };
            let is_whole = problems.as_slice().iter().any(|one| one.path.is_empty());
            assert!(
                is_whole || places(problems, 1) == places(&moved, 0),
                "{problems}\n{moved}"
            );
        }
        (before, after) => unreachable!("{before:?} became {after:?}"),
    }
}

/// What was read refers to what is there.
fn whole(config: &Config) {
    assert!(!config.listeners.is_empty() && !config.upstreams.is_empty() && !config.routes.is_empty());
    assert!(
        config.warnings(std::time::SystemTime::UNIX_EPOCH).is_empty(),
        "no certificate, no doubt"
    );
    assert!(
        config
            .routes
            .iter()
            .all(|route| route.upstream < config.upstreams.len())
    );
    let limits = &config.server.limits;
    assert!((1..=1000).contains(&limits.max_streams) && (1..=1000).contains(&limits.max_malformed));
    assert!((1024..=1024 * 1024).contains(&limits.max_header_bytes) && (16..=256).contains(&limits.max_header_fields));
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    for time in [
        limits.handshake_timeout,
        limits.idle_timeout,
        limits.read_timeout,
        limits.write_timeout,
    ] {
        assert!(!time.is_zero() && time <= day);
    }
}

/// Each problem is a line with a place in the file, in the order of the file.
fn placed(problems: &Problems, text: &str) {
    let list = problems.as_slice();
    assert!(!list.is_empty());
    assert!(list.is_sorted_by_key(|problem| problem.place));
    assert_eq!(
        problems.to_string().lines().count(),
        list.len(),
        "a line each: {problems}"
    );
    // YAML has more line ends than others.
    let lines = text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    for problem in list {
        assert_eq!(&*problem.file, FILE);
        assert!(!problem.message.is_empty() && !problem.message.contains(char::is_control));
        let Some(place) = problem.place else {
            assert!(
                problem.path.is_empty() && list.len() == 1,
                "only the file as a whole has no place: {problem}"
            );
            continue;
        };
        assert!(place.line >= 1 && place.column >= 1, "{problem}");
        let said = problem.to_string();
        assert!(
            said.starts_with(&format!("{FILE}:{}:{}: ", place.line, place.column)),
            "{said}"
        );
        let line = usize::try_from(place.line).expect("a line");
        assert!(line <= lines + 1, "{problem} of {lines} lines");
    }
}
