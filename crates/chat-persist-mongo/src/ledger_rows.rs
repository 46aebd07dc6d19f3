//! Documents of the ledger: accounts, holds with their legs, entries.
//!
//! Ids are documents of the row's key, so they are unique by themselves and sort as the ports ask;
//! `tenant` stands beside them for sharding and is part of every filter. Amounts, times and numbers
//! are 64-bit integers; a row with anything else in their place is corrupt, also if it could be read
//! as one, because nobody can say what else a writer of doubles has rounded.

use chat_balance::{
    Account, AccountKind, AccountState, AccountUnit, Entry, EntryKind, Hold, HoldLeg, HoldState,
    Lot, Side,
};
use chat_types::{AccountId, Money, Scope, StepKey, TenantId, Timestamp};
use mongodb::bson::{Bson, Document, doc};

use crate::error::{EngineResult, Failure};

/// Fields of one document in exactly the types that are written here.
pub(crate) struct Exact<'d>(pub(crate) &'d Document);

fn unfit(name: &str) -> Failure {
    Failure::corrupt(format!("the stored field {name} is missing or of another type"))
}

impl<'d> Exact<'d> {
    pub(crate) fn text(&self, name: &str) -> EngineResult<&'d str> {
        self.0.get_str(name).map_err(|_| unfit(name))
    }

    /// None if it is absent or null.
    pub(crate) fn optional<T>(
        &self,
        name: &str,
        read: impl FnOnce(&Self, &str) -> EngineResult<T>,
    ) -> EngineResult<Option<T>> {
        match self.0.get(name) {
            None | Some(Bson::Null) => Ok(None),
            Some(_) => read(self, name).map(Some),
        }
    }

    pub(crate) fn integer(&self, name: &str) -> EngineResult<i64> {
        self.0.get_i64(name).map_err(|_| unfit(name))
    }

    pub(crate) fn unsigned(&self, name: &str) -> EngineResult<u64> {
        u64::try_from(self.integer(name)?).map_err(|_| unfit(name))
    }

    pub(crate) fn small(&self, name: &str) -> EngineResult<u32> {
        u32::try_from(self.integer(name)?).map_err(|_| unfit(name))
    }

    pub(crate) fn money(&self, name: &str) -> EngineResult<Money> {
        self.integer(name).map(Money::from_nano_usd)
    }

    pub(crate) fn flag(&self, name: &str) -> EngineResult<bool> {
        self.0.get_bool(name).map_err(|_| unfit(name))
    }

    pub(crate) fn time(&self, name: &str) -> EngineResult<Timestamp> {
        self.integer(name).map(Timestamp::from_unix_ms)
    }

    pub(crate) fn parsed<T: std::str::FromStr>(&self, name: &str) -> EngineResult<T> {
        self.text(name)?.parse().map_err(|_| unfit(name))
    }

    pub(crate) fn named<T>(
        &self,
        name: &str,
        from_stored: impl FnOnce(&str) -> Option<T>,
    ) -> EngineResult<T> {
        from_stored(self.text(name)?).ok_or_else(|| unfit(name))
    }

    pub(crate) fn document(&self, name: &str) -> EngineResult<Self> {
        self.0.get_document(name).map(Exact).map_err(|_| unfit(name))
    }
}

pub(crate) fn account_id(tenant: &TenantId, id: &AccountId) -> Document {
    doc! { "tenant": tenant.as_str(), "account": id.as_str() }
}

pub(crate) fn account_document(tenant: &TenantId, account: &Account) -> Document {
    let mut document = doc! {
        "_id": account_id(tenant, &account.id),
        "tenant": tenant.as_str(),
        "owner": account.owner.as_ref().map(|owner| owner.as_str()),
        "kind": account.kind.as_str(),
        "unit": account.unit.as_str(),
    };
    document.extend(account_totals(account));
    document
}

/// What a rule can change of an account.
pub(crate) fn account_totals(account: &Account) -> Document {
    doc! {
        "granted": account.granted.nano_usd(),
        "refunded": account.refunded.nano_usd(),
        "held": account.held.nano_usd(),
        "posted": account.posted.nano_usd(),
        "expired": account.expired.nano_usd(),
        "as_of": account.state.as_of.unix_ms(),
        "refilled_at": account.state.refilled_at.map(Timestamp::unix_ms),
        "lots": lot_documents(&account.state.lots),
        "low_told": account.state.low_told,
    }
}

fn lot_documents(lots: &[Lot]) -> Vec<Document> {
    let document = |lot: &Lot| {
        doc! {
            "key": lot.key.as_str(),
            "amount": lot.amount.nano_usd(),
            "priority": i64::from(lot.priority),
            "expires_at": lot.expires_at.map(Timestamp::unix_ms),
            "granted_at": lot.granted_at.unix_ms(),
        }
    };
    lots.iter().map(document).collect()
}

/// The lots of an account or a leg; a document of before there were any has none.
fn lots_of(fields: &Exact<'_>) -> EngineResult<Vec<Lot>> {
    let Some(lots) = fields.0.get("lots") else {
        return Ok(Vec::new());
    };
    let lots = lots.as_array().ok_or_else(|| unfit("lots"))?;
    lots.iter().map(lot_of).collect()
}

fn lot_of(lot: &Bson) -> EngineResult<Lot> {
    let fields = Exact(lot.as_document().ok_or_else(|| unfit("lots"))?);
    Ok(Lot {
        key: fields.text("key")?.to_owned(),
        amount: fields.money("amount")?,
        priority: u8::try_from(fields.integer("priority")?).map_err(|_| unfit("priority"))?,
        expires_at: fields.optional("expires_at", Exact::time)?,
        granted_at: fields.time("granted_at")?,
    })
}

/// A document of before there were units counts dollars.
fn unit_of(fields: &Exact<'_>) -> EngineResult<AccountUnit> {
    let unit =
        fields.optional("unit", |fields, name| fields.named(name, AccountUnit::from_stored))?;
    Ok(unit.unwrap_or_default())
}

pub(crate) fn account_of(document: &Document) -> EngineResult<(TenantId, Account)> {
    let fields = Exact(document);
    let id = fields.document("_id")?;
    let account = Account {
        id: id.parsed("account")?,
        owner: fields.optional("owner", Exact::parsed)?,
        kind: fields.named("kind", AccountKind::from_stored)?,
        unit: unit_of(&fields)?,
        granted: fields.money("granted")?,
        refunded: fields.money("refunded")?,
        held: fields.money("held")?,
        posted: fields.money("posted")?,
        expired: fields.money("expired")?,
        state: AccountState {
            as_of: fields.optional("as_of", Exact::time)?.unwrap_or_default(),
            refilled_at: fields.optional("refilled_at", Exact::time)?,
            lots: lots_of(&fields)?,
            low_told: fields.optional("low_told", Exact::flag)?.unwrap_or_default(),
        },
    };
    Ok((id.parsed("tenant")?, account))
}

pub(crate) fn hold_id(tenant: &TenantId, key: &StepKey) -> Document {
    doc! { "tenant": tenant.as_str(), "turn": key.turn.as_str(), "step": i64::from(key.step) }
}

pub(crate) fn hold_document(hold: &Hold) -> Document {
    let mut document = doc! {
        "_id": hold_id(&hold.scope.tenant, &hold.key),
        "tenant": hold.scope.tenant.as_str(),
        "user": hold.scope.user.as_str(),
        "opened_at": hold.opened_at.unix_ms(),
    };
    document.extend(hold_changes(hold));
    document
}

/// What a rule can change of a hold.
pub(crate) fn hold_changes(hold: &Hold) -> Document {
    let legs: Vec<Document> = hold
        .legs
        .iter()
        .map(|leg| {
            let mut document = doc! {
                "account": leg.account.as_str(),
                "unit": leg.unit.as_str(),
                "amount": leg.amount.nano_usd(),
                "posted": leg.posted.nano_usd(),
            };
            if !leg.lots.is_empty() {
                document.insert("lots", lot_documents(&leg.lots));
            }
            for (name, amount) in [("warn_below", leg.warn_below), ("low", leg.low)] {
                if let Some(amount) = amount {
                    document.insert(name, amount.nano_usd());
                }
            }
            document
        })
        .collect();
    doc! {
        "state": hold.state.as_str(),
        "legs": legs,
        "extended_to": i64::from(hold.extended_to),
        "closed_at": hold.closed_at.map(Timestamp::unix_ms),
    }
}

pub(crate) fn hold_of(document: &Document) -> EngineResult<Hold> {
    let fields = Exact(document);
    let id = fields.document("_id")?;
    let legs = document.get_array("legs").map_err(|_| unfit("legs"))?;
    Ok(Hold {
        scope: Scope::new(id.parsed("tenant")?, fields.parsed("user")?),
        key: StepKey { turn: id.parsed("turn")?, step: id.small("step")? },
        state: fields.named("state", HoldState::from_stored)?,
        legs: legs.iter().map(leg_of).collect::<EngineResult<_>>()?,
        extended_to: fields.small("extended_to")?,
        opened_at: fields.time("opened_at")?,
        closed_at: fields.optional("closed_at", Exact::time)?,
    })
}

fn leg_of(leg: &Bson) -> EngineResult<HoldLeg> {
    let fields = Exact(leg.as_document().ok_or_else(|| unfit("legs"))?);
    Ok(HoldLeg {
        account: fields.parsed("account")?,
        unit: unit_of(&fields)?,
        amount: fields.money("amount")?,
        posted: fields.money("posted")?,
        lots: lots_of(&fields)?,
        warn_below: fields.optional("warn_below", Exact::money)?,
        low: fields.optional("low", Exact::money)?,
    })
}

pub(crate) fn entry_id(tenant: &TenantId, kind: EntryKind, reference: &str) -> Document {
    doc! { "tenant": tenant.as_str(), "kind": kind.as_str(), "reference": reference }
}

pub(crate) fn entry_document(entry: &Entry, written: Document) -> Document {
    let tenant = &entry.scope.tenant;
    doc! {
        "_id": entry_id(tenant, entry.kind, &entry.reference),
        "written": written,
        "tenant": tenant.as_str(),
        "user": entry.scope.user.as_str(),
        "debit": entry.debit.stored_name().into_owned(),
        "credit": entry.credit.stored_name().into_owned(),
        "amount": entry.amount.nano_usd(),
        "at": entry.at.unix_ms(),
    }
}

pub(crate) fn entry_of(document: &Document) -> EngineResult<Entry> {
    let fields = Exact(document);
    let id = fields.document("_id")?;
    Ok(Entry {
        scope: Scope::new(id.parsed("tenant")?, fields.parsed("user")?),
        debit: fields.named("debit", Side::from_stored)?,
        credit: fields.named("credit", Side::from_stored)?,
        amount: fields.money("amount")?,
        kind: id.named("kind", EntryKind::from_stored)?,
        reference: id.text("reference")?.to_owned(),
        at: fields.time("at")?,
    })
}
