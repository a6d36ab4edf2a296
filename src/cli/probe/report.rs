//! Formats the results of a probe: a table like that of `nghttp -ans`, the 103s, one sentence, and the symptoms that
//! the doctor found. As text, or as JSON. Pure.

use std::fmt::Write as _;
use std::time::Duration;

use http::header;
use serde::Serialize;

use super::doctor::Diagnosis;
use super::units::{format_duration, format_size, printable};
use crate::cli::visit::{Initiator, PushSetting, VisitOutcome, Visited, VisitedExchange, lines_of};
use crate::meter::Label as _;

/// A visit, as it is printed.
pub(super) struct Report<'v>(pub(super) &'v Visited);

/// Formats the symptoms of a page, a paragraph each.
pub(super) fn symptoms(diagnoses: &[Diagnosis]) -> String {
    let mut text = String::new();
    for diagnosis in diagnoses {
        let targets = printable(&diagnosis.targets.join(", "));
        let Diagnosis {
            symptom,
            meaning,
            remedy,
            ..
        } = diagnosis;
        let _ = write!(text, "\nwarning: {}: {targets}\n    {meaning}.\n", symptom.label());
        let _ = writeln!(text, "    To mend it: {remedy}.");
    }
    text
}

/// A visit and its symptoms, as JSON has them.
#[derive(Serialize)]
pub(super) struct ReportJson<'v> {
    url: &'v str,
    exchanges: Vec<ExchangeJson<'v>>,
    /// The `Link` lines of each 103.
    early: Vec<Vec<String>>,
    /// Targets that `Link` of the page asks to preload.
    named: &'v [String],
    notes: &'v [String],
    symptoms: &'v [Diagnosis],
}

#[derive(Serialize)]
struct ExchangeJson<'v> {
    target: &'v str,
    pushed: bool,
    status: Option<u16>,
    size: Option<u64>,
    /// Microseconds since the connection was made.
    start_us: u128,
    end_us: Option<u128>,
    /// Why there is no complete response.
    failure: Option<&'v str>,
}

impl<'v> ReportJson<'v> {
    /// Makes the JSON form of a visit.
    pub(super) fn new(url: &'v str, visited: &'v Visited, symptoms: &'v [Diagnosis]) -> Self {
        let exchanges = visited.exchanges.iter().map(|exchange| {
            let response = exchange.response();
            ExchangeJson {
                target: &exchange.target,
                pushed: exchange.initiator == Initiator::Server,
                status: response.map(|response| response.status.as_u16()),
                size: response.map(|response| response.size),
                start_us: exchange.start.as_micros(),
                end_us: response.map(|response| response.end.as_micros()),
                failure: reason(&exchange.outcome),
            }
        });
        let early = visited.hints.iter();
        Self {
            url,
            exchanges: exchanges.collect(),
            early: early.map(|hint| lines_of(&hint.headers, header::LINK)).collect(),
            named: &visited.named,
            notes: &visited.notes,
            symptoms,
        }
    }
}

impl Report<'_> {
    /// Formats the report, without control characters of the server's. A failure of the page itself is left out, since
    /// the command ends with that error.
    #[must_use]
    pub(super) fn render(&self) -> String {
        let mut paragraphs = vec![table(&self.0.exchanges)];
        for hint in &self.0.hints {
            let mut text = format!("103 Early Hints at +{}\n", format_duration(hint.at));
            for link in lines_of(&hint.headers, header::LINK) {
                let _ = writeln!(text, "  link: {}", printable(&link));
            }
            paragraphs.push(text);
        }
        let mut remarks = String::new();
        for failure in self.0.exchanges.iter().skip(1).filter_map(failure) {
            let _ = writeln!(remarks, "{failure}");
        }
        for note in &self.0.notes {
            let _ = writeln!(remarks, "{}", printable(note));
        }
        paragraphs.push(remarks);
        if self.0.page().is_some() {
            paragraphs.push(format!("{}\n", self.sentence()));
        }
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        paragraphs.join("\n")
    }

    /// Formats the sentence that sums up which assets were pushed, hinted, or only named in the page's `Link` field.
    #[must_use]
    pub(super) fn sentence(&self) -> String {
        let pushed: Vec<&str> = self.targets_of(|outcome| matches!(outcome, VisitOutcome::Complete(_)));
        let lost: Vec<&str> = self.targets_of(|outcome| !matches!(outcome, VisitOutcome::Complete(_)));
        let mut hinted: Vec<&str> = Vec::new();
        for target in self.0.hints.iter().flat_map(|hint| &hint.targets) {
            if !pushed.contains(&target.as_str()) && !hinted.contains(&target.as_str()) {
                hinted.push(target);
            }
        }
        let named: Vec<&str> = self
            .0
            .named
            .iter()
            .map(String::as_str)
            .filter(|target| ![&pushed, &lost, &hinted].iter().any(|known| known.contains(target)))
            .collect();

        let mut clauses = vec![match (pushed.is_empty(), self.0.push) {
            (false, _) => counted(&pushed, "pushed"),
            (true, PushSetting::Refused) => "Nothing was pushed, as this probe refuses pushes".to_owned(),
            (true, PushSetting::Accepted) => "Nothing was pushed".to_owned(),
        }];
        for (targets, how) in [
            (&lost, "promised but not delivered"),
            (&hinted, "hinted in a 103"),
            (&named, "only named in the Link header"),
        ] {
            if !targets.is_empty() {
                clauses.push(counted(targets, how));
            }
        }
        if pushed.is_empty() && clauses.len() == 1 {
            clauses.push("no 103 came, and the page's Link header asks for no preload".to_owned());
        }
        format!("{}.", clauses.join("; "))
    }

    /// Returns the targets of promises whose outcome passes a test, each once.
    fn targets_of(&self, ended: impl Fn(&VisitOutcome) -> bool) -> Vec<&str> {
        let mut targets = Vec::new();
        for exchange in &self.0.exchanges {
            let target = exchange.target.as_str();
            if exchange.initiator == Initiator::Server && ended(&exchange.outcome) && !targets.contains(&target) {
                targets.push(target);
            }
        }
        targets
    }
}

/// Formats complete exchanges as `nghttp -ans` of nghttp2 1.52 does, by the end of the response; an empty text if there
/// are none.
#[must_use]
fn table(exchanges: &[VisitedExchange]) -> String {
    let mut rows: Vec<(Duration, String)> = exchanges
        .iter()
        .filter_map(|exchange| {
            let response = exchange.response()?;
            let (end, size) = (response.end, response.size);
            let mark = match exchange.initiator {
                Initiator::Client => ' ',
                Initiator::Server => '*',
            };
            let row = format!(
                "{:>3} {:>11} {mark}{:>11} {:>8} {:>4} {:>4} {}",
                match exchange.stream {
                    0 => "-".to_owned(),
                    stream => stream.to_string(),
                },
                format!("+{}", format_duration(end)),
                format!("+{}", format_duration(exchange.start)),
                format_duration(end.saturating_sub(exchange.start)),
                response.status.as_u16(),
                format_size(size),
                printable(&exchange.target),
            );
            Some((end, row))
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    rows.sort_by_key(|(end, _)| *end);

    let mut text = format!("{TABLE_HEAD}\n");
    for (_, row) in rows {
        text.push_str(&row);
        text.push('\n');
    }
    text
}

/// Formats why an exchange is not in the table; `None` if the table has it.
fn failure(exchange: &VisitedExchange) -> Option<String> {
    let reason = reason(&exchange.outcome)?;
    let kind = match exchange.initiator {
        Initiator::Client => "request for",
        Initiator::Server => "push of",
    };
    Some(format!(
        "stream {}: {kind} {}: {}",
        exchange.stream,
        printable(&exchange.target),
        printable(reason)
    ))
}

/// Returns why there is no complete response.
fn reason(outcome: &VisitOutcome) -> Option<&str> {
    match outcome {
        VisitOutcome::Complete(_) => None,
        VisitOutcome::Open => Some("no complete response within the time limit"),
        VisitOutcome::Failed(reason) => Some(reason),
    }
}

/// Formats a clause with the number of targets and a list of them.
fn counted(targets: &[&str], how: &str) -> String {
    let (noun, verb) = if targets.len() == 1 {
        ("asset", "was")
    } else {
        ("assets", "were")
    };
    let list = printable(&targets.join(", "));
    format!("{} {noun} {verb} {how} ({list})", targets.len())
}

const TABLE_HEAD: &str = "id  responseEnd requestStart  process code size request path";

#[cfg(test)]
mod tests {
    use http::{HeaderMap, StatusCode};

    use super::*;
    use crate::cli::visit::{EarlyHints, VisitedResponse};

    fn exchange(stream: u32, target: &str, start_us: u64, end_us: u64) -> VisitedExchange {
        VisitedExchange {
            stream,
            initiator: if stream.is_multiple_of(2) {
                Initiator::Server
            } else {
                Initiator::Client
            },
            target: target.to_owned(),
            start: Duration::from_micros(start_us),
            url: None,
            outcome: VisitOutcome::Complete(VisitedResponse {
                head_at: Duration::ZERO,
                end: Duration::from_micros(end_us),
                status: StatusCode::OK,
                headers: HeaderMap::new(),
                size: 4,
                body: Vec::new(),
            }),
        }
    }

    fn failed(stream: u32, target: &str) -> VisitedExchange {
        VisitedExchange {
            outcome: VisitOutcome::Failed("reset by the server: CANCEL".to_owned()),
            ..exchange(stream, target, 0, 0)
        }
    }

    fn report(exchanges: Vec<VisitedExchange>) -> Visited {
        Visited {
            exchanges,
            ..Visited::default()
        }
    }

    fn hint(target: &str) -> EarlyHints {
        let link = format!("<{target}>; rel=preload");
        EarlyHints {
            at: Duration::from_micros(1_500),
            headers: HeaderMap::from_iter([(header::LINK, link.parse().expect("a value"))]),
            targets: vec![target.to_owned()],
        }
    }

    #[test]
    fn the_table_has_the_shape_of_nghttp() {
        // Printed by nghttp 1.52.
        let expected = "\
id  responseEnd requestStart  process code size request path
 13      +838us       +153us    685us  200   79 /
  2      +998us *     +504us    494us  200    4 /style.css
 15     +1.22ms      +1.02ms    204us  200    2 /app.js
";
        let mut rows = [
            exchange(15, "/app.js", 1_017, 1_221),
            exchange(13, "/", 153, 838),
            exchange(2, "/style.css", 504, 998),
        ];
        for (row, size) in rows.iter_mut().zip([2, 79, 4]) {
            if let VisitOutcome::Complete(response) = &mut row.outcome {
                response.size = size;
            }
        }
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn the_sentence_counts_each_asset_once_at_its_best_delivery() {
        let mut report = report(vec![
            exchange(1, "/", 0, 1),
            exchange(2, "/a.css", 0, 1),
            exchange(4, "/b.js", 0, 1),
        ]);
        report.hints = vec![hint("/a.css"), hint("/c.png"), hint("/c.png")];
        report.named = ["/a.css", "/b.js", "/c.png", "/d.woff2"].map(str::to_owned).to_vec();
        assert_eq!(
            Report(&report).sentence(),
            "2 assets were pushed (/a.css, /b.js); 1 asset was hinted in a 103 (/c.png); \
             1 asset was only named in the Link header (/d.woff2)."
        );
    }

    #[test]
    fn the_sentence_says_that_nothing_was_delivered() {
        assert_eq!(
            Report(&report(vec![exchange(1, "/", 0, 1)])).sentence(),
            "Nothing was pushed; no 103 came, and the page's Link header asks for no preload."
        );
    }

    #[test]
    fn the_sentence_says_that_the_probe_refused() {
        let mut report = report(vec![exchange(1, "/", 0, 1)]);
        report.push = PushSetting::Refused;
        report.hints = vec![hint("/a.css")];
        assert_eq!(
            Report(&report).sentence(),
            "Nothing was pushed, as this probe refuses pushes; 1 asset was hinted in a 103 (/a.css)."
        );
    }

    #[test]
    fn a_reset_push_is_reported_and_not_in_the_table() {
        let mut report = report(vec![exchange(1, "/", 0, 1), failed(2, "/a.css")]);
        report.named = vec!["/a.css".to_owned()];
        let text = Report(&report).render();
        assert!(!text.contains('*'), "{text}");
        assert!(
            text.contains("stream 2: push of /a.css: reset by the server: CANCEL\n"),
            "{text}"
        );
        assert!(
            text.ends_with("\nNothing was pushed; 1 asset was promised but not delivered (/a.css).\n"),
            "{text}"
        );
    }

    #[test]
    fn a_103_is_shown_with_its_time_and_links() {
        let mut report = report(vec![exchange(1, "/", 0, 1)]);
        report.hints = vec![hint("/a.css")];
        let text = Report(&report).render();
        assert!(
            text.contains("\n103 Early Hints at +1.50ms\n  link: </a.css>; rel=preload\n"),
            "{text}"
        );
    }

    #[test]
    fn without_the_page_there_is_no_sentence() {
        let report = report(vec![failed(1, "/")]);
        assert!(report.page().is_none());
        assert_eq!(Report(&report).render(), "");
    }

    #[test]
    fn a_servers_control_characters_do_not_reach_the_terminal() {
        let text = Report(&report(vec![exchange(1, "/\u{1b}[2J\u{9b}", 0, 1)])).render();
        assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text}");
    }
}
