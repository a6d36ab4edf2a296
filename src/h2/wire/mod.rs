//! Turns frames into bytes (`frame`), and holds bytes until they are written (`rope`).

pub(super) mod frame;
pub(super) mod rope;
