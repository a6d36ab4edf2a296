//! Recognises the software of a hop, and knows how it treats pushes. Pure.
//!
//! Most fields pass through further hops, so only a field that the hop behind does not have speaks for a hop itself.

use std::fmt;

use http::{HeaderMap, header};

use super::sight::{HopSight, Http2Way};

/// The software of a hop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Software {
    /// linkpush.
    Linkpush,
    /// An AWS Application Load Balancer.
    Alb,
    /// Varnish.
    Varnish,
    /// nginx, with its version where it tells it.
    Nginx(Option<(u32, u32, u32)>),
    /// HAProxy, which adds no field: known by the name that the user gave.
    HaProxy,
    /// A content delivery network.
    Cdn(&'static str),
    /// Software that nothing tells of.
    Unknown,
}

impl Software {
    /// Recognises the software of a hop by its own fields, else by the name that the user gave.
    pub(super) fn of(hop: &HopSight, behind: Option<&HopSight>) -> Self {
        let inherited = behind.map_or_else(Vec::new, |behind| evidence(&behind.page.fields));
        let mut own = evidence(&hop.page.fields)
            .into_iter()
            .filter(|software| !inherited.contains(software));
        own.next().unwrap_or_else(|| Self::named(&hop.name))
    }

    /// Returns the software that a hop's name speaks of.
    fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let names: [(&[&str], Self); 6] = [
            (&["linkpush"], Self::Linkpush),
            (&["varnish"], Self::Varnish),
            (&["haproxy"], Self::HaProxy),
            (&["nginx"], Self::Nginx(None)),
            (
                &["cloudfront", "cloudflare", "fastly", "akamai", "cdn"],
                Self::Cdn("the CDN"),
            ),
            (&["alb", "elb"], Self::Alb),
        ];
        let is_word = |part: &str, word: &str| match word {
            "alb" | "elb" => part == word,
            _ => part.contains(word),
        };
        let mut parts = name.split(|character: char| !character.is_alphanumeric());
        let found = parts.find_map(|part| {
            let mut names = names.iter();
            names.find(|(words, _)| words.iter().any(|word| is_word(part, word)))
        });
        found.map_or(Self::Unknown, |(_, software)| software.clone())
    }

    /// Tells what to do where this software sends no promises.
    pub(super) fn remedy(&self, http2: Http2Way) -> String {
        let in_front = "put linkpush in front of it, as the first that speaks HTTP/2 to clients";
        match self {
            Self::Linkpush => "linkpush is there and pushes nothing: `linkpush explain --fetch` of the hop behind it \
                               says why for each link, and so does skips= in the access line"
                .to_owned(),
            Self::Alb => {
                "an ALB speaks HTTP/2 to clients, and neither passes on nor sends promises: use an NLB with a TLS listener \
                 and ALPN HTTP2Preferred in its place, and linkpush behind that"
                    .to_owned()
            }
            Self::Varnish if http2 == Http2Way::None => format!(
                "Varnish speaks HTTP/1.1 here, and with feature=+http2 it would speak HTTP/2, still without pushes: \
                 {in_front}"
            ),
            Self::Varnish => format!("Varnish speaks HTTP/2 (feature=+http2) and has no pushes: {in_front}"),
            Self::Nginx(Some(version)) if *version < PUSH_REMOVED => format!(
                "nginx before 1.25.1 can push itself (http2_push_preload on), to clients that are attached to it alone: \
                 {in_front}"
            ),
            Self::Nginx(Some(_)) => format!("nginx has no pushes since 1.25.1: {in_front}"),
            Self::Nginx(None) => {
                format!("nginx has no pushes since 1.25.1, and before only its own (http2_push_preload): {in_front}")
            }
            Self::HaProxy => {
                "HAProxy has no pushes: let it end TLS in TCP mode (mode tcp, alpn h2,http/1.1, send-proxy-v2) \
                              and hand cleartext HTTP/2 to linkpush behind it"
                    .to_owned()
            }
            Self::Cdn(_) => {
                "a CDN ends HTTP/2 and passes no pushes on: let it send 103s where it can, or let clients come \
                             to linkpush past it"
                    .to_owned()
            }
            Self::Unknown => format!(
                "{in_front}; if it only has to end TLS, let it hand cleartext HTTP/2 to linkpush behind it (TCP mode, ALPN \
                 h2)"
            ),
        }
    }
}

impl fmt::Display for Software {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linkpush => f.write_str("linkpush"),
            Self::Alb => f.write_str("ALB"),
            Self::Varnish => f.write_str("Varnish"),
            Self::Nginx(None) => f.write_str("nginx"),
            Self::Nginx(Some((major, minor, patch))) => write!(f, "nginx {major}.{minor}.{patch}"),
            Self::HaProxy => f.write_str("HAProxy"),
            Self::Cdn(name) => f.write_str(name),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// The first nginx without server push.
const PUSH_REMOVED: (u32, u32, u32) = (1, 25, 1);

/// Returns the software that the fields of a response speak of, the most telling first.
fn evidence(fields: &HeaderMap) -> Vec<Software> {
    let has = |name: &str, word: &str| {
        let lines = fields.get_all(name).into_iter();
        lines
            .map(|line| String::from_utf8_lossy(line.as_bytes()).to_ascii_lowercase())
            .any(|line| line.contains(word))
    };
    let mut found = Vec::new();
    let mut note = |is_there: bool, software: Software| {
        if is_there {
            found.push(software);
        }
    };
    note(has("cache-status", "linkpush"), Software::Linkpush);
    note(
        has("x-amz-cf-id", "") || has("via", "cloudfront"),
        Software::Cdn("CloudFront"),
    );
    note(has("cf-ray", ""), Software::Cdn("Cloudflare"));
    note(
        has("x-fastly-request-id", "") || has("x-served-by", "cache-"),
        Software::Cdn("Fastly"),
    );
    note(
        has("server", "akamai") || has("x-akamai-request-id", ""),
        Software::Cdn("Akamai"),
    );
    note(has("server", "awselb") || has("set-cookie", "awsalb"), Software::Alb);
    note(has("x-varnish", "") || has("via", "varnish"), Software::Varnish);
    note(has("server", "nginx"), Software::Nginx(nginx_version(fields)));
    found
}

/// Reads the version in `Server: nginx/1.22.1`.
fn nginx_version(fields: &HeaderMap) -> Option<(u32, u32, u32)> {
    let server = fields.get(header::SERVER)?.to_str().ok()?;
    let version = server.strip_prefix("nginx/")?.split(' ').next()?;
    let mut numbers = version.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;
    use crate::cli::probe::chain::sight::PageSight;

    fn hop(name: &str, fields: &[(&'static str, &'static str)]) -> HopSight {
        let fields = fields
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        HopSight {
            name: name.to_owned(),
            http2: Http2Way::None,
            upgrade: None,
            proxy_header: None,
            page: PageSight {
                fields: fields.collect(),
                ..PageSight::default()
            },
            browser: PageSight::default(),
        }
    }

    #[test]
    fn a_hop_is_known_by_fields_that_are_its_own() {
        let nginx = [("server", "nginx/1.22.1")];
        let behind = hop("app", &nginx);
        for (name, fields, expected) in [
            (
                "x",
                &[("server", "nginx/1.22.1"), ("via", "1.1 varnish (Varnish/7.1)")][..],
                Software::Varnish,
            ),
            (
                "x",
                &[("server", "nginx/1.22.1"), ("x-varnish", "3 4")],
                Software::Varnish,
            ),
            ("x", &[("server", "nginx/1.29.0")], Software::Nginx(Some((1, 29, 0)))),
            ("x", &nginx, Software::Unknown),
            ("my-haproxy", &nginx, Software::HaProxy),
            (
                "x",
                &[("server", "nginx/1.22.1"), ("set-cookie", "AWSALB=x")],
                Software::Alb,
            ),
            (
                "x",
                &[("x-amz-cf-id", "abc"), ("x-varnish", "3")],
                Software::Cdn("CloudFront"),
            ),
            ("x", &[("cf-ray", "abc")], Software::Cdn("Cloudflare")),
            ("x", &[("cache-status", "linkpush; hit")], Software::Linkpush),
            ("the linkpush", &[], Software::Linkpush),
            ("alb", &[], Software::Alb),
            ("album", &[], Software::Unknown),
        ] {
            assert_eq!(
                Software::of(&hop(name, fields), Some(&behind)),
                expected,
                "{name} {fields:?}"
            );
        }
        assert_eq!(Software::of(&behind, None), Software::Nginx(Some((1, 22, 1))));
        assert_eq!(
            Software::of(&hop("x", &[("server", "nginx")]), None),
            Software::Nginx(None)
        );
    }

    #[test]
    fn the_remedy_depends_on_the_version() {
        let remedy = |software: Software| software.remedy(Http2Way::PriorKnowledge);
        assert!(remedy(Software::Nginx(Some((1, 25, 0)))).contains("http2_push_preload on"));
        assert!(!remedy(Software::Nginx(Some((1, 25, 1)))).contains("http2_push_preload"));
        assert!(
            Software::Varnish
                .remedy(Http2Way::None)
                .contains("with feature=+http2 it would")
        );
        assert!(remedy(Software::Alb).contains("NLB"));
        assert!(remedy(Software::HaProxy).contains("mode tcp"));
    }
}
