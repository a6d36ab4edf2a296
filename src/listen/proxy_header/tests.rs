//! Tests whole, malformed and partial headers, and that arbitrary bytes never read beyond their end.

use proptest::prelude::*;

use super::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const CLIENT4: &[u8] = &[192, 0, 2, 7, 10, 0, 0, 1, 0x9c, 0x40, 0x01, 0xbb];

fn v2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).expect("a short block").to_be_bytes();
    [SIGNATURE, &[command, family], &length, block].concat()
}

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("a short value").to_be_bytes();
    [&[kind], &length[..], value].concat()
}

fn told(header: &[u8]) -> ProxyHeader {
    match parse(header) {
        Ok(Some((told, length))) => {
            assert_eq!(length, header.len());
            told
        }
        other => unreachable!("{header:?}: {other:?}"),
    }
}

fn client(text: &str) -> ProxyHeader {
    ProxyHeader {
        client: Some(text.parse().expect("an address")),
        ..ProxyHeader::default()
    }
}

#[test]
fn version_1_names_the_client() {
    let cases: [(&[u8], ProxyHeader); 7] = [
        (
            b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n",
            client("192.0.2.7:40000"),
        ),
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 0 0\r\n", client("192.0.2.7:0")),
        (
            b"PROXY TCP6 2001:db8::7 ::1 40000 443\r\n",
            client("[2001:db8::7]:40000"),
        ),
        (
            b"PROXY TCP6 ::ffff:192.0.2.7 ::1 40000 443\r\n",
            client("192.0.2.7:40000"),
        ),
        (b"PROXY UNKNOWN\r\n", ProxyHeader::default()),
        (b"PROXY UNKNOWN ::1 ::1 1 2\r\n", ProxyHeader::default()),
        (b"PROXY UNKNOWN a b c d e f g h i j k\r\n", ProxyHeader::default()),
    ];
    for (header, expected) in cases {
        assert_eq!(told(header), expected, "{:?}", String::from_utf8_lossy(header));
    }
    // The longest header of the specification.
    let longest =
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";
    assert_eq!(longest.len(), MAX_V1);
    assert_eq!(told(longest.as_bytes()), ProxyHeader::default());
}

#[test]
fn version_2_names_the_client() {
    let mut client6 = [0; 36];
    client6[..2].copy_from_slice(&[0x20, 0x01]);
    client6[15] = 7;
    client6[32..34].copy_from_slice(&[0x9c, 0x40]);
    assert_eq!(told(&v2(0x21, 0x11, CLIENT4)), client("192.0.2.7:40000"));
    assert_eq!(told(&v2(0x21, 0x21, &client6)), client("[2001::7]:40000"));
    // Headers without a client: LOCAL with any content, an unspecified family or protocol.
    for header in [
        v2(0x20, 0x00, b""),
        v2(0x20, 0x11, CLIENT4),
        v2(0x20, 0x11, b""),
        v2(0x20, 0xff, b"anything"),
        v2(0x21, 0x00, b""),
        v2(0x21, 0x00, b"\xff\xff not a TLV"),
        v2(0x21, 0x10, CLIENT4),
        v2(0x21, 0x31, &[0; 216]),
    ] {
        assert_eq!(told(&header), ProxyHeader::default(), "{header:?}");
    }
}

#[test]
fn tlvs_give_the_scheme_and_the_alpn_protocol() {
    let with = |tlvs: &[Vec<u8>]| {
        let block = [CLIENT4, &tlvs.concat()].concat();
        let told = told(&v2(0x21, 0x11, &block));
        (told.scheme, told.alpn)
    };
    let version = tlv(0x21, b"TLSv1.3");
    let ssl = |flags: u8| tlv(0x20, &[&[flags, 0, 0, 0, 0], &version[..]].concat());
    let h2: Option<Box<[u8]>> = Some((*b"h2").into());
    assert_eq!(with(&[]), (None, None));
    assert_eq!(with(&[ssl(1)]), (Some(Scheme::Https), None));
    assert_eq!(with(&[ssl(7), tlv(1, b"h2")]), (Some(Scheme::Https), h2.clone()));
    assert_eq!(with(&[ssl(0)]), (Some(Scheme::Http), None));
    assert_eq!(with(&[ssl(6)]), (Some(Scheme::Http), None));
    assert_eq!(with(&[tlv(1, b"h2")]), (None, h2));
    // Ignored TLVs: no-op, authority, checksum, AWS's own, unknown.
    let others = [4, 2, 3, 5, 0xea, 0xf0].map(|kind| tlv(kind, b"\0\0\0\0"));
    assert_eq!(with(&others), (None, None));
}

#[test]
fn each_malformed_header_has_its_error() {
    let missing: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"proxy TCP4",
        b" PROXY TCP4",
        b"\x16\x03\x01",
        b"\r\n\r\n\0\r\nQUIT\r",
    ];
    for bytes in missing {
        assert_eq!(parse(bytes), Err(HeaderError::Missing), "{bytes:?}");
    }
    assert_eq!(
        parse(&[b"PROXY ".as_slice(), &[b'a'; 101]].concat()),
        Err(HeaderError::TooLong)
    );
    assert_eq!(
        parse(b"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r\n"),
        Err(HeaderError::TooLong)
    );
    let fixed = |length: [u8; 2]| [SIGNATURE, &[0x21, 0x11], &length].concat();
    assert_eq!(parse(&fixed([0x20, 0x01])), Err(HeaderError::TooLarge(MAX_V2 + 1)));
    assert_eq!(parse(&fixed([0x20, 0x00])), Ok(None));
    assert_eq!(parse(&v2(0x21, 0x12, CLIENT4)), Err(HeaderError::Datagram));
    for flags in [&b""[..], &[1, 0, 0, 0]] {
        let block = [CLIENT4, &tlv(0x20, flags)].concat();
        assert_eq!(parse(&v2(0x21, 0x11, &block)), Err(HeaderError::ShortSsl));
    }
}

#[test]
fn a_partial_header_needs_more_bytes_and_bytes_behind_a_header_are_left() {
    let block = [CLIENT4, &tlv(0x20, &[1, 0, 0, 0, 0])].concat();
    for header in [
        b"PROXY TCP4 192.0.2.7 10.0.0.1 40000 443\r\n".to_vec(),
        v2(0x21, 0x11, &block),
    ] {
        for cut in 0..header.len() {
            let part = header.get(..cut).expect("a part");
            assert_eq!(parse(part), Ok(None), "{cut} bytes");
        }
        let whole = parse(&header);
        for behind in [&b"G"[..], b"\r\n", b"PROXY TCP4", b"\0\0\0"] {
            assert_eq!(parse(&[&header, behind].concat()), whole);
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_are_parsed_beyond_their_end(
        start in prop::sample::select(vec![&b""[..], b"PROXY TCP", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"]),
        rest in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let bytes = [start, &rest].concat();
        if let Ok(Some((_, length))) = parse(&bytes) {
            let header = bytes.get(..length);
            prop_assert!(header.is_some());
            prop_assert_eq!(parse(header.unwrap_or_default()), parse(&bytes));
        }
    }
}
