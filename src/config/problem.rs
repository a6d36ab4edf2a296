//! Describes a problem of a configuration file: the place, the setting, the allowed values, and the value found.
//!
//! `decode` makes problems while it reads; the command line and reload print them.

use std::fmt;

/// All problems of one file: at least one, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
}

impl Problems {
    /// Makes the only problem of a file that could not be parsed.
    pub(super) fn single(problem: Problem) -> Self {
        Self { list: vec![problem] }
    }

    /// Sorts the problems of a file by place. The caller has at least one.
    pub(super) fn sorted(mut list: Vec<Problem>) -> Self {
        list.sort_by(|a, b| (a.place, &a.path, &a.message).cmp(&(b.place, &b.path, &b.message)));
        Self { list }
    }

    /// Returns the problems, in the order of the file.
    #[must_use]
    pub fn as_slice(&self) -> &[Problem] {
        &self.list
    }
}

/// Prints one line per problem, without a newline at the end.
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, as named to [`read`](super::read()) or [`parse`](super::parse()).
    pub file: Box<str>,
    /// The place in the file; `None` for a problem of the whole file.
    pub place: Option<Place>,
    /// The setting, `routes[1].push.max_promises`; empty if the whole document is meant.
    pub path: Box<str>,
    /// The allowed values and the value found, on one line.
    pub message: Box<str>,
}

impl Problem {
    /// Makes a problem; puts a message that quotes the file on one line.
    pub(super) fn new(file: &str, place: Option<Place>, path: &str, message: &str) -> Self {
        Self {
            file: file.into(),
            place,
            path: path.into(),
            message: one_line(message).into(),
        }
    }
}

fn one_line(message: &str) -> String {
    let mut line = String::with_capacity(message.len());
    for character in message.chars() {
        if character.is_control() {
            line.extend(character.escape_debug());
        } else {
            line.push(character);
        }
    }
    line
}

/// Prints `conf/edge.yaml:12:9: routes[1].push.max_promises: must be 1 to 100, got 0`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(place) = self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}

/// A place in a file; both numbers start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: u64,
    /// Column, in characters.
    pub column: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(place: Option<(u64, u64)>, path: &str) -> Problem {
        Problem {
            file: "a.yaml".into(),
            place: place.map(|(line, column)| Place { line, column }),
            path: path.into(),
            message: "is bad".into(),
        }
    }

    #[test]
    fn a_problem_prints_what_it_knows() {
        assert_eq!(problem(Some((3, 7)), "x.y").to_string(), "a.yaml:3:7: x.y: is bad");
        assert_eq!(problem(Some((3, 7)), "").to_string(), "a.yaml:3:7: is bad");
        assert_eq!(problem(None, "").to_string(), "a.yaml: is bad");
    }

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let problem = Problem::new("a.yaml", None, "", "must be one of (a\n\u{7f}b), got \"ü\"");
        assert_eq!(&*problem.message, "must be one of (a\\n\\u{7f}b), got \"ü\"");
    }

    #[test]
    fn problems_come_in_the_order_of_the_file() {
        let problems = Problems::sorted(vec![
            problem(Some((10, 1)), "b"),
            problem(Some((9, 8)), "c"),
            problem(Some((9, 8)), "a"),
        ]);
        let paths: Vec<&str> = problems.as_slice().iter().map(|p| &*p.path).collect();
        assert_eq!(paths, ["a", "c", "b"]);
        assert_eq!(
            problems.to_string(),
            "a.yaml:9:8: a: is bad\na.yaml:9:8: c: is bad\na.yaml:10:1: b: is bad"
        );
    }
}
