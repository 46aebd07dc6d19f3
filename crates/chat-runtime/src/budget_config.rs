//! `[[accounts.budgets]]`: a budget, what it counts, how it is filled again.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use chat_balance::{AccountKind, AccountUnit, Period, PeriodUnit, Refill, RefillMode};
use chat_core::{AccountPolicy, Budget, BudgetScope, Budgets};
use chat_types::{Money, UserId};
use serde::{Deserialize, Serialize};

use crate::RuntimeError;
use crate::usd::parse_usd;

/// One budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct BudgetConfig {
    /// Small letters, digits and `-`; its accounts' ids begin with it.
    pub name: String,
    /// Whose calls share an account.
    pub per: BudgetPer,
    /// What it counts; none: US dollars.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unit: AccountUnit,
    /// What its accounts are opened with, in its unit; none: what they are refilled with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opening: Option<String>,
    /// How they are filled again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refill: Option<RefillConfig>,
    /// Its accounts are low below this, in its unit; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_below: Option<String>,
    /// Only for this model, or those that begin so (`openai/*`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<String>,
    /// Nothing is refused, all is counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unlimited: bool,
}

/// Whose calls share one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetPer {
    /// Everybody's.
    Tenant,
    /// A team's.
    Team,
    /// Each user's.
    User,
    /// Each conversation's.
    Conversation,
}

/// How an account is filled again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RefillConfig {
    /// `add` gives the amount each period, `reset` makes the balance the amount.
    pub mode: RefillWord,
    /// How much, in the budget's unit.
    pub amount: String,
    /// `minute`, `hour`, `day`, `week` or `month`.
    pub period: PeriodWord,
    /// Every so many of them; none: every one.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub every: u32,
    /// Where days begin; none: UTC.
    #[serde(default = "utc", skip_serializing_if = "is_utc")]
    pub time_zone: String,
}

/// What a refill does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefillWord {
    /// Gives the amount each period.
    Add,
    /// Makes the balance the amount.
    Reset,
}

/// A stretch of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodWord {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

const fn one() -> u32 {
    1
}

fn is_one(every: &u32) -> bool {
    *every == one()
}

fn utc() -> String {
    "UTC".to_owned()
}

fn is_utc(zone: &str) -> bool {
    zone == "UTC"
}

/// The policy of these budgets.
pub(crate) fn budgets_policy(
    budgets: &[BudgetConfig],
    teams: &BTreeMap<String, Vec<String>>,
) -> Result<Arc<dyn AccountPolicy>, RuntimeError> {
    let budgets = budgets.iter().map(budget).collect::<Result<_, _>>()?;
    Ok(Arc::new(Budgets::new(budgets, team_of_each(teams)?).map_err(invalid)?))
}

fn team_of_each(
    teams: &BTreeMap<String, Vec<String>>,
) -> Result<BTreeMap<UserId, String>, RuntimeError> {
    let mut team_of = BTreeMap::new();
    for (team, users) in teams {
        for user in users {
            let user = UserId::new(user.as_str())?;
            if team_of.insert(user.clone(), team.clone()).is_some() {
                return Err(invalid(format!("{user} is in two teams")));
            }
        }
    }
    Ok(team_of)
}

fn budget(config: &BudgetConfig) -> Result<Budget, RuntimeError> {
    let named = |error: RuntimeError| invalid(format!("budget {:?}: {error}", config.name));
    let refill = config.refill.as_ref().map(|refill| refill_of(refill, config.unit));
    let refill = refill.transpose().map_err(named)?;
    let opening = match (&config.opening, &refill) {
        (Some(text), _) => amount(text, config.unit).map_err(named)?,
        (None, Some(refill)) => refill.amount,
        (None, None) => Money::ZERO,
    };
    let warn_below = config.warn_below.as_deref().map(|text| amount(text, config.unit));
    let warn_below = warn_below.transpose().map_err(named)?;
    Ok(Budget {
        name: config.name.clone(),
        scope: match config.per {
            BudgetPer::Tenant => BudgetScope::Tenant,
            BudgetPer::Team => BudgetScope::Team,
            BudgetPer::User => BudgetScope::User,
            BudgetPer::Conversation => BudgetScope::Conversation,
        },
        unit: config.unit,
        kind: if config.unlimited { AccountKind::Unlimited } else { AccountKind::Limited },
        opening,
        refill,
        warn_below,
        models: config.models.clone(),
    })
}

fn refill_of(config: &RefillConfig, unit: AccountUnit) -> Result<Refill, RuntimeError> {
    let period = match config.period {
        PeriodWord::Minute => PeriodUnit::Minute,
        PeriodWord::Hour => PeriodUnit::Hour,
        PeriodWord::Day => PeriodUnit::Day,
        PeriodWord::Week => PeriodUnit::Week,
        PeriodWord::Month => PeriodUnit::Month,
    };
    Ok(Refill {
        mode: match config.mode {
            RefillWord::Add => RefillMode::Add,
            RefillWord::Reset => RefillMode::Reset,
        },
        amount: amount(&config.amount, unit)?,
        period: Period::new(config.every, period, &config.time_zone).map_err(invalid)?,
    })
}

/// Below what one account per user is low; more than nothing.
pub(crate) fn threshold(usd: Option<&str>) -> Result<Option<Money>, RuntimeError> {
    let threshold = usd.map(parse_usd).transpose()?;
    if threshold.is_some_and(|threshold| threshold <= Money::ZERO) {
        return Err(invalid("warn_below_usd is not more than nothing"));
    }
    Ok(threshold)
}

/// US dollars with their decimals, or a whole number of requests or tokens.
fn amount(text: &str, unit: AccountUnit) -> Result<Money, RuntimeError> {
    match unit {
        AccountUnit::Usd => Ok(parse_usd(text)?),
        AccountUnit::Requests | AccountUnit::Tokens => {
            let count: u32 = text.parse().map_err(|_| {
                invalid(format!("{text:?} is no whole number of {}", unit.as_str()))
            })?;
            Ok(Money::from_nano_usd(i64::from(count)))
        }
    }
}

pub(crate) fn invalid(detail: impl Display) -> RuntimeError {
    RuntimeError::InvalidConfig { detail: format!("accounts: {detail}") }
}
