//! The end of a turn.

use chat_persist::{Fence, TurnClose};

use crate::error::Outcome;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) async fn close_turn(_: &mut Unit<'_>, _: &Fence, _: &TurnClose) -> Outcome<()> {
    not_yet()
}
