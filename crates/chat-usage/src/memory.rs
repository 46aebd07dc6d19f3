//! `MemoryUsageStore`: the reference behaviour of the port, for tests and programs without a disk.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat_types::{AttemptKey, Scope, TenantId};

use crate::{Result, UsageQuery, UsageRow, UsageStore};

/// The most rows of one page, also for a query without a limit.
const PAGE_MAX: u32 = 1_000;

/// Usage rows in memory; clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryUsageStore {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    rows: Vec<(Scope, UsageRow)>,
    keys: BTreeSet<(TenantId, AttemptKey)>,
}

impl MemoryUsageStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        // No step below can panic half-way, so a poisoned state is still whole.
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl UsageStore for MemoryUsageStore {
    async fn record(&self, scope: &Scope, rows: &[UsageRow]) -> Result<()> {
        self.with(|state| {
            for row in rows {
                if state.keys.insert((scope.tenant.clone(), row.key.clone())) {
                    state.rows.push((scope.clone(), row.clone()));
                }
            }
        });
        Ok(())
    }

    async fn rows(&self, scope: &Scope, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        let limit = if query.limit == 0 { PAGE_MAX } else { query.limit.min(PAGE_MAX) };
        Ok(self.with(|state| {
            let mine = state.rows.iter().filter(|(owner, _)| owner == scope).map(|(_, row)| row);
            let mut is_past = query.after.is_none();
            mine.filter(|row| {
                let is_wanted = is_past;
                is_past = is_past || query.after.as_ref() == Some(&row.key);
                is_wanted
            })
            .filter(|row| query.conversation.as_ref().is_none_or(|id| row.conversation == *id))
            .filter(|row| query.from.is_none_or(|from| row.at >= from))
            .filter(|row| query.until.is_none_or(|until| row.at < until))
            .take(usize::try_from(limit).unwrap_or(usize::MAX))
            .cloned()
            .collect()
        }))
    }

    async fn scan_rows(&self, after: u64, limit: u32) -> Result<Vec<(Scope, UsageRow)>> {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.with(|state| state.rows.iter().skip(skip).take(limit).cloned().collect()))
    }
}
