//! Names what a request asks for: the target URI in parts (RFC 9110 section 7.1).

use http::{header, request::Parts};

use crate::peer::Scheme;

/// The target URI of a request, in parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Url<'r> {
    pub(super) scheme: &'static str,
    pub(super) authority: &'r str,
    pub(super) path: &'r str,
    pub(super) path_and_query: &'r str,
}

impl<'r> Url<'r> {
    /// Returns the URL of a request whose connection tells `scheme`, where it can tell.
    pub(super) fn with_scheme(request: &'r Parts, scheme: Option<Scheme>) -> Self {
        let host = || request.headers.get(header::HOST)?.to_str().ok();
        Self {
            scheme: Scheme::of(scheme, request).name(),
            authority: request.uri.authority().map(|a| a.as_str()).or_else(host).unwrap_or(""),
            path: request.uri.path(),
            path_and_query: request.uri.path_and_query().map_or("/", |pq| pq.as_str()),
        }
    }
}

impl std::fmt::Display for Url<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path_and_query)
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, Version};

    use super::*;

    fn request(version: Version, uri: &str, host: Option<&str>) -> Parts {
        let mut request = Request::builder().version(version).uri(uri);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn the_connection_tells_the_scheme_before_the_request_does() {
        let scheme = |told, version, uri: &str| Url::with_scheme(&request(version, uri, None), told).scheme;
        let (http, https) = (Scheme::Http, Scheme::Https);
        assert_eq!(scheme(None, Version::HTTP_2, "https://a/"), "https");
        assert_eq!(scheme(None, Version::HTTP_2, "http://a/"), "http");
        assert_eq!(scheme(None, Version::HTTP_2, "/"), "http");
        assert_eq!(scheme(None, Version::HTTP_11, "/"), "http");
        assert_eq!(scheme(None, Version::HTTP_11, "https://a/"), "http");
        assert_eq!(scheme(Some(http), Version::HTTP_2, "https://a/"), "http");
        assert_eq!(scheme(Some(https), Version::HTTP_2, "http://a/"), "https");
        assert_eq!(scheme(Some(https), Version::HTTP_11, "/"), "https");
    }

    #[test]
    fn the_authority_is_the_targets_or_else_that_of_host() {
        for (uri, host, authority, path, path_and_query) in [
            ("http://a:81/b?c", None, "a:81", "/b", "/b?c"),
            ("http://a/b", Some("other"), "a", "/b", "/b"),
            ("/b?c", Some("a:81"), "a:81", "/b", "/b?c"),
            ("/", None, "", "/", "/"),
        ] {
            let request = request(Version::HTTP_11, uri, host);
            let url = Url::with_scheme(&request, None);
            assert_eq!(
                (url.authority, url.path, url.path_and_query),
                (authority, path, path_and_query),
                "{uri}"
            );
        }
    }
}
