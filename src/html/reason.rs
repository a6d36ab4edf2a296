//! Names why a document gives no links, and why an element of its head is skipped.

use std::fmt;

macro_rules! labelled {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal: $text:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
            /// Every reason, roughly in the order of the checks.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The reason's name in logs, metrics and explanations.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self {
                    $(Self::$variant => $label,)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $text,)+
                })
            }
        }
    };
}

labelled! {
    /// Why a document's head could not be read.
    HtmlReason {
        /// The media type is not `text/html`. (XHTML has other rules.)
        NotHtml = "not_html": "the media type is not text/html",
        /// The response is to be saved, not shown (RFC 6266).
        Attachment = "attachment": "the response is an attachment",
        /// The content coding is unknown, or there are several.
        ContentCoding = "content_coding": "unknown content coding",
        /// The content does not match its content coding, or needs more memory than its decoder may take.
        Corrupt = "corrupt": "the content coding is broken",
        /// The head does not end within [`Limits::body_bytes`](super::Limits) and `text_bytes`.
        TooLong = "too_long": "the head is longer than is read",
        /// The head has more tags than [`Limits::tags`](super::Limits).
        TooManyTags = "too_many_tags": "more tags than are read",
        /// The head has more links than [`Limits::links`](super::Limits).
        TooManyLinks = "too_many_links": "more links than are kept",
        /// More than 512 elements are open inside templates.
        TooDeep = "too_deep": "templates are nested too deeply",
        /// The response broke off before the end of its head.
        BrokenOff = "broken_off": "the response broke off within the head",
    }
}

impl std::error::Error for HtmlReason {}

labelled! {
    /// Why an element that causes a fetch is skipped.
    HtmlSkip {
        /// An attribute, or the resolved URL, is too long.
        TooLong = "too_long": "an attribute is longer than is read",
        /// `href` or `src` is empty or missing.
        NoUrl = "no_url": "no url",
        /// `loading=lazy`.
        Lazy = "lazy": "loading=lazy",
        /// `imagesrcset`: the browser chooses by its screen.
        Srcset = "srcset": "imagesrcset",
        /// A media query that some screens do not match.
        Media = "media": "a media query",
        /// A stylesheet with `disabled`.
        Disabled = "disabled": "disabled",
        /// An alternative stylesheet, or one that is not of the preferred set.
        Alternate = "alternate": "an alternative stylesheet",
        /// A `type` that is no script or stylesheet, or does not fit `as`.
        Type = "type": "a type that browsers do not fetch",
        /// A classic script for browsers without modules.
        Nomodule = "nomodule": "nomodule",
        /// A script for an event (`for` and `event`) that is not run.
        Event = "event": "a script for an event",
        /// A preload without an `as`, or with one that browsers do not preload.
        As = "as": "no as that browsers preload",
        /// `integrity` has bytes that no hash contains.
        Integrity = "integrity": "integrity is not a list of hashes",
        /// The URL, or the base that it is relative to, is not ASCII, and browsers may disagree on the document's
        /// encoding.
        Charset = "charset": "a url in an encoding that is not sure",
        /// The text is no URL, or has bytes that do not belong in a `Link` field.
        BadUrl = "bad_url": "a url that may not be asked for",
        /// A scheme other than `http` and `https`.
        Scheme = "scheme": "a scheme that is neither http nor https",
        /// A user name or password in the URL.
        Userinfo = "userinfo": "userinfo in the url",
        /// An `http` URL on an `https` page.
        MixedContent = "mixed_content": "http on a page of https",
        /// The document itself, or a connection to its own origin.
        Itself = "itself": "the document itself",
        /// An earlier element causes the same fetch.
        Duplicate = "duplicate": "named before",
    }
}
