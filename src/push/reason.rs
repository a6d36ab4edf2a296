//! Names why a link was not delivered: one enum for tests, log, metrics and explanations.

use std::fmt;

use crate::meter::Label;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $label:literal,)+) => {
        /// Why a link is neither promised nor hinted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum SkipReason {
            $($(#[$doc])* $variant,)+
        }

        impl SkipReason {
            /// Every reason, in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason's name in logs, metrics and explanations.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }
    };
}

reasons! {
    /// The route's delivery is `off`.
    Off = "off",
    /// The client speaks HTTP/1.x.
    Http1 = "http1",
    /// The document is itself a pushed response (RFC 9113 section 8.4).
    PushedParent = "pushed_parent",
    /// The document's method is not GET.
    Method = "method",
    /// The document's status is neither 2xx nor 3xx, or it is 304.
    Status = "status",
    /// The client sent SETTINGS_ENABLE_PUSH 0, or GOAWAY.
    PushDisabled = "push_disabled",
    /// The client sent `Save-Data: on`.
    SaveData = "save_data",
    /// The client sent `Accept-Push-Policy: none`.
    AcceptPushPolicy = "accept_push_policy",
    /// The client reset too many promised streams.
    ClientRefuses = "client_refuses",
    /// The request is not a navigation, and the route hints only to those.
    NotNavigation = "not_navigation",
    /// The link is known only from the final response: a 103 would arrive together with the response.
    TooLateToHint = "too_late_to_hint",
    /// The response has more links than are planned for one response.
    TooManyLinks = "too_many_links",
    /// The text is not a link by RFC 8288.
    Malformed = "malformed",
    /// The relation is none that linkpush delivers.
    Relation = "relation",
    /// The link has `nopush`.
    Nopush = "nopush",
    /// The link is about another resource (`anchor`, RFC 8288 section 3.2).
    Anchor = "anchor",
    /// The route does not push this `as`.
    Destination = "destination",
    /// The link has no `as` that browsers know, so they would ignore the link in a 103.
    HintWithoutAs = "hint_without_as",
    /// Browsers accept no hint with this `as`.
    HintDestination = "hint_destination",
    /// The link is for some screens only (`media`): Chromium ignores such a hint, Firefox fetches every variant.
    Media = "media",
    /// The browser would choose an image (`imagesrcset`), but ignores the parameter in a 103.
    ImageSrcset = "imagesrcset",
    /// No browser shows this `type`.
    MediaType = "type",
    /// The target is not a URL that may be requested.
    BadTarget = "bad_target",
    /// The target is on another origin, which the route does not list.
    OtherOrigin = "other_origin",
    /// The target is the document itself.
    Itself = "itself",
    /// The page's Content-Security-Policy allows the asset by a nonce alone, or not at all.
    Csp = "csp",
    /// The target's response cannot be reused, so a browser would fetch the target twice.
    NotReusable = "not_reusable",
    /// Clients that got the link as a hint did not request its target.
    Unused = "unused",
    /// Too few visitors have got the link to show that it is the same for all (rule 17).
    WaitingForVisitors = "waiting_for_visitors",
    /// The link is longer than is learned.
    TooLong = "too_long",
    /// The document has more links than are learned.
    TooManyLearned = "too_many_learned",
    /// An earlier link of the same document is the same.
    Duplicate = "duplicate",
    /// The link was only learned, and the visitor revalidates its stored copy of the document: it has the assets, most
    /// likely.
    Returning = "returning",
    /// The target was pushed on this connection already.
    AlreadyPushed = "already_pushed",
    /// The client requested the target itself on this connection.
    AlreadyFetched = "already_fetched",
    /// The target's pushed response could not be delivered within the last `retry_bad_after`.
    NotPushable = "bad_answer",
    /// The route's `max_promises` is reached.
    MaxPromises = "max_promises",
    /// The client's SETTINGS_MAX_CONCURRENT_STREAMS is reached.
    ClientStreamLimit = "client_stream_limit",
    /// The route's `max_hints` is reached, or the largest size of a 103.
    MaxHints = "max_hints",
}

impl Label for SkipReason {
    const ALL: &'static [Self] = Self::ALL;

    fn label(self) -> &'static str {
        self.label()
    }

    fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// Number of links skipped for one document, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skips {
    counts: [u16; SkipReason::ALL.len()],
}

impl Default for Skips {
    fn default() -> Self {
        Self::NONE
    }
}

impl Skips {
    /// No link was skipped.
    pub const NONE: Self = Self {
        counts: [0; SkipReason::ALL.len()],
    };

    /// Counts one more link; a count stops at 65,535.
    pub fn add(&mut self, reason: SkipReason) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// Returns whether no link was skipped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|&count| count == 0)
    }

    /// Number of links skipped for this reason.
    #[must_use]
    pub fn count(&self, reason: SkipReason) -> u16 {
        self.counts.get(reason as usize).copied().unwrap_or(0)
    }

    /// Yields the reasons whose count is not zero, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (SkipReason, u16)> + '_ {
        SkipReason::ALL
            .iter()
            .map(|&reason| (reason, self.count(reason)))
            .filter(|&(_, count)| count > 0)
    }
}

impl fmt::Display for Skips {
    /// Writes `nopush:1,other_origin:2`, or `-` for no reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (reason, count) in self.iter() {
            write!(f, "{separator}{reason}:{count}")?;
            separator = ",";
        }
        if separator.is_empty() {
            f.write_str("-")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_printed_by_reason() {
        let mut skips = Skips::default();
        assert_eq!(skips.to_string(), "-");
        skips.add(SkipReason::OtherOrigin);
        skips.add(SkipReason::Nopush);
        skips.add(SkipReason::OtherOrigin);
        assert_eq!(skips.to_string(), "nopush:1,other_origin:2");
    }

    #[test]
    fn labels_are_unique() {
        let labels: std::collections::HashSet<_> = SkipReason::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(labels.len(), SkipReason::ALL.len());
    }
}
