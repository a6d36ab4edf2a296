//! Tests that readers get every byte in order, or an error.

use std::time::SystemTime;

use pingora::http::ResponseHeader;
use pingora_cache::CacheMeta;
use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1000;

/// A fill with its budget and the valve of its origin's connection.
struct Bench {
    fill: Arc<Fill>,
    budget: Arc<FillBudget>,
    valve: Arc<Valve>,
}

impl Bench {
    fn new(total: usize) -> Self {
        let budget = Arc::new(FillBudget::new(total, LIMIT));
        let valve = Arc::new(Valve::default());
        let share = Share::new(&budget, None);
        let fill = Arc::new(Fill::new(1, head(), Begun::default(), share, Some(Arc::clone(&valve))));
        Self { fill, budget, valve }
    }

    fn is_open(&self) -> bool {
        let cx = std::task::Context::from_waker(std::task::Waker::noop());
        self.valve.poll_open(&cx).is_ready()
    }
}

fn fill(total: usize) -> Arc<Fill> {
    Bench::new(total).fill
}

fn head() -> Head {
    let response = ResponseHeader::build(200, None).expect("a header");
    let now = SystemTime::UNIX_EPOCH;
    Head::of(&CacheMeta::new(now, now, 0, 0, response), "http://h/", "app")
}

/// Returns the bytes that can be read now, and the end or error behind them; `None` where more may come.
fn read_all(reader: &mut Reader) -> (Vec<u8>, Option<Result<(), FillError>>) {
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
fn a_reader_starts_at_the_beginning_whenever_it_comes() {
    let fill = fill(LIMIT);
    let mut early = fill.reader().expect("stored");
    fill.write(Bytes::from_static(b"one ")).expect("stored");
    assert_eq!(read_all(&mut early), (b"one ".to_vec(), None));
    let mut late = fill.reader().expect("stored");
    fill.write(Bytes::from_static(b"two")).expect("stored");
    let body = fill.whole().expect("stored");
    assert_eq!(body.pieces(), ["one two"]);
    fill.complete();
    fill.abort();
    assert_eq!(read_all(&mut early), (b"two".to_vec(), Some(Ok(()))));
    assert_eq!(read_all(&mut late), (b"one two".to_vec(), Some(Ok(()))));
}

#[test]
fn an_aborted_fill_is_an_error_to_every_reader() {
    let fill = fill(LIMIT);
    let mut reader = fill.reader().expect("stored");
    fill.write(Bytes::from_static(b"one ")).expect("stored");
    fill.abort();
    assert_eq!(read_all(&mut reader), (Vec::new(), Some(Err(FillError::Aborted))));
    assert!(fill.reader().is_none());
    assert!(fill.whole().is_none());
}

#[tokio::test]
async fn a_reader_is_woken_by_bytes_and_by_the_end() {
    let fill = fill(LIMIT);
    let mut reader = fill.reader().expect("stored");
    let reading = tokio::spawn(async move { (reader.read().await, reader.read().await) });
    tokio::task::yield_now().await;
    fill.write(Bytes::from_static(b"one")).expect("stored");
    tokio::task::yield_now().await;
    fill.complete();
    let (first, second) = reading.await.expect("no panic");
    assert_eq!(first, Ok(Some(Bytes::from_static(b"one"))));
    assert_eq!(second, Ok(None));
}

#[test]
fn content_too_large_to_be_stored_is_passed_on_and_not_held() {
    let bench = Bench::new(1 << 30);
    let fill = &bench.fill;
    let mut reader = fill.own_reader();
    let mut expected = Vec::new();
    let mut read = Vec::new();
    for n in (0..=255_u8).cycle().take(1000) {
        let piece = vec![n; 600];
        expected.extend_from_slice(&piece);
        fill.write(piece.into()).expect("a reader");
        if n % 3 == 0 {
            read.extend(read_all(&mut reader).0);
        }
        assert!(bench.budget.held() <= LIMIT + 4 * 600, "{} held", bench.budget.held());
    }
    assert!(fill.reader().is_none(), "its beginning is gone");
    assert!(fill.whole().is_none());
    fill.complete();
    let (rest, end) = read_all(&mut reader);
    read.extend(rest);
    assert_eq!(end, Some(Ok(())));
    assert!(read == expected);
    assert!(fill.reader().is_none(), "it stays gone");
}

#[test]
fn the_origin_waits_for_the_slowest_reader_of_content_too_large_to_be_stored() {
    let bench = Bench::new(1 << 30);
    let fill = &bench.fill;
    let (mut own, mut slow) = (fill.own_reader(), fill.reader().expect("stored"));
    let piece = Bytes::from(vec![0; MAX_UNREAD / 4]);
    for n in 1..=5 {
        fill.write(piece.clone()).expect("a reader");
        read_all(&mut own);
        assert_eq!(bench.is_open(), n < 5, "{n}");
    }
    // Pieces that were in Pingora's pipe still come.
    fill.write(piece.clone()).expect("a reader");
    assert!(slow.read_now().is_some());
    assert!(!bench.is_open());
    assert!(slow.read_now().is_some());
    assert!(bench.is_open());
    fill.write(piece.clone()).expect("a reader");
    assert!(!bench.is_open());
    drop(slow);
    assert!(bench.is_open(), "a reader that has left is not waited for");
    for _ in 0..5 {
        fill.write(piece.clone()).expect("a reader");
    }
    assert!(!bench.is_open());
    fill.complete();
    assert!(bench.is_open(), "the next request uses the connection");
    let (rest, end) = read_all(&mut own);
    assert_eq!((rest.len(), end), (7 * piece.len(), Some(Ok(()))));
}

#[test]
fn a_client_that_has_left_is_not_waited_for() {
    let bench = Bench::new(1 << 30);
    let fill = &bench.fill;
    let (_own, mut other) = (fill.own_reader(), fill.reader().expect("stored"));
    bench.valve.note_client_left();
    let piece = Bytes::from(vec![0; MAX_UNREAD / 2]);
    for _ in 0..8 {
        fill.write(piece.clone()).expect("a reader");
        assert_eq!(read_all(&mut other).0.len(), piece.len());
        assert!(bench.is_open());
    }
    drop(other);
    assert_eq!(fill.write(piece), Err(FillError::NoReader));
}

#[test]
fn content_that_has_no_reader_and_will_not_be_stored_is_refused() {
    let fill = fill(1 << 30);
    drop(fill.reader());
    fill.write(Bytes::from(vec![0; LIMIT])).expect("stored");
    assert_eq!(fill.write(Bytes::from_static(b"x")), Err(FillError::NoReader));
}

#[test]
fn content_beyond_the_total_budget_is_passed_on_and_not_stored() {
    let Bench { fill, budget, .. } = Bench::new(10);
    let mut reader = fill.own_reader();
    fill.write(Bytes::from_static(b"0123456789")).expect("stored");
    assert!(fill.whole().is_some());
    fill.write(Bytes::from_static(b"x")).expect("a reader");
    assert!(fill.whole().is_none());
    fill.complete();
    assert_eq!(read_all(&mut reader), (b"0123456789x".to_vec(), Some(Ok(()))));
    drop((fill, reader));
    assert_eq!(budget.held(), 0);
}

#[test]
fn a_complete_fill_no_longer_counts_in_the_budget() {
    let Bench { fill, budget, .. } = Bench::new(10);
    let mut slow = fill.own_reader();
    fill.write(Bytes::from_static(b"0123456789")).expect("stored");
    assert!(fill.whole().is_some());
    fill.complete();
    assert_eq!(budget.held(), 0);
    assert_eq!(read_all(&mut slow), (b"0123456789".to_vec(), Some(Ok(()))));
}

/// One step of a fill.
#[derive(Debug, Clone, Copy)]
enum Act {
    Write(usize),
    Join,
    Read(usize),
    /// Reads one piece.
    Nibble(usize),
    Leave(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1_usize..300).prop_map(Act::Write),
        1 => Just(Act::Join),
        2 => (0_usize..6).prop_map(Act::Read),
        4 => (0_usize..6).prop_map(Act::Nibble),
        1 => (0_usize..6).prop_map(Act::Leave),
    ]
}

proptest! {
    #[test]
    fn a_reader_that_reaches_the_end_has_read_everything(
        acts in proptest::collection::vec(act(), 0..60),
        completes in any::<bool>(),
        has_own in any::<bool>(),
    ) {
        let bench = Bench::new(usize::MAX / 2);
        let fill = &bench.fill;
        let mut written = Vec::new();
        let mut readers: Vec<(Reader, Vec<u8>)> = Vec::new();
        if has_own {
            readers.push((fill.own_reader(), Vec::new()));
        }
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
                Act::Nibble(n) => if let Some((reader, read)) = readers.get_mut(n)
                    && let Some(Ok(Some(piece))) = reader.read_now() {
                    read.extend_from_slice(&piece);
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
        prop_assert!(bench.is_open());
        for (mut reader, mut read) in readers {
            let (rest, end) = read_all(&mut reader);
            read.extend(rest);
            prop_assert_eq!(end, Some(if completes { Ok(()) } else { Err(FillError::Aborted) }));
            prop_assert!(written.starts_with(&read));
            prop_assert!(!completes || read.len() == written.len());
        }
    }
}
