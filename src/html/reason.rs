//! Why a document teaches nothing, and why an element of its head is passed over.

use std::fmt;

macro_rules! labelled {
    ($(#[$outer:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal: $text:literal,)+ }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)+
        }

        impl $name {
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
    /// Why nothing is known of a document's head.
    HtmlReason {
        /// The media type is not `text/html`: XHTML is read by other rules.
        NotHtml = "not_html": "the media type is not text/html",
        /// The response is to be saved, not shown (RFC 6266).
        Attachment = "attachment": "the response is an attachment",
        /// A content coding that is not known, or more than one.
        ContentCoding = "content_coding": "unknown content coding",
        /// The content is not of its content coding, or asks for more memory than its decoder may take.
        Corrupt = "corrupt": "the content coding is broken",
        /// The head does not end within the bytes that are read.
        TooLong = "too_long": "the head is longer than is read",
        /// More tags than are read.
        TooManyTags = "too_many_tags": "more tags than are read",
        /// More links than are kept.
        TooManyLinks = "too_many_links": "more links than are kept",
        /// More elements stand open inside templates than are kept.
        TooDeep = "too_deep": "templates are nested too deeply",
        /// The response ended before it was complete, and before its head was.
        BrokenOff = "broken_off": "the response broke off within the head",
    }
}

impl std::error::Error for HtmlReason {}

labelled! {
    /// Why an element that names something to fetch is passed over.
    HtmlSkip {
        /// An attribute is longer than is read.
        TooLong = "too_long": "an attribute is longer than is read",
        /// `href` or `src` is empty or missing.
        NoUrl = "no_url": "no url",
        /// `loading=lazy`.
        Lazy = "lazy": "loading=lazy",
        /// `imagesrcset`: the browser chooses by its screen.
        Srcset = "srcset": "imagesrcset",
        /// A media query that not every screen matches.
        Media = "media": "a media query",
        /// A stylesheet with `disabled`.
        Disabled = "disabled": "disabled",
        /// An alternative stylesheet, or one of another set than the preferred.
        Alternate = "alternate": "an alternative stylesheet",
        /// A `type` that is no script or stylesheet, or that is not of the kind that `as` names.
        Type = "type": "a type that browsers do not fetch",
        /// A classic script for browsers without modules.
        Nomodule = "nomodule": "nomodule",
        /// A script for an event (`for` and `event`) that is not run.
        Event = "event": "a script for an event",
        /// A preload without an `as`, or with one that browsers do not preload.
        As = "as": "no as that browsers preload",
        /// `integrity` has bytes that belong in no hash.
        Integrity = "integrity": "integrity is not a list of hashes",
        /// The URL is not ASCII, and the document's encoding is not sure.
        Charset = "charset": "a url in an encoding that is not sure",
        /// The URL is none, or has bytes that do not belong in a `Link` field.
        BadUrl = "bad_url": "a url that may not be asked for",
        /// A scheme other than `http` and `https`.
        Scheme = "scheme": "a scheme that is neither http nor https",
        /// A user name or password in the URL.
        Userinfo = "userinfo": "userinfo in the url",
        /// `http` on a page that came by `https`.
        MixedContent = "mixed_content": "http on a page of https",
        /// The document itself, or a connection to its own origin.
        Itself = "itself": "the document itself",
        /// An element before it made the browser fetch the same.
        Duplicate = "duplicate": "named before",
    }
}
