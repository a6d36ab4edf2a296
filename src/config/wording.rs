//! Writes parts of problems: lists of allowed values, and the word that was probably meant. Pure.

/// Lists words: `a`, `a or b`, `a, b or c`.
pub(super) fn one_of(words: &[&str]) -> String {
    match words {
        [] => "none is known".to_owned(),
        [only] => (*only).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Returns the question for the nearest word, or an empty text.
pub(super) fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!(" (did you mean {word}?)"))
}

/// Returns the known word that a text is most likely a misspelling of: at most a third of the word differs.
pub(super) fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    if text.len() > 64 {
        return None;
    }
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let text = plain(text);
    words
        .iter()
        .take(MOST_COMPARED)
        .map(|word| (strsim::osa_distance(&text, &plain(word)), *word))
        .filter(|(distance, word)| distance * 3 <= word.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Largest number of words that are compared. A file of 1 MiB may define 20,000 upstreams and misspell them in 20,000
/// routes, whose comparison would take minutes.
const MOST_COMPARED: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_word_that_was_meant() {
        let words = ["max_promises", "max_hints", "as", "off", "my-app"];
        for (slip, meant) in [
            ("max_promisses", Some("max_promises")),
            ("Max-Hints", Some("max_hints")),
            ("of", Some("off")),
            ("my-ap", Some("my-app")),
            ("max_pushes", None),
            ("a", None),
            ("threads", None),
            ("", None),
        ] {
            assert_eq!(nearest(slip, &words), meant, "{slip}");
        }
    }

    #[test]
    fn alternatives_read_as_a_sentence() {
        assert_eq!(one_of(&["a"]), "a");
        assert_eq!(one_of(&["a", "b"]), "a or b");
        assert_eq!(one_of(&["a", "b", "c"]), "a, b or c");
    }
}
