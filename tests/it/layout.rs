//! The layout of the crate: the direction of imports, and the size of files.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders of `src/` from left to right; a module imports only to its left, or from its own folder.
/// Modules of one row may not import each other, but for the pure ones, where the order counts.
const ROWS: &[&[&str]] = &[
    &["hpack"],
    &["link"],
    &["html"],
    &["fields"],
    &["push"],
    &["peer"],
    &["forwarded"],
    &["learn"],
    &["route"],
    &["backpressure"],
    &["cache", "certificate", "upstream", "telemetry"],
    &["exchange"],
    &["listen", "h2", "proxy", "config"],
    &["server"],
    &["cli"],
    &["main", "lib"],
];

/// The pure modules may not know these.
const IMPURE: &[&str] = &["tokio", "pingora", "pingora_proxy", "h2", "log", "env_logger"];
const PURE_ROWS: usize = 9;

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// Source files with the name of their top module.
fn files() -> Vec<(PathBuf, String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&src, &mut paths);
    assert!(paths.len() > 20, "the source folder was found");
    paths
        .into_iter()
        .map(|path| {
            let relative = path.strip_prefix(&src).expect("below src");
            let module = relative.iter().next().expect("a name").to_string_lossy();
            let module = module.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).expect("readable");
            (path, module, text)
        })
        .collect()
}

fn row(module: &str) -> usize {
    ROWS.iter()
        .position(|row| row.contains(&module))
        .unwrap_or_else(|| panic!("module {module} has no place in the layout"))
}

/// Top modules that a file names through `crate::`, in `use crate::{a::…, b}` too.
fn imported(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line_start = text[..at].rfind('\n').map_or(0, |n| n + 1);
        if text[line_start..at].trim_start().starts_with("//") {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => found.push(std::mem::take(&mut word)),
                    _ => {}
                }
                if depth == 0 && !matches!(c, ',' | '}') {
                    word.push(c);
                }
            }
            found.push(word);
        } else {
            found.push(rest.to_owned());
        }
    }
    found
        .iter()
        .map(|path| {
            path.trim()
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect::<String>()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn imports_go_to_the_left() {
    let mut wrong = Vec::new();
    for (path, module, text) in files() {
        let here = row(&module);
        for name in imported(&text) {
            if name != module && (name.chars().next().is_some_and(char::is_uppercase) || row(&name) >= here) {
                wrong.push(format!("{}: {module} imports {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn pure_modules_know_no_io() {
    let mut wrong = Vec::new();
    for (path, module, text) in files() {
        // The state machine of HTTP/2 is pure, too, but for tests that drive it over a pipe.
        let is_core = path.components().any(|c| c.as_os_str() == "core");
        let is_test = path.components().any(|c| c.as_os_str() == "tests");
        if (row(&module) >= PURE_ROWS && !is_core) || is_test {
            continue;
        }
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for name in IMPURE.iter().filter(|name| !is_core || **name != "h2") {
                if line.contains(&format!("{name}::")) && !line.contains(&format!("_{name}::")) {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
        let code = text.split("mod tests").next().unwrap_or("");
        if code.contains("Instant::now") && !path.ends_with("tests.rs") {
            wrong.push(format!("{}: reads the clock", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_their_folders_know_h2_and_the_custom_session() {
    for (path, module, text) in files() {
        let code: String = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .collect();
        let in_cli = module == "cli";
        if module != "h2" && !in_cli {
            assert!(
                !code.contains("h2::server") && !code.contains("h2::Reason"),
                "{} uses h2",
                path.display()
            );
        }
        let uses_crate = text.lines().any(|line| line.starts_with("use h2::"));
        let is_test = path
            .components()
            .any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs");
        assert!(!uses_crate || in_cli || is_test, "{} uses the h2 crate", path.display());
        if code.contains("custom::") {
            assert!(
                path.ends_with("h2/respond/session.rs") || path.ends_with("upstream/origins.rs"),
                "{} touches custom sessions or connectors",
                path.display()
            );
        }
    }
}

#[test]
fn files_stay_small_and_say_what_they_are_for() {
    for (path, _, text) in files() {
        assert!(
            text.starts_with("//!"),
            "{} does not say what it is for",
            path.display()
        );
        let is_test = path
            .components()
            .any(|c| c.as_os_str() == "tests" || c.as_os_str() == "tests.rs");
        let code = text
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap_or("")
            .lines()
            .count();
        assert!(is_test || code <= 600, "{} has {code} lines", path.display());
    }
}

#[test]
fn finds_imports_of_every_form() {
    let text = "use crate::push::Plan;\nuse crate::{\n    link::{self, Link},\n    route,\n};\n// crate::no\nlet x = crate::upstream::Pool;";
    assert_eq!(imported(text), ["push", "link", "route", "upstream"]);
}
