//! `UsageRecorder`: quotes, grants and settles steps.
//!
//! A grant is made only when its hold is durable, and carries the output cap that the hold covers.
//! Not here: prices (`price`), who may spend (`chat-balance`), what happened to a call (the core).

use std::sync::Arc;

use chat_balance::BalanceErrorKind::{Conflict, InvalidAmount};
use chat_balance::{
    AccountSpec, AccountUnit, BalanceAdapter, BalanceError, BalanceErrorKind, Extension, Hold,
    HoldLeg, HoldRequest, HoldState, LegRequest, Posting, Settlement,
};
use chat_types::{
    ConversationId, GrantTerms, LowAccount, ModelRef, Money, MoneyOverflow, Purpose, Scope,
    StepGrant, StepKey, Timestamp, Tokens, Usage,
};

use crate::{
    CallShape, PriceBook, PriceEntry, Result, UsageError, UsageRow, UsageStore, bound_of,
    cap_for_shape, cost_of,
};

/// What a step needs money for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantRequest {
    /// The step.
    pub key: StepKey,
    /// What the call is for.
    pub purpose: Purpose,
    /// The model that is asked.
    pub model: ModelRef,
    /// The most input it can be charged for.
    pub input_bound: Tokens,
    /// The wanted output cap, reasoning included.
    pub output_cap: Tokens,
    /// The accounts that pay, each in full, in its own unit.
    pub accounts: Vec<AccountSpec>,
    /// The moment whose prices apply.
    pub at: Timestamp,
    /// The tier that is asked for, and what else is charged besides tokens.
    pub shape: CallShape,
}

/// What a step would hold, worked out without touching the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// For the wanted cap.
    pub amount: Money,
    /// For the smallest cap that is worth a call.
    pub floor: Money,
    /// Which prices were used.
    pub price_version: String,
}

/// An exact cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// How much.
    pub amount: Money,
    /// Which prices were used.
    pub price_version: String,
}

/// A step whose amounts are decided and durable in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettledStep {
    /// The step.
    pub key: StepKey,
    /// The conversation it was made for.
    pub conversation: ConversationId,
    /// One row per attempt that reached a provider; never empty (such a step is released).
    pub rows: Vec<UsageRow>,
    /// When.
    pub at: Timestamp,
}

/// Prices calls, holds credit for them and records what they cost.
#[derive(Clone, Debug)]
pub struct UsageRecorder {
    prices: Arc<PriceBook>,
    balance: Arc<dyn BalanceAdapter>,
    store: Arc<dyn UsageStore>,
    output_least: Tokens,
}

impl UsageRecorder {
    /// The least output worth a call unless [`Self::with_output_least`] says otherwise. Sixteen is
    /// the smallest cap the strictest interface we speak accepts; a reply below it says nothing.
    pub const OUTPUT_LEAST_DEFAULT: Tokens = Tokens::new(16);

    /// Joins prices, ledger and rows.
    #[must_use]
    pub fn new(
        prices: Arc<PriceBook>,
        balance: Arc<dyn BalanceAdapter>,
        store: Arc<dyn UsageStore>,
    ) -> Self {
        Self { prices, balance, store, output_least: Self::OUTPUT_LEAST_DEFAULT }
    }

    /// Short funds shrink a reply down to this many tokens, and refuse it below.
    #[must_use]
    pub fn with_output_least(mut self, output_least: Tokens) -> Self {
        self.output_least = output_least;
        self
    }

    /// The ledger.
    #[must_use]
    pub fn balance(&self) -> &Arc<dyn BalanceAdapter> {
        &self.balance
    }

    /// The rows.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn UsageStore> {
        &self.store
    }

    /// The prices.
    #[must_use]
    pub fn prices(&self) -> &Arc<PriceBook> {
        &self.prices
    }

    /// Works out what a step would hold.
    ///
    /// # Errors
    /// `UnknownPrice`; `CapTooSmall` for a cap of zero; `Overflow`.
    pub fn quote(&self, request: &GrantRequest) -> Result<Quote> {
        let entry = self.entry(&request.model, request.at)?;
        let cap_least = self.cap_least(request)?;
        Ok(Quote {
            amount: bound_of(entry, request.input_bound, request.output_cap, &request.shape)?,
            floor: bound_of(entry, request.input_bound, cap_least, &request.shape)?,
            price_version: entry.rates(request.shape.tier.as_deref()).version.to_owned(),
        })
    }

    /// Holds the money for a step and says how much output it covers.
    ///
    /// Every account holds the bound of the wanted cap, or what it has down to the bound of the
    /// least cap; one that counts requests holds one. The cap granted is what the smallest leg
    /// covers. A repeat with the same key
    /// returns the same grant; after an extension its cap may be smaller, never larger.
    ///
    /// # Errors
    /// As [`Self::quote`]; `Refused` if an account is short of the floor; `Balance` with `Conflict`
    /// if the step's hold is resolved or does not cover this request.
    pub async fn grant(&self, scope: &Scope, request: &GrantRequest) -> Result<StepGrant> {
        let quote = self.quote(request)?;
        let legs = request.accounts.iter().map(|account| self.leg(request, &quote, account));
        let legs = legs.collect::<Result<_>>()?;
        let hold = HoldRequest { key: request.key.clone(), legs, at: request.at };
        let hold = self.balance.hold(scope, &hold).await?;
        self.terms(request, &hold).map(issue)
    }

    /// Holds one more input bound (and fee) before attempt number `attempt`, after a failure that
    /// may have been charged. The same attempt twice is one extension.
    ///
    /// # Errors
    /// `Refused`: do not retry then; `UnknownPrice`; `Overflow`; `Balance`.
    pub async fn extend(
        &self,
        scope: &Scope,
        request: &GrantRequest,
        attempt: u32,
        at: Timestamp,
    ) -> Result<()> {
        let (amount, tokens) = (self.extension(request)?, request.input_bound);
        let extension = Extension { attempt, amount, tokens, at };
        self.balance.extend(scope, &request.key, &extension).await?;
        Ok(())
    }

    /// The exact cost of one attempt in the standard tier at the prices of `at`.
    ///
    /// # Errors
    /// `UnknownPrice`; `Overflow`.
    pub fn cost(&self, model: &ModelRef, at: Timestamp, usage: &Usage) -> Result<Cost> {
        self.cost_of(model, at, usage, &CallShape::standard())
    }

    /// The exact cost of one attempt as it was served, at the prices of `at`.
    ///
    /// # Errors
    /// `UnknownPrice`; `Overflow`.
    pub fn cost_of(
        &self,
        model: &ModelRef,
        at: Timestamp,
        usage: &Usage,
        shape: &CallShape,
    ) -> Result<Cost> {
        let entry = self.entry(model, at)?;
        let price_version = entry.rates(shape.tier.as_deref()).version.to_owned();
        Ok(Cost { amount: cost_of(entry, usage, shape)?, price_version })
    }

    /// Posts a step's amounts to the ledger and writes its rows. Both are always attempted and each
    /// is idempotent, so after any error the same call is repeated until it succeeds.
    ///
    /// # Errors
    /// `Balance` with `InvalidAmount`, before anything is written, if there is no row or a row is of
    /// another step; then the ledger's error before the store's.
    pub async fn settle(&self, scope: &Scope, step: &SettledStep) -> Result<()> {
        if step.rows.is_empty() {
            return Err(refuse(InvalidAmount, "settle", "a step without attempts is released"));
        }
        if step.rows.iter().any(|row| row.key.step != step.key) {
            return Err(refuse(InvalidAmount, "settle", "a row belongs to another step"));
        }
        let postings = step
            .rows
            .iter()
            .map(|row| Posting {
                attempt: row.key.attempt,
                amount: row.amount,
                tokens: row.usage.input_total().plus(row.usage.output_total()),
            })
            .collect();
        let settlement = Settlement { key: step.key.clone(), postings, at: step.at };
        let (posted, recorded) = futures::join!(
            self.balance.settle(scope, &settlement),
            self.store.record(scope, &step.rows),
        );
        posted?;
        recorded
    }

    /// Gives a step's hold back; nothing to give back is fine.
    ///
    /// # Errors
    /// `Balance`: `Conflict` if the step was settled.
    pub async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<()> {
        match self.balance.release(scope, key, at).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == BalanceErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn entry(&self, model: &ModelRef, at: Timestamp) -> Result<&PriceEntry> {
        let unknown = || UsageError::UnknownPrice { model: model.clone() };
        self.prices.lookup(model, at).ok_or_else(unknown)
    }

    /// The cap below which this request is refused: the least, or less if less is wanted.
    fn cap_least(&self, request: &GrantRequest) -> Result<Tokens> {
        if request.output_cap == Tokens::ZERO {
            return Err(UsageError::CapTooSmall {
                cap: request.output_cap,
                least: self.output_least.min(Tokens::new(1)),
            });
        }
        Ok(request.output_cap.min(self.output_least))
    }

    fn extension(&self, request: &GrantRequest) -> Result<Money> {
        let entry = self.entry(&request.model, request.at)?;
        Ok(bound_of(entry, request.input_bound, Tokens::ZERO, &request.shape)?)
    }

    /// What a step asks of one account.
    fn leg(
        &self,
        request: &GrantRequest,
        quote: &Quote,
        account: &AccountSpec,
    ) -> Result<LegRequest> {
        let (amount, floor) = match account.unit {
            AccountUnit::Usd => (quote.amount, quote.floor),
            AccountUnit::Requests => (ONE, ONE),
            AccountUnit::Tokens => {
                let least = self.cap_least(request)?;
                (
                    counted(request.input_bound.plus(request.output_cap))?,
                    counted(request.input_bound.plus(least))?,
                )
            }
        };
        Ok(LegRequest {
            account: account.id.clone(),
            amount,
            floor,
            refill: account.refill.clone(),
            warn_below: account.warn_below,
        })
    }

    /// What an open hold covers of a request. Pure.
    fn terms(&self, request: &GrantRequest, hold: &Hold) -> Result<GrantTerms> {
        if hold.state != HoldState::Open {
            return Err(refuse(Conflict, "grant", "the step is resolved"));
        }
        let entry = self.entry(&request.model, request.at)?;
        let cap_least = self.cap_least(request)?;
        let (mut output_cap, shape) = (request.output_cap, &request.shape);
        if let Some(covered) = hold.covered(AccountUnit::Usd) {
            let floor = bound_of(entry, request.input_bound, cap_least, shape)?;
            let covered = without_extensions(hold, covered, self.extension(request)?, floor)?;
            output_cap = output_cap.min(cap_for_shape(entry, request.input_bound, covered, shape));
        }
        if let Some(covered) = hold.covered(AccountUnit::Tokens) {
            let each = counted(request.input_bound)?;
            let floor = counted(request.input_bound.plus(cap_least))?;
            let left = without_extensions(hold, covered, each, floor)?.minus(each)?;
            let left = u64::try_from(left.nano_usd()).unwrap_or(0);
            output_cap = output_cap.min(Tokens::new(left));
        }
        if output_cap < cap_least {
            return Err(refuse(Conflict, "grant", "the step's hold is for a smaller request"));
        }
        let held = match hold.covered(AccountUnit::Usd) {
            Some(covered) => covered,
            None => bound_of(entry, request.input_bound, output_cap, shape)?,
        };
        Ok(GrantTerms {
            key: request.key.clone(),
            purpose: request.purpose,
            output_cap,
            input_bound: request.input_bound,
            held,
            low: low_accounts(request, hold),
        })
    }
}

/// The legs that say so, and when their plans fill them again.
fn low_accounts(request: &GrantRequest, hold: &Hold) -> Vec<LowAccount> {
    let refill_at = |leg: &HoldLeg| {
        let plan = request.accounts.iter().find(|spec| spec.id == leg.account)?;
        plan.refill.as_ref().map(|refill| refill.period.next(request.at))
    };
    let low = |leg: &HoldLeg| {
        Some(LowAccount {
            account: leg.account.clone(),
            unit: leg.unit,
            left: leg.low?,
            threshold: leg.warn_below?,
            refill_at: refill_at(leg),
        })
    };
    hold.legs.iter().filter_map(low).collect()
}

/// One request.
const ONE: Money = Money::from_nano_usd(1);

/// Tokens as an account of tokens counts them.
fn counted(tokens: Tokens) -> Result<Money, MoneyOverflow> {
    i64::try_from(tokens.get()).map(Money::from_nano_usd).map_err(|_| MoneyOverflow)
}

/// Extensions pay for input that was sent before, not for a longer reply. The hold only says up to
/// which attempt it was extended, so at most that many extensions are taken off.
fn without_extensions(
    hold: &Hold,
    covered: Money,
    each: Money,
    floor: Money,
) -> Result<Money, MoneyOverflow> {
    let times = i64::from(hold.extended_to.saturating_sub(1));
    if times == 0 {
        return Ok(covered);
    }
    let all = each.nano_usd().checked_mul(times).map_or(Money::MAX, Money::from_nano_usd);
    Ok(covered.minus(all)?.max(covered.min(floor)))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that grants spending: the hold is durable"
)]
fn issue(terms: GrantTerms) -> StepGrant {
    StepGrant::issue(terms)
}

fn refuse(kind: BalanceErrorKind, operation: &'static str, detail: &str) -> UsageError {
    BalanceError::new(kind, operation, detail).into()
}
