//! Reads the CPU time and memory of a server's process and its descendants from `/proc`.

use std::{collections::HashMap, fs};

/// CPU time, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cpu {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl Cpu {
    /// Returns the difference to an earlier reading.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
        }
    }
}

/// Resident memory, bytes. Pages that processes share count for each process.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Resident {
    pub(crate) now: u64,
    /// The sum of the peaks of all processes.
    pub(crate) peak: u64,
}

/// Returns the CPU time of a process and its descendants, ended ones included.
pub(crate) fn cpu(root: u32) -> Cpu {
    // Fields 14 to 17 of stat: user and system time, and those of ended children. `stat` returns fields from the third
    // on, since the second, a name, may have spaces.
    let times = tree(root).into_iter().filter_map(|pid| {
        let stat = stat(pid)?;
        let fields: Vec<f64> = stat
            .split_whitespace()
            .skip(11)
            .take(4)
            .map_while(|field| field.parse().ok())
            .collect();
        <[f64; 4]>::try_from(fields).ok()
    });
    times.fold(Cpu::default(), |sum, [user, system, children_user, children_system]| {
        Cpu {
            user: sum.user + (user + children_user) / TICKS_PER_SECOND,
            system: sum.system + (system + children_system) / TICKS_PER_SECOND,
        }
    })
}

/// Returns the resident memory of a process and its descendants.
pub(crate) fn resident(root: u32) -> Resident {
    tree(root).into_iter().fold(Resident::default(), |sum, pid| {
        let one = resident_alone(pid);
        Resident {
            now: sum.now + one.now,
            peak: sum.peak + one.peak,
        }
    })
}

/// Returns the resident memory of this process, bytes. Cheap, since no other process is read.
pub(crate) fn own_resident() -> u64 {
    resident_alone(std::process::id()).now
}

/// Returns the resident memory of one process; zeros if the process has ended.
fn resident_alone(pid: u32) -> Resident {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let bytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        number.unwrap_or_default() * 1024
    };
    Resident {
        now: bytes("VmRSS:"),
        peak: bytes("VmHWM:"),
    }
}

/// Resets the peaks of a process and its descendants to the memory that is resident now.
pub(crate) fn forget_peak(root: u32) {
    for pid in tree(root) {
        // proc(5): "5" resets VmHWM.
        let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
    }
}

/// Returns a process and its descendants.
fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let parent = stat(pid).and_then(|stat| stat.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found
}

/// Returns the fields of a process's stat from the third on; `None` if the process has ended.
fn stat(pid: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')').map(|(_, fields)| fields.to_owned())
}

/// Linux reports times of processes in ticks of 1/100 s to user space, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;
