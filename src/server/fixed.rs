//! Keeps the settings that take a restart at their values of the start.

use crate::config::Config;

/// Sets the settings of `new` that take a restart back to their value in `old`; returns the names of those that
/// differed.
pub(super) fn keep_fixed(old: &Config, new: &mut Config) -> Vec<String> {
    let mut kept = Vec::new();
    let mut keep = |name: &str, differs: bool| {
        if differs {
            kept.push(name.to_owned());
        }
    };
    keep("server.threads", old.server.threads != new.server.threads);
    keep("server.manifests", old.server.manifests != new.server.manifests);
    keep("server.cache", old.server.cache != new.server.cache);
    keep("server.admin", old.server.admin != new.server.admin);
    keep("server.metrics", old.server.metrics != new.server.metrics);
    keep("server.pid_file", old.server.pid_file != new.server.pid_file);
    keep(
        "server.graceful_timeout",
        old.server.graceful_timeout != new.server.graceful_timeout,
    );
    keep(
        "server.idle_origin_connections",
        old.server.idle_origin_connections != new.server.idle_origin_connections,
    );
    let addresses = |config: &Config| config.listeners.iter().map(|l| l.address).collect::<Vec<_>>();
    keep("listeners[].address", addresses(old) != addresses(new));
    new.server.threads = old.server.threads;
    new.server.manifests.clone_from(&old.server.manifests);
    new.server.cache = old.server.cache;
    new.server.admin.clone_from(&old.server.admin);
    new.server.metrics = old.server.metrics;
    new.server.pid_file.clone_from(&old.server.pid_file);
    new.server.graceful_timeout = old.server.graceful_timeout;
    new.server.idle_origin_connections = old.server.idle_origin_connections;
    // The listeners keep their order; each gets its new settings, or its old ones if the file no longer has it.
    let mut changed = std::mem::take(&mut new.listeners);
    new.listeners = old
        .listeners
        .iter()
        .map(|listener| {
            let found = changed.iter().position(|new| new.address == listener.address);
            found.map_or_else(|| listener.clone(), |index| changed.remove(index))
        })
        .collect();
    kept
}
