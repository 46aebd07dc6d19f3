//! The process as an owner of turns: what it keeps up while it lives, what is put right when one died.

pub(crate) mod lease;
pub(crate) mod owner;
pub(crate) mod reaper;
pub(crate) mod recovery;
