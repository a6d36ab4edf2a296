//! Writes the lines of the queue, on a thread of its own: only this thread ever waits for a reader of the log.

use std::{thread, time::Duration};

use log::Level;

use super::{
    line::with_line,
    output::{LogOutput, Written},
    queue::{Batch, LogQueue},
    state::settings,
};

/// Time after which the queue is looked at again, once it was empty: under load, lines are so written together, and the
/// threads that add them need not wake this one.
const PAUSE: Duration = Duration::from_millis(1);

/// The log target of what the log says of itself.
const TARGET: &str = "linkpush::log";

/// Writes lines until the process ends.
pub(super) fn run(queue: &LogQueue, mut output: LogOutput) {
    let mut lost = Lost::default();
    loop {
        let Batch {
            lines,
            dropped,
            output: next,
            is_last,
        } = queue.take();
        if let Some(next) = next {
            output = next;
        }
        lost.lines += dropped;
        write(queue, &mut output, &lines, &mut lost);
        if lost.lines > 0 && lost.is_told(&mut output) {
            lost = Lost::default();
        }
        queue.reuse(lines);
        if is_last {
            thread::sleep(PAUSE);
        }
    }
}

/// Lines that are not in the log, and are still to be told there.
#[derive(Debug, Default)]
struct Lost {
    lines: u64,
    /// The system's last error, where one is the cause.
    error: Option<String>,
}

impl Lost {
    /// Tells of the lines in the log itself; returns whether that was written.
    fn is_told(&self, output: &mut LogOutput) -> bool {
        let lines = self.lines;
        let cause = self.error.as_deref().unwrap_or("its reader was too slow");
        with_line(settings().format, Level::Warn, TARGET, |line| {
            line.message(format_args!("{lines} lines of the log were dropped: {cause}"));
            line.end();
            matches!(output.write(line.bytes()), Written::All)
        })
    }
}

fn write(queue: &LogQueue, output: &mut LogOutput, lines: &[u8], lost: &mut Lost) {
    if let Written::Part { bytes, error } = output.write(lines) {
        let unwritten = lines.get(bytes..).unwrap_or_default();
        let count = unwritten.iter().filter(|byte| **byte == b'\n').count();
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        queue.count_dropped(count);
        lost.lines += count;
        lost.error = Some(error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, PipeReader, Read as _, pipe};

    use super::*;

    fn piped() -> (PipeReader, LogOutput) {
        let (reader, writer) = pipe().expect("a pipe");
        (reader, LogOutput::of(std::os::fd::OwnedFd::from(writer).into()))
    }

    #[test]
    fn a_reader_that_is_gone_costs_the_lines_that_the_next_one_is_told_of() {
        let queue: &'static LogQueue = Box::leak(Box::new(LogQueue::new()));
        let (reader, output) = piped();
        drop(reader);
        thread::spawn(move || run(queue, output));
        queue.push(b"one\n");
        queue.flush(Duration::from_secs(20));
        queue.push(b"two\nof two lines\n");
        queue.flush(Duration::from_secs(20));
        assert_eq!(queue.dropped(), 3);
        let (mut reader, output) = piped();
        queue.switch(output);
        queue.push(b"three\n");
        queue.flush(Duration::from_secs(20));
        // Two writes, which may be read at once.
        let mut text = String::new();
        while !text.contains("dropped") {
            let mut byte = [0];
            reader.read_exact(&mut byte).expect("a pipe");
            text.extend(byte.map(char::from));
        }
        let mut lines = std::io::BufReader::new(reader);
        lines.read_line(&mut text).expect("a pipe");
        assert!(text.contains("three\n"), "{text}");
        assert!(
            text.contains("WARN  linkpush::log] 3 lines of the log were dropped: Broken pipe"),
            "{text}"
        );
    }
}
