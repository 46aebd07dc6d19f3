//! `chat balance`: the account, and credit for it.

use chat_runtime::balance::{
    Account, AccountKind, AccountSpec, AccountUnit, Credit, CreditKind, PRIORITY,
};
use chat_runtime::types::AccountId;
use chat_runtime::{AccountsConfig, Money, parse_usd};
use serde_json::json;

use crate::app::{App, now};
use crate::arguments::BalanceChange;
use crate::errors::{Exit, Failure};
use crate::render::Table;

/// The account as it stands.
pub(crate) async fn show(app: &App<'_>) -> Result<Exit, Failure> {
    let spec = spec(app)?;
    let found = app.client().balance().account(&app.scope, &spec.id).await?;
    let is_open = found.is_some();
    print(app, &found.unwrap_or_else(|| Account::opened(&spec)))?;
    if !is_open && !app.settings.json {
        app.output.note("it will be opened by the first message or grant");
    }
    Ok(Exit::Ok)
}

/// Grants credit; the same key once.
pub(crate) async fn change(app: &App<'_>, change: &BalanceChange) -> Result<Exit, Failure> {
    let BalanceChange::Grant { amount, key } = change;
    let amount = parse_usd(amount)?;
    let spec = spec(app)?;
    let ledger = app.client().balance();
    ledger.open_account(&app.scope, &spec, now()).await?;
    let credit = Credit {
        account: spec.id.clone(),
        kind: CreditKind::Grant,
        key: key.clone(),
        amount,
        at: now(),
        priority: PRIORITY,
        expires_at: None,
    };
    ledger.credit(&app.scope, &credit).await?;
    show(app).await
}

/// The account that pays for this user, as it is opened when it is first needed.
fn spec(app: &App<'_>) -> Result<AccountSpec, Failure> {
    let (kind, opening) = match &app.settings.runtime.accounts {
        AccountsConfig::Unlimited => (AccountKind::Unlimited, Money::ZERO),
        AccountsConfig::Limited { opening_usd } => (AccountKind::Limited, parse_usd(opening_usd)?),
    };
    Ok(AccountSpec {
        id: AccountId::new(app.scope.user.as_str())?,
        owner: Some(app.scope.user.clone()),
        kind,
        opening,
        unit: AccountUnit::Usd,
        refill: None,
    })
}

fn print(app: &App<'_>, account: &Account) -> Result<(), Failure> {
    let available =
        account.available().map_err(|error| Failure::new("ledger_corrupt", error.to_string()))?;
    let kind = match account.kind {
        AccountKind::Limited => "limited",
        AccountKind::Unlimited => "unlimited",
    };
    if app.settings.json {
        app.output.line(json!({
            "account": account.id,
            "kind": kind,
            "available_nano_usd": available,
            "held_nano_usd": account.held,
            "posted_nano_usd": account.posted,
            "granted_nano_usd": account.granted,
            "refunded_nano_usd": account.refunded,
            "expired_nano_usd": account.expired,
        }));
        return Ok(());
    }
    let mut table = Table::new(["account", "kind", "available", "held", "spent", "granted"])
        .right_aligned(&[2, 3, 4, 5]);
    let shown = match account.kind {
        AccountKind::Limited => available.to_string(),
        AccountKind::Unlimited => "unlimited".to_owned(),
    };
    table.row([
        account.id.to_string(),
        kind.to_owned(),
        shown,
        account.held.to_string(),
        account.posted.to_string(),
        account.granted.to_string(),
    ]);
    for line in table.lines() {
        app.output.line(line);
    }
    Ok(())
}
