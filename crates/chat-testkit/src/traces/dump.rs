//! Everything that a trace left in a store, as comparable lines.

use std::fmt::Debug;

use chat_balance::{HoldState, Notice};
use chat_persist::{ConversationQuery, Fence, StepClose, TurnClose, TurnRecord};
use chat_types::{
    EVENT_VERSION, EventKind, Scope, StepKey, TenantId, Timestamp, TurnEvent, TurnId, TurnState,
};
use chat_usage::UsageQuery;

use super::generate::Trace;
use super::operation::Operation;
use crate::Ports;
use crate::fixtures::{at, id};

/// Rows of one page: small, so that traces also page.
const PAGE: u32 = 7;

/// More than all notices of the traces that run at once.
const NOTICES_MAX: u32 = 10_000;

/// Reads all rows of the trace's tenants. `entries_before` entries were there before the trace;
/// the second value is how many there are now.
pub(super) async fn dump(ports: &Ports, trace: &Trace, entries_before: u64) -> (Vec<String>, u64) {
    let mut lines = Vec::new();
    for scope in &trace.scopes {
        conversations(ports, scope, &mut lines).await;
        usage_rows(ports, scope, &mut lines).await;
    }
    for (scope, turn) in turns(trace) {
        if ports.store.turn(&scope, &turn).await.expect("reads a turn").is_some() {
            events(ports, &scope, &turn, &mut lines).await;
        }
    }
    for tenant in &trace.tenants {
        scans(ports, tenant, &mut lines).await;
        tenant_rows(ports, tenant, &mut lines).await;
    }
    for notice in notices(ports, trace).await {
        say(&mut lines, "notice", &notice.scope, &notice);
    }
    let entries = entries(ports, trace, entries_before, &mut lines).await;
    (lines, entries)
}

/// What the trace left open is ended, settled and deleted, so that the next trace finds no running
/// turn; what the store answers is told.
pub(super) async fn tidy(ports: &Ports, trace: &Trace) -> Vec<String> {
    let mut lines = Vec::new();
    let Ports { store, ledger, .. } = ports;
    for (scope, turn) in turns(trace) {
        let Some(record) = store.turn(&scope, &turn).await.expect("reads a turn") else {
            continue;
        };
        if !record.state.is_terminal() {
            let fence = Fence { scope: scope.clone(), turn, epoch: record.epoch };
            let closed = store.close_turn(&fence, &interrupt(&record)).await;
            say(&mut lines, "interrupt", &scope, &closed.map_err(|error| error.kind()));
        }
        let steps: Vec<(TenantId, StepKey)> =
            record.steps.iter().map(|step| (scope.tenant.clone(), step.key.clone())).collect();
        store.mark_settled(&steps).await.expect("marks steps");
    }
    for tenant in &trace.tenants {
        for hold in holds(ports, tenant).await {
            if hold.state == HoldState::Open {
                let released = ledger.release(&hold.scope, &hold.key, END).await;
                say(&mut lines, "release", tenant, &released.map_err(|error| error.kind()));
            }
        }
    }
    let told = notices(ports, trace).await;
    let told: Vec<_> = told.into_iter().map(|notice| (notice.scope.tenant, notice.key)).collect();
    ledger.delivered(&told).await.expect("forgets notices");
    for scope in &trace.scopes {
        for conversation in all_conversations(ports, scope).await {
            let deleted = store.delete_conversation(scope, &conversation.id).await;
            say(&mut lines, "delete", scope, &deleted.map_err(|error| error.kind()));
        }
    }
    lines
}

const END: Timestamp = at(1_900_000_000_000);

fn interrupt(record: &TurnRecord) -> TurnClose {
    let seq = record.last_seq + 1;
    let event = TurnEvent {
        v: EVENT_VERSION,
        turn: record.turn.id.clone(),
        epoch: record.epoch,
        seq,
        event: EventKind::TextDelta { part: 0, text: "the end".into() },
    };
    let open = record.steps.iter().filter(|step| step.amounts.is_empty());
    TurnClose {
        state: TurnState::Interrupted,
        message: None,
        steps: open.map(|step| StepClose { step: step.key.step, amounts: Vec::new() }).collect(),
        segment: chat_persist::EventSegment::encode(&[event]).expect("events encode"),
        failure: None,
        closed_at: END,
    }
}

fn say(lines: &mut Vec<String>, what: &str, whose: &dyn Debug, row: &dyn Debug) {
    lines.push(format!("{what} of {whose:?}: {row:?}"));
}

/// Every turn the trace may have begun, each once.
fn turns(trace: &Trace) -> Vec<(Scope, TurnId)> {
    let mut turns: Vec<(Scope, TurnId)> = Vec::new();
    for operation in &trace.operations {
        let named = match operation {
            Operation::Accept { scope, accept } => vec![(scope.clone(), accept.turn.id.clone())],
            Operation::RestoreTurns { turns } => {
                turns.iter().map(|(scope, turn)| (scope.clone(), turn.turn.id.clone())).collect()
            }
            _ => continue,
        };
        turns.extend(named.into_iter().filter(|turn| !turns.contains(turn)).collect::<Vec<_>>());
    }
    turns
}

async fn all_conversations(ports: &Ports, scope: &Scope) -> Vec<chat_types::Conversation> {
    let mut all = Vec::new();
    for archived in [false, true] {
        let mut query = ConversationQuery { limit: PAGE, archived, ..Default::default() };
        loop {
            let page = ports.store.conversations(scope, &query).await.expect("lists");
            all.extend(page.conversations);
            match page.next {
                Some(next) => query.after = Some(next),
                None => break,
            }
        }
    }
    all
}

async fn conversations(ports: &Ports, scope: &Scope, lines: &mut Vec<String>) {
    for conversation in all_conversations(ports, scope).await {
        say(lines, "conversation", scope, &conversation);
        let mut after = None;
        loop {
            let page = ports
                .store
                .messages(scope, &conversation.id, after.as_ref(), 7)
                .await
                .expect("reads messages");
            for message in &page.messages {
                say(lines, "message", scope, message);
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
}

async fn events(ports: &Ports, scope: &Scope, turn: &TurnId, lines: &mut Vec<String>) {
    let mut after = 0;
    loop {
        let page = ports.store.events(scope, turn, after, PAGE).await.expect("reads events");
        say(lines, "events", turn, &page);
        match page.segments.last() {
            Some(last) => after = last.last_seq,
            None => break,
        }
    }
}

/// No id of a trace sorts before this.
const FIRST: &str = "-";

/// The scans over all scopes, from the tenant's first row to its last.
async fn scans(ports: &Ports, tenant: &TenantId, lines: &mut Vec<String>) {
    // No user of a trace sorts before this.
    let first = Scope::new(tenant.clone(), id(FIRST));
    let mut after = (first.clone(), id(FIRST));
    loop {
        let page = ports.store.scan_conversations(Some(&after), PAGE).await.expect("scans");
        let ours: Vec<_> = page.iter().take_while(|(whose, _)| whose.tenant == *tenant).collect();
        for (whose, conversation) in &ours {
            say(lines, "scanned conversation", whose, &conversation.id);
        }
        match page.last().filter(|_| ours.len() == page.len()) {
            Some((scope, last)) => after = (scope.clone(), last.id.clone()),
            None => break,
        }
    }
    let mut after = (first, id(FIRST));
    loop {
        let page = ports.store.scan_files(Some(&after), PAGE).await.expect("scans");
        let ours: Vec<_> = page.iter().take_while(|(whose, _)| whose.tenant == *tenant).collect();
        for (whose, file) in &ours {
            say(lines, "file", whose, file);
        }
        match page.last().filter(|_| ours.len() == page.len()) {
            Some((scope, last)) => after = (scope.clone(), last.id.clone()),
            None => break,
        }
    }
    let mut after = (tenant.clone(), id(FIRST));
    loop {
        let page = ports.store.scan_turns(Some(&after), PAGE).await.expect("scans");
        let ours: Vec<_> = page.iter().take_while(|(whose, _)| whose.tenant == *tenant).collect();
        for (whose, turn) in &ours {
            say(lines, "turn", whose, turn);
        }
        match page.last().filter(|_| ours.len() == page.len()) {
            Some((scope, last)) => after = (scope.tenant.clone(), last.turn.id.clone()),
            None => break,
        }
    }
}

async fn tenant_rows(ports: &Ports, tenant: &TenantId, lines: &mut Vec<String>) {
    let mut after = (tenant.clone(), StepKey { turn: id(FIRST), step: 0 });
    loop {
        let page = ports.store.scan_steps(Some(&after), PAGE).await.expect("scans steps");
        let ours: Vec<_> = page.iter().take_while(|row| row.scope.tenant == *tenant).collect();
        for row in &ours {
            say(lines, "step", tenant, row);
        }
        match page.last().filter(|_| ours.len() == page.len()) {
            Some(last) => after = (tenant.clone(), last.step.key.clone()),
            None => break,
        }
    }
    let mut after = (tenant.clone(), id(FIRST));
    loop {
        let page = ports.ledger.scan_accounts(Some(&after), PAGE).await.expect("scans accounts");
        let ours: Vec<_> = page.iter().take_while(|(whose, _)| whose == tenant).collect();
        for (_, account) in &ours {
            say(lines, "account", tenant, account);
        }
        match page.last().filter(|_| ours.len() == page.len()) {
            Some((_, last)) => after = (tenant.clone(), last.id.clone()),
            None => break,
        }
    }
    for hold in holds(ports, tenant).await {
        say(lines, "hold", tenant, &hold);
    }
}

async fn holds(ports: &Ports, tenant: &TenantId) -> Vec<chat_balance::Hold> {
    let mut holds = Vec::new();
    let mut after = (tenant.clone(), StepKey { turn: id(FIRST), step: 0 });
    loop {
        let page = ports.ledger.scan_holds(Some(&after), PAGE).await.expect("scans holds");
        let count = page.len();
        let last = page.last().map(|hold| hold.key.clone());
        let before = holds.len();
        holds.extend(page.into_iter().take_while(|hold| hold.scope.tenant == *tenant));
        match last.filter(|_| holds.len() - before == count) {
            Some(last) => after = (tenant.clone(), last),
            None => return holds,
        }
    }
}

/// The trace's; those of traces before it were told when they ended.
async fn notices(ports: &Ports, trace: &Trace) -> Vec<Notice> {
    let mut notices = ports.ledger.notices(NOTICES_MAX).await.expect("reads notices");
    notices.retain(|notice| trace.tenants.contains(&notice.scope.tenant));
    notices
}

async fn usage_rows(ports: &Ports, scope: &Scope, lines: &mut Vec<String>) {
    let mut query = UsageQuery { limit: PAGE, ..Default::default() };
    loop {
        let rows = ports.usage.rows(scope, &query).await.expect("reads usage rows");
        for row in &rows {
            say(lines, "usage", scope, row);
        }
        match rows.last() {
            Some(last) => query.after = Some(last.key.clone()),
            None => break,
        }
    }
}

async fn entries(ports: &Ports, trace: &Trace, before: u64, lines: &mut Vec<String>) -> u64 {
    let mut seen = before;
    loop {
        let page = ports.ledger.scan_entries(seen, 100).await.expect("scans entries");
        if page.is_empty() {
            return seen;
        }
        for entry in &page {
            if trace.tenants.contains(&entry.scope.tenant) {
                say(lines, "entry", &entry.scope, entry);
            }
            seen += 1;
        }
    }
}
