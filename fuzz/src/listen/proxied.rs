//! The PROXY header: where it ends, and whom it speaks for.

use std::net::{IpAddr, SocketAddr};

use super::proxy_header::{HeaderError, MAX_V1, MAX_V2, ProxyHeader, parse};
use crate::{input::Input, peer::Scheme};

const V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Reads bytes as they are, or a header that is written from them.
pub fn proxy_header(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.number() % 4 {
        0 => read(input.rest()),
        1 => read(&[b"PROXY TCP", input.rest()].concat()),
        2 => write_v1(&mut input),
        _ => write_v2(&mut input),
    }
}

/// A header ends in one place, whatever comes in whatever pieces, and says what a simple reader finds in it.
fn read(bytes: &[u8]) {
    let outcome = parse(bytes);
    if let Ok(Some((told, length))) = &outcome {
        assert!(*length <= bytes.len() && *length <= MAX_V2 + 16);
        let header = &bytes[..*length];
        assert_eq!(parse(header), outcome, "what follows changes nothing");
        let simple = if header.starts_with(V2) {
            simple_v2(header)
        } else {
            simple_v1(header)
        };
        assert_eq!(told.client, simple);
    }
    for cut in 0..bytes.len() {
        match (parse(&bytes[..cut]), &outcome) {
            (Ok(None), _) => {}
            (Ok(Some(whole)), outcome) => assert_eq!(outcome, &Ok(Some(whole)), "the end stays the end"),
            (Err(error), outcome) => assert_eq!(outcome, &Err(error), "what is none never becomes one"),
        }
    }
    if outcome == Ok(None) {
        assert!(bytes.len() < MAX_V2 + 16, "nobody waits for ever");
        assert!(!bytes.starts_with(b"PROXY") || bytes.len() < MAX_V1);
    }
}

fn simple_v1(header: &[u8]) -> Option<SocketAddr> {
    let line = header.strip_suffix(b"\r\n").expect("a line");
    assert!(header.len() <= MAX_V1);
    if line.starts_with(b"PROXY UNKNOWN") {
        return None;
    }
    let words: Vec<&str> = std::str::from_utf8(line).expect("text").split(' ').collect();
    let ["PROXY", family @ ("TCP4" | "TCP6"), source, target, from, to] = words[..] else {
        unreachable!("{words:?} was taken for a header")
    };
    let ends: [IpAddr; 2] = [source, target].map(|text| text.parse().expect("an address"));
    assert!(ends.iter().all(|end| end.is_ipv4() == (family == "TCP4")));
    let ports: [u16; 2] = [from, to].map(|text| text.parse().expect("a port"));
    assert!([from, to].iter().all(|port| port.bytes().all(|b| b.is_ascii_digit())));
    Some(SocketAddr::new(ends[0].to_canonical(), ports[0]))
}

fn simple_v2(header: &[u8]) -> Option<SocketAddr> {
    assert_eq!(
        usize::from(header[14]) << 8 | usize::from(header[15]),
        header.len() - 16
    );
    let block = &header[16..];
    let port = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
    match (header[12], header[13]) {
        (0x20, _) | (0x21, 0x31) => None,
        // What is not specified speaks for nobody.
        (0x21, family) if family >> 4 == 0 || family & 0xf == 0 => None,
        (0x21, 0x11) => {
            let address: [u8; 4] = block[..4].try_into().expect("four bytes");
            Some(SocketAddr::from((address, port(8))))
        }
        (0x21, 0x21) => {
            let address: [u8; 16] = block[..16].try_into().expect("sixteen bytes");
            Some(SocketAddr::new(IpAddr::from(address).to_canonical(), port(32)))
        }
        other => unreachable!("{other:x?} was taken for a header"),
    }
}

fn address(input: &mut Input<'_>, is_v6: bool) -> IpAddr {
    if is_v6 {
        let mut bytes = [0; 16];
        let come = input.take(16);
        bytes[..come.len()].copy_from_slice(come);
        IpAddr::from(bytes)
    } else {
        IpAddr::from([(); 4].map(|()| input.byte().unwrap_or(0)))
    }
}

fn port(input: &mut Input<'_>) -> u16 {
    u16::try_from(input.large()).expect("two bytes")
}

fn write_v1(input: &mut Input<'_>) {
    let is_v6 = input.number() % 2 == 1;
    let (source, target) = (address(input, is_v6), address(input, is_v6));
    let (from, to) = (port(input), port(input));
    let family = if is_v6 { "TCP6" } else { "TCP4" };
    let mut bytes = format!("PROXY {family} {source} {target} {from} {to}\r\n").into_bytes();
    let told = ProxyHeader {
        client: Some(SocketAddr::new(source.to_canonical(), from)),
        ..ProxyHeader::default()
    };
    let length = bytes.len();
    bytes.extend_from_slice(input.rest());
    assert_eq!(parse(&bytes), Ok(Some((told, length))));
    read(&bytes);
}

fn write_v2(input: &mut Input<'_>) {
    let kind = input.number();
    let is_v6 = kind % 2 == 1;
    let is_local = kind % 16 < 2;
    let (source, target) = (address(input, is_v6), address(input, is_v6));
    let (from, to) = (port(input), port(input));
    let mut block = Vec::new();
    for end in [source, target] {
        match end {
            IpAddr::V4(end) => block.extend(end.octets()),
            IpAddr::V6(end) => block.extend(end.octets()),
        }
    }
    block.extend([from.to_be_bytes(), to.to_be_bytes()].concat());
    let mut told = ProxyHeader {
        client: Some(SocketAddr::new(source.to_canonical(), from)),
        ..ProxyHeader::default()
    };
    let mut is_short = false;
    for _ in 0..kind / 32 {
        let (kind, value) = (input.pick(&[0x01, 0x02, 0x04, 0x20, 0x20, 0xe0]), input.piece());
        block.extend([kind, 0, u8::try_from(value.len()).expect("one byte")]);
        block.extend_from_slice(value);
        match kind {
            0x01 => told.alpn = Some(value.into()),
            0x20 if value.len() < 5 => is_short = true,
            0x20 if value[0] & 1 == 1 => told.scheme = Some(Scheme::Https),
            0x20 => told.scheme = Some(Scheme::Http),
            _ => {}
        }
    }
    let length = u16::try_from(block.len()).expect("a short block").to_be_bytes();
    let command = if is_local { 0x20 } else { 0x21 };
    let family = if is_v6 { 0x21 } else { 0x11 };
    let mut bytes = [&V2[..], &[command, family], &length, &block].concat();
    let length = bytes.len();
    bytes.extend_from_slice(input.rest());
    let expected = match (is_local, is_short) {
        (true, _) => Ok(Some((ProxyHeader::default(), length))),
        (false, true) => Err(HeaderError::ShortSsl),
        (false, false) => Ok(Some((told, length))),
    };
    assert_eq!(parse(&bytes), expected);
    read(&bytes);
}
