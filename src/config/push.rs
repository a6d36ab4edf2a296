//! Reads the `push` setting, of the whole file or of one route.

use super::{
    decode::{At, either, integer, list, non_empty_list, parse, parse_or_reason, time, word},
    findings::{Findings, Reported},
    settings::read_settings,
    value,
};
use crate::push::{Credentials, Delivery, Destination, Destinations, HintRequests, Nopush, Policy};

/// Reads a policy that overrides a base: a word changes only the delivery, a mapping only the keys it has.
pub(super) fn policy(at: &At<'_>, base: &Policy, found: &mut Findings<'_>) -> Result<Policy, Reported> {
    let mut policy = base.clone();
    if at.word_unless_mapping(DELIVERY, &mut policy.delivery, found)? {
        return Ok(policy);
    }
    read_settings!(at, found, {
        "delivery" => policy.delivery, word(DELIVERY);
        "as" => policy.destinations, destinations;
        "max_promises" => policy.max_promises, integer(1..=100);
        "max_hints" => policy.max_hints, integer(1..=100);
        "nopush" => policy.nopush, word(NOPUSH);
        "credentials" => policy.credentials, word(CREDENTIALS);
        "authorities" => policy.authorities, list("a list of hosts", parse(value::AUTHORITY_ALLOWED, value::authority));
        "hint_requests" => policy.hint_requests, word(HINT_REQUESTS);
        "links" => policy.links, list("a list of Link header values", parse_or_reason(value::LINK_ALLOWED, |_, text| {
            value::link(text)
        }));
        "max_refusals" => policy.max_refusals, integer(1..=1000);
        "retry_bad_after" => policy.retry_bad_after, time;
    });
    Ok(policy)
}

fn destinations(at: &At<'_>, found: &mut Findings<'_>) -> Result<Destinations, Reported> {
    let names = Destination::ALL.map(Destination::name).join(", ");
    let (allowed, one) = (format!("any, or a list of {names}"), format!("one of {names}"));
    let destination = parse(&one, |text| Destination::parse(text.as_bytes()));
    either(
        |at| at.text() == Some("any"),
        word(&[("any", Destinations::Any)]),
        |at, found| non_empty_list(&allowed, &destination)(at, found).map(Destinations::Only),
    )(at, found)
}

const DELIVERY: &[(&str, Delivery)] = &[
    ("auto", Delivery::Auto),
    ("push", Delivery::Push),
    ("hint", Delivery::Hint),
    ("off", Delivery::Off),
];

const NOPUSH: &[(&str, Nopush)] = &[("honour", Nopush::Honour), ("ignore", Nopush::Ignore)];

const CREDENTIALS: &[(&str, Credentials)] = &[("omit", Credentials::Omit), ("include", Credentials::Include)];

const HINT_REQUESTS: &[(&str, HintRequests)] = &[("navigate", HintRequests::Navigate), ("all", HintRequests::All)];
