//! Reads a store from outside, through its ports: what a crash left and what recovery made of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use chat_balance::{Account, Entry, Hold};
use chat_persist::TurnRecord;
use chat_runtime::Store;
use chat_runtime::archive::{LedgerPorts, Stores};
use chat_types::{ConversationId, EventKind, Message, Scope, Timestamp, TurnEvent, TurnId};
use chat_usage::UsageRow;

use super::sending::text_of;

/// No lease reaches this far: every running turn counts as lapsed.
const FAR_FUTURE: Timestamp = Timestamp::from_unix_ms(32_503_680_000_000);
/// More rows than any test writes.
const ROWS: u32 = 1_000;

/// Opens the store anew for each look, as a new process would.
#[derive(Debug)]
pub struct Journal {
    url: String,
    runtime: Mutex<tokio::runtime::Runtime>,
    known: Mutex<HashSet<TurnId>>,
}

/// A turn as the journal has it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenTurn {
    /// Whose.
    pub scope: Scope,
    /// Its row and its steps.
    pub record: TurnRecord,
    /// Its log.
    pub events: Vec<TurnEvent>,
    /// The hold of its first step.
    pub hold: Option<Hold>,
}

impl SeenTurn {
    /// The text that is in the log.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(&self.events)
    }

    /// The idempotency key it was sent with, or nothing.
    #[must_use]
    pub fn key(&self) -> &str {
        let key = self.record.turn.idempotency_key.as_ref();
        key.map_or("", |key| key.as_str())
    }

    /// How many ends its log has.
    #[must_use]
    pub fn endings(&self) -> usize {
        let ends = |event: &&TurnEvent| matches!(event.event, EventKind::Ended { .. });
        self.events.iter().filter(ends).count()
    }
}

/// Everything a store holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Books {
    /// Turns without an end.
    pub running: usize,
    /// All turns.
    pub turns: BTreeMap<TurnId, SeenTurn>,
    /// All messages, by conversation.
    pub messages: BTreeMap<ConversationId, Vec<Message>>,
    /// All accounts.
    pub accounts: Vec<Account>,
    /// All holds.
    pub holds: Vec<Hold>,
    /// All entries, in the order they were written.
    pub entries: Vec<Entry>,
    /// All usage rows.
    pub usage: Vec<UsageRow>,
}

impl Books {
    /// The turn that was sent with this key.
    #[must_use]
    pub fn turn_of_key(&self, key: &str) -> Option<&SeenTurn> {
        self.turns.values().find(|turn| turn.key() == key)
    }
}

impl Journal {
    /// The store at this URL.
    #[must_use]
    pub fn new(url: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self {
            url: url.to_owned(),
            runtime: Mutex::new(runtime),
            known: Mutex::new(HashSet::new()),
        }
    }

    fn look<T>(&self, look: impl AsyncFnOnce(&Stores, &LedgerPorts) -> T) -> T {
        let runtime = self.runtime.lock().unwrap();
        runtime.block_on(async {
            let store = Store::open(&self.url).await.unwrap();
            let ports = store.ports();
            let seen = look(&ports, ports.ledger.as_ref().unwrap()).await;
            drop(ports);
            store.close().await;
            seen
        })
    }

    /// The turn that was sent with this idempotency key, if it was accepted. Returns each turn once.
    pub fn find(&self, key: &str) -> Option<SeenTurn> {
        self.look(async |stores, ledger| {
            for (scope, record) in turns(stores).await {
                let named = record.turn.idempotency_key.as_ref();
                let is_it = named.is_some_and(|named| named.as_str() == key);
                if is_it && self.known.lock().unwrap().insert(record.turn.id.clone()) {
                    return Some(seen(stores, ledger, scope, record).await);
                }
            }
            None
        })
    }

    /// Everything.
    pub fn books(&self) -> Books {
        self.look(async |stores, ledger| {
            let running = stores.maintenance.lapsed_turns(FAR_FUTURE, ROWS).await.unwrap().len();
            let mut turns_seen = BTreeMap::new();
            let mut messages = BTreeMap::new();
            for (scope, record) in turns(stores).await {
                let conversation = record.turn.conversation.clone();
                let page = stores.persistence.messages(&scope, &conversation, None, 1_000).await;
                messages.insert(conversation, page.unwrap().messages);
                let id = record.turn.id.clone();
                turns_seen.insert(id, seen(stores, ledger, scope, record).await);
            }
            let ledger = &ledger.maintenance;
            let accounts = ledger.scan_accounts(None, ROWS).await.unwrap();
            let usage = stores.usage.scan_rows(0, ROWS).await.unwrap();
            Books {
                running,
                turns: turns_seen,
                messages,
                accounts: accounts.into_iter().map(|(_, account)| account).collect(),
                holds: ledger.scan_holds(None, ROWS).await.unwrap(),
                entries: ledger.scan_entries(0, ROWS).await.unwrap(),
                usage: usage.into_iter().map(|(_, row)| row).collect(),
            }
        })
    }
}

async fn turns(stores: &Stores) -> Vec<(Scope, TurnRecord)> {
    let turns = stores.maintenance.scan_turns(None, ROWS).await.unwrap();
    assert!(turns.len() < 1_000, "there may be more turns than are looked at");
    turns
}

async fn seen(stores: &Stores, ledger: &LedgerPorts, scope: Scope, record: TurnRecord) -> SeenTurn {
    let id = &record.turn.id;
    let mut events = Vec::new();
    let mut after = 0;
    loop {
        let page = stores.persistence.events(&scope, id, after, 64).await.unwrap();
        let Some(last) = page.segments.last() else {
            break;
        };
        after = last.last_seq;
        for segment in &page.segments {
            events.extend(segment.decode().unwrap());
        }
    }
    let key = chat_types::StepKey { turn: id.clone(), step: 1 };
    let hold = ledger.balance.hold_of(&scope, &key).await.unwrap();
    SeenTurn { scope, record, events, hold }
}
