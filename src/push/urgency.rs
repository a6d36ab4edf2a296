//! Decides the order of bodies (rule 12): RFC 9218 urgencies from `as` and `fetchpriority`, and the priorities that
//! client and origin send in `priority`.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Destination;

/// An RFC 9218 urgency: 0 is sent first, 7 last. The default is 3 (section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency(u8);

impl Urgency {
    /// Returns the urgency of an asset.
    ///
    /// Assets that block rendering come first, in Chromium's own order: style, then script and font, then data, then
    /// images, then media. `fetchpriority` moves an asset by two steps.
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

impl Default for Urgency {
    fn default() -> Self {
        Self(3)
    }
}

/// The parameters of a `priority` field; `None` if absent (RFC 9218 section 4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Priority {
    urgency: Option<Urgency>,
    incremental: Option<bool>,
}

impl Priority {
    /// Returns the priority in the fields of a request or response.
    #[must_use]
    pub fn of(fields: &HeaderMap) -> Self {
        let mut values = fields.get_all(PRIORITY).iter().map(HeaderValue::as_bytes);
        match (values.next(), values.next()) {
            (None, _) => Self::default(),
            (Some(only), None) => Self::parse(only),
            // Several field lines are one list (RFC 9110 section 5.3).
            (Some(first), Some(second)) => {
                let lines: Vec<_> = [first, second].into_iter().chain(values).collect();
                Self::parse(&lines.join(&b", "[..]))
            }
        }
    }

    /// Parses the field value of a request, a response or a PRIORITY_UPDATE frame.
    ///
    /// The value is a dictionary of RFC 9651: one error makes the whole value void, and the last of repeated keys
    /// counts. A parameter of another type, or out of range, is ignored (RFC 9218 section 4).
    #[must_use]
    pub fn parse(field: &[u8]) -> Self {
        if let Some(priority) = Self::parse_plain(field) {
            return priority;
        }
        let Ok(dictionary) = sfv::Parser::new(field).parse::<sfv::Dictionary>() else {
            return Self::default();
        };
        let bare = |key: &str| match dictionary.get(key) {
            Some(sfv::ListEntry::Item(item)) => Some(&item.bare_item),
            _ => None,
        };
        let urgency = bare("u").and_then(sfv::BareItem::as_integer);
        Self {
            urgency: urgency
                .and_then(|urgency| u8::try_from(i64::from(urgency)).ok())
                .filter(|urgency| *urgency <= 7)
                .map(Urgency),
            incremental: bare("i").and_then(sfv::BareItem::as_boolean),
        }
    }

    /// Parses the forms that browsers send: `u=N`, `i`, and both.
    fn parse_plain(field: &[u8]) -> Option<Self> {
        let (urgency, rest) = match field {
            [b'u', b'=', digit @ b'0'..=b'7', rest @ ..] => (Some(Urgency(digit - b'0')), rest),
            b"i" => (None, b", i".as_slice()),
            _ => return None,
        };
        let incremental = match rest {
            b"" => None,
            b", i" | b",i" => Some(true),
            _ => return None,
        };
        Some(Self { urgency, incremental })
    }

    /// Makes a priority with an urgency alone.
    #[must_use]
    pub const fn urgent(urgency: Urgency) -> Self {
        Self {
            urgency: Some(urgency),
            incremental: None,
        }
    }

    /// Returns these parameters, with absent ones taken from `other` (RFC 9218 section 8).
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            urgency: self.urgency.or(other.urgency),
            incremental: self.incremental.or(other.incremental),
        }
    }

    /// Whether both parameters are absent.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.urgency.is_none() && self.incremental.is_none()
    }

    /// The urgency, or its default.
    #[must_use]
    pub fn urgency(self) -> Urgency {
        self.urgency.unwrap_or_default()
    }

    /// Whether the client can use parts of the content as they arrive; false by default.
    #[must_use]
    pub fn is_incremental(self) -> bool {
        self.incremental.unwrap_or_default()
    }

    /// Returns these parameters, with `incremental` true if absent.
    #[must_use]
    pub fn or_incremental(self) -> Self {
        Self {
            incremental: self.incremental.or(Some(true)),
            ..self
        }
    }
}

/// The `priority` field (RFC 9218 section 5).
pub const PRIORITY: HeaderName = HeaderName::from_static("priority");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_field_is_a_dictionary() {
        for (field, urgency, incremental) in [
            ("u=0", Some(0), None),
            ("u=5, i", Some(5), Some(true)),
            ("i, u=7", Some(7), Some(true)),
            ("i;x=1 ,u=2;y", Some(2), Some(true)),
            ("u=1, u=4", Some(4), None),
            ("u=1, i, i=?0", Some(1), Some(false)),
            ("u=3,i", Some(3), Some(true)),
            ("i=?1", None, Some(true)),
            ("i", None, Some(true)),
            ("", None, None),
            ("u=8", None, None),
            ("u=-1", None, None),
            ("u=10", None, None),
            ("u=1.0", None, None),
            ("u=\"1\"", None, None),
            ("u=(1)", None, None),
            ("i=1", None, None),
            ("u", None, None),
            ("uu=1", None, None),
            ("U=1", None, None),
            ("u=0, @bad", None, None),
            ("u=0,", None, None),
            ("u=0 i", None, None),
            ("x=\"a, u=1\"", None, None),
            ("u=1, x=@1659578233, y=%\"f\"", Some(1), None),
        ] {
            let priority = Priority::parse(field.as_bytes());
            assert_eq!(priority.urgency.map(Urgency::value), urgency, "{field}");
            assert_eq!(priority.incremental, incremental, "{field}");
        }
    }

    #[test]
    fn one_party_fills_in_what_the_other_leaves_out() {
        let priority = |field: &str| Priority::parse(field.as_bytes());
        assert_eq!(priority("u=1").or(priority("u=5, i")), priority("u=1, i"));
        assert_eq!(priority("i=?0").or(priority("u=5, i")), priority("u=5, i=?0"));
        assert_eq!(priority("").urgency().value(), 3);
        assert!(priority("").or_incremental().is_incremental() && !priority("i=?0").or_incremental().is_incremental());
    }

    #[test]
    fn assets_that_block_rendering_come_first() {
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
