//! Holds the lines that wait to be written, within bounds. Adding a line copies its bytes; it waits for no reader, and
//! allocates only where a new chunk begins.

use std::{
    collections::VecDeque,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use super::output::LogOutput;

/// Bytes of a chunk, which is written at once; also the longest line.
pub(super) const CHUNK: usize = 64 * 1024;

/// Chunks that wait at most: 4 MiB in all, about 16,000 access lines.
const MAX_CHUNKS: usize = 64;

/// The end of a line that was too long.
const CUT: &[u8] = b"...\n";

/// The lines of a log between the threads that write them and the one that has them written.
#[derive(Debug)]
pub(super) struct LogQueue {
    state: Mutex<QueueState>,
    /// Notified when the writer waits and something has come.
    came: Condvar,
    /// Notified when all is written.
    written: Condvar,
    /// Lines that were dropped since the start.
    dropped: AtomicU64,
}

#[derive(Debug)]
struct QueueState {
    /// Whole lines, the oldest first.
    chunks: VecDeque<Vec<u8>>,
    /// A chunk that was written, for the next lines.
    spare: Option<Vec<u8>>,
    /// Lines that were dropped since the writer last took something.
    dropped: u64,
    /// Where the writer is to write from now on.
    output: Option<LogOutput>,
    writer: WriterState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriterState {
    /// It works, or will look again without being told.
    Busy,
    /// It is to be told.
    Waiting,
}

/// Work for the writer.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Whole lines; empty if there are none.
    pub(super) lines: Vec<u8>,
    /// Lines that had no room since the last batch.
    pub(super) dropped: u64,
    /// The output of this batch and the next ones, if it changes.
    pub(super) output: Option<LogOutput>,
    /// Whether nothing more waits.
    pub(super) is_last: bool,
}

impl LogQueue {
    /// Makes an empty queue.
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(QueueState {
                chunks: VecDeque::new(),
                spare: None,
                dropped: 0,
                output: None,
                writer: WriterState::Busy,
            }),
            came: Condvar::new(),
            written: Condvar::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Adds a line, or drops it if there is no room. A longer line than a chunk is cut.
    pub(super) fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if !state.add(line) {
            state.dropped += 1;
            drop(state);
            self.count_dropped(1);
            return;
        }
        self.tell(state);
    }

    /// Has the writer go on with another output.
    pub(super) fn switch(&self, output: LogOutput) {
        let mut state = self.lock();
        state.output = Some(output);
        self.tell(state);
    }

    /// Waits for work.
    pub(super) fn take(&self) -> Batch {
        let mut state = self.lock();
        loop {
            let lines = state.chunks.pop_front();
            if lines.is_some() || state.output.is_some() || state.dropped > 0 {
                return Batch {
                    lines: lines.unwrap_or_default(),
                    dropped: std::mem::take(&mut state.dropped),
                    output: state.output.take(),
                    is_last: state.chunks.is_empty(),
                };
            }
            state.writer = WriterState::Waiting;
            self.written.notify_all();
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.writer = WriterState::Busy;
        }
    }

    /// Takes back the buffer of a batch, for the next lines.
    pub(super) fn reuse(&self, mut lines: Vec<u8>) {
        if lines.capacity() > 0 {
            lines.clear();
            self.lock().spare = Some(lines);
        }
    }

    /// Waits until all lines are written, or until `limit` has passed.
    pub(super) fn flush(&self, limit: Duration) {
        let until = Instant::now() + limit;
        let mut state = self.lock();
        while !state.is_done() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.written.wait_timeout(state, left);
            state = waited.map_or_else(|poisoned| poisoned.into_inner().0, |(state, _)| state);
        }
    }

    /// Counts lines that are dropped.
    pub(super) fn count_dropped(&self, lines: u64) {
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// Returns the number of lines that were dropped.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the writer if it waits. It is told once: until it runs, it counts as busy.
    fn tell(&self, mut state: MutexGuard<'_, QueueState>) {
        let waits = state.writer == WriterState::Waiting;
        state.writer = WriterState::Busy;
        drop(state);
        if waits {
            self.came.notify_one();
        }
    }
}

impl QueueState {
    fn is_done(&self) -> bool {
        self.writer == WriterState::Waiting
    }

    /// Adds a line to the last chunk, or to a new one; returns `false` if there is no room.
    fn add(&mut self, line: &[u8]) -> bool {
        let (line, end) = match line.get(..CHUNK - CUT.len()) {
            Some(cut) if line.len() > CHUNK => (cut, CUT),
            _ => (line, &[][..]),
        };
        let length = line.len() + end.len();
        if let Some(last) = self.chunks.back_mut()
            && last.len() + length <= CHUNK
        {
            last.extend_from_slice(line);
            last.extend_from_slice(end);
            return true;
        }
        if self.chunks.len() >= MAX_CHUNKS {
            return false;
        }
        let mut chunk = self.spare.take().unwrap_or_else(|| Vec::with_capacity(CHUNK));
        chunk.extend_from_slice(line);
        chunk.extend_from_slice(end);
        self.chunks.push_back(chunk);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_leave_in_their_order() {
        let queue = LogQueue::new();
        queue.push(b"a\n");
        queue.push(b"b\n");
        let batch = queue.take();
        assert_eq!(batch.lines, b"a\nb\n");
        assert!(batch.is_last);
        queue.reuse(batch.lines);
        queue.push(b"c\n");
        assert_eq!(queue.take().lines, b"c\n");
    }

    #[test]
    fn lines_without_room_are_counted_once() {
        let queue = LogQueue::new();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        let room = MAX_CHUNKS * CHUNK / line.len();
        for _ in 0..room + 5 {
            queue.push(&line);
        }
        assert_eq!(queue.dropped(), 5);
        let first = queue.take();
        assert_eq!((first.lines.len(), first.dropped), (CHUNK, 5));
        assert_eq!(queue.take().dropped, 0);
        queue.push(&line);
        assert_eq!(queue.dropped(), 5, "there is room again");
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_cut_and_stays_a_line() {
        let queue = LogQueue::new();
        queue.push(&vec![b'x'; CHUNK + 1]);
        let lines = queue.take().lines;
        assert_eq!(lines.len(), CHUNK);
        assert!(lines.ends_with(b"xx...\n"));
    }

    #[test]
    fn a_flush_ends_with_its_limit_and_with_the_last_line() {
        let queue = LogQueue::new();
        queue.push(b"a\n");
        queue.flush(Duration::from_millis(1));
        assert_eq!(queue.take().lines, b"a\n", "nobody has written it");
        std::thread::scope(|scope| {
            queue.push(b"b\n");
            scope.spawn(|| while queue.take().lines != b"end\n" {});
            queue.flush(Duration::from_secs(20));
            assert!(queue.lock().is_done());
            queue.push(b"end\n");
        });
    }
}
