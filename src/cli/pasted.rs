//! Finds what is meant in a text that was pasted where a URL or a field's value is expected. Pure.

/// Returns the first http or https URL of a text, such as a URL, `Link: <https://…>; rel=preload`, or a line of a log.
/// A text without one is returned as it stands.
///
/// # Errors
///
/// In words: the text has a relative URL in angle brackets.
pub(super) fn url_in(text: &str) -> Result<&str, String> {
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    let schemes = ["http://", "https://"].into_iter();
    let begins = schemes.filter_map(|scheme| lower.find(scheme)).min();
    match begins {
        Some(0) if !text.contains(is_end) => Ok(text),
        Some(begins) => {
            let found = text.get(begins..).unwrap_or_default();
            let found = found.split(is_end).next().unwrap_or_default();
            Ok(found.trim_end_matches(is_punctuation))
        }
        None => match text.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
            Some((target, _)) => Err(format!(
                "<{target}> is relative: a whole URL is needed, such as https://shop.example{}",
                if target.starts_with('/') { target } else { "/" }
            )),
            None => Ok(text),
        },
    }
}

/// Takes `Link:` away from the start of a pasted field line.
pub(super) fn link_value(line: &[u8]) -> &[u8] {
    let trimmed = line.trim_ascii_start();
    match trimmed.split_at_checked(NAME.len()) {
        Some((name, value)) if name.eq_ignore_ascii_case(NAME) => value.trim_ascii_start(),
        _ => line,
    }
}

const NAME: &[u8] = b"link:";

/// Returns whether a character ends a URL in a text, and cannot stand in one.
fn is_end(character: char) -> bool {
    character.is_whitespace() || character.is_control() || matches!(character, '<' | '>' | '"' | '`' | '\'')
}

/// Returns whether a character behind a URL belongs to the sentence around it.
fn is_punctuation(character: char) -> bool {
    matches!(character, '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_found_in_what_stands_around_it() {
        for (text, expected) in [
            ("https://shop.example/a?b=1;c#d", "https://shop.example/a?b=1;c#d"),
            ("  http://127.0.0.1:8080\n", "http://127.0.0.1:8080"),
            (
                "Link: <https://shop.example/main.css>; rel=preload; as=style",
                "https://shop.example/main.css",
            ),
            ("<https://shop.example/>", "https://shop.example/"),
            ("'HTTPS://shop.example/a'", "HTTPS://shop.example/a"),
            (
                "see https://shop.example/a, or https://b.example/",
                "https://shop.example/a",
            ),
            ("(see http://shop.example/a).", "http://shop.example/a"),
            ("< location: https://shop.example/login\r", "https://shop.example/login"),
            ("GET https://shop.example/ 200 route=pages", "https://shop.example/"),
            ("[page](https://shop.example/a)", "https://shop.example/a"),
            ("http://[::1]:8080/", "http://[::1]:8080/"),
        ] {
            assert_eq!(url_in(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_relative_url_cannot_be_meant() {
        for (text, problem) in [
            (
                "Link: </main.css>; rel=preload",
                "</main.css> is relative: a whole URL is needed, such as https://shop.example/main.css",
            ),
            ("<main.css>", "such as https://shop.example/"),
        ] {
            let error = url_in(text).expect_err(text);
            assert!(error.contains(problem), "{text}: {error}");
        }
        for text in ["", "ftp://a/", "shop.example", "http://"] {
            assert_eq!(url_in(text), Ok(text));
        }
    }

    #[test]
    fn the_name_of_a_pasted_field_is_taken_away() {
        for (line, expected) in [
            ("Link: </a>; rel=preload", "</a>; rel=preload"),
            (" link:</a>", "</a>"),
            ("</a>; title=\"link: x\"", "</a>; title=\"link: x\""),
            ("lin", "lin"),
        ] {
            assert_eq!(link_value(line.as_bytes()), expected.as_bytes(), "{line}");
        }
    }
}
