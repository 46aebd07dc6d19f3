//! Reading turns.

use chat_persist::TurnRecord;
use chat_types::{Scope, TurnId};

use crate::error::Outcome;
use crate::refusal::not_yet;
use crate::unit::Unit;

pub(crate) async fn turn(
    _: &mut Unit<'_>,
    _: &Scope,
    _: &TurnId,
) -> Outcome<Option<TurnRecord>> {
    not_yet()
}
