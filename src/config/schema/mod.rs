//! Makes a JSON Schema of configuration files, for editors: keys, ranges and words from the readers themselves,
//! descriptions and defaults from `conf/edge.yaml`.
//!
//! Reading order: this file, then `handbook` (`edge.yaml`). The schema knows each value by itself; rules between values,
//! such as unique names, are those of `linkpush check` alone.

mod handbook;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

#[cfg(test)]
pub(super) use handbook::with_examples;
pub(super) use handbook::{Handbook, json as value_of};

use super::{build, decode::At, findings::Findings, node::ANY, settings::path_of, shape::Shape};

/// Returns the JSON Schema (2020-12) of configuration files.
#[must_use]
pub fn schema() -> Value {
    let (shapes, handbook) = (shapes(), Handbook::new());
    let mut root = Value::Object(of_path("", &shapes, &handbook));
    if let Value::Object(root) = &mut root {
        root.insert(
            "$schema".to_owned(),
            "https://json-schema.org/draft/2020-12/schema".into(),
        );
        root.insert("title".to_owned(), "linkpush configuration".into());
    }
    root
}

/// Returns the shapes of all settings, by their paths.
pub(super) fn shapes() -> BTreeMap<String, Vec<Shape>> {
    let mut found = Findings::new("");
    // There is no value to build a configuration of.
    let _ = build::config(&At::root(&ANY), &mut found);
    let mut shapes: BTreeMap<String, Vec<Shape>> = BTreeMap::new();
    for (path, shape) in found.into_shapes() {
        let at_path = shapes.entry(path).or_default();
        if !at_path.contains(&shape) {
            at_path.push(shape);
        }
    }
    shapes
}

/// Returns the schema of the value at a path.
fn of_path(path: &str, shapes: &BTreeMap<String, Vec<Shape>>, handbook: &Handbook) -> Map<String, Value> {
    let here = shapes.get(path).map(Vec::as_slice).unwrap_or_default();
    let is_empty_allowed = !here.contains(&Shape::NonEmpty);
    let required: Vec<&str> = here
        .iter()
        .filter_map(|shape| match shape {
            Shape::Required(key) => Some(key.as_str()),
            _ => None,
        })
        .collect();
    let at_least = u8::from(!is_empty_allowed);
    let alternative = |shape: &Shape| {
        Some(match shape {
            Shape::NonEmpty | Shape::Required(_) => return None,
            Shape::Null => json!({ "type": "null" }),
            Shape::Words(words) => json!({ "enum": words }),
            Shape::Integer([least, most]) => json!({ "type": "integer", "minimum": least, "maximum": most }),
            Shape::Share => json!({ "type": "number", "minimum": 0, "maximum": 1 }),
            Shape::Text(allowed) => json!({ "type": "string", "$comment": allowed }),
            Shape::Quantity(allowed, units) => {
                json!({ "type": "string", "pattern": format!("^[0-9]+{units}$"), "$comment": allowed })
            }
            Shape::List(allowed) => json!({
                "type": "array",
                "items": of_path(&format!("{path}[]"), shapes, handbook),
                "minItems": at_least,
                "$comment": allowed,
            }),
            Shape::Names(allowed) => json!({
                "type": "object",
                "propertyNames": { "pattern": "^[a-z0-9_-]{1,64}$" },
                "additionalProperties": of_path(&format!("{path}.*"), shapes, handbook),
                "minProperties": at_least,
                "$comment": allowed,
            }),
            Shape::Mapping(keys) => {
                let property = |key: &&str| ((*key).to_owned(), of_path(&path_of(path, key), shapes, handbook).into());
                let properties: Map<String, Value> = keys.iter().map(property).collect();
                json!({
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": false,
                    "required": required,
                })
            }
        })
    };
    let mut alternatives: Vec<Value> = here.iter().filter_map(alternative).collect();
    let mut schema = match alternatives.pop() {
        Some(Value::Object(only)) if alternatives.is_empty() => only,
        last => {
            alternatives.extend(last);
            Map::from_iter([("anyOf".to_owned(), Value::Array(alternatives))])
        }
    };
    if let Some(description) = handbook.description(path) {
        schema.insert("description".to_owned(), description.into());
    }
    let is_required = path.rsplit_once('.').is_some_and(|(parent, key)| {
        let of_parent = shapes.get(parent).map(Vec::as_slice).unwrap_or_default();
        of_parent.contains(&Shape::Required(key.to_owned()))
    });
    let default = handbook.default_of(path).filter(|default| !default.is_object());
    if let Some(default) =
        default.filter(|_| !is_required && !path.is_empty() && path != "listeners" && path != "routes")
    {
        schema.insert("default".to_owned(), default.clone());
    }
    schema
}
