//! The events of a turn: numbered once, logged, told live, read again from any cursor.

pub(crate) mod feed;
pub(crate) mod listen;
pub(crate) mod live;
pub(crate) mod narrate;
pub(crate) mod replay;
pub(crate) mod turn_log;
