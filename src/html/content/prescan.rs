//! Finds the encoding that a `meta` among the first bytes names (HTML, section 13.2.3.2).

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

/// Returns the encoding that a `meta` names ("prescan a byte stream to determine its encoding").
pub(super) fn prescan(bytes: &[u8]) -> Option<&'static Encoding> {
    let mut rest = bytes;
    while !rest.is_empty() {
        if rest.starts_with(b"<!--") {
            // `<!-->` is a whole comment.
            let end = find(rest.get(2..)?, b"-->")?;
            rest = rest.get(2 + end + 3..)?;
        } else if rest.len() > 5 && starts_with(rest, b"<meta") && rest.get(5).is_some_and(|b| is_gap(*b)) {
            rest = rest.get(5..)?;
            if let Some(encoding) = of_meta(&mut rest)? {
                return Some(encoding);
            }
        } else if is_tag(rest) {
            let end = rest.iter().position(|b| b.is_ascii_whitespace() || *b == b'>')?;
            rest = rest.get(end..)?;
            while attribute(&mut rest)?.is_some() {}
        } else if rest.starts_with(b"<!") || rest.starts_with(b"</") || rest.starts_with(b"<?") {
            let end = rest.iter().position(|b| *b == b'>')?;
            rest = rest.get(end + 1..)?;
        } else {
            rest = rest.get(1..)?;
        }
    }
    None
}

/// Returns whether `rest` begins with `<` or `</` and a letter.
fn is_tag(rest: &[u8]) -> bool {
    let name = rest
        .strip_prefix(b"<")
        .map(|rest| rest.strip_prefix(b"/").unwrap_or(rest));
    name.and_then(<[u8]>::first).is_some_and(u8::is_ascii_alphabetic)
}

/// Returns the encoding that the attributes of one `meta` name; `None` if the bytes end within the tag.
fn of_meta(rest: &mut &[u8]) -> Option<Option<&'static Encoding>> {
    let (mut names, mut is_pragma, mut needs_pragma, mut found) = (Vec::new(), false, None, None);
    while let Some((name, value)) = attribute(rest)? {
        if names.contains(&name) {
            continue;
        }
        match &*name {
            b"http-equiv" => is_pragma |= value == b"content-type",
            b"content" => {
                if let (None, Some(label)) = (found, in_content(&value)) {
                    found = Encoding::for_label(label);
                    needs_pragma = found.map(|_| true).or(needs_pragma);
                }
            }
            b"charset" => {
                found = Encoding::for_label(&value);
                needs_pragma = Some(false);
            }
            _ => {}
        }
        names.push(name);
    }
    let is_meant = needs_pragma.is_some_and(|needs| is_pragma || !needs);
    Some(found.filter(|_| is_meant).map(|encoding| {
        if encoding == UTF_16BE || encoding == UTF_16LE {
            UTF_8
        } else if encoding == X_USER_DEFINED {
            WINDOWS_1252
        } else {
            encoding
        }
    }))
}

/// Returns the label behind `charset=` ("extract a character encoding from a `meta` element").
pub(in crate::html) fn in_content(value: &[u8]) -> Option<&[u8]> {
    let mut rest = value;
    loop {
        let at = rest.windows(7).position(|word| word.eq_ignore_ascii_case(b"charset"))?;
        rest = rest.get(at + 7..)?.trim_ascii_start();
        if let Some(behind) = rest.strip_prefix(b"=") {
            rest = behind.trim_ascii_start();
            break;
        }
    }
    match rest.first()? {
        mark @ (b'"' | b'\'') => {
            let inside = rest.get(1..)?;
            inside.get(..inside.iter().position(|b| b == mark)?)
        }
        _ => rest.split(|b| b.is_ascii_whitespace() || *b == b';').next(),
    }
}

type NameAndValue = (Vec<u8>, Vec<u8>);

/// Takes one attribute, in lower case ("get an attribute"); `Some(None)` at the end of the tag, `None` at the end of
/// the bytes.
fn attribute(rest: &mut &[u8]) -> Option<Option<NameAndValue>> {
    skip(rest, is_gap);
    if peek(rest)? == b'>' {
        take(rest)?;
        return Some(None);
    }
    let (mut name, mut value) = (Vec::new(), Vec::new());
    loop {
        match peek(rest)? {
            b'=' if !name.is_empty() => break,
            b if b.is_ascii_whitespace() => break,
            b'/' | b'>' => return Some(Some((name, value))),
            b => name.push(b.to_ascii_lowercase()),
        }
        take(rest)?;
    }
    skip(rest, |b| b.is_ascii_whitespace());
    if peek(rest)? != b'=' {
        return Some(Some((name, value)));
    }
    take(rest)?;
    skip(rest, |b| b.is_ascii_whitespace());
    match peek(rest)? {
        mark @ (b'"' | b'\'') => {
            take(rest)?;
            loop {
                match take(rest)? {
                    b if b == mark => return Some(Some((name, value))),
                    b => value.push(b.to_ascii_lowercase()),
                }
            }
        }
        _ => {
            while !matches!(peek(rest)?, b'>') && !peek(rest)?.is_ascii_whitespace() {
                value.push(take(rest)?.to_ascii_lowercase());
            }
            Some(Some((name, value)))
        }
    }
}

fn peek(rest: &[u8]) -> Option<u8> {
    rest.first().copied()
}

fn take(rest: &mut &[u8]) -> Option<u8> {
    let (first, behind) = rest.split_first()?;
    *rest = behind;
    Some(*first)
}

fn skip(rest: &mut &[u8], is_skipped: impl Fn(u8) -> bool) {
    let end = rest.iter().position(|b| !is_skipped(*b)).unwrap_or(rest.len());
    *rest = rest.get(end..).unwrap_or_default();
}

fn is_gap(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'/'
}

fn starts_with(text: &[u8], lower: &[u8]) -> bool {
    text.get(..lower.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(lower))
}

fn find(text: &[u8], word: &[u8]) -> Option<usize> {
    text.windows(word.len()).position(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meta_is_found_as_the_standard_says() {
        let table = [
            ("<meta charset=utf-8>", Some("UTF-8")),
            ("<META CHARSET='UTF-8'/>", Some("UTF-8")),
            ("<meta/charset = \"shift_jis\" >", Some("Shift_JIS")),
            ("<meta charset=utf-16>", Some("UTF-8")),
            ("<meta charset=x-user-defined>", Some("windows-1252")),
            ("<meta charset=nonsense><meta charset=gbk>", Some("GBK")),
            ("<meta charset=utf-8", None),
            ("<metal charset=utf-8>", None),
            ("<!-- <meta charset=utf-8> --><meta charset=big5>", Some("Big5")),
            ("<!--><meta charset=utf-8>-->", Some("UTF-8")),
            ("<title><meta charset=utf-8>", Some("UTF-8")),
            ("<p title='<meta charset=utf-8>'>", None),
            ("</p title='>'><meta charset=utf-8>", Some("UTF-8")),
            ("<?xml x='<meta charset=utf-8>'?>", None),
            (
                "<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>",
                Some("KOI8-R"),
            ),
            (
                "<meta content='text/html; charset=\"koi8-r\"' http-equiv=content-type>",
                Some("KOI8-R"),
            ),
            ("<meta content='text/html; charset=koi8-r'>", None),
            ("<meta http-equiv=refresh content='charset=koi8-r'>", None),
            (
                "<meta http-equiv=content-type content='charset charset = \"utf-8'>",
                None,
            ),
            ("<meta charset=utf-8 charset=gbk>", Some("UTF-8")),
        ];
        for (html, expected) in table {
            assert_eq!(prescan(html.as_bytes()).map(Encoding::name), expected, "{html}");
        }
    }
}
