//! How much of pushes may be on its way to the client.
//!
//! Bytes that a push has put on their way are before a document that comes after: in our socket, and in the
//! queue of whatever is the narrowest on the path. So pushes go on only while that queue is short.
//! TCP tells how long it is: a round trip takes longer by what waits. As much as was acknowledged in
//! the shortest round trip fills the path; what is on the way beyond that makes the queue (FAST TCP,
//! LEDBAT of RFC 6817). Documents are sent as TCP will have it.
//!
//! Behind a terminator on the same machine the path that TCP knows of ends there, and so does this.

use std::{sync::Arc, time::Duration};

use pingora::protocols::SocketDigest;

use super::{Allowance, PushPath};

/// How much longer a round trip may take for pushes, beside a quarter of it: a document that comes is
/// late by no more.
const DELAY: Duration = Duration::from_millis(8);

/// Segments that are always in order: half of what TCP itself begins with (RFC 6928).
const SEGMENTS: usize = 5;

/// Pushed bytes between two looks. A page with a few small assets takes none.
const UNSEEN: usize = 16 * 1024;

/// The least that is worth a frame.
const LEAST: usize = 2 * 1024;

/// The path of one connection.
#[derive(Debug, Default)]
pub(in crate::h2) struct PathEstimate {
    socket: Option<Arc<SocketDigest>>,
    /// Pushed bytes since the last look.
    unseen: usize,
}

/// The state of a connection as TCP tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Path {
    /// Bytes of a segment.
    segment: usize,
    /// Bytes that are sent and not acknowledged.
    in_flight: usize,
    /// Bytes that are not sent.
    unsent: usize,
    round_trip: Duration,
    shortest_round_trip: Duration,
}

impl PathEstimate {
    /// Returns the path of a socket; without one nothing holds pushes back.
    pub(in crate::h2) fn new(socket: Option<Arc<SocketDigest>>) -> Self {
        Self { socket, unseen: 0 }
    }
}

impl PushPath for PathEstimate {
    fn allowance(&mut self) -> Allowance {
        if self.unseen < UNSEEN {
            return Allowance::Bytes(UNSEEN - self.unseen);
        }
        let Some(path) = self.socket.as_deref().and_then(look) else {
            return Allowance::Bytes(usize::MAX);
        };
        if path.queued() == 0 {
            self.unseen = 0;
        }
        path.allowance()
    }

    fn count(&mut self, bytes: usize) {
        self.unseen = self.unseen.saturating_add(bytes);
    }
}

fn look(socket: &SocketDigest) -> Option<Path> {
    let info = socket.tcp_info()?;
    let bytes = |segments: u32| usize::try_from(segments).unwrap_or(usize::MAX);
    let segment = bytes(info.tcpi_snd_mss).max(1);
    // Segments are not all full: on the loopback one may have 64 KB, and few of ours do.
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
    fn queued(&self) -> usize {
        self.in_flight.saturating_add(self.unsent)
    }

    fn allowance(&self) -> Allowance {
        let longest = self.shortest_round_trip + self.shortest_round_trip / 4 + DELAY;
        // Bytes in flight take one round trip, so in the longest one that is allowed this much would be.
        let allowed = scaled(self.in_flight, longest, self.round_trip).max(SEGMENTS * self.segment);
        match allowed.checked_sub(self.queued()) {
            Some(room) if room >= LEAST => Allowance::Bytes(room),
            _ => {
                let excess = (self.queued() + LEAST).saturating_sub(allowed);
                let drained = self.round_trip.mul_f64(ratio(excess, self.in_flight));
                Allowance::After(drained.clamp(SHORTEST_WAIT, LONGEST_WAIT))
            }
        }
    }
}

/// Between two looks of a push that waits: as fine as timers are, and so that a path that has become faster is soon used.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
const LONGEST_WAIT: Duration = Duration::from_millis(20);

fn scaled(bytes: usize, by: Duration, of: Duration) -> usize {
    let scaled = u128::try_from(bytes)
        .unwrap_or(u128::MAX)
        .saturating_mul(by.as_micros())
        / of.as_micros().max(1);
    usize::try_from(scaled).unwrap_or(usize::MAX)
}

/// At most 1.
fn ratio(part: usize, whole: usize) -> f64 {
    let thousandths = part.saturating_mul(1000).checked_div(whole).unwrap_or(1000).min(1000);
    u16::try_from(thousandths).map_or(1.0, |thousandths| f64::from(thousandths) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path of 20 ms where so many bytes are on the way, and a round trip takes so long.
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
    fn a_few_segments_are_always_in_order() {
        assert_eq!(path(0, 0, 20).allowance(), Allowance::Bytes(5 * 1460));
        assert_eq!(path(1460, 0, 500).allowance(), Allowance::Bytes(4 * 1460));
    }

    #[test]
    fn more_goes_while_round_trips_stay_short() {
        // 33 ms are allowed.
        assert_eq!(path(100_000, 0, 20).allowance(), Allowance::Bytes(65_000));
        assert_eq!(path(100_000, 60_000, 20).allowance(), Allowance::Bytes(5_000));
        assert_eq!(path(100_000, 0, 30).allowance(), Allowance::Bytes(10_000));
    }

    #[test]
    fn a_queue_is_waited_for() {
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
    fn a_few_small_assets_take_no_look() {
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
