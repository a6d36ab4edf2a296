//! Limits the bytes of pushes that are on their way to the client.
//!
//! A document that comes during a push waits behind the pushed bytes in our socket and in the queue at the bottleneck
//! of the path. So pushes are sent only while that queue is short. Its length follows from TCP's round-trip times:
//! every byte in the queue makes them longer than the shortest one (FAST TCP; LEDBAT, RFC 6817). Documents are limited
//! by TCP only.
//!
//! Behind a TLS terminator TCP's round trip ends at the terminator, so the queue behind it is not seen.

use std::{sync::Arc, time::Duration};

use pingora::protocols::SocketDigest;

use super::{Allowance, PushPath};

/// The queueing delay that pushes may cause, beside a quarter of the shortest round trip. A document that comes during
/// a push is late by no more than both.
const DELAY: Duration = Duration::from_millis(8);

/// Number of segments that may always be in flight: half of TCP's initial window (RFC 6928).
const SEGMENTS: usize = 5;

/// Pushed bytes after an empty TCP queue that go without a look at TCP_INFO: small assets cost no system call.
const UNCHECKED: usize = 16 * 1024;

/// The smallest allowance that is worth a frame, in bytes.
const LEAST: usize = 2 * 1024;

/// The path of one connection.
#[derive(Debug, Default)]
pub(in crate::h2) struct PathEstimate {
    socket: Option<Arc<SocketDigest>>,
    /// Pushed bytes since TCP's queue was last seen empty, or since the connection began.
    unchecked: usize,
}

/// The state of a TCP connection, from TCP_INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Path {
    /// Bytes of a segment.
    segment: usize,
    /// Bytes that were sent and not acknowledged.
    in_flight: usize,
    /// Bytes in the socket that were not sent.
    unsent: usize,
    round_trip: Duration,
    shortest_round_trip: Duration,
}

impl PathEstimate {
    /// Returns the path of a socket; without a socket pushes are not limited.
    pub(in crate::h2) fn new(socket: Option<Arc<SocketDigest>>) -> Self {
        Self { socket, unchecked: 0 }
    }
}

impl PushPath for PathEstimate {
    fn allowance(&mut self) -> Allowance {
        if self.unchecked < UNCHECKED {
            return Allowance::Bytes(UNCHECKED - self.unchecked);
        }
        let Some(path) = self.socket.as_deref().and_then(read_tcp_info) else {
            return Allowance::Bytes(usize::MAX);
        };
        if path.queued() == 0 {
            self.unchecked = 0;
        }
        path.allowance()
    }

    fn count(&mut self, bytes: usize) {
        self.unchecked = self.unchecked.saturating_add(bytes);
    }
}

fn read_tcp_info(socket: &SocketDigest) -> Option<Path> {
    let info = socket.tcp_info()?;
    let bytes = |segments: u32| usize::try_from(segments).unwrap_or(usize::MAX);
    let segment = bytes(info.tcpi_snd_mss).max(1);
    // Segments are not all full (a loopback segment may have 64 KB), so bytes that were not acknowledged limit them.
    let sent = info.tcpi_bytes_sent.saturating_sub(info.tcpi_bytes_retrans);
    let unacknowledged = usize::try_from(sent.saturating_sub(info.tcpi_bytes_acked)).unwrap_or(usize::MAX);
    Some(Path {
        segment,
        in_flight: bytes(info.tcpi_unacked).saturating_mul(segment).min(unacknowledged),
        unsent: bytes(info.tcpi_notsent_bytes),
        round_trip: Duration::from_micros(info.tcpi_rtt.into()),
        shortest_round_trip: Duration::from_micros(info.tcpi_min_rtt.into()),
    })
}

impl Path {
    /// Returns the bytes that the client has not acknowledged, sent or not.
    fn queued(&self) -> usize {
        self.in_flight.saturating_add(self.unsent)
    }

    fn allowance(&self) -> Allowance {
        let longest = self.shortest_round_trip + self.shortest_round_trip / 4 + DELAY;
        // The path moves `in_flight` bytes in `round_trip`, so at the same rate it moves this number in `longest`.
        let allowed = scaled(self.in_flight, longest, self.round_trip).max(SEGMENTS * self.segment);
        match allowed.checked_sub(self.queued()) {
            Some(left) if left >= LEAST => Allowance::Bytes(left),
            _ => {
                let excess = (self.queued() + LEAST).saturating_sub(allowed);
                let drained = self.round_trip.mul_f64(ratio(excess, self.in_flight));
                Allowance::After(drained.clamp(SHORTEST_WAIT, LONGEST_WAIT))
            }
        }
    }
}

/// Limits of the time until a push that waits is checked again. The shortest is the resolution of timers; the longest
/// lets pushes soon use a path that has become faster.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(20);

/// Returns the number of bytes that are moved in `time` if `bytes` are moved in `round_trip`.
fn scaled(bytes: usize, time: Duration, round_trip: Duration) -> usize {
    let scaled = u128::try_from(bytes)
        .unwrap_or(u128::MAX)
        .saturating_mul(time.as_micros())
        / round_trip.as_micros().max(1);
    usize::try_from(scaled).unwrap_or(usize::MAX)
}

/// Returns `part / whole`, but at most 1.
fn ratio(part: usize, whole: usize) -> f64 {
    let thousandths = part.saturating_mul(1000).checked_div(whole).unwrap_or(1000).min(1000);
    u16::try_from(thousandths).map_or(1.0, |thousandths| f64::from(thousandths) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path whose shortest round trip takes 20 ms, and the present one `millis`.
    fn path(in_flight: usize, unsent: usize, millis: u64) -> Path {
        Path {
            segment: 1460,
            in_flight,
            unsent,
            round_trip: Duration::from_millis(millis),
            shortest_round_trip: Duration::from_millis(20),
        }
    }

    #[test]
    fn five_segments_may_always_be_in_flight() {
        assert_eq!(path(0, 0, 20).allowance(), Allowance::Bytes(5 * 1460));
        assert_eq!(path(1460, 0, 500).allowance(), Allowance::Bytes(4 * 1460));
    }

    #[test]
    fn pushes_go_on_while_round_trips_stay_short() {
        // The longest round trip that is allowed: 20 ms + 20 ms / 4 + 8 ms = 33 ms.
        assert_eq!(path(100_000, 0, 20).allowance(), Allowance::Bytes(65_000));
        assert_eq!(path(100_000, 60_000, 20).allowance(), Allowance::Bytes(5_000));
        assert_eq!(path(100_000, 0, 30).allowance(), Allowance::Bytes(10_000));
    }

    #[test]
    fn pushes_wait_until_the_queue_is_short() {
        assert!(matches!(path(100_000, 0, 33).allowance(), Allowance::After(_)));
        assert_eq!(path(100_000, 65_000, 20).allowance(), Allowance::After(SHORTEST_WAIT));
        assert_eq!(path(100_000, 0, 66).allowance(), Allowance::After(LONGEST_WAIT));
        let Allowance::After(wait) = path(100_000, 20_000, 33).allowance() else {
            unreachable!("a queue")
        };
        assert!(
            wait > Duration::from_millis(7) && wait < Duration::from_millis(8),
            "{wait:?}"
        );
    }

    #[test]
    fn small_assets_are_sent_without_a_look_at_tcp() {
        let mut path_estimate = PathEstimate::new(None);
        for _ in 0..4 {
            assert!(matches!(path_estimate.allowance(), Allowance::Bytes(bytes) if bytes > 1000));
            path_estimate.count(1000);
        }
        path_estimate.count(usize::MAX);
        assert_eq!(
            path_estimate.allowance(),
            Allowance::Bytes(usize::MAX),
            "without a socket nothing is known"
        );
    }
}
