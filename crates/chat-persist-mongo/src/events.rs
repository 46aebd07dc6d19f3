//! The event log and stop flags.

use chat_persist::{EventPage, StopAck};
use chat_types::{Scope, TurnId};

use crate::error::Outcome;
use crate::indexes::Index;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) fn indexes() -> Vec<Index> {
    Vec::new()
}

pub(crate) async fn events(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &TurnId,
    _: u64,
    _: u32,
) -> Outcome<EventPage> {
    not_yet()
}

pub(crate) async fn request_stop(_: &mut Unit<'_>, _: &Scope, _: &TurnId) -> Outcome<StopAck> {
    not_yet()
}
