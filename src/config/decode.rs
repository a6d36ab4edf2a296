//! Reads one value of the tree: checks its type and range, and reports problems with its place.
//!
//! A reader reports problems into [`Findings`], and its caller goes on with the next setting, so that one pass finds
//! all problems. [`integer`] and the other functions make readers. `settings` reads mappings.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Display,
    hash::Hash,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    findings::{Findings, Reported},
    node::{Node, YamlValue, quoted},
    shape::Shape,
    value,
    wording::{did_you_mean, nearest, one_of},
};

/// A value, and the path of settings that leads there.
#[derive(Debug)]
pub(super) struct At<'n> {
    pub(super) node: &'n Node,
    pub(super) path: String,
}

impl<'n> At<'n> {
    /// Makes the value at the root of a file.
    pub(super) fn root(node: &'n Node) -> Self {
        Self {
            node,
            path: String::new(),
        }
    }

    /// Returns whether there is no value to read: readers describe the values that they allow.
    pub(super) fn describes(&self) -> bool {
        matches!(self.node.value, YamlValue::Any)
    }

    /// Describes the values that a reader allows; there is no value to return.
    pub(super) fn describe(&self, shape: Shape, found: &mut Findings<'_>) -> Reported {
        found.describe(&self.path, shape)
    }

    /// Reports that this value is not `allowed`.
    pub(super) fn must_be(&self, allowed: impl Display, found: &mut Findings<'_>) -> Reported {
        self.report(format!("must be {allowed}, got {}", self.node.value), found)
    }

    /// Returns a value, or reports that an earlier one means the same; `seen` has the line of each value.
    pub(super) fn unique<T: Eq + Hash + Clone>(
        &self,
        value: T,
        seen: &mut HashMap<T, u64>,
        found: &mut Findings<'_>,
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

    /// Reports a problem of this value.
    pub(super) fn report(&self, message: String, found: &mut Findings<'_>) -> Reported {
        found.report(self.node.place, &self.path, &message)
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.node.value, YamlValue::Null)
    }

    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.node.value, YamlValue::Mapping(_))
    }

    pub(super) fn is_list(&self) -> bool {
        matches!(self.node.value, YamlValue::List(_))
    }

    /// Returns the text if the value is a text; reports nothing.
    pub(super) fn text(&self) -> Option<&'n str> {
        match &self.node.value {
            YamlValue::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Reads one of some words; `or` names what else problems should list as allowed.
    pub(super) fn word<T: Clone>(
        &self,
        words: Words<'_, T>,
        or: Option<&str>,
        found: &mut Findings<'_>,
    ) -> Result<T, Reported> {
        if self.describes() {
            let words = words.iter().map(|(word, _)| *word).collect();
            return Err(self.describe(Shape::Words(words), found));
        }
        let text = self.text();
        if let Some((_, meaning)) = words.iter().find(|(word, _)| text == Some(word)) {
            return Ok(meaning.clone());
        }
        let names: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
        let hint = did_you_mean(text.and_then(|text| nearest(text, &names)));
        let allowed: Vec<&str> = names.into_iter().chain(or).collect();
        let (allowed, value) = (one_of(&allowed), &self.node.value);
        Err(self.report(format!("must be {allowed}, got {value}{hint}"), found))
    }

    /// Reads one of the names that the file defines; returns its index.
    pub(super) fn name_among(&self, what: &str, names: &[&str], found: &mut Findings<'_>) -> Result<usize, Reported> {
        if self.describes() {
            return Err(self.describe(Shape::Text(what.to_owned()), found));
        }
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

    fn items(&self, allowed: &str, found: &mut Findings<'_>) -> Result<Vec<Self>, Reported> {
        if self.describes() {
            let (node, path) = (self.node, format!("{}[]", self.path));
            return Ok(vec![Self { node, path }]);
        }
        let YamlValue::List(nodes) = &self.node.value else {
            return Err(self.must_be(allowed, found));
        };
        let at = |(index, node)| Self {
            node,
            path: format!("{}[{index}]", self.path),
        };
        Ok(nodes.iter().enumerate().map(at).collect())
    }
}

/// Reads a time between a millisecond and a day, with its unit.
pub(super) fn time(at: &At<'_>, found: &mut Findings<'_>) -> Result<Duration, Reported> {
    if at.describes() {
        return Err(at.describe(
            Shape::Quantity(value::TIMES_ALLOWED.to_owned(), value::TIME_UNITS),
            found,
        ));
    }
    at.text()
        .and_then(value::duration)
        .filter(|time| value::TIMES.contains(time))
        .ok_or_else(|| at.must_be(value::TIMES_ALLOWED, found))
}

/// Reads an integer in a range.
pub(super) fn integer<T>(range: RangeInclusive<T>) -> impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported>
where
    T: TryFrom<i128> + PartialOrd + Display,
{
    move |at, found| {
        if at.describes() {
            let bounds = [range.start(), range.end()].map(|bound| bound.to_string().parse().unwrap_or_default());
            return Err(at.describe(Shape::Integer(bounds), found));
        }
        let value = match at.node.value {
            YamlValue::Integer(integer) => T::try_from(integer).ok(),
            _ => None,
        };
        value
            .filter(|value| range.contains(value))
            .ok_or_else(|| at.must_be(format!("{} to {}", range.start(), range.end()), found))
    }
}

/// Reads a text that a function accepts; reports every other value as not `allowed`.
pub(super) fn parse<T>(
    allowed: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported> {
    move |at, found| {
        if at.describes() {
            return Err(at.describe(Shape::Text(allowed.to_owned()), found));
        }
        if let Some(value) = at.text().and_then(&parse) {
            return Ok(value);
        }
        let value = &at.node.value;
        let is_number = matches!(value, YamlValue::Integer(_) | YamlValue::Float(_));
        if is_number && parse(&value.to_string()).is_some() {
            return Err(at.must_be("in quotes, it is not meant as a number", found));
        }
        Err(at.must_be(allowed, found))
    }
}

/// Reads a size with its unit, which a function accepts.
pub(super) fn size<T>(
    allowed: &str,
    parse_size: impl Fn(&str) -> Option<T>,
) -> impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported> {
    move |at, found| {
        if at.describes() {
            return Err(at.describe(Shape::Quantity(allowed.to_owned(), value::SIZE_UNITS), found));
        }
        parse(allowed, &parse_size)(at, found)
    }
}

/// Reads a text that a function accepts; reports the function's error, which is one line. The second argument of the
/// function is the folder of the configuration file.
pub(super) fn parse_or_reason<T, E: Display>(
    allowed: &str,
    parse_in: impl Fn(&Path, &str) -> Result<T, E>,
) -> impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported> {
    move |at, found| {
        if at.describes() {
            return Err(at.describe(Shape::Text(allowed.to_owned()), found));
        }
        let folder = found.folder();
        let Some(text) = at.text() else {
            return parse(allowed, |text| parse_in(&folder, text).ok())(at, found);
        };
        parse_in(&folder, text).map_err(|reason| {
            let value = quoted(text);
            at.report(format!("must be {allowed}, got {value}: {reason}"), found)
        })
    }
}

/// Reads one of some words.
pub(super) fn word<T: Clone>(words: Words<'_, T>) -> impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported> {
    move |at, found| at.word(words, None, found)
}

/// Words with their meanings.
pub(super) type Words<'w, T> = &'w [(&'static str, T)];

/// Reads a mapping, or the word `off`, which gives `None`.
pub(super) fn unless_off<T>(
    read: impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported>,
) -> impl Fn(&At<'_>, &mut Findings<'_>) -> Result<Option<T>, Reported> {
    either(
        |at| at.is_mapping(),
        move |at, found| read(at, found).map(Some),
        |at, found| at.word(&[("off", ())], Some("a mapping"), found).map(|()| None),
    )
}

/// Reads a value by the first reader if it `is_first`, else by the second.
pub(super) fn either<T>(
    is_first: impl Fn(&At<'_>) -> bool,
    first: impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported>,
    second: impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported>,
) -> impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported> {
    move |at, found| {
        if at.describes() {
            return first(at, found).and(second(at, found));
        }
        if is_first(at) {
            first(at, found)
        } else {
            second(at, found)
        }
    }
}

/// Reads a value; null gives `None`.
pub(super) fn or_null<T>(
    read: impl Fn(&At<'_>, &mut Findings<'_>) -> Result<T, Reported>,
) -> impl Fn(&At<'_>, &mut Findings<'_>) -> Result<Option<T>, Reported> {
    move |at, found| {
        if at.describes() {
            at.describe(Shape::Null, found);
        }
        if at.is_null() {
            return Ok(None);
        }
        read(at, found).map(Some)
    }
}

/// Reads a list.
pub(super) fn list<T>(
    allowed: &str,
    mut read: impl FnMut(&At<'_>, &mut Findings<'_>) -> Result<T, Reported>,
) -> impl FnMut(&At<'_>, &mut Findings<'_>) -> Result<Vec<T>, Reported> {
    move |at, found| {
        if at.describes() {
            at.describe(Shape::List(allowed.to_owned()), found);
        }
        let items = at.items(allowed, found)?;
        let read: Vec<_> = items.iter().map(|item| read(item, found)).collect();
        read.into_iter().collect()
    }
}

/// Reads a list with at least one item.
pub(super) fn non_empty_list<T>(
    allowed: &str,
    read: impl FnMut(&At<'_>, &mut Findings<'_>) -> Result<T, Reported>,
) -> impl FnMut(&At<'_>, &mut Findings<'_>) -> Result<Vec<T>, Reported> {
    let mut list = list(allowed, read);
    move |at, found| match &at.node.value {
        YamlValue::List(items) if items.is_empty() => {
            Err(at.report(format!("must be {allowed}, got an empty one"), found))
        }
        YamlValue::Any => {
            at.describe(Shape::NonEmpty, found);
            list(at, found)
        }
        _ => list(at, found),
    }
}

/// Reads the path of a file; null gives `None`.
pub(super) fn file(at: &At<'_>, found: &mut Findings<'_>) -> Result<Option<PathBuf>, Reported> {
    or_null(parse("the path of a file, or ~ for none", |text| {
        (!text.is_empty() && !text.contains('\0')).then(|| text.into())
    }))(at, found)
}

/// Largest number of names that a problem lists: enough to see the style of the names.
const MOST_NAMES_SHOWN: usize = 20;
