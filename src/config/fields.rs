//! Mappings: known keys and free ones, each once.

use std::collections::{HashMap, hash_map::Entry};

use super::{
    decode::At,
    found::{Found, Reported},
    node::{Value, quoted},
    problem::Place,
    wording::{did_you_mean, nearest},
};

impl<'n> At<'n> {
    /// The entries of a mapping whose keys are free; of a repeated key, the first.
    pub(super) fn entries(&self, allowed: &str, found: &mut Found<'_>) -> Result<Vec<Field<'n>>, Reported> {
        let Value::Mapping(nodes) = &self.node.value else {
            return Err(self.must_be(allowed, found));
        };
        let mut fields = Vec::with_capacity(nodes.len());
        let mut first_lines = HashMap::with_capacity(nodes.len());
        for (key, node) in nodes {
            let Value::Text(name) = &key.value else {
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
                    fields.push(Field {
                        name,
                        key_place: key.place,
                        at,
                    });
                }
            }
        }
        Ok(fields)
    }

    /// The entries of a mapping whose keys are free, at least one.
    pub(super) fn non_empty_entries(&self, allowed: &str, found: &mut Found<'_>) -> Result<Vec<Field<'n>>, Reported> {
        match &self.node.value {
            Value::Mapping(entries) if entries.is_empty() => {
                Err(self.report(format!("must be {allowed}, got an empty one"), found))
            }
            _ => self.entries(allowed, found),
        }
    }

    /// One of a few words, or a mapping of which the word is the first key; the others are the caller's to read.
    pub(super) fn word_or_mapping<T: Copy>(
        &self,
        (words, slot): (&[(&str, T)], &mut T),
        keys: &'static [&'static str],
        found: &mut Found<'_>,
    ) -> Result<Option<Fields<'n>>, Reported> {
        if !self.is_mapping() {
            *slot = self.word(words, Some("a mapping"), found)?;
            return Ok(None);
        }
        let fields = self.mapping(keys, found)?;
        if let Some(first) = keys.first() {
            fields.set(first, slot, found, |at, found| at.word(words, None, found));
        }
        Ok(Some(fields))
    }

    /// A mapping with these keys; any other key is reported, and the known ones are still read.
    pub(super) fn mapping(&self, keys: &'static [&'static str], found: &mut Found<'_>) -> Result<Fields<'n>, Reported> {
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
        Ok(Fields {
            place: self.node.place,
            path: self.path.clone(),
            fields,
        })
    }
}

/// One entry of a mapping.
#[derive(Debug)]
pub(super) struct Field<'n> {
    pub(super) name: &'n str,
    pub(super) key_place: Place,
    pub(super) at: At<'n>,
}

impl Field<'_> {
    /// Reports that the key is not what is allowed.
    pub(super) fn key_must_be(&self, allowed: &str, found: &mut Found<'_>) -> Reported {
        let message = format!("the key must be {allowed}, got {}", quoted(self.name));
        found.report(self.key_place, &self.at.path, &message)
    }
}

/// The known entries of a mapping.
#[derive(Debug)]
pub(super) struct Fields<'n> {
    place: Place,
    path: String,
    fields: Vec<Field<'n>>,
}

impl<'n> Fields<'n> {
    pub(super) fn find(&self, key: &str) -> Option<&At<'n>> {
        self.fields
            .iter()
            .find(|field| field.name == key)
            .map(|field| &field.at)
    }

    /// Replaces a default if the key is given; keeps it if the value is bad, which is then reported.
    pub(super) fn set<T>(
        &self,
        key: &str,
        slot: &mut T,
        found: &mut Found<'_>,
        read: impl FnOnce(&At<'n>, &mut Found<'_>) -> Result<T, Reported>,
    ) {
        if let Some(Ok(value)) = self.find(key).map(|at| read(at, found)) {
            *slot = value;
        }
    }

    /// Reads a key that has no default; `what` says what to write there.
    pub(super) fn required<T>(
        &self,
        key: &str,
        what: &str,
        found: &mut Found<'_>,
        read: impl FnOnce(&At<'n>, &mut Found<'_>) -> Result<T, Reported>,
    ) -> Result<T, Reported> {
        match self.find(key) {
            Some(at) => read(at, found),
            None => Err(self.report(key, &format!("missing, must be {what}"), found)),
        }
    }

    /// Reports of a key, or of the place where it is missing.
    pub(super) fn report(&self, key: &str, message: &str, found: &mut Found<'_>) -> Reported {
        match self.find(key) {
            Some(at) => at.report(message.to_owned(), found),
            None => found.report(self.place, &path_of(&self.path, key), message),
        }
    }
}

fn path_of(parent: &str, key: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if key.is_empty() || key.len() > 64 || !key.chars().all(plain) {
        return format!("{parent}[{}]", quoted(key));
    }
    let dot = if parent.is_empty() { "" } else { "." };
    format!("{parent}{dot}{key}")
}
