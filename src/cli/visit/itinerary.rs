//! Describes a visit: the page, the server that is asked for it, and the client that asks. Pure.

use std::fmt;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Uri, header};
use url::{Host, Url};

use super::visited::PushSetting;
use crate::cli::pasted::url_in;

/// A page to visit, and the way to do so.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Itinerary {
    /// The target URI: scheme, `Host` or `:authority`, path and query.
    pub(in crate::cli) page: Url,
    /// The server that is connected to, whatever the target URI names.
    pub(in crate::cli) server: ServerAddress,
    /// The PROXY header that goes first.
    pub(in crate::cli) proxy_header: Option<ProxyVersion>,
    /// The version of HTTP, and how it begins.
    pub(in crate::cli) wire: Wire,
    /// Whether the certificate is verified.
    pub(in crate::cli) verification: Verification,
    /// The setting for pushes.
    pub(in crate::cli) push: PushSetting,
    /// The client that the request fields describe.
    pub(in crate::cli) client: VisitClient,
    /// Request fields of the user, which replace others of the same name.
    pub(in crate::cli) fields: HeaderMap,
    /// Which exchanges follow that of the page.
    pub(in crate::cli) follow: Follow,
    /// Time limit of the whole visit.
    pub(in crate::cli) limit: Duration,
}

impl Itinerary {
    /// Makes the visit of a page as a pushing client that navigates, over HTTP/2, with all assets.
    pub(in crate::cli) fn new(page: Url, server: ServerAddress, limit: Duration) -> Self {
        Self {
            page,
            server,
            proxy_header: None,
            wire: Wire::Http2,
            verification: Verification::System,
            push: PushSetting::Accepted,
            client: VisitClient::Navigation,
            fields: HeaderMap::new(),
            follow: Follow::Assets,
            limit,
        }
    }

    /// Returns whether the connection is encrypted.
    pub(super) fn is_tls(&self) -> bool {
        self.page.scheme() == "https"
    }

    /// Returns `Host` or `:authority` of the page's request.
    pub(super) fn authority(&self) -> &str {
        &self.page[url::Position::BeforeHost..url::Position::AfterPort]
    }

    /// Returns the fields of a request. `Host` is not one of them.
    pub(super) fn request_fields(&self, purpose: Purpose) -> HeaderMap {
        let mut fields = HeaderMap::new();
        let mut add = |name: &'static str, value: &'static str| {
            fields.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        };
        let is_browser = self.client == VisitClient::Browser;
        add("user-agent", if is_browser { BROWSER } else { USER_AGENT });
        match (self.client, purpose) {
            (VisitClient::Browser, Purpose::Page) => {
                add(
                    "accept",
                    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
                );
                add("accept-language", "en");
                add("upgrade-insecure-requests", "1");
                add("sec-fetch-site", "none");
                add("sec-fetch-mode", "navigate");
                add("sec-fetch-user", "?1");
                add("sec-fetch-dest", "document");
            }
            (VisitClient::Browser, Purpose::Asset) => {
                add("accept", "*/*");
                add("accept-language", "en");
                add("sec-fetch-site", "same-origin");
                add("sec-fetch-mode", "no-cors");
            }
            (VisitClient::Navigation, Purpose::Page) => {
                add("accept", "*/*");
                add("sec-fetch-mode", "navigate");
                add("sec-fetch-dest", "document");
            }
            _ => add("accept", "*/*"),
        }
        for name in self.fields.keys() {
            fields.remove(name);
            for value in self.fields.get_all(name) {
                fields.append(name, value.clone());
            }
        }
        fields
    }
}

/// The request that fields are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The page.
    Page,
    /// An asset of the page.
    Asset,
}

/// Which exchanges follow that of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Follow {
    /// The assets that the page names.
    Assets,
    /// None but the server's promises.
    Nothing,
}

/// The client that request fields describe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum VisitClient {
    /// A client that navigates (`sec-fetch-mode: navigate`), which a server may require before it sends a 103.
    Navigation,
    /// A client without Fetch Metadata.
    Plain,
    /// A browser that navigates, with a browser's fields.
    Browser,
}

/// The version of HTTP, and how it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Wire {
    /// HTTP/2: by prior knowledge without TLS (RFC 9113 section 3.3), by ALPN with TLS.
    Http2,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 by `Upgrade: h2c` (RFC 7540 section 3.2).
    Upgrade,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum ProxyVersion {
    /// Version 1, text.
    V1,
    /// Version 2, binary.
    V2,
}

/// Whether a server's certificate is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Verification {
    /// The certificate is verified against the system's roots.
    System,
    /// Any certificate is accepted.
    Skipped,
}

/// A host and a port to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct ServerAddress {
    /// A name, or an IP address without brackets.
    pub(in crate::cli) host: String,
    /// The TCP port.
    pub(in crate::cli) port: u16,
}

impl ServerAddress {
    /// Returns the server that a URL names.
    pub(in crate::cli) fn of(url: &Url) -> Option<Self> {
        // An IPv6 address has brackets in a URL, and none here.
        let host = match url.host()? {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port_or_known_default()?;
        Some(Self { host, port })
    }

    /// Parses `HOST:PORT`.
    pub(in crate::cli) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("must be HOST:PORT, such as 127.0.0.1:8080, got {text:?}");
        // The http crate keeps a port that is its scheme's default, so a missing one is seen.
        let uri: Uri = text.parse().map_err(|_| wrong())?;
        let authority = uri.authority().ok_or_else(wrong)?;
        let has_port = authority.port_u16().is_some_and(|port| port > 0);
        if uri.scheme().is_some() || uri.path_and_query().is_some() || !has_port || text.contains('@') {
            return Err(wrong());
        }
        let url = Url::parse(&format!("http://{text}")).map_err(|_| wrong())?;
        Self::of(&url).ok_or_else(wrong)
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Parses the URL of a page, or finds it in a pasted text. Removes the fragment, which is never sent.
pub(in crate::cli) fn page_url(text: &str) -> Result<Url, String> {
    let mut url =
        Url::parse(url_in(text)?).map_err(|error| format!("{error}; an example is http://127.0.0.1:8080/"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme must be http or https, got {}", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a user name or a password is not sent".to_owned());
    }
    url.set_fragment(None);
    Ok(url)
}

/// Returns the URL with another host, and another port or that of the scheme.
pub(in crate::cli) fn with_host(url: &Url, authority: &str) -> Result<Url, String> {
    let wrong = || format!("must be a host, with its port where it is not the scheme's, got {authority:?}");
    let path = &url[url::Position::BeforePath..];
    let is_host =
        !authority.is_empty() && !authority.contains(|c: char| c.is_whitespace() || r#"/?#@\<>"'`"#.contains(c));
    let whole = format!("{}://{authority}{path}", url.scheme());
    is_host.then(|| page_url(&whole).ok()).flatten().ok_or_else(wrong)
}

/// Parses a request field. Fields that say where a message ends or where it goes are the client's own.
pub(in crate::cli) fn request_field(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let wrong = || format!("must be NAME: VALUE, got {text:?}");
    let (name, value) = text.split_once(':').ok_or_else(wrong)?;
    let name: HeaderName = name.parse().map_err(|_| wrong())?;
    let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_| wrong())?;
    if name == header::HOST {
        return Err("Host is set by --host".to_owned());
    }
    if OF_CONNECTION.contains(&name) {
        return Err(format!("{name} is the connection's own"));
    }
    Ok((name, value))
}

/// Fields that the client sets itself, or that a GET without content does not have.
const OF_CONNECTION: [HeaderName; 6] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
];

/// `User-Agent` of a client that says what it is.
const USER_AGENT: &str = concat!("linkpush-probe/", env!("CARGO_PKG_VERSION"));

/// `User-Agent` of a browser, as far as servers look at it.
const BROWSER: &str = concat!(
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 ",
    "linkpush-probe/",
    env!("CARGO_PKG_VERSION")
);

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a valid URL")
    }

    #[test]
    fn an_address_has_a_host_and_a_port() {
        for (text, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("shop.example:8443", "shop.example:8443"),
            ("[::1]:81", "[::1]:81"),
        ] {
            let address = ServerAddress::parse(text).map(|address| address.to_string());
            assert_eq!(address.as_deref(), Ok(expected), "{text}");
        }
        for text in [
            "",
            "shop.example",
            "::1",
            "shop.example:",
            "shop.example:0",
            "a:b",
            "http://a:80",
            "a:80/",
            "u@a:80",
            "a:99999",
        ] {
            assert!(ServerAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_host_replaces_that_of_the_url() {
        let page = url("https://10.0.0.1:8443/a?b");
        for (host, expected) in [
            ("shop.example", "https://shop.example/a?b"),
            ("shop.example:8080", "https://shop.example:8080/a?b"),
            ("[::1]", "https://[::1]/a?b"),
        ] {
            let replaced = with_host(&page, host).map(|url| url.to_string());
            assert_eq!(replaced.as_deref(), Ok(expected), "{host}");
        }
        for host in ["", "a/b", "u@a", "a?b", "a b", "a:x", "http://a"] {
            assert!(with_host(&page, host).is_err(), "{host}");
        }
    }

    #[test]
    fn fields_of_the_user_replace_others() {
        let server = ServerAddress::parse("a:80").expect("valid");
        let mut itinerary = Itinerary::new(url("http://a/"), server, Duration::from_secs(1));
        itinerary.client = VisitClient::Browser;
        let accepted = |itinerary: &Itinerary, purpose| {
            let fields = itinerary.request_fields(purpose);
            let values = fields.get_all(header::ACCEPT).iter();
            let values = values.map(|value| value.to_str().expect("ASCII").to_owned());
            (values.collect::<Vec<_>>(), fields.contains_key("sec-fetch-user"))
        };
        assert!(accepted(&itinerary, Purpose::Page).1);
        assert_eq!(accepted(&itinerary, Purpose::Asset), (vec!["*/*".to_owned()], false));
        for value in ["a/a", "b/b"] {
            let (name, value) = request_field(&format!("Accept: {value}")).expect("a field");
            itinerary.fields.append(name, value);
        }
        let both = vec!["a/a".to_owned(), "b/b".to_owned()];
        assert_eq!(accepted(&itinerary, Purpose::Page).0, both);
    }

    #[test]
    fn fields_of_the_connection_are_refused() {
        for text in [
            "no colon",
            "na me: x",
            "x: a\nb",
            "Host: a",
            "connection: close",
            "Transfer-Encoding: chunked",
        ] {
            assert!(request_field(text).is_err(), "{text}");
        }
        assert!(request_field("cookie: a=b; c=d:e").is_ok());
    }
}
