//! The table of hostile requests, `tests/data/hostile_requests.txt`: its beginning tells how it is written.

/// A request, or what is sent in the place of one.
#[derive(Debug)]
pub struct Case {
    pub group: String,
    pub name: String,
    /// How many requests of it an origin may see at most.
    pub most: usize,
    pub bytes: Vec<u8>,
}

/// All cases, in the order of the table.
pub fn cases() -> Vec<Case> {
    read(include_str!("../../data/hostile_requests.txt"))
}

fn read(table: &str) -> Vec<Case> {
    let mut group = None;
    let mut cases: Vec<Case> = Vec::new();
    let mut in_case = false;
    for line in table.lines() {
        if line.is_empty() {
            in_case = false;
        } else if in_case {
            let case = cases.last_mut().expect("a case has begun");
            case.bytes.extend(unescaped(line));
        } else if let Some(name) = line.strip_prefix("# ") {
            group = Some(name.to_owned());
        } else if let Some(group) = &group {
            let begun = line.strip_prefix('[').and_then(|line| line.split_once("] "));
            let (most, name) = begun.unwrap_or_else(|| panic!("no case begins with {line:?}"));
            cases.push(Case {
                group: group.clone(),
                name: name.to_owned(),
                most: most.parse().expect("a number of requests"),
                bytes: Vec::new(),
            });
            in_case = true;
        }
    }
    cases
}

/// The bytes that a line of the table stands for.
fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let after = &rest[first.len_utf8()..];
        match first {
            '\\' => {
                let (byte, length) = escaped(after);
                bytes.push(byte);
                rest = &after[length..];
            }
            '{' => match repeated(after) {
                Some((part, after)) => {
                    bytes.extend(part);
                    rest = after;
                }
                None => {
                    bytes.push(b'{');
                    rest = after;
                }
            },
            _ => {
                bytes.extend_from_slice(&rest.as_bytes()[..first.len_utf8()]);
                rest = after;
            }
        }
    }
    bytes
}

/// The byte that begins behind a backslash, and how many characters say it.
fn escaped(text: &str) -> (u8, usize) {
    match text.as_bytes().first() {
        Some(b'r') => (b'\r', 1),
        Some(b'n') => (b'\n', 1),
        Some(b't') => (b'\t', 1),
        Some(b'0') => (0, 1),
        Some(b'\\') => (b'\\', 1),
        Some(b'x') => (u8::from_str_radix(&text[1..3], 16).expect("hexadecimal"), 3),
        _ => panic!("nothing is written as \\{text}"),
    }
}

/// Bytes that come many times, and what follows them.
fn repeated(text: &str) -> Option<(Vec<u8>, &str)> {
    let (count, rest) = text.split_once('*')?;
    let count: usize = count.parse().ok()?;
    let (part, after) = rest.split_once('}')?;
    Some((unescaped(part).repeat(count), after))
}

#[test]
fn the_table_is_read_as_it_says() {
    let cases = read(
        "; a comment\n\n# Group\n\n[0] one\nGET /\\x20\\0\\\\{ HTTP/1.1\\r\\n\n\\r\\n\n\n[2] two\n{3*a\\n}b{1}\n\n# Other\n[1] x\n[0] y\n",
    );
    let told: Vec<_> = cases
        .iter()
        .map(|case| (&*case.group, &*case.name, case.most, &*case.bytes))
        .collect();
    assert_eq!(
        told,
        [
            ("Group", "one", 0, &b"GET / \0\\{ HTTP/1.1\r\n\r\n"[..]),
            ("Group", "two", 2, b"a\na\na\nb{1}"),
            ("Other", "x", 1, b"[0] y"),
        ]
    );
}
