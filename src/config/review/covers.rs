//! Compares patterns of paths, and finds globs among them. Pure.
//!
//! Whether one regular expression matches all that another one matches is hard to say in general. Here a yes is certain,
//! and a no means that the beginnings of the patterns do not tell.

use regex::Regex;

/// Returns whether the first pattern surely matches every path that the second one matches. `None` is no pattern, which
/// matches every path; each path begins with a slash.
pub(super) fn path(first: Option<&Regex>, second: Option<&Regex>) -> bool {
    let Some(first) = first else { return true };
    if second.is_some_and(|second| second.as_str() == first.as_str()) {
        return true;
    }
    let second = second
        .and_then(|second| Plain::read(second.as_str()))
        .unwrap_or_default();
    if second.is_exact() {
        return first.is_match(&second.literal);
    }
    let Some(first) = Plain::read(first.as_str()) else {
        return false;
    };
    if !matches!(first.rest, "" | ".*" | ".*$") {
        return false;
    }
    match first.literal.as_str() {
        "" | "/" => true,
        literal if first.is_anchored => second.is_anchored && second.literal.starts_with(literal),
        literal => second.literal.contains(literal),
    }
}

/// A pattern that begins with plain characters: `^/blog/.*` is `/blog/` and the rest `.*`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plain<'p> {
    is_anchored: bool,
    literal: String,
    rest: &'p str,
}

impl<'p> Plain<'p> {
    /// Reads a pattern; `None` if it has alternatives, so that its beginning need not be matched.
    fn read(pattern: &'p str) -> Option<Self> {
        if has_alternatives(pattern) {
            return None;
        }
        let is_anchored = pattern.starts_with('^');
        let mut rest = pattern.strip_prefix('^').unwrap_or(pattern);
        let mut literal = String::new();
        while let Some((character, after)) = plain_character(rest) {
            if after.starts_with(['?', '*', '+', '{']) {
                break;
            }
            literal.push(character);
            rest = after;
        }
        Some(Self {
            is_anchored,
            literal,
            rest,
        })
    }

    /// Returns whether the pattern matches the literal and nothing else.
    fn is_exact(&self) -> bool {
        self.is_anchored && self.rest == "$"
    }
}

/// Returns the first character of a pattern if that stands for itself, and the rest of the pattern.
fn plain_character(pattern: &str) -> Option<(char, &str)> {
    let mut characters = pattern.chars();
    let character = match characters.next()? {
        '\\' => characters.next().filter(char::is_ascii_punctuation)?,
        special if r"^$.|?*+()[]{}".contains(special) => return None,
        plain => plain,
    };
    Some((character, characters.as_str()))
}

/// Returns whether a pattern has a `|` outside of groups.
fn has_alternatives(pattern: &str) -> bool {
    let (mut depth, mut is_class, mut is_escaped) = (0_usize, false, false);
    for character in pattern.chars() {
        match character {
            _ if is_escaped => {
                is_escaped = false;
                continue;
            }
            '\\' => is_escaped = true,
            '[' => is_class = true,
            ']' => is_class = false,
            '(' if !is_class => depth += 1,
            ')' if !is_class => depth = depth.saturating_sub(1),
            '|' if !is_class && depth == 0 => return true,
            _ => {}
        }
    }
    false
}

/// Returns what a pattern means that looks like a glob, and what to write instead.
pub(super) fn looks_like_glob(pattern: &str) -> Option<String> {
    let (before, after) = pattern.split_once('*')?;
    let last = before.chars().next_back()?;
    // `[a-z]*`, `(a|b)*`, `.*`, `\d*` are no globs, nor is what has anchors, groups or classes elsewhere.
    let is_regex = |c: char| r"()[]{}+\|$".contains(c);
    if !(last == '/' || last.is_ascii_alphanumeric()) || pattern.contains(is_regex) || after.starts_with('?') {
        return None;
    }
    let below = before.trim_start_matches('^');
    let instead = if last == '/' && after.trim_start_matches('*').is_empty() {
        format!("^{below}")
    } else {
        let end = after.trim_start_matches('*').replace('.', "\\.");
        format!("^{below}.*{end}$")
    };
    Some(format!(
        "a regular expression, in which {last}* is any number of {last}, so {pattern:?} may match more than it is meant \
         to; as a glob it would be {instead:?}"
    ))
}
