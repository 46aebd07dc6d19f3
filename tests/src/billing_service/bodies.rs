//! What the service is asked: the bodies of requests.
//!
//! Members are named as in `docs/external-billing.md`. Not here: the rows it shows (`rows`), statuses
//! and addresses (`routes`).

use chat_runtime::Money;
use chat_runtime::balance::{
    AccountKind, AccountSpec, AccountUnit, Credit, CreditKind, Extension, LegRequest, Period,
    PeriodUnit, Posting, Refill, RefillMode,
};
use chat_runtime::types::{AccountId, Timestamp, Tokens, UserId};
use serde::Deserialize;

use super::bad_request::{BadRequest, unknown};
use super::rows::at;

#[derive(Debug, Deserialize)]
pub(super) struct OpenBody {
    owner: Option<UserId>,
    kind: String,
    unit: String,
    opening: i64,
    refill: Option<RefillBody>,
    pub(super) at_unix_ms: i64,
}

impl OpenBody {
    pub(super) fn into_spec(self, id: AccountId) -> Result<AccountSpec, BadRequest> {
        Ok(AccountSpec {
            id,
            owner: self.owner,
            kind: AccountKind::from_stored(&self.kind).ok_or_else(|| unknown("kind"))?,
            unit: AccountUnit::from_stored(&self.unit).ok_or_else(|| unknown("unit"))?,
            opening: Money::from_nano_usd(self.opening),
            refill: self.refill.map(RefillBody::into_refill).transpose()?,
            warn_below: None,
        })
    }
}

/// The plan in effect. This service keeps none of its own, so it follows what it is told.
#[derive(Debug, Deserialize)]
pub(super) struct RefillBody {
    mode: String,
    amount: i64,
    every: u32,
    unit: String,
    time_zone: String,
}

impl RefillBody {
    pub(super) fn into_refill(self) -> Result<Refill, BadRequest> {
        let unit = PeriodUnit::from_name(&self.unit).ok_or_else(|| unknown("unit"))?;
        Ok(Refill {
            mode: RefillMode::from_name(&self.mode).ok_or_else(|| unknown("mode"))?,
            amount: Money::from_nano_usd(self.amount),
            period: Period::new(self.every, unit, &self.time_zone)
                .map_err(|error| BadRequest(error.to_string()))?,
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct RefreshBody {
    pub(super) refill: Option<RefillBody>,
    pub(super) at_unix_ms: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct CreditBody {
    kind: String,
    key: String,
    amount: i64,
    priority: u8,
    expires_at_unix_ms: Option<i64>,
    at_unix_ms: i64,
}

impl CreditBody {
    pub(super) fn into_credit(self, account: AccountId) -> Result<Credit, BadRequest> {
        let kind = match self.kind.as_str() {
            "grant" => CreditKind::Grant,
            "refund" => CreditKind::Refund,
            "adjustment" => CreditKind::Adjustment,
            _ => return Err(unknown("kind")),
        };
        let amount = Money::from_nano_usd(self.amount);
        Ok(Credit {
            priority: self.priority,
            expires_at: self.expires_at_unix_ms.map(Timestamp::from_unix_ms),
            ..Credit::new(account, kind, self.key, amount, at(self.at_unix_ms))
        })
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct HoldBody {
    legs: Vec<LegBody>,
    pub(super) at_unix_ms: i64,
}

#[derive(Debug, Deserialize)]
struct LegBody {
    account: AccountId,
    amount: i64,
    floor: i64,
    refill: Option<RefillBody>,
    warn_below: Option<i64>,
}

impl HoldBody {
    pub(super) fn into_legs(self) -> Result<Vec<LegRequest>, BadRequest> {
        let leg = |leg: LegBody| {
            Ok(LegRequest {
                account: leg.account,
                amount: Money::from_nano_usd(leg.amount),
                floor: Money::from_nano_usd(leg.floor),
                refill: leg.refill.map(RefillBody::into_refill).transpose()?,
                warn_below: leg.warn_below.map(Money::from_nano_usd),
            })
        };
        self.legs.into_iter().map(leg).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ExtendBody {
    attempt: u32,
    amount_nano_usd: i64,
    tokens: u64,
    at_unix_ms: i64,
}

impl ExtendBody {
    pub(super) fn into_extension(self) -> Extension {
        Extension {
            attempt: self.attempt,
            amount: Money::from_nano_usd(self.amount_nano_usd),
            tokens: Tokens::new(self.tokens),
            at: at(self.at_unix_ms),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct SettleBody {
    postings: Vec<PostingBody>,
    pub(super) at_unix_ms: i64,
}

#[derive(Debug, Deserialize)]
struct PostingBody {
    attempt: u32,
    amount_nano_usd: i64,
    tokens: u64,
}

impl SettleBody {
    pub(super) fn postings(&self) -> Vec<Posting> {
        let posting = |posting: &PostingBody| Posting {
            attempt: posting.attempt,
            amount: Money::from_nano_usd(posting.amount_nano_usd),
            tokens: Tokens::new(posting.tokens),
        };
        self.postings.iter().map(posting).collect()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct ReleaseBody {
    pub(super) at_unix_ms: i64,
}
