//! `docs/understand/hostile-requests.md`: what each server does with each case.
//!
//! What it says of linkpush is compared with what linkpush does. Peers differ from version to version: what it says of
//! them is what was found when it was written.

use std::{fs, path::PathBuf};

use super::{outcome::Outcome, table::Case};

/// Writes it anew, if this is set in the environment.
const UPDATE: &str = "UPDATE_DOCS";

const BEGINNING: &str = "\
# Hostile HTTP/1.1 requests

Behaviour of linkpush for requests that servers have read in more than one way, beside Debian 12's nginx 1.22.1 and HAProxy
2.6.12, each in front of an origin of its own that counts the requests it gets. `tests/data/hostile_requests.txt` has their
bytes, `tests/it/differential` sends them, and compares the column of linkpush with what it does.
`UPDATE_DOCS=1 cargo test --test it differential` writes this file.

A status is a response of the server's own; the origin has seen no whole request then. `closed`: the server closed the
connection without a response. `waits`: the server waits for more, or for the end of its time limit. `passed`: the origin has
seen a request, or the given number of them. Where nginx and HAProxy both refuse a request, so does linkpush.
";

/// Compares the document, or writes it; returns what it tells otherwise than linkpush does.
pub fn check(cases: &[Case], linkpush: &[Outcome], peers: Option<&(Vec<Outcome>, Vec<Outcome>)>) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/understand/hostile-requests.md");
    if std::env::var_os(UPDATE).is_some() {
        let (nginx, haproxy) = peers.expect("nginx and HAProxy are needed to write what they do");
        fs::write(&path, write(cases, [linkpush, nginx, haproxy])).expect("a writable docs/");
        return Vec::new();
    }
    let text = fs::read_to_string(&path).unwrap_or_default();
    let told = own(&text);
    let done: Vec<_> = cases.iter().zip(linkpush).map(own_of).collect();
    let differing = done.iter().filter(|line| !told.contains(line));
    let gone = told.iter().filter(|line| !done.contains(line));
    let differing = differing.map(|line| format!("docs/understand/hostile-requests.md does not tell of {line:?}"));
    let gone = gone.map(|line| format!("docs/understand/hostile-requests.md tells of {line:?}"));
    differing.chain(gone).collect()
}

/// Group, name and outcome of a case.
type Own = [String; 3];

fn own_of((case, outcome): (&Case, &Outcome)) -> Own {
    [case.group.clone(), case.name.clone(), outcome.to_string()]
}

/// What a document says of linkpush.
fn own(text: &str) -> Vec<Own> {
    let mut group = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            title.clone_into(&mut group);
        } else if let Some(row) = line.strip_prefix("| ")
            && let [name, outcome, ..] = row.split(" | ").collect::<Vec<_>>()[..]
            && outcome != COLUMNS[0]
        {
            found.push([group.clone(), name.to_owned(), outcome.to_owned()]);
        }
    }
    found
}

const COLUMNS: [&str; 3] = ["linkpush", "nginx", "HAProxy"];

fn write(cases: &[Case], outcomes: [&[Outcome]; 3]) -> String {
    let mut text = BEGINNING.to_owned();
    let mut group = "";
    for (at, case) in cases.iter().enumerate() {
        if case.group != group {
            group = &case.group;
            let [linkpush, nginx, haproxy] = COLUMNS;
            text.push_str(&format!(
                "\n## {group}\n\n| case | {linkpush} | {nginx} | {haproxy} |\n|---|---|---|---|\n"
            ));
        }
        let [linkpush, nginx, haproxy] = outcomes.map(|outcomes| outcomes[at]);
        text.push_str(&format!("| {} | {linkpush} | {nginx} | {haproxy} |\n", case.name));
    }
    text
}

#[test]
fn what_is_written_is_read() {
    let case = |group: &str, name: &str| Case {
        group: group.to_owned(),
        name: name.to_owned(),
        most: 0,
        bytes: Vec::new(),
    };
    let cases = [case("A", "one, two"), case("A", "three"), case("B", "one, two")];
    let outcome = |passed| Outcome {
        passed,
        refusal: None,
        closed: true,
    };
    let outcomes = [0, 1, 2].map(outcome);
    let written = write(&cases, [&outcomes, &[outcome(7); 3], &[outcome(8); 3]]);
    let expected: Vec<_> = cases.iter().zip(&outcomes).map(own_of).collect();
    assert_eq!(own(&written), expected);
    assert!(
        written.contains("\n| three | passed | passed 7 | passed 8 |\n"),
        "{written}"
    );
}
