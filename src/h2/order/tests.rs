//! The order, without a connection: patience is given, so that no test depends on the time it takes.

use super::{lane::Waiting, *};
use crate::push::Destination;

/// For what must not depend on the time that a test takes.
const LONG: Patience = Patience {
    quiet: Duration::from_secs(3600),
    stalled: Duration::from_secs(7200),
};

fn rank(destination: Destination, stream: u32) -> Rank {
    Rank::new(Urgency::of(Some(destination), None), stream)
}

#[test]
fn a_push_waits_for_the_document_to_end() {
    let order = SendOrder::new(LONG);
    let push = order.open_push(rank(Destination::Style, 2));
    assert!(push.may_send());
    let document = order.open_document(Urgency::default());
    assert!(!push.may_send());
    assert!(document.may_send());
    drop(document);
    assert!(push.may_send());
}

#[test]
fn a_less_urgent_document_waits_for_a_more_urgent_one() {
    let order = SendOrder::new(LONG);
    let urgency = |n: u8| Urgency::asked(format!("u={n}").as_bytes()).expect("an urgency");
    let mut page = order.open_document(urgency(0));
    let image = order.open_document(urgency(5));
    let other = order.open_document(urgency(5));
    let push = order.open_push(rank(Destination::Style, 2));
    assert_eq!(
        [&page, &image, &other, &push].map(Lane::may_send),
        [true, false, false, false]
    );
    page.ask(urgency(7));
    assert_eq!(
        [&page, &image, &other, &push].map(Lane::may_send),
        [false, true, true, false]
    );
    drop((image, other));
    assert_eq!([&page, &push].map(Lane::may_send), [true, false]);
}

#[test]
fn what_the_client_asks_for_is_kept_until_it_is_looked_for() {
    let order = SendOrder::new(LONG);
    let urgency = Urgency::asked(b"u=1").expect("an urgency");
    for stream in 0..100 {
        order.ask(stream, urgency);
    }
    assert_eq!(order.asked_of(1), None, "the oldest are forgotten");
    assert_eq!(order.asked_of(99), Some(urgency));
    assert_eq!(order.asked_of(99), None);
    assert_eq!(order.asked().len(), MAX_ASKED - 1);
}

#[test]
fn a_document_counts_until_its_end_is_sent() {
    let order = SendOrder::new(LONG);
    let promised = order.promise();
    let push = order.open_push(rank(Destination::Style, 2));
    order.open_document(Urgency::default()).end(1);
    assert!(!push.may_send(), "the end waits in a queue");
    order.ended(3);
    assert!(!push.may_send(), "that was another stream");
    order.ended(1);
    assert!(push.may_send());
    drop(promised);
}

#[test]
fn without_promises_nothing_is_kept() {
    let order = SendOrder::new(LONG);
    order.open_document(Urgency::default()).end(1);
    assert!(order.documents.are_none_before(None));
    assert!(order.ending().is_empty());
}

#[test]
fn pushes_go_one_after_another_by_urgency() {
    let order = SendOrder::new(LONG);
    let image = order.open_push(rank(Destination::Image, 2));
    let second = order.open_push(rank(Destination::Style, 6));
    let first = order.open_push(rank(Destination::Style, 4));
    assert_eq!([&first, &second, &image].map(Lane::may_send), [true, false, false]);
    drop(first);
    assert_eq!([&second, &image].map(Lane::may_send), [true, false]);
    drop(second);
    assert!(image.may_send());
}

#[tokio::test(start_paused = false)]
async fn a_waiting_push_is_woken_when_the_document_ends() {
    let order = SendOrder::new(LONG);
    let push = order.open_push(rank(Destination::Style, 2));
    let document = order.open_document(Urgency::default());
    let waiting = tokio::spawn(async move { push.turn().await });
    while order.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(document);
    tokio::time::timeout(Duration::from_secs(5), waiting)
        .await
        .expect("woken within the deadline")
        .expect("no panic");
}

#[test]
fn a_push_that_waits_for_its_turn_holds_back_those_behind_it() {
    let order = SendOrder::new(LONG);
    let image = rank(Destination::Image, 2);
    let _image = order.open_push(image);
    let script_rank = rank(Destination::Script, 4);
    let script = order.open_push(script_rank);
    let later = order.now() + LONG.quiet;
    assert_eq!(
        order.wait_at(later, LaneKind::Push(image)),
        None,
        "the script has been quiet"
    );
    let waiting = Waiting::new(&script, LaneKind::Push(script_rank));
    assert!(
        order.wait_at(later, LaneKind::Push(image)).is_some(),
        "the script has bytes"
    );
    drop(waiting);
    assert!(order.wait_of(LaneKind::Push(image)).is_some(), "the script sends");
}

#[test]
fn a_push_waits_until_what_was_handed_over_before_is_on_its_way() {
    let order = SendOrder::new(LONG);
    let (first, second) = (rank(Destination::Style, 2), rank(Destination::Style, 4));
    let promised = order.promise();
    let mut sending = order.open_push(first);
    let _behind = order.open_push(second);
    sending.queue(MAX_QUEUED);
    assert!(
        order.wait_of(LaneKind::Push(first)).is_some(),
        "its own bytes wait in the queue"
    );
    order.pushed(2, MAX_QUEUED / 2);
    assert_eq!(order.wait_of(LaneKind::Push(first)), None);
    sending.end(2);
    assert_eq!(
        order.wait_of(LaneKind::Push(second)),
        None,
        "the end of the first is before it in the queue"
    );
    drop(promised);
}

#[tokio::test]
async fn a_quiet_document_holds_nothing_back_for_long() {
    let order = SendOrder::new(Patience::default());
    let push = order.open_push(rank(Destination::Style, 2));
    let _document = order.open_document(Urgency::default());
    let started = Instant::now();
    tokio::time::timeout(Duration::from_secs(5), push.turn())
        .await
        .expect("the push goes when the document stays quiet");
    assert!(started.elapsed() >= Duration::from_millis(10), "it did wait");
}

#[test]
fn a_stalled_document_is_waited_for_longer_than_a_quiet_one() {
    let order = SendOrder::new(LONG);
    let mut document = order.open_document(Urgency::default());
    document.set_stalled(true);
    let wait = order
        .wait_of(LaneKind::Push(rank(Destination::Style, 2)))
        .expect("it waits");
    assert!(wait > LONG.quiet && wait <= LONG.stalled, "{wait:?}");
    document.set_stalled(false);
    let wait = order
        .wait_of(LaneKind::Push(rank(Destination::Style, 2)))
        .expect("it waits");
    assert!(wait <= LONG.quiet, "{wait:?}");
}
