//! Reports the results: a table on the terminal, and a JSON file.

use serde_json::{Value, json};

use super::{
    contestant::{Contestant, LINKPUSH},
    support::figures::median,
};

/// One quantity of every contestant.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: &'static str,
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// The figures, in the order of the contestants.
    pub(crate) cells: Vec<Cell>,
}

/// The direction in which figures are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// One quantity of one contestant.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    /// A value for each round; empty if the contestant does not take part, or had a problem.
    pub(crate) values: Vec<f64>,
    pub(crate) standing: Standing,
    pub(crate) problem: Option<String>,
    pub(crate) note: Option<String>,
    pub(crate) details: Value,
}

/// The meaning of a figure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The figure is that of the row's work.
    #[default]
    Own,
    /// The contestant does not push: the client requested the assets.
    Asked,
    /// The contestant has no cache: the figure is that of the same work without a cache.
    Uncached,
}

impl Cell {
    fn median(&self) -> Option<f64> {
        (self.problem.is_none() && !self.values.is_empty()).then(|| median(self.values.iter().copied()))
    }

    fn shown(&self) -> String {
        let Some(median) = self.median() else {
            let word = if self.problem.is_some() { "failed" } else { "–" };
            return word.to_owned();
        };
        let figure = if median >= 100.0 {
            format!("{median:.0}")
        } else {
            format!("{median:.1}")
        };
        match self.standing {
            Standing::Own => figure,
            Standing::Asked => format!("{figure} †"),
            Standing::Uncached => format!("{figure} ‡"),
        }
    }
}

impl Row {
    /// Fills in the figures of the same work without a cache, for contestants without a cache.
    pub(crate) fn complete(&mut self, without_cache: &Self) {
        for (cell, other) in self.cells.iter_mut().zip(&without_cache.cells) {
            if cell.values.is_empty() && cell.problem.is_none() {
                let standing = match other.standing {
                    Standing::Own => Standing::Uncached,
                    other => other,
                };
                *cell = Cell {
                    standing,
                    note: None,
                    ..other.clone()
                };
            }
        }
    }

    /// Returns the best peer at the row's work. Peers that cannot push do not count.
    fn best(&self, contestants: &[Contestant]) -> Option<(usize, f64)> {
        let peers = self.cells.iter().zip(contestants).enumerate();
        let figures = peers.filter(|(_, (cell, contestant))| contestant.is_peer() && cell.standing != Standing::Asked);
        let figures = figures.filter_map(|(at, (cell, _))| Some((at, cell.median()?)));
        match self.better {
            Better::Less => figures.min_by(|a, b| a.1.total_cmp(&b.1)),
            Better::More => figures.max_by(|a, b| a.1.total_cmp(&b.1)),
        }
    }

    fn of(&self, contestants: &[Contestant], name: &str) -> Option<f64> {
        let at = contestants.iter().position(|contestant| contestant.name == name)?;
        self.cells.get(at)?.median()
    }
}

/// Formats a table in Markdown, with notes below.
pub(crate) fn table(rows: &[Row], contestants: &[Contestant], names: &[String]) -> String {
    let mut lines = Vec::new();
    let mut header = vec![String::new()];
    header.extend(names.iter().cloned());
    header.extend([format!("{LINKPUSH} to nginx"), "to the best other".to_owned()]);
    lines.push(header);
    let mut remarks = Vec::new();
    for row in rows {
        let best = row.best(contestants);
        let mut line = vec![format!("{}: {}", row.title, row.unit)];
        for (at, cell) in row.cells.iter().enumerate() {
            let shown = cell.shown();
            let is_best = best.is_some_and(|(best, _)| best == at);
            line.push(if is_best { format!("**{shown}**") } else { shown });
            for remark in cell.problem.iter().chain(&cell.note) {
                let remark = format!("{}, {}: {remark}", names[at], row.title);
                if !remarks.contains(&remark) {
                    remarks.push(remark);
                }
            }
        }
        let ratio = |other: Option<f64>| Some(row.of(contestants, LINKPUSH)? / other?);
        let to_nginx = ratio(row.of(contestants, "nginx"));
        line.push(to_nginx.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}")));
        let to_best = ratio(best.map(|(_, figure)| figure)).zip(best);
        line.push(to_best.map_or_else(
            || "–".to_owned(),
            |(ratio, (at, _))| format!("{ratio:.2} ({})", contestants[at].name),
        ));
        lines.push(line);
    }
    let mut text = aligned(&lines);
    for (standing, says) in [
        (Standing::Asked, "† does not push: the client asked for the assets"),
        (Standing::Uncached, "‡ without a cache: the figure from above"),
    ] {
        let cells = rows.iter().flat_map(|row| &row.cells);
        if cells
            .filter(|cell| cell.median().is_some())
            .any(|cell| cell.standing == standing)
        {
            text += &format!("\n{says}\n");
        }
    }
    for remark in remarks {
        text += &format!("\n{remark}\n");
    }
    text
}

/// Returns all results as JSON.
pub(crate) fn figures(rows: &[Row], contestants: &[Contestant], names: &[String]) -> Value {
    let of_row = |row: &Row| {
        let best = row.best(contestants).map(|(_, figure)| figure);
        let nginx = row.of(contestants, "nginx");
        let cells = row.cells.iter().zip(contestants).zip(names);
        let cells: Vec<Value> = cells
            .map(|((cell, contestant), name)| {
                json!({
                    "server": name,
                    "is_peer": contestant.is_peer(),
                    "median": cell.median(),
                    "all": cell.values,
                    "ratio_to_nginx": cell.median().zip(nginx).map(|(own, nginx)| own / nginx),
                    "ratio_to_best_peer": cell.median().zip(best).map(|(own, best)| own / best),
                    "assets": match cell.standing {
                        Standing::Own => "as the row says",
                        Standing::Asked => "asked for by the client",
                        Standing::Uncached => "without a cache",
                    },
                    "problem": cell.problem,
                    "note": cell.note,
                    "details": cell.details,
                })
            })
            .collect();
        json!({
            "measure": row.key,
            "title": row.title,
            "unit": row.unit,
            "better": if row.better == Better::Less { "less" } else { "more" },
            "servers": cells,
        })
    };
    rows.iter().map(of_row).collect()
}

/// Formats lines of cells as a table in Markdown. The first line is the header; figures are aligned to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        })
        .collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text += &if column == 0 {
                format!("| {cell:<width$} |")
            } else {
                format!(" {cell:>width$} |")
            };
        }
        text.push('\n');
        if number == 0 {
            text += &format!("|---|{}\n", "--:|".repeat(columns.saturating_sub(1)));
        }
    }
    text
}
