//! Lists the values of `as` in a preload link: the request destinations of the Fetch standard.

use std::fmt;

/// A request destination (Fetch standard) that a preload link may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// `audio`
    Audio,
    /// `document`
    Document,
    /// `embed`
    Embed,
    /// `fetch`
    Fetch,
    /// `font`
    Font,
    /// `image`
    Image,
    /// `json`
    Json,
    /// `object`
    Object,
    /// `script`
    Script,
    /// `style`
    Style,
    /// `track`
    Track,
    /// `video`
    Video,
    /// `worker`
    Worker,
}

impl Destination {
    /// Every destination, by name.
    pub const ALL: [Self; 13] = [
        Self::Audio,
        Self::Document,
        Self::Embed,
        Self::Fetch,
        Self::Font,
        Self::Image,
        Self::Json,
        Self::Object,
        Self::Script,
        Self::Style,
        Self::Track,
        Self::Video,
        Self::Worker,
    ];

    /// The value of `as`, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Document => "document",
            Self::Embed => "embed",
            Self::Fetch => "fetch",
            Self::Font => "font",
            Self::Image => "image",
            Self::Json => "json",
            Self::Object => "object",
            Self::Script => "script",
            Self::Style => "style",
            Self::Track => "track",
            Self::Video => "video",
            Self::Worker => "worker",
        }
    }

    /// Returns the destination that an `as` value names, ASCII case ignored; `None` for any other text.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|d| value.eq_ignore_ascii_case(d.name().as_bytes()))
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
