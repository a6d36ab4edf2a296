//! Asks a running server what it knows of a document (`linkpush learned`), over its admin address or socket.

use std::{path::PathBuf, process::ExitCode};

use super::admin;
use crate::server::{LEARNED_PATH, LearnedDocument, LearnedRequest};

/// Arguments of `learned`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's configuration file, which names its admin address or socket
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A request field by which documents of the URL differ, such as 'accept-language: de'
    #[arg(long = "header", value_name = "NAME: VALUE", allow_hyphen_values = true)]
    headers: Vec<String>,
    /// Forget the links of the document, and of all documents of the same key
    #[arg(long)]
    forget: bool,
    /// How to print
    #[arg(long, value_enum, default_value = "text")]
    format: LearnedFormat,
    /// The document's URL, as clients ask for it
    #[arg(value_name = "URL")]
    url: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum LearnedFormat {
    Text,
    Json,
}

/// Asks, and prints one line a link.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let Some(config) = super::configuration::configured(&args.config) else {
        return Ok(ExitCode::FAILURE);
    };
    let mut fields = Vec::new();
    for header in &args.headers {
        let Some((name, value)) = header.split_once(':') else {
            eprint!(
                "{}",
                super::failure::report(&anyhow::anyhow!("--header: must be NAME: VALUE, got {header}"))
            );
            return Ok(ExitCode::from(super::failure::USAGE));
        };
        fields.push((name.to_owned(), value.trim().to_owned()));
    }
    let request = LearnedRequest {
        url: args.url.clone(),
        fields,
        forget: args.forget,
    };
    let document: LearnedDocument = admin::post(&config, LEARNED_PATH, &request)?;
    match args.format {
        LearnedFormat::Json => println!("{}", serde_json::to_string(&document)?),
        LearnedFormat::Text => print(&document),
    }
    Ok(ExitCode::SUCCESS)
}

fn print(document: &LearnedDocument) {
    println!("route    {}", document.route);
    let Some(age) = document.age else {
        println!("nothing is known of this document");
        return;
    };
    println!(
        "learned  {age} s ago{}",
        if document.csp {
            ", with a Content-Security-Policy"
        } else {
            ""
        }
    );
    if document.paused {
        println!("paused   its learned links kept being wrong");
    }
    if !document.divided_by_fields.is_empty() {
        println!(
            "divided  by the request fields {}, as Vary says: {} documents (--header chooses one)",
            document.divided_by_fields.join(", "),
            document.variants
        );
    }
    if !document.divided_by_parameters.is_empty() {
        let names = document.divided_by_parameters.join(", ");
        println!(
            "divided  by the query parameters {names}: {} documents; learn.key: [{names}] does so from the start",
            document.variants
        );
    }
    for link in &document.links {
        let way = match (&link.withheld, link.delivered) {
            (Some(reason), _) => format!("withheld={reason}"),
            (None, true) => "early".to_owned(),
            (None, false) => "not yet".to_owned(),
        };
        let visitors = if link.public {
            "all".to_owned()
        } else {
            link.visitors.to_string()
        };
        println!(
            "link     {}  {way} source={} visitors={visitors} right={} vanished={} hinted={} used={} twice={}",
            link.link, link.source, link.right, link.vanished, link.hinted, link.used, link.twice
        );
    }
    if document.forgotten {
        println!("forgotten");
    }
}
