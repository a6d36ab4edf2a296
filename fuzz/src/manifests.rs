//! The file of manifests: what was written is read, and what was changed is noticed.

use crate::{
    input::Input,
    learn::{Content, FileError, KeyHasher, decode, encode},
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
    let start = format!(
        "{{\"linkpush-manifests\":2,\"crc32\":{},\"content\":",
        crc32fast::hash(content)
    );
    [start.as_bytes(), content, b"}"].concat()
}

fn encoded(content: &Content<'_>) -> String {
    let documents = content.documents.iter().map(|saved| {
        (
            saved.key,
            saved.last_seen,
            saved.links.iter().map(|link| link.as_bytes()).collect::<Vec<_>>(),
        )
    });
    encode(&KeyHasher::new(content.secret), &documents.collect::<Vec<_>>()).expect("a text")
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
            assert_ne!(found, 2);
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
    let key = |number: usize| {
        let document = format!("{{\"key\":{number},\"last_seen\":0,\"links\":[]}}");
        let body = format!("{{\"secret\":[0,0],\"documents\":[{document}]}}");
        let content = decode(&finished(body.as_bytes())).expect("a whole file");
        content.documents[0].key
    };
    let mut documents = Vec::new();
    while let Some(number) = input.byte() {
        let links: Vec<&[u8]> = (0..number % 4).map(|_| input.piece()).collect();
        documents.push((key(number.into()), u64::from(number) << 40, links));
    }
    let hasher = KeyHasher::new((at as u64, u64::MAX));
    let text = encode(&hasher, &documents).expect("a text");
    let content = read(text.as_bytes()).expect("what was written");
    assert_eq!(content.secret, (at as u64, u64::MAX));
    assert_eq!(content.documents.len(), documents.len());
    for (saved, (key, last_seen, links)) in content.documents.iter().zip(&documents) {
        assert_eq!((&saved.key, &saved.last_seen), (key, last_seen));
        let lines = links
            .iter()
            .filter_map(|link| std::str::from_utf8(link).ok())
            .filter(|link| !link.contains(['\n', '\r']));
        assert!(saved.links.iter().eq(lines), "all links that are lines");
    }
    let at = at % text.len();
    assert!(decode(&text.as_bytes()[..at]).is_err(), "a cut is noticed");
    let mut changed = text.clone().into_bytes();
    changed[at] ^= u8::try_from(flip).expect("one byte");
    if let Ok(other) = decode(&changed) {
        assert_eq!(other, content, "a change that says something else is noticed");
    }
}
