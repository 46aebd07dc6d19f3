//! One call of a port as data, and what a store answers to it as comparable text.

use std::error::Error;
use std::fmt::{self, Debug};

use chat_balance::{
    AccountSpec, BalanceError, Credit, Extension, HoldRequest, LedgerRows, Settlement,
};
use chat_persist::{
    Accept, Checkpoint, ConversationQuery, Fence, LapsedTurn, NewStep, PersistError, StepClose,
    TurnClose, TurnRecord,
};
use chat_types::{
    AccountId, AttemptKey, Conversation, ConversationId, ConversationPatch, FileId, FileRecord,
    Message, MessageId, OwnerId, Scope, StepKey, Summary, TenantId, Timestamp, TokenCount, TurnId,
};
use chat_usage::{UsageError, UsageQuery, UsageRow};

use crate::Ports;

/// A call with its arguments.
#[derive(Clone, Debug)]
pub(super) enum Operation {
    Conversation {
        scope: Scope,
        id: ConversationId,
    },
    Conversations {
        scope: Scope,
        query: ConversationQuery,
    },
    Patch {
        scope: Scope,
        id: ConversationId,
        patch: Box<ConversationPatch>,
        now: Timestamp,
    },
    DeleteConversation {
        scope: Scope,
        id: ConversationId,
    },
    Message {
        scope: Scope,
        conversation: ConversationId,
        id: MessageId,
    },
    Branch {
        scope: Scope,
        conversation: ConversationId,
        head: MessageId,
        limit: usize,
    },
    Messages {
        scope: Scope,
        conversation: ConversationId,
        after: Option<MessageId>,
        limit: usize,
    },
    Import {
        scope: Scope,
        conversation: Box<Conversation>,
        messages: Vec<Message>,
    },
    KeepTokenCounts {
        scope: Scope,
        conversation: ConversationId,
        counts: Vec<(MessageId, TokenCount)>,
    },
    KeepSummary {
        scope: Scope,
        conversation: ConversationId,
        summary: Summary,
    },
    DeleteSubtree {
        scope: Scope,
        conversation: ConversationId,
        message: MessageId,
    },
    Accept {
        scope: Scope,
        accept: Box<Accept>,
    },
    Turn {
        scope: Scope,
        turn: TurnId,
    },
    OpenStep {
        fence: Fence,
        step: NewStep,
    },
    Dispatch {
        fence: Fence,
        attempt: AttemptKey,
    },
    Checkpoint {
        fence: Fence,
        checkpoint: Checkpoint,
    },
    CloseStep {
        fence: Fence,
        close: StepClose,
    },
    CloseTurn {
        fence: Fence,
        close: Box<TurnClose>,
    },
    Events {
        scope: Scope,
        turn: TurnId,
        after_seq: u64,
        limit: u32,
    },
    RequestStop {
        scope: Scope,
        turn: TurnId,
    },
    KeepFiles {
        scope: Scope,
        files: Vec<FileRecord>,
    },
    Files {
        scope: Scope,
        ids: Vec<FileId>,
    },
    Heartbeat {
        owner: OwnerId,
        lease_until: Timestamp,
    },
    Retire {
        owner: OwnerId,
    },
    StopFlags {
        owner: OwnerId,
    },
    LapsedTurns {
        now: Timestamp,
    },
    TakeOver {
        lapsed: LapsedTurn,
        owner: OwnerId,
    },
    UnsettledSteps {
        before: Timestamp,
    },
    MarkSettled {
        steps: Vec<(TenantId, StepKey)>,
    },
    Step {
        tenant: TenantId,
        key: StepKey,
    },
    Sweep {
        now: Timestamp,
        logs_before: Timestamp,
    },
    RestoreTurns {
        turns: Vec<(Scope, TurnRecord)>,
    },
    OpenAccount {
        scope: Scope,
        spec: AccountSpec,
        at: Timestamp,
    },
    Account {
        scope: Scope,
        id: AccountId,
    },
    Credit {
        scope: Scope,
        credit: Credit,
    },
    Hold {
        scope: Scope,
        request: HoldRequest,
    },
    Extend {
        scope: Scope,
        key: StepKey,
        extension: Extension,
    },
    Settle {
        scope: Scope,
        settlement: Settlement,
    },
    Release {
        scope: Scope,
        key: StepKey,
        at: Timestamp,
    },
    HoldOf {
        scope: Scope,
        key: StepKey,
    },
    OpenHolds {
        before: Timestamp,
    },
    RestoreLedger {
        rows: LedgerRows,
    },
    RecordUsage {
        scope: Scope,
        rows: Vec<UsageRow>,
    },
    UsageRows {
        scope: Scope,
        query: UsageQuery,
    },
}

/// What a store answered: equal if the value is, or the kind of the refusal; never its wording.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) what: String,
    why: String,
}

impl PartialEq for Answer {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what
    }
}

impl Answer {
    pub(super) fn is_refusal(&self) -> bool {
        !self.why.is_empty()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if !self.why.is_empty() {
            write!(f, " ({})", self.why)?;
        }
        Ok(())
    }
}

/// The most rows that are asked of all scopes: more than a trace writes, no more than a page.
const ROWS: u32 = 1_000;

impl Operation {
    /// Makes the call. The answer is the value or the kind of the refusal; lists that come in no
    /// promised order are sorted, and rows of tenants that `is_ours` does not know left out.
    pub(super) async fn apply(&self, ports: &Ports, is_ours: impl Fn(&TenantId) -> bool) -> Answer {
        let Ports { store, ledger, usage } = ports;
        match self {
            Self::Conversation { scope, id } => stored(store.conversation(scope, id).await),
            Self::Conversations { scope, query } => stored(store.conversations(scope, query).await),
            Self::Patch { scope, id, patch, now } => {
                stored(store.patch_conversation(scope, id, patch, *now).await)
            }
            Self::DeleteConversation { scope, id } => {
                stored(store.delete_conversation(scope, id).await)
            }
            Self::Message { scope, conversation, id } => {
                stored(store.message(scope, conversation, id).await)
            }
            Self::Branch { scope, conversation, head, limit } => {
                stored(store.branch(scope, conversation, head, *limit).await)
            }
            Self::Messages { scope, conversation, after, limit } => {
                stored(store.messages(scope, conversation, after.as_ref(), *limit).await)
            }
            Self::Import { scope, conversation, messages } => {
                stored(store.import(scope, conversation, messages).await)
            }
            Self::KeepTokenCounts { scope, conversation, counts } => {
                stored(store.keep_token_counts(scope, conversation, counts).await)
            }
            Self::KeepSummary { scope, conversation, summary } => {
                stored(store.keep_summary(scope, conversation, summary).await)
            }
            Self::DeleteSubtree { scope, conversation, message } => {
                stored(store.delete_subtree(scope, conversation, message).await)
            }
            Self::Accept { scope, accept } => stored(store.accept(scope, accept).await),
            Self::Turn { scope, turn } => stored(store.turn(scope, turn).await),
            Self::OpenStep { fence, step } => stored(store.open_step(fence, step).await),
            Self::Dispatch { fence, attempt } => stored(store.dispatch(fence, attempt).await),
            Self::Checkpoint { fence, checkpoint } => {
                stored(store.checkpoint(fence, checkpoint).await)
            }
            Self::CloseStep { fence, close } => stored(store.close_step(fence, close).await),
            Self::CloseTurn { fence, close } => stored(store.close_turn(fence, close).await),
            Self::Events { scope, turn, after_seq, limit } => {
                stored(store.events(scope, turn, *after_seq, *limit).await)
            }
            Self::RequestStop { scope, turn } => stored(store.request_stop(scope, turn).await),
            Self::KeepFiles { scope, files } => stored(store.keep_files(scope, files).await),
            Self::Files { scope, ids } => stored(store.files(scope, ids).await),
            Self::Heartbeat { owner, lease_until } => {
                stored(store.heartbeat(owner, *lease_until).await)
            }
            Self::Retire { owner } => stored(store.retire(owner).await),
            Self::StopFlags { owner } => stored(store.stop_flags(owner).await.map(sorted)),
            Self::LapsedTurns { now } => stored(store.lapsed_turns(*now, ROWS).await.map(|rows| {
                sorted(rows.into_iter().filter(|row| is_ours(&row.scope.tenant)).collect())
            })),
            Self::TakeOver { lapsed, owner } => stored(store.take_over(lapsed, owner).await),
            Self::UnsettledSteps { before } => {
                stored(store.unsettled_steps(*before, ROWS).await.map(|rows| {
                    sorted(rows.into_iter().filter(|row| is_ours(&row.scope.tenant)).collect())
                }))
            }
            Self::MarkSettled { steps } => stored(store.mark_settled(steps).await),
            Self::Step { tenant, key } => stored(store.step(tenant, key).await),
            Self::Sweep { now, logs_before } => stored(store.sweep(*now, *logs_before, ROWS).await),
            Self::RestoreTurns { turns } => stored(store.restore_turns(turns).await),
            Self::OpenAccount { scope, spec, at } => {
                booked(ledger.open_account(scope, spec, *at).await)
            }
            Self::Account { scope, id } => booked(ledger.account(scope, id).await),
            Self::Credit { scope, credit } => booked(ledger.credit(scope, credit).await),
            Self::Hold { scope, request } => booked(ledger.hold(scope, request).await),
            Self::Extend { scope, key, extension } => {
                booked(ledger.extend(scope, key, extension).await)
            }
            Self::Settle { scope, settlement } => booked(ledger.settle(scope, settlement).await),
            Self::Release { scope, key, at } => booked(ledger.release(scope, key, *at).await),
            Self::HoldOf { scope, key } => booked(ledger.hold_of(scope, key).await),
            Self::OpenHolds { before } => {
                booked(ledger.open_holds(*before, ROWS).await.map(|rows| {
                    sorted(rows.into_iter().filter(|row| is_ours(&row.scope.tenant)).collect())
                }))
            }
            Self::RestoreLedger { rows } => booked(ledger.restore(rows).await),
            Self::RecordUsage { scope, rows } => metered(usage.record(scope, rows).await),
            Self::UsageRows { scope, query } => metered(usage.rows(scope, query).await),
        }
    }
}

fn sorted<T: Debug>(mut rows: Vec<T>) -> Vec<T> {
    rows.sort_by_cached_key(|row| format!("{row:?}"));
    rows
}

fn stored<T: Debug>(answer: Result<T, PersistError>) -> Answer {
    told(answer, |error| format!("{:?}", error.kind()))
}

fn booked<T: Debug>(answer: Result<T, BalanceError>) -> Answer {
    told(answer, |error| match error.refusal() {
        Some(refusal) => format!("{:?} {refusal:?}", error.kind()),
        None => format!("{:?}", error.kind()),
    })
}

fn metered<T: Debug>(answer: Result<T, UsageError>) -> Answer {
    told(answer, |error| error.code().to_owned())
}

fn told<T: Debug, E: Error>(answer: Result<T, E>, kind: impl Fn(&E) -> String) -> Answer {
    match answer {
        Ok(value) => Answer { what: format!("{value:?}"), why: String::new() },
        Err(error) => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            Answer { what: format!("refused: {}", kind(&error)), why: format!("{error}{source}") }
        }
    }
}
