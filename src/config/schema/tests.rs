//! Tests that the schema is one, and that a validator finds with it what the readers find.

use std::{fs, path::Path};

use serde_json::Value;

use super::*;
use crate::config::node;

fn at(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::options()
        .build(&schema())
        .expect("a schema by its own schema")
}

/// Returns what the schema has against a text.
fn errors(validator: &jsonschema::Validator, text: &str) -> Vec<String> {
    let value = value_of(&node::parse(text).expect("YAML"));
    let errors = validator.iter_errors(&value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_setting_has_a_shape_and_a_description() {
    let (shapes, handbook) = (shapes(), Handbook::new());
    let mut count = 0;
    for (path, here) in &shapes {
        for shape in here {
            let Shape::Mapping(keys) = shape else { continue };
            for key in *keys {
                let path = path_of(path, key);
                let is_value = |shape: &Shape| !matches!(shape, Shape::NonEmpty | Shape::Required(_));
                assert!(
                    shapes.get(&path).is_some_and(|here| here.iter().any(is_value)),
                    "{path} has no shape"
                );
                count += 1;
            }
        }
    }
    assert!(count > 120, "{count}");
    for path in [
        "server.threads",
        "upstreams.*.health_check.interval",
        "push.max_promises",
        "routes[].push.max_promises",
        "routes[].match.path",
    ] {
        assert!(handbook.description(path).is_some(), "{path} has no description");
    }
    assert_eq!(handbook.default_of("server.limits.max_streams"), Some(&128.into()));
}

#[test]
fn shipped_configurations_fit_the_schema() {
    let validator = validator();
    for name in ["edge", "minimal", "demo"] {
        let text = fs::read_to_string(at(&format!("conf/{name}.yaml"))).expect("a file of the crate");
        assert_eq!(errors(&validator, &text), Vec::<String>::new(), "{name}");
        assert_eq!(
            errors(&validator, &with_examples(&text)),
            Vec::<String>::new(),
            "{name}"
        );
    }
}

#[test]
fn values_that_readers_refuse_do_not_fit_the_schema() {
    let validator = validator();
    let mut count = 0;
    for entry in fs::read_dir(at("conf/invalid")).expect("a folder of the crate") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let Ok(root) = node::parse(&fs::read_to_string(&path).expect("a file")) else {
            continue;
        };
        // Where the schema finds something, the readers do, too: these files are all invalid.
        count += usize::from(!validator.is_valid(&value_of(&root)));
    }
    assert!(count >= 8, "{count}");
    let whole = |rest: &str| {
        format!(
            "listeners: [{{ address: '[::]:1' }}]\nupstreams: {{ a: {{ servers: ['a:1'] }} }}\nroutes: [{{ name: r, upstream: a }}]\n{rest}"
        )
    };
    for good in [
        "",
        "push: off",
        "push: { delivery: hint, as: any }",
        "push: { as: [style], links: [] }",
        "server: { pid_file: ~, threads: 4, limits: { idle_timeout: 5ms } }",
        "server: { cache: { bytes: 1MiB } }",
        "learn: { key: [page], from: [html] }",
    ] {
        assert_eq!(errors(&validator, &whole(good)), Vec::<String>::new(), "{good}");
    }
    for bad in [
        "pusch: off",
        "push: never",
        "push: { max_promises: 0 }",
        "push: { max_promises: '5' }",
        "push: { as: [] }",
        "server: { limits: { idle_timeout: 5 } }",
        "server: { limits: { max_streams: 1001 } }",
        "server: { cache: { bytes: 128MB } }",
        "learn: { from: [] }",
        "learn: { min_visitors: 1 }",
    ] {
        assert!(!errors(&validator, &whole(bad)).is_empty(), "{bad}");
    }
    assert!(!errors(&validator, "listeners: []").is_empty());
}

/// With `BLESS` in the environment, writes the file.
#[test]
fn the_schema_in_the_repository_is_that_of_the_readers() {
    let file = at("conf/edge.schema.json");
    if std::env::var_os("BLESS").is_some() {
        let text = serde_json::to_string_pretty(&schema()).expect("JSON");
        fs::write(&file, text + "\n").expect("a writable crate");
    }
    let text = fs::read_to_string(&file).unwrap_or_default();
    let committed: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(
        committed == schema(),
        "write it anew: linkpush schema > conf/edge.schema.json"
    );
    let edge = fs::read_to_string(at("conf/edge.yaml")).expect("a file of the crate");
    assert!(edge.starts_with("# yaml-language-server: $schema=edge.schema.json\n"));
}
