//! What a call costs, and the most it can cost.
//!
//! Sums are pico-USD in a `u128`, checked, and rounded up to nano-USD once per entry. Whatever the
//! tokens, `cost` of a usage within the bounds is never above `bound`, in the standard tier and in
//! the one that was asked for.
//! Not here: which price applies when (`book`), the prices themselves (`entry`).

use chat_types::{Money, MoneyOverflow, Price, Tokens, Usage};

use crate::PriceEntry;
use crate::entry::Rates;

/// Pico-USD in one nano-USD.
const PICO_PER_NANO: u128 = 1_000;

/// What a call is besides its tokens, as far as that changes its price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallShape {
    /// The service tier, in the provider's word: the one asked for in a bound, the one that served
    /// the call in a cost. None is the standard one; so is a tier that the entry has no prices for.
    pub tier: Option<String>,
    /// Images that are charged one by one: at most so many in a bound, exactly so many in a cost.
    pub images: u64,
}

impl CallShape {
    /// The standard tier and no images.
    #[must_use]
    pub fn standard() -> Self {
        Self::default()
    }

    /// The same in another tier.
    #[must_use]
    pub fn with_tier(mut self, tier: impl Into<String>) -> Self {
        self.tier = Some(tier.into());
        self
    }

    /// The same with so many images.
    #[must_use]
    pub fn with_images(mut self, images: u64) -> Self {
        self.images = images;
        self
    }
}

/// The price version of a row whose amount is the provider's own, which no book can work out again.
pub const REPORTED: &str = "reported";

/// The price version of a row that was charged its hold, because no price could be worked out.
pub const HELD: &str = "held";

/// The tier that a usage row's price version names; none for the standard one.
#[must_use]
pub fn tier_of(version: &str) -> Option<&str> {
    // A version without a tier ends in a date, which no tier does.
    version.rsplit_once('#').map(|(_, tier)| tier).filter(|tier| is_tier_name(tier))
}

/// Lower-case letters, digits, `-` and `_`, 1 to 32 of them.
pub(crate) fn is_tier_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_".contains(&b))
}

/// The exact cost of one call in the standard tier, rounded up to a nano-USD once.
///
/// # Errors
/// `MoneyOverflow` if it does not fit.
pub fn cost(entry: &PriceEntry, usage: &Usage) -> Result<Money, MoneyOverflow> {
    cost_of(entry, usage, &CallShape::standard())
}

/// The exact cost of one call, rounded up to a nano-USD once.
///
/// # Errors
/// `MoneyOverflow` if it does not fit.
pub fn cost_of(
    entry: &PriceEntry,
    usage: &Usage,
    shape: &CallShape,
) -> Result<Money, MoneyOverflow> {
    let rates = entry.rates(shape.tier.as_deref());
    let prices = rates.at(usage.input_total());
    let tokens = [
        (usage.input_uncached, prices.input),
        (usage.cache_read, prices.cache_read),
        (usage.cache_write, prices.cache_write),
        (usage.output, prices.output),
        (usage.reasoning, prices.reasoning),
    ];
    total(tokens, fixed(entry, shape)?)
}

/// The most one call can cost in the standard tier with at most so much input and output,
/// reasoning included.
///
/// # Errors
/// `MoneyOverflow` if it does not fit: such a call cannot be paid for.
pub fn bound(
    entry: &PriceEntry,
    input_bound: Tokens,
    output_cap: Tokens,
) -> Result<Money, MoneyOverflow> {
    bound_of(entry, input_bound, output_cap, &CallShape::standard())
}

/// The most one call can cost with at most so much input and output, reasoning included, whether
/// it is served in the tier that was asked for or in the standard one.
///
/// # Errors
/// `MoneyOverflow` if it does not fit: such a call cannot be paid for.
pub fn bound_of(
    entry: &PriceEntry,
    input_bound: Tokens,
    output_cap: Tokens,
    shape: &CallShape,
) -> Result<Money, MoneyOverflow> {
    let fixed = fixed(entry, shape)?;
    tiers(entry, shape).into_iter().try_fold(Money::ZERO, |most, rates| {
        let (input, output) = rates.dearest_within(input_bound);
        Ok(most.max(total([(input_bound, input), (output_cap, output)], fixed)?))
    })
}

/// The largest output cap whose `bound` is within `money`; zero if not even the input is.
#[must_use]
pub fn cap_for(entry: &PriceEntry, input_bound: Tokens, money: Money) -> Tokens {
    cap_for_shape(entry, input_bound, money, &CallShape::standard())
}

/// The largest output cap whose `bound_of` is within `money`; zero if not even the input is.
#[must_use]
pub fn cap_for_shape(
    entry: &PriceEntry,
    input_bound: Tokens,
    money: Money,
    shape: &CallShape,
) -> Tokens {
    let Some(left) = fixed(entry, shape).ok().and_then(|fixed| money.minus(fixed).ok()) else {
        return Tokens::ZERO;
    };
    let [standard, asked] = tiers(entry, shape).map(|rates| cap_within(&rates, input_bound, left));
    standard.min(asked)
}

/// The tiers that a call may end in.
fn tiers<'a>(entry: &'a PriceEntry, shape: &CallShape) -> [Rates<'a>; 2] {
    [entry.rates(None), entry.rates(shape.tier.as_deref())]
}

/// What does not depend on tokens: the fee and the images.
fn fixed(entry: &PriceEntry, shape: &CallShape) -> Result<Money, MoneyOverflow> {
    let images = i128::from(entry.image.nano_usd()) * i128::from(shape.images);
    let images = i64::try_from(images).map_err(|_| MoneyOverflow)?;
    Money::from_nano_usd(images).plus(entry.fee)
}

fn cap_within(rates: &Rates<'_>, input_bound: Tokens, money: Money) -> Tokens {
    let (input, output) = rates.dearest_within(input_bound);
    let left = u128::try_from(money.nano_usd()).ok().and_then(|nano| {
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
    buckets: [(Tokens, Price); N],
    fixed: Money,
) -> Result<Money, MoneyOverflow> {
    let pico = buckets
        .into_iter()
        .try_fold(0_u128, |sum, (tokens, price)| sum.checked_add(product(tokens, price)))
        .ok_or(MoneyOverflow)?;
    let nano = i64::try_from(pico.div_ceil(PICO_PER_NANO)).map_err(|_| MoneyOverflow)?;
    Money::from_nano_usd(nano).plus(fixed)
}
