//! A tag as the tokenizer hands it over in pieces: its name, and of its attributes those that are looked at.

/// An attribute that is looked at.
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

/// A name of a tag or attribute. Longer names than [`TagName::MOST`] are those of nothing that is known.
#[derive(Debug, Default)]
pub(super) struct TagName {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl TagName {
    /// Bytes of a name that are kept: more than any that is looked at.
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

    /// The name in lower case; empty for one that is too long to be known.
    pub(super) fn known(&self) -> &[u8] {
        if self.is_cut { &[] } else { &self.bytes }
    }
}

/// Where the value of an attribute stands, and whether its end was cut off.
#[derive(Debug, Clone, Copy)]
struct TagValue {
    start: usize,
    end: usize,
    is_cut: bool,
}

/// The attributes of the tag that is read. Its memory is bounded by their number times the longest value.
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
    /// `longest`: bytes of a value that are kept.
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

    /// Begins an attribute; the one before it, if any, is complete.
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

    /// Completes the name of the current attribute. Of several attributes of one name the first counts.
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

    /// The value of an attribute, its character references decoded. One that was cut may lack its last character.
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

    /// Whether the end of one of these attributes was cut off.
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
