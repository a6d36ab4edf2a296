//! Reads the directives by which an origin tells this cache how to store a response: [`CacheControl`]. They stand in
//! `Cache-Control` (RFC 9111 section 5.2), or in a field that takes its place: `CDN-Cache-Control` (RFC 9213) or
//! `Surrogate-Control`.
//!
//! In doubt a response is stored for a shorter time, or not at all: the name of a directive counts wherever the origin
//! could mean it; a number counts only in the RFC's form, and only if all numbers of the directive are equal.

use std::{num::IntErrorKind, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The directives that this cache obeys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::cache) struct CacheControl {
    /// The directives stand in one of the [`TARGETED`] fields, so `Expires` is ignored (RFC 9213 section 2.2).
    pub(in crate::cache) is_targeted: bool,
    pub(in crate::cache) no_store: bool,
    /// `private`, with or without a list of fields.
    pub(in crate::cache) private: bool,
    /// `no-cache`, with or without a list of fields.
    pub(in crate::cache) no_cache: bool,
    pub(in crate::cache) public: bool,
    /// `must-revalidate` or `proxy-revalidate`.
    must_revalidate: bool,
    max_age: Seconds,
    s_maxage: Seconds,
    stale_while_revalidate: Seconds,
    stale_if_error: Seconds,
}

/// The seconds of a directive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Seconds {
    #[default]
    Absent,
    /// The directive has no valid number, or two that differ.
    Invalid,
    Given(u32),
}

/// The largest number of seconds; larger ones count as this (RFC 9111 section 1.2.2).
const MAX_SECONDS: u32 = 1 << 31;

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
const SURROGATE_CONTROL: HeaderName = HeaderName::from_static("surrogate-control");

/// The fields that take the place of `Cache-Control`; the first one with valid directives counts.
pub const TARGETED: [HeaderName; 2] = [CDN_CACHE_CONTROL, SURROGATE_CONTROL];

impl CacheControl {
    /// Reads the directives of a response with these fields; `None` if it has no such field.
    ///
    /// A [`TARGETED`] field with valid directives counts alone. All fields are passed on, as there may be another such
    /// cache between linkpush and the client.
    pub(in crate::cache) fn of(fields: &HeaderMap) -> Option<Self> {
        let targeted = Self::of_cdn(fields).or_else(|| Self::of_surrogate(fields));
        targeted.or_else(|| Self::of_all(fields))
    }

    /// Reads `Cache-Control`.
    fn of_all(fields: &HeaderMap) -> Option<Self> {
        if !fields.contains_key(header::CACHE_CONTROL) {
            return None;
        }
        let mut control = Self::default();
        for line in fields.get_all(header::CACHE_CONTROL) {
            // Some origins write semicolons for commas; a `no-store` behind one must count.
            for item in items(line.as_bytes(), b",;") {
                let (name, value) = directive(item);
                control.note(name, value.map_or(Seconds::Invalid, Seconds::read));
            }
        }
        Some(control)
    }

    /// Reads `CDN-Cache-Control`, a dictionary (RFC 9651): one syntax error voids the whole field, and an empty field
    /// is ignored. A number of another type than integer is invalid.
    fn of_cdn(fields: &HeaderMap) -> Option<Self> {
        let lines: Vec<&[u8]> = fields
            .get_all(CDN_CACHE_CONTROL)
            .iter()
            .map(HeaderValue::as_bytes)
            .collect();
        if lines.is_empty() {
            return None;
        }
        let dictionary = sfv::Parser::new(&lines.join(&b", "[..]))
            .parse::<sfv::Dictionary>()
            .ok()?;
        if dictionary.is_empty() {
            return None;
        }
        let mut control = Self {
            is_targeted: true,
            ..Self::default()
        };
        for (name, member) in &dictionary {
            let item = match member {
                sfv::ListEntry::Item(item) => Some(&item.bare_item),
                sfv::ListEntry::InnerList(_) => None,
            };
            if item.and_then(sfv::BareItem::as_boolean) == Some(false) {
                // `no-store=?0` means that the directive does not apply.
                continue;
            }
            let seconds = item.and_then(sfv::BareItem::as_integer).map(i64::from);
            let seconds = seconds
                .filter(|seconds| *seconds >= 0)
                .map_or(Seconds::Invalid, |seconds| {
                    Seconds::Given(u32::try_from(seconds).unwrap_or(u32::MAX).min(MAX_SECONDS))
                });
            control.note(name.as_str().as_bytes(), seconds);
        }
        Some(control)
    }

    /// Reads `Surrogate-Control`, which no RFC defines: `no-store`, and `max-age` without the `+` and the seconds of
    /// stale use behind it. Directives for one surrogate by name (`max-age=60;name`) and all others are ignored.
    fn of_surrogate(fields: &HeaderMap) -> Option<Self> {
        let mut control = Self {
            is_targeted: true,
            ..Self::default()
        };
        for line in fields.get_all(SURROGATE_CONTROL) {
            for item in items(line.as_bytes(), b",").filter(|item| !item.contains(&b';')) {
                let (name, value) = directive(item);
                if name.eq_ignore_ascii_case(b"no-store") {
                    control.no_store = true;
                } else if name.eq_ignore_ascii_case(b"max-age") {
                    let fresh = value.and_then(|value| value.split(|&byte| byte == b'+').next());
                    control.max_age.add(fresh.map_or(Seconds::Invalid, Seconds::read));
                }
            }
        }
        (control.no_store || control.max_age != Seconds::Absent).then_some(control)
    }

    fn note(&mut self, name: &[u8], seconds: Seconds) {
        let name = name.to_ascii_lowercase();
        match name.as_slice() {
            b"no-store" => self.no_store = true,
            b"private" => self.private = true,
            b"no-cache" => self.no_cache = true,
            b"public" => self.public = true,
            b"must-revalidate" | b"proxy-revalidate" => self.must_revalidate = true,
            b"max-age" => self.max_age.add(seconds),
            b"s-maxage" => self.s_maxage.add(seconds),
            b"stale-while-revalidate" => self.stale_while_revalidate.add(seconds),
            b"stale-if-error" => self.stale_if_error.add(seconds),
            _ => {}
        }
    }

    /// Returns whether the origin allows the response for all clients.
    pub(in crate::cache) fn is_for_everybody(&self) -> bool {
        self.public || self.s_maxage != Seconds::Absent
    }

    /// Returns the freshness lifetime; `None` without such a directive, zero if its number is invalid (of several
    /// numbers, RFC 9111 section 4.2.1 allows the first one or stale).
    pub(in crate::cache) fn lifetime(&self) -> Option<Duration> {
        self.s_maxage.lifetime().or_else(|| self.max_age.lifetime())
    }

    /// Returns the seconds for which the stale response may be used while it is revalidated (RFC 5861 section 3).
    pub(in crate::cache) fn stale_while_revalidate(&self) -> u32 {
        self.stale(self.stale_while_revalidate)
    }

    /// Returns the seconds for which the stale response may be used while the origin fails (RFC 5861 section 4).
    pub(in crate::cache) fn stale_if_error(&self) -> u32 {
        self.stale(self.stale_if_error)
    }

    fn stale(&self, seconds: Seconds) -> u32 {
        match seconds {
            Seconds::Given(seconds) if !self.must_be_revalidated() => seconds,
            _ => 0,
        }
    }

    /// Returns whether the stale response must not be used without validation (RFC 9111 section 4.2.4).
    pub(in crate::cache) fn must_be_revalidated(&self) -> bool {
        self.must_revalidate || self.s_maxage != Seconds::Absent
    }
}

impl Seconds {
    /// Reads a number, digits only, in quotes or not: RFC 9111 section 5.2 has recipients accept both forms.
    fn read(value: &[u8]) -> Self {
        let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        delta_seconds(bare.unwrap_or(value)).map_or(Self::Invalid, Self::Given)
    }

    /// Notes one more occurrence of the directive.
    fn add(&mut self, said: Self) {
        *self = match *self {
            Self::Absent => said,
            before if before == said => said,
            _ => Self::Invalid,
        }
    }

    fn lifetime(self) -> Option<Duration> {
        match self {
            Self::Absent => None,
            Self::Invalid => Some(Duration::ZERO),
            Self::Given(seconds) => Some(Duration::from_secs(seconds.into())),
        }
    }
}

/// Reads any number of digits as seconds, at most [`MAX_SECONDS`] (RFC 9111 section 1.2.2).
pub(in crate::cache) fn delta_seconds(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    match str::from_utf8(digits).ok()?.parse::<u32>() {
        Ok(seconds) => Some(seconds.min(MAX_SECONDS)),
        Err(e) if *e.kind() == IntErrorKind::PosOverflow => Some(MAX_SECONDS),
        Err(_) => None,
    }
}

/// Splits a directive into name and value. The name loses blanks before the `=`, and the value is dropped then; a blank
/// behind the `=` stays in the value and makes its number invalid.
fn directive(item: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = item.splitn(2, |&byte| byte == b'=');
    let name = parts.next().unwrap_or_default();
    (
        name.trim_ascii(),
        parts.next().filter(|_| !name.ends_with(b" ") && !name.ends_with(b"\t")),
    )
}

/// Splits a list into its items. A separator in quotes belongs to its item; a quote without an end is an ordinary byte,
/// so that it hides no directive.
fn items<'l>(line: &'l [u8], separators: &'static [u8]) -> impl Iterator<Item = &'l [u8]> {
    let mut rest = Some(line);
    let mut may_quote = true;
    std::iter::from_fn(move || {
        let line = rest?;
        let end = end_of_item(line, separators, &mut may_quote);
        rest = line.get(end + 1..);
        line.get(..end).map(<[u8]>::trim_ascii)
    })
}

fn end_of_item(line: &[u8], separators: &[u8], may_quote: &mut bool) -> usize {
    let mut at = 0;
    while let Some(byte) = line.get(at) {
        if separators.contains(byte) {
            return at;
        }
        if *byte == b'"' && *may_quote {
            // After one quote without an end, no other is looked at: each search would go to the end of the line.
            match end_of_quotes(line.get(at + 1..).unwrap_or_default()) {
                Some(end) => at += end + 1,
                None => *may_quote = false,
            }
        }
        at += 1;
    }
    line.len()
}

/// Returns the index of the quote that ends the quoted text, which begins just before `text`.
fn end_of_quotes(text: &[u8]) -> Option<usize> {
    let mut is_escaped = false;
    text.iter().position(|byte| {
        let ends = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        ends
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(list: &[(&'static str, &'static str)]) -> Option<CacheControl> {
        let mut fields = HeaderMap::new();
        for (name, value) in list {
            fields.append(*name, HeaderValue::from_static(value));
        }
        CacheControl::of(&fields)
    }

    /// Reads the directives of a response with these `Cache-Control` lines.
    fn lines(lines: &[&'static str]) -> CacheControl {
        let list: Vec<_> = lines.iter().map(|line| ("cache-control", *line)).collect();
        of(&list).expect("something is said")
    }

    fn seconds(control: CacheControl) -> Option<u64> {
        control.lifetime().map(|lifetime| lifetime.as_secs())
    }

    #[test]
    fn a_lifetime_counts_only_as_digits_that_do_not_differ() {
        const MAX_DELTA: u64 = 1 << 31;
        for (said, lifetime) in [
            (&["max-age=60"][..], Some(60)),
            (&["Max-Age=60"], Some(60)),
            (&["max-age=\"60\""], Some(60)),
            (&["max-age=060"], Some(60)),
            (&["max-age=60, s-maxage=10"], Some(10)),
            (&["s-maxage=10", "max-age=60"], Some(10)),
            (&["max-age=0, max-age=60"], Some(0)),
            (&["max-age=60, max-age=0"], Some(0)),
            (&["max-age=60", "max-age=0"], Some(0)),
            (&["max-age=60", "max-age=60"], Some(60)),
            (&["max-age=60, max-age=60, max-age=61"], Some(0)),
            (&["max-age=60, max-age=soon"], Some(0)),
            (&["max-age=-60"], Some(0)),
            (&["max-age=+60"], Some(0)),
            (&["max-age=60.5"], Some(0)),
            (&["max-age=6e1"], Some(0)),
            (&["max-age=0x60"], Some(0)),
            (&["max-age=60s"], Some(0)),
            (&["max-age='60'"], Some(0)),
            (&["max-age=\"60"], Some(0)),
            (&["max-age=\"6\\0\""], Some(0)),
            (&["max-age"], Some(0)),
            (&["max-age="], Some(0)),
            (&["max-age =60"], Some(0)),
            (&["max-age= 60"], Some(0)),
            (&["s-maxage=soon, max-age=60"], Some(0)),
            (&["max-age=2147483648"], Some(MAX_DELTA)),
            (&["max-age=4294967296"], Some(MAX_DELTA)),
            (&["max-age=99999999999999999999999999"], Some(MAX_DELTA)),
            (&["a=\"max-age=60\""], None),
            (&["a=\"b, max-age=60\""], None),
            (&["a=\"b\\\", max-age=60\""], None),
            (&["public"], None),
            (&[""], None),
        ] {
            assert_eq!(seconds(lines(said)), lifetime, "{said:?}");
        }
    }

    #[test]
    fn a_directive_counts_wherever_the_origin_could_mean_it() {
        for said in [
            "no-store",
            "NO-STORE",
            "max-age=60,no-store",
            "max-age=60;no-store",
            "no-store=x",
            "no-store = x",
            ", ,no-store,",
            "a=\"b, no-store",
            "a=\"b\\\", no-store",
            "a=\"b\" , no-store",
        ] {
            assert!(lines(&[said]).no_store, "{said}");
        }
        for said in ["a=\"no-store\"", "a=\"b, no-store\"", "x-no-store", "no-stores"] {
            assert!(!lines(&[said]).no_store, "{said}");
        }
        assert!(lines(&["private=\"x-user, x-cart\""]).private);
        assert!(lines(&["no-cache=\"x-user\""]).no_cache);
        assert!(lines(&["max-age=60", "private"]).private);
    }

    #[test]
    fn stale_use_ends_where_a_directive_forbids_it() {
        let stale = |said| {
            let control = lines(&[said]);
            (control.stale_while_revalidate(), control.stale_if_error())
        };
        assert_eq!(stale("stale-while-revalidate=5, stale-if-error=7"), (5, 7));
        assert_eq!(stale("stale-while-revalidate=5, stale-while-revalidate=6"), (0, 0));
        assert_eq!(stale("stale-if-error=-7"), (0, 0));
        for forbidding in ["must-revalidate", "proxy-revalidate", "s-maxage=60"] {
            let said = format!("stale-while-revalidate=5, stale-if-error=7, {forbidding}");
            assert_eq!(stale(said.leak()), (0, 0), "{forbidding}");
        }
    }

    #[test]
    fn cdn_cache_control_takes_the_place_of_cache_control_if_it_is_valid() {
        const ALL: (&str, &str) = ("cache-control", "max-age=60, private");
        for (cdn, lifetime) in [
            ("max-age=600", 600),
            ("max-age=600;x=y, stale-if-error=7", 600),
            ("max-age=600, s-maxage=5", 5),
            ("max-age=60, max-age=600", 600),
            ("max-age=-1", 0),
            ("max-age=1.5", 0),
            ("max-age=\"600\"", 0),
            ("max-age=soon", 0),
            ("max-age", 0),
            ("max-age=(600)", 0),
            ("max-age=999999999999999", 1 << 31),
        ] {
            let control = of(&[ALL, ("cdn-cache-control", cdn)]).expect("something is said");
            assert!(control.is_targeted && !control.private, "{cdn}");
            assert_eq!(seconds(control), Some(lifetime), "{cdn}");
        }
        // Invalid or empty dictionaries are ignored.
        for cdn in [
            "",
            "max-age=600,",
            "Max-Age=600",
            "max-age = 600",
            "max-age=600 no-store",
            "no-store;;",
            "no-store, a=\"b",
            "max-age=1000000000000000",
        ] {
            let control = of(&[ALL, ("cdn-cache-control", cdn)]).expect("something is said");
            assert_eq!((control.is_targeted, seconds(control)), (false, Some(60)), "{cdn}");
        }
        let named = |cdn| of(&[ALL, ("cdn-cache-control", cdn)]).expect("something is said");
        assert!(named("no-store").no_store && named("no-store=1").no_store);
        assert!(!named("no-store=?0, max-age=5").no_store);
        assert!(named("private=\"x-user\"").private && named("no-cache").no_cache);
        let two = of(&[("cdn-cache-control", "max-age=5"), ("cdn-cache-control", "no-store")]);
        assert!(two.is_some_and(|control| control.no_store && seconds(control) == Some(5)));
    }

    #[test]
    fn of_surrogate_control_only_no_store_and_max_age_count() {
        const ALL: (&str, &str) = ("cache-control", "max-age=60");
        let of = |surrogate| of(&[ALL, ("surrogate-control", surrogate)]).expect("something is said");
        for (surrogate, lifetime) in [
            ("max-age=600", 600),
            ("content=\"ESI/1.0\", max-age=600", 600),
            ("Max-Age=600+30", 600),
            ("max-age=600;edge, max-age=5", 5),
            ("max-age=soon", 0),
            ("max-age=5, max-age=6", 0),
        ] {
            let control = of(surrogate);
            assert_eq!(
                (control.is_targeted, seconds(control)),
                (true, Some(lifetime)),
                "{surrogate}"
            );
        }
        for surrogate in ["content=\"ESI/1.0\"", "no-store;edge", "no-store-remote", "private", ""] {
            let control = of(surrogate);
            assert_eq!(
                (control.is_targeted, seconds(control)),
                (false, Some(60)),
                "{surrogate}"
            );
        }
        assert!(of("no-store, max-age=600").no_store);
        let both = tests::of(&[("surrogate-control", "max-age=5"), ("cdn-cache-control", "max-age=6")]);
        assert_eq!(both.and_then(seconds), Some(6));
    }
}
