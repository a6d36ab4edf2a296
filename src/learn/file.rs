//! Writes and reads the file of manifests: JSON with a version and a checksum.
//!
//! ```json
//! {"linkpush-manifests":3,"crc32":2401313841,"content":{
//!   "secret":[81985529216486895,18364758544493064720],
//!   "documents":[{
//!     "key":123935491713049331417113421098386233746,
//!     "last_seen":1764028800,
//!     "links":["</main.css>; rel=preload; as=style"],
//!     "csp":"script-src 'self'","page_csp":"img-src *"},{
//!     "key":4711,"last_seen":1764028800,"links":[],
//!     "division":{"fields":["accept-language"],"parameters":["p"],"variants":[815]}}]}}
//! ```
//!
//! The file is one line. A truncated file is invalid JSON; the CRC-32 of version and content's text detects a changed byte. The
//! file contains the secret of the keys, so it has to stay private. Version 2 had neither policies nor divisions, and is
//! read. Version 1 was a text of lines, and is refused.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::key::{DocumentKey, KeyHasher};

/// Why the content of a file is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file does not begin like a file of manifests.
    #[error("it is not a file of manifests")]
    Foreign,
    /// Another version wrote the file.
    #[error("its version is {found}, this program reads {OLDEST} to {VERSION}")]
    Version {
        /// The version in the file.
        found: u32,
    },
    /// The file is truncated, or was changed.
    #[error("it is damaged or incomplete")]
    Damaged,
}

/// The content of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content<'l> {
    /// The secret of the keys.
    pub secret: (u64, u64),
    /// The documents.
    pub documents: Vec<Saved<'l>>,
}

/// One document in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved<'l> {
    /// The document.
    pub key: DocumentKey,
    /// Time of the document's last response, in seconds since 1970.
    pub last_seen: u64,
    /// The links that are delivered early, as field values without line breaks.
    pub links: Vec<Cow<'l, str>>,
    /// The Content-Security-Policy of the response's fields, nonces aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csp: Option<Cow<'l, str>>,
    /// The policy of the page's `meta` elements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page_csp: Option<Cow<'l, str>>,
    /// The variants by which the document is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub division: Option<SavedDivision<'l>>,
}

/// The variants of one document in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDivision<'l> {
    /// The request fields that divide the documents.
    pub fields: Vec<Cow<'l, str>>,
    /// The query parameters that do.
    pub parameters: Vec<Cow<'l, str>>,
    /// The variants.
    pub variants: Vec<DocumentKey>,
}

/// The whole file. Only the version is required, so that files of other versions are recognised.
#[derive(Serialize, Deserialize)]
struct File<'t> {
    #[serde(rename = "linkpush-manifests")]
    version: u32,
    crc32: Option<u32>,
    #[serde(borrow)]
    content: Option<&'t RawValue>,
}

const VERSION: u32 = 3;
const OLDEST: u32 = 2;
const START: &[u8] = b"{\"linkpush-manifests\":";
const START_OF_VERSION_1: &[u8] = b"linkpush-manifests 1 ";

/// Writes the content of a file with these documents.
///
/// # Errors
///
/// serde's errors, which do not occur: numbers and texts can always be written.
pub fn encode(hasher: &KeyHasher, mut documents: Vec<Saved<'_>>) -> serde_json::Result<String> {
    for saved in &mut documents {
        saved.links.retain(|link| is_line(link));
    }
    let content = to_raw_value(&Content {
        secret: hasher.secret(),
        documents,
    })?;
    serde_json::to_string(&File {
        version: VERSION,
        crc32: Some(checksum(VERSION, content.get())),
        content: Some(&content),
    })
}

/// Reads what [`encode`] wrote.
///
/// # Errors
///
/// Any other file is refused as a whole: see [`FileError`].
pub fn decode(bytes: &[u8]) -> Result<Content<'static>, FileError> {
    if bytes.starts_with(START_OF_VERSION_1) {
        return Err(FileError::Version { found: 1 });
    }
    if !bytes.starts_with(START) {
        return Err(FileError::Foreign);
    }
    let file: File<'_> = serde_json::from_slice(bytes).map_err(|_| FileError::Damaged)?;
    if !(OLDEST..=VERSION).contains(&file.version) {
        return Err(FileError::Version { found: file.version });
    }
    let text = file.content.ok_or(FileError::Damaged)?.get();
    if file.crc32 != Some(checksum(file.version, text)) {
        return Err(FileError::Damaged);
    }
    let content: Content<'static> = serde_json::from_str(text).map_err(|_| FileError::Damaged)?;
    let mut links = content.documents.iter().flat_map(|saved| &saved.links);
    links
        .all(|link| is_line(link))
        .then_some(content)
        .ok_or(FileError::Damaged)
}

/// Returns the checksum of a content; from version 3 on, it covers the version, too.
fn checksum(version: u32, content: &str) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    if version > 2 {
        hasher.update(&version.to_be_bytes());
    }
    hasher.update(content.as_bytes());
    hasher.finalize()
}

/// Returns whether a link can stand in a field: a line break would end the field.
fn is_line(link: &str) -> bool {
    !link.contains(['\n', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINKS: [&str; 2] = ["</a.css>; rel=preload", "</b>; title=\"\\\"ü\""];

    fn saved(key: u128, last_seen: u64, links: &[&'static str]) -> Saved<'static> {
        Saved {
            key: DocumentKey(key),
            last_seen,
            links: links.iter().map(|link| Cow::from(*link)).collect(),
            csp: None,
            page_csp: None,
            division: None,
        }
    }

    fn written() -> String {
        let first = Saved {
            csp: Some("script-src 'self'".into()),
            page_csp: Some("img-src *".into()),
            ..saved(7, 1000, &LINKS)
        };
        let divided = Saved {
            division: Some(SavedDivision {
                fields: vec!["accept-language".into()],
                parameters: vec!["p".into()],
                variants: vec![DocumentKey(7)],
            }),
            ..saved(8, 3000, &[])
        };
        let documents = vec![first, saved(u128::MAX, 2000, &["</c>", "</d>\nset-cookie: a"]), divided];
        encode(&KeyHasher::new((1, u64::MAX)), documents).expect("a text")
    }

    /// Returns a whole file with this content.
    fn finished(content: &str) -> String {
        finished_as(VERSION, content)
    }

    fn finished_as(version: u32, content: &str) -> String {
        let sum = checksum(version, content);
        format!("{{\"linkpush-manifests\":{version},\"crc32\":{sum},\"content\":{content}}}")
    }

    #[test]
    fn an_encoded_file_is_decoded_without_links_of_two_lines() {
        let content = decode(written().as_bytes()).expect("a whole file");
        assert_eq!(content.secret, (1, u64::MAX));
        let [first, second, divided] = &content.documents[..] else {
            unreachable!("{content:?}")
        };
        assert_eq!((first.key, first.last_seen), (DocumentKey(7), 1000));
        assert_eq!(first.links, LINKS);
        assert_eq!((second.key, second.last_seen), (DocumentKey(u128::MAX), 2000));
        assert_eq!(second.links, ["</c>"]);
        assert_eq!(first.csp.as_deref(), Some("script-src 'self'"));
        assert_eq!(first.page_csp.as_deref(), Some("img-src *"));
        assert_eq!(second.csp, None);
        let division = divided.division.as_ref().expect("a division");
        assert_eq!(
            (&division.fields[..], &division.parameters[..]),
            (&["accept-language".into()][..], &["p".into()][..])
        );
        assert_eq!(division.variants, [DocumentKey(7)]);
    }

    #[test]
    fn a_file_of_the_version_before_is_read() {
        let content = r#"{"secret":[1,2],"documents":[{"key":1,"last_seen":2,"links":["</a>"]}]}"#;
        let old = finished_as(2, content);
        let read = decode(old.as_bytes()).expect("a whole file");
        assert_eq!(read.documents, [saved(1, 2, &["</a>"])]);
        let newer = finished_as(4, content);
        assert_eq!(decode(newer.as_bytes()), Err(FileError::Version { found: 4 }));
    }

    #[test]
    fn every_truncation_and_every_changed_byte_is_detected() {
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
    fn invalid_content_with_a_valid_checksum_is_damaged() {
        let good = r#"{"secret":[0,0],"documents":[{"key":1,"last_seen":2,"links":["</a>"]}]}"#;
        assert!(decode(finished(good).as_bytes()).is_ok());
        for bad in [
            good.replace("[0,0]", "[0]"),
            good.replace("\"key\":1", "\"key\":-1"),
            good.replace("\"last_seen\":2,", ""),
            good.replace("</a>", "</a\\r>"),
            good.replace("</a>", "</a>\\nset-cookie: a"),
            "[]".to_owned(),
        ] {
            assert_eq!(decode(finished(&bad).as_bytes()), Err(FileError::Damaged), "{bad:?}");
        }
        let other_sum = finished(good).replace("\"crc32\":", "\"crc32\":1");
        assert_eq!(decode(other_sum.as_bytes()), Err(FileError::Damaged));
    }

    #[test]
    fn another_version_and_a_foreign_file_are_told_apart() {
        for (other, found) in [
            (
                "linkpush-manifests 1 0000000000000001 0000000000000002\nend 0 1c291ca3\n",
                1,
            ),
            ("{\"linkpush-manifests\":99,\"documents\":{}}", 99),
        ] {
            assert_eq!(decode(other.as_bytes()), Err(FileError::Version { found }));
        }
        for foreign in [&b""[..], &[0xff, 0xfe], b"{}", b"[1]"] {
            assert_eq!(decode(foreign), Err(FileError::Foreign));
        }
    }
}
