//! Attacks that HTTP/2 servers had to learn of, and clients that only look like them.
//!
//! `list` has the attacks, `attacker` carries their frames, `measure` runs one against an edge of its own and measures
//! memory, processor time and another client's latency; `patterns` has what must not be cut. The whole table:
//! `cargo test --release --test it attack_table -- --ignored --nocapture`.

mod attacker;
mod list;
mod measure;
mod patterns;

use std::time::Duration;

use attacker::CALM;
use list::{FLOODS, HEADERS_AND_TABLES, RESETS, WAITING};
use measure::{Attack, Row, Scene, run};

/// How long an edge is looked at after an attack.
const WINDOW: Duration = Duration::from_secs(1);

/// In a soak.
const LONG_WINDOW: Duration = Duration::from_secs(3);

/// Runs attacks at a time, and tells what any of them did that it must not.
async fn all(attacks: &'static [Attack]) {
    let running: Vec<_> = attacks
        .iter()
        .map(|attack| tokio::spawn(async move { run(attack, 1, WINDOW).await.problems(attack, 1) }))
        .collect();
    let mut problems = Vec::new();
    for (attack, row) in attacks.iter().zip(running) {
        match row.await {
            Ok(more) => problems.extend(more),
            Err(e) => problems.push(format!("{}: {e}", attack.name)),
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[tokio::test]
async fn resets_of_either_side_end_the_connection_and_harm_nobody() {
    all(RESETS).await;
}

#[tokio::test]
async fn floods_of_frames_end_the_connection_and_harm_nobody() {
    all(FLOODS).await;
}

#[tokio::test]
async fn header_blocks_and_tables_cost_a_bounded_part_of_memory() {
    all(HEADERS_AND_TABLES).await;
}

#[tokio::test]
async fn clients_that_take_or_send_nothing_cost_a_bounded_part_of_memory_and_no_processor() {
    all(WAITING).await;
}

/// Heavier, one after another, each with its line of the table. `ATTACK` chooses those whose name contains it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: the table"]
async fn attack_table() {
    const SCALE: usize = 10;
    let chosen = std::env::var("ATTACK").unwrap_or_default();
    let mut problems = Vec::new();
    eprintln!("{}", Row::heading());
    for attack in [RESETS, FLOODS, HEADERS_AND_TABLES, WAITING].concat() {
        if attack.name.contains(&chosen) {
            let row = run(&attack, SCALE, LONG_WINDOW).await;
            eprintln!("{}", row.line());
            problems.extend(row.problems(&attack, SCALE));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Memory that an attack leaves behind is used by the next one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes"]
async fn attacks_that_are_repeated_do_not_add_up() {
    const MORE: usize = 12 << 20;
    let chosen = std::env::var("ATTACK").unwrap_or_default();
    let mut problems = Vec::new();
    for attack in [RESETS, FLOODS, HEADERS_AND_TABLES, WAITING].concat() {
        if !attack.name.contains(&chosen) {
            continue;
        }
        let scene = Scene::start(&attack).await;
        let mut peaks = Vec::new();
        for _ in 0..4 {
            let row = scene.run(&attack, 2, WINDOW).await;
            problems.extend(row.problems(&attack, 2));
            peaks.push(row.memory[1]);
        }
        eprintln!(
            "{}: {:?} KB",
            attack.name,
            peaks.iter().map(|peak| peak / 1000).collect::<Vec<_>>()
        );
        if peaks[3] > peaks[1] + MORE {
            problems.push(format!("{}: peaks of {peaks:?} bytes", attack.name));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}
