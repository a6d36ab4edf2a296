//! Collects problems while a file is read.

use std::path::{Path, PathBuf};

use super::{
    problem::{Place, Problem, Problems},
    shape::Shape,
};

/// The problems found so far in one file.
#[derive(Debug)]
pub(super) struct Findings<'f> {
    file: &'f str,
    problems: Vec<Problem>,
    /// The shapes of values, if readers describe what they allow.
    shapes: Vec<(String, Shape)>,
    /// Paths of known keys that the file does not set, for the test that `edge.yaml` sets all.
    #[cfg(test)]
    pub(super) unset: Vec<String>,
}

/// Proof that a problem was reported. Only reporting makes a `Reported`, so no part of the result is missing without a
/// problem.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported(());

impl<'f> Findings<'f> {
    /// Makes an empty collection; `file` is the name of the file in problems.
    pub(super) fn new(file: &'f str) -> Self {
        Self {
            file,
            problems: Vec::new(),
            shapes: Vec::new(),
            #[cfg(test)]
            unset: Vec::new(),
        }
    }

    /// Returns the result if there are no problems, else the problems.
    pub(super) fn finish<T>(self, result: Result<T, Reported>) -> Result<T, Problems> {
        match result {
            Ok(whole) if self.problems.is_empty() => Ok(whole),
            Ok(_) | Err(Reported(())) => Err(Problems::sorted(self.problems)),
        }
    }

    /// The folder of the file, from which relative paths in the file start.
    pub(super) fn folder(&self) -> PathBuf {
        Path::new(self.file).parent().map_or_else(PathBuf::new, Into::into)
    }

    /// Adds the shape of a setting's values, and fails: there is no value to read.
    pub(super) fn describe(&mut self, path: &str, shape: Shape) -> Reported {
        self.shapes.push((path.to_owned(), shape));
        Reported(())
    }

    /// Returns the shapes that readers have described.
    pub(super) fn into_shapes(self) -> Vec<(String, Shape)> {
        self.shapes
    }

    /// Adds a problem.
    pub(super) fn report(&mut self, place: Place, path: &str, message: &str) -> Reported {
        self.problems.push(Problem::new(self.file, Some(place), path, message));
        Reported(())
    }
}
