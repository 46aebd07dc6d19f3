//! LibreChat's acceptance cases of ledger and balance, on every engine: met, or made stricter where their
//! behaviour loses money. Each test says which.
//!
//! Not here: cases of prices and counts alone (`librechat_prices`).

use std::sync::Arc;

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceErrorKind, CreditKind, EntryKind, Extension,
    HoldState, Period, PeriodUnit, Refill, RefillMode, Refusal,
};
use chat_runtime::usage::{PriceBook, SettledStep, UsageQuery, UsageRecorder};
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, price_book};
use chat_types::{
    AttemptKey, ConversationId, Money, Purpose, Timestamp, Tokens, Usage, UsageSource,
};
use chat_usage::UsageRow;

use crate::bank::{
    Bank, Desk, NOW, credit, hold_request, id, in_parallel, key, kind_of, nano, scope, settlement,
};

on_every_engine! {
    l01_a_call_is_one_row_with_both_sides_and_no_call_is_none,
    l02_without_limits_rows_and_entries_are_written_all_the_same,
    l03_a_spend_never_raises_a_balance_and_goes_below_zero_by_name_only,
    l05_fifty_spends_at_once_end_at_the_exact_balance,
    l09_too_little_is_refused_with_the_numbers_before_anything_is_written,
    l10_ten_times_300_on_1000_admits_three_and_fifty_times_100_on_100000_all,
    l11_a_hold_is_rounded_up_released_once_and_never_revived,
    l12_a_due_refill_is_one_entry_and_a_reset_is_the_difference,
    l13_a_better_number_later_is_an_entry_beside_what_was_posted,
}

fn recorder(desk: &Desk) -> UsageRecorder {
    let prices = Arc::new(PriceBook::from_toml(&price_book()).unwrap());
    UsageRecorder::new(prices, Arc::clone(&desk.ledger), Arc::clone(&desk.usage))
}

fn row(turn: &str, usage: Usage, amount: i64) -> UsageRow {
    UsageRow {
        key: AttemptKey { step: key(turn), attempt: 1 },
        conversation: ConversationId::new("c").unwrap(),
        purpose: Purpose::Reply,
        model: "openai/fake".parse().unwrap(),
        usage,
        source: UsageSource::Provider,
        amount: nano(amount),
        price_version: "scene:openai/fake*@2020-01-01".to_owned(),
        provider_request_id: None,
        at: NOW,
    }
}

fn settled(turn: &str, rows: Vec<UsageRow>) -> SettledStep {
    SettledStep { key: key(turn), conversation: ConversationId::new("c").unwrap(), rows, at: NOW }
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input_uncached: Tokens::new(input), output: Tokens::new(output), ..Usage::default() }
}

/// Theirs: a row for the prompt and one for the completion, a zero row for a zero completion, none if both are
/// unknown. Ours: one row a call has both; a call that cost nothing has its row and its entry; what made no
/// call is released and has neither.
fn l01_a_call_is_one_row_with_both_sides_and_no_call_is_none(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        desk.open("ada", 10_000).await;
        let recorder = recorder(desk);
        let rows = [
            row("whole", tokens(9, 4), 90),
            row("silent", tokens(9, 0), 50),
            row("free", tokens(0, 0), 0),
        ];
        for row in &rows {
            let turn = row.key.step.turn.as_str();
            desk.ledger.hold(&scope(), &hold_request(turn, &[("ada", 100)])).await.unwrap();
            recorder.settle(&scope(), &settled(turn, vec![row.clone()])).await.unwrap();
        }
        desk.ledger.hold(&scope(), &hold_request("nobody", &[("ada", 100)])).await.unwrap();
        let nothing = recorder.settle(&scope(), &settled("nobody", Vec::new())).await;
        assert_eq!(nothing.unwrap_err().code(), "invalid_amount");
        recorder.release(&scope(), &key("nobody"), NOW).await.unwrap();

        let mut found = desk.usage.rows(&scope(), &UsageQuery::default()).await.unwrap();
        found.sort_by(|one, other| one.amount.cmp(&other.amount).reverse());
        assert_eq!(found, rows);
        let entries = desk.entries().await;
        let posted: Vec<_> = entries[1..].iter().map(|entry| (entry.kind, entry.amount)).collect();
        let usage = EntryKind::Usage;
        assert_eq!(posted, [(usage, nano(90)), (usage, nano(50)), (usage, nano(0))]);
        assert_eq!(desk.available("ada").await, 10_000 - 140);
    });
}

/// Theirs: with balances off rows are written and no balance changes; with transactions off there are no rows.
/// Ours: an unlimited account is never short, and holds, posts and is audited like any other; nothing switches
/// the rows off.
fn l02_without_limits_rows_and_entries_are_written_all_the_same(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        let spec = AccountSpec {
            id: id("house"),
            owner: None,
            kind: AccountKind::Unlimited,
            opening: Money::ZERO,
            unit: AccountUnit::Usd,
            refill: None,
            warn_below: None,
        };
        desk.ledger.open_account(&scope(), &spec, NOW).await.unwrap();
        desk.ledger.hold(&scope(), &hold_request("t", &[("house", 100)])).await.unwrap();
        assert_eq!(desk.account("house").await.held, nano(100));
        let step = settled("t", vec![row("t", tokens(9, 4), 90)]);
        recorder(desk).settle(&scope(), &step).await.unwrap();
        assert_eq!(desk.usage.rows(&scope(), &UsageQuery::default()).await.unwrap(), step.rows);
        assert_eq!(desk.entries().await.len(), 1);
        let house = desk.account("house").await;
        assert_eq!((house.posted, house.held), (nano(90), Money::ZERO));
        assert_eq!(house.available(), Ok(nano(-90)));
    });
}

/// Theirs: a balance is clamped at zero, and the rest forgotten. Ours: what exceeds a hold is posted in full as
/// an `overrun`, so the balance may go below zero by exactly that; no spend raises it, a negative one is refused.
fn l03_a_spend_never_raises_a_balance_and_goes_below_zero_by_name_only(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        desk.open("ada", 100).await;
        let mut before = desk.available("ada").await;
        for (turn, held, cost) in [("t-1", 40, 0), ("t-2", 40, 30), ("t-3", 70, 70)] {
            desk.spend(turn, "ada", held, cost).await;
            let now = desk.available("ada").await;
            assert_eq!(now, before - cost);
            before = now;
        }
        assert_eq!(before, 0);
        desk.ledger.hold(&scope(), &hold_request("t-4", &[("ada", 0)])).await.unwrap();
        let negative = desk.ledger.settle(&scope(), &settlement("t-4", &[-5])).await;
        assert_eq!(kind_of(negative), BalanceErrorKind::InvalidAmount);
        assert_eq!(desk.available("ada").await, 0);
        desk.ledger.settle(&scope(), &settlement("t-4", &[7])).await.unwrap();
        assert_eq!(desk.available("ada").await, -7);
        let entries = desk.entries().await;
        let last = entries.iter().find(|entry| entry.kind == EntryKind::Overrun).unwrap();
        assert_eq!(last.amount, nano(7));
        let next = desk.ledger.hold(&scope(), &hold_request("t-5", &[("ada", 1)])).await;
        assert_eq!(kind_of(next), BalanceErrorKind::InsufficientFunds);
    });
}

/// Met.
fn l05_fifty_spends_at_once_end_at_the_exact_balance(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        desk.open("ada", 1_000_000).await;
        let spends = in_parallel(50, |number| {
            let desk = desk.clone();
            async move {
                let cost = i64::try_from(number).unwrap() * 7 + 1;
                desk.spend(&format!("t-{number}"), "ada", 500, cost).await;
                cost
            }
        });
        let sum: i64 = spends.await.iter().sum();
        assert_eq!(desk.available("ada").await, 1_000_000 - sum);
        assert_eq!(desk.entries().await.len(), 51);
    });
}

/// Theirs: checks the prompt's cost, says balance and cost. Ours: input and output are held, the refusal says
/// what is needed, available and held. An account is opened when it is first needed, also with nothing;
/// one that nobody has opened pays for nothing, and asking for it writes nothing.
fn l09_too_little_is_refused_with_the_numbers_before_anything_is_written(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        let unknown = desk.ledger.hold(&scope(), &hold_request("t", &[("ada", 1)])).await;
        assert_eq!(kind_of(unknown), BalanceErrorKind::NotFound);
        assert_eq!(desk.ledger.account(&scope(), &id("ada")).await.unwrap(), None);

        desk.open("ada", 0).await;
        assert_eq!(desk.entries().await, [], "nothing was granted");
        let empty = desk.ledger.hold(&scope(), &hold_request("t", &[("ada", 1)])).await;
        assert_eq!(kind_of(empty), BalanceErrorKind::InsufficientFunds);

        desk.open("bob", 100).await;
        desk.ledger.hold(&scope(), &hold_request("t", &[("bob", 30)])).await.unwrap();
        let short = desk.ledger.hold(&scope(), &hold_request("t-2", &[("bob", 71)])).await;
        let expected = Refusal {
            unit: AccountUnit::Usd,
            account: id("bob"),
            need: nano(71),
            available: nano(70),
            held: nano(30),
            refill_at: None,
        };
        assert_eq!(short.unwrap_err().refusal(), Some(&expected));
        let enough = desk.ledger.hold(&scope(), &hold_request("t-3", &[("bob", 70)])).await;
        assert_eq!(enough.unwrap().covered(AccountUnit::Usd), Some(nano(70)));
        assert_eq!(desk.holds().await.len(), 2);
    });
}

/// Met.
fn l10_ten_times_300_on_1000_admits_three_and_fifty_times_100_on_100000_all(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        for (account, opening, calls, each, admitted) in
            [("ada", 1_000, 10, 300, 3), ("bob", 100_000, 50, 100, 50)]
        {
            desk.open(account, opening).await;
            let holds = in_parallel(calls, |number| {
                let ledger = Arc::clone(&desk.ledger);
                let request = hold_request(&format!("{account}-{number}"), &[(account, each)]);
                async move { ledger.hold(&scope(), &request).await.is_ok() }
            });
            let given = holds.await.into_iter().filter(|given| *given).count();
            assert_eq!(given, admitted);
            let held = desk.account(account).await.held;
            assert_eq!(held, nano(each * i64::try_from(admitted).unwrap()));
        }
    });
}

/// Theirs: 0.3 is held as 1; a hold that was released twice, or has expired, is gone. Ours: the same rounding,
/// in nano-USD; releasing again changes nothing; a hold has no clock, so a long call cannot lose it: it ends
/// when the journal says how. One that was released pays for nothing more under its key.
fn l11_a_hold_is_rounded_up_released_once_and_never_revived(engine: Engine) {
    const BOOK: &str = "book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 1970-01-01\n\
        input = \"0.0003\"\noutput = \"0\"";
    Bank::on(engine).visit(async |desk| {
        let book = PriceBook::from_toml(BOOK).unwrap();
        let entry = book.lookup(&"a/x".parse().unwrap(), NOW).unwrap();
        let one = chat_runtime::usage::bound(entry, Tokens::new(1), Tokens::new(9));
        assert_eq!(one, Ok(nano(1)), "300 pico-USD");

        desk.open("ada", 1_000).await;
        let old = chat_balance::HoldRequest {
            at: Timestamp::from_unix_ms(0),
            ..hold_request("old", &[("ada", 100)])
        };
        desk.ledger.hold(&scope(), &old).await.unwrap();
        desk.ledger.hold(&scope(), &hold_request("t", &[("ada", 300)])).await.unwrap();
        let first = desk.ledger.release(&scope(), &key("t"), NOW).await.unwrap();
        let again = desk.ledger.release(&scope(), &key("t"), NOW.plus_ms(9)).await.unwrap();
        assert_eq!((first.state, &again), (HoldState::Released, &first));
        assert_eq!(desk.available("ada").await, 900, "the old one is held as ever");

        let more = Extension { attempt: 2, amount: nano(1), tokens: Tokens::ZERO, at: NOW };
        let asked = desk.ledger.hold(&scope(), &hold_request("t", &[("ada", 300)])).await.unwrap();
        assert_eq!(asked, first, "it is what it was");
        let extended = desk.ledger.extend(&scope(), &key("t"), &more).await;
        assert_eq!(kind_of(extended), BalanceErrorKind::Conflict);
        let settled = desk.ledger.settle(&scope(), &settlement("t", &[5])).await;
        assert_eq!(kind_of(settled), BalanceErrorKind::Conflict);
        assert_eq!(desk.available("ada").await, 900);
        desk.ledger.settle(&scope(), &settlement("old", &[60])).await.unwrap();
        assert_eq!(desk.available("ada").await, 940);
    });
}

/// Met: a refill that is due is one entry, however many ask at that moment; a reset from 500, 1,500 and -100 ends
/// at 1,000 and its entry is the difference. Stricter: what a reset takes away is an entry too.
fn l12_a_due_refill_is_one_entry_and_a_reset_is_the_difference(engine: Engine) {
    let minute = Period::new(1, PeriodUnit::Minute, "UTC").unwrap();
    let refill = Refill { mode: RefillMode::Reset, amount: nano(1_000), period: minute };
    Bank::on(engine).visit(async |desk| {
        desk.open("ada", 500).await;
        let kinds = [None, Some((CreditKind::Grant, 500)), Some((CreditKind::Adjustment, 1_100))];
        for (place, moved) in (1_i64..).zip(kinds) {
            if let Some((kind, amount)) = moved {
                let credit = credit(kind, "ada", &format!("c{place}"), amount);
                desk.ledger.credit(&scope(), &credit).await.unwrap();
            }
            let at = Timestamp::from_unix_ms(60_000 * place);
            let seen = in_parallel(16, |_| {
                let (ledger, refill) = (Arc::clone(&desk.ledger), refill.clone());
                async move { ledger.refresh(&scope(), &id("ada"), Some(&refill), at).await }
            });
            for account in seen.await {
                assert_eq!(account.unwrap().unwrap().available().unwrap(), nano(1_000));
            }
        }
        let entries = desk.entries().await;
        let refills = entries.iter().filter(|entry| entry.reference.contains("/refill/"));
        let refills: Vec<_> = refills.map(|entry| (entry.kind, entry.amount)).collect();
        let expected = [
            (EntryKind::Grant, nano(500)),
            (EntryKind::Expiry, nano(500)),
            (EntryKind::Grant, nano(1_100)),
        ];
        assert_eq!(refills, expected);
        desk.assert_sound().await;
    });
}

/// Theirs: an estimate is kept, or corrected by what is left of somebody else's sum (70 less 30 is 40; less than
/// nothing keeps the estimate). Ours: an estimate that was posted stays, in the ledger and in its row; what is
/// known better later is one entry of the difference under a key of its own, and never a negative one.
fn l13_a_better_number_later_is_an_entry_beside_what_was_posted(engine: Engine) {
    Bank::on(engine).visit(async |desk| {
        desk.open("ada", 10_000).await;
        let recorder = recorder(desk);
        for (turn, estimate) in [("little", 30), ("much", 70)] {
            desk.ledger.hold(&scope(), &hold_request(turn, &[("ada", 100)])).await.unwrap();
            let row =
                UsageRow { source: UsageSource::Estimated, ..row(turn, tokens(9, 4), estimate) };
            recorder.settle(&scope(), &settled(turn, vec![row])).await.unwrap();
        }
        let rows = desk.usage.rows(&scope(), &UsageQuery::default()).await.unwrap();
        // Both cost 40.
        let better = [(CreditKind::Adjustment, "little", 10), (CreditKind::Refund, "much", 30)];
        for (kind, turn, difference) in better {
            for _ in 0..2 {
                let credit = credit(kind, "ada", turn, difference);
                desk.ledger.credit(&scope(), &credit).await.unwrap();
            }
            for other in [difference + 1, -difference] {
                let other = desk.ledger.credit(&scope(), &credit(kind, "ada", turn, other)).await;
                assert_eq!(kind_of(other), BalanceErrorKind::Conflict);
            }
            let negative = credit(kind, "ada", "another", -difference);
            let negative = desk.ledger.credit(&scope(), &negative).await;
            assert_eq!(kind_of(negative), BalanceErrorKind::InvalidAmount);
        }
        assert_eq!(desk.available("ada").await, 10_000 - 2 * 40);
        let entries = desk.entries().await;
        let entries: Vec<_> = entries[1..].iter().map(|entry| (entry.kind, entry.amount)).collect();
        let expected = [
            (EntryKind::Usage, nano(30)),
            (EntryKind::Usage, nano(70)),
            (EntryKind::Adjustment, nano(10)),
            (EntryKind::Refund, nano(30)),
        ];
        assert_eq!(entries, expected);
        let now = desk.usage.rows(&scope(), &UsageQuery::default()).await.unwrap();
        assert_eq!(now, rows, "a row is what was billed then");
    });
}
