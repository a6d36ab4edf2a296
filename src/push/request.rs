//! Builds the promised request (rule 9): GET, scheme, authority, path, and at most six kinds of fields.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};

use super::{Credentials, Destination};

/// Builds the request that a promise makes in the client's name.
///
/// Copies from the document's request only the fields that select a representation, and, if the route says so, `cookie`
/// and `authorization`; never `referer`, `range` or conditionals.
pub(super) fn promised_request(
    uri: Uri,
    destination: Option<Destination>,
    document: &HeaderMap,
    credentials: Credentials,
) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = uri;
    *request.version_mut() = http::Version::HTTP_2;
    let fields = request.headers_mut();
    fields.insert(header::ACCEPT, accept(destination, document));
    for name in &REPRESENTATION {
        copy(name, document, fields);
    }
    if credentials == Credentials::Include {
        for name in &CREDENTIALS {
            copy(name, document, fields);
        }
    }
    request
}

const REPRESENTATION: [HeaderName; 3] = [header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE, header::USER_AGENT];
const CREDENTIALS: [HeaderName; 2] = [header::COOKIE, header::AUTHORIZATION];

fn copy(name: &HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    for value in from.get_all(name) {
        to.append(name, value.clone());
    }
}

/// Returns the `Accept` value that a client would send for a destination (Fetch standard, "default `Accept` value").
///
/// AVIF and WebP are named only if the document's own `Accept` names them: an image in a format that the client cannot
/// show is worse than no push.
fn accept(destination: Option<Destination>, document: &HeaderMap) -> HeaderValue {
    match destination {
        Some(Destination::Style) => HeaderValue::from_static("text/css,*/*;q=0.1"),
        Some(Destination::Image) => {
            let names = |format: &str| {
                document
                    .get_all(header::ACCEPT)
                    .iter()
                    .any(|value| value.to_str().is_ok_and(|text| text.contains(format)))
            };
            HeaderValue::from_static(match (names("image/avif"), names("image/webp")) {
                (true, true) => "image/avif,image/webp,image/*,*/*;q=0.8",
                (true, false) => "image/avif,image/*,*/*;q=0.8",
                (false, true) => "image/webp,image/*,*/*;q=0.8",
                (false, false) => "image/*,*/*;q=0.8",
            })
        }
        _ => HeaderValue::from_static("*/*"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> HeaderMap {
        [
            ("accept", "text/html,image/avif,image/webp,*/*;q=0.8"),
            ("accept-encoding", "gzip, br"),
            ("accept-language", "de"),
            ("user-agent", "a browser"),
            ("cookie", "a=1"),
            ("cookie", "b=2"),
            ("authorization", "Basic x"),
            ("referer", "https://elsewhere.example/"),
            ("range", "bytes=0-1"),
            ("if-none-match", "\"x\""),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
    }

    fn names(request: &Request<()>) -> Vec<&str> {
        let mut names: Vec<_> = request.headers().iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_promised_request_has_credentials_only_if_the_route_includes_them() {
        let uri = Uri::from_static("https://h/a.css");
        let request = promised_request(uri.clone(), Some(Destination::Style), &document(), Credentials::Omit);
        assert_eq!(
            names(&request),
            ["accept", "accept-encoding", "accept-language", "user-agent"]
        );
        let request = promised_request(uri, None, &document(), Credentials::Include);
        assert_eq!(
            names(&request),
            [
                "accept",
                "accept-encoding",
                "accept-language",
                "authorization",
                "cookie",
                "cookie",
                "user-agent"
            ]
        );
    }

    #[test]
    fn accept_follows_the_destination() {
        let accept_of = |destination, document: &HeaderMap| {
            let request = promised_request(
                Uri::from_static("https://h/a"),
                destination,
                document,
                Credentials::Omit,
            );
            request.headers()[header::ACCEPT].to_str().expect("ASCII").to_owned()
        };
        assert_eq!(accept_of(Some(Destination::Style), &document()), "text/css,*/*;q=0.1");
        assert_eq!(
            accept_of(Some(Destination::Image), &document()),
            "image/avif,image/webp,image/*,*/*;q=0.8"
        );
        assert_eq!(
            accept_of(Some(Destination::Image), &HeaderMap::new()),
            "image/*,*/*;q=0.8"
        );
        assert_eq!(accept_of(None, &document()), "*/*");
    }
}
