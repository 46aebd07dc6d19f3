//! Settle and release: a hold is resolved once, what it cost is posted once.

use std::sync::Arc;

use chat_balance::{
    BalanceErrorKind, Entry, EntryKind, Hold, HoldLeg, HoldRequest, HoldState, Posting, Settlement,
    Side,
};
use chat_types::Tokens;

use super::books::{
    account, assert_refused, available, checked_books, entries, extension, hold, key, leg, money,
    open, opened, request, settlement, wallet,
};
use crate::Ledger;
use crate::fixtures::{at, scope};

/// An entry that settling at 3,000 ms posts.
fn posted(account: &str, kind: EntryKind, amount: i64, reference: &str) -> Entry {
    Entry {
        scope: scope(),
        debit: wallet(account),
        credit: Side::Revenue,
        amount: money(amount),
        kind,
        reference: reference.into(),
        at: at(3_000),
    }
}

/// Settling posts what it cost and gives the rest back.
pub async fn settle_posts_and_gives_back(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 30).await;
    let settled = ledger.settle(&scope(), &settlement("t-1", &[12])).await.expect("settles");
    let held = opened(&request("t-1", 30));
    let legs = held.legs.iter().map(|leg| HoldLeg { posted: money(12), ..leg.clone() }).collect();
    let expected = Hold { state: HoldState::Posted, closed_at: Some(at(3_000)), legs, ..held };
    assert_eq!(settled, expected);
    assert_eq!(ledger.hold_of(&scope(), &key("t-1")).await.expect("reads"), Some(expected));
    let stored = account(&**ledger, "main").await;
    assert_eq!((stored.held, stored.posted), (money(0), money(12)));
    assert_eq!(available(&**ledger, "main").await, 88);
    let entry = posted("main", EntryKind::Usage, 12, "main/t-1/1/1");
    assert_eq!(checked_books(&**ledger).await.entries[1..], [entry]);
}

/// Every attempt is an entry of its own, also one that cost nothing.
pub async fn settle_posts_attempt_by_attempt(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 30).await;
    let postings = [(1, 12), (2, 0), (4, 3)].map(|(attempt, nano)| Posting {
        attempt,
        amount: money(nano),
        tokens: Tokens::ZERO,
    });
    let settlement = Settlement { postings: postings.to_vec(), ..settlement("t-1", &[]) };
    ledger.settle(&scope(), &settlement).await.expect("settles");
    let expected = [
        posted("main", EntryKind::Usage, 12, "main/t-1/1/1"),
        posted("main", EntryKind::Usage, 0, "main/t-1/1/2"),
        posted("main", EntryKind::Usage, 3, "main/t-1/1/4"),
    ];
    assert_eq!(checked_books(&**ledger).await.entries[1..], expected);
}

/// What exceeds the hold is posted in full, the excess by its name.
pub async fn settle_beyond_the_hold_is_an_overrun(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 30).await;
    hold(&**ledger, "t-1", 30).await;
    let settled = ledger.settle(&scope(), &settlement("t-1", &[20, 15])).await.expect("settles");
    assert_eq!(settled.legs[0].posted, money(35));
    assert_eq!(available(&**ledger, "main").await, -5);
    let mut posted_entries = checked_books(&**ledger).await.entries.split_off(1);
    posted_entries.sort_by_key(|entry| (entry.kind, entry.reference.clone()));
    let expected = [
        posted("main", EntryKind::Usage, 20, "main/t-1/1/1"),
        posted("main", EntryKind::Usage, 10, "main/t-1/1/2"),
        posted("main", EntryKind::Overrun, 5, "main/t-1/1"),
    ];
    assert_eq!(posted_entries, expected);
    let refused = ledger.hold(&scope(), &request("t-2", 1)).await;
    assert_refused(refused, BalanceErrorKind::InsufficientFunds);
}

/// Every leg is posted in full, each within its own hold.
pub async fn settle_posts_on_every_leg(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    open(&**ledger, "quota", 5).await;
    let legs = vec![leg("main", 10, 10), leg("quota", 10, 1)];
    ledger.hold(&scope(), &HoldRequest { legs, ..request("t-1", 0) }).await.expect("holds");
    ledger.settle(&scope(), &settlement("t-1", &[8])).await.expect("settles");
    assert_eq!(available(&**ledger, "main").await, 92);
    assert_eq!(available(&**ledger, "quota").await, -3);
    let overruns = checked_books(&**ledger).await.entries;
    let overruns: Vec<_> = overruns.iter().filter(|e| e.kind == EntryKind::Overrun).collect();
    assert_eq!(overruns, [&posted("quota", EntryKind::Overrun, 3, "quota/t-1/1")]);
}

/// Settling again gives the first result, whatever the amounts.
pub async fn settle_again_gives_the_first_result(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 30).await;
    let first = ledger.settle(&scope(), &settlement("t-1", &[12])).await.expect("settles");
    let before = checked_books(&**ledger).await;
    for amounts in [vec![12], vec![29, 3]] {
        let again = ledger.settle(&scope(), &settlement("t-1", &amounts)).await;
        assert_eq!(again.expect("answers"), first);
    }
    assert_eq!(checked_books(&**ledger).await, before);
}

/// Settlements that make no sense are refused and leave the hold open.
pub async fn bad_settlements_are_refused(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 30).await;
    let before = checked_books(&**ledger).await;
    let all = i64::MAX;
    for postings in [
        vec![],
        vec![(1, -1)],
        vec![(0, 1)],
        vec![(1, 1), (1, 1)],
        vec![(2, 1), (1, 1)],
        vec![(1, all), (2, all)],
    ] {
        let postings = postings.into_iter().map(|(attempt, n)| Posting {
            attempt,
            amount: money(n),
            tokens: Tokens::ZERO,
        });
        let bad = Settlement { postings: postings.collect(), ..settlement("t-1", &[]) };
        let settled = ledger.settle(&scope(), &bad).await;
        assert_refused(settled, BalanceErrorKind::InvalidAmount);
    }
    let unknown = ledger.settle(&scope(), &settlement("t-9", &[1])).await;
    assert_refused(unknown, BalanceErrorKind::NotFound);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// Releasing gives everything back, once or twice, and posts nothing.
pub async fn release_gives_everything_back(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 30).await;
    ledger.extend(&scope(), &key("t-1"), &extension(2, 5)).await.expect("extends");
    let first = ledger.release(&scope(), &key("t-1"), at(3_000)).await.expect("releases");
    assert_eq!((first.state, first.closed_at), (HoldState::Released, Some(at(3_000))));
    let again = ledger.release(&scope(), &key("t-1"), at(4_000)).await.expect("answers");
    assert_eq!(again, first);
    assert_eq!(available(&**ledger, "main").await, 100);
    assert_eq!(entries(&**ledger).await.len(), 1, "the opening only");
    checked_books(&**ledger).await;
}

/// What was released is not settled, what was settled is not released.
pub async fn a_hold_is_resolved_in_one_way(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    hold(&**ledger, "t-1", 30).await;
    hold(&**ledger, "t-2", 30).await;
    ledger.release(&scope(), &key("t-1"), at(3_000)).await.expect("releases");
    ledger.settle(&scope(), &settlement("t-2", &[12])).await.expect("settles");
    let before = checked_books(&**ledger).await;
    let settled = ledger.settle(&scope(), &settlement("t-1", &[12])).await;
    assert_refused(settled, BalanceErrorKind::Conflict);
    let released = ledger.release(&scope(), &key("t-2"), at(3_000)).await;
    assert_refused(released, BalanceErrorKind::Conflict);
    let unknown = ledger.release(&scope(), &key("t-9"), at(3_000)).await;
    assert_refused(unknown, BalanceErrorKind::NotFound);
    assert_eq!(checked_books(&**ledger).await, before);
}

/// Through a run of 400 operations, refused ones among them, the books hold after each.
pub async fn books_hold_after_every_operation(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 200).await;
    open(&**ledger, "quota", 90).await;
    // A fixed linear congruential sequence: the same run on every backend.
    let mut seed: u64 = 20_260_101;
    let mut below = |bound: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from((seed >> 33) % bound).expect("small")
    };
    let mut succeeded = 0;
    for n in 0..400 {
        let turn = format!("t-{}", below(60));
        let amount = below(40);
        let result = match below(6) {
            0 => {
                let kind = chat_balance::CreditKind::Grant;
                let grant = super::books::credit(kind, &format!("g-{n}"), amount);
                ledger.credit(&scope(), &grant).await.map(|_| ())
            }
            1 => {
                let attempt = u32::try_from(below(4)).expect("small");
                let extended =
                    ledger.extend(&scope(), &key(&turn), &extension(attempt, amount)).await;
                extended.map(|_| ())
            }
            2 => ledger.release(&scope(), &key(&turn), at(3_000)).await.map(|_| ()),
            3 => {
                let settled = settlement(&turn, &[amount, below(10)]);
                ledger.settle(&scope(), &settled).await.map(|_| ())
            }
            _ => {
                let legs = vec![leg("main", amount, amount / 2), leg("quota", below(5), 0)];
                let wanted = HoldRequest { legs, ..request(&turn, 0) };
                ledger.hold(&scope(), &wanted).await.map(|_| ())
            }
        };
        succeeded += i32::from(result.is_ok());
        checked_books(&**ledger).await;
    }
    assert!((100..400).contains(&succeeded), "{succeeded} of 400: the run tests too little");
}
