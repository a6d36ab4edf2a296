//! As the crate's module of that name, without what looks at sockets.

#[path = "../../../src/h2/priority/schedule.rs"]
pub(in crate::h2) mod schedule;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::h2) enum Allowance {
    Bytes(usize),
    After(std::time::Duration),
}

pub(in crate::h2) trait PushPath {
    fn allowance(&mut self) -> Allowance;

    fn count(&mut self, bytes: usize);
}
