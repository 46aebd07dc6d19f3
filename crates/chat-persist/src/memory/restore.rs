//! Turns that ended in another store, and the scans that read whole stores.

use std::collections::BTreeMap;
use std::ops::Bound;

use chat_types::{
    Conversation, ConversationId, FileId, FileRecord, Scope, StepState, TenantId, TurnId,
};

use crate::{PersistErrorKind, Result, TurnRecord};

use super::{State, StepRow, TurnRow, page_rows, refused};

const OPERATION: &str = "restore turns";

impl State {
    pub(super) fn restore_turns(&mut self, turns: &[(Scope, TurnRecord)]) -> Result<()> {
        let mut new: BTreeMap<(&TenantId, &TurnId), (&Scope, &TurnRecord)> = BTreeMap::new();
        for (scope, record) in turns {
            record.check_ended()?;
            let turn = &record.turn;
            if self.conversation(scope, &turn.conversation).is_none() {
                let detail = format!("there is no conversation {}", turn.conversation);
                return refused(PersistErrorKind::NotFound, OPERATION, detail);
            }
            let stored = self.turns.get(&(scope.tenant.clone(), turn.id.clone()));
            let is_same = match (stored, new.get(&(&scope.tenant, &turn.id))) {
                (Some(row), _) => Some(row.scope == *scope && row.to_record().is_same_end(record)),
                (None, Some((first, same))) => Some(*first == scope && same.is_same_end(record)),
                (None, None) => None,
            };
            match is_same {
                Some(true) => continue,
                Some(false) => {
                    let detail = format!("turn id {} is taken", turn.id);
                    return refused(PersistErrorKind::Conflict, OPERATION, detail);
                }
                None => {}
            }
            if let Some(key) = &turn.idempotency_key {
                let stored = self.spaces.get(scope).is_some_and(|s| s.keys.contains_key(key));
                let arriving = new.values().any(|(other, record)| {
                    *other == scope && record.turn.idempotency_key.as_ref() == Some(key)
                });
                if stored || arriving {
                    let detail = format!("the idempotency key of turn {} is taken", turn.id);
                    return refused(PersistErrorKind::Conflict, OPERATION, detail);
                }
            }
            new.insert((&scope.tenant, &turn.id), (scope, record));
        }
        let rows: Vec<TurnRow> =
            new.into_values().map(|(scope, record)| restored(scope, record)).collect();
        for row in rows {
            let turn = &row.record.turn;
            if let Some(key) = &turn.idempotency_key {
                let space = self.spaces.entry(row.scope.clone()).or_default();
                space.keys.insert(key.clone(), turn.id.clone());
            }
            self.turns.insert((row.scope.tenant.clone(), turn.id.clone()), row);
        }
        Ok(())
    }

    pub(super) fn scan_turns(
        &self,
        after: Option<&(TenantId, TurnId)>,
        limit: u32,
    ) -> Vec<(Scope, TurnRecord)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.turns.range((from, Bound::Unbounded)).take(page_rows(limit));
        rows.map(|(_, turn)| (turn.scope.clone(), turn.to_record())).collect()
    }

    pub(super) fn scan_conversations(
        &self,
        after: Option<&(Scope, ConversationId)>,
        limit: u32,
    ) -> Vec<(Scope, Conversation)> {
        let mut found: Vec<(&Scope, &Conversation)> = self
            .spaces
            .iter()
            .flat_map(|(scope, space)| space.conversations.values().map(move |row| (scope, row)))
            .map(|(scope, row)| (scope, &row.conversation))
            .filter(|(scope, row)| after.is_none_or(|(last, id)| (*scope, &row.id) > (last, id)))
            .collect();
        found.sort_by_key(|(scope, row)| (*scope, &row.id));
        let page = found.into_iter().take(page_rows(limit));
        page.map(|(scope, row)| (scope.clone(), row.clone())).collect()
    }

    pub(super) fn scan_files(
        &self,
        after: Option<&(Scope, FileId)>,
        limit: u32,
    ) -> Vec<(Scope, FileRecord)> {
        let mut found: Vec<(&Scope, &FileRecord)> = self
            .spaces
            .iter()
            .flat_map(|(scope, space)| space.files.values().map(move |file| (scope, file)))
            .filter(|(scope, file)| after.is_none_or(|(last, id)| (*scope, &file.id) > (last, id)))
            .collect();
        found.sort_by_key(|(scope, file)| (*scope, &file.id));
        let page = found.into_iter().take(page_rows(limit));
        page.map(|(scope, file)| (scope.clone(), file.clone())).collect()
    }
}

fn restored(scope: &Scope, record: &TurnRecord) -> TurnRow {
    let settling_since = |state| (state == StepState::Settling).then_some(record.closed_at);
    let steps = record.steps.iter().map(|step| {
        let row =
            StepRow { record: step.clone(), settling_since: settling_since(step.state).flatten() };
        (step.key.step, row)
    });
    TurnRow {
        scope: scope.clone(),
        owner: record.turn.owner.clone(),
        steps: steps.collect(),
        record: TurnRecord { steps: Vec::new(), ..record.clone() },
        segments: Vec::new(),
        log_expired: true,
    }
}
