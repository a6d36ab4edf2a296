//! Error codes, and why a connection or a stream comes to its end.

use std::fmt;

use crate::peer::target::BadTarget;

/// An error code (RFC 9113 section 7).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::h2) struct Reason(pub(in crate::h2) u32);

impl Reason {
    pub(in crate::h2) const NO_ERROR: Self = Self(0x0);
    pub(in crate::h2) const PROTOCOL_ERROR: Self = Self(0x1);
    pub(in crate::h2) const INTERNAL_ERROR: Self = Self(0x2);
    pub(in crate::h2) const FLOW_CONTROL_ERROR: Self = Self(0x3);
    pub(in crate::h2) const STREAM_CLOSED: Self = Self(0x5);
    pub(in crate::h2) const FRAME_SIZE_ERROR: Self = Self(0x6);
    pub(in crate::h2) const REFUSED_STREAM: Self = Self(0x7);
    pub(in crate::h2) const CANCEL: Self = Self(0x8);
    pub(in crate::h2) const COMPRESSION_ERROR: Self = Self(0x9);
    pub(in crate::h2) const ENHANCE_YOUR_CALM: Self = Self(0xb);

    fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(usize::try_from(self.0).ok()?).copied()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#x}", self.0),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A client's act that HTTP/2 does not allow, or that costs more than a client may. One reason serves the log, the
/// metric and the tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection does not begin with the preface and SETTINGS (RFC 9113 section 3.4).
    #[error("no HTTP/2 preface")]
    Preface,
    /// A frame is longer than 16,384 bytes, or has a length that its type cannot have.
    #[error("frame of a wrong length")]
    FrameSize,
    /// A frame came where its type must not.
    #[error("unexpected frame")]
    UnexpectedFrame,
    /// A setting has a value that it must not have.
    #[error("setting out of range")]
    BadSetting,
    /// More content than the windows allow, or a window above 2^31 - 1.
    #[error("flow control violated")]
    FlowControl,
    /// A WINDOW_UPDATE of 0.
    #[error("window update of 0")]
    ZeroWindowUpdate,
    /// Padding as long as its frame, or longer.
    #[error("padding longer than its frame")]
    Padding,
    /// A frame for a stream that is closed, or whose request is complete.
    #[error("frame on a closed stream")]
    StreamClosed,
    /// A stream that depends on itself (RFC 9113 section 5.3.1).
    #[error("stream depends on itself")]
    SelfDependency,
    /// A header block that HPACK cannot decode.
    #[error("broken header block")]
    Compression,
    /// A field, pseudo-header or combination of them that makes a request malformed (RFC 9113 section 8.1.1).
    #[error("malformed request")]
    Malformed,
    /// A target or authority that is none, or says two things (RFC 9112 section 3.2).
    #[error("{0}")]
    BadTarget(BadTarget),
    /// Content that is not as long as content-length says.
    #[error("content-length differs from the content")]
    ContentLength,
    /// A PRIORITY_UPDATE that is none (RFC 9218 section 7.1).
    #[error("bad PRIORITY_UPDATE")]
    PriorityUpdate,
    /// More fields, or longer ones, than a request may have.
    #[error("header fields too large")]
    HeaderTooLarge,
    /// More streams than SETTINGS_MAX_CONCURRENT_STREAMS.
    #[error("too many streams")]
    TooManyStreams,
    /// Request headers of a connection hold more bytes than all of its streams together may.
    #[error("too many bytes of request headers")]
    HeaderBudget,
    /// The client resets requests, or makes us reset them, faster than anybody who wants responses.
    #[error("too many resets")]
    TooManyResets,
    /// More frames that carry nothing (SETTINGS, PING, PRIORITY, empty DATA, tiny windows) than anybody needs.
    #[error("too many control frames")]
    TooManyFrames,
    /// A header block in more, or more empty, CONTINUATION frames than anybody needs.
    #[error("too many CONTINUATION frames")]
    ContinuationFlood,
    /// More malformed requests than `max_malformed`.
    #[error("too many malformed requests")]
    TooManyMalformed,
}

impl Fault {
    /// The error code that the client is told.
    pub(in crate::h2) const fn reason(self) -> Reason {
        match self {
            Self::FrameSize => Reason::FRAME_SIZE_ERROR,
            Self::FlowControl => Reason::FLOW_CONTROL_ERROR,
            Self::StreamClosed => Reason::STREAM_CLOSED,
            Self::Compression => Reason::COMPRESSION_ERROR,
            Self::TooManyStreams | Self::HeaderBudget => Reason::REFUSED_STREAM,
            Self::TooManyResets | Self::TooManyFrames | Self::ContinuationFlood | Self::TooManyMalformed => {
                Reason::ENHANCE_YOUR_CALM
            }
            Self::Preface
            | Self::UnexpectedFrame
            | Self::BadSetting
            | Self::ZeroWindowUpdate
            | Self::Padding
            | Self::SelfDependency
            | Self::Malformed
            | Self::BadTarget(_)
            | Self::ContentLength
            | Self::PriorityUpdate
            | Self::HeaderTooLarge => Reason::PROTOCOL_ERROR,
        }
    }

    /// The reason's name in metrics.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Preface => "preface",
            Self::FrameSize => "frame_size",
            Self::UnexpectedFrame => "unexpected_frame",
            Self::BadSetting => "bad_setting",
            Self::FlowControl => "flow_control",
            Self::ZeroWindowUpdate => "zero_window_update",
            Self::Padding => "padding",
            Self::StreamClosed => "stream_closed",
            Self::SelfDependency => "self_dependency",
            Self::Compression => "compression",
            Self::Malformed => "malformed",
            Self::BadTarget(_) => "bad_target",
            Self::ContentLength => "content_length",
            Self::PriorityUpdate => "priority_update",
            Self::HeaderTooLarge => "header_too_large",
            Self::TooManyStreams => "too_many_streams",
            Self::HeaderBudget => "header_budget",
            Self::TooManyResets => "too_many_resets",
            Self::TooManyFrames => "too_many_frames",
            Self::ContinuationFlood => "continuation_flood",
            Self::TooManyMalformed => "too_many_malformed",
        }
    }

    /// For a request that nobody else gets to see, how it is refused: by a status, or with `None` by RST_STREAM.
    #[must_use]
    pub(crate) const fn refusal(self) -> Option<Option<u16>> {
        match self {
            Self::BadTarget(why) => Some(Some(why.status().as_u16())),
            Self::HeaderTooLarge => Some(Some(431)),
            Self::Malformed | Self::TooManyStreams | Self::HeaderBudget => Some(None),
            _ => None,
        }
    }

    /// Whether it is a client's attack or greed rather than a mistake: worth a warning.
    #[must_use]
    pub(crate) const fn is_flood(self) -> bool {
        matches!(
            self,
            Self::TooManyResets | Self::TooManyFrames | Self::ContinuationFlood | Self::TooManyMalformed
        )
    }
}
