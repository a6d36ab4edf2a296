//! Manifests as the content of a file: versioned, checked, readable.
//!
//! ```text
//! linkpush-manifests 1 0123456789abcdef fedcba9876543210
//! 5d41402abc4b2a76b9719d911017c592 1764028800 2
//! </main.css>; rel=preload; as=style
//! </app.js>; rel=preload; as=script
//! end 1 8f3a21c0
//! ```
//!
//! First the version and the secret of the keys (so the file is to be kept private), then each
//! document: its key, the time of its last response, how many links follow. At the end the number of
//! documents and a CRC-32 of all that stands before that line.

use std::fmt::Write as _;

use super::{
    key::{DocumentKey, KeyHasher},
    manifest::Links,
};

/// Why the content of a file is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// It is not a file of manifests at all.
    #[error("it is not a file of manifests")]
    Foreign,
    /// It was written by another version.
    #[error("its version is {found}, this program reads {VERSION}")]
    Version {
        /// The version in it.
        found: String,
    },
    /// It ends too early, or was changed.
    #[error("it is damaged or incomplete")]
    Damaged,
}

/// What stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The secret that its keys were made with.
    pub secret: (u64, u64),
    /// Its documents.
    pub documents: Vec<Saved>,
}

/// One document in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Which it is.
    pub key: DocumentKey,
    /// Seconds since 1970 of its last response.
    pub last_seen: u64,
    /// What is delivered early for it.
    pub links: Vec<Box<[u8]>>,
}

const MAGIC: &str = "linkpush-manifests";
const VERSION: &str = "1";

/// The content of a file with these documents.
#[must_use]
pub fn encode(hasher: &KeyHasher, documents: &[(DocumentKey, u64, Links)]) -> String {
    let (k0, k1) = hasher.secret;
    let mut text = format!("{MAGIC} {VERSION} {k0:016x} {k1:016x}\n");
    for (key, last_seen, links) in documents {
        let lines = links.iter().filter_map(|link| std::str::from_utf8(link).ok());
        let lines: Vec<&str> = lines.filter(|link| !link.contains(['\n', '\r'])).collect();
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:032x} {last_seen} {}", key.0, lines.len());
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
    }
    let sum = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, "end {} {sum:08x}", documents.len());
    text
}

/// Reads what [`encode`] wrote.
///
/// # Errors
///
/// Anything else; nothing of such a file is used.
pub fn decode(bytes: &[u8]) -> Result<Content, FileError> {
    let text = std::str::from_utf8(bytes).map_err(|_| FileError::Foreign)?;
    let head = text.lines().next().unwrap_or_default();
    let mut words = head.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(FileError::Foreign);
    }
    let version = words.next().ok_or(FileError::Damaged)?;
    if version != VERSION {
        return Err(FileError::Version {
            found: version.chars().take(16).collect(),
        });
    }
    whole(text, words).ok_or(FileError::Damaged)
}

fn whole<'t>(text: &'t str, mut secret: impl Iterator<Item = &'t str>) -> Option<Content> {
    // Nothing that is written has one, and a line that ends in one would lose it.
    let body = text.strip_suffix('\n').filter(|body| !body.contains('\r'))?;
    let (body, last) = body.split_at(body.rfind('\n')? + 1);
    let mut end = last.strip_prefix("end ")?.split(' ');
    let count: usize = end.next()?.parse().ok()?;
    let sum = u32::from_str_radix(end.next()?, 16).ok()?;
    if crc32fast::hash(body.as_bytes()) != sum {
        return None;
    }
    let mut number = || u64::from_str_radix(secret.next()?, 16).ok();
    let secret = (number()?, number()?);
    let mut lines = body.lines().skip(1);
    let mut documents = Vec::new();
    while let Some(line) = lines.next() {
        let mut words = line.split(' ');
        let key = u128::from_str_radix(words.next()?, 16).ok()?;
        let last_seen = words.next()?.parse().ok()?;
        let count: usize = words.next()?.parse().ok()?;
        let links: Vec<Box<[u8]>> = lines.by_ref().take(count).map(|link| link.as_bytes().into()).collect();
        if links.len() != count {
            return None;
        }
        documents.push(Saved {
            key: DocumentKey(key),
            last_seen,
            links,
        });
    }
    (documents.len() == count).then_some(Content { secret, documents })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> String {
        let links = |links: &[&str]| links.iter().map(|link| link.as_bytes().into()).collect::<Links>();
        encode(
            &KeyHasher::new((1, u64::MAX)),
            &[
                (
                    DocumentKey(7),
                    1000,
                    links(&["</a.css>; rel=preload", "</b>; rel=preconnect"]),
                ),
                (DocumentKey(u128::MAX), 2000, links(&["end 1 00000000"])),
            ],
        )
    }

    #[test]
    fn what_was_written_is_read() {
        let content = decode(written().as_bytes()).expect("a whole file");
        assert_eq!(content.secret, (1, u64::MAX));
        let [first, second] = &content.documents[..] else {
            unreachable!("{content:?}")
        };
        assert_eq!(
            (first.key, first.last_seen, first.links.len()),
            (DocumentKey(7), 1000, 2)
        );
        assert_eq!(second.links, [b"end 1 00000000"[..].into()]);
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let whole = written();
        for length in 0..whole.len() {
            let cut = whole.as_bytes().get(..length).unwrap_or_default();
            assert!(decode(cut).is_err(), "cut at {length}");
        }
        for at in 0..whole.len() {
            let mut changed = whole.clone().into_bytes();
            changed.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1);
            assert!(decode(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_whole_file_that_nobody_wrote_is_damaged() {
        let finished = |body: &str| format!("{body}end 1 {:08x}\n", crc32fast::hash(body.as_bytes()));
        let good = "linkpush-manifests 1 0 0\n1 2 1\n</a>\n";
        assert!(decode(finished(good).as_bytes()).is_ok());
        for bad in [
            good.replace("2 1", "2 2"),
            good.replace("2 1", "2 18446744073709551615"),
            good.replace("</a>", "</a\r>"),
            good.replace('\n', "\r\n"),
        ] {
            assert_eq!(decode(finished(&bad).as_bytes()), Err(FileError::Damaged), "{bad:?}");
        }
    }

    #[test]
    fn another_version_and_a_foreign_file_are_told_apart() {
        let future = written().replace("manifests 1", "manifests 2");
        assert_eq!(
            decode(future.as_bytes()),
            Err(FileError::Version { found: "2".to_owned() })
        );
        assert_eq!(decode(b""), Err(FileError::Foreign));
        assert_eq!(decode(&[0xff, 0xfe]), Err(FileError::Foreign));
    }
}
