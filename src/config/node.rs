//! Parses YAML to a tree in which every value and key has its place. The only user of the YAML crate.
//!
//! A derived deserializer would stop at the first error, but operators need all errors, hence the tree. Booleans are
//! those of YAML 1.2: `off`, `on`, `yes` and `no` are text. Numbers with leading zeros or underscores are text, too,
//! since the versions of YAML disagree on them. Repeated keys stay in the tree, for `settings` to report; merge keys
//! (`<<`) and aliases are expanded within a budget.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{
    DuplicateKeyPolicy, Error, MessageFormatter as _, NonFiniteFloatPolicy, Options, Spanned, UserMessageFormatter,
};

use super::problem::Place;

/// A value and its place; an alias has the place of its anchor.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: YamlValue,
}

/// The value of a node.
#[derive(Debug)]
pub(super) enum YamlValue {
    Null,
    Bool(bool),
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// Entries in the order of the file, repeated keys included.
    Mapping(Vec<(Node, Node)>),
    /// No value of a file: a reader describes the values that it allows, for the schema.
    Any,
}

/// The node of [`YamlValue::Any`].
pub(super) static ANY: Node = Node {
    place: START,
    value: YamlValue::Any,
};

/// Why there is no tree: the YAML is invalid, or exceeds the budget.
#[derive(Debug)]
pub(super) struct SyntaxError {
    pub(super) place: Option<Place>,
    /// The error on one line, without the place.
    pub(super) reason: String,
}

/// Parses a document; an empty document is [`YamlValue::Null`].
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let mut root: Node = serde_saphyr::from_str_with_options(text, options()).map_err(|error| syntax_error(&error))?;
    if matches!(root.value, YamlValue::Null) {
        root.place = START; // the crate says where the file ends
    }
    Ok(root)
}

fn options() -> Options {
    serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        reject_unsupported_tags: true,
        with_snippet: false,
        // The deepest setting, routes[0].push.authorities[0], is at depth 6; a file of 1 MiB that
        // has one setting a line of 10 bytes has 200,000 nodes.
        budget: serde_saphyr::budget! {
            max_depth: 32,
            flow_nesting_limit: 32,
            max_documents: 2, // one too many has a better message of its own
            max_events: 500_000,
            max_nodes: 250_000,
            max_aliases: 10_000,
            max_anchors: 10_000,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 250_000,
            max_replay_stack_depth: 16,
        },
    }
}

fn syntax_error(mut error: &Error) -> SyntaxError {
    let place = error.location().and_then(place);
    while let Error::AliasError { error: inner, .. } = error {
        error = inner;
    }
    let message = UserMessageFormatter.format_message(error.without_snippet());
    SyntaxError {
        place,
        reason: message.replace(char::is_control, " "),
    }
}

/// Converts a location; the crate's unknown location is 0:0.
fn place(location: serde_saphyr::Location) -> Option<Place> {
    let (line, column) = (location.line(), location.column());
    (line > 0).then_some(Place { line, column })
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<YamlValue>::deserialize(deserializer)?;
        Ok(Self {
            place: place(spanned.defined).unwrap_or(START),
            value: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for YamlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = YamlValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<YamlValue, E> {
        Ok(YamlValue::Null)
    }

    fn visit_none<E>(self) -> Result<YamlValue, E> {
        Ok(YamlValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<YamlValue, E> {
        Ok(YamlValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<YamlValue, E> {
        Ok(YamlValue::Integer(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<YamlValue, E> {
        Ok(YamlValue::Integer(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<YamlValue, E> {
        Ok(YamlValue::Integer(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<YamlValue, E> {
        Ok(YamlValue::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<YamlValue, E> {
        Ok(YamlValue::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<YamlValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(YamlValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<YamlValue, A::Error> {
        let mut mapping = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            mapping.push(entry);
        }
        Ok(YamlValue::Mapping(mapping))
    }
}

/// Returns a value as messages print it after "got": text in quotes, shortened, with control characters escaped.
impl fmt::Display for YamlValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{}", quoted(text)),
            Self::List(_) => f.write_str("a list"),
            Self::Mapping(_) => f.write_str("a mapping"),
            Self::Any => f.write_str("any value"),
        }
    }
}

/// Returns a text in quotes, shortened, with control characters escaped.
pub(super) fn quoted(text: &str) -> String {
    let shown: String = text.chars().take(LONGEST_SHOWN).collect();
    let rest = if shown.len() < text.len() { "..." } else { "" };
    format!("{shown:?}{rest}")
}

const START: Place = Place { line: 1, column: 1 };

/// Largest number of characters that messages show of a value: recognisable, and short enough for a terminal's line.
const LONGEST_SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree on one line, each node with its place.
    fn outline(node: &Node) -> String {
        let Place { line, column } = node.place;
        match &node.value {
            YamlValue::List(items) => {
                let items: Vec<String> = items.iter().map(outline).collect();
                format!("{line}:{column}[{}]", items.join(" "))
            }
            YamlValue::Mapping(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(k, v)| format!("{}={}", outline(k), outline(v)))
                    .collect();
                format!("{line}:{column}{{{}}}", entries.join(" "))
            }
            scalar => format!("{line}:{column} {scalar}"),
        }
    }

    fn tree(text: &str) -> String {
        match parse(text) {
            Ok(node) => outline(&node),
            Err(SyntaxError { place, reason }) => format!("{place:?} {reason}"),
        }
    }

    #[test]
    fn every_key_and_value_has_its_place() {
        assert_eq!(
            tree("# note\na: 1\nb:\n  - x\n  - {c: off, d: [true]}\n"),
            "2:1{2:1 \"a\"=2:4 1 3:1 \"b\"=4:3[4:5 \"x\" 5:5{5:6 \"c\"=5:9 \"off\" 5:14 \"d\"=5:17[5:18 true]}]}"
        );
    }

    #[test]
    fn only_true_and_false_are_booleans() {
        assert_eq!(
            tree("[true, off, on, yes, No, ~, 010, 1_0, 0x10, 1.5, .inf, '1']"),
            "1:1[1:2 true 1:8 \"off\" 1:13 \"on\" 1:17 \"yes\" 1:22 \"No\" 1:26 nothing 1:29 \"010\" 1:34 \"1_0\" 1:39 16 1:45 1.5 1:50 \".inf\" 1:56 \"1\"]"
        );
    }

    #[test]
    fn repeated_keys_are_kept() {
        assert_eq!(tree("a: 1\na: 2\n"), "1:1{1:1 \"a\"=1:4 1 2:1 \"a\"=2:4 2}");
    }

    #[test]
    fn aliases_and_merges_stand_where_they_were_written() {
        assert_eq!(
            tree("a: &x {k: 1}\nb: *x\nc:\n  <<: *x\n  m: 2\n"),
            "1:1{1:1 \"a\"=1:7{1:8 \"k\"=1:11 1} 2:1 \"b\"=1:7{1:8 \"k\"=1:11 1} 3:1 \"c\"=4:3{5:3 \"m\"=5:6 2 1:8 \"k\"=1:11 1}}"
        );
    }

    #[test]
    fn an_empty_document_is_null() {
        assert_eq!(tree(""), "1:1 nothing");
        assert_eq!(tree("# only a comment\n"), "1:1 nothing");
    }

    #[test]
    fn a_missing_value_stands_behind_its_key() {
        assert_eq!(tree("a:\nb: 1"), "1:1{1:1 \"a\"=1:2 nothing 2:1 \"b\"=2:4 1}");
        assert_eq!(tree("\u{feff}a:"), "1:1{1:1 \"a\"=1:2 nothing}");
    }

    #[test]
    fn bad_yaml_has_a_place_and_a_reason() {
        let deep = "[".repeat(40);
        for (text, line, column, reason) in [
            ("a: [1\nb: 2", 2, 2, "illegal placement of ':' indicator"),
            ("a: *nowhere", 1, 4, "reference to unknown value"),
            ("a: &a [*a]", 1, 8, "Recursive reference not allowed here"),
            (
                "a: 1\n---\nb: 2\n",
                3,
                1,
                "only single YAML document expected but multiple found",
            ),
            ("a: !thing 1", 1, 11, "unsupported tag `!thing`"),
            ("a: !!int x", 1, 10, "invalid u64"),
            ("a: \u{1}", 1, 4, "unexpected character: `\\u{1}'"),
            (&deep, 1, 33, "recursion limit exceeded"),
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!(error.place, Some(Place { line, column }), "{text}");
            assert_eq!(error.reason, reason, "{text}");
        }
    }
}
