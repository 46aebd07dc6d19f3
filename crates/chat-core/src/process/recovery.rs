//! What happens at a crash: turns of lapsed owners are taken over and closed.
//!
//! Nothing is ever sent again. A step that was not dispatched gives its hold back; one that was is
//! billed by the provider's last snapshot in the log, else by estimate. The partial reply is kept:
//! it is what the log has, a true prefix. Redo is safe at every point.

use std::sync::Arc;

use chat_balance::AccountUnit;
use chat_persist::{
    AttemptAmount, EventSegment, Fence, LapsedTurn, PersistErrorKind, StepClose, StepRecord,
    TurnClose, TurnRecord,
};
use chat_tokens::{EstimateCounter, TokenCounter};
use chat_types::{
    ContentPart, EVENT_VERSION, EventKind, Message, MessageStatus, Money, PartAssembler, Role,
    StepState, TurnEvent, TurnFailure, TurnKind, TurnState, Usage,
};

use crate::Result;
use crate::inner::Inner;
use crate::money::billing::{self, AttemptEnd, ClosedStep, StepBill};
use crate::process::reaper;

/// Turns per sweep: enough for a crash of a busy process, small enough for one short query.
const TURNS_PER_SWEEP: u32 = 256;

/// Segments read at a time: a long turn has thousands.
const SEGMENTS_PER_READ: u32 = 64;

/// What recovery has put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Turns of lapsed owners that were closed.
    pub turns: u64,
    /// Steps whose amounts were settled again.
    pub steps: u64,
    /// Holds that were resolved from the journal.
    pub holds: u64,
}

pub(crate) async fn recover(inner: &Arc<Inner>) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    let now = inner.clock.now();
    for lapsed in inner.maintenance.lapsed_turns(now, TURNS_PER_SWEEP).await? {
        if close_lapsed(inner, &lapsed).await? {
            recovered.turns = recovered.turns.saturating_add(1);
        }
    }
    recovered.steps = reaper::settle_closed_steps(inner).await?;
    recovered.holds = reaper::resolve_holds(inner).await?;
    Ok(recovered)
}

/// Takes one turn over and closes it; false if somebody else was faster.
async fn close_lapsed(inner: &Arc<Inner>, lapsed: &LapsedTurn) -> Result<bool> {
    crate::process::lease::ensure_lease(inner).await?;
    let Some(fence) = inner.maintenance.take_over(lapsed, &inner.owner).await? else {
        return Ok(false);
    };
    let Some(record) = inner.store.turn(&fence.scope, &fence.turn).await? else {
        return Ok(false);
    };
    let told = Told::read(inner, &fence).await?;
    let kept = kept_parts(inner, &fence, &record).await?;
    let mut steps = Vec::new();
    for step in record.steps.iter().filter(|step| !is_closed(step.state)) {
        let amounts = amounts(inner, &fence, step, &told, &kept).await?;
        steps.push(StepClose { step: step.key.step, amounts });
    }
    let close = close_of(inner, &fence, &record, &told, &kept, steps)?;
    match inner.store.close_turn(&fence, &close).await {
        Ok(()) => {}
        Err(error)
            if matches!(
                error.kind(),
                PersistErrorKind::Fenced | PersistErrorKind::IllegalState
            ) =>
        {
            return Ok(false);
        }
        Err(error) => return Err(error.into()),
    }
    for step in &close.steps {
        let row = record.steps.iter().find(|row| row.key.step == step.step);
        if let Some(row) = row {
            let closed = ClosedStep { amounts: &step.amounts, ..ClosedStep::of(row) };
            inner.settle(&fence.scope, &record.turn.conversation, closed).await;
        }
    }
    reaper::write_settled_marks(inner).await;
    Ok(true)
}

const fn is_closed(state: StepState) -> bool {
    matches!(state, StepState::Settling | StepState::Settled | StepState::Released)
}

/// What the log says of a turn.
#[derive(Debug, Default)]
struct Told {
    assembler: PartAssembler,
    /// The newest step whose call the log tells of: what it says from there on is that step's.
    step: u32,
    /// The parts there were when that step began.
    before: Vec<ContentPart>,
    usage: Option<Usage>,
}

impl Told {
    fn hear(&mut self, event: &EventKind) {
        match event {
            EventKind::Attempt { step, attempt: 1 } => {
                self.step = *step;
                self.before = self.assembler.stored_parts();
                self.usage = None;
            }
            EventKind::Usage { step, usage } if *step == self.step => self.usage = Some(*usage),
            _ => {}
        }
        self.assembler.apply(event);
    }

    async fn read(inner: &Inner, fence: &Fence) -> Result<Self> {
        let mut told = Self::default();
        let mut after_seq = 0;
        loop {
            let page =
                inner.store.events(&fence.scope, &fence.turn, after_seq, SEGMENTS_PER_READ).await?;
            let Some(last) = page.segments.last() else {
                return Ok(told);
            };
            after_seq = last.last_seq;
            for segment in &page.segments {
                for event in segment.decode()? {
                    told.hear(&event.event);
                }
            }
        }
    }
}

/// The parts a continued reply started with: they were not produced by this turn.
async fn kept_parts(inner: &Inner, fence: &Fence, record: &TurnRecord) -> Result<Vec<ContentPart>> {
    let TurnKind::Continue { message } = &record.turn.kind else {
        return Ok(Vec::new());
    };
    let kept = inner.store.message(&fence.scope, &record.turn.conversation, message).await?;
    Ok(kept.map(|message| message.parts).unwrap_or_default())
}

/// What an open step is billed: nothing if no byte can have left.
async fn amounts(
    inner: &Inner,
    fence: &Fence,
    step: &StepRecord,
    told: &Told,
    kept: &[ContentPart],
) -> Result<Vec<AttemptAmount>> {
    if !step.state.may_owe() {
        return Ok(Vec::new());
    }
    // Bytes leave only when the hold is durable too: without one, nothing was sent.
    let Some(hold) = inner.ledger.hold_of(&fence.scope, &step.key).await? else {
        return Ok(Vec::new());
    };
    let (mut reported, mut output_seen) = (None, Usage::default());
    if step.key.step == told.step {
        let parts = told.assembler.stored_parts();
        let before = if told.before.is_empty() { kept } else { &told.before };
        output_seen = billing::output_seen(counter(inner, step).await.as_ref(), &parts, before);
        reported = told.usage;
    }
    let bill = StepBill {
        recorder: &inner.recorder,
        model: &step.model,
        opened_at: step.opened_at,
        input_estimate: step.input_estimate,
        tier: step.tier.as_deref(),
        fallback: hold.covered(AccountUnit::Usd).unwrap_or(Money::ZERO),
    };
    let earlier = (1..step.attempts).map(|attempt| bill.unanswered(attempt));
    let last = bill.amount(&AttemptEnd {
        attempt: step.attempts.max(1),
        reported,
        cost: None,
        // The log does not tell which one served it.
        tier: step.tier.clone(),
        is_whole: false,
        output_seen,
        provider_request_id: None,
    });
    Ok(earlier.chain([last]).collect())
}

/// The model's own counter if its provider is there and ready, else a guess.
async fn counter(inner: &Inner, step: &StepRecord) -> Arc<dyn TokenCounter> {
    match inner.providers.find(&step.model) {
        Ok((provider, info)) if provider.warm_up().await.is_ok() => provider.counter(&info),
        _ => Arc::new(EstimateCounter::new()),
    }
}

fn close_of(
    inner: &Inner,
    fence: &Fence,
    record: &TurnRecord,
    told: &Told,
    kept: &[ContentPart],
    steps: Vec<StepClose>,
) -> Result<TurnClose> {
    let now = inner.clock.now();
    let parts = told.assembler.stored_parts();
    let says_something = !parts.is_empty() && parts != kept;
    let reached = steps.iter().any(|step| !step.amounts.is_empty());
    let (state, failure) = if reached || says_something {
        let text = "the process that ran this turn died; continue or regenerate";
        (TurnState::Interrupted, TurnFailure::new("interrupted", text, true))
    } else {
        let text = "the process that ran this turn died before it called the model; send again";
        (TurnState::Failed, TurnFailure::new("not_started", text, true))
    };
    let turn = &record.turn;
    let message = says_something.then(|| Message {
        id: turn.reply.clone(),
        conversation: turn.conversation.clone(),
        parent: Some(turn.user_message.clone()),
        role: Role::Assistant,
        parts,
        created_at: now,
        turn: Some(turn.id.clone()),
        model: Some(turn.model.clone()),
        status: MessageStatus::Partial,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    });
    let all_amounts = steps.iter().flat_map(|step| &step.amounts);
    let settled = record.steps.iter().flat_map(|step| &step.amounts);
    let (usage, cost): (Usage, Money) = billing::total(all_amounts.chain(settled));
    let ended = TurnEvent {
        v: EVENT_VERSION,
        turn: turn.id.clone(),
        epoch: fence.epoch,
        seq: record.last_seq.saturating_add(1),
        event: EventKind::Ended {
            outcome: state,
            message: message.as_ref().map(|message| message.id.clone()),
            usage,
            cost,
            finish_reason: None,
            failure: Some(failure.clone()),
        },
    };
    Ok(TurnClose {
        state,
        message,
        steps,
        segment: EventSegment::encode(&[ended])?,
        failure: Some(failure),
        closed_at: now,
    })
}
