//! In which order bodies are sent (rule 12): RFC 9218 urgencies from `as` and `fetchpriority`, and from
//! what client and origin say in `priority`.

use super::Destination;

/// An RFC 9218 urgency: 0 is sent first, 7 last. The default is 3 (section 4.1).
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

    /// The urgency that a `priority` field asks for (RFC 9218 section 4.1), if it does: a client's in a request or
    /// in a PRIORITY_UPDATE frame, an origin's in a response.
    ///
    /// It is read leniently, without a parser for structured fields: what looks like `u` inside a quoted
    /// string of some other parameter is taken for it. It decides no more than an order.
    #[must_use]
    pub fn asked(priority: &[u8]) -> Option<Self> {
        let members = priority.split(|&b| b == b',').map(<[u8]>::trim_ascii);
        // The last one counts (RFC 8941 section 4.2.2).
        members
            .filter_map(|member| match member.strip_prefix(b"u=")? {
                [digit @ b'0'..=b'7'] | [digit @ b'0'..=b'7', b';' | b' ' | b'\t', ..] => Some(Self(digit - b'0')),
                _ => None,
            })
            .next_back()
    }

    /// How many there are.
    pub const LEVELS: usize = 8;

    /// The number, 0 to 7.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl Default for Urgency {
    fn default() -> Self {
        Self(3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_field_tells_an_urgency() {
        for (field, expected) in [
            ("u=0", Some(0)),
            ("u=5, i", Some(5)),
            ("i, u=7", Some(7)),
            ("i;x=1 ,u=2;y", Some(2)),
            ("u=1, u=4", Some(4)),
            ("i", None),
            ("", None),
            ("u=8", None),
            ("u=-1", None),
            ("u=10", None),
            ("u", None),
            ("uu=1", None),
            ("U=1", None),
        ] {
            let asked = Urgency::asked(field.as_bytes());
            assert_eq!(asked.map(Urgency::value), expected, "{field}");
        }
    }

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
