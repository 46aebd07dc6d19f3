//! Where history is cut, once not everything fits.
//!
//! A cut that moves at every turn costs the provider's cached prefix at every turn. So a cut makes
//! a block free at once and then stays: with the cut of the turn before at hand, until the block
//! is filled again; without it, at the unit whose id hashes highest among those that could be the
//! oldest one sent. That unit stays the highest until it falls out of the window, so two readers
//! who know nothing of each other cut at the same place, and the cut only moves forward.

use chat_types::{MessageId, Tokens};

/// `percent` of `tokens`, rounded down.
pub(crate) fn share(tokens: Tokens, percent: u32) -> Tokens {
    let share = wide_share(u128::from(tokens.get()), percent);
    Tokens::new(u64::try_from(share).unwrap_or(u64::MAX))
}

/// `percent` of `tokens`, rounded down. Sums of tokens are held in a type that cannot overflow.
pub(crate) fn wide_share(tokens: u128, percent: u32) -> u128 {
    tokens.saturating_mul(u128::from(percent)) / 100
}

/// A unit that could be the oldest one sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate<'u> {
    pub(crate) size: u128,
    /// It begins with a message of the user.
    pub(crate) starts_turn: bool,
    pub(crate) oldest: &'u MessageId,
}

/// How a cut is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CutRule {
    /// What is made free at once, in percent; 0: what is needed.
    pub(crate) block_percent: u32,
    /// A cut of an earlier turn is known and no longer fits.
    pub(crate) is_moved: bool,
    /// What there is, and what of it is taken before any of the units.
    pub(crate) room: u128,
    pub(crate) fixed: u128,
}

/// How many of `units`, newest first, are kept: as many as fit, or fewer to make a block free. If
/// the newest fits, it is kept.
pub(crate) fn kept_units(rule: CutRule, units: &[Candidate<'_>]) -> usize {
    let kept_percent = 100_u32.saturating_sub(rule.block_percent);
    let kept_up_to = |most: u128| {
        let mut sum = 0_u128;
        let fits = |unit: &&Candidate<'_>| {
            sum = sum.saturating_add(unit.size);
            sum <= most
        };
        units.iter().take_while(fits).count()
    };
    let left = rule.room.saturating_sub(rule.fixed);
    let fitting = kept_up_to(left);
    if rule.block_percent == 0 {
        return fitting;
    }
    if rule.is_moved {
        return kept_up_to(wide_share(left, kept_percent)).max(1).min(fitting);
    }
    let target = wide_share(rule.room, kept_percent);
    let mut sum = rule.fixed;
    let mut best: Option<((bool, u64), usize)> = None;
    for (kept, unit) in (1..=fitting).zip(units) {
        sum = sum.saturating_add(unit.size);
        let rank = (unit.starts_turn, mixed(unit.oldest));
        if sum > target && best.is_none_or(|(highest, _)| rank >= highest) {
            best = Some((rank, kept));
        }
    }
    best.map_or(fitting, |(_, kept)| kept)
}

/// FNV-1a with a final mix: ids that differ in their last digit only must not rank in order.
fn mixed(id: &MessageId) -> u64 {
    let hash = id.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
