//! Writes the HTML page of a response that linkpush makes itself.

use http::StatusCode;

/// Returns a page that shows a status code and its reason phrase.
#[must_use]
pub fn error_page(status: StatusCode) -> String {
    let (code, reason) = (status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    format!("<!doctype html>\n<title>{code} {reason}</title>\n<h1>{code} {reason}</h1>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_its_status_and_nothing_else() {
        assert_eq!(
            error_page(StatusCode::SERVICE_UNAVAILABLE),
            "<!doctype html>\n<title>503 Service Unavailable</title>\n<h1>503 Service Unavailable</h1>\n"
        );
    }
}
