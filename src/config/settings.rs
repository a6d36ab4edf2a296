//! Reads mappings: of settings with known keys, or of names.
//!
//! [`settings!`] and [`read_settings!`] declare a setting in one row; problems list the keys in the order of the rows.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    decode::{At, Words},
    findings::{Findings, Reported},
    node::{YamlValue, quoted},
    problem::Place,
    shape::Shape,
    wording::{did_you_mean, nearest},
};

/// Reads a mapping into variables that hold the defaults. Each row is a key, the variable, and its reader; the caller
/// reads the key of a row that has only a key.
macro_rules! read_settings {
    ($at:expr, $found:expr, { $($key:expr $(=> $slot:expr, $read:expr)?;)* }) => {{
        let settings = $at.mapping(&[$($key),*], $found)?;
        $($(settings.set($key, &mut $slot, $found, $read);)?)*
        settings
    }};
}

/// Defines a type for a mapping of settings, with its `Default` and its reader. Each row is a key with its
/// documentation, type, default and reader.
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident {
            $($(#[$doc:meta])* $key:ident: $type:ty = $default:expr, $read:expr;)*
        }
    ) => {
        $(#[$attribute])*
        pub struct $name {
            $($(#[$doc])* pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($key: $default,)* }
            }
        }

        impl $name {
            pub(super) fn read(at: &At<'_>, found: &mut Findings<'_>) -> Result<Self, Reported> {
                let mut whole = Self::default();
                read_settings!(at, found, { $(stringify!($key) => whole.$key, $read;)* });
                Ok(whole)
            }
        }
    };
}

pub(super) use {read_settings, settings};

impl<'n> At<'n> {
    /// Reads a mapping whose keys are names; reports a repeated key, and returns its first entry.
    pub(super) fn entries(&self, allowed: &str, found: &mut Findings<'_>) -> Result<Vec<NamedValue<'n>>, Reported> {
        if self.describes() {
            found.describe(&self.path, Shape::Names(allowed.to_owned()));
            let at = self.any_at(format!("{}.*", self.path));
            let key_place = at.node.place;
            return Ok(vec![NamedValue {
                name: "*",
                key_place,
                at,
            }]);
        }
        let YamlValue::Mapping(nodes) = &self.node.value else {
            return Err(self.must_be(allowed, found));
        };
        let mut fields = Vec::with_capacity(nodes.len());
        let mut first_lines = HashMap::with_capacity(nodes.len());
        for (key, node) in nodes {
            let YamlValue::Text(name) = &key.value else {
                let message = format!("keys must be text, in quotes if a number, got {}", key.value);
                found.report(key.place, &self.path, &message);
                continue;
            };
            let path = path_of(&self.path, name);
            match first_lines.entry(name.as_str()) {
                Entry::Occupied(first) => {
                    let message = format!("must be given once, but line {} has it already", first.get());
                    found.report(key.place, &path, &message);
                }
                Entry::Vacant(vacant) => {
                    vacant.insert(key.place.line);
                    let at = Self { node, path };
                    fields.push(NamedValue {
                        name,
                        key_place: key.place,
                        at,
                    });
                }
            }
        }
        Ok(fields)
    }

    /// Reads a mapping whose keys are names, at least one.
    pub(super) fn non_empty_entries(
        &self,
        allowed: &str,
        found: &mut Findings<'_>,
    ) -> Result<Vec<NamedValue<'n>>, Reported> {
        match &self.node.value {
            YamlValue::Mapping(entries) if entries.is_empty() => {
                Err(self.report(format!("must be {allowed}, got an empty one"), found))
            }
            YamlValue::Any => {
                self.describe(Shape::NonEmpty, found);
                self.entries(allowed, found)
            }
            _ => self.entries(allowed, found),
        }
    }

    /// Reads one of some words; returns false, and reads nothing, if the value is a mapping.
    pub(super) fn word_unless_mapping<T: Clone>(
        &self,
        words: Words<'_, T>,
        slot: &mut T,
        found: &mut Findings<'_>,
    ) -> Result<bool, Reported> {
        if self.describes() {
            // The mapping is described next.
            let _ = self.word(words, None, found);
            return Ok(false);
        }
        if self.is_mapping() {
            return Ok(false);
        }
        *slot = self.word(words, Some("a mapping"), found)?;
        Ok(true)
    }

    /// Returns the value below this one that readers describe.
    fn any_at(&self, path: String) -> Self {
        Self { node: self.node, path }
    }

    /// Reads a mapping with these keys; reports any other key.
    pub(super) fn mapping(
        &self,
        keys: &'static [&'static str],
        found: &mut Findings<'_>,
    ) -> Result<Settings<'n>, Reported> {
        if self.describes() {
            found.describe(&self.path, Shape::Mapping(keys));
            let named = |key: &&'static str| NamedValue {
                name: key,
                key_place: self.node.place,
                at: self.any_at(path_of(&self.path, key)),
            };
            return Ok(Settings {
                place: self.node.place,
                path: self.path.clone(),
                fields: keys.iter().map(named).collect(),
            });
        }
        let keys_are = keys.join(", ");
        let mut fields = self.entries(&format!("a mapping (keys: {keys_are})"), found)?;
        fields.retain(|field| {
            let known = keys.contains(&field.name);
            if !known {
                let hint = did_you_mean(nearest(field.name, keys));
                let message = format!("unknown key{hint}, the keys here are {keys_are}");
                found.report(field.key_place, &field.at.path, &message);
            }
            known
        });
        #[cfg(test)]
        for key in keys {
            if !fields.iter().any(|field| field.name == *key) {
                found.unset.push(path_of(&self.path, key));
            }
        }
        Ok(Settings {
            place: self.node.place,
            path: self.path.clone(),
            fields,
        })
    }
}

/// One entry of a mapping: a value and its name.
#[derive(Debug)]
pub(super) struct NamedValue<'n> {
    pub(super) name: &'n str,
    pub(super) key_place: Place,
    pub(super) at: At<'n>,
}

impl NamedValue<'_> {
    /// Reports that the key is not `allowed`.
    pub(super) fn key_must_be(&self, allowed: &str, found: &mut Findings<'_>) -> Reported {
        let message = format!("the key must be {allowed}, got {}", quoted(self.name));
        found.report(self.key_place, &self.at.path, &message)
    }
}

/// The settings that a mapping has.
#[derive(Debug)]
pub(super) struct Settings<'n> {
    place: Place,
    path: String,
    fields: Vec<NamedValue<'n>>,
}

impl<'n> Settings<'n> {
    /// Returns the value of a key; `None` if the mapping lacks the key.
    pub(super) fn find(&self, key: &str) -> Option<&At<'n>> {
        self.fields
            .iter()
            .find(|field| field.name == key)
            .map(|field| &field.at)
    }

    /// Replaces a default by the key's value, if there is one; reports a bad value, and leaves the default.
    pub(super) fn set<T>(
        &self,
        key: &str,
        slot: &mut T,
        found: &mut Findings<'_>,
        read: impl FnOnce(&At<'n>, &mut Findings<'_>) -> Result<T, Reported>,
    ) {
        if let Some(Ok(value)) = self.find(key).map(|at| read(at, found)) {
            *slot = value;
        }
    }

    /// Reads a key that has no default; `what` describes the value in the problem of a missing key.
    pub(super) fn required<T>(
        &self,
        key: &str,
        what: &str,
        found: &mut Findings<'_>,
        read: impl FnOnce(&At<'n>, &mut Findings<'_>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        match self.find(key) {
            Some(at) if at.describes() => {
                found.describe(&self.path, Shape::Required(key.to_owned()));
                read(at, found)
            }
            Some(at) => read(at, found),
            None => Err(self.report(key, &format!("missing, must be {what}"), found)),
        }
    }

    /// Reports a problem of a key, or of the place where it is missing.
    pub(super) fn report(&self, key: &str, message: &str, found: &mut Findings<'_>) -> Reported {
        match self.find(key) {
            Some(at) => at.report(message.to_owned(), found),
            None => found.report(self.place, &path_of(&self.path, key), message),
        }
    }
}

/// Returns the path of a key of a mapping.
pub(super) fn path_of(parent: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if key.is_empty() || key.len() > 64 || !key.chars().all(plain) {
        return format!("{parent}[{}]", quoted(key));
    }
    let dot = if parent.is_empty() { "" } else { "." };
    format!("{parent}{dot}{key}")
}
