//! Parses one text to one value: times, sizes, hosts, networks, methods, patterns, links. Pure.
//!
//! Each function has an `..._ALLOWED` text: the allowed values, as problems name them.

use std::{net::IpAddr, ops::RangeInclusive, time::Duration};

use http::Method;
use ipnet::IpNet;
use regex::{Regex, RegexBuilder};

use crate::{
    link,
    push::Authority,
    route::HostPattern,
    upstream::{HashKey, Host, ServerPolicy},
};

/// The words of a setting that is `off` or `on`.
pub(super) const SWITCH: &[(&str, bool)] = &[("off", false), ("on", true)];

pub(super) const TIMES: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 60 * 60);
pub(super) const TIME_UNITS: &str = "(ms|s|m|h)";
pub(super) const SIZE_UNITS: &str = "(B|KiB|MiB)";
pub(super) const TIMES_ALLOWED: &str = "1ms to 24h with its unit (5ms, 30s, 2m, 1h)";

/// Parses a time: `5ms`, `30s`, `2m`, `1h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Parses a size, in bytes: `512B`, `64KiB`, `1MiB`.
pub(super) fn size(text: &str) -> Option<u32> {
    bytes(text)?.try_into().ok()
}

/// Parses a size that may take more than 32 bits.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = number_and_unit(text)?;
    let bytes = match unit {
        "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    number.checked_mul(bytes)
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let unit_start = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_start);
    Some((number.parse().ok()?, unit))
}

pub(super) const NAME_ALLOWED: &str = "1 to 64 characters of a-z, 0-9, _ and -";

/// Parses the name of a route or an upstream, which appears in logs and labels of metrics.
pub(super) fn name(text: &str) -> Option<&str> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    ((1..=64).contains(&text.len()) && text.bytes().all(allowed)).then_some(text)
}

/// Parses a host to its form in requests: lower case, an IPv6 address in brackets and in its shortest form. Underscores
/// are allowed, since container networks use them; names beyond ASCII only as `xn--`.
fn host(text: &str) -> Option<Box<str>> {
    match url::Host::parse(text).ok()? {
        url::Host::Ipv6(address) => Some(format!("[{address}]").into()),
        // The URL standard also reads `1` and `0x7f.1` as addresses, which is surely a mistake here.
        url::Host::Ipv4(address) => (address.to_string() == text).then(|| text.into()),
        url::Host::Domain(_) => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            let label_allowed = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(allowed);
            (text.len() <= 253 && text.split('.').all(label_allowed)).then(|| text.to_ascii_lowercase().into())
        }
    }
}

pub(super) const HOST_PATTERN_ALLOWED: &str = "a host without port, or *.suffix";

/// Parses `shop.example` or `*.shop.example`.
pub(super) fn host_pattern(text: &str) -> Option<HostPattern> {
    match text.strip_prefix("*.") {
        None => host(text).map(HostPattern::Exact),
        Some(suffix) => match url::Host::parse(suffix).ok()? {
            url::Host::Domain(_) => host(suffix).map(|suffix| HostPattern::Suffix(format!(".{suffix}").into())),
            url::Host::Ipv4(_) | url::Host::Ipv6(_) => None,
        },
    }
}

pub(super) const AUTHORITY_ALLOWED: &str = "a host, or host:port";

/// Parses `cdn.example` or `cdn.example:8443`.
pub(super) fn authority(text: &str) -> Option<Authority> {
    if let Some(host) = host(text) {
        return Some(Authority { host, port: None });
    }
    let (host_text, port) = text.rsplit_once(':')?;
    Some(Authority {
        host: host(host_text)?,
        port: Some(self::port(port)?),
    })
}

pub(super) const SERVER_ALLOWED: &str = "host:port";

/// Parses an origin server: `app:8000`, `10.0.0.7:8000`, `[::1]:8000`.
pub(super) fn server(text: &str) -> Option<ServerPolicy> {
    let (host_text, port) = text.rsplit_once(':')?;
    let host = host(host_text)?;
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    Some(ServerPolicy {
        host: address.map_or(Host::Name(host), Host::Address),
        port: self::port(port)?,
        weight: 1,
    })
}

pub(super) const SNI_ALLOWED: &str = "a host without port";

/// Parses the name in a certificate: `app.example`.
pub(super) fn sni(text: &str) -> Option<Box<str>> {
    host(text).filter(|host| !host.starts_with('['))
}

pub(super) const HASH_KEY_ALLOWED: &str = "client_address, path, or header and a name (header x-user)";

/// Parses `client_address`, `path`, `header x-user`.
pub(super) fn hash_key(text: &str) -> Option<HashKey> {
    match text {
        "client_address" => Some(HashKey::ClientAddress),
        "path" => Some(HashKey::Path),
        _ => text.strip_prefix("header ")?.parse().ok().map(HashKey::Header),
    }
}

pub(super) const PATH_ALLOWED: &str = "a path (/health)";

/// Parses a path with or without a query, as in a request line.
pub(super) fn path(text: &str) -> Option<Box<str>> {
    let allowed = |b: u8| b.is_ascii_graphic() && b != b'#';
    (text.starts_with('/') && text.len() <= 1024 && text.bytes().all(allowed)).then(|| text.into())
}

pub(super) const STATUSES_ALLOWED: &str = "a status, or two with a hyphen, from 200 to 599 (200-299)";

/// Parses one status or a range: `204`, `200-399`.
pub(super) fn statuses(text: &str) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse()
            .ok()
            .filter(|status| digits && (200..=599).contains(status))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let statuses = status(first)?..=status(last)?;
    (!statuses.is_empty()).then_some(statuses)
}

/// Parses a port other than 0. `str::parse` alone would accept `+80`.
fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

pub(super) const NETWORK_ALLOWED: &str = "a network (10.0.0.0/8, \"2001:db8::/32\") or an IP address";

/// Parses `10.0.0.0/8`, or one address. Refuses a network with bits set behind its length, a likely mistake:
/// `10.1.0.0/8`.
pub(super) fn network(text: &str) -> Option<IpNet> {
    let network = text
        .parse()
        .ok()
        .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))?;
    let is_ipv4_in_ipv6 = network.addr().to_canonical().is_ipv4() && matches!(network, IpNet::V6(_));
    (network.trunc() == network && !is_ipv4_in_ipv6).then_some(network)
}

pub(super) const METHOD_ALLOWED: &str = "a method in capitals (GET, POST)";

/// Parses a request method. Methods are case-sensitive, and no client sends `get`.
pub(super) fn method(text: &str) -> Option<Method> {
    Method::from_bytes(text.as_bytes())
        .ok()
        .filter(|_| !text.bytes().any(|b| b.is_ascii_lowercase()))
}

pub(super) const PATTERN_ALLOWED: &str = "a regular expression";

/// Compiles a pattern for paths; the error is the reason, on one line.
pub(super) fn pattern(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(text)
        .size_limit(PATTERN_SIZE_LIMIT)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => {
                format!("it compiles to more than {} KiB", limit / 1024)
            }
            // The reason is the last line, below the pattern and a line of carets.
            other => {
                let report = other.to_string();
                let reason = report.lines().last().unwrap_or_default();
                reason.strip_prefix("error: ").unwrap_or(reason).to_owned()
            }
        })
}

/// Largest size of a compiled pattern: a tenth of the crate's default, since every route may have a pattern.
const PATTERN_SIZE_LIMIT: usize = 1024 * 1024;

pub(super) const LINK_ALLOWED: &str = "the value of a Link header (</style.css>; rel=preload; as=style)";

/// Checks a Link field value, which needs at least one well-formed link; the error is the reason.
pub(super) fn link(text: &str) -> Result<Box<str>, String> {
    check_link(text).map(|()| text.into())
}

fn check_link(text: &str) -> Result<(), String> {
    if !text.bytes().all(|b| b.is_ascii_graphic() || b == b' ') {
        return Err("it has bytes that are not printable ASCII".to_owned());
    }
    let mut links = 0;
    for link in link::parse(text.as_bytes()) {
        let link = link.map_err(|malformed| malformed.reason.to_string())?;
        if link.target.is_empty() {
            return Err("its target is empty".to_owned());
        }
        if !["preload", "modulepreload", "preconnect"]
            .iter()
            .any(|name| link.has_relation(name))
        {
            return Err("its rel is none of preload, modulepreload, preconnect".to_owned());
        }
        links += 1;
    }
    if links == 0 {
        return Err("it has no link".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        assert_eq!(duration("5ms"), Some(Duration::from_millis(5)));
        assert_eq!(duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(duration("1h"), Some(Duration::from_secs(3600)));
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "+5s",
            "5S",
            "1.5s",
            "5sec",
            "99999999999999999h",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn sizes_have_a_binary_unit() {
        assert_eq!(size("512B"), Some(512));
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("1MiB"), Some(1_048_576));
        for bad in [
            "",
            "64",
            "64K",
            "64KB",
            "64kib",
            "1GiB",
            "9999999MiB",
            "18446744073709551615KiB",
        ] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_are_as_requests_name_them() {
        let exact = |text: &str| host_pattern(text).map(|p| format!("{p:?}"));
        assert_eq!(exact("A.Example").as_deref(), Some("Exact(\"a.example\")"));
        assert_eq!(exact("[0:0::1]").as_deref(), Some("Exact(\"[::1]\")"));
        assert_eq!(exact("10.0.0.1").as_deref(), Some("Exact(\"10.0.0.1\")"));
        assert_eq!(exact("my_app").as_deref(), Some("Exact(\"my_app\")"));
        assert_eq!(exact("*.A.example").as_deref(), Some("Suffix(\".a.example\")"));
        for bad in [
            "",
            "*",
            "*.",
            "*.*.a",
            "a.*",
            "*a.example",
            "a..b",
            ".a",
            "a.",
            "a b",
            "a:80",
            "1",
            "256.1.1.1",
            "*.10.0.0.1",
            "*.[::1]",
            "::1",
            "[::1",
            "bücher.example",
            "a/b",
            "u@a",
            "a%41",
            "*.1",
        ] {
            assert_eq!(host_pattern(bad), None, "{bad}");
        }
    }

    #[test]
    fn authorities_may_have_a_port_and_servers_must() {
        let port_of = |text| authority(text).map(|a| (a.host.to_string(), a.port));
        assert_eq!(port_of("CDN.example"), Some(("cdn.example".into(), None)));
        assert_eq!(port_of("cdn.example:8443"), Some(("cdn.example".into(), Some(8443))));
        assert_eq!(port_of("[::1]:8443"), Some(("[::1]".into(), Some(8443))));
        assert_eq!(port_of("[::1]"), Some(("[::1]".into(), None)));
        let place_of = |text| server(text).map(|s| (s.host, s.port));
        assert_eq!(place_of("App:8000"), Some((Host::Name("app".into()), 8000)));
        let localhost = |text: &str| Host::Address(text.parse().expect("an address"));
        assert_eq!(place_of("127.0.0.1:8000"), Some((localhost("127.0.0.1"), 8000)));
        assert_eq!(place_of("[::1]:8000"), Some((localhost("::1"), 8000)));
        for bad in [
            "", ":", "a:", ":80", "a:0", "a:+80", "a:65536", "a:b", "::1", "::1:80", "http://a", "u@a:80",
        ] {
            assert_eq!(authority(bad), None, "{bad}");
            assert_eq!(server(bad), None, "{bad}");
        }
        assert_eq!(server("app"), None);
    }

    #[test]
    fn settings_of_upstreams_are_read() {
        assert_eq!(hash_key("path"), Some(HashKey::Path));
        assert_eq!(
            hash_key("header X-User"),
            Some(HashKey::Header(http::HeaderName::from_static("x-user")))
        );
        for bad in ["", "header", "header ", "header a b", "cookie", "header :path"] {
            assert_eq!(hash_key(bad), None, "{bad}");
        }
        assert_eq!(statuses("204"), Some(204..=204));
        assert_eq!(statuses("200-399"), Some(200..=399));
        for bad in [
            "",
            "-",
            "20",
            "0200",
            "199",
            "600",
            "300-200",
            "200-",
            "+20",
            "200 - 299",
        ] {
            assert_eq!(statuses(bad), None, "{bad}");
        }
        assert_eq!(path("/health?deep=1").as_deref(), Some("/health?deep=1"));
        for bad in ["", "health", "/a b", "/a\r\nb", "/ä", "/a#b", "http://a/"] {
            assert_eq!(path(bad), None, "{bad}");
        }
        assert_eq!(sni("App.example").as_deref(), Some("app.example"));
        assert_eq!(sni("[::1]"), None);
        assert_eq!(sni("a:443"), None);
    }

    #[test]
    fn networks_have_no_bits_behind_their_length() {
        let text_of = |text| network(text).map(|network| network.to_string());
        assert_eq!(text_of("10.0.0.0/8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(text_of("0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(text_of("192.0.2.7").as_deref(), Some("192.0.2.7/32"));
        assert_eq!(text_of("2001:db8::/32").as_deref(), Some("2001:db8::/32"));
        assert_eq!(text_of("::1").as_deref(), Some("::1/128"));
        for bad in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10/8",
            "::1/64",
            "::ffff:10.0.0.0/104",
            "lb.example",
            "[::1]",
            "10.0.0.1:80",
        ] {
            assert_eq!(network(bad), None, "{bad}");
        }
    }

    #[test]
    fn methods_are_tokens_in_capitals() {
        assert_eq!(method("GET"), Some(Method::GET));
        assert!(method("VERSION-CONTROL").is_some());
        for bad in ["", "get", "Get", "G T", "GET\n", "GÉT"] {
            assert_eq!(method(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_bad_pattern_has_a_reason_on_one_line() {
        let reason = |text| pattern(text).map(|_| ()).expect_err("a bad pattern");
        assert_eq!(reason("^/(a"), "unclosed group");
        assert_eq!(reason("(?x)a\n(b"), "unclosed group");
        assert_eq!(reason("a{1000}{1000}"), "it compiles to more than 1024 KiB");
    }

    #[test]
    fn a_link_has_a_target_and_a_relation() {
        assert_eq!(check_link("</a.css>; rel=preload; as=style"), Ok(()));
        assert_eq!(check_link("</a.css> ; REL = \"preload\""), Ok(()));
        for bad in [
            "",
            "/a.css",
            "<>; rel=preload",
            "</a.css",
            "</a.css>",
            "</a.css>; rel",
            "</ä>; rel=preload",
        ] {
            assert!(check_link(bad).is_err(), "{bad}");
        }
    }
}
