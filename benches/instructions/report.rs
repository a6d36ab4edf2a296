//! Reports the results: tables on the terminal, and a JSON file.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    contestant::{LINKPUSH, OTHER},
    measure::Work,
    share::Shares,
    support::figures,
};

/// The figures of one round of one kind of work of one contestant, for each request or page.
#[derive(Debug)]
pub(crate) struct Figure {
    pub(crate) instructions: f64,
    pub(crate) allocations: f64,
    /// Instructions of HTTP/2 by function.
    pub(crate) http2: Option<Shares>,
    /// Whether the client had to request the assets.
    pub(crate) asked: bool,
}

/// All rounds of one kind of work of one contestant.
#[derive(Debug, Default)]
pub(crate) struct Cell {
    figures: Vec<Figure>,
    problem: Option<String>,
}

impl Cell {
    /// Adds a round. A problem in one round voids the cell.
    pub(crate) fn add(&mut self, figure: Result<Figure, String>) {
        match figure {
            Ok(figure) => self.figures.push(figure),
            Err(problem) => self.problem = Some(problem),
        }
    }

    fn values(&self, of: fn(&Figure) -> Option<f64>) -> Vec<f64> {
        let usable = self.figures.iter().filter(|_| self.problem.is_none());
        usable.filter_map(of).collect()
    }
}

/// A line of a table.
struct Line {
    title: String,
    /// The values of the rounds, by contestant.
    values: Vec<Vec<f64>>,
    /// Whether a contestant pushed nothing, by contestant.
    asked: Vec<bool>,
}

/// Prints the tables, and writes `target/bench-instructions.json`.
pub(crate) fn print(works: &[Work], names: &[String], columns: &[Vec<Cell>], beside: Option<&Path>) {
    let instructions = lines(works, columns, |figure| Some(figure.instructions));
    let http2 = lines(works, columns, |figure| Some(figure.http2.as_ref()?.values().sum()));
    let mut all = Vec::new();
    for (work, (line, mut part)) in works.iter().zip(instructions.into_iter().zip(http2)) {
        all.push(line);
        if *work == Work::OneKb && part.values.iter().any(|rounds| !rounds.is_empty()) {
            HTTP2.clone_into(&mut part.title);
            all.push(part);
        }
    }
    println!(
        "Instructions of user space a request or page:\n\n{}",
        table(names, &all)
    );
    if all.iter().any(|line| line.asked.contains(&true)) {
        println!("† does not push: the client asked for the assets");
    }
    if all.iter().any(|line| line.title == HTTP2) {
        println!("{HTTP2}: {RULE}");
    }
    if let Some(beside) = beside {
        println!("{OTHER}: {}", beside.display());
    }
    for (name, column) in names.iter().zip(columns) {
        for (work, cell) in works.iter().zip(column) {
            if let Some(problem) = &cell.problem {
                println!("{name}, {}: {problem}", work.title());
            }
        }
    }
    let allocations = lines(works, columns, |figure| Some(figure.allocations));
    println!("\nAllocations a request or page:\n\n{}", table(names, &allocations));
    figures::write("instructions", &to_json(works, names, columns));
}

fn lines(works: &[Work], columns: &[Vec<Cell>], of: fn(&Figure) -> Option<f64>) -> Vec<Line> {
    let line = |(at, work): (usize, &Work)| {
        let cells: Vec<&Cell> = columns.iter().filter_map(|column| column.get(at)).collect();
        let asked = |cell: &&Cell| cell.figures.iter().any(|figure| figure.asked);
        Line {
            title: work.title().to_owned(),
            values: cells.iter().map(|cell| cell.values(of)).collect(),
            asked: cells.iter().map(asked).collect(),
        }
    };
    works.iter().enumerate().map(line).collect()
}

/// Returns the median of the rounds, if there are any.
fn middle(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| figures::median(values.iter().copied()))
}

/// Returns the range of the rounds in percent of their median; `None` for a single round.
fn spread(values: &[f64]) -> Option<f64> {
    let most = values.iter().copied().reduce(f64::max)?;
    let least = values.iter().copied().reduce(f64::min)?;
    (values.len() > 1).then_some((most - least) / middle(values)? * 100.0)
}

/// Formats a table in Markdown, with the ratio of both builds of linkpush if there are two.
fn table(names: &[String], lines: &[Line]) -> String {
    let two_builds = matches!(names, [first, second, ..] if first == LINKPUSH && second == OTHER);
    let mut cells = vec![vec![String::new()]];
    for head in &mut cells {
        head.extend(names.iter().cloned());
        head.extend(two_builds.then(|| "ratio of the two".to_owned()));
    }
    for line in lines {
        let mut row = vec![line.title.clone()];
        for (values, asked) in line.values.iter().zip(&line.asked) {
            let cell = middle(values).map_or_else(
                || "–".to_owned(),
                |middle| {
                    let spread = spread(values).map_or_else(String::new, |spread| format!(" ({spread:.1} %)"));
                    format!("{}{spread}{}", grouped(middle), if *asked { " †" } else { "" })
                },
            );
            row.push(cell);
        }
        if let (true, [first, second, ..]) = (two_builds, line.values.as_slice()) {
            let ratio = middle(first).zip(middle(second)).map(|(first, second)| first / second);
            row.push(ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.3}")));
        }
        cells.push(row);
    }
    let width = |column: usize| {
        let cells = cells.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let mut text = String::new();
    for (number, row) in cells.iter().enumerate() {
        for (column, cell) in row.iter().enumerate() {
            let width = width(column);
            text += &if column == 0 {
                format!("| {cell:<width$} |")
            } else {
                format!(" {cell:>width$} |")
            };
        }
        text.push('\n');
        if number == 0 {
            text += &format!("|---|{}\n", "--:|".repeat(row.len() - 1));
        }
    }
    text
}

/// Formats a number with commas (`106,000`), and with one decimal below 100.
fn grouped(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns all results as JSON.
fn to_json(works: &[Work], names: &[String], columns: &[Vec<Cell>]) -> Value {
    let figure = |figure: &Figure| {
        json!({
            "instructions": figure.instructions,
            "allocations": figure.allocations,
            "http2": figure.http2.as_ref().map(|shares| shares.values().sum::<f64>()),
            "http2_functions": figure.http2.as_ref().map(most),
            "assets_asked_for": figure.asked,
        })
    };
    let row = |(at, work): (usize, &Work)| {
        let cells = columns.iter().zip(names).filter_map(|(column, name)| {
            let cell = column.get(at)?;
            let rounds: Vec<Value> = cell.figures.iter().map(figure).collect();
            Some(json!({ "server": name, "rounds": rounds, "problem": cell.problem }))
        });
        json!({ "title": work.title(), "servers": cells.collect::<Vec<Value>>() })
    };
    works.iter().enumerate().map(row).collect()
}

/// Returns the functions with the most instructions of HTTP/2.
fn most(shares: &Shares) -> Vec<Value> {
    let mut shares: Vec<(&String, &f64)> = shares.iter().collect();
    shares.sort_by(|a, b| b.1.total_cmp(a.1));
    let most = shares.into_iter().take(SHOWN_FUNCTIONS);
    most.map(|(name, part)| json!({ "function": name, "instructions": part }))
        .collect()
}

const HTTP2: &str = "HTTP/2 part of 1 KB";

/// The rule of `share` in brief, printed below the table.
const RULE: &str = "source in src/h2 or src/hpack, the h2 crate or one of HPACK, with its share of std, allocator, bytes, http, tokio\n\
                    and libc (inlined there or called from there); no other code of linkpush, not Pingora, not tokio's scheduler, not the\n\
                    move of Pingora's future of the request into a box.";

const SHOWN_FUNCTIONS: usize = 60;
