//! Joins 103 responses that an origin sends in direct succession (RFC 8297): browsers use only the first one, while
//! Rails sends one for each tag.
//!
//! Only 103 responses that have come at the same time are joined: none waits for a later one.

use http::StatusCode;
use pingora::protocols::http::HttpTask;

use crate::push::Plan;

/// Moves the plan of a 103 into the 103 right before it; returns the task if one of the two is no 103 with a plan.
pub(super) fn join(last: Option<&mut HttpTask>, mut task: HttpTask) -> Option<HttpTask> {
    let (Some(last), Some(next)) = (last.and_then(plan), plan(&mut task)) else {
        return Some(task);
    };
    if !next.fields.is_empty() && !last.fields.is_empty() && next.fields != last.fields {
        // Each policy belongs to its own links, and all of them together may be too long.
        return Some(task);
    }
    last.append(std::mem::take(next));
    None
}

/// Joins 103 responses in tasks that came at once. Tasks that do not begin with one, as most often, stay as they are.
pub(super) fn join_all(mut tasks: Vec<HttpTask>) -> Vec<HttpTask> {
    if tasks.len() < 2 || tasks.first_mut().and_then(plan).is_none() {
        return tasks;
    }
    let mut joined: Vec<HttpTask> = Vec::with_capacity(tasks.len());
    for task in tasks {
        let task = join(joined.last_mut(), task);
        joined.extend(task);
    }
    joined
}

/// Returns the plan of a task that is a 103 with a plan.
fn plan(task: &mut HttpTask) -> Option<&mut Plan> {
    match task {
        HttpTask::Header(header, false) if header.status == StatusCode::EARLY_HINTS => {
            header.extensions_mut().get_mut::<Plan>()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
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

    #[test]
    fn only_103s_with_a_plan_are_joined() {
        let mut tasks = join_all(vec![
            task(103, Some("a")),
            task(103, Some("b")),
            task(103, None),
            task(103, Some("c")),
            task(200, Some("d")),
            HttpTask::Done,
        ]);
        let hints = |task: &mut HttpTask| plan(task).map(|plan| plan.hints.clone());
        let hints: Vec<_> = tasks.iter_mut().map(hints).collect();
        let expected = |hints: &[&'static str]| Some(hints.iter().map(|hint| HeaderValue::from_static(hint)).collect());
        assert_eq!(hints, [expected(&["a", "b"]), None, expected(&["c"]), None, None]);
    }
}
