//! Collects a tag from the tokenizer's pieces: its name, and the attributes that decide about fetches.

/// An attribute that decides about fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute {
    Rel,
    Href,
    Src,
    As,
    Media,
    Type,
    CrossOrigin,
    Integrity,
    FetchPriority,
    Async,
    Defer,
    Nomodule,
    Language,
    For,
    Event,
    Title,
    Disabled,
    ImageSrcset,
    Loading,
    Blocking,
    HttpEquiv,
    Content,
    Encoding,
    Color,
    Face,
    Size,
}

const NAMES: [(&[u8], Attribute); 26] = [
    (b"rel", Attribute::Rel),
    (b"href", Attribute::Href),
    (b"src", Attribute::Src),
    (b"as", Attribute::As),
    (b"media", Attribute::Media),
    (b"type", Attribute::Type),
    (b"crossorigin", Attribute::CrossOrigin),
    (b"integrity", Attribute::Integrity),
    (b"fetchpriority", Attribute::FetchPriority),
    (b"async", Attribute::Async),
    (b"defer", Attribute::Defer),
    (b"nomodule", Attribute::Nomodule),
    (b"language", Attribute::Language),
    (b"for", Attribute::For),
    (b"event", Attribute::Event),
    (b"title", Attribute::Title),
    (b"disabled", Attribute::Disabled),
    (b"imagesrcset", Attribute::ImageSrcset),
    (b"loading", Attribute::Loading),
    (b"blocking", Attribute::Blocking),
    (b"http-equiv", Attribute::HttpEquiv),
    (b"content", Attribute::Content),
    (b"encoding", Attribute::Encoding),
    (b"color", Attribute::Color),
    (b"face", Attribute::Face),
    (b"size", Attribute::Size),
];

/// A name of a tag or attribute. Names longer than [`TagName::MOST`] count as unknown.
#[derive(Debug, Default)]
pub(super) struct TagName {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl TagName {
    /// Bytes of a name that are stored: more than any known name has.
    const MOST: usize = 32;

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.is_cut = false;
    }

    pub(super) fn push(&mut self, piece: &[u8]) {
        let room = Self::MOST.saturating_sub(self.bytes.len());
        self.is_cut |= piece.len() > room;
        self.bytes.extend(piece.iter().take(room));
    }

    /// The name in lower case; empty if too long to be known.
    pub(super) fn known(&self) -> &[u8] {
        if self.is_cut { &[] } else { &self.bytes }
    }
}

/// The place of an attribute's value in [`Attributes::bytes`], and whether the value was truncated.
#[derive(Debug, Clone, Copy)]
struct TagValue {
    start: usize,
    end: usize,
    is_cut: bool,
}

/// The attributes of the current tag. They take at most 26 times `longest` bytes.
#[derive(Debug)]
pub(super) struct Attributes {
    longest: usize,
    name: TagName,
    is_named: bool,
    current: Option<Attribute>,
    values: [Option<TagValue>; NAMES.len()],
    bytes: Vec<u8>,
}

impl Attributes {
    /// Makes an empty collection, which stores at most `longest` bytes of a value.
    pub(super) fn new(longest: usize) -> Self {
        Self {
            longest,
            name: TagName::default(),
            is_named: true,
            current: None,
            values: [None; NAMES.len()],
            bytes: Vec::new(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.values = [None; NAMES.len()];
        self.bytes.clear();
        self.current = None;
        self.is_named = true;
    }

    /// Begins an attribute, and completes the attribute before.
    pub(super) fn begin(&mut self) {
        self.complete();
        self.name.clear();
        self.is_named = false;
    }

    pub(super) fn push_name(&mut self, piece: &[u8]) {
        self.name.push(piece);
    }

    pub(super) fn push_value(&mut self, piece: &[u8]) {
        self.complete();
        let Some(value) = self.current.and_then(|at| self.values.get_mut(at as usize)?.as_mut()) else {
            return;
        };
        let room = self.longest.saturating_sub(value.end - value.start);
        value.is_cut |= piece.len() > room;
        self.bytes.extend(piece.iter().take(room));
        value.end = self.bytes.len();
    }

    /// Completes the name of the current attribute. The first of several attributes with one name counts.
    pub(super) fn complete(&mut self) {
        if self.is_named {
            return;
        }
        self.is_named = true;
        let name = self.name.known();
        let known = NAMES.iter().find(|(known, _)| *known == name);
        self.current = known.map(|(_, attribute)| *attribute);
        match self.current.and_then(|at| self.values.get_mut(at as usize)) {
            Some(value) if value.is_none() => {
                let start = self.bytes.len();
                *value = Some(TagValue {
                    start,
                    end: start,
                    is_cut: false,
                });
            }
            _ => self.current = None,
        }
    }

    /// The value of an attribute, with character references decoded. A truncated value may lack its last character.
    pub(super) fn get(&self, attribute: Attribute) -> Option<&str> {
        let value = self.value(attribute)?;
        let bytes = self.bytes.get(value.start..value.end)?;
        Some(match str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => str::from_utf8(bytes.get(..e.valid_up_to())?).unwrap_or_default(),
        })
    }

    pub(super) fn has(&self, attribute: Attribute) -> bool {
        self.value(attribute).is_some()
    }

    /// Whether one of these attributes was truncated.
    pub(super) fn is_cut(&self, attributes: &[Attribute]) -> bool {
        let mut values = attributes.iter().filter_map(|&attribute| self.value(attribute));
        values.any(|value| value.is_cut)
    }

    fn value(&self, attribute: Attribute) -> Option<TagValue> {
        self.values.get(attribute as usize).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_in_the_order_of_the_enum() {
        for (at, (_, attribute)) in NAMES.iter().enumerate() {
            assert_eq!(*attribute as usize, at);
        }
        assert!(NAMES.iter().all(|(name, _)| name.len() <= TagName::MOST));
    }

    #[test]
    fn values_are_kept_up_to_their_bound() {
        let mut attributes = Attributes::new(4);
        attributes.begin();
        attributes.push_name(b"hr");
        attributes.push_name(b"ef");
        attributes.push_value(b"/a");
        attributes.push_value("ü/b".as_bytes());
        attributes.begin();
        attributes.push_name(b"async");
        attributes.begin();
        attributes.push_name(b"href");
        attributes.push_value(b"/c");
        attributes.complete();
        assert_eq!(attributes.get(Attribute::Href), Some("/aü"));
        assert!(attributes.is_cut(&[Attribute::Rel, Attribute::Href]));
        assert!(!attributes.is_cut(&[Attribute::Async]));
        assert_eq!(attributes.get(Attribute::Async), Some(""));
        assert!(!attributes.has(Attribute::Rel));
        attributes.clear();
        assert!(!attributes.has(Attribute::Href));
    }
}
