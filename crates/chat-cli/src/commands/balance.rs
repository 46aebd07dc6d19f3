//! `chat balance`: the accounts that pay, and credit for them.

use chat_runtime::balance::{
    Account, AccountKind, AccountSpec, AccountUnit, Credit, CreditKind, PRIORITY,
};
use chat_runtime::types::Purpose;
use chat_runtime::{ConversationId, Money, PaidCall, parse_usd};
use serde_json::json;

use crate::app::{App, now};
use crate::arguments::{BalanceChange, CreditArguments};
use crate::errors::{Exit, Failure};
use crate::find;
use crate::render::{Table, moment};

const DAY_MS: i64 = 86_400_000;

/// The accounts as they stand: what is due by now is given and taken first.
pub(crate) async fn show(app: &App<'_>, conversation: Option<&str>) -> Result<Exit, Failure> {
    let conversation = match conversation {
        Some(id) => Some(find::conversation(app, id).await?.id),
        None => None,
    };
    let mut seen = Vec::new();
    for spec in specs(app, conversation.as_ref())? {
        let refill = spec.refill.as_ref();
        let ledger = app.client().balance();
        let found = ledger.refresh(&app.scope, &spec.id, refill, now()).await?;
        seen.push((found.is_some(), found.unwrap_or_else(|| Account::opened(&spec)), spec));
    }
    print(app, &seen)?;
    if !app.settings.json && seen.iter().any(|(is_open, ..)| !is_open) {
        app.output.note("what is not open yet is opened by the first message or grant");
    }
    Ok(Exit::Ok)
}

/// Moves credit; the same key once.
pub(crate) async fn change(app: &App<'_>, change: &BalanceChange) -> Result<Exit, Failure> {
    let (kind, arguments) = match change {
        BalanceChange::Grant { credit, .. } => (CreditKind::Grant, credit),
        BalanceChange::Refund(credit) => (CreditKind::Refund, credit),
        BalanceChange::Adjust(credit) => (CreditKind::Adjustment, credit),
    };
    let spec = chosen(specs(app, None)?, arguments)?;
    let ledger = app.client().balance();
    ledger.open_account(&app.scope, &spec, now()).await?;
    let amount = amount(&arguments.amount, spec.unit)?;
    let mut credit = Credit::new(spec.id, kind, arguments.key.as_str(), amount, now());
    if let BalanceChange::Grant { expires_in_days, priority, .. } = change {
        credit.priority = priority.unwrap_or(PRIORITY);
        let days = expires_in_days.map(|days| i64::from(days).saturating_mul(DAY_MS));
        credit.expires_at = days.map(|ms| now().plus_ms(ms));
    }
    ledger.credit(&app.scope, &credit).await?;
    show(app, None).await
}

/// Who pays for this user's calls of the default model.
fn specs(
    app: &App<'_>,
    conversation: Option<&ConversationId>,
) -> Result<Vec<AccountSpec>, Failure> {
    let client = app.client();
    let Some(model) = client.providers().default_model() else {
        return Err(Failure::new("no_provider", "no provider is configured"));
    };
    let (scope, purpose) = (&app.scope, Purpose::Reply);
    Ok(client.paying_accounts(&PaidCall { scope, conversation, model, purpose })?)
}

fn chosen(specs: Vec<AccountSpec>, credit: &CreditArguments) -> Result<AccountSpec, Failure> {
    let is_meant = |spec: &AccountSpec| match &credit.account {
        Some(account) => spec.id.as_str() == account,
        None => spec.unit == AccountUnit::Usd,
    };
    let names: Vec<String> = specs.iter().map(|spec| spec.id.to_string()).collect();
    specs.into_iter().find(is_meant).ok_or_else(|| {
        let wanted = credit.account.as_deref().unwrap_or("in US dollars");
        let cause =
            format!("no account {wanted} pays for this user; there are {}", names.join(", "));
        Failure::new("account_not_found", cause)
    })
}

fn amount(text: &str, unit: AccountUnit) -> Result<Money, Failure> {
    match unit {
        AccountUnit::Usd => Ok(parse_usd(text)?),
        AccountUnit::Requests | AccountUnit::Tokens => match text.parse::<u32>() {
            Ok(count) => Ok(Money::from_nano_usd(i64::from(count))),
            Err(_) => {
                let cause = format!("{text:?} is no whole number of {}", unit.as_str());
                Err(Failure::new("invalid_amount", cause))
            }
        },
    }
}

fn print(app: &App<'_>, seen: &[(bool, Account, AccountSpec)]) -> Result<(), Failure> {
    let mut table =
        Table::new(["account", "kind", "available", "held", "spent", "granted", "refill"])
            .right_aligned(&[2, 3, 4, 5]);
    for (is_open, account, spec) in seen {
        let available = account
            .available()
            .map_err(|error| Failure::new("ledger_corrupt", error.to_string()))?;
        let refill_at = spec.refill.as_ref().map(|refill| refill.period.next(now()));
        if app.settings.json {
            app.output.line(json!({
                "account": account.id,
                "kind": account.kind,
                "unit": account.unit,
                "open": is_open,
                "available_nano_usd": available,
                "held_nano_usd": account.held,
                "posted_nano_usd": account.posted,
                "granted_nano_usd": account.granted,
                "refunded_nano_usd": account.refunded,
                "expired_nano_usd": account.expired,
                "grants_left": account.state.lots,
                "refill_at": refill_at,
            }));
            continue;
        }
        let show = |amount| account.unit.show(amount);
        let shown = match account.kind {
            AccountKind::Limited => show(available),
            AccountKind::Unlimited => "unlimited".to_owned(),
        };
        table.row([
            account.id.to_string(),
            account.kind.as_str().to_owned(),
            shown,
            show(account.held),
            show(account.posted),
            show(account.granted),
            refill_at.map(moment).unwrap_or_default(),
        ]);
    }
    if !app.settings.json {
        for line in table.lines() {
            app.output.line(line);
        }
        for (_, account, _) in seen {
            for lot in &account.state.lots {
                let ends = lot.expires_at.map(moment).unwrap_or_else(|| "never".to_owned());
                let left = account.unit.show(lot.amount);
                app.output.line(format_args!("{}: {left} of {} until {ends}", account.id, lot.key));
            }
        }
    }
    Ok(())
}
