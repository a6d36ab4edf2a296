//! What a request asks for, as `peer::target` reads it.

use http::Uri;
use url::Url;

use crate::{
    input::Input,
    peer::target::{self, BadTarget, Target},
};

/// Reads a method, a target and Host fields, each on a line of its own.
pub fn target(bytes: &[u8]) {
    let mut input = Input(bytes);
    let is_http10 = input.number() % 2 == 1;
    let (Some(method), Some(asked)) = (input.text(), input.text()) else {
        return;
    };
    let mut hosts = Vec::new();
    while !input.0.is_empty() {
        hosts.push(input.line());
    }
    for host in &hosts {
        authority(host);
    }
    let Ok(read) = Target::of_http1(method, asked, &hosts, is_http10) else {
        return;
    };
    assert!(hosts.len() <= 1, "one Host");
    assert!(read.authority.is_some() || is_http10, "only HTTP/1.0 has no Host");
    if let Some(host) = hosts.first() {
        let host = host.strip_suffix(b":").unwrap_or(host);
        assert_eq!(
            read.authority.map(str::as_bytes),
            Some(host),
            "the Host is what is asked"
        );
    }
    let again: Vec<&[u8]> = read.authority.map(str::as_bytes).into_iter().collect();
    assert_eq!(
        Target::of_http1(method, &read.path, &again, is_http10).as_ref(),
        Ok(&read),
        "one form"
    );
    if method == "CONNECT" {
        assert_eq!(read.path, asked);
        return;
    }
    assert_eq!(target::check_path(method, read.path.as_bytes()), Ok(()));
    if read.path == "*" {
        return assert_eq!(method, "OPTIONS");
    }
    assert!(read.path.starts_with('/'));
    assert!(read.path.bytes().all(|b| b > b' ' && b != 0x7f && b != b'#'));
    let Some(host) = read.authority else { return };
    let uri: Uri = format!("http://{host}{}", read.path).parse().expect("a URI");
    assert_eq!(uri.authority().map(http::uri::Authority::as_str), Some(host));
    assert_eq!(
        uri.path_and_query().map(http::uri::PathAndQuery::as_str),
        Some(&*read.path)
    );
    if asked.starts_with('/') {
        return assert_eq!(asked, read.path, "origin-form stays as it is");
    }
    // Absolute-form: whoever reads it as a URL finds the same host.
    let (scheme, rest) = asked.split_once("://").expect("absolute-form");
    assert!(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"));
    assert!(rest.starts_with(host));
    assert!(rest.ends_with(&*read.path) || ["*", "/"].contains(&&*read.path) || rest.ends_with(&read.path[1..]));
    if let Ok(url) = Url::parse(asked) {
        assert!(url.username().is_empty() && url.password().is_none());
        let of_host = Url::parse(&format!("{scheme}://{host}/")).expect("a host by itself");
        assert_eq!((url.host(), url.port()), (of_host.host(), of_host.port()));
    }
}

/// An authority is read as it is, but for an empty port, and as the http crate does.
fn authority(text: &[u8]) {
    let Ok(read) = target::authority(text) else { return };
    assert_eq!(target::authority(read.as_bytes()), Ok(read));
    assert_eq!(text.strip_suffix(b":").unwrap_or(text), read.as_bytes());
    let theirs: http::uri::Authority = read.parse().expect("an authority");
    assert_eq!(theirs.as_str(), read);
    let port = read
        .rsplit_once(':')
        .filter(|(host, _)| !host.contains(':') || host.ends_with(']'));
    let (host, port) = port.map_or((read, None), |(host, port)| (host, Some(port)));
    assert_eq!(
        (theirs.host(), theirs.port().map(|port| port.as_str().to_owned())),
        (host, port.map(str::to_owned))
    );
    assert!(!read.contains(['@', '/', '\\', '%', ',', ' ']));
    assert_eq!(
        target::authority(format!("user@{read}").as_bytes()),
        Err(BadTarget::Host)
    );
}
