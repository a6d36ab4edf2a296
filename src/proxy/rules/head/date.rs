//! Decides on the `Date` of a response: the origin's, wherever it says one (RFC 9110 section 6.6.1).
//!
//! Where the origin says none, the session that writes the response adds the time of now.

use http::{HeaderValue, header};

use super::{Fields, ResponseHead, name};

/// Leaves one line, the first, so that everybody reads the same.
pub(in crate::proxy) fn once(response: &mut impl Fields) {
    let mut lines = response.fields().get_all(header::DATE).iter();
    if let (Some(first), Some(_)) = (lines.next(), lines.next()) {
        let first = first.clone();
        response.set(&name::DATE, first);
    }
}

/// Returns the date that a client is to be told. Interim responses are passed on as they are, and so is a switch to
/// another protocol, whose bytes are no response.
pub(in crate::proxy) fn told(response: &impl ResponseHead) -> Option<&HeaderValue> {
    let date = response.fields().get(header::DATE);
    date.filter(|_| !response.status().is_informational())
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn the_first_date_of_a_final_response_is_told() {
        for (status, dates, expected, lines) in [
            (200, vec![], None, 0),
            (200, vec!["a"], Some("a"), 1),
            (200, vec!["a", "b"], Some("a"), 1),
            (101, vec!["a"], None, 1),
            (103, vec!["a"], None, 1),
        ] {
            let (mut response, ()) = http::Response::new(()).into_parts();
            response.status = StatusCode::from_u16(status).expect("a status");
            for date in &dates {
                response.headers.append(header::DATE, HeaderValue::from_static(date));
            }
            once(&mut response);
            assert_eq!(told(&response).map(HeaderValue::as_bytes), expected.map(str::as_bytes));
            assert_eq!(
                response.headers.get_all(header::DATE).iter().count(),
                lines,
                "{dates:?}"
            );
        }
    }
}
