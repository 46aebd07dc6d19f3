//! Budgets: who shares an account, what it counts, how it is filled again, for which models.
//!
//! Every budget that a call falls under pays for it in full, all together or not at all. A budget in
//! requests or tokens is a quota. Not here: the accounts themselves (`chat-balance`).

use std::collections::BTreeMap;

use chat_balance::{AccountKind, AccountSpec, AccountUnit, Refill};
use chat_types::{AccountId, ContentHash, InvalidId, ModelRef, Money, UserId};

use crate::money::accounts::{AccountPolicy, PaidCall};

/// Whose calls share one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetScope {
    /// Everybody's.
    Tenant,
    /// A team's; users without a team do not fall under it.
    Team,
    /// Each user's own.
    User,
    /// Each conversation's own.
    Conversation,
}

/// One budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What its accounts' ids begin with: small letters, digits and `-`.
    pub name: String,
    /// Whose calls share it.
    pub scope: BudgetScope,
    /// What it counts.
    pub unit: AccountUnit,
    /// Whether it can run dry.
    pub kind: AccountKind,
    /// What each of its accounts is opened with, in its unit.
    pub opening: Money,
    /// How its accounts are filled again.
    pub refill: Option<Refill>,
    /// Its accounts are low below this, in its unit; none: never.
    pub warn_below: Option<Money>,
    /// Only for this model, or for those that begin so (`openai/*`); none: for all.
    pub models: Option<String>,
}

/// Budgets that make no sense together; says which and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("budget {name:?}: {reason}")]
pub struct InvalidBudget {
    name: String,
    reason: &'static str,
}

/// A policy of several budgets.
#[derive(Clone, Debug)]
pub struct Budgets {
    budgets: Vec<Budget>,
    teams: BTreeMap<UserId, String>,
}

impl Budgets {
    /// Longer names leave too little of an id for whose account it is.
    const NAME_MAX: usize = 32;

    /// Checks the budgets. `teams` says which team a user is in.
    ///
    /// # Errors
    /// `InvalidBudget` for a name that is none or there twice, more than sixteen budgets, a negative
    /// opening, a refill of nothing, a warning below nothing, or if no budget is for all models: then a call could fall under
    /// none.
    pub fn new(
        budgets: Vec<Budget>,
        teams: BTreeMap<UserId, String>,
    ) -> Result<Self, InvalidBudget> {
        let invalid = |name: &str, reason| Err(InvalidBudget { name: name.to_owned(), reason });
        if budgets.len() > chat_balance::rules::LEGS_MAX {
            return invalid("", "there are more than sixteen budgets");
        }
        for (place, budget) in budgets.iter().enumerate() {
            let name = budget.name.as_str();
            let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if name.is_empty() || name.len() > Self::NAME_MAX || !name.chars().all(is_plain) {
                return invalid(name, "a name is 1 to 32 small letters, digits and '-'");
            }
            if budgets.iter().take(place).any(|other| other.name == name) {
                return invalid(name, "there are two of this name");
            }
            if budget.opening.is_negative() {
                return invalid(name, "it is opened with less than nothing");
            }
            if budget.refill.as_ref().is_some_and(|refill| refill.amount <= Money::ZERO) {
                return invalid(name, "it is refilled with nothing");
            }
            if budget.warn_below.is_some_and(|threshold| threshold <= Money::ZERO) {
                return invalid(name, "it warns below nothing: that is when it is refused");
            }
        }
        let is_for_all = |budget: &Budget| {
            budget.models.is_none()
                && matches!(budget.scope, BudgetScope::Tenant | BudgetScope::User)
        };
        if !budgets.iter().any(is_for_all) {
            return invalid(
                "",
                "one budget must be per tenant or per user and for all models, or some calls would \
                 fall under none",
            );
        }
        Ok(Self { budgets, teams })
    }

    fn account(
        &self,
        budget: &Budget,
        call: &PaidCall<'_>,
    ) -> Result<Option<AccountSpec>, InvalidId> {
        if !budget.models.as_deref().is_none_or(|models| is_of(call.model, models)) {
            return Ok(None);
        }
        let user = &call.scope.user;
        let (whose, owner) = match budget.scope {
            BudgetScope::Tenant => (None, None),
            BudgetScope::Team => match self.teams.get(user) {
                Some(team) => (Some(team.as_str()), None),
                None => return Ok(None),
            },
            BudgetScope::User => (Some(user.as_str()), Some(user.clone())),
            BudgetScope::Conversation => match call.conversation {
                Some(conversation) => (Some(conversation.as_str()), Some(user.clone())),
                None => return Ok(None),
            },
        };
        Ok(Some(AccountSpec {
            owner,
            unit: budget.unit,
            opening: budget.opening,
            refill: budget.refill.clone(),
            warn_below: budget.warn_below,
            ..AccountSpec::new(account_id(&budget.name, whose)?, budget.kind)
        }))
    }
}

impl AccountPolicy for Budgets {
    fn accounts(&self, call: &PaidCall<'_>) -> Result<Vec<AccountSpec>, InvalidId> {
        let accounts = self.budgets.iter().map(|budget| self.account(budget, call));
        accounts.filter_map(Result::transpose).collect()
    }
}

/// `NAME:WHOSE`, or a hash of whose if that is longer than an id may be.
fn account_id(name: &str, whose: Option<&str>) -> Result<AccountId, InvalidId> {
    let Some(whose) = whose else {
        return AccountId::new(name);
    };
    AccountId::new(format!("{name}:{whose}"))
        .or_else(|_| AccountId::new(format!("{name}:{}", ContentHash::of([whose]).as_str())))
}

fn is_of(model: &ModelRef, models: &str) -> bool {
    let model = model.to_string();
    match models.strip_suffix('*') {
        Some(prefix) => model.starts_with(prefix),
        None => model == models,
    }
}
