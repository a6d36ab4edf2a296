//! The `push` setting, of the whole file or of one route: a word, or a mapping over a base policy.

use super::{
    decode::At,
    found::{Found, Reported},
    value,
};
use crate::push::{Credentials, Delivery, Destination, Destinations, HintRequests, Nopush, Policy};

/// The base policy with what the file says here: a word changes the delivery and nothing else, a
/// mapping changes the keys that it has.
pub(super) fn policy(at: &At<'_>, base: &Policy, found: &mut Found<'_>) -> Result<Policy, Reported> {
    let mut policy = base.clone();
    let Some(fields) = at.word_or_mapping((DELIVERY, &mut policy.delivery), KEYS, found)? else {
        return Ok(policy);
    };
    fields.set("as", &mut policy.destinations, found, destinations);
    fields.set("max_promises", &mut policy.max_promises, found, |at, found| {
        at.integer(1..=100, found)
    });
    fields.set("max_hints", &mut policy.max_hints, found, |at, found| {
        at.integer(1..=100, found)
    });
    fields.set("nopush", &mut policy.nopush, found, |at, found| {
        at.word(NOPUSH, None, found)
    });
    fields.set("credentials", &mut policy.credentials, found, |at, found| {
        at.word(CREDENTIALS, None, found)
    });
    fields.set("authorities", &mut policy.authorities, found, |at, found| {
        at.list("a list of hosts", found, |at, found| {
            at.parse(value::AUTHORITY_ALLOWED, found, value::authority)
        })
    });
    fields.set("hint_requests", &mut policy.hint_requests, found, |at, found| {
        at.word(HINT_REQUESTS, None, found)
    });
    fields.set("links", &mut policy.links, found, |at, found| {
        at.list("a list of Link header values", found, |at, found| {
            at.parse_or_reason(value::LINK_ALLOWED, found, value::link)
        })
    });
    fields.set("max_refusals", &mut policy.max_refusals, found, |at, found| {
        at.integer(1..=1000, found)
    });
    fields.set("retry_bad_after", &mut policy.retry_bad_after, found, At::time);
    Ok(policy)
}

fn destinations(at: &At<'_>, found: &mut Found<'_>) -> Result<Destinations, Reported> {
    if at.text() == Some("any") {
        return Ok(Destinations::Any);
    }
    let names = Destination::ALL.map(Destination::name).join(", ");
    let allowed = format!("any, or a list of {names}");
    at.non_empty_list(&allowed, found, |at, found| {
        let one = format!("one of {names}");
        at.parse(&one, found, |text| Destination::parse(text.as_bytes()))
    })
    .map(Destinations::Only)
}

const KEYS: &[&str] = &[
    "delivery",
    "as",
    "max_promises",
    "max_hints",
    "nopush",
    "credentials",
    "authorities",
    "hint_requests",
    "links",
    "max_refusals",
    "retry_bad_after",
];

const DELIVERY: &[(&str, Delivery)] = &[
    ("auto", Delivery::Auto),
    ("push", Delivery::Push),
    ("hint", Delivery::Hint),
    ("off", Delivery::Off),
];

const NOPUSH: &[(&str, Nopush)] = &[("honour", Nopush::Honour), ("ignore", Nopush::Ignore)];

const CREDENTIALS: &[(&str, Credentials)] = &[("omit", Credentials::Omit), ("include", Credentials::Include)];

const HINT_REQUESTS: &[(&str, HintRequests)] = &[("navigate", HintRequests::Navigate), ("all", HintRequests::All)];
