//! Why a link was not delivered: one enum for tests, log, metrics and explanations.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $label:literal,)+) => {
        /// Why a link is neither promised nor hinted.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum SkipReason {
            $($(#[$doc])* $variant,)+
        }

        impl SkipReason {
            /// Every reason, in the order of the decisions.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in logs, metrics and explanations.
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
    /// Known only from the final response: a 103 would arrive together with it.
    TooLateToHint = "too_late_to_hint",
    /// More links than are looked at in one response.
    TooManyLinks = "too_many_links",
    /// Not a link by RFC 8288.
    Malformed = "malformed",
    /// Its relation asks for nothing that is delivered.
    Relation = "relation",
    /// It carries `nopush`.
    Nopush = "nopush",
    /// It is about another resource (`anchor`, RFC 8288 section 3.2).
    Anchor = "anchor",
    /// Its `as` is not one that the route pushes.
    Destination = "destination",
    /// It has no `as` that a browser understands, so a 103 with it would do nothing.
    HintWithoutAs = "hint_without_as",
    /// Its `as` is one that browsers take no hint for.
    HintDestination = "hint_destination",
    /// It is for some screens only (`media`): Chromium ignores it, Firefox fetches every variant.
    Media = "media",
    /// It leaves the choice of an image to the browser (`imagesrcset`), which ignores it in a 103.
    ImageSrcset = "imagesrcset",
    /// Its `type` is one that no browser shows.
    MediaType = "type",
    /// Its target is not a URL that may be asked for.
    BadTarget = "bad_target",
    /// Its target is on another origin, which the route does not list.
    OtherOrigin = "other_origin",
    /// It names the document itself.
    Itself = "itself",
    /// The page's Content-Security-Policy allows it by a nonce alone, or not at all.
    Csp = "csp",
    /// Its response may not be used again, so a browser would fetch it twice.
    NotReusable = "not_reusable",
    /// Clients that got it as a hint did not ask for it.
    Unused = "unused",
    /// Too few visitors have got it to say that it is for all (rule 17).
    WaitingForVisitors = "waiting_for_visitors",
    /// The same document named it before.
    Duplicate = "duplicate",
    /// Learned only, and the visitor asks whether its copy of the document is still good: it has the
    /// assets, most likely.
    Returning = "returning",
    /// It was pushed on this connection already.
    AlreadyPushed = "already_pushed",
    /// The client asked for it itself on this connection.
    AlreadyFetched = "already_fetched",
    /// Its pushed answer could not be used a short while ago.
    NotPushable = "bad_answer",
    /// The route's `max_promises` is reached.
    MaxPromises = "max_promises",
    /// The client's SETTINGS_MAX_CONCURRENT_STREAMS is reached.
    ClientStreamLimit = "client_stream_limit",
    /// The route's `max_hints` is reached, or the 103s are as large as they may be.
    MaxHints = "max_hints",
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// How often each reason came up for one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skips {
    counts: [u16; SkipReason::ALL.len()],
}

impl Default for Skips {
    fn default() -> Self {
        Self {
            counts: [0; SkipReason::ALL.len()],
        }
    }
}

impl Skips {
    /// Counts one more link; stops at 65,535.
    pub fn add(&mut self, reason: SkipReason) {
        if let Some(count) = self.counts.get_mut(reason as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// How often this reason came up.
    #[must_use]
    pub fn count(&self, reason: SkipReason) -> u16 {
        self.counts.get(reason as usize).copied().unwrap_or(0)
    }

    /// The reasons that came up, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (SkipReason, u16)> + '_ {
        SkipReason::ALL
            .iter()
            .map(|&reason| (reason, self.count(reason)))
            .filter(|&(_, count)| count > 0)
    }
}

impl fmt::Display for Skips {
    /// `nopush:1,other_origin:2`, or `-` for none.
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
