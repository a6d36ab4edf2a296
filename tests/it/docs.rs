//! Checks the documentation: its links and paths lead to files and headings that exist, and its tables name every reason.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use linkpush::{
    cli::{ChainFinding, Symptom},
    html::{HtmlReason, HtmlSkip},
    meter::Label as _,
    push::SkipReason,
};

use crate::support::edge::BINARY;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Adds the Markdown files below a folder.
fn markdown(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        // Built, installed or hidden: none of it belongs to the project.
        let is_foreign = name.starts_with('.') || matches!(&*name, "target" | "node_modules" | "venv");
        if path.is_dir() && !is_foreign {
            markdown(&path, found);
        } else if path.extension().is_some_and(|e| e == "md") {
            found.push(path);
        }
    }
}

/// Returns the lines of a text that stand outside of code blocks.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the targets of the links `[text](target)` of a text.
fn targets(text: &str) -> Vec<String> {
    prose(text)
        .flat_map(|line| line.split("](").skip(1))
        .filter_map(|rest| Some(rest.split_once(')')?.0.to_owned()))
        .collect()
}

/// Returns the fragment by which a repository host names each heading of a text.
fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Returns each link of a file with this text that leads to no file, or to no heading.
fn broken(file: &Path, text: &str) -> Vec<String> {
    let folder = file.parent().expect("a folder");
    let leads_nowhere = |target: &String| {
        if target.contains("://") {
            return false;
        }
        let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
        let path = folder.join(path);
        let anchors = match path.extension() {
            _ if target.starts_with('#') => anchors(text),
            Some(extension) if extension == "md" => anchors(&fs::read_to_string(&path).unwrap_or_default()),
            _ => return !path.exists(),
        };
        !path.exists() || !(fragment.is_empty() || anchors.contains(fragment))
    };
    let wrong = targets(text).into_iter().filter(leads_nowhere);
    wrong.map(|target| format!("{}: {target}", file.display())).collect()
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let mut files = Vec::new();
    markdown(repository(), &mut files);
    assert!(files.len() > 10, "{files:?}");
    let mut wrong = Vec::new();
    let mut count = 0;
    for file in files {
        let text = fs::read_to_string(&file).expect("text");
        count += targets(&text).len();
        wrong.extend(broken(&file, &text));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 30, "{count}");
}

#[test]
fn a_link_that_leads_nowhere_is_found() {
    let text = "# A title\n[a](../README.md) [b](../conf/absent.yaml), [c](../conf/)\n[d](#a-title) [e](#another)\n\
                [f](../README.md#absent) [g](https://host.example/absent)\n```\n[h](absent)\n```\n[i](absent.md)\n";
    let found = broken(&repository().join("docs/any.md"), text);
    let found: Vec<_> = found.iter().filter_map(|line| Some(line.rsplit_once(' ')?.1)).collect();
    assert_eq!(
        found,
        ["../conf/absent.yaml", "#another", "../README.md#absent", "absent.md"]
    );
}

/// Returns the YAML blocks of a document that are whole configurations.
fn configurations(text: &str) -> Vec<&str> {
    let blocks = text.split("```yaml\n").skip(1);
    let blocks = blocks.filter_map(|rest| Some(rest.split_once("```")?.0));
    blocks.filter(|block| block.contains("routes:")).collect()
}

#[test]
fn configurations_that_are_shown_are_valid() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("edge.yaml");
    for document in ["README.md", "docs/operate/configuration.md"] {
        let text = fs::read_to_string(repository().join(document)).expect("text");
        let shown = configurations(&text);
        assert!(!shown.is_empty(), "{document} shows no configuration");
        for configuration in shown {
            fs::write(&file, configuration).expect("a file");
            let output = Command::new(BINARY).arg("check").arg(&file).output().expect("linkpush");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{document}:\n{configuration}\n{said}");
        }
    }
}

/// Returns the first cells of the rows below a heading, without their quotes.
fn first_cells<'a>(text: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let (_, section) = text.split_once(heading).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| Some(row.split_once('`')?.0)).collect()
}

#[test]
fn every_reason_to_skip_a_link_is_documented() {
    let text = fs::read_to_string(repository().join("docs/operate/reasons.md")).expect("the table of reasons");
    let documented = first_cells(&text, "\n## Skipped links\n");
    let existing: BTreeSet<_> = SkipReason::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(documented, existing);
}

#[test]
fn every_reason_to_pass_over_html_is_documented() {
    let text = fs::read_to_string(repository().join("docs/operate/reasons.md")).expect("the table of reasons");
    let elements: BTreeSet<_> = HtmlSkip::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(first_cells(&text, "\n## Elements of a page\n"), elements);
    let pages: BTreeSet<_> = HtmlReason::ALL.iter().map(|reason| reason.label()).collect();
    assert_eq!(first_cells(&text, "\n## Pages that teach nothing\n"), pages);
}

#[test]
fn every_word_of_probe_is_documented() {
    let text = fs::read_to_string(repository().join("docs/operate/reasons.md")).expect("the table of reasons");
    let symptoms: BTreeSet<_> = Symptom::ALL.iter().map(|symptom| symptom.label()).collect();
    assert_eq!(first_cells(&text, "\n## Symptoms of a page\n"), symptoms);
    let findings: BTreeSet<_> = ChainFinding::ALL.iter().map(|finding| finding.label()).collect();
    assert_eq!(first_cells(&text, "\n## Findings of a chain\n"), findings);
}

#[test]
fn documents_that_sources_name_exist() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for folder in ["src", "tests/it", "deploy", "conf"] {
        let mut files = Vec::new();
        texts(&repository().join(folder), &mut files);
        for file in files {
            // This file's own samples name none.
            let text = if file.ends_with("tests/it/docs.rs") {
                String::new()
            } else {
                fs::read_to_string(&file).unwrap_or_default()
            };
            for name in document_names(&text) {
                count += 1;
                if !repository().join(name).exists() {
                    wrong.push(format!("{}: {name}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 5, "{count}");
}

/// Adds the files below a folder that may name a document.
fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            if !matches!(path.file_name().and_then(|n| n.to_str()), Some("node_modules" | "venv")) {
                texts(&path, found);
            }
        } else {
            found.push(path);
        }
    }
}

/// Returns the names of Markdown files below `docs/` in a text.
fn document_names(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("docs/").filter_map(|(at, _)| {
        let rest = text.get(at..)?;
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "/-_.".contains(c)))?;
        let name = rest.get(..end)?.trim_end_matches('.');
        name.ends_with(".md").then_some(name)
    })
}

#[test]
fn names_of_documents_are_found() {
    let text = "see `docs/a/b.md`, docs/c.md. And docs/ or (docs/d-e.md)";
    assert_eq!(
        document_names(text).collect::<Vec<_>>(),
        ["docs/a/b.md", "docs/c.md", "docs/d-e.md"]
    );
}

/// Returns the paths that a text names: those that begin with a folder of `src/` or of the repository, and names of Rust
/// files.
fn source_paths<'a>(text: &'a str, folders: &BTreeSet<String>) -> Vec<&'a str> {
    let is_separator = |c: char| !(c.is_ascii_alphanumeric() || "/_.-".contains(c));
    let words = text.split(is_separator).map(|word| word.trim_end_matches('.'));
    words
        .filter(|word| {
            let root = word.split_once('/').map(|(root, _)| root);
            word.ends_with(".rs") || root.is_some_and(|root| folders.contains(root))
        })
        .collect()
}

/// Returns the names of the folders in a folder.
fn folders(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry"));
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Returns the paths of a text that exist neither in the repository nor below its `src/`.
fn absent_paths(text: &str) -> Vec<&str> {
    let mut roots = folders(&repository().join("src"));
    roots.extend(["src", "tests", "fuzz", "benches", "conf"].map(str::to_owned));
    let mut paths = source_paths(text, &roots);
    // `mod.rs` by itself stands for that file of any folder.
    paths.retain(|path| *path != "mod.rs");
    paths.retain(|path| !repository().join("src").join(path).exists() && !repository().join(path).exists());
    paths
}

#[test]
fn paths_that_the_guides_name_exist() {
    for guide in ["ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(repository().join(guide)).expect("text");
        assert_eq!(absent_paths(&text), Vec::<&str>::new(), "{guide}");
    }
}

#[test]
fn a_path_that_does_not_exist_is_found() {
    let text = "`push/diary.rs`, `push/absent.rs`, src/h2/, `src/absent/`; see [x](src/lib.rs) and absent.rs.\n\
                ```text\nh2/core ─► h2/absent: HTTP/2, 1/2\n```\n`tests/it/docs.rs` tests/absent/a.yaml";
    assert_eq!(
        absent_paths(text),
        [
            "push/absent.rs",
            "src/absent/",
            "absent.rs",
            "h2/absent",
            "tests/absent/a.yaml"
        ]
    );
}

#[test]
fn the_architecture_names_each_folder_of_the_source() {
    let text = fs::read_to_string(repository().join("ARCHITECTURE.md")).expect("text");
    let is_row = |folder: &String| text.contains(&format!("\n| `{folder}/` |"));
    let missing: Vec<_> = folders(&repository().join("src"))
        .into_iter()
        .filter(|folder| !is_row(folder))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}
