//! Reads from a link what browsers act on before they have the page: relation, target, and eight parameters.
//!
//! The HTML standard ("processing Link headers") and Resource Hints give a meaning to these parameters only, and
//! Chromium ignores a link of a 103 that has any other. So a link that goes into a 103 is written anew from a
//! [`ResourceHint`].
//!
//! Two links are the same if relation, target, `as` and `crossorigin` are equal (rule 19), in any spelling. `anchor`,
//! `media` and `imagesrcset` count too where they are present, since they decide whether the link is for this page and
//! this screen at all. `nopush`, `nonce` and `title` never count.

use std::borrow::Cow;

use super::{
    parse::{Link, parameters},
    spelled::{NOPUSH, Spelled},
};

/// A relation that makes a browser act before it has the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// `preload`: fetch the target.
    Preload,
    /// `modulepreload`: fetch the target, a module script, and compile it.
    ModulePreload,
    /// `preconnect`: connect to the target's origin.
    Preconnect,
}

/// A CORS setting (HTML, "CORS settings attributes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CrossOrigin {
    /// `crossorigin`, `crossorigin=anonymous`, and any unknown value.
    Anonymous,
    /// `crossorigin=use-credentials`.
    UseCredentials,
}

/// A link with one of the three relations, reduced to what a browser understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceHint<'a> {
    /// The target as received.
    pub target: &'a [u8],
    /// The link's first relation that is one of the three.
    pub relation: Relation,
    /// `as` in lower case; `None` if absent or empty.
    pub destination: Option<Cow<'a, [u8]>>,
    /// `crossorigin`.
    pub cross_origin: Option<CrossOrigin>,
    /// `anchor`; `None` if absent, or empty and so the document itself.
    pub anchor: Option<Cow<'a, [u8]>>,
    /// `media`, unless it is blank or `all`.
    pub media: Option<Cow<'a, [u8]>>,
    /// `imagesrcset`, from which the browser chooses one image.
    pub image_srcset: Option<Cow<'a, [u8]>>,
    /// `type`, a media type.
    pub media_type: Option<Cow<'a, [u8]>>,
    /// `integrity`.
    pub integrity: Option<Cow<'a, [u8]>>,
    /// `fetchpriority` if its value is `high` or `low`, in lower case.
    pub fetch_priority: Option<&'static str>,
    /// Whether the link has a `nopush`.
    pub nopush: bool,
}

impl Relation {
    /// The relation's name in `rel`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preload => "preload",
            Self::ModulePreload => "modulepreload",
            Self::Preconnect => "preconnect",
        }
    }

    /// Returns the relation that a word of `rel` names, ASCII case ignored.
    fn parse(word: &[u8]) -> Option<Self> {
        [Self::Preload, Self::ModulePreload, Self::Preconnect]
            .into_iter()
            .find(|relation| word.eq_ignore_ascii_case(relation.name().as_bytes()))
    }
}

impl<'a> ResourceHint<'a> {
    /// Reads a link; `None` if none of its relations is one of the three. The first counts where a parameter is
    /// repeated (RFC 8288 section 3.3).
    #[must_use]
    pub fn of(link: &Link<'a>) -> Option<Self> {
        let relation = link.relations().find_map(Relation::parse)?;
        let mut hint = Self {
            target: link.target,
            relation,
            destination: None,
            cross_origin: None,
            anchor: None,
            media: None,
            image_srcset: None,
            media_type: None,
            integrity: None,
            fetch_priority: None,
            nopush: link.nopush(),
        };
        let mut seen = Seen::default();
        for (name, value) in parameters(link.raw) {
            let Some(parameter) = Parameter::parse(name) else {
                continue;
            };
            if seen.add(parameter) && Self::concerns(relation, parameter) {
                hint.record(parameter, value);
            }
        }
        Some(hint)
    }

    /// Returns whether a parameter has a meaning for a relation: nothing is fetched over a mere connection.
    const fn concerns(relation: Relation, parameter: Parameter) -> bool {
        use Parameter::{Anchor, CrossOrigin, Media};
        !matches!(relation, Relation::Preconnect) || matches!(parameter, Anchor | CrossOrigin | Media)
    }

    /// Removes the anchor, once it is known that the anchor names the document: browsers ignore a hint that has one.
    #[must_use]
    pub fn without_anchor(mut self) -> Self {
        self.anchor = None;
        self
    }

    fn record(&mut self, parameter: Parameter, value: Cow<'a, [u8]>) {
        let filled = |value: Cow<'a, [u8]>| (!value.is_empty()).then_some(value);
        match parameter {
            Parameter::As => self.destination = filled(lower(value)),
            Parameter::CrossOrigin => self.cross_origin = Some(CrossOrigin::parse(&value)),
            Parameter::Anchor => self.anchor = filled(value),
            Parameter::Media => {
                // A query of white space alone matches every screen (Media Queries 4, section 2.1).
                let query = value.trim_ascii();
                let is_all = query.is_empty() || query.eq_ignore_ascii_case(b"all");
                self.media = (!is_all).then_some(value);
            }
            Parameter::ImageSrcset => self.image_srcset = filled(value),
            Parameter::Type => self.media_type = filled(value),
            Parameter::Integrity => self.integrity = filled(value),
            Parameter::FetchPriority => {
                self.fetch_priority = ["high", "low"]
                    .into_iter()
                    .find(|priority| value.eq_ignore_ascii_case(priority.as_bytes()));
            }
        }
    }

    /// Writes the link in canonical spelling, with every parameter that was read.
    #[must_use]
    pub fn spelled(&self) -> Spelled {
        let mut text = self.identity();
        let identity = text.len();
        self.write_rest(&mut text);
        if self.nopush {
            text.extend_from_slice(NOPUSH);
        }
        Spelled::new(text, identity)
    }

    fn identity(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.target.len() + ABOUT);
        text.push(b'<');
        text.extend_from_slice(self.target);
        text.push(b'>');
        write(&mut text, "rel", self.relation.name().as_bytes());
        if let Some(destination) = &self.destination {
            write(&mut text, "as", destination);
        }
        match self.cross_origin {
            Some(CrossOrigin::Anonymous) => text.extend_from_slice(b"; crossorigin"),
            Some(CrossOrigin::UseCredentials) => write(&mut text, "crossorigin", b"use-credentials"),
            None => {}
        }
        let others = [
            ("anchor", &self.anchor),
            ("media", &self.media),
            ("imagesrcset", &self.image_srcset),
        ];
        for (name, value) in others {
            if let Some(value) = value {
                write(&mut text, name, value);
            }
        }
        text
    }

    fn write_rest(&self, text: &mut Vec<u8>) {
        for (name, value) in [("type", &self.media_type), ("integrity", &self.integrity)] {
            if let Some(value) = value {
                write(text, name, value);
            }
        }
        if let Some(priority) = self.fetch_priority {
            write(text, "fetchpriority", priority.as_bytes());
        }
    }
}

/// Rough number of bytes of a link besides its target.
const ABOUT: usize = 80;

impl Spelled {
    /// Reads a link that [`text`](Self::text) returned; `None` if `text` is no such link.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let link = super::parse(text).next()?.ok()?;
        Some(ResourceHint::of(&link)?.spelled())
    }
}

impl CrossOrigin {
    /// The value of `crossorigin`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anonymous => "anonymous",
            Self::UseCredentials => "use-credentials",
        }
    }

    fn parse(value: &[u8]) -> Self {
        if value.eq_ignore_ascii_case(b"use-credentials") {
            Self::UseCredentials
        } else {
            Self::Anonymous
        }
    }
}

/// The parameters that a browser understands.
#[derive(Debug, Clone, Copy)]
enum Parameter {
    As,
    CrossOrigin,
    Anchor,
    Media,
    ImageSrcset,
    Type,
    Integrity,
    FetchPriority,
}

impl Parameter {
    const ALL: [(Self, &'static str); 8] = [
        (Self::As, "as"),
        (Self::CrossOrigin, "crossorigin"),
        (Self::Anchor, "anchor"),
        (Self::Media, "media"),
        (Self::ImageSrcset, "imagesrcset"),
        (Self::Type, "type"),
        (Self::Integrity, "integrity"),
        (Self::FetchPriority, "fetchpriority"),
    ];

    fn parse(name: &[u8]) -> Option<Self> {
        let known = Self::ALL
            .iter()
            .find(|(_, known)| name.eq_ignore_ascii_case(known.as_bytes()));
        known.map(|(parameter, _)| *parameter)
    }
}

/// A bit set of the parameters that the link has had so far.
#[derive(Default)]
struct Seen(u8);

impl Seen {
    /// Adds a parameter; returns whether it is the first of its name.
    fn add(&mut self, parameter: Parameter) -> bool {
        let bit = 1 << parameter as u8;
        let is_first = self.0 & bit == 0;
        self.0 |= bit;
        is_first
    }
}

fn lower(value: Cow<'_, [u8]>) -> Cow<'_, [u8]> {
    if value.iter().any(u8::is_ascii_uppercase) {
        value.to_ascii_lowercase().into()
    } else {
        value
    }
}

fn write(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.extend_from_slice(b"; ");
    text.extend_from_slice(name.as_bytes());
    // `name=""` means the same as `name`.
    if value.is_empty() {
        return;
    }
    text.push(b'=');
    if value.iter().all(|&byte| is_token(byte)) {
        text.extend_from_slice(value);
        return;
    }
    text.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(byte);
    }
    text.push(b'"');
}

/// Returns whether a byte is a `tchar` (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::parse, *};

    fn spelled(field: &str) -> Option<Spelled> {
        let link = parse(field.as_bytes()).next()?.ok()?;
        Some(ResourceHint::of(&link)?.spelled())
    }

    fn text(field: &str) -> Option<String> {
        spelled(field).map(|spelled| String::from_utf8_lossy(spelled.text()).into_owned())
    }

    #[test]
    fn a_link_has_one_canonical_spelling() {
        for (written, expected) in [
            ("</a.js>; rel=preload; as=script", "</a.js>; rel=preload; as=script"),
            ("</a.js>;as=script;rel=preload", "</a.js>; rel=preload; as=script"),
            (
                "</a.js> ; AS = \"SCRIPT\" ; rel=\" Preload \"",
                "</a.js>; rel=preload; as=script",
            ),
            (
                "< /a.js >; rel=preload;; nonce=\"n1\"; title=x; as=script;",
                "</a.js>; rel=preload; as=script",
            ),
            (
                "</a.css>; rel=\"stylesheet  preload\"; nopush",
                "</a.css>; rel=preload; nopush",
            ),
            (
                "</a>; rel=\"modulepreload preload\"; rel=prefetch; as=style; as=font",
                "</a>; rel=modulepreload; as=style",
            ),
            ("</a>; rel=preload; crossorigin=\"\"", "</a>; rel=preload; crossorigin"),
            (
                "</a>; rel=preload; crossorigin=Anonymous",
                "</a>; rel=preload; crossorigin",
            ),
            ("</a>; rel=preload; crossorigin=x", "</a>; rel=preload; crossorigin"),
            (
                "</a>; rel=preload; crossorigin=Use-Credentials",
                "</a>; rel=preload; crossorigin=use-credentials",
            ),
            ("</a>; rel=preload; media=\" ALL \"; as=\"\"", "</a>; rel=preload"),
            ("</a>; rel=preload; media=print", "</a>; rel=preload; media=print"),
            ("</a>; rel=preload; media=\" \t \"", "</a>; rel=preload"),
            ("</a>; rel=preload; media", "</a>; rel=preload"),
            ("</a>; rel=preload; anchor=\"\"", "</a>; rel=preload"),
            ("</a>; rel=preload; anchor=\"#x\"", "</a>; rel=preload; anchor=#x"),
            (
                "<//cdn>; rel=preconnect; as=foo; imagesrcset=\"/a 1x\"; type=x; integrity=y; fetchpriority=low",
                "<//cdn>; rel=preconnect",
            ),
            (
                "<//cdn>; rel=preconnect; as=font; crossorigin=anonymous; media=print",
                "<//cdn>; rel=preconnect; crossorigin; media=print",
            ),
            (
                "</a>; type=font/woff2; rel=preload; as=font",
                "</a>; rel=preload; as=font; type=\"font/woff2\"",
            ),
            (
                r#"</a>; rel=preload; integrity="sha256-a/b= \"x\\"; fetchpriority=HIGH"#,
                r#"</a>; rel=preload; integrity="sha256-a/b= \"x\\"; fetchpriority=high"#,
            ),
            ("</a>; rel=preload; fetchpriority=auto", "</a>; rel=preload"),
            ("<//cdn>; rel=preconnect", "<//cdn>; rel=preconnect"),
        ] {
            assert_eq!(text(written).as_deref(), Some(expected), "{written}");
        }
        assert_eq!(text("</a>; rel=prefetch"), None);
        assert_eq!(text("</a>; rel=stylesheet; as=style"), None);
    }

    #[test]
    fn links_are_equal_by_relation_target_as_crossorigin_and_media() {
        let one = spelled("</a.js>; rel=preload; as=script").expect("a link");
        for (other, is_same) in [
            ("</a.js>; rel=preload; as=script; nopush; nonce=x", true),
            ("</a.js>; as=script; integrity=sha256-x; rel=preload; type=y", true),
            ("</a.js>; rel=preload; as=script; fetchpriority=low; title=x", true),
            ("</b.js>; rel=preload; as=script", false),
            ("</a.js>; rel=modulepreload; as=script", false),
            ("</a.js>; rel=preload; as=fetch", false),
            ("</a.js>; rel=preload; as=script; crossorigin", false),
            ("</a.js>; rel=preload; as=script; media=print", false),
        ] {
            assert_eq!(spelled(other).expect("a link") == one, is_same, "{other}");
        }
    }

    #[test]
    fn a_hint_has_no_parameter_that_a_browser_does_not_know() {
        let field = b"</a.js>; nopush; rel=\"preload x\"; nonce=n; as=script; title=t; x-foo=1; type=text/javascript; \
            fetchpriority=high; integrity=sha256-x; referrerpolicy=no-referrer; crossorigin=\"\"; anchor=\"\"; media=\" \"";
        let link = parse(field).next().expect("a link").expect("a good one");
        let hint = ResourceHint::of(&link).expect("a relation").spelled();
        assert_eq!(
            String::from_utf8_lossy(hint.hint()),
            "</a.js>; rel=preload; as=script; crossorigin; type=\"text/javascript\"; integrity=sha256-x; fetchpriority=high"
        );
    }

    proptest! {
        #[test]
        fn a_canonical_spelling_is_read_as_itself(
            field in "(<[a-z/ ]*>)(; ?(rel|as|type|media|anchor|nopush|crossorigin|integrity|[a-z]{1,4})( ?= ?(\"[^\"\\\\]*\"|[a-z/]*))?){0,6}"
        ) {
            let field = format!("{field}; rel=preload");
            if let Some(once) = spelled(&field) {
                let again = Spelled::read(once.text()).expect("it was written by us");
                prop_assert!(again.is_verbatim(&once));
                prop_assert_eq!(again.identity(), once.identity());
            }
        }

        #[test]
        fn the_canonical_spelling_keeps_target_nopush_anchor_and_relation(field in any::<Vec<u8>>()) {
            for link in parse(&field).flatten() {
                let Some(hint) = ResourceHint::of(&link) else { continue };
                let again = hint.spelled();
                let read = parse(again.text()).next().expect("a link").expect("a good one");
                prop_assert_eq!(read.target, link.target);
                prop_assert_eq!(read.nopush(), link.nopush());
                prop_assert_eq!(read.anchor(), link.anchor().filter(|anchor| !anchor.is_empty()));
                prop_assert!(read.has_relation(hint.relation.name()));
            }
        }
    }
}
