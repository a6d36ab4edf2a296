//! The modules of a crate by their files, and the file that defines what a path names. Read from the text: `use` and
//! `mod` lines, and paths in the code.

use std::collections::{BTreeMap, BTreeSet};

/// A path, segment by segment.
type Path = Vec<String>;

/// A crate's modules, tests apart.
#[derive(Debug)]
pub(super) struct Crate {
    modules: BTreeMap<Path, Module>,
}

/// One file.
#[derive(Debug)]
struct Module {
    file: String,
    children: BTreeSet<String>,
    /// Names that `use` lines bring in, and their paths as written.
    uses: Vec<Use>,
    /// Paths in the code, as written.
    paths: BTreeSet<Path>,
}

#[derive(Debug)]
struct Use {
    name: String,
    path: Path,
    /// The line hands the name on to other files.
    is_export: bool,
}

impl Crate {
    /// Reads files: their paths below `src` and their texts.
    pub(super) fn read<'f>(files: impl IntoIterator<Item = (&'f str, &'f str)>) -> Self {
        let modules = files
            .into_iter()
            .filter(|(file, _)| !file.split('/').any(|part| part == "tests" || part == "tests.rs"))
            .map(|(file, text)| (module_of(file), Module::read(file, text)))
            .collect();
        Self { modules }
    }

    /// The files that each file takes names from.
    fn imports(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let imports_of = |(at, module): (&Path, &Module)| {
            // A line that only hands a name of a child on takes nothing for this file.
            let used = module.uses.iter().filter(|line| {
                let is_handed_on = line.is_export && !module.paths.iter().any(|path| path.first() == Some(&line.name));
                !(is_handed_on && is_below(at, &self.absolute(at, &line.path)))
            });
            let written = used.map(|line| &line.path).chain(&module.paths);
            written
                .filter_map(|path| self.defining(at, path))
                .filter(|file| *file != module.file)
                .collect()
        };
        self.modules
            .iter()
            .map(|entry| (entry.1.file.as_str(), imports_of(entry)))
            .collect()
    }

    /// Circles of files, and of folders that lie side by side: of each set whose members reach each other, the shortest way
    /// round.
    pub(super) fn circles(&self) -> Vec<Vec<String>> {
        let imports = self.imports();
        let mut found = circles(&imports);
        let folders: BTreeSet<_> = imports.keys().flat_map(|file| folders_of(file)).collect();
        for folder in folders {
            let mut within: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
            for (file, imported) in &imports {
                let Some(child) = child_of(folder, file) else { continue };
                let others = imported
                    .iter()
                    .filter_map(|file| child_of(folder, file))
                    .filter(|other| *other != child);
                within.entry(child).or_default().extend(others);
            }
            // Circles of files alone are there already.
            let of_folders = circles(&within)
                .into_iter()
                .filter(|circle| circle.iter().any(|child| !child.ends_with(".rs")));
            found.extend(of_folders);
        }
        found
    }

    /// A path from the crate's root; empty where it names another crate.
    fn absolute(&self, at: &[String], path: &[String]) -> Path {
        let Some((first, rest)) = path.split_first() else {
            return Path::new();
        };
        let known = self.modules.get(at);
        let from = match first.as_str() {
            "crate" => Path::new(),
            "self" => at.to_vec(),
            "super" => match at.split_last() {
                Some((_, parent)) if rest.first().is_some_and(|next| next == "super") => {
                    return self.absolute(parent, rest);
                }
                Some((_, parent)) => parent.to_vec(),
                None => return Path::new(),
            },
            name if known.is_some_and(|module| module.children.contains(name)) => {
                return [at, path].concat();
            }
            _ => return Path::new(),
        };
        [&from, rest].concat()
    }

    /// The file that defines what a path names, through whatever hands it on.
    fn defining(&self, at: &[String], path: &[String]) -> Option<&str> {
        let mut path = self.absolute(at, path);
        if path.is_empty() {
            // It may begin with a name that a line of this file brings in.
            return None;
        }
        for _ in 0..MAX_STEPS {
            let depth = (0..=path.len())
                .rev()
                .find(|&depth| self.modules.contains_key(&path[..depth]))?;
            let module = self.modules.get(&path[..depth])?;
            // A module as a whole gives nothing by itself; paths that begin with it do.
            let name = path.get(depth)?;
            match module.uses.iter().find(|line| line.name == *name) {
                Some(line) => {
                    let target = self.absolute(&path[..depth], &line.path);
                    if target.is_empty() {
                        return None;
                    }
                    path = [&target[..], &path[depth + 1..]].concat();
                }
                None => return Some(&module.file),
            }
        }
        None
    }
}

/// Steps from line to line that hands a name on.
const MAX_STEPS: usize = 10;

impl Module {
    fn read(file: &str, text: &str) -> Self {
        let text = without_tests(text);
        let mut children = BTreeSet::new();
        let mut uses = Vec::new();
        let mut code = String::new();
        let mut lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        while let Some(line) = lines.next() {
            let (is_export, item) = item_of(line);
            if let Some(name) = item.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                children.insert(name.to_owned());
            } else if let Some(tree) = item.strip_prefix("use ") {
                let mut tree = tree.to_owned();
                while !tree.ends_with(';') {
                    tree += lines.next().expect("a use line has an end");
                }
                for (path, name) in leaves(&tree) {
                    uses.push(Use { name, path, is_export });
                }
            } else {
                code += line;
                code.push('\n');
            }
        }
        let mut paths = paths_in(&code);
        // What begins with a name that is brought in goes on from there.
        let through: Vec<_> = paths
            .iter()
            .filter_map(|path| {
                let line = uses.iter().find(|line| Some(&line.name) == path.first())?;
                Some([&line.path, path.get(1..)?].concat())
            })
            .collect();
        paths.extend(through);
        Self {
            file: file.to_owned(),
            children,
            uses,
            paths,
        }
    }
}

/// Whether a module, or a name in it, belongs to another module's children.
fn is_below(module: &[String], path: &[String]) -> bool {
    path.len() > module.len() && path.starts_with(module)
}

fn circles(imports: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for &start in imports.keys() {
        if seen.contains(start) {
            continue;
        }
        if let Some(circle) = way_back(imports, start) {
            seen.extend(circle.iter().copied());
            circles.push(circle.into_iter().map(str::to_owned).collect());
        }
    }
    circles
}

/// The folders that a file lies in, each with its last slash; the crate's root is none.
fn folders_of(file: &str) -> impl Iterator<Item = &str> {
    file.match_indices('/')
        .filter_map(|(at, slash)| file.get(..at + slash.len()))
}

/// The folder or file in a folder that a file belongs to.
fn child_of<'f>(folder: &str, file: &'f str) -> Option<&'f str> {
    let rest = file.strip_prefix(folder)?;
    file.get(..folder.len() + rest.find('/').unwrap_or(rest.len()))
}

/// The shortest way from a file back to itself.
fn way_back<'f>(imports: &BTreeMap<&'f str, BTreeSet<&'f str>>, start: &'f str) -> Option<Vec<&'f str>> {
    let mut ways = vec![vec![start]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for &next in way.last().and_then(|last| imports.get(last)).into_iter().flatten() {
                if next == start {
                    return Some(way);
                }
                if seen.insert(next) {
                    longer.push([&way[..], &[next]].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

fn module_of(file: &str) -> Path {
    let path = file.trim_end_matches(".rs");
    let path = path.strip_suffix("/mod").unwrap_or(path);
    match path {
        "lib" | "main" => vec![path.to_owned()]
            .into_iter()
            .filter(|name| name == "main")
            .collect(),
        path => path.split('/').map(str::to_owned).collect(),
    }
}

/// The text of a file up to its tests.
pub(super) fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

/// A line without its visibility, and whether it had one.
pub(super) fn item_of(line: &str) -> (bool, &str) {
    let Some(rest) = line.strip_prefix("pub") else {
        return (false, line);
    };
    let item = match rest.strip_prefix('(') {
        Some(rest) => rest.split_once(") ").map_or(rest, |(_, item)| item),
        None => rest.trim_start(),
    };
    (true, item)
}

/// The names that a `use` tree brings in, each with its path.
fn leaves(tree: &str) -> Vec<(Path, String)> {
    let mut found = Vec::new();
    let mut prefixes: Vec<Path> = vec![Path::new()];
    let mut path = Path::new();
    let mut word = String::new();
    for c in tree.chars() {
        if c.is_ascii_alphanumeric() || c == '_' || c == '*' {
            word.push(c);
            continue;
        }
        if word == "as" {
            // The new name comes as one more segment, marked by this one.
            path.push(String::new());
        } else if !word.is_empty() {
            path.push(word.clone());
        }
        word.clear();
        match c {
            '{' => {
                prefixes.push(path.clone());
            }
            ',' | '}' | ';' => {
                let prefix = prefixes.last().cloned().unwrap_or_default();
                if path.len() > prefix.len() {
                    found.push(leaf(&path));
                }
                if c == '}' {
                    prefixes.pop();
                    // All within was taken already.
                    path = prefix;
                    let outer = prefixes.last().cloned().unwrap_or_default();
                    path.truncate(outer.len());
                } else {
                    path = prefix;
                }
            }
            _ => {}
        }
    }
    found
}

fn leaf(path: &[String]) -> (Path, String) {
    let (path, name) = match path {
        [before @ .., mark, name] if mark.is_empty() => (before, Some(name)),
        path => (path, None),
    };
    let path = match path {
        [before @ .., last] if last == "self" && !before.is_empty() => before,
        path => path,
    };
    let name = name.or(path.last()).cloned().unwrap_or_default();
    (path.to_vec(), name)
}

/// Paths of two segments and more.
fn paths_in(code: &str) -> BTreeSet<Path> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for line in code.lines() {
        for run in line.split(|c: char| !is_word(c) && c != ':') {
            let path: Path = run.split("::").map(str::to_owned).collect();
            if path.len() > 1 && path.iter().all(|name| !name.is_empty() && !name.contains(':')) {
                found.insert(path);
            }
        }
    }
    found
}
