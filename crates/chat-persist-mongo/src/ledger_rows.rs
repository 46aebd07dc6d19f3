//! Documents of the ledger: accounts, holds with their legs, entries.
//!
//! Ids are documents of the row's key, so they are unique by themselves and sort as the ports ask;
//! `tenant` stands beside them for sharding and is part of every filter. Amounts, times and numbers
//! are 64-bit integers; a row with anything else in their place is corrupt, also if it could be read
//! as one, because nobody can say what else a writer of doubles has rounded.

use chat_balance::{Account, AccountKind, Entry, EntryKind, Hold, HoldLeg, HoldState, Side};
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
    }
}

pub(crate) fn account_of(document: &Document) -> EngineResult<(TenantId, Account)> {
    let fields = Exact(document);
    let id = fields.document("_id")?;
    let account = Account {
        id: id.parsed("account")?,
        owner: fields.optional("owner", Exact::parsed)?,
        kind: fields.named("kind", AccountKind::from_stored)?,
        granted: fields.money("granted")?,
        refunded: fields.money("refunded")?,
        held: fields.money("held")?,
        posted: fields.money("posted")?,
        expired: fields.money("expired")?,
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
            doc! {
                "account": leg.account.as_str(),
                "amount": leg.amount.nano_usd(),
                "posted": leg.posted.nano_usd(),
            }
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
        amount: fields.money("amount")?,
        posted: fields.money("posted")?,
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
