//! Checks configuration files (`linkpush check`): prints all of their problems and warnings, and the settings of routes.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};

use serde::Serialize;

use crate::{
    config::{EffectiveRoute, Inspected, Place, Problem, Problems},
    server::unwritable,
};

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration files; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// Print each route with every setting, and where that comes from
    #[arg(long)]
    effective: bool,

    /// Do not try the paths that the server will write: for a check on another machine, or as another user
    #[arg(long)]
    skip_paths: bool,

    /// How to print the results
    #[arg(long, value_enum, default_value_t = CheckFormat::Text)]
    format: CheckFormat,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum CheckFormat {
    /// Lines for people
    Text,
    /// One JSON document for programs
    Json,
}

/// The findings in one file.
#[derive(Debug, Serialize)]
struct CheckedFile {
    file: String,
    valid: bool,
    problems: Vec<Finding>,
    warnings: Vec<Finding>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    effective: Vec<EffectiveRoute>,
}

/// A problem or warning of a file.
#[derive(Debug, Serialize)]
struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u64>,
    setting: String,
    message: String,
    /// The finding as a line for people.
    #[serde(skip)]
    text: String,
}

/// The sizes of a valid configuration.
#[derive(Debug, Serialize)]
struct Counts {
    listeners: usize,
    upstreams: usize,
    routes: usize,
}

/// Checks each file.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut checked = Vec::new();
    for file in &args.files {
        let result = check(file, args);
        if args.format == CheckFormat::Text {
            print(&result);
        }
        checked.push(result);
    }
    let is_valid = checked.iter().all(|file| file.valid);
    if args.format == CheckFormat::Json {
        println!(
            "{}",
            serde_json::to_string_pretty(&serde_json::json!({ "files": checked }))?
        );
    }
    Ok(if is_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check(file: &Path, args: &Args) -> CheckedFile {
    let name = file.display().to_string();
    let inspected = if name == "-" {
        Inspected::read(&name, io::stdin().lock())
    } else {
        Inspected::open(file)
    };
    match inspected {
        Ok(inspected) => inspect(name, &inspected, args),
        Err(problems) => CheckedFile {
            file: name,
            valid: false,
            problems: of(&problems),
            warnings: Vec::new(),
            counts: None,
            effective: Vec::new(),
        },
    }
}

fn of(problems: &Problems) -> Vec<Finding> {
    problems.as_slice().iter().map(Finding::problem).collect()
}

fn inspect(file: String, inspected: &Inspected, args: &Args) -> CheckedFile {
    let config = &inspected.config;
    let paths = if args.skip_paths {
        Vec::new()
    } else {
        unwritable(&config.server)
    };
    let problem = |(setting, message): (&str, String)| inspected.problem(setting, &message);
    let problems: Vec<Finding> = paths
        .iter()
        .map(|path| Finding::problem(&problem((path.setting, path.to_string()))))
        .collect();
    let warnings = config.warnings(SystemTime::now());
    CheckedFile {
        file,
        valid: problems.is_empty(),
        problems,
        warnings: warnings
            .into_iter()
            .map(|warning| Finding::warning(&problem((&warning.setting, warning.message))))
            .collect(),
        counts: Some(Counts {
            listeners: config.listeners.len(),
            upstreams: config.upstreams.len(),
            routes: config.routes.len(),
        }),
        effective: if args.effective {
            inspected.effective()
        } else {
            Vec::new()
        },
    }
}

impl Finding {
    fn problem(problem: &Problem) -> Self {
        Self {
            line: problem.place.map(|place| place.line),
            column: problem.place.map(|place| place.column),
            setting: problem.path.to_string(),
            message: problem.message.to_string(),
            text: problem.to_string(),
        }
    }

    fn warning(problem: &Problem) -> Self {
        let Problem {
            file,
            place,
            path,
            message,
        } = problem;
        let Place { line, column } = place.unwrap_or(Place { line: 1, column: 1 });
        let text = format!("{file}:{line}:{column}: warning: {path}: {message}");
        Self {
            text,
            ..Self::problem(problem)
        }
    }
}

/// Prints the findings to standard error, the rest to standard output.
fn print(checked: &CheckedFile) {
    for finding in checked.problems.iter().chain(&checked.warnings) {
        eprintln!("{}", finding.text);
    }
    let file = &checked.file;
    if let Some(counts) = checked.counts.as_ref().filter(|_| checked.valid) {
        println!(
            "{file}: ok, {} listeners, {} upstreams, {} routes",
            counts.listeners, counts.upstreams, counts.routes
        );
    }
    for route in &checked.effective {
        println!("\nroute {}", route.route);
        for setting in &route.settings {
            let from = setting.from.words();
            let line = setting.line.map_or_else(String::new, |line| format!(", {file}:{line}"));
            println!(
                "  {:<24} {:<32} {from}{line}",
                setting.setting,
                setting.value.to_string()
            );
        }
    }
}
