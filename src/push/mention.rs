//! What `Link` fields mention, parsed once for all who look at it: the plan, what is learned, what is an asset.

use super::SkipReason;
use crate::link::{self, Link, Malformed};

/// Where a link was found, earliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The route names it.
    Configured,
    /// The document linked to it a while ago.
    Learned,
    /// The head of the document's HTML named it a while ago, and no `Link` field did.
    Html,
    /// The origin's own 103.
    Early,
    /// The final response.
    Response,
}

impl Source {
    /// Its name in explanations.
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

/// A link, or what is wrong with it, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention<'f> {
    /// Where it was found.
    pub source: Source,
    /// Why it is no hint, whatever else it is.
    pub withheld: Option<SkipReason>,
    /// The link.
    pub link: Result<Link<'f>, Malformed<'f>>,
}

impl<'f> Mention<'f> {
    /// A link that was found there.
    const fn new(source: Source, link: Result<Link<'f>, Malformed<'f>>) -> Self {
        Self {
            source,
            withheld: None,
            link,
        }
    }
}

/// Parses the `Link` fields of one header, in order: as many links as a plan looks at, and one more, by
/// which [`plan`](super::plan()) sees that there are too many.
#[must_use]
pub fn mentions<'f>(fields: impl IntoIterator<Item = (Source, &'f [u8])>) -> Vec<Mention<'f>> {
    fields
        .into_iter()
        .flat_map(|(source, field)| link::parse(field).map(move |link| Mention::new(source, link)))
        .take(MAX_LINKS + 1)
        .collect()
}

/// Links that are looked at in one response: far above any page, far below what would cost time.
pub(super) const MAX_LINKS: usize = 1000;
