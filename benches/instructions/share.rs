//! Computes the part of HTTP/2 in linkpush's instructions.
//!
//! An instruction belongs to HTTP/2 if its source file is in `src/h2` or `src/hpack`, in the h2 crate or in a crate of
//! HPACK. The rest of linkpush's sources and Pingora's crates do not belong. All other code (std, allocator, bytes,
//! http, tokio, libc) is shared: inlined code is divided like the other instructions of its function, and called code
//! like the calls of its callers. So tokio's scheduler and poller, which nothing calls, do not belong to HTTP/2; reads
//! and writes of the client's socket, the start of a request's task, and header maps that HTTP/2 builds do. The move of
//! the request's future into its box is left out: the future is Pingora's and has 14 KB, and callgrind counts an
//! instruction for each byte.

use std::collections::HashMap;

use super::profile::{Calls, Edge, Profile};

/// The owner of a source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Http2,
    /// linkpush without HTTP/2, and Pingora.
    Rest,
    /// Code that counts for its callers.
    Shared,
}

impl Owner {
    /// Returns the owner of a file, by the path that the compiler was given.
    pub(crate) fn of(file: &str) -> Self {
        if file.starts_with("/rust") || !file.ends_with(".rs") {
            return Self::Shared;
        }
        let in_registry = file
            .split_once("/registry/src/")
            .and_then(|(_, rest)| rest.split('/').nth(1));
        match in_registry {
            Some(name) if name.starts_with("h2-") || name.contains("hpack") => Self::Http2,
            Some(name) if name.starts_with("pingora") => Self::Rest,
            Some(_) => Self::Shared,
            None if file.contains("src/h2/") || file.contains("src/hpack/") => Self::Http2,
            None => Self::Rest,
        }
    }
}

/// Instructions of HTTP/2 by function, without the functions that each calls.
pub(crate) type Shares = HashMap<String, f64>;

/// Returns the instructions that belong to HTTP/2.
pub(crate) fn of_http2(profile: &Profile) -> Shares {
    let known: HashMap<u32, f64> = profile
        .functions
        .iter()
        .filter_map(|(number, function)| {
            let [http2, rest, _] = function.own.map(|own| own as f64);
            (http2 + rest > 0.0).then(|| (*number, http2 / (http2 + rest)))
        })
        .collect();
    let mut callers: HashMap<u32, Vec<(Edge, Calls)>> = HashMap::new();
    for (edge, calls) in &profile.calls {
        if !known.contains_key(&edge.callee) && edge.caller != edge.callee {
            callers.entry(edge.callee).or_default().push((*edge, *calls));
        }
    }
    let mut shares = known;
    for _ in 0..LONGEST_CHAIN {
        for (callee, edges) in &callers {
            let (mut http2, mut all) = (0.0, 0.0);
            for (edge, calls) in edges {
                http2 += calls.inclusive.saturating_sub(calls.boxing) as f64
                    * match edge.owner {
                        Owner::Http2 => 1.0,
                        Owner::Rest => 0.0,
                        Owner::Shared => shares.get(&edge.caller).copied().unwrap_or_default(),
                    };
                all += calls.inclusive as f64;
            }
            shares.insert(*callee, if all > 0.0 { http2 / all } else { 0.0 });
        }
    }
    let mut by_name = Shares::new();
    for (number, function) in &profile.functions {
        let [http2, _, shared] = function.own.map(|own| own as f64);
        let part = shared.mul_add(shares.get(number).copied().unwrap_or_default(), http2);
        *by_name.entry(function.name.clone()).or_default() += part;
    }
    by_name
}

/// Returns the difference of two loads, for each of the `number` requests by which they differ.
pub(crate) fn difference(once: &Shares, twice: &Shares, number: f64) -> Shares {
    let names = twice.iter();
    let each = names.map(|(name, part)| {
        let before = once.get(name).copied().unwrap_or_default();
        (name.clone(), (part - before) / number)
    });
    each.collect()
}

/// Rounds of the computation: shares settle after as many rounds as the longest chain of shared functions that call one
/// another, which is shorter.
const LONGEST_CHAIN: usize = 64;
