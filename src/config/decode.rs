//! One setting at a time from the tree: its type, its range, its place in what is said of it.
//!
//! Every reading function reports what is wrong into [`Found`] and goes on, so that one pass finds
//! all problems. [`Reported`] can only be had by reporting: a part that is missing from the result
//! has been accounted for.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Display,
    hash::Hash,
    ops::RangeInclusive,
    time::Duration,
};

use super::{
    node::{Node, Value, quoted},
    problem::{Place, Problem, Problems},
    value,
};

/// The problems found so far in one file.
#[derive(Debug)]
pub(super) struct Found<'f> {
    file: &'f str,
    problems: Vec<Problem>,
    /// Paths of known keys that the file does not set, for the test that `edge.yaml` sets all.
    #[cfg(test)]
    pub(super) unset: Vec<String>,
}

/// Proof that a problem was reported.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported(());

impl<'f> Found<'f> {
    pub(super) fn new(file: &'f str) -> Self {
        Self {
            file,
            problems: Vec::new(),
            #[cfg(test)]
            unset: Vec::new(),
        }
    }

    /// The result if nothing was found, else the problems.
    pub(super) fn finish<T>(self, result: Result<T, Reported>) -> Result<T, Problems> {
        match result {
            Ok(whole) if self.problems.is_empty() => Ok(whole),
            Ok(_) | Err(Reported(())) => Err(Problems::sorted(self.problems)),
        }
    }

    fn report(&mut self, place: Place, path: &str, message: String) -> Reported {
        self.problems.push(Problem {
            file: self.file.into(),
            place: Some(place),
            path: path.into(),
            message: message.into(),
        });
        Reported(())
    }
}

/// A value, with the path that leads to it.
#[derive(Debug)]
pub(super) struct At<'n> {
    node: &'n Node,
    path: String,
}

impl<'n> At<'n> {
    pub(super) fn root(node: &'n Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    /// Reports that this value is not what is allowed.
    pub(super) fn must_be(&self, allowed: impl Display, found: &mut Found<'_>) -> Reported {
        self.report(format!("must be {allowed}, got {}", self.node.value), found)
    }

    /// This value, unless another of the same meaning was seen before; `seen` keeps their lines.
    pub(super) fn unique<T: Eq + Hash + Clone>(
        &self,
        value: T,
        seen: &mut HashMap<T, u64>,
        found: &mut Found<'_>,
    ) -> Result<T, Reported> {
        match seen.entry(value.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(self.node.place.line);
                Ok(value)
            }
            Entry::Occupied(first) => {
                let (value, line) = (&self.node.value, first.get());
                let message = format!("must be unique, got {value}, which line {line} has already");
                Err(self.report(message, found))
            }
        }
    }

    fn report(&self, message: String, found: &mut Found<'_>) -> Reported {
        found.report(self.node.place, &self.path, message)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, Value::Null)
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.node.value, Value::Mapping(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// The text of a text; nothing is reported.
    pub(super) fn text(&self) -> Option<&'n str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer in a range.
    pub(super) fn integer<T>(
        &self,
        range: RangeInclusive<T>,
        found: &mut Found<'_>,
    ) -> Result<T, Reported>
    where
        T: TryFrom<i128> + PartialOrd + Display,
    {
        let value = match self.node.value {
            Value::Integer(integer) => T::try_from(integer).ok(),
            _ => None,
        };
        value
            .filter(|value| range.contains(value))
            .ok_or_else(|| self.must_be(format!("{} to {}", range.start(), range.end()), found))
    }

    /// A time between a millisecond and a day, with its unit.
    pub(super) fn time(&self, found: &mut Found<'_>) -> Result<Duration, Reported> {
        self.text()
            .and_then(value::duration)
            .filter(|time| value::TIMES.contains(time))
            .ok_or_else(|| self.must_be(value::TIMES_ALLOWED, found))
    }

    /// A text that a function takes; `allowed` is said of every other value.
    pub(super) fn parse<T>(
        &self,
        allowed: &str,
        found: &mut Found<'_>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Reported> {
        self.text()
            .and_then(parse)
            .ok_or_else(|| self.must_be(allowed, found))
    }

    /// A text that a function takes, or says on one line why it does not.
    pub(super) fn parse_or_reason<T>(
        &self,
        allowed: &str,
        found: &mut Found<'_>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        let Some(text) = self.text() else {
            return Err(self.must_be(allowed, found));
        };
        parse(text).map_err(|reason| {
            let value = quoted(text);
            self.report(format!("must be {allowed}, got {value}: {reason}"), found)
        })
    }

    /// One of a few words; `or` is what else is allowed, if anything.
    pub(super) fn word<T: Copy>(
        &self,
        words: &[(&str, T)],
        or: Option<&str>,
        found: &mut Found<'_>,
    ) -> Result<T, Reported> {
        let value = self
            .text()
            .and_then(|text| words.iter().find(|(word, _)| *word == text));
        value.map(|&(_, meaning)| meaning).ok_or_else(|| {
            let words: Vec<&str> = words.iter().map(|&(word, _)| word).chain(or).collect();
            self.must_be(one_of(&words), found)
        })
    }

    /// One of the names that the file itself gives; its index among them.
    pub(super) fn name_among(
        &self,
        what: &str,
        names: &[&str],
        found: &mut Found<'_>,
    ) -> Result<usize, Reported> {
        let text = self.text();
        if let Some(index) = text.and_then(|text| names.iter().position(|name| *name == text)) {
            return Ok(index);
        }
        let hint = did_you_mean(text.and_then(|text| nearest(text, names)));
        let (value, names) = (&self.node.value, one_of(names));
        Err(self.report(
            format!("must be {what} ({names}), got {value}{hint}"),
            found,
        ))
    }

    /// The items of a list.
    pub(super) fn items(
        &self,
        allowed: &str,
        found: &mut Found<'_>,
    ) -> Result<Vec<Self>, Reported> {
        let Value::List(nodes) = &self.node.value else {
            return Err(self.must_be(allowed, found));
        };
        let at = |(index, node)| Self {
            node,
            path: format!("{}[{index}]", self.path),
        };
        Ok(nodes.iter().enumerate().map(at).collect())
    }

    /// The items of a list, each read by a function.
    pub(super) fn list<T>(
        &self,
        allowed: &str,
        found: &mut Found<'_>,
        mut read: impl FnMut(&Self, &mut Found<'_>) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        let items = self.items(allowed, found)?;
        let read: Vec<_> = items.iter().map(|item| read(item, found)).collect();
        read.into_iter().collect()
    }

    /// A list with at least one item, each read by a function.
    pub(super) fn non_empty_list<T>(
        &self,
        allowed: &str,
        found: &mut Found<'_>,
        read: impl FnMut(&Self, &mut Found<'_>) -> Result<T, Reported>,
    ) -> Result<Vec<T>, Reported> {
        match &self.node.value {
            Value::List(items) if items.is_empty() => {
                Err(self.report(format!("must be {allowed}, got an empty one"), found))
            }
            _ => self.list(allowed, found, read),
        }
    }

    /// The entries of a mapping whose keys are free; of a repeated key, the first.
    pub(super) fn entries(
        &self,
        allowed: &str,
        found: &mut Found<'_>,
    ) -> Result<Vec<Field<'n>>, Reported> {
        let Value::Mapping(nodes) = &self.node.value else {
            return Err(self.must_be(allowed, found));
        };
        let mut fields = Vec::with_capacity(nodes.len());
        let mut first_lines = HashMap::with_capacity(nodes.len());
        for (key, node) in nodes {
            let Value::Text(name) = &key.value else {
                let message = format!("keys must be text, got {}", key.value);
                found.report(key.place, &self.path, message);
                continue;
            };
            let path = self.path_of(name);
            match first_lines.entry(name.as_str()) {
                Entry::Occupied(first) => {
                    let message = format!(
                        "must be given once, but line {} has it already",
                        first.get()
                    );
                    found.report(key.place, &path, message);
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
    pub(super) fn non_empty_entries(
        &self,
        allowed: &str,
        found: &mut Found<'_>,
    ) -> Result<Vec<Field<'n>>, Reported> {
        match &self.node.value {
            Value::Mapping(entries) if entries.is_empty() => {
                Err(self.report(format!("must be {allowed}, got an empty one"), found))
            }
            _ => self.entries(allowed, found),
        }
    }

    /// A mapping with these keys; any other key is reported, and the known ones are still read.
    pub(super) fn mapping(
        &self,
        keys: &'static [&'static str],
        found: &mut Found<'_>,
    ) -> Result<Fields<'n>, Reported> {
        let keys_are = keys.join(", ");
        let mut fields = self.entries(&format!("a mapping (keys: {keys_are})"), found)?;
        fields.retain(|field| {
            let known = keys.contains(&field.name);
            if !known {
                let hint = did_you_mean(nearest(field.name, keys));
                let message = format!("unknown key{hint}; the keys here are {keys_are}");
                found.report(field.key_place, &field.at.path, message);
            }
            known
        });
        #[cfg(test)]
        for key in keys {
            if !fields.iter().any(|field| field.name == *key) {
                found.unset.push(self.path_of(key));
            }
        }
        Ok(Fields {
            place: self.node.place,
            path: self.path.clone(),
            fields,
        })
    }

    fn path_of(&self, key: &str) -> String {
        path_of(&self.path, key)
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
        found.report(self.key_place, &self.at.path, message)
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
            None => {
                let path = path_of(&self.path, key);
                Err(found.report(self.place, &path, format!("missing, must be {what}")))
            }
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

/// `a`, `a or b`, `a, b or c`.
fn one_of(words: &[&str]) -> String {
    match words {
        [] => "none is known".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!(", did you mean {word}?"))
}

/// The known word that a text is most likely a slip of: at most a third of it mistyped.
fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    if text.len() > 64 {
        return None;
    }
    let text = text.to_ascii_lowercase().replace('-', "_");
    words
        .iter()
        .map(|word| (strsim::osa_distance(&text, word), *word))
        .filter(|(distance, word)| distance * 3 <= word.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}
