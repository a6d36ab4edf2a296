//! Reads the `server.log` and `server.traces` sections.

use super::{
    decode::{At, file, list, parse, unless_off, word},
    findings::{Findings, Reported},
    node::YamlValue,
    settings::read_settings,
    shape::Shape,
    value,
};
use crate::telemetry::{
    log::{AccessField, AccessLines, LogFormat, LogPolicy},
    spans::TracesPolicy,
};

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

/// Reads the settings of traces, or the word `off`.
pub(super) fn traces(at: &At<'_>, found: &mut Findings<'_>) -> Result<Option<TracesPolicy>, Reported> {
    unless_off(|at, found| {
        let mut sample = 0.01;
        let settings = read_settings!(at, found, {
            "otlp";
            "sample" => sample, share;
        });
        let collector = settings.required("otlp", COLLECTOR, found, parse(COLLECTOR, collector))?;
        Ok(TracesPolicy { collector, sample })
    })(at, found)
}

/// Parses the URL of a collector, without a path.
fn collector(text: &str) -> Option<Box<str>> {
    let text = text.strip_suffix('/').unwrap_or(text);
    value::authority(text.strip_prefix("http://")?).map(|_| text.into())
}

/// Reads a share.
fn share(at: &At<'_>, found: &mut Findings<'_>) -> Result<f64, Reported> {
    if at.describes() {
        return Err(at.describe(Shape::Share, found));
    }
    let share = match at.node.value {
        YamlValue::Float(share) => Some(share),
        YamlValue::Integer(0) => Some(0.0),
        YamlValue::Integer(1) => Some(1.0),
        _ => None,
    };
    let share = share.filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| at.must_be("a number from 0 to 1 (0.01)", found))
}

const COLLECTOR: &str = "the URL of a collector without a path (http://127.0.0.1:4318)";

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
    fn a_collector_is_a_host_over_http() {
        for (text, expected) in [
            ("http://127.0.0.1:4318", Some("http://127.0.0.1:4318")),
            ("http://collector/", Some("http://collector")),
            ("http://[::1]:4318", Some("http://[::1]:4318")),
            ("https://collector:4318", None),
            ("http://collector:4318/v1/traces", None),
            ("http://user@collector", None),
            ("collector:4318", None),
            ("http://", None),
        ] {
            assert_eq!(collector(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn problems_name_every_field() {
        for (name, _) in AccessField::ALL {
            assert!(FIELD.contains(name) && FIELDS.contains(name), "{name}");
        }
    }
}
