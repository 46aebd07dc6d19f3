//! `PriceEntry`: the prices of one pattern of models from one date on, as data.
//!
//! Not here: what a call costs by them (`price`), how they are written (`book_file`).

use chat_types::{ModelRef, Money, Price, Timestamp, Tokens};

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

/// Prices of calls that are served in another tier than the standard one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceTier {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) prices: PriceSet,
    pub(crate) long: Option<LongContext>,
}

impl PriceTier {
    /// The tier, in the provider's word: `flex`, `priority`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Names this tier of its entry for good: `BOOK:PATTERN@DATE#TIER`. Usage rows keep it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Prices per token.
    #[must_use]
    pub fn prices(&self) -> &PriceSet {
        &self.prices
    }

    /// Prices of long calls, where they differ; an entry's own long prices do not count here.
    #[must_use]
    pub fn long(&self) -> Option<&LongContext> {
        self.long.as_ref()
    }
}

/// The prices of a model, or of all models with a common prefix, from one moment on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceEntry {
    pub(crate) pattern: String,
    pub(crate) valid_from: Timestamp,
    pub(crate) version: String,
    pub(crate) prices: PriceSet,
    pub(crate) long: Option<LongContext>,
    pub(crate) tiers: Vec<PriceTier>,
    pub(crate) fee: Money,
    pub(crate) image: Money,
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

    /// The book it is from: the first part of its version.
    #[must_use]
    pub fn book(&self) -> &str {
        self.version.split_once(':').map_or("", |(book, _)| book)
    }

    /// Prices per token in the standard tier.
    #[must_use]
    pub fn prices(&self) -> &PriceSet {
        &self.prices
    }

    /// Prices of long calls in the standard tier, where they differ.
    #[must_use]
    pub fn long(&self) -> Option<&LongContext> {
        self.long.as_ref()
    }

    /// Other tiers, by name.
    #[must_use]
    pub fn tiers(&self) -> &[PriceTier] {
        &self.tiers
    }

    /// The tier of this name; none for the standard one and for one that has no prices here.
    #[must_use]
    pub fn tier(&self, name: &str) -> Option<&PriceTier> {
        self.tiers.iter().find(|tier| tier.name == name)
    }

    /// Charged once per request, in every tier.
    #[must_use]
    pub fn fee(&self) -> Money {
        self.fee
    }

    /// Charged for each image, in every tier; zero where the book has no such price.
    #[must_use]
    pub fn image(&self) -> Money {
        self.image
    }

    /// Whether this entry, in any of its tiers, goes by this version.
    pub(crate) fn goes_by(&self, version: &str) -> bool {
        version == self.version || self.tiers.iter().any(|tier| tier.version == version)
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

    /// The prices of a tier; those of the standard one for a tier without prices.
    pub(crate) fn rates(&self, tier: Option<&str>) -> Rates<'_> {
        match tier.and_then(|name| self.tier(name)) {
            Some(tier) => {
                Rates { version: &tier.version, prices: &tier.prices, long: tier.long.as_ref() }
            }
            None => {
                Rates { version: &self.version, prices: &self.prices, long: self.long.as_ref() }
            }
        }
    }
}

/// The prices of one tier of one entry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates<'a> {
    pub(crate) version: &'a str,
    prices: &'a PriceSet,
    long: Option<&'a LongContext>,
}

impl Rates<'_> {
    /// The prices of a call with so much input.
    pub(crate) fn at(&self, input: Tokens) -> &PriceSet {
        match self.long {
            Some(long) if input > long.above => &long.prices,
            _ => self.prices,
        }
    }

    /// The dearest input and output prices of any call with at most so much input.
    pub(crate) fn dearest_within(&self, input_bound: Tokens) -> (Price, Price) {
        let (mut input, mut output) = (self.prices.input_max(), self.prices.output_max());
        if let Some(long) = self.long.filter(|long| input_bound > long.above) {
            input = input.max(long.prices.input_max());
            output = output.max(long.prices.output_max());
        }
        (input, output)
    }
}
