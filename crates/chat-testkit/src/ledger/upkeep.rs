//! What recovery and audit read: open holds, and scans of everything.

use std::sync::Arc;

use chat_balance::{AccountKind, AccountSpec, HoldRequest};
use chat_types::StepKey;

use super::books::{ALL, books, hold, key, open, request, settlement, spec};
use crate::Ledger;
use crate::fixtures::{at, id, scope, strangers};

/// Open holds come oldest first, only those from before, no more than asked for.
pub async fn open_holds_come_oldest_first(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    for (turn, at_ms) in [("t-1", 5_000), ("t-2", 3_000), ("t-3", 4_000), ("t-4", 1_000)] {
        let request = HoldRequest { at: at(at_ms), ..request(turn, 10) };
        ledger.hold(&scope(), &request).await.expect("holds");
    }
    ledger.settle(&scope(), &settlement("t-4", &[1])).await.expect("settles");
    let turns = async |before_ms: i64, limit: u32| -> Vec<String> {
        let holds = ledger.open_holds(at(before_ms), limit).await.expect("reads");
        holds.into_iter().map(|hold| hold.key.turn.into()).collect()
    };
    assert_eq!(turns(5_000, ALL).await, ["t-2", "t-3"]);
    assert_eq!(turns(5_001, ALL).await, ["t-2", "t-3", "t-1"]);
    assert_eq!(turns(5_001, 2).await, ["t-2", "t-3"]);
}

/// Accounts of all tenants are scanned page by page in the order of their names.
pub async fn scan_pages_through_all_accounts(ledger: &Arc<dyn Ledger>) {
    let mut expected = Vec::new();
    for (n, owner) in strangers().into_iter().enumerate() {
        for name in ["a", "B", "c_1", "c-1", "c:1"] {
            let account: chat_types::AccountId = id(&format!("{name}{n}"));
            let spec = AccountSpec {
                id: account.clone(),
                owner: None,
                ..spec("any", AccountKind::Limited, 1)
            };
            ledger.open_account(&owner, &spec, at(1_000)).await.expect("opens");
            expected.push((owner.tenant.clone(), account));
        }
    }
    expected.sort();
    let mut scanned = Vec::new();
    loop {
        let page = ledger.scan_accounts(scanned.last(), 3).await.expect("scans");
        assert!(page.len() <= 3, "{page:?}");
        if page.is_empty() {
            break;
        }
        scanned.extend(page.into_iter().map(|(tenant, account)| (tenant, account.id)));
    }
    assert_eq!(scanned, expected);
}

/// Holds are scanned page by page in the order of their keys, resolved ones too.
pub async fn scan_pages_through_all_holds(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    let mut expected = Vec::new();
    for turn in ["b", "a", "A-1", "a_1"] {
        for step in [10, 2, 1] {
            let key = StepKey { step, ..key(turn) };
            let request = HoldRequest { key: key.clone(), ..request(turn, 1) };
            ledger.hold(&scope(), &request).await.expect("holds");
            expected.push((scope().tenant, key));
        }
    }
    ledger.release(&scope(), &key("a"), at(3_000)).await.expect("releases");
    expected.sort();
    let mut scanned = Vec::new();
    loop {
        let page = ledger.scan_holds(scanned.last(), 5).await.expect("scans");
        assert!(page.len() <= 5, "{page:?}");
        if page.is_empty() {
            break;
        }
        scanned.extend(page.into_iter().map(|hold| (hold.scope.tenant, hold.key)));
    }
    assert_eq!(scanned, expected);
}

/// Entries are only ever appended: what was scanned once stays in its place.
pub async fn entries_are_only_appended(ledger: &Arc<dyn Ledger>) {
    open(&**ledger, "main", 100).await;
    let mut before = books(&**ledger).await.entries;
    for n in 0..5 {
        let turn = format!("t-{n}");
        hold(&**ledger, &turn, 10).await;
        ledger.settle(&scope(), &settlement(&turn, &[n, 4])).await.expect("settles");
        let after = books(&**ledger).await.entries;
        assert_eq!(after[..before.len()], before[..]);
        assert_eq!(after.len(), before.len() + 2);
        before = after;
    }
    let mut joined = Vec::new();
    loop {
        let skip = u64::try_from(joined.len()).expect("few");
        let page = ledger.scan_entries(skip, 4).await.expect("scans");
        if page.is_empty() {
            break;
        }
        joined.extend(page);
    }
    assert_eq!(joined, before);
}
