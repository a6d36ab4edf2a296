//! A type's name says one thing in the whole crate.

use std::collections::BTreeMap;

use super::{
    files,
    paths::{item_of, without_tests},
    relative,
};

/// Names that more than one type has, and the reason.
const SHARED: &[(&str, &str)] = &[("Args", "each subcommand has its own, after clap's convention")];

#[test]
fn a_name_belongs_to_one_type() {
    let files = files();
    let looked_at = files.iter().filter_map(|(path, _, text)| {
        let path = relative(path);
        let is_test = path.split('/').any(|part| part == "tests" || part == "tests.rs");
        (!is_test).then_some((path, text.as_str()))
    });
    let wrong: Vec<_> = shared(looked_at)
        .into_iter()
        .filter(|(name, _)| !SHARED.iter().any(|(shared, _)| shared == name))
        .map(|(name, files)| format!("{name}: {}", files.join(", ")))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn types_of_one_name_are_found() {
    let files = [
        ("a.rs", "pub struct One;\npub(crate) enum Two<'a> {}\nfn f() {}\n"),
        (
            "b.rs",
            "type One = u8;\n\n#[cfg(test)]\nmod tests {\n    struct Two;\n}\n",
        ),
        (
            "c.rs",
            "/// struct Two;\ntrait Two: Send {}\npub(in crate::a) struct One(u8);\nstruct Three;\n",
        ),
    ];
    let found = shared(files.map(|(path, text)| (path.to_owned(), text)));
    let expected = [("One", vec!["a.rs", "b.rs", "c.rs"]), ("Two", vec!["a.rs", "c.rs"])];
    let found: Vec<_> = found
        .iter()
        .map(|(name, files)| (name.as_str(), files.iter().map(String::as_str).collect()))
        .collect();
    assert_eq!(found, expected);
}

/// The names of types that more than one file defines.
fn shared<'f>(files: impl IntoIterator<Item = (String, &'f str)>) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in files {
        for line in without_tests(text).lines() {
            if let Some(name) = defined(item_of(line).1) {
                found.entry(name.to_owned()).or_default().push(path.clone());
            }
        }
    }
    found.retain(|_, files| files.len() > 1);
    found
}

/// The name of the type that a line defines.
fn defined(item: &str) -> Option<&str> {
    let (keyword, rest) = item.split_once(' ')?;
    let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
    let is_type = matches!(keyword, "struct" | "enum" | "trait" | "type" | "union");
    rest.get(..end).filter(|_| is_type)
}
