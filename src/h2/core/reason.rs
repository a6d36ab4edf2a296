//! Names the error codes of HTTP/2 (RFC 9113 section 7), and the client's faults that end a stream or a connection.
//!
//! A new [`Fault`] needs its error code in [`Fault::reason`] and its metric label in [`Fault::name`].

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

/// A client's act that HTTP/2 does not allow, or that costs more than a client may. The log, the metric and the tests
/// use the same value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Fault {
    /// The connection does not begin with the preface and SETTINGS (RFC 9113 section 3.4).
    #[error("no HTTP/2 preface")]
    Preface,
    /// A frame is longer than 16,384 bytes, or has a length that its type cannot have.
    #[error("frame of a wrong length")]
    FrameSize,
    /// A frame came on a stream or at a time where its type is not allowed.
    #[error("unexpected frame")]
    UnexpectedFrame,
    /// A setting has a value outside its range (RFC 9113 section 6.5.2).
    #[error("setting out of range")]
    BadSetting,
    /// The client sent more content than a window allows, or raised a window above 2^31 - 1.
    #[error("flow control violated")]
    FlowControl,
    /// A WINDOW_UPDATE has the increment 0.
    #[error("window update of 0")]
    ZeroWindowUpdate,
    /// The padding is as long as its frame, or longer.
    #[error("padding longer than its frame")]
    Padding,
    /// A frame came for a stream that is closed, or whose request is complete.
    #[error("frame on a closed stream")]
    StreamClosed,
    /// A stream depends on itself (RFC 7540 section 5.3.1).
    #[error("stream depends on itself")]
    SelfDependency,
    /// HPACK cannot decode a header block.
    #[error("broken header block")]
    Compression,
    /// Fields or pseudo-header fields make a request malformed (RFC 9113 section 8.1.1).
    #[error("malformed request")]
    Malformed,
    /// The target or authority is invalid or ambiguous (RFC 9112 section 3.2).
    #[error("{0}")]
    BadTarget(BadTarget),
    /// The content has another length than Content-Length says.
    #[error("content-length differs from the content")]
    ContentLength,
    /// A PRIORITY_UPDATE is on a stream, or names a stream that it must not name (RFC 9218 section 7.1).
    #[error("bad PRIORITY_UPDATE")]
    PriorityUpdate,
    /// A request has more fields, or more bytes of fields, than the limits allow.
    #[error("header fields too large")]
    HeaderTooLarge,
    /// The client opened more streams than SETTINGS_MAX_CONCURRENT_STREAMS.
    #[error("too many streams")]
    TooManyStreams,
    /// The request fields of one connection, or of all connections, hold as many bytes as their budget.
    #[error("too many bytes of request headers")]
    HeaderBudget,
    /// The client resets requests, or makes us reset them, above the rate of its budget.
    #[error("too many resets")]
    TooManyResets,
    /// Frames without use (SETTINGS, PING, PRIORITY, empty DATA, tiny windows) came above the rate of their budget.
    #[error("too many control frames")]
    TooManyFrames,
    /// A header block has too many CONTINUATION frames, too many bytes, or an empty CONTINUATION frame.
    #[error("too many CONTINUATION frames")]
    ContinuationFlood,
    /// The client sent `max_malformed` malformed requests.
    #[error("too many malformed requests")]
    TooManyMalformed,
}

impl Fault {
    /// Returns the error code that is sent to the client.
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

    /// Returns the label of this fault in metrics.
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

    /// Returns how the core itself refuses a request for this fault: by a status, or with `Some(None)` by RST_STREAM.
    /// For other faults there is no request to refuse.
    #[must_use]
    pub(crate) const fn refusal(self) -> Option<Option<u16>> {
        match self {
            Self::BadTarget(why) => Some(Some(why.status().as_u16())),
            Self::HeaderTooLarge => Some(Some(431)),
            Self::Malformed | Self::TooManyStreams | Self::HeaderBudget => Some(None),
            _ => None,
        }
    }

    /// Returns whether this fault is likely an attack rather than a mistake, and thus logged as a warning.
    #[must_use]
    pub(crate) const fn is_flood(self) -> bool {
        matches!(
            self,
            Self::TooManyResets | Self::TooManyFrames | Self::ContinuationFlood | Self::TooManyMalformed
        )
    }
}
