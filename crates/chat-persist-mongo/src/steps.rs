//! Steps and checkpoints.

use chat_persist::{Checkpoint, Fence, NewStep, StepClose};
use chat_types::AttemptKey;

use crate::error::Outcome;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) async fn open_step(_: &mut Unit<'_>, _: &Fence, _: &NewStep) -> Outcome<()> {
    not_yet()
}

pub(crate) async fn dispatch(_: &mut Unit<'_>, _: &Fence, _: &AttemptKey) -> Outcome<()> {
    not_yet()
}

pub(crate) async fn checkpoint(_: &mut Unit<'_>, _: &Fence, _: &Checkpoint) -> Outcome<bool> {
    not_yet()
}

pub(crate) async fn close_step(_: &mut Unit<'_>, _: &Fence, _: &StepClose) -> Outcome<()> {
    not_yet()
}
