//! One model call of a turn, whatever it is for: opened with its hold, billed by its attempts.
//!
//! Bytes leave only when hold and first attempt are durable. Not here: what the call says, and what
//! its end means for the turn.

pub(crate) mod gate;
pub(crate) mod metered;
pub(crate) mod side_calls;

use std::sync::Arc;

use chat_persist::{AttemptAmount, Fence, NewStep, PersistError, PersistErrorKind};
use chat_provider::{CallPermit, Exposure, Prepared};
use chat_types::{
    AttemptKey, ConversationId, EventKind, ModelRef, Purpose, StepGrant, StepKey, Timestamp,
    Tokens, Usage,
};
use chat_usage::{CallShape, GrantRequest};

use crate::TurnError;
use crate::events::listen::Heard;
use crate::events::narrate::Narrator;
use crate::hooks::LifecycleEvent;
use crate::inner::Inner;
use crate::money::billing::{AttemptEnd, StepBill};
use crate::patience::persistently;
use crate::process::lease;
use crate::step::gate::JournalGate;

/// A call that is ready to be made.
#[derive(Debug)]
pub(crate) struct StepPlan<'a> {
    pub(crate) step: u32,
    pub(crate) purpose: Purpose,
    pub(crate) model: &'a ModelRef,
    pub(crate) prepared: &'a Prepared,
    pub(crate) output_cap: Tokens,
}

/// Whether a step is in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepRow {
    None,
    Unknown,
    Open,
}

impl StepRow {
    /// Whether the journal has the step; asked again where that is not known.
    pub(crate) async fn is_there(self, inner: &Inner, fence: &Fence, step: u32) -> bool {
        match self {
            Self::None => false,
            Self::Open => true,
            Self::Unknown => inner.has_step(fence, step).await,
        }
    }
}

/// The turn belongs to another process now: nothing more may be written.
#[derive(Debug)]
pub(crate) struct FencedOut;

/// Why a step's call may not be made.
#[derive(Debug)]
pub(crate) enum NotOpened {
    /// The turn belongs to another process now.
    FencedOut,
    /// No byte has left, and what the step held is given back.
    Refused { error: TurnError, row: StepRow },
}

/// A step whose hold and first attempt are durable.
#[derive(Debug)]
pub(crate) struct Opened {
    grant: StepGrant,
    gate: Arc<JournalGate>,
    request: GrantRequest,
    input_estimate: Tokens,
}

/// What a call is besides its tokens, as far as that changes its price.
pub(crate) fn shape_of(prepared: &Prepared) -> CallShape {
    let mut shape = CallShape::standard().with_images(prepared.images);
    shape.tier.clone_from(&prepared.tier);
    shape
}

/// Holds the credit and journals the first attempt, issued together.
pub(crate) async fn open(
    inner: &Inner,
    fence: &Fence,
    conversation: &ConversationId,
    plan: StepPlan<'_>,
) -> Result<Opened, NotOpened> {
    let scope = &fence.scope;
    let now = inner.clock.now();
    let key = StepKey { turn: fence.turn.clone(), step: plan.step };
    let step = NewStep {
        step: plan.step,
        purpose: plan.purpose,
        model: plan.model.clone(),
        input_bound: plan.prepared.input_bound,
        input_estimate: plan.prepared.input_estimate,
        opened_at: now,
        tier: plan.prepared.tier.clone(),
        dispatched: true,
    };
    let request = GrantRequest {
        key: key.clone(),
        purpose: plan.purpose,
        model: plan.model.clone(),
        input_bound: plan.prepared.input_bound,
        output_cap: plan.output_cap,
        accounts: Vec::new(),
        at: now,
        shape: shape_of(plan.prepared),
    };
    let leased_until = lease::held_until(inner);
    let (granted, journaled) = futures::join!(
        inner.grant(scope, conversation, request),
        persistently(|| inner.store.open_step(fence, &step)),
    );
    let refused = |error, row| Err(NotOpened::Refused { error, row });
    if let Err(error) = journaled {
        // Whoever took the turn over decides on the hold: it may be settling it right now.
        if error.kind() == PersistErrorKind::Fenced {
            return Err(NotOpened::FencedOut);
        }
        if granted.is_ok() {
            inner.release(scope, &key).await;
        }
        return refused(error.into(), StepRow::Unknown);
    }
    let (request, grant) = match granted {
        Ok(granted) => granted,
        Err(error) => return refused(error, StepRow::Open),
    };
    if let Some(error) = fence_broken(inner, leased_until, fence, &key).await {
        if error.kind() == PersistErrorKind::Fenced {
            return Err(NotOpened::FencedOut);
        }
        inner.release(scope, &key).await;
        return refused(error.into(), StepRow::Open);
    }
    inner.observe(&LifecycleEvent::Dispatched { step: key });
    let gate = Arc::new(JournalGate::new(
        Arc::clone(&inner.store),
        inner.recorder.clone(),
        Arc::clone(&inner.clock),
        fence.clone(),
        request.clone(),
    ));
    Ok(Opened { grant, gate, request, input_estimate: plan.prepared.input_estimate })
}

impl Opened {
    /// The right to make the call.
    pub(crate) fn permit(&self) -> CallPermit {
        CallPermit::new(self.grant.clone(), Arc::clone(&self.gate) as Arc<_>)
    }

    /// What the readers are told of it.
    pub(crate) fn events(&self) -> Vec<EventKind> {
        let terms = self.grant.terms();
        let step = self.request.key.step;
        vec![
            EventKind::Held {
                step,
                purpose: self.request.purpose,
                amount: terms.held,
                output_cap: terms.output_cap,
                low: terms.low.clone(),
            },
            EventKind::Attempt { step, attempt: 1 },
        ]
    }

    /// What its attempts cost, given how the last one ended and what was seen of its output.
    pub(crate) fn amounts(
        &self,
        inner: &Inner,
        heard: &Heard,
        said: &Narrator,
        output_seen: Usage,
    ) -> Vec<AttemptAmount> {
        let bill = StepBill {
            recorder: &inner.recorder,
            model: &self.request.model,
            opened_at: self.request.at,
            input_estimate: self.input_estimate,
            tier: self.request.shape.tier.as_deref(),
            fallback: self.grant.terms().held,
        };
        let mut amounts: Vec<AttemptAmount> =
            self.gate.exposed().into_iter().map(|attempt| bill.unanswered(attempt)).collect();
        if owes(heard, said) {
            let is_heard = said.said_something() || said.usage().is_some();
            let tier = if is_heard { said.tier() } else { bill.tier };
            amounts.push(bill.amount(&AttemptEnd {
                attempt: self.gate.admitted(),
                reported: said.usage(),
                cost: said.cost(),
                tier: tier.map(str::to_owned),
                is_whole: said.finish().is_some(),
                output_seen,
                provider_request_id: said.request_id().map(str::to_owned),
            }));
        }
        amounts
    }
}

/// Whether the last attempt may have been charged.
fn owes(heard: &Heard, said: &Narrator) -> bool {
    match heard {
        Heard::Broken(error) => {
            said.said_something() || said.usage().is_some() || error.exposure() == Exposure::Unknown
        }
        _ => true,
    }
}

/// Asks the journal again if the lease that held when the attempt was journaled may have lapsed.
/// Who took the turn over before the hold was there has concluded that no byte left, so none may.
async fn fence_broken(
    inner: &Inner,
    leased_until: Timestamp,
    fence: &Fence,
    key: &StepKey,
) -> Option<PersistError> {
    if inner.clock.now() < leased_until {
        return None;
    }
    let attempt = AttemptKey { step: key.clone(), attempt: 1 };
    persistently(|| inner.store.dispatch(fence, &attempt)).await.err()
}
