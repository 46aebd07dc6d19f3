//! Leases, takeovers, unfinished business and scans, over all scopes.

use std::ops::Bound;

use async_trait::async_trait;
use chat_types::{
    Conversation, ConversationId, FileId, FileRecord, OwnerId, Scope, StepKey, StepState, TenantId,
    Timestamp, TurnId,
};

use crate::{Expired, Fence, LapsedTurn, Maintenance, OpenStep, Result, TurnRecord};

use super::{MemoryStore, State, StepRow, TurnRow, page_rows};

impl State {
    fn lives(&self, owner: &OwnerId, now: Timestamp) -> bool {
        self.leases.get(owner).is_some_and(|until| *until > now)
    }
}

#[async_trait]
impl Maintenance for MemoryStore {
    async fn heartbeat(&self, owner: &OwnerId, lease_until: Timestamp) -> Result<()> {
        self.with(|state| state.leases.insert(owner.clone(), lease_until));
        Ok(())
    }

    async fn retire(&self, owner: &OwnerId) -> Result<()> {
        self.with(|state| state.leases.remove(owner));
        Ok(())
    }

    async fn stop_flags(&self, owner: &OwnerId) -> Result<Vec<TurnId>> {
        let is_flagged = |turn: &&TurnRow| {
            turn.is_running() && turn.record.stop_requested && turn.owner == *owner
        };
        Ok(self.with(|state| {
            let flagged = state.turns.values().filter(is_flagged);
            flagged.map(|turn| turn.record.turn.id.clone()).collect()
        }))
    }

    async fn lapsed_turns(&self, now: Timestamp, limit: u32) -> Result<Vec<LapsedTurn>> {
        Ok(self.with(|state| {
            let lapsed =
                state.turns.values().filter(|t| t.is_running() && !state.lives(&t.owner, now));
            let lapsed = lapsed.map(|turn| LapsedTurn {
                scope: turn.scope.clone(),
                turn: turn.record.turn.id.clone(),
                epoch: turn.record.epoch,
                at: now,
            });
            lapsed.take(page_rows(limit)).collect()
        }))
    }

    async fn take_over(&self, lapsed: &LapsedTurn, owner: &OwnerId) -> Result<Option<Fence>> {
        Ok(self.with(|state| {
            let name = (lapsed.scope.tenant.clone(), lapsed.turn.clone());
            let present = state.turns.get(&name).map(|turn| turn.owner.clone())?;
            if state.lives(&present, lapsed.at) {
                return None;
            }
            let turn = state.turns.get_mut(&name).filter(|turn| {
                turn.scope == lapsed.scope && turn.is_running() && turn.record.epoch == lapsed.epoch
            })?;
            turn.record.epoch = turn.record.epoch.checked_add(1)?;
            turn.owner = owner.clone();
            let LapsedTurn { scope, turn: id, .. } = lapsed.clone();
            Some(Fence { scope, turn: id, epoch: turn.record.epoch })
        }))
    }

    async fn unsettled_steps(&self, before: Timestamp, limit: u32) -> Result<Vec<OpenStep>> {
        let is_due = |step: &StepRow| {
            step.record.state == StepState::Settling
                && step.settling_since.is_some_and(|since| since < before)
        };
        Ok(self.with(|state| {
            let turns = state.turns.values();
            let steps = turns.flat_map(|turn| turn.steps.values().map(move |step| (turn, step)));
            let due = steps.filter(|(_, step)| is_due(step));
            due.take(page_rows(limit)).map(|(turn, step)| open_step(turn, step)).collect()
        }))
    }

    async fn mark_settled(&self, steps: &[(TenantId, StepKey)]) -> Result<()> {
        self.with(|state| {
            for (tenant, key) in steps {
                let turn = state.turns.get_mut(&(tenant.clone(), key.turn.clone()));
                if let Some(step) = turn.and_then(|turn| turn.steps.get_mut(&key.step))
                    && step.record.state == StepState::Settling
                {
                    step.record.state = StepState::Settled;
                }
            }
        });
        Ok(())
    }

    async fn step(&self, tenant: &TenantId, key: &StepKey) -> Result<Option<OpenStep>> {
        Ok(self.with(|state| {
            let turn = state.turns.get(&(tenant.clone(), key.turn.clone()))?;
            Some(open_step(turn, turn.steps.get(&key.step)?))
        }))
    }

    async fn sweep(&self, now: Timestamp, logs_before: Timestamp, limit: u32) -> Result<Expired> {
        let limit = page_rows(limit);
        Ok(self.with(|state| Expired {
            conversations: state.sweep_conversations(now, limit),
            event_logs: state.sweep_event_logs(logs_before, limit),
        }))
    }

    async fn scan_conversations(
        &self,
        after: Option<&(Scope, ConversationId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, Conversation)>> {
        Ok(self.with(|state| state.scan_conversations(after, limit)))
    }

    async fn scan_files(
        &self,
        after: Option<&(Scope, FileId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, FileRecord)>> {
        Ok(self.with(|state| state.scan_files(after, limit)))
    }

    async fn scan_turns(
        &self,
        after: Option<&(TenantId, TurnId)>,
        limit: u32,
    ) -> Result<Vec<(Scope, TurnRecord)>> {
        Ok(self.with(|state| state.scan_turns(after, limit)))
    }

    async fn restore_turns(&self, turns: &[(Scope, TurnRecord)]) -> Result<()> {
        self.with(|state| state.restore_turns(turns))
    }

    async fn scan_steps(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<OpenStep>> {
        Ok(self.with(|state| {
            let first_turn = after.map_or(Bound::Unbounded, |(tenant, key)| {
                Bound::Included((tenant.clone(), key.turn.clone()))
            });
            let is_after = |turn: &TurnRow, step: &StepRow| {
                after.is_none_or(|(tenant, key)| {
                    (&turn.scope.tenant, &step.record.key) > (tenant, key)
                })
            };
            let turns = state.turns.range((first_turn, Bound::Unbounded)).map(|(_, turn)| turn);
            let steps = turns.flat_map(|turn| turn.steps.values().map(move |step| (turn, step)));
            let rest = steps.filter(|(turn, step)| is_after(turn, step));
            rest.take(page_rows(limit)).map(|(turn, step)| open_step(turn, step)).collect()
        }))
    }
}

impl State {
    fn sweep_conversations(&mut self, now: Timestamp, limit: usize) -> u64 {
        let is_over = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let due: Vec<(Scope, ConversationId)> = self
            .spaces
            .iter()
            .flat_map(|(scope, space)| space.conversations.values().map(move |row| (scope, row)))
            .filter(|(_, row)| is_over(row.conversation.expires_at))
            .map(|(scope, row)| (scope.clone(), row.conversation.id.clone()))
            .filter(|(scope, id)| !self.is_busy(scope, id))
            .take(limit)
            .collect();
        for (scope, id) in &due {
            self.remove_conversation(scope, id);
        }
        u64::try_from(due.len()).unwrap_or(u64::MAX)
    }

    fn sweep_event_logs(&mut self, before: Timestamp, limit: usize) -> u64 {
        let is_old = |turn: &&mut TurnRow| {
            !turn.log_expired && turn.record.closed_at.is_some_and(|closed_at| closed_at < before)
        };
        let mut swept: u64 = 0;
        for turn in self.turns.values_mut().filter(is_old).take(limit) {
            turn.segments.clear();
            turn.log_expired = true;
            swept = swept.saturating_add(1);
        }
        swept
    }
}

fn open_step(turn: &TurnRow, step: &StepRow) -> OpenStep {
    OpenStep {
        scope: turn.scope.clone(),
        conversation: turn.record.turn.conversation.clone(),
        turn_state: turn.record.state,
        turn_epoch: turn.record.epoch,
        step: step.record.clone(),
    }
}
