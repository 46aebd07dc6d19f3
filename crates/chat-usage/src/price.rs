//! What a call costs, and the most it can cost.
//!
//! Sums are pico-USD in a `u128`, checked, and rounded up to nano-USD once per entry. Whatever the
//! tokens, `cost` of a usage within the bounds is never above `bound`.
//! Not here: which price applies when (`book`).

use chat_types::{ModelRef, Money, MoneyOverflow, Price, Timestamp, Tokens, Usage};

/// Pico-USD in one nano-USD.
const PICO_PER_NANO: u128 = 1_000;

/// Prices per token of each bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceSet {
    /// Input that no cache took part in.
    pub input: Price,
    /// Input read from a cache; where the book has none, the input price.
    pub cache_read: Price,
    /// Input written to a cache; where the book has none, the input price.
    pub cache_write: Price,
    /// Output the reader sees.
    pub output: Price,
    /// Output spent on reasoning; where the book has none, the output price.
    pub reasoning: Price,
}

impl PriceSet {
    /// The dearest way to put a token in.
    fn input_max(&self) -> Price {
        self.input.max(self.cache_read).max(self.cache_write)
    }

    /// The dearest way to get a token out.
    fn output_max(&self) -> Price {
        self.output.max(self.reasoning)
    }
}

/// Other prices for the whole call once its input is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongContext {
    /// They apply when all input together is more than this.
    pub above: Tokens,
    /// The prices then.
    pub prices: PriceSet,
}

/// The prices of a model, or of all models with a common prefix, from one moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceEntry {
    pub(crate) pattern: String,
    pub(crate) valid_from: Timestamp,
    pub(crate) version: String,
    pub(crate) prices: PriceSet,
    pub(crate) long: Option<LongContext>,
    pub(crate) fee: Money,
}

impl PriceEntry {
    /// Which models: `provider/model`, or `provider/prefix*`.
    #[must_use]
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// From when on (UTC midnight).
    #[must_use]
    pub fn valid_from(&self) -> Timestamp {
        self.valid_from
    }

    /// Names this entry for good: `BOOK:PATTERN@DATE`. Usage rows keep it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Prices per token.
    #[must_use]
    pub fn prices(&self) -> &PriceSet {
        &self.prices
    }

    /// Prices of long calls, where they differ.
    #[must_use]
    pub fn long(&self) -> Option<&LongContext> {
        self.long.as_ref()
    }

    /// Charged once per request.
    #[must_use]
    pub fn fee(&self) -> Money {
        self.fee
    }

    /// How closely it names `model`: exact before any prefix, long prefixes before short ones.
    pub(crate) fn rank_for(&self, model: &ModelRef) -> Option<usize> {
        let provider = model.provider.as_str();
        let name = self.pattern.strip_prefix(provider)?.strip_prefix('/')?;
        match name.strip_suffix('*') {
            Some(prefix) => model.model.as_str().starts_with(prefix).then_some(prefix.len()),
            None => (model.model.as_str() == name).then_some(usize::MAX),
        }
    }

    /// The prices of a call with so much input.
    fn prices_at(&self, input: Tokens) -> &PriceSet {
        match &self.long {
            Some(long) if input > long.above => &long.prices,
            _ => &self.prices,
        }
    }

    /// The dearest input and output prices of any call with at most so much input.
    fn dearest_within(&self, input_bound: Tokens) -> (Price, Price) {
        let (mut input, mut output) = (self.prices.input_max(), self.prices.output_max());
        if let Some(long) = self.long.as_ref().filter(|long| input_bound > long.above) {
            input = input.max(long.prices.input_max());
            output = output.max(long.prices.output_max());
        }
        (input, output)
    }
}

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
