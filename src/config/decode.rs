//! One setting at a time from the tree: its type, its range, its place in what is said of it.
//!
//! Every function reports what is wrong into [`Found`] and its caller goes on with the next setting,
//! so that one pass finds all problems. Mappings are in `fields`.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Display,
    hash::Hash,
    ops::RangeInclusive,
    time::Duration,
};

use super::{
    found::{Found, Reported},
    node::{Node, Value, quoted},
    value,
    wording::{did_you_mean, nearest, one_of},
};

/// A value, with the path that leads to it.
#[derive(Debug)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
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

    pub(super) fn report(&self, message: String, found: &mut Found<'_>) -> Reported {
        found.report(self.node.place, &self.path, &message)
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
    pub(super) fn integer<T>(&self, range: RangeInclusive<T>, found: &mut Found<'_>) -> Result<T, Reported>
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
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, Reported> {
        if let Some(value) = self.text().and_then(&parse) {
            return Ok(value);
        }
        let value = &self.node.value;
        let is_number = matches!(value, Value::Integer(_) | Value::Float(_));
        if is_number && parse(&value.to_string()).is_some() {
            return Err(self.must_be("in quotes, it is not meant as a number", found));
        }
        Err(self.must_be(allowed, found))
    }

    /// A text that a function takes, or says on one line why it does not.
    pub(super) fn parse_or_reason<T>(
        &self,
        allowed: &str,
        found: &mut Found<'_>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Reported> {
        let Some(text) = self.text() else {
            return self.parse(allowed, found, |text| parse(text).ok());
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
        let text = self.text();
        if let Some((_, meaning)) = words.iter().find(|(word, _)| text == Some(word)) {
            return Ok(*meaning);
        }
        let names: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
        let hint = did_you_mean(text.and_then(|text| nearest(text, &names)));
        let allowed: Vec<&str> = names.into_iter().chain(or).collect();
        let (allowed, value) = (one_of(&allowed), &self.node.value);
        Err(self.report(format!("must be {allowed}, got {value}{hint}"), found))
    }

    /// A mapping that a function reads, or the word off: none.
    pub(super) fn unless_off<T>(
        &self,
        found: &mut Found<'_>,
        read: impl FnOnce(&Self, &mut Found<'_>) -> Result<T, Reported>,
    ) -> Result<Option<T>, Reported> {
        if self.is_mapping() {
            return read(self, found).map(Some);
        }
        self.word(&[("off", ())], Some("a mapping"), found).map(|()| None)
    }

    /// One of the names that the file itself gives; its index among them.
    pub(super) fn name_among(&self, what: &str, names: &[&str], found: &mut Found<'_>) -> Result<usize, Reported> {
        let text = self.text();
        if let Some(index) = text.and_then(|text| names.iter().position(|name| *name == text)) {
            return Ok(index);
        }
        let hint = did_you_mean(text.and_then(|text| nearest(text, names)));
        let value = &self.node.value;
        let names = match names.get(..MOST_NAMES_SHOWN) {
            Some(first) => format!("{} and others", first.join(", ")),
            None => one_of(names),
        };
        let message = format!("must be {what} ({names}), got {value}{hint}");
        Err(self.report(message, found))
    }

    /// The items of a list.
    pub(super) fn items(&self, allowed: &str, found: &mut Found<'_>) -> Result<Vec<Self>, Reported> {
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
}

/// Enough to see what names look like, without a page of them for each bad one.
const MOST_NAMES_SHOWN: usize = 20;
