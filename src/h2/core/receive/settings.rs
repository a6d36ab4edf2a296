//! Parses the client's SETTINGS (RFC 9113 section 6.5).
//!
//! SETTINGS_MAX_FRAME_SIZE and SETTINGS_ENABLE_CONNECT_PROTOCOL are checked and not stored: the server sends no frame
//! above the default size, and offers no extended CONNECT.

use crate::h2::core::Fault;
use crate::h2::wire::frame::{DEFAULT_FRAME, MAX_WINDOW, setting};

/// The client's settings that the server uses. The defaults are those of RFC 9113 section 6.5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::h2::core) struct ClientSettings {
    pub(in crate::h2::core) header_table: u32,
    pub(in crate::h2::core) enable_push: bool,
    /// Number of promised streams that may be open.
    pub(in crate::h2::core) max_streams: u32,
    pub(in crate::h2::core) initial_window: i64,
    /// The client uses the priorities of RFC 9218 (its section 2.1).
    pub(in crate::h2::core) no_rfc7540_priorities: bool,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            header_table: 4096,
            enable_push: true,
            max_streams: u32::MAX,
            initial_window: 65_535,
            no_rfc7540_priorities: false,
        }
    }
}

impl ClientSettings {
    /// Returns the settings after a SETTINGS payload; the last value of a setting counts.
    ///
    /// # Errors
    ///
    /// The payload has a wrong length, or a value is out of range.
    pub(in crate::h2::core) fn after(mut self, payload: &[u8]) -> Result<Self, Fault> {
        let (settings, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(Fault::FrameSize);
        }
        for &[i1, i0, v3, v2, v1, v0] in settings {
            let value = u32::from_be_bytes([v3, v2, v1, v0]);
            let flag = || match value {
                0 => Ok(false),
                1 => Ok(true),
                _ => Err(Fault::BadSetting),
            };
            match u16::from_be_bytes([i1, i0]) {
                setting::HEADER_TABLE_SIZE => self.header_table = value,
                setting::ENABLE_PUSH => self.enable_push = flag()?,
                setting::MAX_CONCURRENT_STREAMS => self.max_streams = value,
                setting::INITIAL_WINDOW_SIZE => {
                    self.initial_window = i64::from(value);
                    if self.initial_window > MAX_WINDOW {
                        return Err(Fault::FlowControl);
                    }
                }
                setting::MAX_FRAME_SIZE if (value as usize) < DEFAULT_FRAME || value > 0xff_ffff => {
                    return Err(Fault::BadSetting);
                }
                setting::ENABLE_CONNECT_PROTOCOL => drop(flag()?),
                setting::NO_RFC7540_PRIORITIES => self.no_rfc7540_priorities = flag()?,
                _ => {}
            }
        }
        Ok(self)
    }

    /// Returns all sizes of HPACK's dynamic table in their order: the encoder must signal the smallest and the last one
    /// (RFC 7541 section 4.2).
    pub(in crate::h2::core) fn header_tables(payload: &[u8]) -> impl Iterator<Item = u32> {
        let (settings, _) = payload.as_chunks::<6>();
        settings.iter().filter_map(|&[i1, i0, v3, v2, v1, v0]| {
            let is_table = u16::from_be_bytes([i1, i0]) == setting::HEADER_TABLE_SIZE;
            is_table.then(|| u32::from_be_bytes([v3, v2, v1, v0]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(settings: &[(u16, u32)]) -> Result<ClientSettings, Fault> {
        let payload: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        ClientSettings::default().after(&payload)
    }

    #[test]
    fn the_last_value_counts_and_unknown_settings_are_ignored() {
        let settings = after(&[(2, 0), (2, 1), (3, 7), (4, 0), (0xff, 9), (5, 0xff_ffff), (9, 1)]).expect("good");
        assert!(settings.enable_push && settings.no_rfc7540_priorities);
        assert_eq!((settings.max_streams, settings.initial_window), (7, 0));
    }

    #[test]
    fn values_out_of_range_are_faults() {
        for (setting, fault) in [
            ((2, 2), Fault::BadSetting),
            ((4, 1 << 31), Fault::FlowControl),
            ((5, 16_383), Fault::BadSetting),
            ((5, 1 << 24), Fault::BadSetting),
            ((8, 2), Fault::BadSetting),
            ((9, 2), Fault::BadSetting),
        ] {
            assert_eq!(after(&[setting]), Err(fault), "{setting:?}");
        }
        assert_eq!(ClientSettings::default().after(&[0; 7]), Err(Fault::FrameSize));
    }
}
