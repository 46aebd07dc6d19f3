//! What must hold after recovery, whatever was killed: judged from the store's rows and from the fake
//! provider's books, which know nothing of each other.

use chat_balance::{EntryKind, HoldState};
use chat_tests::fake_provider::{Captured, LedgerSummary, Outcome, RequestRecord, reply_text};
use chat_tests::scene::{Books, SeenTurn, Sign};
use chat_types::{MessageStatus, Money, Role, TurnState, UsageSource};

use crate::kills::Victim;

/// Longer than any reply here.
const CHUNKS: u64 = 1_000;

/// Collects broken promises, so that one run tells all of them.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) broken: Vec<String>,
}

impl Verdict {
    pub(crate) fn check(&mut self, holds: bool, told: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(told());
        }
    }

    #[track_caller]
    pub(crate) fn assert(&self) {
        assert!(self.broken.is_empty(), "{:#?}", self.broken);
    }
}

/// Judges the books after recovery.
pub(crate) fn judge(
    victims: &[Victim],
    books: &Books,
    charged: &LedgerSummary,
    captured: &[Captured],
) -> Verdict {
    let mut verdict = Verdict::default();
    let broken = &mut verdict;
    broken.check(books.running == 0, || format!("{} turns have no end", books.running));
    for hold in &books.holds {
        broken.check(hold.state != HoldState::Open, || format!("hold {:?} is open", hold.key));
    }
    for victim in victims {
        judge_victim(broken, victim, books, charged, captured);
    }
    judge_sums(broken, books, charged);
    verdict
}

fn judge_victim(
    broken: &mut Verdict,
    victim: &Victim,
    books: &Books,
    charged: &LedgerSummary,
    captured: &[Captured],
) {
    let key = &victim.key;
    let calls: Vec<&RequestRecord> = captured
        .iter()
        .filter(|one| names(one, key))
        .filter_map(|one| charged.request(&one.id))
        .collect();
    broken.check(calls.len() <= victim.calls_max, || {
        format!("{key}: the provider was called {} times", calls.len())
    });
    let Some(turn) = books.turn_of_key(key) else {
        broken.check(!victim.told.saw(Sign::Accepted), || {
            format!("{key}: was acknowledged and is lost")
        });
        broken.check(calls.is_empty(), || format!("{key}: called the provider without a turn"));
        return;
    };
    judge_reply(broken, victim, turn, books);
    let rows: Vec<_> =
        books.usage.iter().filter(|row| row.key.step.turn == turn.record.turn.id).collect();
    broken.check(rows.len() <= victim.calls_max, || format!("{key}: {} usage rows", rows.len()));
    let (reported, estimated): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| row.source == UsageSource::Provider);
    for row in &reported {
        let call = calls.iter().find(|call| row.provider_request_id.as_ref() == Some(&call.id));
        let is_as_charged = call.is_some_and(|call| {
            call.outcome == Some(Outcome::Finished)
                && u64::try_from(row.amount.nano_usd()) == Ok(call.charge_nano_usd)
        });
        broken.check(is_as_charged, || format!("{key}: billed {row:?}, charged {call:?}"));
    }
    for row in &estimated {
        broken.check(row.source == UsageSource::Estimated, || {
            format!("{key}: billed as {:?} without a call", row.source)
        });
    }
    let is_reported = |call: &&RequestRecord| {
        reported.iter().any(|row| row.provider_request_id.as_ref() == Some(&call.id))
    };
    let others = calls.iter().copied().filter(|call| call.charge_nano_usd > 0);
    let unreported = others.filter(|call| !is_reported(call)).count();
    broken.check(unreported <= estimated.len(), || {
        let count = estimated.len();
        format!("{key}: {unreported} calls were charged and {count} estimated: {turn:?}")
    });
}

/// The request asks on behalf of this key: its text begins with it.
fn names(captured: &Captured, key: &str) -> bool {
    let text = captured.body.to_string();
    text.contains(&format!("{key} says hello"))
}

fn judge_reply(broken: &mut Verdict, victim: &Victim, turn: &SeenTurn, books: &Books) {
    let key = &victim.key;
    let record = &turn.record;
    broken.check(record.state.is_terminal(), || format!("{key}: is {:?}", record.state));
    broken.check(turn.endings() == 1, || format!("{key}: its log has {} ends", turn.endings()));
    let seqs: Vec<u64> = turn.events.iter().map(|event| event.seq).collect();
    let expected: Vec<u64> = (1..).take(seqs.len()).collect();
    broken.check(seqs == expected, || format!("{key}: its log has gaps: {seqs:?}"));
    let messages = books.messages.get(&record.turn.conversation);
    let messages = messages.map(Vec::as_slice).unwrap_or_default();
    broken.check(messages.iter().any(|message| message.id == record.turn.user_message), || {
        format!("{key}: the user's message is lost")
    });
    let replies: Vec<_> = messages
        .iter()
        .filter(|message| {
            message.role == Role::Assistant && message.turn.as_ref() == Some(&record.turn.id)
        })
        .collect();
    broken.check(replies.len() <= 1, || format!("{key}: {} replies", replies.len()));
    let reply = replies.first().map(|reply| reply.text()).unwrap_or_default();
    broken.check(reply_text(CHUNKS).starts_with(&reply), || {
        format!("{key}: {reply:?} is no prefix of what the provider says")
    });
    broken.check(reply == turn.text(), || {
        format!("{key}: the log says {:?}, the message {reply:?}", turn.text())
    });
    let before = victim.seen.as_ref().map(SeenTurn::text).unwrap_or_default();
    broken.check(reply.starts_with(&before), || {
        format!("{key}: {before:?} was durable, {reply:?} is left")
    });
    if victim.told.saw(Sign::Ended) {
        let told = victim.told.text();
        broken
            .check(reply == told, || format!("{key}: told the end of {told:?}, stored {reply:?}"));
    }
    let whole = matches!(record.state, TurnState::Completed | TurnState::Truncated);
    let status = if whole { MessageStatus::Complete } else { MessageStatus::Partial };
    broken.check(replies.iter().all(|reply| reply.status == status), || {
        format!("{key}: a {:?} turn's reply is not {status:?}", record.state)
    });
}

fn judge_sums(broken: &mut Verdict, books: &Books, charged: &LedgerSummary) {
    let sum = |amounts: &mut dyn Iterator<Item = Money>| Money::sum(amounts).unwrap();
    let posted = sum(&mut books.accounts.iter().map(|account| account.posted));
    let billed = sum(&mut books.usage.iter().map(|row| row.amount));
    let entered = sum(&mut books
        .entries
        .iter()
        .filter(|entry| matches!(entry.kind, EntryKind::Usage | EntryKind::Overrun))
        .map(|entry| entry.amount));
    broken.check(posted == billed && posted == entered, || {
        format!("posted {posted}, usage rows {billed}, entries {entered}")
    });
    let (reported, estimated): (Vec<_>, Vec<_>) =
        books.usage.iter().partition(|row| row.source == UsageSource::Provider);
    let reported_sum = sum(&mut reported.iter().map(|row| row.amount));
    let charges: u64 = reported
        .iter()
        .filter_map(|row| charged.request(row.provider_request_id.as_deref()?))
        .map(|call| call.charge_nano_usd)
        .sum();
    broken.check(u64::try_from(reported_sum.nano_usd()) == Ok(charges), || {
        format!("billed as reported {reported_sum}, charged {charges} nano-USD")
    });
    println!(
        "posted {posted}: {} rows as the provider charged ({reported_sum}), {} rows estimated; \
         the provider charged {} nano-USD for {} calls",
        reported.len(),
        estimated.len(),
        charged.totals.charge_nano_usd,
        charged.totals.requests
    );
}
