//! The ladder over a whole list of messages: what a program without pages calls.

use std::collections::{HashMap, HashSet};

use chat_types::{Message, MessageId, Role, Tokens};

use crate::fill::Offer;
use crate::ladder::Ladder;
use crate::plan::{DropReason, Fate, Plan, Planned, TrimReason};
use crate::policy::TruncationPolicy;
use crate::shrink::CountMessage;
use crate::start::{LadderStart, Reserve, SizedMessage};
use crate::unit::{Repair, Unit, starts_turn, units};

/// What a whole list is planned for.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct PlanRequest<'a> {
    /// What instructions and tools leave of the input.
    pub budget: Tokens,
    /// What every request costs besides its messages.
    pub priming: Tokens,
    /// [`Plan::cut_before`] of the turn before, see [`LadderStart::with_cut_before`].
    pub cut_before: Option<&'a MessageId>,
    /// Messages that are sent whatever their age, up to the policy's share of the budget.
    pub pinned: &'a [MessageId],
}

impl PlanRequest<'_> {
    /// Nothing but a budget.
    #[must_use]
    pub const fn new(budget: Tokens) -> Self {
        Self { budget, priming: Tokens::ZERO, cut_before: None, pinned: &[] }
    }
}

impl TruncationPolicy {
    /// Plans `messages`, oldest first. Pure and total: there is an answer for any list.
    ///
    /// From the newest user message on everything must be sent, as must system messages. Parts of
    /// tool use without counterpart are taken out and reported in [`Plan::repairs`]. `count` is
    /// called once per message and a few times for one that is shortened.
    #[must_use]
    pub fn plan(
        &self,
        request: PlanRequest<'_>,
        messages: &[Message],
        count: &CountMessage<'_>,
    ) -> Plan {
        let stored: HashMap<&MessageId, Tokens> = messages
            .iter()
            .map(|message| (&message.id, count(message.role, &message.parts)))
            .collect();
        let (units, repairs) = units(messages.to_vec());
        let repaired: HashSet<&MessageId> = repairs.iter().map(|repair| &repair.message).collect();
        let size = |message: &Message| match stored.get(&message.id) {
            Some(tokens) if !repaired.contains(&message.id) => *tokens,
            _ => count(message.role, &message.parts),
        };
        let sized: Vec<Vec<SizedMessage<'_>>> = units
            .iter()
            .map(|unit| unit.messages.iter().map(|m| SizedMessage::new(m, size(m))).collect())
            .collect();
        let newest = units.iter().rposition(is_turn);
        let (older, required) =
            sized.split_at(newest.unwrap_or_else(|| units.len().saturating_sub(1)));
        let mut start = LadderStart::new(request.budget)
            .with_priming(request.priming)
            .with_cut_before(request.cut_before.cloned())
            .with_required(required.concat());
        let mut turns = 0_u32;
        for (unit, sized) in units.iter().zip(older) {
            turns = turns.saturating_add(u32::from(is_turn(unit)));
            let is_pinned = unit.messages.iter().any(|m| request.pinned.contains(&m.id));
            let why = if unit.messages.iter().any(|m| m.role == Role::System) {
                Reserve::System
            } else if is_pinned {
                Reserve::Pinned
            } else if turns <= self.first_turns() && self.first_turns() > 0 {
                Reserve::First
            } else {
                continue;
            };
            start = start.with_reserved(why, sized.clone());
        }
        let mut ladder = Ladder::new(self, &start, count);
        for sized in older.iter().rev() {
            // Full: all older ones are left out, except what is reserved; the plan says which.
            let (Offer::Kept | Offer::Full) = ladder.offer(sized, count);
        }
        with_repairs(ladder.finish(), messages, &units, (&stored, repairs.clone()))
    }
}

fn is_turn(unit: &Unit) -> bool {
    unit.messages.first().is_some_and(starts_turn)
}

/// Says of repaired messages that they were, and puts those back in their place of which nothing
/// was left.
fn with_repairs(
    mut plan: Plan,
    messages: &[Message],
    units: &[Unit],
    (stored, repairs): (&HashMap<&MessageId, Tokens>, Vec<Repair>),
) -> Plan {
    if repairs.is_empty() {
        return plan;
    }
    let repaired: HashSet<&MessageId> = repairs.iter().map(|repair| &repair.message).collect();
    let left: HashMap<&MessageId, &Message> =
        units.iter().flat_map(|unit| &unit.messages).map(|m| (&m.id, m)).collect();
    let mut planned: HashMap<MessageId, Planned> =
        plan.messages.into_iter().map(|planned| (planned.message.clone(), planned)).collect();
    plan.messages = messages
        .iter()
        .map(|message| {
            let tokens_stored = stored.get(&message.id).copied().unwrap_or(Tokens::ZERO);
            let Some(mut planned) = planned.remove(&message.id) else {
                let fate = Fate::Drop { reason: DropReason::Repaired };
                return Planned {
                    message: message.id.clone(),
                    tokens_stored,
                    tokens: Tokens::ZERO,
                    fate,
                };
            };
            planned.tokens_stored = tokens_stored;
            if planned.fate == Fate::Keep
                && repaired.contains(&message.id)
                && let Some(left) = left.get(&message.id)
            {
                let by = TrimReason::Repaired;
                planned.fate = Fate::Trim { parts: left.parts.clone(), by };
            }
            planned
        })
        .collect();
    plan.repairs = repairs;
    plan
}
