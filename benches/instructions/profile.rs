//! Parses callgrind's files: the instructions of each function by source file, and the calls between functions.
//!
//! The format is in valgrind's manual, "Callgrind Format Specification". A name is written once, and then referred to
//! by its number. Inlined code counts for the function that contains it, with the source file of the inlined code.

use std::collections::HashMap;

use super::share::Owner;

/// One file of counts.
#[derive(Debug, Default)]
pub(crate) struct Profile {
    /// All instructions.
    pub(crate) total: u64,
    /// Functions by callgrind's numbers, which all files of one process share.
    pub(crate) functions: HashMap<u32, Function>,
    pub(crate) calls: HashMap<Edge, Calls>,
}

/// A function, without the functions that it calls.
#[derive(Debug, Default)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Instructions by the owner of their source file, in the order of [`Owner`].
    pub(crate) own: [u64; 3],
}

/// A caller, the owner of the calling source file, and a callee.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Edge {
    pub(crate) caller: u32,
    pub(crate) owner: Owner,
    pub(crate) callee: u32,
}

/// The number of calls, and their instructions with all further calls.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Calls {
    pub(crate) number: u64,
    pub(crate) inclusive: u64,
    /// The part of `inclusive` that moves a large value into a box.
    pub(crate) boxing: u64,
}

impl Profile {
    /// Parses a file; `None` if the file does not count instructions by source line.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut profile = Self::default();
        let mut files: HashMap<u32, (Owner, bool)> = HashMap::new();
        let (mut function, mut callee) = (0, 0);
        let (mut owner, mut boxes) = (Owner::Shared, false);
        // The number of calls whose cost is in the next line.
        let mut called: Option<u64> = None;
        for line in text.lines() {
            if line.starts_with(|c: char| c.is_ascii_digit() || "+-*".contains(c)) {
                let cost: u64 = line
                    .split_whitespace()
                    .nth(1)
                    .map_or(Some(0), |cost| cost.parse().ok())?;
                if let Some(number) = called.take() {
                    let edge = Edge {
                        caller: function,
                        owner,
                        callee,
                    };
                    let calls = profile.calls.entry(edge).or_default();
                    calls.number += number;
                    calls.inclusive += cost;
                    if boxes && cost > number * LARGE {
                        calls.boxing += cost;
                    }
                } else {
                    let own = &mut profile.functions.entry(function).or_default().own;
                    *own.get_mut(owner as usize)? += cost;
                    profile.total += cost;
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=') else {
                let events = line.strip_prefix("events: ");
                if events.is_some_and(|events| events.trim() != "Ir") {
                    return None;
                }
                continue;
            };
            match key {
                "fl" | "fi" | "fe" | "cfl" | "cfi" => {
                    let (number, name) = reference(value)?;
                    if let Some(name) = name {
                        files.insert(number, (Owner::of(name), name.ends_with(BOXES)));
                    }
                    if !key.starts_with('c') {
                        (owner, boxes) = *files.get(&number)?;
                    }
                }
                "fn" | "cfn" => {
                    let (number, name) = reference(value)?;
                    if let Some(name) = name {
                        name.clone_into(&mut profile.functions.entry(number).or_default().name);
                    }
                    *(if key == "fn" { &mut function } else { &mut callee }) = number;
                }
                "calls" => called = Some(value.split_whitespace().next()?.parse().ok()?),
                _ => {}
            }
        }
        (profile.total > 0).then_some(profile)
    }

    /// Returns the number of allocations by libc or mimalloc, without an allocator's calls of its own functions.
    pub(crate) fn allocations(&self) -> u64 {
        let name = |number| {
            self.functions
                .get(&number)
                .map_or("", |function| function.name.as_str())
        };
        let calls = self.calls.iter();
        let calls = calls.filter(|(edge, _)| allocates(name(edge.callee)) && !is_allocator(name(edge.caller)));
        calls.map(|(_, calls)| calls.number).sum()
    }
}

/// Parses a reference: `(12) name`, or `(12)` once the name is known.
fn reference(value: &str) -> Option<(u32, Option<&str>)> {
    let (number, name) = value.strip_prefix('(')?.split_once(')')?;
    let name = name.strip_prefix(' ');
    Some((number.parse().ok()?, name))
}

/// The source file of the standard library that moves values into boxes.
const BOXES: &str = "/alloc/src/boxed.rs";

/// Instructions of a call from that file beyond which the call moves a large value. The processor has one instruction
/// for such a move, of which callgrind counts one for each byte; moves of small values take less than a hundred.
const LARGE: u64 = 1024;

fn allocates(function: &str) -> bool {
    let function = function.strip_prefix("mi_").unwrap_or(function);
    let function = function.strip_suffix("_aligned").unwrap_or(function);
    ["malloc", "zalloc", "calloc", "realloc", "posix_memalign"].contains(&function)
}

fn is_allocator(function: &str) -> bool {
    function.starts_with("mi_") || function.starts_with("_mi_") || allocates(function)
}
