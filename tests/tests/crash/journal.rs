//! Reads a store from outside, through its ports: what a crash left and what recovery made of it.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Mutex;

use chat_balance::{Account, BalanceAdapter, Entry, Hold, LedgerMaintenance};
use chat_persist::{Maintenance, OpenStep, PersistenceAdapter, TurnRecord};
use chat_persist_sqlite::{SqliteConfig, SqliteStore};
use chat_types::{ConversationId, EventKind, Message, Scope, Timestamp, TurnEvent, TurnId};
use chat_usage::{UsageRow, UsageStore};

use crate::victim::text_of;

/// No lease reaches this far: every running turn counts as lapsed.
const FAR_FUTURE: Timestamp = Timestamp::from_unix_ms(32_503_680_000_000);
/// More rows than any test writes.
const ROWS: u32 = 1_000;

/// Opens the store's file anew for each look, as a new process would.
pub(crate) struct Journal {
    path: PathBuf,
    runtime: Mutex<tokio::runtime::Runtime>,
    known: Mutex<HashSet<TurnId>>,
}

/// A turn as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeenTurn {
    pub(crate) scope: Scope,
    pub(crate) record: TurnRecord,
    pub(crate) events: Vec<TurnEvent>,
    pub(crate) hold: Option<Hold>,
}

impl SeenTurn {
    /// The text that is in the log.
    pub(crate) fn text(&self) -> String {
        text_of(&self.events)
    }

    pub(crate) fn key(&self) -> &str {
        let key = self.record.turn.idempotency_key.as_ref();
        key.map_or("", |key| key.as_str())
    }

    pub(crate) fn endings(&self) -> usize {
        let ends = |event: &&TurnEvent| matches!(event.event, EventKind::Ended { .. });
        self.events.iter().filter(ends).count()
    }
}

/// Everything a store holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Books {
    pub(crate) running: usize,
    pub(crate) turns: BTreeMap<TurnId, SeenTurn>,
    pub(crate) messages: BTreeMap<ConversationId, Vec<Message>>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) usage: Vec<UsageRow>,
}

impl Books {
    pub(crate) fn turn_of_key(&self, key: &str) -> Option<&SeenTurn> {
        self.turns.values().find(|turn| turn.key() == key)
    }
}

impl Journal {
    pub(crate) fn new(path: PathBuf) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { path, runtime: Mutex::new(runtime), known: Mutex::new(HashSet::new()) }
    }

    fn look<T>(&self, look: impl AsyncFnOnce(&SqliteStore) -> T) -> T {
        let runtime = self.runtime.lock().unwrap();
        runtime.block_on(async {
            let store = SqliteStore::open(SqliteConfig::new(&self.path)).await.unwrap();
            let seen = look(&store).await;
            store.close().await;
            seen
        })
    }

    /// The turn that was sent with this idempotency key, if it was accepted. Reads only turns that no
    /// earlier look has returned.
    pub(crate) fn find(&self, key: &str) -> Option<SeenTurn> {
        self.look(async |store| {
            for (scope, id) in turns(store).await {
                if self.known.lock().unwrap().contains(&id) {
                    continue;
                }
                let record = store.turn(&scope, &id).await.unwrap().unwrap();
                let named = record.turn.idempotency_key.as_ref();
                if named.is_some_and(|named| named.as_str() == key) {
                    self.known.lock().unwrap().insert(id);
                    return Some(seen(store, scope, record).await);
                }
            }
            None
        })
    }

    /// Everything; `also` are turns that may no longer be found by being unfinished or having a step.
    pub(crate) fn books(&self, also: &[(Scope, TurnId)]) -> Books {
        self.look(async |store| {
            let running = store.lapsed_turns(FAR_FUTURE, ROWS).await.unwrap().len();
            let mut turns_seen = BTreeMap::new();
            let mut messages = BTreeMap::new();
            for (scope, id) in turns(store).await.into_iter().chain(also.iter().cloned()) {
                if turns_seen.contains_key(&id) {
                    continue;
                }
                let record = store.turn(&scope, &id).await.unwrap().unwrap();
                let conversation = record.turn.conversation.clone();
                let page = store.messages(&scope, &conversation, None, 1_000).await;
                messages.insert(conversation, page.unwrap().messages);
                turns_seen.insert(id, seen(store, scope, record).await);
            }
            let accounts = store.scan_accounts(None, ROWS).await.unwrap();
            let usage = store.scan_rows(0, ROWS).await.unwrap();
            Books {
                running,
                turns: turns_seen,
                messages,
                accounts: accounts.into_iter().map(|(_, account)| account).collect(),
                holds: store.scan_holds(None, ROWS).await.unwrap(),
                entries: store.scan_entries(0, ROWS).await.unwrap(),
                usage: usage.into_iter().map(|(_, row)| row).collect(),
            }
        })
    }
}

/// Turns that have not ended, and turns that have a step.
async fn turns(store: &SqliteStore) -> Vec<(Scope, TurnId)> {
    let running = store.lapsed_turns(FAR_FUTURE, ROWS).await.unwrap();
    let mut turns: Vec<(Scope, TurnId)> =
        running.into_iter().map(|turn| (turn.scope, turn.turn)).collect();
    let steps: Vec<OpenStep> = store.scan_steps(None, ROWS).await.unwrap();
    turns.extend(steps.into_iter().map(|open| (open.scope, open.step.key.turn)));
    turns
}

async fn seen(store: &SqliteStore, scope: Scope, record: TurnRecord) -> SeenTurn {
    let id = &record.turn.id;
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let page = store.events(&scope, id, after, 64).await.unwrap();
        let Some(last) = page.segments.last() else {
            break;
        };
        after = last.last_seq;
        for segment in &page.segments {
            events.extend(segment.decode().unwrap());
        }
    }
    let key = chat_types::StepKey { turn: id.clone(), step: 1 };
    let hold = store.hold_of(&scope, &key).await.unwrap();
    SeenTurn { scope, record, events, hold }
}
