//! Holds one fetch that a head causes, writes it as a `Link` field value, and derives preconnects from several.

use crate::link::{CrossOrigin, Document, Relation, Target};

/// One fetch, or connection, that the head causes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HtmlLink {
    /// The resolved URL.
    pub target: Target,
    /// The relation of the `Link` field.
    pub relation: Relation,
    /// The value of `as`: always for a preload, for a module only if the element has one.
    pub destination: Option<&'static str>,
    /// The element's `crossorigin`. A preload in another CORS mode would be fetched a second time.
    pub crossorigin: Option<CrossOrigin>,
    /// The element's `integrity`, with single spaces between its hashes: printable ASCII without quotation marks.
    pub integrity: Option<Box<str>>,
    /// The element's `fetchpriority`.
    pub priority: Option<FetchPriority>,
    /// The media type of an image, so that a browser without support for the type does not fetch the image.
    pub media_type: Option<Box<str>>,
    /// When the page needs the target.
    pub tier: Tier,
}

/// A `fetchpriority` other than `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchPriority {
    /// `high`
    High,
    /// `low`
    Low,
}

impl FetchPriority {
    /// The value of `fetchpriority`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }
}

/// When a page needs an asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tier {
    /// The asset blocks rendering, or the parser.
    Blocking,
    /// The page declares the asset ahead of its use (`preload`, `modulepreload`, `preconnect`), or several links make a
    /// connection worth opening.
    Declared,
    /// A script that runs after the document is parsed (`defer`, modules) or at any time (`async`).
    Lower,
}

impl Tier {
    /// The tier's name in explanations.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blocking => "blocking",
            Self::Declared => "declared",
            Self::Lower => "lower",
        }
    }
}

impl HtmlLink {
    /// Writes the link as one `Link` field value. [`parse`](crate::link::parse()) reads the same link from it: the
    /// target is a checked URL, and every other value is a token or a quoted string without escapes.
    #[must_use]
    pub fn field_value(&self) -> String {
        let mut value = ["<", self.target.url(), ">; rel=", self.relation.name()].concat();
        if let Some(destination) = self.destination {
            value.extend(["; as=", destination]);
        }
        match self.crossorigin {
            None => {}
            Some(CrossOrigin::Anonymous) => value.push_str("; crossorigin"),
            Some(mode) => value.extend(["; crossorigin=", mode.name()]),
        }
        if let Some(media_type) = &self.media_type {
            value.extend(["; type=\"", media_type, "\""]);
        }
        if let Some(integrity) = &self.integrity {
            value.extend(["; integrity=\"", integrity, "\""]);
        }
        if let Some(priority) = self.priority {
            value.extend(["; fetchpriority=", priority.name()]);
        }
        value
    }

    /// Returns whether a browser makes one fetch, or one connection, for both.
    #[must_use]
    pub fn is_one_fetch(&self, other: &Self) -> bool {
        let is_connection = self.relation == Relation::Preconnect;
        if is_connection != (other.relation == Relation::Preconnect) || self.mode() != other.mode() {
            return false;
        }
        if is_connection {
            return same_origin(&self.target, &other.target);
        }
        self.kind() == other.kind() && self.target == other.target
    }

    /// Returns the CORS mode of the request: modules and fonts always have one.
    fn mode(&self) -> Option<CrossOrigin> {
        let always = self.relation == Relation::ModulePreload || self.destination == Some("font");
        self.crossorigin.or(always.then_some(CrossOrigin::Anonymous))
    }

    /// Returns the destination; `script` for a module without one, since the page may preload the module as a script.
    fn kind(&self) -> &'static str {
        self.destination.unwrap_or("script")
    }
}

/// Returns the connections worth opening early: to each origin other than the document's from which at least `many`
/// links are fetched in one CORS mode, unless the page declares the connection itself.
pub(super) fn preconnects(links: &[HtmlLink], document: &Document, many: usize) -> Vec<HtmlLink> {
    let mut counted: Vec<(HtmlLink, usize)> = Vec::new();
    for link in links.iter().filter(|link| link.relation != Relation::Preconnect) {
        if document.is_same_origin(&link.target) {
            continue;
        }
        let origin = [link.target.scheme(), "://", link.target.authority(), "/"].concat();
        let Ok(target) = document.resolve(origin.as_bytes()) else {
            continue;
        };
        let connection = HtmlLink {
            target,
            relation: Relation::Preconnect,
            destination: None,
            crossorigin: link.mode(),
            integrity: None,
            priority: None,
            media_type: None,
            tier: Tier::Declared,
        };
        match counted.iter_mut().find(|(known, _)| known.is_one_fetch(&connection)) {
            Some((_, count)) => *count += 1,
            None => counted.push((connection, 1)),
        }
    }
    let is_declared = |connection: &HtmlLink| links.iter().any(|link| link.is_one_fetch(connection));
    let worth = counted
        .into_iter()
        .filter(|(connection, count)| *count >= many && !is_declared(connection));
    worth.map(|(connection, _)| connection).collect()
}

fn same_origin(one: &Target, other: &Target) -> bool {
    (one.scheme(), one.host(), one.port()) == (other.scheme(), other.host(), other.port())
}
