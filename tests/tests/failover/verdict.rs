//! What must hold once the database is left in peace: judged from what senders were told, from the store's
//! rows and from the fake provider's books, which know nothing of each other.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use chat_balance::{EntryKind, HoldState};
use chat_persist::TurnRecord;
use chat_runtime::{AuditSummary, Message, Money, TurnState};
use chat_tests::fake_provider::{LedgerSummary, Outcome, RequestRecord, reply_text};
use chat_types::{MessageStatus, Role, UsageSource};

use crate::books::Books;
use crate::load::{CHUNKS, Sent};

/// Broken promises, all of them, and what was counted.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) counts: Counts,
    broken: Vec<String>,
}

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    acknowledged: usize,
    states: BTreeMap<&'static str, usize>,
    unacknowledged: usize,
    refused_tries: u32,
    failures: BTreeMap<String, usize>,
    taken_over: usize,
    calls: usize,
    estimated: usize,
    waited_most: Duration,
    took_most: Duration,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} acknowledged (", self.acknowledged)?;
        for (state, count) in &self.states {
            write!(f, "{state} {count}, ")?;
        }
        write!(
            f,
            "taken over {}; failures {:?}), {} not acknowledged, {} tries refused, longest wait for an \
             acknowledgement {:?}, for an end {:?}; {} provider calls, {} billed by estimate",
            self.taken_over,
            self.failures,
            self.unacknowledged,
            self.refused_tries,
            self.waited_most,
            self.took_most,
            self.calls,
            self.estimated
        )
    }
}

impl Verdict {
    fn check(&mut self, holds: bool, told: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(told());
        }
    }

    #[track_caller]
    pub(crate) fn assert(&self) {
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
        // A run in which little works proves little.
        let completed = self.counts.states.get(TurnState::Completed.as_str()).copied();
        let completed = completed.unwrap_or_default();
        assert!(completed > 0 && completed * 2 >= self.counts.acknowledged, "{:?}", self.counts);
    }
}

/// Judges a load.
pub(crate) fn judge(
    sent: &[Sent],
    books: &Books,
    charged: &LedgerSummary,
    audit: &AuditSummary,
) -> Verdict {
    let mut verdict = Verdict { counts: Counts::default(), broken: Vec::new() };
    let calls = Calls::new(charged);
    for sent in sent {
        judge_sent(&mut verdict, sent, books);
    }
    for (_, record) in books.turns.values() {
        judge_turn(&mut verdict, record, books, &calls);
    }
    judge_all(&mut verdict, sent, books, &calls);
    judge_sums(&mut verdict, books, charged);
    verdict.check(audit.is_sound(), || format!("the audit finds {audit:?}"));
    verdict
}

/// The provider's requests by the turn they were made for.
struct Calls<'a> {
    by_key: BTreeMap<&'a str, Vec<&'a RequestRecord>>,
}

impl<'a> Calls<'a> {
    fn new(charged: &'a LedgerSummary) -> Self {
        let mut by_key: BTreeMap<&str, Vec<&RequestRecord>> = BTreeMap::new();
        for request in &charged.requests {
            by_key
                .entry(request.idempotency_key.as_deref().unwrap_or(""))
                .or_default()
                .push(request);
        }
        Self { by_key }
    }

    fn of(&self, record: &TurnRecord) -> &[&'a RequestRecord] {
        let key = format!("{}-1", record.turn.id);
        self.by_key.get(key.as_str()).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What the sender was told is so.
fn judge_sent(verdict: &mut Verdict, sent: &Sent, books: &Books) {
    let key = &sent.key;
    verdict.counts.refused_tries += sent.refused;
    if let Some(error) = &sent.final_error {
        verdict.check(false, || format!("{key}: {error}"));
    }
    let Some(told) = &sent.acknowledged else {
        verdict.counts.unacknowledged += 1;
        return;
    };
    verdict.counts.acknowledged += 1;
    verdict.counts.waited_most = verdict.counts.waited_most.max(sent.waited);
    verdict.counts.took_most = verdict.counts.took_most.max(sent.took);
    let Some((scope, record)) = books.turns.get(&told.turn) else {
        verdict.check(false, || format!("{key}: was acknowledged and is lost"));
        return;
    };
    *verdict.counts.states.entry(record.state.as_str()).or_default() += 1;
    let messages = books.messages_of(&told.conversation);
    let asked = messages.iter().find(|message| message.id == told.user_message);
    verdict.check(
        *scope == sent.scope && asked.is_some_and(|asked| asked.text() == sent.text),
        || format!("{key}: the user's message is {asked:?}"),
    );
    if let Some(outcome) = &sent.outcome {
        let stored = reply_of(record, books).first().copied().map(Message::text);
        let shown = outcome.message.as_ref().map(Message::text);
        verdict.check(outcome.state == record.state && shown == stored, || {
            format!(
                "{key}: told {:?} with {shown:?}, stored {:?} with {stored:?}",
                outcome.state, record.state
            )
        });
    }
}

/// What the store says of one turn fits together and fits what the provider did.
fn judge_turn(verdict: &mut Verdict, record: &TurnRecord, books: &Books, calls: &Calls<'_>) {
    let id = &record.turn.id;
    verdict.counts.taken_over += usize::from(record.epoch > 1);
    if let Some(failure) = &record.failure {
        *verdict.counts.failures.entry(failure.code.clone()).or_default() += 1;
    }
    verdict.check(record.state.is_terminal(), || format!("{id}: is {:?}", record.state));
    let replies = reply_of(record, books);
    verdict.check(replies.len() <= 1, || format!("{id}: {} replies", replies.len()));
    let text = replies.first().map(|reply| reply.text()).unwrap_or_default();
    let is_complete = record.state == TurnState::Completed;
    verdict.check(
        if is_complete {
            text == reply_text(CHUNKS)
        } else {
            reply_text(CHUNKS).starts_with(&text)
        },
        || format!("{id}: {:?} with {text:?}", record.state),
    );
    let status = if is_complete { MessageStatus::Complete } else { MessageStatus::Partial };
    verdict.check(replies.iter().all(|reply| reply.status == status), || {
        format!("{id}: a {:?} turn's reply is not {status:?}", record.state)
    });
    let made = calls.of(record);
    verdict.check(made.len() <= 1 && made.len() >= usize::from(is_complete), || {
        format!("{id}: {:?} after {} calls", record.state, made.len())
    });
    let rows: Vec<_> = books.usage.iter().filter(|row| row.key.step.turn == *id).collect();
    verdict.check(rows.len() <= 1, || format!("{id}: {} usage rows", rows.len()));
    match (made.first(), rows.first()) {
        (Some(call), Some(row)) if row.source == UsageSource::Provider => {
            let is_charged = row.provider_request_id.as_deref() == Some(call.id.as_str())
                && call.outcome == Some(Outcome::Finished)
                && u64::try_from(row.amount.nano_usd()) == Ok(call.charge_nano_usd);
            verdict.check(is_charged, || format!("{id}: billed {row:?}, charged {call:?}"));
        }
        (Some(call), None) => verdict.check(call.charge_nano_usd == 0, || {
            format!("{id}: nobody was billed for {call:?}: {record:?}")
        }),
        (_, Some(row)) => {
            verdict.counts.estimated += 1;
            verdict.check(row.source == UsageSource::Estimated && !is_complete, || {
                format!("{id}: {:?}, billed as {:?}", record.state, row.source)
            });
        }
        (None, None) => {}
    }
}

fn reply_of<'a>(record: &TurnRecord, books: &'a Books) -> Vec<&'a Message> {
    let of_turn = |message: &&Message| {
        message.role == Role::Assistant && message.turn.as_ref() == Some(&record.turn.id)
    };
    books.messages_of(&record.turn.conversation).iter().filter(of_turn).collect()
}

/// Nothing is there twice, and nothing that nobody sent.
fn judge_all(verdict: &mut Verdict, sent: &[Sent], books: &Books, calls: &Calls<'_>) {
    verdict.counts.calls = calls.by_key.values().map(Vec::len).sum();
    let mut turns_of_key: BTreeMap<&str, usize> = BTreeMap::new();
    for (_, record) in books.turns.values() {
        let key = record.turn.idempotency_key.as_ref().map_or("", |key| key.as_str());
        *turns_of_key.entry(key).or_default() += 1;
    }
    for (key, count) in &turns_of_key {
        verdict.check(*count == 1, || format!("{key}: {count} turns"));
    }
    verdict.check(turns_of_key.len() <= sent.len(), || {
        format!("{} messages were sent, {} are stored", sent.len(), turns_of_key.len())
    });
    let known: usize = books.turns.values().map(|(_, record)| calls.of(record).len()).sum();
    verdict.check(known == verdict.counts.calls, || {
        format!("{} calls, {known} of them for a turn", calls.by_key.len())
    });
    for hold in &books.holds {
        verdict.check(hold.state != HoldState::Open, || format!("hold {:?} is open", hold.key));
    }
}

fn judge_sums(verdict: &mut Verdict, books: &Books, charged: &LedgerSummary) {
    let sum = |amounts: &mut dyn Iterator<Item = Money>| Money::sum(amounts).unwrap();
    let posted = sum(&mut books.accounts.iter().map(|account| account.posted));
    let billed = sum(&mut books.usage.iter().map(|row| row.amount));
    let is_billing = |kind: &EntryKind| matches!(kind, EntryKind::Usage | EntryKind::Overrun);
    let entered = books.entries.iter().filter(|entry| is_billing(&entry.kind));
    let entered = sum(&mut entered.map(|entry| entry.amount));
    verdict.check(posted == billed && posted == entered, || {
        format!("posted {posted}, usage rows {billed}, entries {entered}")
    });
    let reported = books.usage.iter().filter(|row| row.source == UsageSource::Provider);
    let reported = sum(&mut reported.map(|row| row.amount));
    let finished = books.usage.iter().filter_map(|row| {
        charged.request(row.provider_request_id.as_deref()?).map(|call| (row.source, call))
    });
    let charges: u64 = finished
        .filter(|(source, _)| *source == UsageSource::Provider)
        .map(|(_, call)| call.charge_nano_usd)
        .sum();
    verdict.check(u64::try_from(reported.nano_usd()) == Ok(charges), || {
        format!("billed as reported {reported}, charged {charges} nano-USD")
    });
}
