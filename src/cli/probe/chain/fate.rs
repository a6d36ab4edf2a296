//! Compares what a hop sends with what the hop behind it sends. Pure.

use serde::Serialize;

use super::sight::PageSight;
use crate::link::{ResourceHint, parse};

/// How a hop passes the `Link` fields of the hop behind it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum LinkFate {
    /// The last hop sends some.
    Sent,
    /// Neither this hop nor the one behind it sends any.
    Absent,
    /// The same, field line for field line.
    Kept,
    /// All links are there, in other field lines.
    Merged,
    /// The links are there up to a place where the text ends.
    Cut,
    /// Some links are gone, or others.
    Changed,
    /// All are gone.
    Lost,
    /// This hop adds some to a response that had none.
    Added,
    /// No page came here, or at the hop behind.
    Unknown,
}

impl LinkFate {
    /// Compares the lines of a hop with those of the one behind it.
    pub(super) fn of(here: &PageSight, behind: Option<&PageSight>) -> Self {
        if !here.is_good() || behind.is_some_and(|behind| !behind.is_good()) {
            return Self::Unknown;
        }
        match behind {
            None if here.links.is_empty() => Self::Absent,
            None => Self::Sent,
            Some(behind) => Self::between(&here.links, &behind.links),
        }
    }

    fn between(here: &[String], behind: &[String]) -> Self {
        match (here.is_empty(), behind.is_empty()) {
            (true, true) => return Self::Absent,
            (true, false) => return Self::Lost,
            (false, true) => return Self::Added,
            (false, false) => {}
        }
        let (links, links_behind) = (entries(here), entries(behind));
        if links == links_behind {
            // The number of lines tells, as a nonce may differ at every visit.
            return if here.len() == behind.len() {
                Self::Kept
            } else {
                Self::Merged
            };
        }
        let text = |lines: &[String]| lines.join(", ").split_whitespace().collect::<String>();
        let (text, text_behind) = (text(here), text(behind));
        if text.len() < text_behind.len() && text_behind.starts_with(text.trim_end_matches(',')) {
            return Self::Cut;
        }
        Self::Changed
    }

    /// The word for it in the table.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Absent => "none",
            Self::Kept => "kept",
            Self::Merged => "merged",
            Self::Cut => "CUT",
            Self::Changed => "CHANGED",
            Self::Lost => "LOST",
            Self::Added => "added",
            Self::Unknown => "?",
        }
    }
}

/// How a hop passes the 103 of the hop behind it on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum EarlyFate {
    /// The last hop sends one.
    Sent,
    /// Neither this hop nor the one behind it sends one.
    Absent,
    /// The one of the hop behind came.
    Passed,
    /// The hop behind sends one, and this hop none.
    Lost,
    /// The hop behind sends one, and this hop gives no page because of it.
    BreaksPage,
    /// This hop sends one of its own.
    Added,
    /// No page came here, or at the hop behind.
    Unknown,
}

impl EarlyFate {
    /// Compares the 103s that a browser gets of a hop with those of the one behind it.
    pub(super) fn of(here: &PageSight, behind: Option<&PageSight>) -> Self {
        let sends = |page: &PageSight| !page.early.is_empty();
        let Some(behind) = behind else {
            return match (here.is_good(), sends(here)) {
                (true, true) => Self::Sent,
                (true, false) => Self::Absent,
                // A 103 without a final response.
                (false, true) => Self::BreaksPage,
                (false, false) => Self::Unknown,
            };
        };
        if !behind.is_good() {
            return Self::Unknown;
        }
        match (sends(here), sends(behind)) {
            (_, true) if !here.is_good() => Self::BreaksPage,
            (_, false) if !here.is_good() => Self::Unknown,
            (true, true) => Self::Passed,
            (false, true) => Self::Lost,
            (true, false) => Self::Added,
            (false, false) => Self::Absent,
        }
    }

    /// The word for it in the table.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Absent => "none",
            Self::Passed => "passed",
            Self::Lost => "LOST",
            Self::BreaksPage => "BREAKS PAGE",
            Self::Added => "added",
            Self::Unknown => "?",
        }
    }
}

/// Returns each link of field lines in a form that differs only where the links do: one spelling, without the nonce,
/// which is another one in every response.
fn entries(lines: &[String]) -> Vec<Vec<u8>> {
    let links = lines.iter().flat_map(|line| parse(line.as_bytes()));
    links
        .map(|link| match link {
            Ok(link) => match ResourceHint::of(&link) {
                Some(hint) => hint.spelled().text().to_vec(),
                None => link.raw.to_vec(),
            },
            Err(malformed) => format!("{malformed:?}").into_bytes(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "</a.css>; rel=preload; as=style";
    const B: &str = "</b.js>; rel=preload; as=script";

    fn page(links: &[&str], early: usize, status: u16) -> PageSight {
        PageSight {
            status: Some(status),
            links: links.iter().map(|link| (*link).to_owned()).collect(),
            early: vec![vec![A.to_owned()]; early],
            ..PageSight::default()
        }
    }

    #[test]
    fn what_became_of_link_is_told() {
        let both = format!("{A}, {B}");
        for (here, behind, expected) in [
            (&[A, B][..], &[A, B][..], LinkFate::Kept),
            (&[&both], &[A, B], LinkFate::Merged),
            (&[A, B], &[&both], LinkFate::Merged),
            (&[A], &[A, B], LinkFate::Cut),
            (&["</a.css>; rel=preload; as=style, </b.j"], &[&both], LinkFate::Cut),
            (&["</a.css>; rel=prel"], &[A], LinkFate::Cut),
            (&[B], &[A, B], LinkFate::Changed),
            (&[B, A], &[A, B], LinkFate::Changed),
            (&["</a.css?v=2>; rel=preload; as=style"], &[A], LinkFate::Changed),
            (&[], &[A], LinkFate::Lost),
            (&[A], &[], LinkFate::Added),
            (&[], &[], LinkFate::Absent),
            (
                &["</a.css>;rel=preload;as=style;nonce=x"],
                &["</a.css>; rel=preload; as=style; nonce=y"],
                LinkFate::Kept,
            ),
        ] {
            let (here, behind) = (page(here, 0, 200), page(behind, 0, 200));
            assert_eq!(LinkFate::of(&here, Some(&behind)), expected, "{:?}", here.links);
        }
        assert_eq!(LinkFate::of(&page(&[A], 0, 200), None), LinkFate::Sent);
        assert_eq!(LinkFate::of(&page(&[], 0, 200), None), LinkFate::Absent);
        assert_eq!(
            LinkFate::of(&page(&[], 0, 503), Some(&page(&[A], 0, 200))),
            LinkFate::Unknown
        );
    }

    #[test]
    fn what_became_of_a_103_is_told() {
        let lost = PageSight {
            failure: Some("no final response behind the 103".to_owned()),
            status: None,
            ..page(&[], 1, 200)
        };
        for (here, behind, expected) in [
            (page(&[], 1, 200), Some(page(&[], 1, 200)), EarlyFate::Passed),
            (page(&[], 0, 200), Some(page(&[], 1, 200)), EarlyFate::Lost),
            (page(&[], 0, 503), Some(page(&[], 1, 200)), EarlyFate::BreaksPage),
            (lost.clone(), Some(page(&[], 1, 200)), EarlyFate::BreaksPage),
            (page(&[], 0, 503), Some(page(&[], 0, 200)), EarlyFate::Unknown),
            (page(&[], 1, 200), Some(page(&[], 0, 200)), EarlyFate::Added),
            (page(&[], 0, 200), Some(page(&[], 0, 200)), EarlyFate::Absent),
            (page(&[], 1, 200), Some(page(&[], 1, 503)), EarlyFate::Unknown),
            (page(&[], 1, 200), None, EarlyFate::Sent),
            (page(&[], 0, 200), None, EarlyFate::Absent),
            (lost, None, EarlyFate::BreaksPage),
        ] {
            assert_eq!(EarlyFate::of(&here, behind.as_ref()), expected, "{here:?}");
        }
    }
}
