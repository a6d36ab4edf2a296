//! The layout of the crate: the direction of imports, the names of types, and the size of files.

mod circles;
mod names;
mod paths;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Folders of `src/` from left to right; a module imports only to its left, or from its own folder.
/// Modules of one row may not import each other, but for the pure ones, where the order counts.
const ROWS: &[&[&str]] = &[
    &["hpack"],
    &["url_hash"],
    &["meter"],
    &["link"],
    &["html"],
    &["fields"],
    &["push"],
    &["peer"],
    &["forwarded"],
    &["trace"],
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
const IMPURE: &[&str] = &["tokio", "pingora", "pingora_proxy", "h2", "log", "env_filter"];
const PURE_ROWS: usize = 11;

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

/// A file's path below `src`.
fn relative(path: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(src)
        .expect("below src")
        .to_string_lossy()
        .into_owned()
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
                path.ends_with("h2/respond/session.rs") || path.ends_with("upstream/connect/connector.rs"),
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

/// Code of a file without comments and unit tests.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or("");
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Paths that the `use` declarations of a file name, one for each leaf of their trees.
fn used(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for declaration in code.split(';') {
        let Some((before, tree)) = declaration.rsplit_once("use ") else {
            continue;
        };
        if before.chars().next_back().is_none_or(|c| c.is_whitespace() || c == ')') {
            let tree: String = tree.chars().filter(|c| !c.is_whitespace()).collect();
            flatten(&tree, "", &mut found);
        }
    }
    found
}

fn flatten(tree: &str, before: &str, found: &mut Vec<Vec<String>>) {
    let Some((root, group)) = tree.split_once('{') else {
        let path = format!("{before}{tree}");
        return found.push(path.split("::").map(str::to_owned).collect());
    };
    let before = format!("{before}{root}");
    let group = group.strip_suffix('}').unwrap_or(group);
    let (mut depth, mut from) = (0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&group[from..at], &before, found);
                from = at + 1;
            }
            _ => {}
        }
    }
    if from < group.len() {
        flatten(&group[from..], &before, found);
    }
}

/// The module that a file of `src/` is.
fn module_of(path: &Path) -> Vec<String> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let path = path.strip_prefix(src).expect("below src").with_extension("");
    let mut names: Vec<_> = path.iter().map(|name| name.to_string_lossy().into_owned()).collect();
    names.pop_if(|name| name == "mod");
    names
}

/// A circle of imports among modules, each of which has a list of those that it imports.
fn circle(imports: &BTreeMap<Vec<String>, Vec<Vec<String>>>) -> Option<Vec<String>> {
    fn visit(
        module: &Vec<String>,
        imports: &BTreeMap<Vec<String>, Vec<Vec<String>>>,
        way: &mut Vec<Vec<String>>,
        done: &mut BTreeSet<Vec<String>>,
    ) -> bool {
        way.push(module.clone());
        if way[..way.len() - 1].contains(module) {
            return true;
        }
        if done.insert(module.clone()) && imports[module].iter().any(|next| visit(next, imports, way, done)) {
            return true;
        }
        way.pop();
        false
    }
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    let has_circle = imports.keys().any(|module| visit(module, imports, &mut way, &mut done));
    has_circle.then(|| way.iter().map(|names| names.join("::")).collect())
}

/// The modules of this folder that each of its files imports, by the text of the files.
fn imports_within(folder: &str, files: &[(Vec<String>, String)]) -> BTreeMap<Vec<String>, Vec<Vec<String>>> {
    let modules: BTreeSet<&Vec<String>> = files.iter().map(|(module, _)| module).collect();
    let mut imports = BTreeMap::new();
    for (module, text) in files {
        let mut targets = Vec::new();
        for path in used(&code(text)) {
            let mut names: Vec<String> = module.clone();
            for (index, name) in path.iter().enumerate() {
                match name.as_str() {
                    "crate" => names.clear(),
                    "super" => drop(names.pop()),
                    "self" => {}
                    // Relative to this module, or the name of a crate.
                    name if index == 0 => {
                        names.push(name.to_owned());
                        if !modules.contains(&names) {
                            names.clear();
                            break;
                        }
                    }
                    name => names.push(name.to_owned()),
                }
            }
            if names.first().is_none_or(|name| name != folder) {
                continue;
            }
            while !modules.contains(&names) {
                names.pop();
            }
            if names != *module {
                targets.push(names);
            }
        }
        imports.insert(module.clone(), targets);
    }
    imports
}

#[test]
fn the_files_of_the_proxy_import_one_way() {
    for folder in ["proxy", "exchange"] {
        let files: Vec<_> = files()
            .into_iter()
            .filter(|(_, module, _)| module == folder)
            .map(|(path, _, text)| (module_of(&path), text))
            .collect();
        let imports = imports_within(folder, &files);
        assert!(imports.values().flatten().count() > 1, "{imports:?}");
        assert_eq!(circle(&imports), None, "{folder}");
    }
}

#[test]
fn a_circle_of_imports_is_found() {
    let file = |module: &str, text: &str| {
        let module = module.split("::").map(str::to_owned).collect();
        (module, text.to_owned())
    };
    let top = file("a", "pub use b::B;\nmod b;\nmod c;");
    let b = file("a::b", "use std::fmt;\nuse super::c::{self, D};\npub struct B;");
    let c = |text| file("a::c", text);
    let none = [top.clone(), b.clone(), c("use crate::{link, other::a};")];
    assert_eq!(circle(&imports_within("a", &none)), None);
    for text in ["use super::b::B;", "use crate::{link, a::{b}};", "use crate::a::B;"] {
        let found = circle(&imports_within("a", &[top.clone(), b.clone(), c(text)]));
        assert!(found.is_some(), "{text}");
    }
}

#[test]
fn the_rules_of_the_proxy_know_no_session_and_no_error_of_pingora() {
    let mut count = 0;
    for (path, _, text) in files() {
        let module = module_of(&path).join("::");
        let paths = used(&code(&text));
        let uses = |krate: &str, names: &[&str]| {
            paths.iter().any(|path| {
                path.first().is_some_and(|first| first == krate)
                    && path
                        .iter()
                        .any(|name| names.contains(&name.as_str()) || names.is_empty())
            })
        };
        if module.starts_with("proxy") && !module.starts_with("proxy::pingora") {
            count += 1;
            assert!(!uses("pingora_proxy", &[]), "{module} knows the driver");
            let of_driver = ["Error", "BError", "ErrorType", "ErrorSource", "Result", "server"];
            assert!(
                !uses("pingora", &of_driver),
                "{module} knows errors or sessions of Pingora"
            );
        }
    }
    assert!(count > 10, "{count}");
}

/// What is put beside a request or response in a file: types in extensions, statics of a task or thread, and facts in a
/// digest.
fn riders(text: &str) -> Result<Vec<String>, String> {
    let code: String = code(text).chars().filter(|c| !c.is_whitespace()).collect();
    let mut found = Vec::new();
    for insert in ["xtensions.insert", "xtensions_mut().insert"] {
        for (at, _) in code.match_indices(insert) {
            let rest = &code[at + insert.len()..];
            let named = rest.strip_prefix("::<").and_then(|rest| rest.split_once(">("));
            let (name, _) =
                named.ok_or_else(|| format!("an extension without its type: {}", &rest[..rest.len().min(30)]))?;
            found.push(name.to_owned());
        }
    }
    for start in ["task_local!{", "thread_local!{"] {
        for (at, _) in code.match_indices(start) {
            let block = &code[at + start.len()..];
            let block = block.split('}').next().unwrap_or("");
            let names = block.split("static").skip(1);
            found.extend(names.map(|name| name.split(':').next().unwrap_or("").to_owned()));
        }
    }
    if code.contains("ProxyDigest::new(") {
        found.push("ProxyDigest::user_data".to_owned());
    }
    Ok(found)
}

/// Rows of the table in `exchange`.
fn rows(table: &str) -> Vec<Vec<&str>> {
    let rows = table.lines().filter_map(|line| line.strip_prefix("//! | "));
    rows.skip(1).map(|row| row.split(" | ").collect()).collect()
}

/// What the table does not say of these files, and what it says of them that is not so.
fn unlisted(table: &str, files: &[(String, String)]) -> Vec<String> {
    let rows = rows(table);
    let mut wrong = Vec::new();
    for (path, text) in files {
        let riders = match riders(text) {
            Ok(riders) => riders,
            Err(e) => {
                wrong.push(format!("{path}: {e}"));
                continue;
            }
        };
        for rider in &riders {
            let named = |row: &&Vec<&str>| row[..2].iter().any(|cell| cell.contains(&format!("`{rider}`")));
            if !rows
                .iter()
                .filter(named)
                .any(|row| row[2].contains(&format!("`{path}`")))
            {
                wrong.push(format!("{path} puts in {rider}"));
            }
        }
        for row in rows.iter().filter(|row| row[1].starts_with("extensions")) {
            let rider = row[0].trim_matches('`');
            if row[2].contains(&format!("`{path}`")) && !riders.iter().any(|found| found == rider) {
                wrong.push(format!("{path} does not put in {rider}"));
            }
        }
    }
    wrong
}

#[test]
fn one_table_lists_all_that_rides_beside_a_request() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let table = fs::read_to_string(src.join("exchange/mod.rs")).expect("readable");
    let files: Vec<_> = files()
        .into_iter()
        .map(|(path, _, text)| {
            (
                path.strip_prefix(&src)
                    .expect("below src")
                    .to_string_lossy()
                    .into_owned(),
                text,
            )
        })
        .filter(|(path, _)| !path.contains("tests"))
        .collect();
    assert_eq!(unlisted(&table, &files), Vec::<String>::new());
    for cell in rows(&table).iter().flat_map(|row| &row[2..4]) {
        for path in cell.split('`').filter(|name| name.ends_with(".rs")) {
            assert!(src.join(path).is_file(), "{path} is named, and not there");
        }
    }
}

#[test]
fn a_rider_that_the_table_does_not_list_is_found() {
    let table = "//! | value | rides in | by |\n//! |---|---|---|\n//! | `Plan` | extensions of a response | `a.rs`, early |\n\
                 //! | `Pace` | task-local `PACE` | `a.rs` |";
    let unlisted = |text: &str| unlisted(table, &[("a.rs".to_owned(), text.to_owned())]);
    let plan = "response\n.extensions_mut()\n.insert::<Plan>(plan);";
    assert_eq!(unlisted(plan), Vec::<String>::new());
    assert_eq!(
        unlisted(&format!("{plan}task_local! {{ static PACE: Pace; }}")),
        Vec::<String>::new()
    );
    for (text, expected) in [
        ("request.extensions.insert::<Arc<Other>>(x);", "a.rs puts in Arc<Other>"),
        (
            "request.extensions.insert(x);",
            "a.rs: an extension without its type: (x);",
        ),
        (
            "thread_local! { static LAST: Cell<u8> = Cell::new(0); }",
            "a.rs puts in LAST",
        ),
        ("ProxyDigest::new(unused, None)", "a.rs puts in ProxyDigest::user_data"),
        ("", "a.rs does not put in Plan"),
    ] {
        let found = unlisted(text);
        assert!(found.iter().any(|found| found == expected), "{text}: {found:?}");
    }
}

#[test]
fn finds_imports_of_every_form() {
    let text = "use crate::push::Plan;\nuse crate::{\n    link::{self, Link},\n    route,\n};\n// crate::no\nlet x = crate::upstream::Pool;";
    assert_eq!(imported(text), ["push", "link", "route", "upstream"]);
}
