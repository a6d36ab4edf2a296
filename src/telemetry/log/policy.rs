//! Holds the settings of the log.

use std::path::PathBuf;

/// The settings of the log.
///
/// # Defaults
///
/// Text on standard error, an access line for each request, no further fields.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogPolicy {
    /// The form of each line.
    pub format: LogFormat,
    /// The requests that have an access line.
    pub access: AccessLines,
    /// The further fields of access lines.
    pub fields: AccessFields,
    /// The file to which lines are appended; `None` for standard error.
    pub file: Option<PathBuf>,
}

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Time, level and target in brackets, then words.
    #[default]
    Text,
    /// One JSON object (RFC 8259).
    Json,
}

/// The requests that have an access line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccessLines {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// Requests that failed, or have a status of 400 or above, or none.
    Errors,
}

/// A further field of access lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessField {
    /// `User-Agent` of the request.
    UserAgent,
    /// `Referer` of the request.
    Referer,
    /// The request's id.
    RequestId,
    /// `traceparent` as the origin was sent it.
    Traceparent,
    /// The time from the choice of the last server to the head of its response.
    OriginTime,
    /// Each failure of an attempt at a server.
    Failures,
    /// Version and ALPN protocol of TLS that ends here.
    Tls,
}

impl AccessField {
    /// All fields with their names, in the order of a line.
    pub const ALL: [(&'static str, Self); 7] = [
        ("origin_time", Self::OriginTime),
        ("failures", Self::Failures),
        ("tls", Self::Tls),
        ("request_id", Self::RequestId),
        ("traceparent", Self::Traceparent),
        ("user_agent", Self::UserAgent),
        ("referer", Self::Referer),
    ];
}

/// A set of further fields.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccessFields(u8);

impl AccessFields {
    /// Returns whether the set has a field.
    #[must_use]
    pub const fn has(self, field: AccessField) -> bool {
        self.0 & (1 << field as u8) != 0
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    const fn with(self, field: AccessField) -> Self {
        Self(self.0 | 1 << field as u8)
    }
}

impl FromIterator<AccessField> for AccessFields {
    fn from_iter<I: IntoIterator<Item = AccessField>>(fields: I) -> Self {
        fields.into_iter().fold(Self::default(), Self::with)
    }
}

/// The settings that each line needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::telemetry) struct LogSettings {
    pub(in crate::telemetry) format: LogFormat,
    pub(in crate::telemetry) access: AccessLines,
    pub(in crate::telemetry) fields: AccessFields,
}

impl LogSettings {
    /// Text without access lines.
    pub(super) const NO_ACCESS: Self = Self {
        format: LogFormat::Text,
        access: AccessLines::Off,
        fields: AccessFields(0),
    };

    /// Returns the same settings without access lines.
    pub(super) const fn without_access(self) -> Self {
        Self {
            access: AccessLines::Off,
            ..self
        }
    }

    /// Packs the settings into one value, which threads share without a lock.
    pub(super) const fn packed(self) -> u32 {
        let format = match self.format {
            LogFormat::Text => 0,
            LogFormat::Json => 1,
        };
        let access = match self.access {
            AccessLines::Off => 0,
            AccessLines::On => 1,
            AccessLines::Errors => 2,
        };
        format | access << 8 | (self.fields.0 as u32) << 16
    }

    /// Unpacks settings.
    pub(super) const fn unpacked(packed: u32) -> Self {
        let [format, access, fields, _] = packed.to_le_bytes();
        Self {
            format: match format {
                0 => LogFormat::Text,
                _ => LogFormat::Json,
            },
            access: match access {
                0 => AccessLines::Off,
                1 => AccessLines::On,
                _ => AccessLines::Errors,
            },
            fields: AccessFields(fields),
        }
    }
}

impl LogPolicy {
    /// Returns the part that each line needs.
    pub(super) const fn settings(&self) -> LogSettings {
        LogSettings {
            format: self.format,
            access: self.access,
            fields: self.fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_packing() {
        for format in [LogFormat::Text, LogFormat::Json] {
            for access in [AccessLines::On, AccessLines::Off, AccessLines::Errors] {
                for (_, field) in AccessField::ALL {
                    let settings = LogSettings {
                        format,
                        access,
                        fields: [field, AccessField::Tls].into_iter().collect(),
                    };
                    let unpacked = LogSettings::unpacked(settings.packed());
                    assert_eq!(unpacked, settings);
                    assert!(unpacked.fields.has(field));
                }
            }
        }
        assert!(AccessFields::default().is_empty());
    }
}
