//! In which order pushed bodies are sent (rule 12): RFC 9218 urgencies from `as` and `fetchpriority`.

use super::Destination;

/// An RFC 9218 urgency: 0 is sent first, 7 last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency(u8);

impl Urgency {
    /// The urgency of an asset.
    ///
    /// What blocks rendering goes first, as in Chromium's own order: style, then script and font,
    /// then data, then images, then media. `fetchpriority` moves an asset by two steps.
    #[must_use]
    pub fn of(destination: Option<Destination>, fetch_priority: Option<&[u8]>) -> Self {
        use Destination::{
            Audio, Document, Embed, Fetch, Font, Image, Json, Object, Script, Style, Track, Video, Worker,
        };
        let base: u8 = match destination {
            Some(Style | Document) => 2,
            Some(Script | Font | Worker) => 3,
            None | Some(Fetch | Json | Track) => 4,
            Some(Image | Object | Embed) => 5,
            Some(Audio | Video) => 6,
        };
        Self(match fetch_priority {
            Some(p) if p.eq_ignore_ascii_case(b"high") => base.saturating_sub(2),
            Some(p) if p.eq_ignore_ascii_case(b"low") => (base + 2).min(7),
            _ => base,
        })
    }

    /// The number, 0 to 7.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_blocks_rendering_goes_first() {
        let order = [
            Urgency::of(Some(Destination::Style), Some(b"high")),
            Urgency::of(Some(Destination::Style), None),
            Urgency::of(Some(Destination::Script), Some(b"auto")),
            Urgency::of(None, None),
            Urgency::of(Some(Destination::Image), None),
            Urgency::of(Some(Destination::Video), None),
            Urgency::of(Some(Destination::Video), Some(b"LOW")),
        ];
        assert!(order.is_sorted_by(|a, b| a < b), "{order:?}");
        assert_eq!(Urgency::of(Some(Destination::Video), Some(b"low")).value(), 7);
    }
}
