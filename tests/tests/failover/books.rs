//! Everything a store holds, read through its ports page by page.

use std::collections::BTreeMap;

use chat_balance::{Account, Entry, Hold, LedgerMaintenance};
use chat_persist::TurnRecord;
use chat_runtime::archive::Stores;
use chat_runtime::{ConversationId, Message, Scope, TurnId};
use chat_usage::UsageRow;

/// Rows per read: several pages are read on purpose.
const ROWS: u32 = 500;

/// The rows of a store at rest.
#[derive(Debug)]
pub(crate) struct Books {
    pub(crate) turns: BTreeMap<TurnId, (Scope, TurnRecord)>,
    pub(crate) messages: BTreeMap<ConversationId, Vec<Message>>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) holds: Vec<Hold>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) usage: Vec<UsageRow>,
}

impl Books {
    pub(crate) async fn read(stores: &Stores) -> Self {
        let ledger = &*stores.ledger.as_ref().unwrap().maintenance;
        Self {
            turns: turns(stores).await,
            messages: messages(stores).await,
            accounts: accounts(ledger).await,
            holds: holds(ledger).await,
            entries: entries(ledger).await,
            usage: usage(stores).await,
        }
    }

    pub(crate) fn messages_of(&self, conversation: &ConversationId) -> &[Message] {
        self.messages.get(conversation).map(Vec::as_slice).unwrap_or_default()
    }
}

async fn turns(stores: &Stores) -> BTreeMap<TurnId, (Scope, TurnRecord)> {
    let mut all = BTreeMap::new();
    let mut after = None;
    loop {
        let page = stores.maintenance.scan_turns(after.as_ref(), ROWS).await.unwrap();
        let Some((scope, last)) = page.last() else { return all };
        after = Some((scope.tenant.clone(), last.turn.id.clone()));
        for (scope, record) in page {
            let twice = all.insert(record.turn.id.clone(), (scope, record));
            assert_eq!(twice, None, "a turn is read twice");
        }
    }
}

async fn messages(stores: &Stores) -> BTreeMap<ConversationId, Vec<Message>> {
    let mut all = BTreeMap::new();
    let mut after = None;
    loop {
        let page = stores.maintenance.scan_conversations(after.as_ref(), ROWS).await.unwrap();
        let Some((scope, last)) = page.last() else { return all };
        after = Some((scope.clone(), last.id.clone()));
        for (scope, conversation) in page {
            // A conversation here is some turns long: one page.
            let read =
                stores.persistence.messages(&scope, &conversation.id, None, 500).await.unwrap();
            all.insert(conversation.id, read.messages);
        }
    }
}

async fn accounts(ledger: &dyn LedgerMaintenance) -> Vec<Account> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = ledger.scan_accounts(after.as_ref(), ROWS).await.unwrap();
        let Some((tenant, last)) = page.last() else { return all };
        after = Some((tenant.clone(), last.id.clone()));
        all.extend(page.into_iter().map(|(_, account)| account));
    }
}

async fn holds(ledger: &dyn LedgerMaintenance) -> Vec<Hold> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = ledger.scan_holds(after.as_ref(), ROWS).await.unwrap();
        let Some(last) = page.last() else { return all };
        after = Some((last.scope.tenant.clone(), last.key.clone()));
        all.extend(page);
    }
}

async fn entries(ledger: &dyn LedgerMaintenance) -> Vec<Entry> {
    let mut all: Vec<Entry> = Vec::new();
    loop {
        let after = u64::try_from(all.len()).unwrap();
        let page = ledger.scan_entries(after, ROWS).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

async fn usage(stores: &Stores) -> Vec<UsageRow> {
    let mut all: Vec<UsageRow> = Vec::new();
    loop {
        let after = u64::try_from(all.len()).unwrap();
        let page = stores.usage.scan_rows(after, ROWS).await.unwrap();
        if page.is_empty() {
            return all;
        }
        all.extend(page.into_iter().map(|(_, row)| row));
    }
}
