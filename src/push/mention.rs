//! Parses the `Link` fields of a header once, for the plan, for learning, and for the detection of assets.

use super::SkipReason;
use crate::{
    link::{self, Link, Malformed},
    meter::Label,
};

/// Where a link was found; earliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The route's configuration.
    Configured,
    /// A `Link` field of an earlier response for this document.
    Learned,
    /// The HTML head of an earlier response for this document, where no `Link` field named the asset.
    Html,
    /// The origin's own 103.
    Early,
    /// The final response.
    Response,
}

impl Source {
    /// The source's name in explanations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Learned => "learned",
            Self::Html => "html",
            Self::Early => "early",
            Self::Response => "response",
        }
    }
}

impl Label for Source {
    const ALL: &'static [Self] = &[Self::Configured, Self::Learned, Self::Html, Self::Early, Self::Response];

    fn label(self) -> &'static str {
        self.name()
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// A link, or the error in it, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention<'f> {
    /// Where the link was found.
    pub source: Source,
    /// Why the link must not be hinted, known before the plan; the link may still be pushed.
    pub withheld: Option<SkipReason>,
    /// The link, or the piece that is no link.
    pub link: Result<Link<'f>, Malformed<'f>>,
}

impl<'f> Mention<'f> {
    /// Makes a mention that may be hinted.
    const fn new(source: Source, link: Result<Link<'f>, Malformed<'f>>) -> Self {
        Self {
            source,
            withheld: None,
            link,
        }
    }
}

/// Parses the `Link` fields of one header, in order: at most `MAX_LINKS` links and one more, by which
/// [`plan`](super::plan()) sees that there are too many.
#[must_use]
pub fn mentions<'f>(fields: impl IntoIterator<Item = (Source, &'f [u8])>) -> Vec<Mention<'f>> {
    fields
        .into_iter()
        .flat_map(|(source, field)| link::parse(field).map(move |link| Mention::new(source, link)))
        .take(MAX_LINKS + 1)
        .collect()
}

/// Largest number of links that are planned for one response: far more than any real page has.
pub(super) const MAX_LINKS: usize = 1000;
