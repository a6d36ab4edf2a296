//! Reads `conf/edge.yaml` as the handbook of settings: its comments describe them, and its values are their defaults,
//! as tests of this module make sure.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{
    node::{self, Node, YamlValue},
    settings::path_of,
};

/// The handbook, which this binary has in it.
const EDGE: &str = include_str!("../../../conf/edge.yaml");

/// The descriptions and defaults of settings, by their paths. A path has `[]` for any item of a list, `.*` for any name.
#[derive(Debug, Default)]
pub(in crate::config) struct Handbook {
    descriptions: BTreeMap<String, String>,
    defaults: BTreeMap<String, Value>,
}

impl Handbook {
    /// Reads the handbook of this version.
    pub(in crate::config) fn new() -> Self {
        let mut handbook = Self::default();
        let examples = with_examples(EDGE);
        let lines: Vec<&str> = examples.lines().collect();
        // A file that is no YAML has neither; a test reads it.
        if let Ok(root) = node::parse(&examples) {
            walk(&root, "", &mut |path, key, _| {
                let description = comment_above(&lines, key.place.line);
                handbook.descriptions.insert(path.to_owned(), description);
            });
        }
        if let Ok(root) = node::parse(EDGE) {
            walk(&root, "", &mut |path, _, value| {
                handbook.defaults.insert(path.to_owned(), json(value));
            });
        }
        handbook
    }

    /// Returns the description of a setting. Those of a route's `push`, `learn` and `cache` stand at the whole file's.
    pub(super) fn description(&self, path: &str) -> Option<&str> {
        let description = self.descriptions.get(path).or_else(|| {
            let (_, of_file) = path.split_once("routes[].")?;
            self.descriptions.get(of_file)
        });
        description.map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Returns the default of a setting.
    pub(in crate::config) fn default_of(&self, path: &str) -> Option<&Value> {
        self.defaults.get(path)
    }
}

/// Calls `visit` with the path, the key and the value of each setting below a node.
fn walk<'n>(node: &'n Node, path: &str, visit: &mut impl FnMut(&str, &'n Node, &'n Node)) {
    match &node.value {
        YamlValue::List(items) => {
            if let Some(first) = items.first() {
                walk(first, &format!("{path}[]"), visit);
            }
        }
        YamlValue::Mapping(entries) => {
            for (key, value) in entries {
                let YamlValue::Text(name) = &key.value else { continue };
                let path = match path {
                    "upstreams" => "upstreams.*".to_owned(),
                    _ => path_of(path, name),
                };
                visit(&path, key, value);
                walk(value, &path, visit);
            }
        }
        _ => {}
    }
}

/// Returns the comment on the lines above a key, as one text with its line ends.
fn comment_above(lines: &[&str], line: u64) -> String {
    let above = usize::try_from(line).unwrap_or_default().saturating_sub(1);
    let mut comment: Vec<&str> = Vec::new();
    for line in lines.iter().take(above).rev() {
        let Some(text) = line.trim_start().strip_prefix('#') else {
            break;
        };
        comment.push(text.strip_prefix(' ').unwrap_or(text));
    }
    comment.reverse();
    comment.join("\n")
}

/// Returns the handbook with the mappings in its comments (`#> `) in place of the word `off` behind them.
pub(in crate::config) fn with_examples(edge: &str) -> String {
    let is_example = |line: &str| line.trim_start().starts_with("#> ");
    let mut before = "";
    let mut lines = String::new();
    for line in edge.lines() {
        let is_replaced = is_example(before) && line.ends_with(": off");
        before = line;
        if !is_replaced {
            lines.push_str(&line.replacen("#> ", "", 1));
            lines.push('\n');
        }
    }
    lines
}

/// Returns a value of a file as JSON.
pub(in crate::config) fn json(node: &Node) -> Value {
    match &node.value {
        YamlValue::Null | YamlValue::Any => Value::Null,
        YamlValue::Bool(value) => Value::Bool(*value),
        YamlValue::Integer(value) => i64::try_from(*value).map_or(Value::Null, Value::from),
        YamlValue::Float(value) => Value::from(*value),
        YamlValue::Text(text) => Value::String(text.clone()),
        YamlValue::List(items) => items.iter().map(json).collect(),
        YamlValue::Mapping(entries) => {
            let text = |key: &Node| match &key.value {
                YamlValue::Text(text) => text.clone(),
                other => other.to_string(),
            };
            entries.iter().map(|(key, value)| (text(key), json(value))).collect()
        }
    }
}
