//! What a call costs, and the most it can cost.
//!
//! Sums are pico-USD in a `u128`, checked, and rounded up to nano-USD once per entry. Whatever the
//! tokens, `cost` of a usage within the bounds is never above `bound`.
//! Not here: which price applies when (`book`), the prices themselves (`entry`).

use chat_types::{Money, MoneyOverflow, Price, Tokens, Usage};

use crate::PriceEntry;

/// Pico-USD in one nano-USD.
const PICO_PER_NANO: u128 = 1_000;

/// The exact cost of one call, rounded up to a nano-USD once.
///
/// # Errors
/// `MoneyOverflow` if it does not fit.
pub fn cost(entry: &PriceEntry, usage: &Usage) -> Result<Money, MoneyOverflow> {
    let prices = entry.prices_at(usage.input_total());
    total(
        entry.fee,
        [
            (usage.input_uncached, prices.input),
            (usage.cache_read, prices.cache_read),
            (usage.cache_write, prices.cache_write),
            (usage.output, prices.output),
            (usage.reasoning, prices.reasoning),
        ],
    )
}

/// The most one call can cost with at most so much input and output, reasoning included.
///
/// # Errors
/// `MoneyOverflow` if it does not fit: such a call cannot be paid for.
pub fn bound(
    entry: &PriceEntry,
    input_bound: Tokens,
    output_cap: Tokens,
) -> Result<Money, MoneyOverflow> {
    let (input, output) = entry.dearest_within(input_bound);
    total(entry.fee, [(input_bound, input), (output_cap, output)])
}

/// The largest output cap whose `bound` is within `money`; zero if not even the input is.
#[must_use]
pub fn cap_for(entry: &PriceEntry, input_bound: Tokens, money: Money) -> Tokens {
    let (input, output) = entry.dearest_within(input_bound);
    let left = money.minus(entry.fee).ok().and_then(|rest| u128::try_from(rest.nano_usd()).ok());
    let left = left.and_then(|nano| {
        // Rounding up to nano-USD stays within the money exactly while the pico-USD do.
        (nano * PICO_PER_NANO).checked_sub(product(input_bound, input))
    });
    match (left, u128::from(output.pico_usd_per_token())) {
        (None, _) => Tokens::ZERO,
        (Some(_), 0) => Tokens::new(u64::MAX),
        (Some(left), price) => Tokens::new(u64::try_from(left / price).unwrap_or(u64::MAX)),
    }
}

/// Tokens times price in pico-USD; two `u64` always fit.
fn product(tokens: Tokens, price: Price) -> u128 {
    u128::from(tokens.get()) * u128::from(price.pico_usd_per_token())
}

fn total<const N: usize>(
    fee: Money,
    buckets: [(Tokens, Price); N],
) -> Result<Money, MoneyOverflow> {
    let pico = buckets
        .into_iter()
        .try_fold(0_u128, |sum, (tokens, price)| sum.checked_add(product(tokens, price)))
        .ok_or(MoneyOverflow)?;
    let nano = i64::try_from(pico.div_ceil(PICO_PER_NANO)).map_err(|_| MoneyOverflow)?;
    Money::from_nano_usd(nano).plus(fee)
}
