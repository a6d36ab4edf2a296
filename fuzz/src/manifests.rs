//! The file of manifests: what was written is read, and what was changed is noticed.

use crate::{
    input::Input,
    learn::{Content, FileError, KeyHasher, Links, decode, encode},
};

/// Reads a file as it is, one whose end fits what stands before it, or one that was written and changed.
pub fn manifests(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.number() % 3 {
        0 => drop(read(input.rest())),
        1 => {
            let body = input.rest();
            let documents = body.iter().filter(|b| **b == b'\n').count();
            for count in 0..documents.min(8) {
                drop(read(&finished(body, count)));
            }
        }
        _ => write(&mut input),
    }
}

/// With the line that ends a whole file.
fn finished(body: &[u8], documents: usize) -> Vec<u8> {
    let end = format!("end {documents} {:08x}\n", crc32fast::hash(body));
    [body, end.as_bytes()].concat()
}

fn encoded(content: &Content) -> String {
    let documents = content
        .documents
        .iter()
        .map(|saved| (saved.key, saved.last_seen, Links::from(&*saved.links)));
    encode(&KeyHasher::new(content.secret), &documents.collect::<Vec<_>>())
}

/// What is read is written, and read again, the same.
fn read(bytes: &[u8]) -> Option<Content> {
    match decode(bytes) {
        Ok(content) => {
            let text = encoded(&content);
            assert_eq!(decode(text.as_bytes()).as_ref(), Ok(&content));
            let lines: usize = content.documents.iter().map(|saved| 1 + saved.links.len()).sum();
            let come = bytes.iter().filter(|b| **b == b'\n').count();
            assert_eq!(
                lines + 2,
                come,
                "every line is a document, a link, the first or the last"
            );
            Some(content)
        }
        Err(FileError::Foreign) => None,
        Err(FileError::Version { found }) => {
            assert_ne!(found, "1");
            None
        }
        Err(FileError::Damaged) => {
            assert!(bytes.starts_with(b"linkpush-manifests"));
            None
        }
    }
}

/// Writes documents with any links, reads them, and reads them cut and changed.
fn write(input: &mut Input<'_>) {
    let (at, flip) = (input.large(), input.number().max(1));
    let key = |number: usize| {
        let body = format!("linkpush-manifests 1 0 0\n{number:x} 0 0\n");
        let content = decode(&finished(body.as_bytes(), 1)).expect("a whole file");
        content.documents[0].key
    };
    let mut documents = Vec::new();
    while let Some(number) = input.byte() {
        let links: Links = (0..number % 4).map(|_| Box::from(input.piece())).collect();
        documents.push((key(number.into()), u64::from(number) << 40, links));
    }
    let hasher = KeyHasher::new((at as u64, u64::MAX));
    let text = encode(&hasher, &documents);
    let content = read(text.as_bytes()).expect("what was written");
    assert_eq!(content.secret, (at as u64, u64::MAX));
    assert_eq!(content.documents.len(), documents.len());
    for (saved, (key, last_seen, links)) in content.documents.iter().zip(&documents) {
        assert_eq!((&saved.key, &saved.last_seen), (key, last_seen));
        let lines = links
            .iter()
            .filter(|link| std::str::from_utf8(link).is_ok() && !link.contains(&b'\n') && !link.contains(&b'\r'));
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
