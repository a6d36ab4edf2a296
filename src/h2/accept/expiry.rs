//! Ends a connection at its time limits, and closes its transport.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use log::debug;
use pingora::apps::HttpServerApp;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep_until,
};

use super::serve::{Driver, READ, READS};
use crate::h2::stream::mux::Output;

/// The shortest time that a timer is set for: the resolution of timers.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);

impl<A: HttpServerApp + Send + Sync + 'static> Driver<A> {
    /// Waits for the next time limit. To set the timer for each request would cost more than a timer that fires early:
    /// it is only reset to an earlier time, and the driver checks the limits when it fires.
    pub(super) fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let due = self.due(now).into();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if timer.deadline() > due {
            timer.as_mut().reset(due);
        }
        if timer.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        let now = Instant::now();
        if self.expire(now) {
            return Poll::Ready(());
        }
        let due = self.due(now).max(now + SHORTEST_WAIT);
        if let Some(timer) = &mut self.timer {
            timer.as_mut().reset(due.into());
        }
        // Polled again at once: `expire` may have left something to write.
        self.yields = false;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Returns the time of the next limit.
    fn due(&mut self, now: Instant) -> Instant {
        let limits = &self.connection.limits;
        let mut state = self.connection.mux.lock();
        let tick = state.core.tick(now);
        let base = if !state.core.has_begun() {
            self.started + limits.handshake_timeout
        } else if state.core.stream_count() == 0 {
            self.active + limits.idle_timeout
        } else {
            self.active = now;
            now + limits.write_timeout.min(limits.idle_timeout) / 2
        };
        [tick, self.again].into_iter().flatten().fold(base, Instant::min)
    }

    /// Ends what has passed its time limit; returns `true` if this is the connection.
    fn expire(&mut self, now: Instant) -> bool {
        let limits = &self.connection.limits;
        let mut state = self.connection.mux.lock();
        let core = &mut state.core;
        core.tick(now);
        if !core.has_begun() && now >= self.started + limits.handshake_timeout {
            if self.is_upgraded {
                debug!("HTTP/2 connection ended: no preface after the upgrade");
            } else {
                debug!("HTTP/2 handshake took longer than {:?}", limits.handshake_timeout);
            }
            return true;
        }
        core.reset_stalled(limits.write_timeout, now);
        if core.has_begun() && core.stream_count() == 0 && now >= self.active + limits.idle_timeout {
            if !self.out.is_empty() || self.output == Output::Blocked {
                // The client has taken no bytes for the idle timeout, so it would not take GOAWAY either.
                return true;
            }
            core.go_away();
        }
        false
    }

    /// Shuts the transport's writing side, and resolves when the client has closed its side or `until` has passed.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<()> {
        let Some(closing) = &mut self.closing else {
            return Poll::Ready(());
        };
        if now >= closing.until {
            return Poll::Ready(());
        }
        if !closing.is_shut {
            match Pin::new(&mut self.io).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => closing.is_shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; READ];
        for _ in 0..READS {
            let mut read = ReadBuf::uninit(&mut buffer);
            match Pin::new(&mut self.io).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let until = closing.until.into();
                    let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(until)));
                    if timer.deadline() != until {
                        timer.as_mut().reset(until);
                    }
                    self.yields = false;
                    return timer.as_mut().poll(cx);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
