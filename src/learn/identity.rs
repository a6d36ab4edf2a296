//! Lists the request fields, besides `Cookie` and `Authorization`, that tell an application who asks: a proxy that
//! authenticates sets them, or a client of an interface.
//!
//! Their names have no list, so words in them tell. A request with one of them is one visitor's, like one with a cookie: its links count only once several visitors got
//! them. A route may name more (`learn.identity`).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Words of names, in lower case. Of the parts of a name between hyphens, one that begins or ends with such a word tells
/// who asks: `x-userinfo`, `x-auth-request-email`, `sm_user`, `x-arr-clientcert`.
const WORDS: [&str; 19] = [
    "user",
    "auth",
    "session",
    "token",
    "cert",
    "jwt",
    "oidc",
    "saml",
    "account",
    "member",
    "email",
    "login",
    "identity",
    "principal",
    "customer",
    "consumer",
    "credential",
    "subject",
    "apikey",
];

/// Parts of names that tell who asks as they are: shorter, they begin and end other words.
const PARTS: [&str; 5] = ["uid", "sso", "eppn", "roles", "groups"];

/// Names, in lower case, that have none of these words. A name that ends in `*` stands for all that begin like it.
const NAMES: [&str; 17] = [
    // Apache, nginx, IIS and SAP behind single sign-on; Authentik, Pomerium, Vouch, Shibboleth, SiteMinder, WebSEAL.
    "remote-name",
    "x-remote-*",
    "x-pomerium-*",
    "x-webauth-*",
    "x-vouch-*",
    "shib-*",
    "sm-*",
    "iv-*",
    // AWS, Cloudflare, Google.
    "x-amzn-mtls-*",
    "cf-access-*",
    "x-goog-iap-*",
    // Client certificates.
    "ssl-client-*",
    "x-ssl-*",
    "x-client-dn",
    "x-client-verify",
    // Applications, and their interfaces.
    "x-api-key",
    "api-key",
];

/// Fields with such a word that say nothing of a visitor: what all browsers send, or a proxy for all clients.
const NO_IDENTITY: [&str; 8] = [
    // `Authorization` counts more than an identity, and is looked for apart.
    "authorization",
    "sec-fetch-user",
    "sec-websocket-*",
    "x-ssl-protocol",
    "x-ssl-cipher",
    "x-ssl-version",
    "x-ssl-ciphers",
    "x-ssl-session-reused",
];

/// Returns whether a request field tells who asks; `more` are those that the route names.
#[must_use]
pub fn is_identity(name: &HeaderName, more: &[HeaderName]) -> bool {
    let text = name.as_str();
    if more.iter().any(|known| is_same(text, known.as_str())) {
        return true;
    }
    let is_listed = |known: &&str| match known.strip_suffix('*') {
        Some(start) => text.get(..start.len()).is_some_and(|text| is_same(text, start)),
        None => is_same(text, known),
    };
    (has_word(text) || NAMES.iter().any(is_listed)) && !NO_IDENTITY.iter().any(is_listed)
}

/// Returns whether two names are the same to CGI, WSGI and PHP, which read underscores as hyphens.
fn is_same(a: &str, b: &str) -> bool {
    let hyphen = |byte| if byte == b'_' { b'-' } else { byte };
    a.len() == b.len() && a.bytes().map(hyphen).eq(b.bytes().map(hyphen))
}

fn has_word(name: &str) -> bool {
    let mut parts = name.split(['-', '_']).peekable();
    while let Some(part) = parts.next() {
        // A browser is no user.
        let is_browser = part == "user" && parts.peek() == Some(&"agent");
        let has_word = |word: &&str| part.starts_with(word) || part.ends_with(word);
        if !is_browser && (WORDS.iter().any(has_word) || PARTS.contains(&part)) {
            return true;
        }
    }
    false
}

/// Yields the fields of a request that tell who asks, but for `Cookie` and `Authorization`.
pub fn identities<'f>(
    fields: &'f HeaderMap,
    more: &'f [HeaderName],
) -> impl Iterator<Item = (&'f HeaderName, &'f HeaderValue)> {
    fields.iter().filter(move |(name, _)| is_identity(name, more))
}

/// Returns whether a field is one visitor's own: it tells who asks, or from where.
#[must_use]
pub fn is_of_visitor(name: &HeaderName, more: &[HeaderName]) -> bool {
    [header::COOKIE, header::AUTHORIZATION].contains(name) || is_identity(name, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_tell_who_asks_are_known_in_each_spelling() {
        let more = ["x-tenant-ref", "x_under"].map(HeaderName::from_static);
        for name in [
            // The route's own.
            "x-tenant-ref",
            "x_tenant_ref",
            "x_tenant-ref",
            "x-under",
            "x_under",
            // Single sign-on.
            "remote-user",
            "remote_user",
            "remote-name",
            "remote-email",
            "remote-groups",
            "x-remote-anything",
            "x-authentik-uid",
            "x-pomerium-claim-sub",
            "x-webauth-user",
            "x-sso-id",
            "x-vouch-idp-claims",
            "x-jwt-assertion",
            "oidc_claim_sub",
            "oidc-claim-sub",
            "shib-person",
            "eppn",
            "iv-user",
            "iv-groups",
            "sm_user",
            "sm-universalid",
            // Proxies.
            "x-auth-request-preferred-username",
            "x-forwarded-user",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-roles",
            "x-forwarded-uid",
            "x-forwarded-preferred-username",
            "x-forwarded-access-token",
            "x-forwarded-client-cert",
            "x-forwarded-tls-client-cert",
            "x-forwarded-tls-client-cert-info",
            "x-consumer-custom-id",
            "x-credential-identifier",
            // Clouds.
            "x-amzn-oidc-data",
            "x-amzn-mtls-clientcert",
            "cf-access-jwt-assertion",
            "x-goog-authenticated-user-email",
            "x-goog-iap-jwt-assertion",
            "x-ms-client-principal-name",
            "x-ms-token-aad-id-token",
            "tailscale-user-login",
            "x-arr-clientcert",
            // Client certificates.
            "ssl-client-s-dn",
            "x-ssl-client-verify",
            "x-ssl-subject",
            "x-client-dn",
            "x-client-cert-hash",
            "client-cert",
            // Applications.
            "x-user",
            "x_user",
            "x-user-id",
            "x-userid",
            "x-userinfo",
            "x-username",
            "x-current-user",
            "x-uid",
            "x-session",
            "x-sessionid",
            "x-session-id",
            "x-token",
            "x-csrf-token",
            "x-email",
            "x-member",
            "x-account",
            "x-authorization",
            "x-authenticated-userid",
            "x-access-token",
            "x-accesstoken",
            "x-id-token",
            "private-token",
            "x-api-key",
            "x-apikey",
            "apikey",
            "api-key",
            "proxy-authorization",
        ] {
            assert!(is_identity(&HeaderName::from_static(name), &more), "{name}");
        }
    }

    const OF_EVERYBODY: &[&str] = &[
        // Chromium and Firefox, for pages.
        "accept",
        "accept-encoding",
        "accept-language",
        "access-control-request-headers",
        "access-control-request-method",
        "alt-used",
        "attribution-reporting-eligible",
        "attribution-reporting-support",
        "cache-control",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "device-memory",
        "dnt",
        "downlink",
        "dpr",
        "ect",
        "expect",
        "host",
        "idempotency-key",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "last-event-id",
        "origin",
        "ping-from",
        "ping-to",
        "pragma",
        "priority",
        "purpose",
        "range",
        "referer",
        "rtt",
        "save-data",
        "sec-browsing-topics",
        "sec-ch-prefers-color-scheme",
        "sec-ch-prefers-reduced-motion",
        "sec-ch-ua",
        "sec-ch-ua-arch",
        "sec-ch-ua-bitness",
        "sec-ch-ua-form-factors",
        "sec-ch-ua-full-version-list",
        "sec-ch-ua-mobile",
        "sec-ch-ua-model",
        "sec-ch-ua-platform",
        "sec-ch-ua-platform-version",
        "sec-ch-viewport-width",
        "sec-fetch-dest",
        "sec-fetch-mode",
        "sec-fetch-site",
        "sec-fetch-storage-access",
        "sec-fetch-user",
        "sec-gpc",
        "sec-purpose",
        "sec-speculation-tags",
        "sec-websocket-extensions",
        "sec-websocket-key",
        "sec-websocket-protocol",
        "sec-websocket-version",
        "service-worker",
        "service-worker-navigation-preload",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "upgrade-insecure-requests",
        "user-agent",
        "viewport-width",
        "width",
        "x-client-data",
        "x-moz",
        "x-requested-with",
        // Proxies, tracing, networks of delivery.
        "baggage",
        "cdn-loop",
        "cf-connecting-ip",
        "cf-ipcountry",
        "cf-ray",
        "cf-visitor",
        "forwarded",
        "traceparent",
        "tracestate",
        "via",
        "x-amz-cf-id",
        "x-amzn-trace-id",
        "x-b3-traceid",
        "x-cloud-trace-context",
        "x-correlation-id",
        "x-envoy-external-address",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-original-user-agent",
        "x-processor",
        "x-real-ip",
        "x-request-id",
        "x-request-start",
        "x-request-uuid",
        "x-ssl-cipher",
        "x-ssl-protocol",
        "x-tenant",
        "x-user-agent",
        "x_user_agent",
        // What Authorization means is decided elsewhere.
        "authorization",
    ];

    #[test]
    fn fields_that_browsers_and_proxies_send_for_everybody_are_no_identity() {
        let more = [HeaderName::from_static("x-tenant-ref")];
        for name in OF_EVERYBODY {
            assert!(!is_identity(&HeaderName::from_static(name), &more), "{name}");
        }
    }

    #[test]
    fn cookies_and_credentials_are_of_a_visitor_too() {
        for (name, expected) in [
            ("cookie", true),
            ("authorization", true),
            ("x-user", true),
            ("accept", false),
        ] {
            assert_eq!(is_of_visitor(&HeaderName::from_static(name), &[]), expected, "{name}");
        }
    }
}
