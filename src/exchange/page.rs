//! Writes the small page of a response of our own.

use http::StatusCode;

/// Returns a page that names a status.
#[must_use]
pub fn error_page(status: StatusCode) -> String {
    let (code, reason) = (status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    format!("<!doctype html>\n<title>{code} {reason}</title>\n<h1>{code} {reason}</h1>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_its_status_and_is_small() {
        assert_eq!(
            error_page(StatusCode::SERVICE_UNAVAILABLE),
            "<!doctype html>\n<title>503 Service Unavailable</title>\n<h1>503 Service Unavailable</h1>\n"
        );
    }
}
