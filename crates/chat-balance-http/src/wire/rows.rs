//! Accounts, holds and entries, as they are answered, scanned and restored.

use chat_balance::{
    Account, AccountKind, AccountState, AccountUnit, Entry, EntryKind, Hold, HoldLeg, HoldState,
    Lot, Side,
};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp, TurnId, UserId};
use serde::{Deserialize, Serialize};

use super::Unknown;

/// An account.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AccountRow {
    tenant: TenantId,
    account: AccountId,
    owner: Option<UserId>,
    kind: String,
    unit: String,
    granted: i64,
    refunded: i64,
    held: i64,
    posted: i64,
    expired: i64,
    as_of_unix_ms: i64,
    refilled_at_unix_ms: Option<i64>,
    lots: Vec<LotRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low_told: Option<bool>,
}

impl AccountRow {
    pub(crate) fn new(tenant: &TenantId, account: &Account) -> Self {
        Self {
            tenant: tenant.clone(),
            account: account.id.clone(),
            owner: account.owner.clone(),
            kind: account.kind.as_str().to_owned(),
            unit: account.unit.as_str().to_owned(),
            granted: account.granted.nano_usd(),
            refunded: account.refunded.nano_usd(),
            held: account.held.nano_usd(),
            posted: account.posted.nano_usd(),
            expired: account.expired.nano_usd(),
            as_of_unix_ms: account.state.as_of.unix_ms(),
            refilled_at_unix_ms: account.state.refilled_at.map(Timestamp::unix_ms),
            lots: account.state.lots.iter().map(LotRow::from).collect(),
            low_told: account.state.low_told.then_some(true),
        }
    }

    pub(crate) fn into_account(self) -> Result<(TenantId, Account), Unknown> {
        let account = Account {
            id: self.account,
            owner: self.owner,
            kind: AccountKind::from_stored(&self.kind).ok_or(Unknown { member: "kind" })?,
            unit: unit(&self.unit)?,
            granted: Money::from_nano_usd(self.granted),
            refunded: Money::from_nano_usd(self.refunded),
            held: Money::from_nano_usd(self.held),
            posted: Money::from_nano_usd(self.posted),
            expired: Money::from_nano_usd(self.expired),
            state: AccountState {
                as_of: Timestamp::from_unix_ms(self.as_of_unix_ms),
                refilled_at: self.refilled_at_unix_ms.map(Timestamp::from_unix_ms),
                lots: self.lots.into_iter().map(Lot::from).collect(),
                low_told: self.low_told.unwrap_or_default(),
            },
        };
        Ok((self.tenant, account))
    }
}

/// What is left, or held, of one grant.
#[derive(Debug, Serialize, Deserialize)]
struct LotRow {
    key: String,
    amount: i64,
    priority: u8,
    expires_at_unix_ms: Option<i64>,
    granted_at_unix_ms: i64,
}

impl From<&Lot> for LotRow {
    fn from(lot: &Lot) -> Self {
        Self {
            key: lot.key.clone(),
            amount: lot.amount.nano_usd(),
            priority: lot.priority,
            expires_at_unix_ms: lot.expires_at.map(Timestamp::unix_ms),
            granted_at_unix_ms: lot.granted_at.unix_ms(),
        }
    }
}

impl From<LotRow> for Lot {
    fn from(row: LotRow) -> Self {
        Self {
            key: row.key,
            amount: Money::from_nano_usd(row.amount),
            priority: row.priority,
            expires_at: row.expires_at_unix_ms.map(Timestamp::from_unix_ms),
            granted_at: Timestamp::from_unix_ms(row.granted_at_unix_ms),
        }
    }
}

/// A hold.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HoldRow {
    tenant: TenantId,
    user: UserId,
    turn: TurnId,
    step: u32,
    state: String,
    legs: Vec<LegRow>,
    extended_to: u32,
    opened_at_unix_ms: i64,
    closed_at_unix_ms: Option<i64>,
}

impl From<&Hold> for HoldRow {
    fn from(hold: &Hold) -> Self {
        Self {
            tenant: hold.scope.tenant.clone(),
            user: hold.scope.user.clone(),
            turn: hold.key.turn.clone(),
            step: hold.key.step,
            state: hold.state.as_str().to_owned(),
            legs: hold.legs.iter().map(LegRow::from).collect(),
            extended_to: hold.extended_to,
            opened_at_unix_ms: hold.opened_at.unix_ms(),
            closed_at_unix_ms: hold.closed_at.map(Timestamp::unix_ms),
        }
    }
}

impl TryFrom<HoldRow> for Hold {
    type Error = Unknown;

    fn try_from(row: HoldRow) -> Result<Self, Unknown> {
        Ok(Self {
            scope: Scope::new(row.tenant, row.user),
            key: StepKey { turn: row.turn, step: row.step },
            state: HoldState::from_stored(&row.state).ok_or(Unknown { member: "state" })?,
            legs: row.legs.into_iter().map(HoldLeg::try_from).collect::<Result<_, _>>()?,
            extended_to: row.extended_to,
            opened_at: Timestamp::from_unix_ms(row.opened_at_unix_ms),
            closed_at: row.closed_at_unix_ms.map(Timestamp::from_unix_ms),
        })
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct LegRow {
    account: AccountId,
    unit: String,
    amount: i64,
    posted: i64,
    lots: Vec<LotRow>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    warn_below: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    low: Option<i64>,
}

impl From<&HoldLeg> for LegRow {
    fn from(leg: &HoldLeg) -> Self {
        Self {
            account: leg.account.clone(),
            unit: leg.unit.as_str().to_owned(),
            amount: leg.amount.nano_usd(),
            posted: leg.posted.nano_usd(),
            lots: leg.lots.iter().map(LotRow::from).collect(),
            warn_below: leg.warn_below.map(Money::nano_usd),
            low: leg.low.map(Money::nano_usd),
        }
    }
}

impl TryFrom<LegRow> for HoldLeg {
    type Error = Unknown;

    fn try_from(row: LegRow) -> Result<Self, Unknown> {
        Ok(Self {
            account: row.account,
            unit: unit(&row.unit)?,
            amount: Money::from_nano_usd(row.amount),
            posted: Money::from_nano_usd(row.posted),
            lots: row.lots.into_iter().map(Lot::from).collect(),
            warn_below: row.warn_below.map(Money::from_nano_usd),
            low: row.low.map(Money::from_nano_usd),
        })
    }
}

/// An entry.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EntryRow {
    tenant: TenantId,
    user: UserId,
    debit: String,
    credit: String,
    amount: i64,
    kind: String,
    reference: String,
    at_unix_ms: i64,
}

impl From<&Entry> for EntryRow {
    fn from(entry: &Entry) -> Self {
        Self {
            tenant: entry.scope.tenant.clone(),
            user: entry.scope.user.clone(),
            debit: entry.debit.stored_name().into_owned(),
            credit: entry.credit.stored_name().into_owned(),
            amount: entry.amount.nano_usd(),
            kind: entry.kind.as_str().to_owned(),
            reference: entry.reference.clone(),
            at_unix_ms: entry.at.unix_ms(),
        }
    }
}

impl TryFrom<EntryRow> for Entry {
    type Error = Unknown;

    fn try_from(row: EntryRow) -> Result<Self, Unknown> {
        Ok(Self {
            scope: Scope::new(row.tenant, row.user),
            debit: Side::from_stored(&row.debit).ok_or(Unknown { member: "debit" })?,
            credit: Side::from_stored(&row.credit).ok_or(Unknown { member: "credit" })?,
            amount: Money::from_nano_usd(row.amount),
            kind: EntryKind::from_stored(&row.kind).ok_or(Unknown { member: "kind" })?,
            reference: row.reference,
            at: Timestamp::from_unix_ms(row.at_unix_ms),
        })
    }
}

fn unit(name: &str) -> Result<AccountUnit, Unknown> {
    AccountUnit::from_stored(name).ok_or(Unknown { member: "unit" })
}
