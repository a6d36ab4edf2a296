//! The file of manifests: what was written is read, and what was changed is noticed.

use std::borrow::Cow;

use crate::{
    input::Input,
    learn::{Content, FileError, KeyHasher, Saved, SavedDivision, decode, encode},
};

/// Reads a file as it is, one whose checksum fits its content, or one that was written and changed.
pub fn manifests(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.number() % 3 {
        0 => drop(read(input.rest())),
        1 => drop(read(&finished(input.rest()))),
        _ => write(&mut input),
    }
}

/// A whole file with this content.
fn finished(content: &[u8]) -> Vec<u8> {
    let content = content.trim_ascii();
    let mut sum = crc32fast::Hasher::new();
    sum.update(&3_u32.to_be_bytes());
    sum.update(content);
    let start = format!("{{\"linkpush-manifests\":3,\"crc32\":{},\"content\":", sum.finalize());
    [start.as_bytes(), content, b"}"].concat()
}

fn encoded(content: &Content<'_>) -> String {
    encode(&KeyHasher::new(content.secret), content.documents.clone()).expect("a text")
}

/// What is read is written, and read again, the same.
fn read(bytes: &[u8]) -> Option<Content<'static>> {
    match decode(bytes) {
        Ok(content) => {
            assert_eq!(decode(encoded(&content).as_bytes()).as_ref(), Ok(&content));
            Some(content)
        }
        Err(FileError::Foreign) => None,
        Err(FileError::Version { found }) => {
            assert!(!(2..=3).contains(&found));
            None
        }
        Err(FileError::Damaged) => {
            assert!(bytes.starts_with(b"{\"linkpush-manifests\":"));
            None
        }
    }
}

/// Writes documents with any links, reads them, and reads them cut and changed.
fn write(input: &mut Input<'_>) {
    let (at, flip) = (input.large(), input.number().max(1));
    let named = |number: usize| {
        let document = format!("{{\"key\":{number},\"last_seen\":0,\"links\":[]}}");
        let body = format!("{{\"secret\":[0,0],\"documents\":[{document}]}}");
        let content = decode(&finished(body.as_bytes())).expect("a whole file");
        content.documents[0].clone()
    };
    let mut documents = Vec::new();
    while let Some(number) = input.byte() {
        let text = |piece: &[u8]| Cow::<str>::from(String::from_utf8_lossy(piece).into_owned());
        let links = (0..number % 4).map(|_| text(input.piece())).collect();
        let csp = (number % 3 == 0).then(|| text(input.piece()));
        let division = (number % 5 == 0).then(|| SavedDivision {
            fields: vec![text(input.piece())],
            parameters: vec![text(input.piece())],
            variants: vec![named(number.into()).key],
        });
        documents.push(Saved {
            last_seen: u64::from(number) << 40,
            links,
            page_csp: csp.clone().filter(|_| number % 2 == 0),
            csp,
            division,
            ..named(number.into())
        });
    }
    let hasher = KeyHasher::new((at as u64, u64::MAX));
    let text = encode(&hasher, documents.clone()).expect("a text");
    let content = read(text.as_bytes()).expect("what was written");
    assert_eq!(content.secret, (at as u64, u64::MAX));
    assert_eq!(content.documents.len(), documents.len());
    for (saved, written) in content.documents.iter().zip(&documents) {
        let lines = written.links.iter().filter(|link| !link.contains(['\n', '\r']));
        let expected = Saved {
            links: lines.cloned().collect(),
            ..written.clone()
        };
        assert_eq!(*saved, expected, "all links that are lines, and the rest as it was");
    }
    let at = at % text.len();
    assert!(decode(&text.as_bytes()[..at]).is_err(), "a cut is noticed");
    let mut changed = text.clone().into_bytes();
    changed[at] ^= u8::try_from(flip).expect("one byte");
    if let Ok(other) = decode(&changed) {
        assert_eq!(other, content, "a change that says something else is noticed");
    }
}
