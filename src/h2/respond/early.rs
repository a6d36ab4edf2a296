//! Joins 103 responses that an origin sends in direct succession (RFC 8297): browsers use only the first one, while
//! Rails sends one for each tag.
//!
//! Only 103 responses that have come at the same time are joined: none waits for a later one. Pingora hands over at most
//! four heads at once, so the session holds back the last 103 until Pingora has had its chance to hand over more.

use http::StatusCode;
use pingora::protocols::http::HttpTask;

use crate::push::Plan;

/// Moves the plan of a 103 into the 103 right before it; returns the task if one of the two is no 103, or if the two
/// stay apart.
pub(super) fn join(last: Option<&mut HttpTask>, mut task: HttpTask) -> Option<HttpTask> {
    let (Some(last), Some(next)) = (last.and_then(plan), plan(&mut task)) else {
        return Some(task);
    };
    let apart = last.append(std::mem::take(next))?;
    *next = apart;
    Some(task)
}

/// Joins 103 responses in tasks that came at once, and one that was held back before them. Tasks that do not begin with
/// one, as most often, stay as they are.
pub(super) fn join_all(held: Option<HttpTask>, mut tasks: Vec<HttpTask>) -> Vec<HttpTask> {
    if held.is_none() && (tasks.len() < 2 || tasks.first_mut().and_then(plan).is_none()) {
        return tasks;
    }
    let mut joined: Vec<HttpTask> = Vec::with_capacity(tasks.len() + 1);
    for task in held.into_iter().chain(tasks) {
        let task = join(joined.last_mut(), task);
        joined.extend(task);
    }
    joined
}

/// Takes the last task if it is a 103 that more links may be added to. Promises are never held back.
pub(super) fn hold_back(tasks: &mut Vec<HttpTask>) -> Option<HttpTask> {
    let plan = tasks.last_mut().and_then(plan)?;
    if plan.hints.is_empty() || !plan.promises.is_empty() {
        return None;
    }
    tasks.pop()
}

/// Returns the plan of a task that is a 103. A 103 of which nothing is left has an empty one.
fn plan(task: &mut HttpTask) -> Option<&mut Plan> {
    match task {
        HttpTask::Header(header, false) if header.status == StatusCode::EARLY_HINTS => {
            Some(header.extensions_mut().get_or_insert_default::<Plan>())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header};
    use pingora::http::ResponseHeader;

    use super::*;

    fn task(status: u16, hint: Option<&'static str>) -> HttpTask {
        let mut header = ResponseHeader::build(status, None).expect("a header");
        if let Some(hint) = hint {
            header.extensions_mut().insert::<Plan>(Plan {
                hints: vec![HeaderValue::from_static(hint)],
                ..Plan::default()
            });
        }
        HttpTask::Header(Box::new(header), false)
    }

    /// Makes a 103 with this hint and these policies.
    fn with_policies(hint: Option<&'static str>, policies: &[(header::HeaderName, &'static str)]) -> HttpTask {
        let mut task = task(103, hint);
        let fields = policies
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        let fields: HeaderMap = fields.collect();
        plan(&mut task).expect("a 103").fields = fields;
        task
    }

    fn hints(tasks: &mut [HttpTask]) -> Vec<Option<Vec<&str>>> {
        let hints = |task| {
            let hints = plan(task)?.hints.iter();
            Some(hints.map(|hint| hint.to_str().expect("ASCII")).collect())
        };
        tasks.iter_mut().map(hints).collect()
    }

    #[test]
    fn only_103s_are_joined() {
        let mut tasks = join_all(
            None,
            vec![
                task(103, Some("a")),
                task(103, Some("b")),
                task(103, None),
                task(103, Some("a")),
                task(103, Some("c")),
                task(200, Some("d")),
                HttpTask::Done,
            ],
        );
        assert_eq!(hints(&mut tasks), [Some(vec!["a", "b", "c"]), None, None]);
    }

    #[test]
    fn a_103_that_was_held_back_is_joined_with_the_next() {
        let mut tasks = vec![task(103, Some("a"))];
        let held = hold_back(&mut tasks);
        assert!(held.is_some() && tasks.is_empty());
        let mut joined = join_all(held, vec![task(103, Some("b"))]);
        assert_eq!(hints(&mut joined), [Some(vec!["a", "b"])]);
        let held = hold_back(&mut joined);
        let mut joined = join_all(held, vec![task(200, None)]);
        assert_eq!(hints(&mut joined), [Some(vec!["a", "b"]), None]);
        for mut tasks in [
            vec![],
            vec![task(103, None)],
            vec![task(103, Some("a")), task(200, None)],
        ] {
            assert!(hold_back(&mut tasks).is_none());
        }
    }

    #[test]
    fn links_get_no_policy_that_they_did_not_come_with() {
        const CSP: header::HeaderName = header::CONTENT_SECURITY_POLICY;
        const REFERRER: header::HeaderName = header::REFERRER_POLICY;
        let one: &[_] = &[(CSP, "script-src 'none'")];
        let two: &[_] = &[(CSP, "script-src *")];
        let three: &[_] = &[(CSP, "script-src 'none'"), (REFERRER, "no-referrer")];
        for (before, after, is_joined) in [
            (&[][..], &[][..], true),
            (one, one, true),
            (&[], one, false),
            (one, &[], false),
            (one, two, false),
            (one, three, false),
            (three, three, true),
        ] {
            let tasks = vec![with_policies(Some("a"), before), with_policies(Some("b"), after)];
            let mut joined = join_all(None, tasks);
            let expected: &[&[&str]] = if is_joined { &[&["a", "b"]] } else { &[&["a"], &["b"]] };
            let joined_hints: Vec<_> = hints(&mut joined).into_iter().flatten().collect();
            assert_eq!(joined_hints, expected, "{before:?} {after:?}");
            let fields = |task: &mut HttpTask| plan(task).map_or(0, |plan| plan.fields.len());
            assert_eq!(joined.first_mut().map(fields), Some(before.len()));
            assert_eq!(joined.last_mut().map(fields), Some(after.len()));
        }
        // A 103 without a link has no say.
        let tasks = vec![
            with_policies(None, two),
            with_policies(Some("a"), one),
            with_policies(None, &[]),
            with_policies(Some("b"), one),
        ];
        let mut joined = join_all(None, tasks);
        assert_eq!(hints(&mut joined), [Some(vec!["a", "b"])]);
        let fields = joined.first_mut().and_then(plan).map(|plan| plan.fields.clone());
        assert_eq!(
            fields.and_then(|mut fields| fields.remove(CSP)),
            Some(HeaderValue::from_static("script-src 'none'"))
        );
    }

    #[test]
    fn a_joined_103_is_no_longer_than_one_may_be() {
        let long = || task(103, Some(Box::leak("x".repeat(2000).into_boxed_str())));
        let other = || task(103, Some(Box::leak("y".repeat(2000).into_boxed_str())));
        let mut joined = join_all(
            None,
            vec![
                long(),
                other(),
                task(103, Some(Box::leak("z".repeat(200).into_boxed_str()))),
            ],
        );
        let lengths: Vec<usize> = hints(&mut joined)
            .into_iter()
            .flatten()
            .map(|hints| hints.concat().len())
            .collect();
        assert_eq!(lengths, [4000, 200]);
    }
}
