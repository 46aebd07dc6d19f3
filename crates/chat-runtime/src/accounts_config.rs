//! `[accounts]`: who pays.
//!
//! Not here: what a budget is (`budget_config`), the billing service that may keep the ledger
//! (`external_accounts_config`).

use std::collections::BTreeMap;
use std::sync::Arc;

use chat_core::{AccountPolicy, OneAccountPerUser};
use serde::{Deserialize, Serialize};

use crate::RuntimeError;
use crate::budget_config::{BudgetConfig, budgets_policy, threshold};
use crate::external_accounts_config::ExternalAccountsConfig;
use crate::usd::parse_usd;

/// Who pays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AccountsConfig {
    /// One account per user, never refused; holds and entries are written all the same.
    #[default]
    Unlimited,
    /// One account per user, refused when it is short.
    Limited {
        /// What it is opened with, in US dollars, for example `"10.00"`.
        opening_usd: String,
        /// It is low below this, in US dollars; none: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warn_below_usd: Option<String>,
    },
    /// Several budgets, of users, teams, conversations and the tenant.
    Budgets {
        /// All that a call falls under pay for it.
        budgets: Vec<BudgetConfig>,
        /// The users of each team.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        teams: BTreeMap<String, Vec<String>>,
    },
    /// The ledger is a billing service: it says who may spend.
    External(ExternalAccountsConfig),
}

impl AccountsConfig {
    /// The policy it means.
    ///
    /// # Errors
    /// `InvalidConfig` naming the budget and what is wrong with it; `InvalidId` for a user that is
    /// none; an amount that is none.
    pub fn policy(&self) -> Result<Arc<dyn AccountPolicy>, RuntimeError> {
        Ok(match self {
            Self::Unlimited => Arc::new(OneAccountPerUser::unlimited()),
            Self::Limited { opening_usd, warn_below_usd } => {
                let warn_below = threshold(warn_below_usd.as_deref())?;
                let opening = parse_usd(opening_usd)?;
                Arc::new(OneAccountPerUser::limited(opening).warn_below(warn_below))
            }
            Self::Budgets { budgets, teams } => budgets_policy(budgets, teams)?,
            Self::External(service) => service.policy()?,
        })
    }
}
