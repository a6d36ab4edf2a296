//! Bytes: frames (`frame`) and what waits to be written (`rope`).

pub(super) mod frame;
pub(super) mod rope;
