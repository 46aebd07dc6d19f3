//! What the fake provider charged beside what the store billed, call by call.
//!
//! The two know nothing of each other but the text that was sent: each message here is one of a kind, of words
//! that are one token each, so that a counter which knows the encoding has no excuse.

use std::collections::BTreeMap;
use std::fmt;

use chat_balance::{EntryKind, HoldState};
use chat_tests::fake_provider::{Captured, LedgerSummary, RequestRecord};
use chat_tests::scene::{Books, Scene, SeenTurn};
use chat_types::{Money, Purpose, Role, UsageSource};
use chat_usage::UsageRow;

/// An estimate of text may be wrong by this share of the output tokens.
const ERROR_PERCENT_MAX: u64 = 5;

const DIGITS: [&str; 10] =
    ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];

/// The message of this number.
pub(crate) fn text_of(number: usize) -> String {
    let digits = number.to_string();
    let words = digits.bytes().map(|digit| DIGITS[usize::from(digit - b'0')]);
    ["say"].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// What was found, for the eye.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    turns: usize,
    calls: usize,
    pub(crate) reported: usize,
    pub(crate) estimated: usize,
    /// Attempts that were journaled and did not get to the provider: their input is billed, since
    /// nobody can know.
    pub(crate) unseen: usize,
    tokens_missed: u64,
    tokens_missed_most: u64,
    tokens_charged: u64,
    broken: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} turns, {} calls: {} billed as reported, {} as estimated ({} of {} output tokens \
             missed, {} at most in one), {} attempts that nobody saw",
            self.turns,
            self.calls,
            self.reported,
            self.estimated,
            self.tokens_missed,
            self.tokens_charged,
            self.tokens_missed_most,
            self.unseen
        )
    }
}

impl Tally {
    pub(crate) fn of(turns: usize, calls: usize) -> Self {
        Self { turns, calls, ..Self::default() }
    }

    pub(crate) fn check(&mut self, holds: bool, told: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(told());
        }
    }

    #[track_caller]
    pub(crate) fn assert(&self) {
        assert!(self.broken.is_empty(), "{self}: {:#?}", self.broken);
    }
}

/// Reads both sides and judges them: one row a call, as it was charged, and nothing left open.
///
/// `in_flight` output tokens of a call may be known to nobody but the provider, because the process died
/// before they were durable.
pub(crate) fn judge_calls(scene: &Scene, in_flight: u64) -> Tally {
    let books = scene.journal.books();
    let charged = scene.provider.ledger().unwrap();
    let captured = scene.provider.captured().unwrap();
    let mut tally = Tally::of(books.turns.len(), charged.requests.len());
    let calls = calls_by_text(&charged, &captured);
    assert_eq!(calls.values().map(Vec::len).sum::<usize>(), charged.requests.len());
    let mut asked = 0;
    for turn in books.turns.values() {
        let text = user_text(&books, turn);
        let calls = calls.get(&text).map(Vec::as_slice).unwrap_or_default();
        let rows: Vec<&UsageRow> =
            books.usage.iter().filter(|row| row.key.step.turn == turn.record.turn.id).collect();
        asked += calls.len();
        tally.check(rows.len() <= 1 && calls.len() <= rows.len(), || {
            format!("{text}: {} calls and {} rows: {turn:?}", calls.len(), rows.len())
        });
        match (calls, rows.as_slice()) {
            ([call], [row]) => {
                judge_call(&mut tally, &text, call, row, in_flight);
                judge_estimate(&mut tally, &text, turn, row);
            }
            ([], [row]) => {
                tally.unseen += 1;
                let is_input = row.source == UsageSource::Estimated
                    && row.usage.output_total() == chat_types::Tokens::ZERO;
                tally.check(is_input, || format!("{text}: billed {row:?} without a call"));
            }
            _ => {}
        }
    }
    tally.check(asked == charged.requests.len(), || {
        format!("{asked} calls of turns, {} in the provider's books", charged.requests.len())
    });
    judge_books(&mut tally, &books);
    tally
}

pub(crate) fn judge_call(
    tally: &mut Tally,
    text: &str,
    call: &RequestRecord,
    row: &UsageRow,
    in_flight: u64,
) {
    if let Some(id) = &row.provider_request_id {
        tally.check(*id == call.id, || format!("{text}: the row names {id}, not {}", call.id));
    }
    if row.source == UsageSource::Provider {
        tally.reported += 1;
        let is_equal = u64::try_from(row.amount.nano_usd()) == Ok(call.charge_nano_usd)
            && row.provider_request_id.is_some();
        tally.check(is_equal, || format!("{text}: billed {row:?}, charged {call:?}"));
        return;
    }
    tally.estimated += 1;
    tally.check(row.source == UsageSource::Estimated, || format!("{text}: billed as {row:?}"));
    let input = row.usage.input_total().get();
    // Instructions of ours have punctuation, which the fake provider counts by a rule of its own.
    let by_rule = if row.purpose == Purpose::Title { call.tokens_in / 5 } else { 0 };
    tally.check(input.abs_diff(call.tokens_in) <= by_rule, || {
        format!("{text}: {input} input tokens billed, {} charged", call.tokens_in)
    });
    let output = row.usage.output_total().get();
    let missed = call.tokens_out.abs_diff(output);
    let allowed = call.tokens_out * ERROR_PERCENT_MAX / 100;
    // More than was charged is never excused by what was in flight.
    let excused = if output > call.tokens_out { 0 } else { in_flight };
    tally.check(missed <= allowed + excused, || {
        format!("{text}: {output} output tokens billed, {} charged", call.tokens_out)
    });
    tally.tokens_missed += missed;
    tally.tokens_missed_most = tally.tokens_missed_most.max(missed);
    tally.tokens_charged += call.tokens_out;
}

/// What is billed without the provider's word is what the user can read, to the word.
fn judge_estimate(tally: &mut Tally, text: &str, turn: &SeenTurn, row: &UsageRow) {
    let words = u64::try_from(turn.text().split_whitespace().count());
    let output = row.usage.output_total().get();
    tally.check(row.source == UsageSource::Provider || words == Ok(output), || {
        format!("{text}: {output} output tokens billed, {words:?} words are in the log")
    });
}

/// Nothing is open, and rows, entries and accounts say the same.
pub(crate) fn judge_books(tally: &mut Tally, books: &Books) {
    tally.check(books.running == 0, || format!("{} turns have no end", books.running));
    for hold in &books.holds {
        tally.check(hold.state != HoldState::Open, || format!("{:?} is open", hold.key));
    }
    for account in &books.accounts {
        tally.check(account.held == Money::ZERO, || format!("{account:?} has something held"));
    }
    let sum = |amounts: &mut dyn Iterator<Item = Money>| Money::sum(amounts).unwrap();
    let posted = sum(&mut books.accounts.iter().map(|account| account.posted));
    let billed = sum(&mut books.usage.iter().map(|row| row.amount));
    let usage = books.entries.iter().filter(|entry| entry.kind == EntryKind::Usage);
    let usage: Vec<_> = usage.collect();
    let entered = sum(&mut usage.iter().map(|entry| entry.amount));
    tally.check(posted == billed && posted == entered && usage.len() == books.usage.len(), || {
        format!("posted {posted}, rows {billed}, entries {entered}")
    });
    let overruns = books.entries.iter().filter(|entry| entry.kind == EntryKind::Overrun).count();
    tally.check(overruns == 0, || format!("{overruns} calls cost more than was held"));
}

pub(crate) fn calls_by_text<'a>(
    charged: &'a LedgerSummary,
    captured: &[Captured],
) -> BTreeMap<String, Vec<&'a RequestRecord>> {
    let mut calls: BTreeMap<String, Vec<&RequestRecord>> = BTreeMap::new();
    for one in captured {
        let body = one.json().unwrap();
        let text = body["messages"].as_array().unwrap().last().unwrap()["content"].as_str();
        calls.entry(text.unwrap().to_owned()).or_default().push(charged.request(&one.id).unwrap());
    }
    calls
}

pub(crate) fn user_text(books: &Books, turn: &SeenTurn) -> String {
    let messages = &books.messages[&turn.record.turn.conversation];
    let asked = messages.iter().find(|message| message.id == turn.record.turn.user_message);
    let asked = asked.unwrap();
    assert_eq!(asked.role, Role::User);
    asked.text()
}
