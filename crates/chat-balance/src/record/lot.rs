//! Lots: grants that burn in an order of their own or run out.
//!
//! Money without either is not kept apart: it is what the lots leave of an account's total. Burn
//! order: priority, then earliest expiry (none is last), then earliest granted, then key.

use std::cmp::Ordering;

use chat_types::{Money, Timestamp};
use serde::{Deserialize, Serialize};

/// The priority of money that was given none.
pub const PRIORITY: u8 = 100;

/// The most lots of one account: the sum over a year of weekly grants, and small enough to be read
/// and written with the account.
pub const LOTS_MAX: usize = 64;

/// What is left, or held, of one grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// The grant's key.
    pub key: String,
    /// More than zero.
    pub amount: Money,
    /// Lower burns first.
    pub priority: u8,
    /// What is left then runs out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was granted.
    pub granted_at: Timestamp,
}

impl Lot {
    /// Which of two burns first.
    #[must_use]
    pub fn burn_order(&self, other: &Self) -> Ordering {
        let place = |lot: &Self| (lot.priority, lot.expires_at.is_none(), lot.expires_at);
        place(self)
            .cmp(&place(other))
            .then(self.granted_at.cmp(&other.granted_at))
            .then_with(|| self.key.cmp(&other.key))
    }

    /// It burns before money without priority and expiry.
    pub(crate) fn is_before_plain(&self) -> bool {
        (self.priority, self.expires_at.is_none()) < (PRIORITY, true)
    }

    /// It has run out by now.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

/// What is behind an account's totals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountState {
    /// The newest moment any operation was made at: time never goes back in one account, whatever
    /// the clocks of different processes say.
    pub as_of: Timestamp,
    /// The start of the newest period that was filled; none: no plan was seen yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refilled_at: Option<Timestamp>,
    /// What is left of grants, in burn order; held parts are with their holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lots: Vec<Lot>,
    /// A notice says that it is low; false again once it is not. What a hold's plan calls low.
    #[serde(skip_serializing_if = "is_false")]
    pub low_told: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !*value
}
