//! What `nghttp -nv` prints, checked frame by frame.

use std::collections::{BTreeMap, BTreeSet};

use super::site::{body, targets};

/// A stream as nghttp tells of it.
#[derive(Default, Debug)]
struct Stream {
    path: String,
    status: String,
    bytes: usize,
    ended: bool,
}

/// Checks a session in which these documents were asked for; returns how many pushes it had.
pub fn check(printed: &str, documents: &[String]) -> Result<usize, String> {
    let mut streams: BTreeMap<u32, Stream> = BTreeMap::new();
    let (mut fields, mut named) = (Vec::new(), BTreeSet::new());
    let (mut sending, mut promising, mut last) = (0, 0, 0);
    for line in printed.lines() {
        let Some(event) = line
            .strip_prefix('[')
            .and_then(|line| line.split_once("] "))
            .map(|(_, event)| event)
        else {
            // More of a frame: the request's fields, the promised stream.
            let more = line.trim();
            if let Some(path) = more.strip_prefix(":path: ") {
                streams.entry(sending).or_default().path = path.to_owned();
            } else if let Some((_, id)) = more.split_once("promised_stream_id=") {
                let id: u32 = id.trim_end_matches(')').parse().map_err(|_| line.to_owned())?;
                if !id.is_multiple_of(2) || id <= last {
                    return Err(format!("promise {id} after {last}"));
                }
                last = id;
                let parent = streams.get(&promising);
                if parent.is_none_or(|parent| parent.ended) || promising % 2 == 0 {
                    return Err(format!("promise {id} on {promising}: {parent:?}"));
                }
                let path = field(&fields, ":path").ok_or("a promise without a path")?;
                streams.entry(id).or_default().path = path;
                fields.clear();
            }
            continue;
        };
        if let Some(frame) = event.strip_prefix("send HEADERS frame ") {
            sending = number(frame, "stream_id=");
        } else if let Some((_, one)) = event
            .strip_prefix("recv (stream_id=")
            .and_then(|field| field.split_once(") "))
        {
            fields.push(one.to_owned());
        } else if let Some(frame) = event.strip_prefix("recv PUSH_PROMISE frame ") {
            promising = number(frame, "stream_id=");
        } else if let Some(frame) = event.strip_prefix("recv HEADERS frame ") {
            let id = number(frame, "stream_id=");
            let stream = streams.entry(id).or_default();
            stream.status = field(&fields, ":status").unwrap_or_default();
            stream.ended = number(frame, "flags=0x") & 1 != 0;
            if id % 2 == 1 {
                let link = field(&fields, "link").unwrap_or_default();
                named.extend(targets(&link).into_iter().map(str::to_owned));
            }
            fields.clear();
        } else if let Some(frame) = event.strip_prefix("recv DATA frame ") {
            let stream = streams.entry(number(frame, "stream_id=")).or_default();
            stream.bytes += number(frame, "length=") as usize;
            stream.ended = number(frame, "flags=0x") & 1 != 0;
        } else if event.contains("GOAWAY") && !event.starts_with("send GOAWAY") || event.starts_with("recv RST_STREAM")
        {
            return Err(event.to_owned());
        }
    }
    for (id, stream) in &streams {
        let expected = body(&stream.path).len();
        if (stream.status.as_str(), stream.bytes, stream.ended) != ("200", expected, true) {
            return Err(format!("stream {id}: {stream:?}, {expected} bytes"));
        }
    }
    let paths = |odd: bool| -> Vec<&str> {
        let of = streams.iter().filter(|(id, _)| (*id % 2 == 1) == odd);
        let mut paths: Vec<&str> = of.map(|(_, stream)| stream.path.as_str()).collect();
        paths.sort_unstable();
        paths
    };
    let (asked, promised) = (paths(true), paths(false));
    if asked.len() != documents.len() {
        return Err(format!("asked for {documents:?}, got {asked:?}"));
    }
    if !promised.iter().copied().eq(named.iter().map(String::as_str)) {
        let missing: Vec<_> = named.iter().filter(|path| !promised.contains(&path.as_str())).collect();
        let more: Vec<_> = promised.iter().filter(|path| !named.contains(**path)).collect();
        return Err(format!(
            "named, not promised: {missing:?}; promised, not named or twice: {more:?} of {promised:?}"
        ));
    }
    Ok(promised.len())
}

fn field(fields: &[String], name: &str) -> Option<String> {
    let value = |field: &String| field.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned);
    fields.iter().find_map(value)
}

/// A number behind a word such as `length=`; nghttp prints flags in hexadecimal.
fn number(frame: &str, word: &str) -> u32 {
    let at = frame.find(word).map_or("", |at| &frame[at + word.len()..]);
    let end = at.find([',', '>', ')']).unwrap_or(at.len());
    let radix = if word.ends_with('x') { 16 } else { 10 };
    u32::from_str_radix(&at[..end], radix).unwrap_or(0)
}
