//! Keeps the file of a configuration beside it, so that later findings have their places.

use std::{io::Read, path::Path};

use super::{
    MAX_BYTES,
    build::{self, Config},
    decode::At,
    effective::{self, EffectiveRoute},
    findings::Findings,
    node::{self, Node, SyntaxError, YamlValue},
    problem::{Place, Problem, Problems},
    settings::path_of,
};

/// A valid configuration, and the file that it comes from.
#[derive(Debug)]
pub struct Inspected {
    /// The configuration.
    pub config: Config,
    file_name: String,
    root: Node,
}

impl Inspected {
    /// Reads a configuration of at most 1 MiB from a reader; problems name the file `file_name`, and paths in the
    /// configuration start in the folder of that name.
    ///
    /// # Errors
    ///
    /// All problems of the file; one problem without a place if it cannot be read.
    pub fn read(file_name: &str, reader: impl Read) -> Result<Self, Problems> {
        let cannot_be_read =
            |reason: &dyn std::fmt::Display| whole_file(file_name, &format!("cannot be read: {reason}"));
        let mut bytes = Vec::new();
        reader
            .take(MAX_BYTES as u64 + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| cannot_be_read(&error))?;
        let text = str::from_utf8(&bytes)
            .map_err(|error| cannot_be_read(&format_args!("byte {} is not UTF-8", error.valid_up_to())))?;
        Self::parse(file_name, text)
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// All problems of the file; one problem without a place if it cannot be read.
    pub fn open(path: &Path) -> Result<Self, Problems> {
        let file_name = path.display().to_string();
        let file =
            std::fs::File::open(path).map_err(|error| whole_file(&file_name, &format!("cannot be read: {error}")))?;
        Self::read(&file_name, file)
    }

    /// Reads a configuration from text.
    pub(super) fn parse(file_name: &str, text: &str) -> Result<Self, Problems> {
        if text.len() > MAX_BYTES {
            return Err(whole_file(file_name, "must be at most 1 MiB"));
        }
        let root = node::parse(text).map_err(|SyntaxError { place, reason }| {
            let message = format!("cannot be read as YAML: {reason}");
            Problems::single(Problem::new(file_name, place, "", &message))
        })?;
        let mut found = Findings::new(file_name);
        let config = build::config(&At::root(&root), &mut found);
        Ok(Self {
            config: found.finish(config)?,
            file_name: file_name.to_owned(),
            root,
        })
    }

    /// Returns a problem of a setting, with the place of its value; that of the setting round it where the file leaves
    /// it out.
    #[must_use]
    pub fn problem(&self, setting: &str, message: &str) -> Problem {
        let place = place_of(&self.root, "", setting).unwrap_or(self.root.place);
        Problem::new(&self.file_name, Some(place), setting, message)
    }

    /// Lists the settings of each route, and where each comes from.
    #[must_use]
    pub fn effective(&self) -> Vec<EffectiveRoute> {
        effective::routes(&self.root)
    }
}

fn whole_file(file_name: &str, message: &str) -> Problems {
    Problems::single(Problem::new(file_name, None, "", message))
}

/// Returns the place of a setting below a node, or of the innermost setting round it.
fn place_of(node: &Node, path: &str, setting: &str) -> Option<Place> {
    if !setting.starts_with(path) {
        return None;
    }
    let of_rest = |inner: &Node, path: String| {
        let rest = setting.strip_prefix(&path)?;
        let is_inner = rest.is_empty() || rest.starts_with(['.', '[']);
        is_inner.then(|| place_of(inner, &path, setting)).flatten()
    };
    let below = match &node.value {
        YamlValue::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| of_rest(item, format!("{path}[{index}]"))),
        YamlValue::Mapping(entries) => entries.iter().find_map(|(key, value)| match &key.value {
            YamlValue::Text(name) => of_rest(value, path_of(path, name)),
            _ => None,
        }),
        _ => None,
    };
    below.or(Some(node.place))
}
