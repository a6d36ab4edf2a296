//! Lists the request fields, besides `Cookie` and `Authorization`, that tell an application who asks: a proxy that
//! authenticates sets them, or a client of an interface.
//!
//! A request with one of them is one visitor's, like one with a cookie: its links count only once several visitors got
//! them. A route may name more (`learn.identity`).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Names, in lower case. A name that ends in `*` stands for all that begin like it.
const IDENTITY: [&str; 38] = [
    // Apache, nginx, IIS and SAP behind single sign-on; Authelia, Authentik, Pomerium.
    "remote-user",
    "remote-name",
    "remote-email",
    "remote-groups",
    "x-remote-*",
    "x-authentik-*",
    "x-pomerium-*",
    "x-webauth-*",
    "x-sso-*",
    // oauth2-proxy, Traefik, Envoy.
    "x-auth-*",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-access-token",
    "x-id-token",
    // AWS, Cloudflare, Google, Azure, Tailscale.
    "x-amzn-oidc-*",
    "x-amzn-mtls-*",
    "cf-access-*",
    "x-goog-authenticated-*",
    "x-goog-iap-*",
    "x-ms-client-principal*",
    "x-ms-token-*",
    "tailscale-user-*",
    // Client certificates.
    "ssl-client-*",
    "x-ssl-client-*",
    "x-client-cert*",
    "client-cert*",
    // Applications, and their interfaces.
    "x-user",
    "x-user-*",
    "x-username",
    "x-authenticated-*",
    "x-api-key",
    "api-key",
    "x-session-*",
    "proxy-authorization",
];

/// A field that begins like one in the list, and says nothing of a visitor.
const NO_IDENTITY: [&str; 1] = ["x-user-agent"];

/// Returns whether a request field tells who asks; `more` are those that the route names.
#[must_use]
pub fn is_identity(name: &HeaderName, more: &[HeaderName]) -> bool {
    let text = name.as_str();
    // CGI, WSGI and PHP read underscores as hyphens.
    let is_same = |a: u8, b: u8| a == b || a == b'_' && b == b'-';
    let begins = |start: &str| text.len() >= start.len() && text.bytes().zip(start.bytes()).all(|(a, b)| is_same(a, b));
    let is_listed = |known: &&str| match known.strip_suffix('*') {
        Some(start) => begins(start),
        None => text.len() == known.len() && begins(known),
    };
    more.contains(name) || IDENTITY.iter().any(is_listed) && !NO_IDENTITY.contains(&text)
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
    fn fields_of_an_identity_are_known_in_each_spelling() {
        let more = [HeaderName::from_static("x-tenant-member")];
        for (name, expected) in [
            ("x-user", true),
            ("x_user", true),
            ("x-user-id", true),
            ("x-user-agent", false),
            ("x-remote-user", true),
            ("x-forwarded-user", true),
            ("x-forwarded-for", false),
            ("x-forwarded-proto", false),
            ("x-auth-request-email", true),
            ("x-auth-request-preferred-username", true),
            ("x-amzn-oidc-data", true),
            ("x-amzn-trace-id", false),
            ("cf-access-jwt-assertion", true),
            ("cf-ray", false),
            ("cf-connecting-ip", false),
            ("x-api-key", true),
            ("proxy-authorization", true),
            ("x-tenant-member", true),
            ("x-tenant", false),
            ("user-agent", false),
            ("accept-language", false),
            ("x-requested-with", false),
            ("remote-user", true),
            ("remote-users", false),
        ] {
            assert_eq!(is_identity(&HeaderName::from_static(name), &more), expected, "{name}");
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
