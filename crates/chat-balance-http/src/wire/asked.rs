//! The bodies of requests.

use chat_balance::{
    AccountSpec, Credit, CreditKind, Extension, HoldRequest, LegRequest, Posting, Refill,
    Settlement,
};
use chat_types::{AccountId, Money, Timestamp, UserId};
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct OpenAccount {
    owner: Option<UserId>,
    kind: &'static str,
    unit: &'static str,
    opening: i64,
    refill: Option<RefillPlan>,
    at_unix_ms: i64,
}

impl OpenAccount {
    pub(crate) fn new(spec: &AccountSpec, at: Timestamp) -> Self {
        Self {
            owner: spec.owner.clone(),
            kind: spec.kind.as_str(),
            unit: spec.unit.as_str(),
            opening: spec.opening.nano_usd(),
            refill: spec.refill.as_ref().map(RefillPlan::from),
            at_unix_ms: at.unix_ms(),
        }
    }
}

/// The plan in effect, in the unit of the account it comes with.
#[derive(Debug, Serialize)]
struct RefillPlan {
    mode: &'static str,
    amount: i64,
    every: u32,
    unit: &'static str,
    time_zone: String,
}

impl From<&Refill> for RefillPlan {
    fn from(refill: &Refill) -> Self {
        Self {
            mode: refill.mode.as_str(),
            amount: refill.amount.nano_usd(),
            every: refill.period.every(),
            unit: refill.period.unit().as_str(),
            time_zone: refill.period.time_zone().to_owned(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct Refresh {
    refill: Option<RefillPlan>,
    at_unix_ms: i64,
}

impl Refresh {
    pub(crate) fn new(refill: Option<&Refill>, at: Timestamp) -> Self {
        Self { refill: refill.map(RefillPlan::from), at_unix_ms: at.unix_ms() }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct AddCredit<'a> {
    kind: &'static str,
    key: &'a str,
    amount: i64,
    priority: u8,
    expires_at_unix_ms: Option<i64>,
    at_unix_ms: i64,
}

impl<'a> From<&'a Credit> for AddCredit<'a> {
    fn from(credit: &'a Credit) -> Self {
        Self {
            kind: credit_kind(credit.kind),
            key: &credit.key,
            amount: credit.amount.nano_usd(),
            priority: credit.priority,
            expires_at_unix_ms: credit.expires_at.map(Timestamp::unix_ms),
            at_unix_ms: credit.at.unix_ms(),
        }
    }
}

pub(crate) const fn credit_kind(kind: CreditKind) -> &'static str {
    match kind {
        CreditKind::Grant => "grant",
        CreditKind::Refund => "refund",
        CreditKind::Adjustment => "adjustment",
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct TakeHold {
    legs: Vec<WantedLeg>,
    at_unix_ms: i64,
}

#[derive(Debug, Serialize)]
struct WantedLeg {
    account: AccountId,
    amount: i64,
    floor: i64,
    refill: Option<RefillPlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warn_below: Option<i64>,
}

impl From<&LegRequest> for WantedLeg {
    fn from(leg: &LegRequest) -> Self {
        Self {
            account: leg.account.clone(),
            amount: leg.amount.nano_usd(),
            floor: leg.floor.nano_usd(),
            refill: leg.refill.as_ref().map(RefillPlan::from),
            warn_below: leg.warn_below.map(Money::nano_usd),
        }
    }
}

impl From<&HoldRequest> for TakeHold {
    fn from(request: &HoldRequest) -> Self {
        let legs = request.legs.iter().map(WantedLeg::from).collect();
        Self { legs, at_unix_ms: request.at.unix_ms() }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ExtendHold {
    attempt: u32,
    amount_nano_usd: i64,
    tokens: u64,
    at_unix_ms: i64,
}

impl From<&Extension> for ExtendHold {
    fn from(extension: &Extension) -> Self {
        Self {
            attempt: extension.attempt,
            amount_nano_usd: extension.amount.nano_usd(),
            tokens: extension.tokens.get(),
            at_unix_ms: extension.at.unix_ms(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct SettleHold {
    postings: Vec<WantedPosting>,
    at_unix_ms: i64,
}

#[derive(Debug, Serialize)]
struct WantedPosting {
    attempt: u32,
    amount_nano_usd: i64,
    tokens: u64,
}

impl From<&Posting> for WantedPosting {
    fn from(posting: &Posting) -> Self {
        Self {
            attempt: posting.attempt,
            amount_nano_usd: posting.amount.nano_usd(),
            tokens: posting.tokens.get(),
        }
    }
}

impl From<&Settlement> for SettleHold {
    fn from(settlement: &Settlement) -> Self {
        let postings = settlement.postings.iter().map(WantedPosting::from).collect();
        Self { postings, at_unix_ms: settlement.at.unix_ms() }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ReleaseHold {
    pub(crate) at_unix_ms: i64,
}
