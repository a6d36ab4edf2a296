//! Tracks the elements open inside templates, to find the template's end, and which elements' content is text.
//!
//! Nothing inside a template is fetched. Inside `svg` and `math`, an end tag named `template` may end an SVG or MathML
//! element, and `<title>` or `<style>` has no special content. HTML elements are not tracked: they change the end of a
//! template only in markup that does not occur in practice (unclosed HTML within `foreignObject`).

use html5gum::State;

use super::tag::{Attribute, Attributes};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A `template` of HTML.
    Template,
    /// An element of SVG.
    Svg,
    /// An element of MathML.
    MathMl,
    /// An SVG or MathML element that contains HTML ("HTML integration point").
    Html,
    /// A MathML element that contains HTML, except for `mglyph` and `malignmark`.
    MathText,
}

/// The open templates, and the open SVG and MathML elements in them.
#[derive(Debug, Default)]
pub(super) struct Templates {
    open: Vec<(Kind, Box<[u8]>)>,
}

impl Templates {
    /// Largest number of tracked elements; browsers, too, stop nesting at 512.
    const MOST: usize = 512;

    pub(super) fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    pub(super) fn is_too_deep(&self) -> bool {
        self.open.len() > Self::MOST
    }

    /// Whether the innermost element is of SVG or MathML, where `<![CDATA[` does not begin a comment.
    pub(super) fn is_foreign(&self) -> bool {
        self.open.last().is_some_and(|(kind, _)| *kind != Kind::Template)
    }

    pub(super) fn open_template(&mut self) {
        self.push(Kind::Template, b"template");
    }

    /// Takes a start tag; returns the tokenizer's state for the text behind the tag, unless the text is markup.
    pub(super) fn start(&mut self, name: &[u8], is_closed: bool, attributes: &Attributes) -> Option<State> {
        if self.is_html(name) {
            return self.start_html(name, is_closed);
        }
        let is_font = name == b"font"
            && [Attribute::Color, Attribute::Face, Attribute::Size]
                .iter()
                .any(|attribute| attributes.has(*attribute));
        if is_font || BREAKOUTS.contains(&name) {
            self.break_out();
            return self.start_html(name, is_closed);
        }
        if is_closed {
            return None;
        }
        let is_svg = self.open.last().is_some_and(|(kind, _)| *kind == Kind::Svg);
        let kind = match name {
            b"foreignobject" | b"desc" | b"title" if is_svg => Kind::Html,
            _ if is_svg => Kind::Svg,
            b"mi" | b"mo" | b"mn" | b"ms" | b"mtext" => Kind::MathText,
            b"annotation-xml" if has_html(attributes) => Kind::Html,
            _ => Kind::MathMl,
        };
        self.push(kind, name);
        None
    }

    /// Takes an end tag.
    pub(super) fn end(&mut self, name: &[u8]) {
        if self.is_foreign() {
            if matches!(name, b"br" | b"p") {
                return self.break_out();
            }
            // The innermost element of this name, unless a template is open inside it.
            let at = self
                .open
                .iter()
                .rposition(|(kind, open)| *kind == Kind::Template || **open == *name);
            if let Some(at) = at
                && self.open.get(at).is_some_and(|(kind, _)| *kind != Kind::Template)
            {
                self.open.truncate(at);
                return;
            }
        }
        if name == b"template"
            && let Some(at) = self.open.iter().rposition(|(kind, _)| *kind == Kind::Template)
        {
            self.open.truncate(at);
        }
    }

    fn start_html(&mut self, name: &[u8], is_closed: bool) -> Option<State> {
        match name {
            b"template" => self.open_template(),
            b"svg" if !is_closed => self.push(Kind::Svg, name),
            b"math" if !is_closed => self.push(Kind::MathMl, name),
            b"title" | b"textarea" => return Some(State::RcData),
            b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes" | b"noscript" => return Some(State::RawText),
            b"script" => return Some(State::ScriptData),
            b"plaintext" => return Some(State::PlainText),
            _ => {}
        }
        None
    }

    /// Returns whether a start tag is read by the rules for HTML.
    fn is_html(&self, name: &[u8]) -> bool {
        match self.open.last() {
            None | Some((Kind::Template | Kind::Html, _)) => true,
            Some((Kind::MathText, _)) => !matches!(name, b"mglyph" | b"malignmark"),
            Some((Kind::MathMl, open)) => &**open == b"annotation-xml" && name == b"svg",
            Some((Kind::Svg, _)) => false,
        }
    }

    /// Closes SVG and MathML elements up to one that contains HTML.
    fn break_out(&mut self) {
        let is_foreign = |kind: Kind| matches!(kind, Kind::Svg | Kind::MathMl);
        while self.open.last().is_some_and(|(kind, _)| is_foreign(*kind)) {
            self.open.pop();
        }
    }

    fn push(&mut self, kind: Kind, name: &[u8]) {
        if !self.is_too_deep() {
            self.open.push((kind, name.into()));
        }
    }
}

fn has_html(attributes: &Attributes) -> bool {
    let encoding = attributes.get(Attribute::Encoding).unwrap_or_default();
    ["text/html", "application/xhtml+xml"]
        .iter()
        .any(|html| encoding.eq_ignore_ascii_case(html))
}

/// Start tags that end foreign content (HTML, section 13.2.6.5).
const BREAKOUTS: [&[u8]; 44] = [
    b"b",
    b"big",
    b"blockquote",
    b"body",
    b"br",
    b"center",
    b"code",
    b"dd",
    b"div",
    b"dl",
    b"dt",
    b"em",
    b"embed",
    b"h1",
    b"h2",
    b"h3",
    b"h4",
    b"h5",
    b"h6",
    b"head",
    b"hr",
    b"i",
    b"img",
    b"li",
    b"listing",
    b"menu",
    b"meta",
    b"nobr",
    b"ol",
    b"p",
    b"pre",
    b"ruby",
    b"s",
    b"small",
    b"span",
    b"strong",
    b"strike",
    b"sub",
    b"sup",
    b"table",
    b"tt",
    b"u",
    b"ul",
    b"var",
];
