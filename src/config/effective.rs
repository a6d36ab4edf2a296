//! Lists the settings of each route with their values, and where each value comes from: the route, the defaults of the
//! file, or the program.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    node::{Node, YamlValue},
    schema::{Handbook, shapes, value_of},
    shape::Shape,
};

/// A route with all of its settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EffectiveRoute {
    /// The route's name.
    pub route: String,
    /// Its settings, in the order in which problems list their keys.
    pub settings: Vec<EffectiveSetting>,
}

/// A setting of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EffectiveSetting {
    /// The setting, `push.max_promises`.
    pub setting: String,
    /// The value as a file would have it.
    pub value: Value,
    /// Where the value comes from.
    pub from: SettingSource,
    /// The line of the file that sets the value; `None` for a built-in default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingSource {
    /// The route sets it.
    Route,
    /// The section of the whole file sets it.
    Defaults,
    /// No one sets it.
    BuiltIn,
}

impl SettingSource {
    /// Returns the words for a terminal.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Defaults => "defaults",
            Self::BuiltIn => "built in",
        }
    }
}

/// Lists the settings of the routes of a valid file.
pub(super) fn routes(root: &Node) -> Vec<EffectiveRoute> {
    let (shapes, handbook) = (shapes(), Handbook::new());
    let Some(YamlValue::List(routes)) = find(root, "routes").map(|node| &node.value) else {
        return Vec::new();
    };
    let settings = |route| settings(root, route, &shapes, &handbook);
    routes
        .iter()
        .map(|route| EffectiveRoute {
            route: find(route, "name").and_then(text).unwrap_or_default().to_owned(),
            settings: settings(route),
        })
        .collect()
}

fn settings(
    root: &Node,
    route: &Node,
    shapes: &BTreeMap<String, Vec<Shape>>,
    handbook: &Handbook,
) -> Vec<EffectiveSetting> {
    let mut settings = Vec::new();
    for key in keys(shapes, "routes[]").iter().filter(|key| **key != "name") {
        let path = format!("routes[].{key}");
        let of_route = find(route, key);
        let sub_keys = keys(shapes, &path);
        if sub_keys.is_empty() {
            let default = handbook.default_of(&path).cloned().unwrap_or_default();
            settings.push(setting(key, of_route.map(|node| (node, SettingSource::Route)), default));
            continue;
        }
        let of_file = find(root, key).filter(|_| shapes.contains_key(*key));
        let short = short_form(shapes, key, sub_keys);
        for sub_key in sub_keys {
            let of = |section| in_section(section, sub_key, short);
            let set = of(of_route)
                .map(|node| (node, SettingSource::Route))
                .or_else(|| of(of_file).map(|node| (node, SettingSource::Defaults)));
            // A condition that a route does not have is none; the handbook shows one that matches every path.
            let default = match *key {
                "match" if set.is_none() => continue,
                _ => handbook
                    .default_of(&format!("{key}.{sub_key}"))
                    .cloned()
                    .unwrap_or_default(),
            };
            settings.push(setting(&format!("{key}.{sub_key}"), set, default));
        }
    }
    settings
}

fn setting(name: &str, set: Option<(&Node, SettingSource)>, built_in: Value) -> EffectiveSetting {
    let (value, from, line) = match set {
        Some((node, from)) => (value_of(node), from, Some(node.place.line)),
        None => (built_in, SettingSource::BuiltIn, None),
    };
    EffectiveSetting {
        setting: name.to_owned(),
        value,
        from,
        line,
    }
}

/// Returns the value of a key in a section, which may be the short form of one key.
fn in_section<'n>(section: Option<&'n Node>, key: &str, short: Option<&str>) -> Option<&'n Node> {
    let section = section?;
    match section.value {
        YamlValue::Mapping(_) => find(section, key),
        _ => (short == Some(key)).then_some(section),
    }
}

/// Returns the key that a section sets which is a word alone: the one that has the same words.
fn short_form<'k>(shapes: &BTreeMap<String, Vec<Shape>>, section: &str, keys: &[&'k str]) -> Option<&'k str> {
    let words_at = |path: &str| shapes.get(path)?.iter().find(|shape| matches!(shape, Shape::Words(_)));
    let words = words_at(section)?;
    let has_them = |key: &&&str| words_at(&format!("{section}.{key}")) == Some(words);
    keys.iter().find(has_them).copied()
}

/// Returns the keys of the mapping at a path.
fn keys(shapes: &BTreeMap<String, Vec<Shape>>, path: &str) -> &'static [&'static str] {
    let mapping = |shape: &Shape| match shape {
        Shape::Mapping(keys) => Some(*keys),
        _ => None,
    };
    shapes
        .get(path)
        .and_then(|shapes| shapes.iter().find_map(mapping))
        .unwrap_or_default()
}

/// Returns the value of a key of a mapping.
fn find<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    let YamlValue::Mapping(entries) = &node.value else {
        return None;
    };
    let entry = entries.iter().find(|(name, _)| text(name) == Some(key));
    entry.map(|(_, value)| value)
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        YamlValue::Text(text) => Some(text),
        _ => None,
    }
}
