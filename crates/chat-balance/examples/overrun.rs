//! A call that costs more than was held for it, and the audit that still adds up.
//!
//! Run it with `cargo run -p chat-balance --example overrun`.

use std::error::Error;

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, HoldRequest, LedgerAudit,
    LedgerMaintenance, LegRequest, MemoryLedger, Posting, Settlement,
};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp, Tokens, TurnId, UserId};

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "an example shows what it did")]
async fn main() -> Result<(), Box<dyn Error>> {
    let scope = Scope::new(TenantId::new("default")?, UserId::new("ada")?);
    let wallet = AccountId::new("wallet:ada")?;
    let now = Timestamp::from_unix_ms(0);
    let ledger = MemoryLedger::new();
    let spec = AccountSpec {
        id: wallet.clone(),
        owner: Some(scope.user.clone()),
        kind: AccountKind::Limited,
        opening: Money::from_usd(5)?,
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    ledger.open_account(&scope, &spec, now).await?;

    let key = StepKey { turn: TurnId::new("t-1")?, step: 1 };
    let held = Money::from_usd(4)?;
    let leg = LegRequest {
        account: wallet.clone(),
        amount: held,
        floor: held,
        refill: None,
        warn_below: None,
    };
    ledger.hold(&scope, &HoldRequest { key: key.clone(), legs: vec![leg], at: now }).await?;
    let postings = vec![Posting { attempt: 1, amount: Money::from_usd(6)?, tokens: Tokens::ZERO }];
    ledger.settle(&scope, &Settlement { key, postings, at: now }).await?;

    let mut audit = LedgerAudit::new();
    for (tenant, account) in ledger.scan_accounts(None, 100).await? {
        println!("{}: {} available", account.id, account.available()?);
        audit.account(&tenant, &account);
    }
    for hold in ledger.scan_holds(None, 100).await? {
        audit.hold(&hold);
    }
    for entry in ledger.scan_entries(0, 100).await? {
        println!("{:?} {} ({})", entry.kind, entry.amount, entry.reference);
        audit.entry(&entry);
    }
    let report = audit.finish();
    println!("sound: {}, overruns: {}", report.is_sound(), report.overruns);
    Ok(())
}
