//! Hostile HTTP/1.1 requests, read by linkpush as strictly as by those servers that it stands in for.
//!
//! `table` has the requests, `servers` starts linkpush, nginx and HAProxy in front of origins that count (`recorder`),
//! `outcome` is what became of a request. `docs/understand/hostile-requests.md` (`document`) is written by
//! `UPDATE_DOCS=1 cargo test --test it differential`.

mod document;
mod outcome;
mod recorder;
mod servers;
mod table;

use std::{
    collections::BTreeSet,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use outcome::Outcome;
use servers::Server;
use table::Case;

use crate::support::{missing, program};

/// Fewer cases would leave out kinds of requests.
const CASES: usize = 150;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_requests_are_refused_where_the_peers_refuse_them() {
    let cases = Arc::new(table::cases());
    let names: BTreeSet<_> = cases.iter().map(|case| (&case.group, &case.name)).collect();
    assert!(names.len() >= CASES, "{} cases", names.len());
    assert_eq!(names.len(), cases.len(), "each has a name of its own");
    let (linkpush, nginx, haproxy) = tokio::join!(
        async { all(&cases, servers::linkpush().await).await },
        async {
            installed("nginx")?;
            Some(all(&cases, servers::nginx().await).await)
        },
        async {
            installed("haproxy")?;
            Some(all(&cases, servers::haproxy().await).await)
        },
    );
    let peers = nginx.zip(haproxy);
    let mut wrong = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let outcome = linkpush[at];
        let told = format!("{}: {}: {outcome}", case.group, case.name);
        if outcome.passed > case.most {
            wrong.push(format!("{told}, where an origin may see {} at most", case.most));
        }
        if let Some((nginx, haproxy)) = &peers
            && nginx[at].is_refusal()
            && haproxy[at].is_refusal()
            && !outcome.is_refusal()
        {
            wrong.push(format!(
                "{told}, where nginx has {} and HAProxy {}",
                nginx[at], haproxy[at]
            ));
        }
    }
    wrong.extend(document::check(&cases, &linkpush, peers.as_ref()));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Sends all cases to a server, one after another on each of its lanes; returns what became of them, in their order.
async fn all(cases: &Arc<Vec<Case>>, server: Server) -> Vec<Outcome> {
    let next = Arc::new(AtomicUsize::new(0));
    let lanes: Vec<_> = server
        .lanes
        .into_iter()
        .map(|lane| {
            let (cases, next) = (Arc::clone(cases), Arc::clone(&next));
            tokio::spawn(async move {
                let mut outcomes = Vec::new();
                loop {
                    let at = next.fetch_add(1, Ordering::SeqCst);
                    let Some(case) = cases.get(at) else { return outcomes };
                    outcomes.push((at, Outcome::of(case, &lane).await));
                }
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for lane in lanes {
        outcomes.extend(lane.await.expect("a lane that came to its end"));
    }
    outcomes.sort_unstable_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

/// Whether a peer is there, which is said if it is not.
fn installed(program: &str) -> Option<()> {
    let version = Command::new(program).arg("-v").env("PATH", program::path()).output();
    if version.is_err() {
        missing(program);
    }
    version.ok().map(drop)
}
