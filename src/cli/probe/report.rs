//! Formats the results of a probe: a table like that of `nghttp -ans`, the 103s, and one sentence. Pure.

use std::fmt::Write as _;
use std::time::Duration;

/// The results of one probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// Requests and promises, in the order in which they began; the page is the first.
    pub(super) exchanges: Vec<ReportedExchange>,
    /// The 103s, in the order of arrival.
    pub(super) hints: Vec<Hint>,
    /// Targets that the page's own `Link` header asks to preload.
    pub(super) named: Vec<String>,
    /// Further remarks, a sentence each.
    pub(super) notes: Vec<String>,
    /// Whether the probe accepted pushes.
    pub(super) push: PushSetting,
}

/// The probe's SETTINGS_ENABLE_PUSH (RFC 9113 section 6.5.2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum PushSetting {
    /// Pushes are accepted.
    #[default]
    Accepted,
    /// Pushes are refused.
    Refused,
}

/// One request or promise, and its response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReportedExchange {
    /// The HTTP/2 stream; 0 for a request that was not sent.
    pub(super) stream: u32,
    /// The side that began the exchange.
    pub(super) initiator: Initiator,
    /// The path and query, or the whole URL on another origin than the page's.
    pub(super) target: String,
    /// The time of the request or promise, since the connection was made.
    pub(super) start: Duration,
    /// The state of the exchange: open, or its end.
    pub(super) outcome: ProbeOutcome,
}

/// The side of the connection that began an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Initiator {
    /// The probe, by a request.
    Client,
    /// The server, by a promise.
    Server,
}

/// The state of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ProbeOutcome {
    /// The exchange has not ended.
    Open,
    /// The whole response was received.
    Complete {
        /// The time of the last byte, since the connection was made.
        end: Duration,
        /// The HTTP status.
        status: u16,
        /// Bytes of the content.
        size: u64,
    },
    /// The exchange ended early, for this reason.
    Failed(String),
}

/// One 103 (RFC 8297).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hint {
    /// The time of arrival, since the connection was made.
    pub(super) at: Duration,
    /// The values of its `Link` fields.
    pub(super) links: Vec<String>,
    /// The targets that its links ask to preload.
    pub(super) targets: Vec<String>,
}

impl Report {
    /// Returns whether the page was received completely, with any status.
    #[must_use]
    pub(super) fn has_page(&self) -> bool {
        self.exchanges
            .first()
            .is_some_and(|page| matches!(page.outcome, ProbeOutcome::Complete { .. }))
    }

    /// Formats the report, without control characters of the server's. A failure of the page itself is left out, since
    /// the command ends with that error.
    #[must_use]
    pub(super) fn render(&self) -> String {
        let mut paragraphs = vec![table(&self.exchanges)];
        for hint in &self.hints {
            let mut text = format!("103 Early Hints at +{}\n", format_duration(hint.at));
            for link in &hint.links {
                let _ = writeln!(text, "  link: {}", printable(link));
            }
            paragraphs.push(text);
        }
        let mut remarks = String::new();
        for failure in self.exchanges.iter().skip(1).filter_map(failure) {
            let _ = writeln!(remarks, "{failure}");
        }
        for note in &self.notes {
            let _ = writeln!(remarks, "{}", printable(note));
        }
        paragraphs.push(remarks);
        if self.has_page() {
            paragraphs.push(format!("{}\n", self.sentence()));
        }
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        paragraphs.join("\n")
    }

    /// Formats the sentence that sums up which assets were pushed, hinted, or only named in the page's `Link` field.
    #[must_use]
    pub(super) fn sentence(&self) -> String {
        let pushed: Vec<&str> = self.targets_of(|outcome| matches!(outcome, ProbeOutcome::Complete { .. }));
        let lost: Vec<&str> = self.targets_of(|outcome| !matches!(outcome, ProbeOutcome::Complete { .. }));
        let mut hinted: Vec<&str> = Vec::new();
        for target in self.hints.iter().flat_map(|hint| &hint.targets) {
            if !pushed.contains(&target.as_str()) && !hinted.contains(&target.as_str()) {
                hinted.push(target);
            }
        }
        let named: Vec<&str> = self
            .named
            .iter()
            .map(String::as_str)
            .filter(|target| ![&pushed, &lost, &hinted].iter().any(|known| known.contains(target)))
            .collect();

        let mut clauses = vec![match (pushed.is_empty(), self.push) {
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
    fn targets_of(&self, ended: impl Fn(&ProbeOutcome) -> bool) -> Vec<&str> {
        let mut targets = Vec::new();
        for exchange in &self.exchanges {
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
pub(super) fn table(exchanges: &[ReportedExchange]) -> String {
    let mut rows: Vec<(Duration, String)> = exchanges
        .iter()
        .filter_map(|exchange| {
            let ProbeOutcome::Complete { end, status, size } = exchange.outcome else {
                return None;
            };
            let mark = match exchange.initiator {
                Initiator::Client => ' ',
                Initiator::Server => '*',
            };
            let row = format!(
                "{:>3} {:>11} {mark}{:>11} {:>8} {status:>4} {:>4} {}",
                exchange.stream,
                format!("+{}", format_duration(end)),
                format!("+{}", format_duration(exchange.start)),
                format_duration(end.saturating_sub(exchange.start)),
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
fn failure(exchange: &ReportedExchange) -> Option<String> {
    let reason = match &exchange.outcome {
        ProbeOutcome::Complete { .. } => return None,
        ProbeOutcome::Open => "no complete response within the time limit",
        ProbeOutcome::Failed(reason) => reason,
    };
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

/// Formats a duration like nghttp2's `util::format_duration`: whole microseconds, or milliseconds or seconds with two
/// decimals.
fn format_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    let (unit, divisor) = match micros {
        0..1_000 => return format!("{micros}us"),
        1_000..1_000_000 => ("ms", 1_000),
        _ => ("s", 1_000_000),
    };
    // Hundredths of the unit, rounded half up.
    let hundredths = (micros * 100 + divisor / 2) / divisor;
    format!("{}.{:02}{unit}", hundredths / 100, hundredths % 100)
}

/// Formats a size like nghttp2's `util::utos_unit`: whole powers of 1024 bytes, rounded down.
fn format_size(bytes: u64) -> String {
    match bytes {
        0..0x400 => bytes.to_string(),
        0x400..0x10_0000 => format!("{}K", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{}M", bytes >> 20),
        _ => format!("{}G", bytes >> 30),
    }
}

/// Replaces control characters, by which a server's text could steer the terminal.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

const TABLE_HEAD: &str = "id  responseEnd requestStart  process code size request path";

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(stream: u32, target: &str, start_us: u64, end_us: u64) -> ReportedExchange {
        ReportedExchange {
            stream,
            initiator: if stream.is_multiple_of(2) {
                Initiator::Server
            } else {
                Initiator::Client
            },
            target: target.to_owned(),
            start: Duration::from_micros(start_us),
            outcome: ProbeOutcome::Complete {
                end: Duration::from_micros(end_us),
                status: 200,
                size: 4,
            },
        }
    }

    fn failed(stream: u32, target: &str) -> ReportedExchange {
        ReportedExchange {
            outcome: ProbeOutcome::Failed("reset by the server: CANCEL".to_owned()),
            ..exchange(stream, target, 0, 0)
        }
    }

    fn report(exchanges: Vec<ReportedExchange>) -> Report {
        Report {
            exchanges,
            ..Report::default()
        }
    }

    fn hint(target: &str) -> Hint {
        Hint {
            at: Duration::from_micros(1_500),
            links: vec![format!("<{target}>; rel=preload")],
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
            if let ProbeOutcome::Complete { size: bytes, .. } = &mut row.outcome {
                *bytes = size;
            }
        }
        assert_eq!(table(&rows), expected);
    }

    #[test]
    fn durations_are_written_like_nghttp() {
        for (micros, text) in [
            (0, "0us"),
            (999, "999us"),
            (1_000, "1.00ms"),
            (1_005, "1.01ms"),
            (102_030, "102.03ms"),
            (999_999, "1000.00ms"),
            (1_000_000, "1.00s"),
            (61_500_000, "61.50s"),
        ] {
            assert_eq!(format_duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn sizes_are_written_like_nghttp() {
        for (bytes, text) in [
            (0, "0"),
            (1_023, "1023"),
            (1_024, "1K"),
            (20_480, "20K"),
            (1 << 20, "1M"),
            (5 << 30, "5G"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
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
            report.sentence(),
            "2 assets were pushed (/a.css, /b.js); 1 asset was hinted in a 103 (/c.png); \
             1 asset was only named in the Link header (/d.woff2)."
        );
    }

    #[test]
    fn the_sentence_says_that_nothing_was_delivered() {
        assert_eq!(
            report(vec![exchange(1, "/", 0, 1)]).sentence(),
            "Nothing was pushed; no 103 came, and the page's Link header asks for no preload."
        );
    }

    #[test]
    fn the_sentence_says_that_the_probe_refused() {
        let mut report = report(vec![exchange(1, "/", 0, 1)]);
        report.push = PushSetting::Refused;
        report.hints = vec![hint("/a.css")];
        assert_eq!(
            report.sentence(),
            "Nothing was pushed, as this probe refuses pushes; 1 asset was hinted in a 103 (/a.css)."
        );
    }

    #[test]
    fn a_reset_push_is_reported_and_not_in_the_table() {
        let mut report = report(vec![exchange(1, "/", 0, 1), failed(2, "/a.css")]);
        report.named = vec!["/a.css".to_owned()];
        let text = report.render();
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
        let text = report.render();
        assert!(
            text.contains("\n103 Early Hints at +1.50ms\n  link: </a.css>; rel=preload\n"),
            "{text}"
        );
    }

    #[test]
    fn without_the_page_there_is_no_sentence() {
        let report = report(vec![failed(1, "/")]);
        assert!(!report.has_page());
        assert_eq!(report.render(), "");
    }

    #[test]
    fn a_servers_control_characters_do_not_reach_the_terminal() {
        let text = report(vec![exchange(1, "/\u{1b}[2J\u{9b}", 0, 1)]).render();
        assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text}");
    }
}
