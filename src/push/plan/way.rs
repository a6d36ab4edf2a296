//! Decides whether the links of a document may be pushed or hinted at all, from the policy, the client and the request.

use http::{HeaderMap, Method, StatusCode};

use super::facts::Facts;
use crate::push::{Delivery, HintRequests, Policy, SkipReason};

/// How this document's links may be delivered, by policy and facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Push,
    /// Hint the links known before the final response.
    Hint {
        /// Why links of the final response are skipped.
        late: SkipReason,
    },
    Neither(SkipReason),
}

/// Returns how the links of a document may be delivered.
pub(super) fn way(policy: &Policy, facts: &Facts<'_>) -> Way {
    use SkipReason as Reason;
    let Some(http2) = facts.http2 else {
        return Way::Neither(Reason::Http1);
    };
    let wrong_status =
        |status: StatusCode| !(status.is_success() || status.is_redirection()) || status == StatusCode::NOT_MODIFIED;
    if policy.delivery == Delivery::Off {
        return Way::Neither(Reason::Off);
    }
    if facts.pushed_parent {
        return Way::Neither(Reason::PushedParent);
    }
    if facts.method != Method::GET {
        return Way::Neither(Reason::Method);
    }
    if facts.status.is_some_and(wrong_status) {
        return Way::Neither(Reason::Status);
    }
    way_of_client(policy, facts.request, (http2.accepts_push, http2.refusals))
}

/// Returns the reason for which none of the links known before the final response is delivered to a client, which
/// `accepts_push` and has reset this many promised streams; `None` if some may be.
#[must_use]
pub fn early_refusal(policy: &Policy, request: &HeaderMap, client: (bool, u32)) -> Option<SkipReason> {
    if policy.delivery == Delivery::Off {
        return Some(SkipReason::Off);
    }
    match way_of_client(policy, request, client) {
        Way::Neither(reason) => Some(reason),
        Way::Push | Way::Hint { .. } => None,
    }
}

fn way_of_client(policy: &Policy, request: &HeaderMap, client: (bool, u32)) -> Way {
    use SkipReason as Reason;
    let refusal = match policy.delivery {
        Delivery::Hint | Delivery::Off => None,
        Delivery::Auto | Delivery::Push => match no_push(policy, request, client) {
            None => return Way::Push,
            Some(reason) if policy.delivery == Delivery::Push => return Way::Neither(reason),
            reason => reason,
        },
    };
    // Disabled push is the normal case and explains nothing; any other refusal is the reason that the operator needs.
    let instead = |reason| {
        refusal
            .filter(|&refusal| refusal != Reason::PushDisabled)
            .unwrap_or(reason)
    };
    if policy.hint_requests == HintRequests::All || is_navigation(request) {
        Way::Hint {
            late: instead(Reason::TooLateToHint),
        }
    } else {
        Way::Neither(instead(Reason::NotNavigation))
    }
}

/// Returns why this client is not pushed to; `None` if it may be.
fn no_push(policy: &Policy, request: &HeaderMap, (accepts_push, refusals): (bool, u32)) -> Option<SkipReason> {
    if !accepts_push {
        Some(SkipReason::PushDisabled)
    } else if refusals >= policy.max_refusals {
        Some(SkipReason::ClientRefuses)
    } else if field_is(request, "save-data", "on") {
        Some(SkipReason::SaveData)
    } else if field_is(request, "accept-push-policy", "none") {
        Some(SkipReason::AcceptPushPolicy)
    } else {
        None
    }
}

/// Returns whether a browser requests a document to show now. Browsers ignore a 103 for a frame, for a prefetch, and
/// for a service worker's navigation preload.
fn is_navigation(request: &HeaderMap) -> bool {
    field_is(request, "sec-fetch-mode", "navigate")
        && (!request.contains_key("sec-fetch-dest") || field_is(request, "sec-fetch-dest", "document"))
        && !field_is(request, "sec-purpose", "prefetch")
        && !field_is(request, "purpose", "prefetch")
        && !request.contains_key("service-worker-navigation-preload")
}

/// Returns whether a field's value is this token, its parameters aside.
fn field_is(request: &HeaderMap, name: &'static str, token: &str) -> bool {
    request.get(name).is_some_and(|value| {
        let word = value.as_bytes().split(|&b| b == b';').next().unwrap_or_default();
        word.trim_ascii().eq_ignore_ascii_case(token.as_bytes())
    })
}
