//! Parses the head of a response, as `curl -I` prints it.

use std::{io::Read as _, path::Path};

use anyhow::{Context as _, bail};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

/// Bytes of a file that are read: far more than a head has.
const MAX_BYTES: u64 = 1024 * 1024;

impl Response {
    /// Reads a head from a file; `-` is the standard input. The final response's head counts, not a 103's before it.
    pub(super) fn read(file: &Path) -> anyhow::Result<Self> {
        let mut text = Vec::new();
        let name = file.display();
        let read = if file == Path::new("-") {
            std::io::stdin().take(MAX_BYTES).read_to_end(&mut text)
        } else {
            std::fs::File::open(file).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text))
        };
        read.with_context(|| format!("--response {name}"))?;
        Self::parse(&text).with_context(|| format!("--response {name}"))
    }

    /// Parses the final response's head; interim responses may come before.
    fn parse(text: &[u8]) -> anyhow::Result<Self> {
        let mut lines = text.split(|&b| b == b'\n').enumerate();
        let (_, first) = lines.next().context("is empty")?;
        let mut response = Self::begin(first.trim_ascii_end()).context("line 1")?;
        while let Some((at, line)) = lines.next() {
            let line = line.trim_ascii_end();
            if line.is_empty() {
                match lines.next() {
                    Some((at, next)) if response.status.is_informational() => {
                        response = Self::begin(next.trim_ascii_end()).with_context(|| format!("line {}", at + 1))?;
                        continue;
                    }
                    _ => break,
                }
            }
            let (name, value): (HeaderName, HeaderValue) = field(line).with_context(|| format!("line {}", at + 1))?;
            response.headers.append(name, value);
        }
        if response.status.is_informational() {
            bail!("no final response behind the {}", response.status.as_u16());
        }
        Ok(response)
    }

    /// Parses a status line.
    fn begin(line: &[u8]) -> anyhow::Result<Self> {
        let wrong = || {
            format!(
                "must be a status line, such as HTTP/1.1 200 OK, got {}",
                line.escape_ascii()
            )
        };
        let mut words = line.split(|&b| b == b' ');
        let version = words.next().unwrap_or_default();
        let status = words.next().and_then(|status| StatusCode::from_bytes(status).ok());
        let status = status.filter(|_| version.starts_with(b"HTTP/")).with_context(wrong)?;
        Ok(Self {
            status,
            headers: HeaderMap::new(),
        })
    }
}

/// Parses a field line.
pub(super) fn field(text: &[u8]) -> anyhow::Result<(HeaderName, HeaderValue)> {
    let wrong = || format!("must be NAME: VALUE, got {}", text.escape_ascii());
    let colon = text.iter().position(|&b| b == b':').with_context(wrong)?;
    let (name, value) = text.split_at(colon);
    let name = HeaderName::from_bytes(name).ok().with_context(wrong)?;
    let value = HeaderValue::from_bytes(value.get(1..).unwrap_or_default().trim_ascii());
    Ok((name, value.ok().with_context(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_curl_prints_it() {
        let read = |text: &str| Response::parse(text.as_bytes()).map_err(|e| format!("{e:#}"));
        let response =
            read("HTTP/2 200 \r\ncache-control: max-age=60\r\nlink: </a>\r\n\r\nbody: none\r\n").expect("a head");
        assert_eq!((response.status, response.headers.len()), (StatusCode::OK, 2));
        let last = read("HTTP/1.1 103 Early Hints\nlink: </a>\n\nHTTP/1.1 404 Not Found\nage: 1\n").expect("a head");
        assert_eq!((last.status, last.headers.len()), (StatusCode::NOT_FOUND, 1));
        for (text, problem) in [
            ("", "line 1: must be a status line, such as HTTP/1.1 200 OK, got "),
            (
                "200 OK",
                "line 1: must be a status line, such as HTTP/1.1 200 OK, got 200 OK",
            ),
            ("HTTP/1.1 103 x\n", "no final response behind the 103"),
            ("HTTP/1.1 200\nnothing\n", "line 2: must be NAME: VALUE, got nothing"),
        ] {
            assert_eq!(read(text), Err(problem.to_owned()), "{text:?}");
        }
    }
}
