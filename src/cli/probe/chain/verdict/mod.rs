//! Decides what a chain of hops shows: what each hop does to `Link`, 103 and pushes, and where push dies. Pure.

use serde::Serialize;

use super::fate::{EarlyFate, LinkFate};
use super::finding::{ChainFinding, FindingWeight};
use super::sight::{HopSight, Http2Way};
use super::software::Software;

/// The verdict about a chain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChainVerdict {
    /// For each hop, the outermost first.
    pub(super) hops: Vec<HopVerdict>,
    /// The findings, the weightiest first.
    pub(super) findings: Vec<FoundAt>,
}

/// The behaviour of one hop towards protocol, links and 103s.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HopVerdict {
    /// The software, as far as it is recognised.
    pub(super) software: Software,
    /// How the hop passes `Link` fields on.
    pub(super) link: LinkFate,
    /// How the hop passes 103s on.
    pub(super) early: EarlyFate,
}

/// A finding, at a hop.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct FoundAt {
    /// The finding.
    pub(super) finding: ChainFinding,
    /// How much it matters.
    pub(super) weight: FindingWeight,
    /// The hop's name.
    pub(super) hop: String,
    /// The finding in a sentence.
    pub(super) text: String,
    /// The remedy; `None` where nothing needs to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl ChainVerdict {
    /// Judges the hops of a chain, the outermost first.
    pub(super) fn of(hops: &[HopSight]) -> Self {
        let behind = |at: usize| hops.get(at + 1);
        let verdicts = hops.iter().enumerate().map(|(at, hop)| HopVerdict {
            software: Software::of(hop, behind(at)),
            link: LinkFate::of(&hop.page, behind(at).map(|behind| &behind.page)),
            early: EarlyFate::of(&hop.browser, behind(at).map(|behind| &behind.browser)),
        });
        let mut judge = Judge {
            hops,
            verdicts: verdicts.collect(),
            findings: Vec::new(),
        };
        for at in 0..hops.len() {
            judge.look_at(at);
        }
        judge.follow_push();
        let mut findings = judge.findings;
        findings.sort_by_key(|found| found.finding);
        Self {
            hops: judge.verdicts,
            findings,
        }
    }

    /// The exit code for scripts.
    pub(super) fn exit_code(&self) -> u8 {
        let has = |weight| self.findings.iter().any(|found| found.weight == weight);
        if has(FindingWeight::Broken) {
            BROKEN
        } else if has(FindingWeight::Good) {
            0
        } else {
            NOTHING_ARRIVES
        }
    }
}

/// Exit code: neither a push nor a 103 reaches the client.
const NOTHING_ARRIVES: u8 = 3;
/// Exit code: a hop breaks something.
const BROKEN: u8 = 4;

/// A chain that is being judged.
struct Judge<'h> {
    hops: &'h [HopSight],
    verdicts: Vec<HopVerdict>,
    findings: Vec<FoundAt>,
}

impl Judge<'_> {
    /// Looks at what one hop does to the response of the hop behind it.
    fn look_at(&mut self, at: usize) {
        let (Some(hop), Some(verdict)) = (self.hops.get(at), self.verdicts.get(at)) else {
            return;
        };
        let (link, early) = (verdict.link, verdict.early);
        let name = &hop.name;
        let behind = self.hops.get(at + 1);
        let of_behind = behind.map_or("", |behind| &behind.name);
        if let Some(version) = hop.proxy_header {
            let text = format!("*{name}* takes connections only with a PROXY header, and was sent one ({version})");
            self.note(ChainFinding::ProxyHeader, at, text, None);
        }
        if hop.http2 == Http2Way::AlpnOnly {
            let text =
                format!("*{name}* selects h2 by ALPN, and does not speak it: browsers that are attached to it fail");
            let remedy = "let what it hands connections to speak HTTP/2 without TLS, or do not offer h2".to_owned();
            self.note(ChainFinding::AlpnWithoutHttp2, at, text, Some(remedy));
        }
        if early == EarlyFate::BreaksPage {
            let failure = match (&hop.browser.failure, hop.browser.status) {
                (Some(failure), _) => failure.clone(),
                (None, Some(status)) => format!("it answers {status}"),
                (None, None) => "no page comes".to_owned(),
            };
            let text = format!("a 103 **breaks the page** at *{name}*: {failure}");
            let remedy =
                "let the application send no 103 through this hop; linkpush in front of it makes hints from Link and \
                          HTML (learn: on)"
                    .to_owned();
            self.note(ChainFinding::EarlyBreaksPage, at, text, Some(remedy));
        } else if !hop.page.is_good() {
            let failure = match (&hop.page.failure, hop.page.status) {
                (Some(failure), _) => failure.clone(),
                (None, status) => format!("status {}", status.unwrap_or_default()),
            };
            let text = format!("*{name}* gives no page: {failure}");
            self.note(ChainFinding::NoPage, at, text, None);
        } else if let Some(status) = behind
            .filter(|behind| behind.page.is_good())
            .and_then(|hop| hop.page.status)
            && Some(status) != hop.page.status
        {
            let here = hop.page.status.unwrap_or_default();
            let text = format!("*{name}* answers {here}, and *{of_behind}* behind it {status}");
            let remedy = "look for a redirect, a rule or a stored response at that hop".to_owned();
            self.note(ChainFinding::StatusDiffers, at, text, Some(remedy));
        }
        let sentence = |what: &str| format!("{what} at *{name}*: *{of_behind}* behind it sends more");
        let lines = hop.page.links.iter().map(String::len).sum::<usize>();
        let (finding, text, remedy) = match link {
            LinkFate::Lost => (
                ChainFinding::LinkLost,
                format!("Link is lost at *{name}*: *{of_behind}* behind it sends it"),
                Some(
                    "let that hop pass Link on: look for rules that unset response fields, and for limits on their size",
                ),
            ),
            LinkFate::Cut => (
                ChainFinding::LinkCut,
                format!("{} (here {lines} bytes)", sentence("Link is cut")),
                Some("raise that hop's limit on response fields, or name fewer links"),
            ),
            LinkFate::Changed => (
                ChainFinding::LinkChanged,
                format!("Link is changed at *{name}*: it is another one than that of *{of_behind}* behind it"),
                Some("look for rules that rewrite response fields, and for a stored response of another time"),
            ),
            LinkFate::Merged => (
                ChainFinding::LinkMerged,
                format!("*{name}* puts the links of *{of_behind}* into other field lines, which changes nothing"),
                None,
            ),
            _ => {
                self.look_at_early(at, early);
                return;
            }
        };
        self.note(finding, at, text, remedy.map(str::to_owned));
        self.look_at_early(at, early);
    }

    fn look_at_early(&mut self, at: usize, early: EarlyFate) {
        let Some(hop) = self.hops.get(at) else { return };
        if early == EarlyFate::Lost {
            let text = format!(
                "the 103 is lost at *{}*: it passes only the final response on",
                hop.name
            );
            let remedy =
                "linkpush in front of it makes hints from Link and HTML (learn: on), or from the route's own links";
            self.note(ChainFinding::EarlyLost, at, text, Some(remedy.to_owned()));
        }
        if !hop.page.withdrawn.is_empty() {
            let list = hop.page.withdrawn.join(", ");
            let text = format!("*{}* promises and withdraws {list}", hop.name);
            let remedy = "the access line of that asset with pushed_by= says why (failure=)".to_owned();
            self.note(ChainFinding::PushWithdrawn, at, text, Some(remedy));
        }
    }

    /// Follows the pushes from the innermost hop outwards.
    fn follow_push(&mut self) {
        let Some(first) = self.hops.first() else { return };
        if !first.browser.early.is_empty() && first.browser.is_good() {
            let text = format!("a 103 reaches browsers at *{}*", first.name);
            self.note(ChainFinding::EarlyArrives, 0, text, None);
        }
        if !first.page.pushed.is_empty() {
            let text = format!(
                "pushes reach the client at *{}* ({})",
                first.name,
                first.page.pushed.join(", ")
            );
            self.note(ChainFinding::PushArrives, 0, text, None);
            return;
        }
        if first.http2 == Http2Way::None && first.page.is_good() {
            let text = format!(
                "*{}* speaks no HTTP/2 to clients, so neither pushes nor 103s can come",
                first.name
            );
            let remedy = "offer h2 by ALPN where TLS ends, and hand cleartext HTTP/2 to linkpush".to_owned();
            self.note(ChainFinding::NoHttp2, 0, text, Some(remedy));
        }
        let pushing = self.hops.iter().position(|hop| !hop.page.pushed.is_empty());
        let asks = |hop: &HopSight| !hop.page.links.is_empty() || !hop.browser.early.is_empty();
        let Some(last) = self.hops.last() else { return };
        if pushing.is_none() && last.page.is_good() && !self.hops.iter().any(asks) {
            let text = format!("*{}* sends no Link, so nothing asks for a push", last.name);
            let remedy =
                "let the application send Link: </main.css>; rel=preload; as=style, or let linkpush learn from the \
                          page's HTML (learn: on)"
                    .to_owned();
            self.note(
                ChainFinding::NoLink,
                self.hops.len().saturating_sub(1),
                text,
                Some(remedy),
            );
            return;
        }
        let at = pushing.map_or(0, |pushing| pushing.saturating_sub(1));
        let (Some(hop), Some(verdict)) = (self.hops.get(at), self.verdicts.get(at)) else {
            return;
        };
        if !hop.page.is_good() {
            return;
        }
        let how = match hop.http2 {
            Http2Way::None | Http2Way::AlpnOnly => "it speaks HTTP/1.1 to you, which has no pushes",
            Http2Way::Alpn | Http2Way::PriorKnowledge => "it speaks HTTP/2 to you but sends no promises",
        };
        let behind = match (pushing, self.hops.get(at + 1)) {
            (Some(_), Some(behind)) => format!(", and *{}* behind it pushes", behind.name),
            _ => String::new(),
        };
        let link = if hop.page.links.is_empty() {
            "Link does not get there"
        } else {
            "Link survives"
        };
        let text = format!("push dies at *{}*: {how}{behind}; {link}", hop.name);
        let remedy = verdict.software.remedy(hop.http2);
        self.note(ChainFinding::PushDies, at, text, Some(remedy));
    }

    fn note(&mut self, finding: ChainFinding, at: usize, text: String, remedy: Option<String>) {
        self.findings.push(FoundAt {
            finding,
            weight: finding.weight(),
            hop: self.hops.get(at).map_or_else(String::new, |hop| hop.name.clone()),
            text,
            remedy,
        });
    }
}

#[cfg(test)]
mod tests;
