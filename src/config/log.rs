//! Reads the `server.log` section.

use super::{
    decode::{At, file, list, parse, word},
    findings::{Findings, Reported},
    settings::read_settings,
};
use crate::telemetry::log::{AccessField, AccessLines, LogFormat, LogPolicy};

/// Reads the settings of the log.
pub(super) fn policy(at: &At<'_>, found: &mut Findings<'_>) -> Result<LogPolicy, Reported> {
    let mut log = LogPolicy::default();
    read_settings!(at, found, {
        "format" => log.format, word(FORMATS);
        "access" => log.access, word(ACCESS);
        "fields" => log.fields, |at, found| {
            let field = parse(FIELD, |text| {
                AccessField::ALL.iter().find(|(name, _)| *name == text).map(|(_, field)| *field)
            });
            Ok(list(FIELDS, field)(at, found)?.into_iter().collect())
        };
        "file" => log.file, file;
    });
    Ok(log)
}

const FORMATS: &[(&str, LogFormat)] = &[("text", LogFormat::Text), ("json", LogFormat::Json)];

const ACCESS: &[(&str, AccessLines)] = &[
    ("on", AccessLines::On),
    ("off", AccessLines::Off),
    ("errors", AccessLines::Errors),
];

const FIELD: &str = "origin_time, failures, tls, request_id, traceparent, user_agent or referer";
const FIELDS: &str = "a list of origin_time, failures, tls, request_id, traceparent, user_agent and referer";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_name_every_field() {
        for (name, _) in AccessField::ALL {
            assert!(FIELD.contains(name) && FIELDS.contains(name), "{name}");
        }
    }
}
