//! Decides which elements of a head cause a fetch, by the HTML standard: `link` (section 4.2.4), `script` (4.12.1),
//! `base` (4.2.3), `meta http-equiv=default-style` and `content-security-policy` (4.2.5.3).

use std::borrow::Cow;

use url::Url;

use super::{
    super::{
        content::Charset,
        link::{HtmlLink, Tier},
        reason::HtmlSkip,
    },
    tag::{Attribute, Attributes},
    value::{
        PRELOADED, SCRIPT_LIKE, ScriptKind, check_type, cross_origin, essence, has_word, integrity, is,
        is_for_every_screen, one_of, priority, runs, script_kind,
    },
};
use crate::link::{Document, Relation, Target, TargetError};

/// The state by which earlier elements affect later ones.
#[derive(Debug)]
pub(in crate::html) struct Page {
    document: Document,
    charset: Charset,
    /// The base URL; `None` if browsers may disagree on it, so that relative URLs are skipped.
    base: Option<Url>,
    has_base: bool,
    /// The preferred set of stylesheets (CSSOM, section 6.2): the set of the first stylesheet with a title.
    preferred: Option<Box<str>>,
}

type ElementOutcome = Result<HtmlLink, HtmlSkip>;

impl Page {
    pub(in crate::html) fn new(document: Document, charset: Charset) -> Self {
        Self {
            base: Url::parse(document.own().url()).ok(),
            document,
            charset,
            has_base: false,
            preferred: None,
        }
    }

    /// Applies a `base`. The first `base` with a `href` counts, even if the `href` is no URL.
    pub(super) fn base(&mut self, attributes: &Attributes) {
        let Some(href) = attributes.get(Attribute::Href).filter(|_| !self.has_base) else {
            return;
        };
        self.has_base = true;
        if attributes.is_cut(&[Attribute::Href]) || !self.is_readable(href) {
            self.base = None;
            return;
        }
        let found = self.join(href).ok();
        // The document's own URL stays the base if browsers refuse this one.
        if let Some(url) = found.filter(|url| !matches!(url.scheme(), "data" | "javascript")) {
            self.base = Some(url);
        }
    }

    /// Applies a `meta` that names the preferred set of stylesheets; returns the Content-Security-Policy of one that has
    /// it, which is `None` if it is too long.
    pub(super) fn meta(&mut self, attributes: &Attributes) -> Option<Option<Box<str>>> {
        let kind = attributes.get(Attribute::HttpEquiv);
        let content = attributes.get(Attribute::Content).unwrap_or_default();
        if is(kind, "default-style") && !content.is_empty() {
            self.preferred = Some(content.into());
        }
        if !is(kind, "content-security-policy") || content.trim_ascii().is_empty() {
            return None;
        }
        Some((!attributes.is_cut(&[Attribute::Content])).then(|| content.into()))
    }

    /// Returns the fetch that a `link` causes; `None` if no relation causes a fetch that a `Link` field could.
    pub(super) fn link(&mut self, attributes: &Attributes) -> Option<ElementOutcome> {
        let kind = LinkKind::of(attributes.get(Attribute::Rel)?)?;
        Some(self.fetch_of_link(attributes, kind))
    }

    fn fetch_of_link(&mut self, attributes: &Attributes, kind: LinkKind) -> ElementOutcome {
        check_attributes(attributes)?;
        let destination = match kind {
            LinkKind::Sheet => {
                self.check_sheet(attributes)?;
                Some("style")
            }
            LinkKind::AlternateSheet => return Err(HtmlSkip::Alternate),
            LinkKind::Preload if attributes.has(Attribute::ImageSrcset) => return Err(HtmlSkip::Srcset),
            LinkKind::Preload => {
                let destination = one_of(attributes, PRELOADED).ok_or(HtmlSkip::As)?;
                check_type(destination, attributes)?;
                Some(destination)
            }
            LinkKind::Module if is(attributes.get(Attribute::As), "") => None,
            LinkKind::Module => Some(one_of(attributes, SCRIPT_LIKE).ok_or(HtmlSkip::As)?),
            LinkKind::Connection => None,
        };
        if !is_for_every_screen(attributes.get(Attribute::Media).unwrap_or_default()) {
            return Err(HtmlSkip::Media);
        }
        let target = self.resolve(attributes.get(Attribute::Href).unwrap_or_default())?;
        let mut link = HtmlLink {
            target,
            relation: kind.relation(),
            destination,
            crossorigin: cross_origin(attributes),
            integrity: None,
            priority: None,
            media_type: None,
            tier: if kind == LinkKind::Sheet {
                Tier::Blocking
            } else {
                Tier::Declared
            },
        };
        if kind == LinkKind::Connection {
            let is_own = self.document.is_same_origin(&link.target);
            return if is_own { Err(HtmlSkip::Itself) } else { Ok(link) };
        }
        link.integrity = integrity(attributes)?;
        link.priority = priority(attributes);
        if destination == Some("image") {
            let media_type = essence(attributes.get(Attribute::Type).unwrap_or_default());
            link.media_type = Some(media_type.into()).filter(|_| !media_type.is_empty());
        }
        Ok(link)
    }

    /// Returns the fetch that a `script` causes; `None` if it has no `src`.
    pub(super) fn script(&self, attributes: &Attributes) -> Option<ElementOutcome> {
        let src = attributes.get(Attribute::Src)?;
        Some(self.fetch_of_script(attributes, src))
    }

    fn fetch_of_script(&self, attributes: &Attributes, src: &str) -> ElementOutcome {
        check_attributes(attributes)?;
        let is_module = script_kind(attributes)? == ScriptKind::Module;
        if !is_module && attributes.has(Attribute::Nomodule) {
            return Err(HtmlSkip::Nomodule);
        }
        if !is_module && !runs(attributes) {
            return Err(HtmlSkip::Event);
        }
        let waits = is_module || attributes.has(Attribute::Async) || attributes.has(Attribute::Defer);
        let blocks = has_word(attributes.get(Attribute::Blocking).unwrap_or_default(), "render");
        Ok(HtmlLink {
            target: self.resolve(src)?,
            relation: if is_module {
                Relation::ModulePreload
            } else {
                Relation::Preload
            },
            destination: (!is_module).then_some("script"),
            crossorigin: cross_origin(attributes),
            integrity: integrity(attributes)?,
            priority: priority(attributes),
            media_type: None,
            tier: if waits && !blocks { Tier::Lower } else { Tier::Blocking },
        })
    }

    fn check_sheet(&mut self, attributes: &Attributes) -> Result<(), HtmlSkip> {
        if attributes.has(Attribute::Disabled) {
            return Err(HtmlSkip::Disabled);
        }
        let media_type = essence(attributes.get(Attribute::Type).unwrap_or_default());
        if !media_type.is_empty() && !media_type.eq_ignore_ascii_case("text/css") {
            return Err(HtmlSkip::Type);
        }
        let title = attributes.get(Attribute::Title).unwrap_or_default();
        if !title.is_empty() && **self.preferred.get_or_insert_with(|| title.into()) != *title {
            return Err(HtmlSkip::Alternate);
        }
        Ok(())
    }

    /// Resolves a URL as a browser does, and checks that it may stand in a `Link` field.
    fn resolve(&self, text: &str) -> Result<Target, HtmlSkip> {
        if text.is_empty() {
            return Err(HtmlSkip::NoUrl);
        }
        if !self.is_readable(text) {
            return Err(HtmlSkip::Charset);
        }
        let mut url = self.join(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(HtmlSkip::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(HtmlSkip::Userinfo);
        }
        if self.document.scheme() == "https" && url.scheme() == "http" {
            return Err(HtmlSkip::MixedContent);
        }
        url.set_fragment(None);
        let target = self.document.resolve(url.as_str().as_bytes()).map_err(|e| match e {
            TargetError::TooLong { .. } => HtmlSkip::TooLong,
            _ => HtmlSkip::BadUrl,
        })?;
        if self.document.is_itself(&target) {
            return Err(HtmlSkip::Itself);
        }
        Ok(target)
    }

    /// Returns whether every browser reads the same characters: they are ASCII, or the encoding is certain and has
    /// them.
    fn is_readable(&self, text: &str) -> bool {
        text.is_ascii()
            || self.charset.is_sure
                && !text.contains(char::REPLACEMENT_CHARACTER)
                && !self.charset.encoding.encode(text).2
    }

    /// Resolves a URL: the query is encoded in the document's encoding, the rest in UTF-8 (URL standard,
    /// "encoding-parse a URL").
    fn join(&self, text: &str) -> Result<Url, HtmlSkip> {
        let encoding = self.charset.encoding;
        let encode: &dyn Fn(&str) -> Cow<'_, [u8]> = &|query| encoding.encode(query).0;
        let parser = Url::options().base_url(self.base.as_ref());
        parser.encoding_override(Some(encode)).parse(text).map_err(|e| match e {
            url::ParseError::RelativeUrlWithoutBase if self.base.is_none() => HtmlSkip::Charset,
            _ => HtmlSkip::BadUrl,
        })
    }
}

/// The fetch that a `link` causes: the first of its relations in the order of this enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LinkKind {
    Sheet,
    AlternateSheet,
    Preload,
    Module,
    Connection,
}

impl LinkKind {
    fn of(relations: &str) -> Option<Self> {
        let has = |name| has_word(relations, name);
        if has("stylesheet") {
            Some(if has("alternate") {
                Self::AlternateSheet
            } else {
                Self::Sheet
            })
        } else if has("preload") {
            Some(Self::Preload)
        } else if has("modulepreload") {
            Some(Self::Module)
        } else {
            has("preconnect").then_some(Self::Connection)
        }
    }

    fn relation(self) -> Relation {
        match self {
            Self::Sheet | Self::AlternateSheet | Self::Preload => Relation::Preload,
            Self::Module => Relation::ModulePreload,
            Self::Connection => Relation::Preconnect,
        }
    }
}

/// Refuses an element with a truncated attribute, or with `loading=lazy`, which browsers fetch when it is scrolled to.
fn check_attributes(attributes: &Attributes) -> Result<(), HtmlSkip> {
    let is_cut = attributes.is_cut(&[
        Attribute::Rel,
        Attribute::Href,
        Attribute::Src,
        Attribute::As,
        Attribute::Media,
        Attribute::Type,
        Attribute::Integrity,
        Attribute::Title,
    ]);
    if is_cut {
        Err(HtmlSkip::TooLong)
    } else if is(attributes.get(Attribute::Loading), "lazy") {
        Err(HtmlSkip::Lazy)
    } else {
        Ok(())
    }
}
