//! Prepares and describes the machine: assigns processors, raises the limit on open files, names the processor.

use std::{fs, process::Command};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Pins this process (load and origin) to all processors but the last, and returns the beginning of a server's command,
/// which pins the server to the last. Pins nothing on a machine of one processor.
///
/// Must be called before any thread is started, since threads inherit the setting.
pub(crate) fn share_processors() -> Vec<String> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let Some(others) = processors.checked_sub(2) else {
        return Vec::new();
    };
    let mine = Command::new("taskset")
        .args(["-c", "-p", &format!("0-{others}"), &std::process::id().to_string()])
        .output();
    match mine {
        Ok(output) if output.status.success() => ["taskset", "-c", &(processors - 1).to_string()]
            .map(str::to_owned)
            .to_vec(),
        _ => {
            eprintln!("taskset does not work here: servers, load and origin share the processors");
            Vec::new()
        }
    }
}

/// Raises the limit on open files of this process and its children. Returns the limit that holds if it is lower.
pub(crate) fn allow_files(wanted: u64) -> Result<(), u64> {
    let limit = getrlimit(Resource::Nofile);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    if enough(limit.current) {
        return Ok(());
    }
    // Only root may raise the maximum.
    let maximum = if enough(limit.maximum) {
        limit.maximum
    } else {
        Some(wanted)
    };
    let raised = Rlimit {
        current: Some(wanted),
        maximum,
    };
    setrlimit(Resource::Nofile, raised).map_err(|_| limit.maximum.unwrap_or(wanted))
}

/// Returns the processor, the number of processors, and the kernel.
pub(crate) fn description() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models: Vec<&str> = processors
        .lines()
        .filter_map(|line| Some(line.strip_prefix("model name")?.trim_start_matches(['\t', ' ', ':'])))
        .collect();
    let model = models.first().copied().unwrap_or("processor unknown");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} × {model}, Linux {}", models.len().max(1), kernel.trim())
}
