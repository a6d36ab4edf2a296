//! Readers get every byte in order, or an error; never less.

use std::time::SystemTime;

use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1000;

fn fill(total: usize) -> Arc<Fill> {
    let response = ResponseHeader::build(200, None).expect("a header");
    let now = SystemTime::UNIX_EPOCH;
    let head = Head::of(&CacheMeta::new(now, now, 0, 0, response), "http://h/", "app");
    let budget = Arc::new(Budget::new(total, LIMIT));
    Arc::new(Fill::new(1, head, Begun::default(), budget))
}

/// What can be read at once, and what stopped it: the end, an error, or nothing more yet.
fn read_all(reader: &Reader) -> (Vec<u8>, Option<Result<(), FillError>>) {
    let mut read = Vec::new();
    loop {
        match reader.read_now() {
            Some(Ok(Some(piece))) => read.extend_from_slice(&piece),
            Some(Ok(None)) => return (read, Some(Ok(()))),
            Some(Err(e)) => return (read, Some(Err(e))),
            None => return (read, None),
        }
    }
}

#[test]
fn readers_follow_from_the_beginning_whenever_they_come() {
    let fill = fill(LIMIT);
    let early = fill.reader().expect("kept");
    fill.write(Bytes::from_static(b"one ")).expect("kept");
    assert_eq!(read_all(&early), (b"one ".to_vec(), None));
    let late = fill.reader().expect("kept");
    fill.write(Bytes::from_static(b"two")).expect("kept");
    let body = fill.whole().expect("kept");
    assert_eq!(body.pieces(), ["one two"]);
    fill.complete();
    fill.abort();
    assert_eq!(read_all(&early), (b"two".to_vec(), Some(Ok(()))));
    assert_eq!(read_all(&late), (b"one two".to_vec(), Some(Ok(()))));
}

#[test]
fn what_breaks_off_is_an_error_to_everybody() {
    let fill = fill(LIMIT);
    let reader = fill.reader().expect("kept");
    fill.write(Bytes::from_static(b"one ")).expect("kept");
    fill.abort();
    assert_eq!(read_all(&reader), (Vec::new(), Some(Err(FillError::Aborted))));
    assert!(fill.reader().is_none());
    assert!(fill.whole().is_none());
}

#[tokio::test]
async fn a_reader_is_woken_by_bytes_and_by_the_end() {
    let fill = fill(LIMIT);
    let reader = fill.reader().expect("kept");
    let reading = tokio::spawn(async move { (reader.read().await, reader.read().await) });
    tokio::task::yield_now().await;
    fill.write(Bytes::from_static(b"one")).expect("kept");
    tokio::task::yield_now().await;
    fill.complete();
    let (first, second) = reading.await.expect("no panic");
    assert_eq!(first, Ok(Some(Bytes::from_static(b"one"))));
    assert_eq!(second, Ok(None));
}

#[test]
fn what_is_too_large_is_passed_on_and_not_held() {
    let fill = fill(1 << 30);
    let reader = fill.reader().expect("kept");
    let mut expected = Vec::new();
    let mut read = Vec::new();
    for n in (0..=255_u8).cycle().take(1000) {
        let piece = vec![n; 600];
        expected.extend_from_slice(&piece);
        fill.write(piece.into()).expect("a reader");
        if n % 3 == 0 {
            read.extend(read_all(&reader).0);
        }
        assert!(fill.budget.held() <= LIMIT + 4 * 600, "{} held", fill.budget.held());
    }
    assert!(fill.reader().is_none(), "its beginning is gone");
    assert!(fill.whole().is_none());
    fill.complete();
    let (rest, end) = read_all(&reader);
    read.extend(rest);
    assert_eq!(end, Some(Ok(())));
    assert!(read == expected);
    assert!(fill.reader().is_none(), "it stays gone");
}

#[test]
fn who_falls_behind_what_is_not_held_gets_an_error_and_no_gap() {
    let fill = fill(1 << 30);
    let (quick, slow) = (fill.reader().expect("kept"), fill.reader().expect("kept"));
    let piece = Bytes::from(vec![0; MOST_BEHIND / 4]);
    for _ in 0..8 {
        fill.write(piece.clone()).expect("a reader");
        read_all(&quick);
    }
    assert!(fill.budget.held() <= MOST_BEHIND);
    assert_eq!(read_all(&slow), (Vec::new(), Some(Err(FillError::TooSlow))));
    fill.complete();
    assert_eq!(read_all(&quick).1, Some(Ok(())));
}

#[test]
fn what_nobody_reads_and_nobody_keeps_is_given_up() {
    let fill = fill(1 << 30);
    drop(fill.reader());
    fill.write(Bytes::from(vec![0; LIMIT])).expect("kept");
    assert_eq!(fill.write(Bytes::from_static(b"x")), Err(FillError::NoReader));
}

#[test]
fn without_memory_nothing_more_is_kept() {
    let fill = fill(10);
    let reader = fill.reader().expect("kept");
    fill.write(Bytes::from_static(b"0123456789")).expect("kept");
    assert!(fill.whole().is_some());
    fill.write(Bytes::from_static(b"x")).expect("a reader");
    assert!(fill.whole().is_none());
    fill.complete();
    assert_eq!(read_all(&reader), (b"0123456789x".to_vec(), Some(Ok(()))));
    let budget = Arc::clone(&fill.budget);
    drop((fill, reader));
    assert_eq!(budget.held(), 0);
}

/// One step of a fill.
#[derive(Debug, Clone, Copy)]
enum Act {
    Write(usize),
    Join,
    Read(usize),
    Leave(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1_usize..300).prop_map(Act::Write),
        1 => Just(Act::Join),
        4 => (0_usize..6).prop_map(Act::Read),
        1 => (0_usize..6).prop_map(Act::Leave),
    ]
}

proptest! {
    #[test]
    fn whoever_comes_to_the_end_has_read_everything(acts in proptest::collection::vec(act(), 0..60), completes in any::<bool>()) {
        let fill = fill(usize::MAX / 2);
        let mut written = Vec::new();
        let mut readers: Vec<(Reader, Vec<u8>)> = Vec::new();
        for act in acts {
            match act {
                Act::Write(length) => {
                    let piece: Vec<u8> = (0..=250).cycle().skip(written.len() % 251).take(length).collect();
                    if fill.write(Bytes::from(piece.clone())).is_err() {
                        prop_assert!(readers.is_empty());
                    }
                    written.extend(piece);
                }
                Act::Join => readers.extend(fill.reader().map(|reader| (reader, Vec::new()))),
                Act::Read(n) => if let Some((reader, read)) = readers.get_mut(n) {
                    read.extend(read_all(reader).0);
                },
                Act::Leave(n) => if n < readers.len() {
                    drop(readers.swap_remove(n));
                },
            }
        }
        if completes {
            fill.complete();
        } else {
            fill.abort();
        }
        for (reader, mut read) in readers {
            let (rest, end) = read_all(&reader);
            read.extend(rest);
            prop_assert_eq!(end, Some(if completes { Ok(()) } else { Err(FillError::Aborted) }));
            prop_assert!(written.starts_with(&read));
            prop_assert!(!completes || read.len() == written.len());
        }
    }
}
