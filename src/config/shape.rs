//! Describes the values that a reader allows. Pure.
//!
//! A reader that is given no value adds a shape to the findings, by the same code and bounds by which it reads one. So
//! the schema knows every key and range from the readers alone.

/// The values that a setting may have, or one fact about them. Several shapes at one path are alternatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing (`~`).
    Null,
    /// One of these words.
    Words(Vec<&'static str>),
    /// An integer between two bounds, inclusive.
    Integer([i64; 2]),
    /// A number from 0 to 1.
    Share,
    /// A text, with the allowed values as problems name them.
    Text(String),
    /// A whole number with a unit: the allowed values, and the units as a regular expression.
    Quantity(String, &'static str),
    /// A list, whose items are at the path with `[]`; the allowed values.
    List(String),
    /// A mapping with these keys.
    Mapping(&'static [&'static str]),
    /// A mapping of names, whose values are at the path with `.*`; the allowed values.
    Names(String),
    /// The list or mapping at this path may not be empty.
    NonEmpty,
    /// The mapping at this path must have this key.
    Required(String),
}
