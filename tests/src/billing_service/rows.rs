//! The rows the service shows, and reads when a ledger is restored.
//!
//! Members are named as in `docs/external-billing.md`. Not here: the bodies of requests (`bodies`).

use chat_runtime::Money;
use chat_runtime::balance::{
    Account, AccountKind, AccountState, AccountUnit, Entry, EntryKind, Hold, HoldLeg, HoldState,
    LedgerRows, Lot, Side,
};
use chat_runtime::types::{Scope, StepKey, TenantId, Timestamp, TurnId};
use serde_json::{Value, json};

use super::bad_request::{BadRequest, unknown};

pub(super) fn account_row(tenant: &TenantId, account: &Account) -> Value {
    json!({
        "tenant": tenant,
        "account": account.id,
        "owner": account.owner,
        "kind": account.kind.as_str(),
        "unit": account.unit.as_str(),
        "granted": account.granted.nano_usd(),
        "refunded": account.refunded.nano_usd(),
        "held": account.held.nano_usd(),
        "posted": account.posted.nano_usd(),
        "expired": account.expired.nano_usd(),
        "as_of_unix_ms": account.state.as_of.unix_ms(),
        "refilled_at_unix_ms": account.state.refilled_at.map(Timestamp::unix_ms),
        "lots": lot_rows(&account.state.lots),
        "low_told": account.state.low_told,
        // Beyond the contract: a client ignores what it does not know.
        "available": account.available().map_or(0, Money::nano_usd),
    })
}

fn lot_rows(lots: &[Lot]) -> Vec<Value> {
    let row = |lot: &Lot| {
        json!({
            "key": lot.key,
            "amount": lot.amount.nano_usd(),
            "priority": lot.priority,
            "expires_at_unix_ms": lot.expires_at.map(Timestamp::unix_ms),
            "granted_at_unix_ms": lot.granted_at.unix_ms(),
        })
    };
    lots.iter().map(row).collect()
}

pub(super) fn hold_row(hold: &Hold) -> Value {
    let leg = |leg: &HoldLeg| {
        json!({
            "account": leg.account,
            "unit": leg.unit.as_str(),
            "amount": leg.amount.nano_usd(),
            "posted": leg.posted.nano_usd(),
            "lots": lot_rows(&leg.lots),
            "warn_below": leg.warn_below.map(Money::nano_usd),
            "low": leg.low.map(Money::nano_usd),
        })
    };
    json!({
        "tenant": hold.scope.tenant,
        "user": hold.scope.user,
        "turn": hold.key.turn,
        "step": hold.key.step,
        "state": hold.state.as_str(),
        "legs": hold.legs.iter().map(leg).collect::<Vec<_>>(),
        "extended_to": hold.extended_to,
        "opened_at_unix_ms": hold.opened_at.unix_ms(),
        "closed_at_unix_ms": hold.closed_at.map(Timestamp::unix_ms),
    })
}

pub(super) fn entry_row(entry: &Entry) -> Value {
    json!({
        "tenant": entry.scope.tenant,
        "user": entry.scope.user,
        "debit": entry.debit.stored_name(),
        "credit": entry.credit.stored_name(),
        "amount": entry.amount.nano_usd(),
        "kind": entry.kind.as_str(),
        "reference": entry.reference,
        "at_unix_ms": entry.at.unix_ms(),
    })
}

/// The rows of a restore.
pub(super) fn rows(body: &Value) -> Result<LedgerRows, BadRequest> {
    Ok(LedgerRows {
        accounts: list(body, "accounts")?.iter().map(account).collect::<Result<_, _>>()?,
        holds: list(body, "holds")?.iter().map(hold).collect::<Result<_, _>>()?,
        entries: list(body, "entries")?.iter().map(entry).collect::<Result<_, _>>()?,
    })
}

fn account(row: &Value) -> Result<(TenantId, Account), BadRequest> {
    let account = Account {
        id: member(row, "account")?,
        owner: member(row, "owner")?,
        kind: AccountKind::from_stored(&text(row, "kind")?).ok_or_else(|| unknown("kind"))?,
        unit: unit(row)?,
        granted: amount(row, "granted")?,
        refunded: amount(row, "refunded")?,
        held: amount(row, "held")?,
        posted: amount(row, "posted")?,
        expired: amount(row, "expired")?,
        state: AccountState {
            as_of: at(member(row, "as_of_unix_ms")?),
            refilled_at: member::<Option<i64>>(row, "refilled_at_unix_ms")?.map(at),
            lots: lots(row)?,
            low_told: optional(row, "low_told")?.unwrap_or_default(),
        },
    };
    Ok((member(row, "tenant")?, account))
}

fn lots(row: &Value) -> Result<Vec<Lot>, BadRequest> {
    let lot = |lot: &Value| {
        Ok(Lot {
            key: text(lot, "key")?,
            amount: amount(lot, "amount")?,
            priority: member(lot, "priority")?,
            expires_at: member::<Option<i64>>(lot, "expires_at_unix_ms")?.map(at),
            granted_at: at(member(lot, "granted_at_unix_ms")?),
        })
    };
    list(row, "lots")?.iter().map(lot).collect()
}

fn unit(row: &Value) -> Result<AccountUnit, BadRequest> {
    AccountUnit::from_stored(&text(row, "unit")?).ok_or_else(|| unknown("unit"))
}

fn hold(row: &Value) -> Result<Hold, BadRequest> {
    let leg = |leg: &Value| {
        Ok(HoldLeg {
            account: member(leg, "account")?,
            unit: unit(leg)?,
            amount: amount(leg, "amount")?,
            posted: amount(leg, "posted")?,
            lots: lots(leg)?,
            warn_below: optional(leg, "warn_below")?.map(Money::from_nano_usd),
            low: optional(leg, "low")?.map(Money::from_nano_usd),
        })
    };
    Ok(Hold {
        scope: Scope::new(member(row, "tenant")?, member(row, "user")?),
        key: StepKey { turn: member::<TurnId>(row, "turn")?, step: member(row, "step")? },
        state: HoldState::from_stored(&text(row, "state")?).ok_or_else(|| unknown("state"))?,
        legs: list(row, "legs")?.iter().map(leg).collect::<Result<_, BadRequest>>()?,
        extended_to: member(row, "extended_to")?,
        opened_at: at(member(row, "opened_at_unix_ms")?),
        closed_at: member::<Option<i64>>(row, "closed_at_unix_ms")?.map(at),
    })
}

fn entry(row: &Value) -> Result<Entry, BadRequest> {
    let side = |name: &str| Side::from_stored(&text(row, name)?).ok_or_else(|| unknown(name));
    Ok(Entry {
        scope: Scope::new(member(row, "tenant")?, member(row, "user")?),
        debit: side("debit")?,
        credit: side("credit")?,
        amount: amount(row, "amount")?,
        kind: EntryKind::from_stored(&text(row, "kind")?).ok_or_else(|| unknown("kind"))?,
        reference: text(row, "reference")?,
        at: at(member(row, "at_unix_ms")?),
    })
}

pub(super) const fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

fn list<'a>(row: &'a Value, name: &str) -> Result<&'a [Value], BadRequest> {
    let list = row.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice).ok_or_else(|| BadRequest(format!("{name} is no list")))
}

fn member<T: serde::de::DeserializeOwned>(row: &Value, name: &str) -> Result<T, BadRequest> {
    let value = row.get(name).ok_or_else(|| BadRequest(format!("{name} is missing")))?;
    T::deserialize(value).map_err(|error| BadRequest(format!("{name}: {error}")))
}

/// A member that may be left out.
fn optional<T: serde::de::DeserializeOwned>(
    row: &Value,
    name: &str,
) -> Result<Option<T>, BadRequest> {
    if row.get(name).is_some() { member(row, name) } else { Ok(None) }
}

fn text(row: &Value, name: &str) -> Result<String, BadRequest> {
    member(row, name)
}

fn amount(row: &Value, name: &str) -> Result<Money, BadRequest> {
    member(row, name).map(Money::from_nano_usd)
}
