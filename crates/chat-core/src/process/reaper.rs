//! What is put right behind a crash: unsettled steps, holds nobody resolved, marks not written.

use chat_balance::Hold;
use chat_persist::OpenStep;
use chat_types::StepState;

use crate::Result;
use crate::inner::Inner;
use crate::money::billing::ClosedStep;

/// Rows per sweep: enough for a crash of a busy process, small enough for one short query.
pub(crate) const ROWS_PER_SWEEP: u32 = 256;

/// Marks settled steps in the journal, all in one write. Losing the marks costs a redo.
pub(crate) async fn write_settled_marks(inner: &Inner) {
    let marks = std::mem::take(&mut *inner.lock_marks());
    if marks.is_empty() {
        return;
    }
    if let Err(error) = inner.maintenance.mark_settled(&marks).await {
        tracing::warn!(code = error.code(), "settled steps were not marked yet");
        inner.lock_marks().extend(marks);
    }
}

/// Settles steps whose amounts are in the journal and perhaps not in the ledger.
pub(crate) async fn settle_closed_steps(inner: &Inner) -> Result<u64> {
    let before = inner.clock.now().plus_ms(-two_leases(inner));
    let steps = inner.maintenance.unsettled_steps(before, ROWS_PER_SWEEP).await?;
    let mut settled = 0_u64;
    for open in &steps {
        inner.settle(&open.scope, &open.conversation, ClosedStep::of(&open.step)).await;
        settled = settled.saturating_add(1);
    }
    write_settled_marks(inner).await;
    Ok(settled)
}

/// Resolves holds by what the journal says of their step.
pub(crate) async fn resolve_holds(inner: &Inner) -> Result<u64> {
    let before = inner.clock.now().plus_ms(-two_leases(inner));
    let mut resolved = 0_u64;
    for hold in inner.ledger_maintenance.open_holds(before, ROWS_PER_SWEEP).await? {
        let step = inner.maintenance.step(&hold.scope.tenant, &hold.key).await?;
        if resolve(inner, &hold, step).await {
            resolved = resolved.saturating_add(1);
        }
    }
    Ok(resolved)
}

async fn resolve(inner: &Inner, hold: &Hold, step: Option<OpenStep>) -> bool {
    match step {
        // Whoever runs the turn may be about to open the step: only he, or his heir, can tell.
        None if !has_ended(inner, hold).await => return false,
        None => inner.release(&hold.scope, &hold.key).await,
        Some(open) => match open.step.state {
            StepState::Held | StepState::Dispatched | StepState::Streaming => return false,
            StepState::Settling | StepState::Settled | StepState::Released => {
                inner.settle(&open.scope, &open.conversation, ClosedStep::of(&open.step)).await;
            }
        },
    }
    true
}

/// Whether the hold's turn has ended or never was; not knowing is no.
async fn has_ended(inner: &Inner, hold: &Hold) -> bool {
    match inner.store.turn(&hold.scope, &hold.key.turn).await {
        Ok(turn) => turn.is_none_or(|turn| turn.state.is_terminal()),
        Err(error) => {
            tracing::warn!(code = error.code(), "a turn was not read");
            false
        }
    }
}

/// A step younger than this may still be settled by its own task.
fn two_leases(inner: &Inner) -> i64 {
    i64::from(inner.config.lease_ms).saturating_mul(2)
}
