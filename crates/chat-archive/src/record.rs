//! The JSON form of each line: one object with one member that names the kind.
//!
//! Words of `chat-types` have their own JSON form, which the event log and the command line use
//! too. Rows of the ports are converted here, field by field. Times are milliseconds since the Unix
//! epoch, money is nano-USD. Snapshots in the tests pin each form: a change of one is a new version.

use std::borrow::Cow;

use chat_balance::{
    Account, AccountKind, AccountSpec, AccountState, AccountUnit, Entry, EntryKind, Hold, HoldLeg,
    HoldState, Side,
};
use chat_persist::{AttemptAmount, NewTurn, StepRecord, TurnRecord};
use chat_types::{
    AccountId, AttemptKey, Conversation, ConversationId, FileRecord, IdempotencyKey, Message,
    MessageId, ModelRef, Money, OwnerId, Purpose, Scope, StepKey, StepState, TenantId, Timestamp,
    Tokens, TurnFailure, TurnId, TurnKind, TurnState, Usage, UsageSource, UserId,
};
use chat_usage::UsageRow;
use serde::{Deserialize, Serialize};

use crate::{ArchiveLine, Counts};

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LineRecord<'a> {
    Header(Header),
    Conversation(Owned<Cow<'a, Conversation>>),
    Message(Cow<'a, Message>),
    File(Owned<Cow<'a, FileRecord>>),
    Turn(Owned<Turn>),
    Account(InTenant),
    Opening(Owned<Opening>),
    Hold(Owned<HoldRow>),
    Entry(Owned<EntryRow>),
    Usage(Owned<UsageRecord>),
    End(Counts),
}

/// The first line. Fields of newer versions are not looked at: the version alone decides.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) format: String,
    pub(crate) version: u32,
}

/// Something of one user.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Owned<T> {
    tenant: TenantId,
    user: UserId,
    row: T,
}

impl<T> Owned<T> {
    fn by(scope: &Scope, row: T) -> Self {
        Self { tenant: scope.tenant.clone(), user: scope.user.clone(), row }
    }

    fn split(self) -> (Scope, T) {
        (Scope::new(self.tenant, self.user), self.row)
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Turn {
    id: TurnId,
    conversation: ConversationId,
    kind: TurnKind,
    user_message: MessageId,
    reply: MessageId,
    model: ModelRef,
    owner: OwnerId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    idempotency_key: Option<IdempotencyKey>,
    request_hash: String,
    created_at: Timestamp,
    state: TurnState,
    epoch: u64,
    stop_requested: bool,
    last_seq: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<TurnFailure>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_at: Option<Timestamp>,
    steps: Vec<Step>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    step: u32,
    purpose: Purpose,
    model: ModelRef,
    state: StepState,
    attempts: u32,
    input_bound: Tokens,
    input_estimate: Tokens,
    opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    amounts: Vec<AttemptAmount>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InTenant {
    tenant: TenantId,
    row: AccountRow,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AccountRow {
    id: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<UserId>,
    kind: AccountKind,
    #[serde(default, skip_serializing_if = "is_default")]
    unit: AccountUnit,
    granted: Money,
    refunded: Money,
    held: Money,
    posted: Money,
    expired: Money,
    #[serde(default, skip_serializing_if = "is_default")]
    state: AccountState,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Opening {
    id: AccountId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<UserId>,
    kind: AccountKind,
    #[serde(default, skip_serializing_if = "is_default")]
    unit: AccountUnit,
    opening: Money,
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HoldRow {
    turn: TurnId,
    step: u32,
    state: HoldState,
    legs: Vec<HoldLeg>,
    extended_to: u32,
    opened_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed_at: Option<Timestamp>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryRow {
    debit: Side,
    credit: Side,
    amount: Money,
    kind: EntryKind,
    reference: String,
    at: Timestamp,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UsageRecord {
    turn: TurnId,
    step: u32,
    attempt: u32,
    conversation: ConversationId,
    purpose: Purpose,
    model: ModelRef,
    usage: Usage,
    source: UsageSource,
    amount: Money,
    price_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    provider_request_id: Option<String>,
    at: Timestamp,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl<'a> From<&'a ArchiveLine> for LineRecord<'a> {
    fn from(line: &'a ArchiveLine) -> Self {
        match line {
            ArchiveLine::Conversation { scope, conversation } => {
                Self::Conversation(Owned::by(scope, Cow::Borrowed(conversation)))
            }
            ArchiveLine::Message { message } => Self::Message(Cow::Borrowed(message)),
            ArchiveLine::File { scope, file } => Self::File(Owned::by(scope, Cow::Borrowed(file))),
            ArchiveLine::Turn { scope, turn } => Self::Turn(Owned::by(scope, Turn::from(&**turn))),
            ArchiveLine::Account { tenant, account } => {
                Self::Account(InTenant { tenant: tenant.clone(), row: account.into() })
            }
            ArchiveLine::Opening { scope, spec, at } => {
                let opening = Opening {
                    id: spec.id.clone(),
                    owner: spec.owner.clone(),
                    kind: spec.kind,
                    unit: spec.unit,
                    opening: spec.opening,
                    at: *at,
                };
                Self::Opening(Owned::by(scope, opening))
            }
            ArchiveLine::Hold { hold } => Self::Hold(Owned::by(&hold.scope, hold.into())),
            ArchiveLine::Entry { entry } => Self::Entry(Owned::by(&entry.scope, entry.into())),
            ArchiveLine::Usage { scope, row } => Self::Usage(Owned::by(scope, (&**row).into())),
        }
    }
}

/// What a line says: the frame of the archive, or something in it.
#[derive(Debug)]
pub(crate) enum Read {
    Header(Header),
    Line(Box<ArchiveLine>),
    End(Counts),
}

impl From<LineRecord<'_>> for Read {
    fn from(record: LineRecord<'_>) -> Self {
        Self::Line(Box::new(match record {
            LineRecord::Header(header) => return Self::Header(header),
            LineRecord::End(counts) => return Self::End(counts),
            LineRecord::Conversation(owned) => {
                let (scope, conversation) = owned.split();
                ArchiveLine::Conversation { scope, conversation: conversation.into_owned() }
            }
            LineRecord::Message(message) => ArchiveLine::Message { message: message.into_owned() },
            LineRecord::File(owned) => {
                let (scope, file) = owned.split();
                ArchiveLine::File { scope, file: file.into_owned() }
            }
            LineRecord::Turn(owned) => {
                let (scope, turn) = owned.split();
                ArchiveLine::Turn { scope, turn: Box::new(turn.into()) }
            }
            LineRecord::Account(InTenant { tenant, row }) => {
                ArchiveLine::Account { tenant, account: row.into() }
            }
            LineRecord::Opening(owned) => {
                let (scope, Opening { id, owner, kind, unit, opening, at }) = owned.split();
                let spec =
                    AccountSpec { id, owner, kind, unit, opening, refill: None, warn_below: None };
                ArchiveLine::Opening { scope, spec, at }
            }
            LineRecord::Hold(owned) => {
                let (scope, row) = owned.split();
                let key = StepKey { turn: row.turn, step: row.step };
                let HoldRow { state, legs, extended_to, opened_at, closed_at, .. } = row;
                let hold = Hold { scope, key, state, legs, extended_to, opened_at, closed_at };
                ArchiveLine::Hold { hold }
            }
            LineRecord::Entry(owned) => {
                let (scope, row) = owned.split();
                let EntryRow { debit, credit, amount, kind, reference, at } = row;
                let entry = Entry { scope, debit, credit, amount, kind, reference, at };
                ArchiveLine::Entry { entry }
            }
            LineRecord::Usage(owned) => {
                let (scope, row) = owned.split();
                ArchiveLine::Usage { scope, row: Box::new(row.into()) }
            }
        }))
    }
}

impl From<&TurnRecord> for Turn {
    fn from(record: &TurnRecord) -> Self {
        let TurnRecord { turn, state, epoch, stop_requested, last_seq, failure, closed_at, steps } =
            record.clone();
        let steps = steps.into_iter().map(|step| Step {
            step: step.key.step,
            purpose: step.purpose,
            model: step.model,
            state: step.state,
            attempts: step.attempts,
            input_bound: step.input_bound,
            input_estimate: step.input_estimate,
            opened_at: step.opened_at,
            tier: step.tier,
            amounts: step.amounts,
        });
        Self {
            id: turn.id,
            conversation: turn.conversation,
            kind: turn.kind,
            user_message: turn.user_message,
            reply: turn.reply,
            model: turn.model,
            owner: turn.owner,
            idempotency_key: turn.idempotency_key,
            request_hash: turn.request_hash,
            created_at: turn.created_at,
            state,
            epoch,
            stop_requested,
            last_seq,
            failure,
            closed_at,
            steps: steps.collect(),
        }
    }
}

impl From<Turn> for TurnRecord {
    fn from(record: Turn) -> Self {
        let steps = record.steps.into_iter().map(|step| StepRecord {
            key: StepKey { turn: record.id.clone(), step: step.step },
            purpose: step.purpose,
            model: step.model,
            state: step.state,
            attempts: step.attempts,
            input_bound: step.input_bound,
            input_estimate: step.input_estimate,
            opened_at: step.opened_at,
            tier: step.tier,
            amounts: step.amounts,
        });
        Self {
            steps: steps.collect(),
            turn: NewTurn {
                id: record.id,
                conversation: record.conversation,
                kind: record.kind,
                user_message: record.user_message,
                reply: record.reply,
                model: record.model,
                owner: record.owner,
                idempotency_key: record.idempotency_key,
                request_hash: record.request_hash,
                created_at: record.created_at,
            },
            state: record.state,
            epoch: record.epoch,
            stop_requested: record.stop_requested,
            last_seq: record.last_seq,
            failure: record.failure,
            closed_at: record.closed_at,
        }
    }
}

impl From<&Account> for AccountRow {
    fn from(account: &Account) -> Self {
        let Account { id, owner, kind, unit, granted, refunded, held, posted, expired, state } =
            account.clone();
        Self { id, owner, kind, unit, granted, refunded, held, posted, expired, state }
    }
}

impl From<AccountRow> for Account {
    fn from(row: AccountRow) -> Self {
        let AccountRow { id, owner, kind, unit, granted, refunded, held, posted, expired, state } =
            row;
        Self { id, owner, kind, unit, granted, refunded, held, posted, expired, state }
    }
}

impl From<&Hold> for HoldRow {
    fn from(hold: &Hold) -> Self {
        let Hold { key, state, legs, extended_to, opened_at, closed_at, .. } = hold.clone();
        Self { turn: key.turn, step: key.step, state, legs, extended_to, opened_at, closed_at }
    }
}

impl From<&Entry> for EntryRow {
    fn from(entry: &Entry) -> Self {
        let Entry { debit, credit, amount, kind, reference, at, .. } = entry.clone();
        Self { debit, credit, amount, kind, reference, at }
    }
}

impl From<&UsageRow> for UsageRecord {
    fn from(row: &UsageRow) -> Self {
        let row = row.clone();
        Self {
            turn: row.key.step.turn,
            step: row.key.step.step,
            attempt: row.key.attempt,
            conversation: row.conversation,
            purpose: row.purpose,
            model: row.model,
            usage: row.usage,
            source: row.source,
            amount: row.amount,
            price_version: row.price_version,
            provider_request_id: row.provider_request_id,
            at: row.at,
        }
    }
}

impl From<UsageRecord> for UsageRow {
    fn from(record: UsageRecord) -> Self {
        let step = StepKey { turn: record.turn, step: record.step };
        Self {
            key: AttemptKey { step, attempt: record.attempt },
            conversation: record.conversation,
            purpose: record.purpose,
            model: record.model,
            usage: record.usage,
            source: record.source,
            amount: record.amount,
            price_version: record.price_version,
            provider_request_id: record.provider_request_id,
            at: record.at,
        }
    }
}
