//! One spelling for each link, so that two ways to write a link are not two links.

use super::parse::{Link, parameters};

/// The parameters that say how a link is delivered in one response only: a nonce is good for that one (CSP Level 3, section
/// 7.1), so it is no part of what the link is.
const OF_ONE_RESPONSE: [&[u8]; 1] = [b"nonce"];

/// Writes a link anew: `rel` first, then the others by name, each once, in quotation marks only where it must be.
#[must_use]
pub fn spelling(link: &Link<'_>) -> Vec<u8> {
    let mut found: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (name, value) in parameters(link.raw) {
        let name = name.to_ascii_lowercase();
        let is_known = found.iter().any(|(known, _)| *known == name);
        // Of several the first counts (RFC 8288 section 3.3).
        if name.is_empty() || is_known || OF_ONE_RESPONSE.contains(&&*name) {
            continue;
        }
        let value = if name == b"rel" {
            words(&value)
        } else {
            value.into_owned()
        };
        found.push((name, value));
    }
    found.sort_by(|(one, _), (other, _)| (one != b"rel", one).cmp(&(other != b"rel", other)));
    let mut written = Vec::with_capacity(link.raw.len());
    written.push(b'<');
    written.extend_from_slice(link.target);
    written.push(b'>');
    for (name, value) in found {
        written.extend_from_slice(b"; ");
        written.extend_from_slice(&name);
        // An empty value says no more than none.
        if !value.is_empty() {
            written.push(b'=');
            write_value(&mut written, &value);
        }
    }
    written
}

/// Relation types do not depend on case, nor on how much space is between them.
fn words(list: &[u8]) -> Vec<u8> {
    let words = list
        .split(|b| matches!(b, b' ' | b'\t'))
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(&b' ').to_ascii_lowercase()
}

fn write_value(written: &mut Vec<u8>, value: &[u8]) {
    let is_token = value.iter().all(|&b| is_token(b));
    if is_token {
        written.extend_from_slice(value);
        return;
    }
    written.push(b'"');
    for &byte in value {
        if matches!(byte, b'"' | b'\\') {
            written.push(b'\\');
        }
        written.push(byte);
    }
    written.push(b'"');
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::parse, *};

    fn spelled(field: &str) -> Option<String> {
        let link = parse(field.as_bytes()).next()?.ok()?;
        Some(String::from_utf8_lossy(&spelling(&link)).into_owned())
    }

    #[test]
    fn each_way_to_write_a_link_has_one_spelling() {
        for (written, expected) in [
            ("</a.js>; rel=preload; as=script", "</a.js>; rel=preload; as=script"),
            ("</a.js>;as=script;rel=preload", "</a.js>; rel=preload; as=script"),
            (
                "</a.js> ; AS = \"script\" ; rel=\" Preload \"",
                "</a.js>; rel=preload; as=script",
            ),
            ("< /a.js >; rel=preload;; as=script;", "</a.js>; rel=preload; as=script"),
            (
                "</a.js>; rel=preload; nonce=\"n1\"; as=script",
                "</a.js>; rel=preload; as=script",
            ),
            ("</a.js>; rel=preload; Nonce=n2", "</a.js>; rel=preload"),
            ("</a.js>; rel=preload; nonce", "</a.js>; rel=preload"),
            (
                "</a.css>; rel=\"preload  stylesheet\"; nopush",
                "</a.css>; rel=\"preload stylesheet\"; nopush",
            ),
            (
                "</a>; rel=preload; rel=prefetch; as=style; as=font",
                "</a>; rel=preload; as=style",
            ),
            ("</a>; rel=preload; crossorigin=\"\"", "</a>; rel=preload; crossorigin"),
            ("</a>; rel=preload; crossorigin", "</a>; rel=preload; crossorigin"),
            (
                r#"</a>; rel=preload; title="say \"\\\", then"; as=style"#,
                r#"</a>; rel=preload; as=style; title="say \"\\\", then""#,
            ),
        ] {
            assert_eq!(spelled(written).as_deref(), Some(expected), "{written}");
        }
    }

    proptest! {
        #[test]
        fn a_spelling_is_a_link_with_the_same_spelling(field in "(<[a-z/ ]*>)(; ?[a-zA-Z]{0,6}( ?= ?(\"[^\"\\\\]*\"|[a-z/]*))?){0,6}") {
            if let Some(once) = spelled(&field) {
                prop_assert_eq!(spelled(&once), Some(once));
            }
        }

        #[test]
        fn what_asks_for_delivery_is_kept(field in any::<Vec<u8>>()) {
            for link in parse(&field).flatten() {
                let again = spelling(&link);
                let read = parse(&again).next().expect("a link").expect("a good one");
                prop_assert_eq!(read.target, link.target);
                prop_assert_eq!(read.nopush(), link.nopush());
                prop_assert_eq!(read.destination(), link.destination());
                prop_assert_eq!(read.anchor(), link.anchor());
                prop_assert_eq!(read.has_relation("preload"), link.has_relation("preload"));
            }
        }
    }
}
