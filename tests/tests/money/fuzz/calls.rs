//! Any call costs what wide arithmetic says, within its bound; the cap that money buys is the largest it buys.

use chat_runtime::usage::{CallShape, PriceBook, PriceEntry, bound_of, cap_for_shape, cost_of};
use chat_types::{Money, Tokens, Usage};
use chat_usage::{LongContext, PriceSet};
use fastrand::Rng;

use super::texts::grammatical;
use super::{amount, count, fuzz, pick};

/// What is called, and what there is to pay with.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Input, cache read, cache write, output, reasoning.
    pub(super) tokens: [u64; 5],
    pub(super) tier: Option<&'static str>,
    pub(super) images: u64,
    pub(super) money: i64,
}

pub(super) fn any_call(rng: &mut Rng) -> Call {
    Call {
        tokens: [0; 5].map(|_: u64| count(rng)),
        tier: pick(rng, &[None, Some("flex"), Some("priority"), Some("a-b_9"), Some("unpriced")]),
        images: if rng.u32(..4) == 0 { count(rng) } else { rng.u64(..4) },
        money: amount(rng),
    }
}

/// A whole number of any size a call can have, as two halves.
#[derive(Clone, Copy, Debug, Default)]
struct Wide {
    high: u128,
    low: u128,
}

impl Wide {
    fn plus_product(self, a: u64, b: u64) -> Self {
        let product = u128::from(a) * u128::from(b);
        let low = self.low + (product & u128::from(u64::MAX));
        let high = self.high + (product >> 64) + (low >> 64);
        Self { high, low: low & u128::from(u64::MAX) }
    }

    /// A thousandth of it rounded up, with so much more, if that is an amount of money.
    fn nano(self, more: u128) -> Option<Money> {
        if self.high > u128::from(u64::MAX) {
            return None;
        }
        let pico = (self.high << 64) | self.low;
        let nano = pico.div_ceil(1_000).checked_add(more)?;
        i64::try_from(nano).ok().map(Money::from_nano_usd)
    }
}

/// The prices of this tier that apply to so much input.
fn prices_at<'a>(entry: &'a PriceEntry, tier: Option<&str>, input: u128) -> &'a PriceSet {
    let tier = tier.and_then(|name| entry.tiers().iter().find(|tier| tier.name() == name));
    let (plain, long): (&PriceSet, Option<&LongContext>) = match tier {
        Some(tier) => (tier.prices(), tier.long()),
        None => (entry.prices(), entry.long()),
    };
    match long {
        Some(long) if input > u128::from(long.above.get()) => &long.prices,
        _ => plain,
    }
}

fn expected(entry: &PriceEntry, call: &Call, tier: Option<&str>) -> Option<Money> {
    let [input, read, write, output, reasoning] = call.tokens;
    let all_input = [input, read, write].into_iter().map(u128::from).sum();
    let prices = prices_at(entry, tier, all_input);
    let fixed = u128::try_from(entry.image().nano_usd()).unwrap() * u128::from(call.images)
        + u128::try_from(entry.fee().nano_usd()).unwrap();
    [
        (input, prices.input),
        (read, prices.cache_read),
        (write, prices.cache_write),
        (output, prices.output),
        (reasoning, prices.reasoning),
    ]
    .into_iter()
    .fold(Wide::default(), |sum, (tokens, price)| {
        sum.plus_product(tokens, price.pico_usd_per_token())
    })
    .nano(fixed)
}

/// One call by one price.
pub(super) fn check_on(entry: &PriceEntry, call: &Call) {
    let [input, read, write, output, reasoning] = call.tokens;
    let usage = Usage {
        input_uncached: Tokens::new(input),
        cache_read: Tokens::new(read),
        cache_write: Tokens::new(write),
        output: Tokens::new(output),
        reasoning: Tokens::new(reasoning),
    };
    let standard = CallShape::standard().with_images(call.images);
    let asked = match call.tier {
        Some(tier) => standard.clone().with_tier(tier),
        None => standard.clone(),
    };
    for shape in [&standard, &asked] {
        let cost = cost_of(entry, &usage, shape);
        assert_eq!(cost.ok(), expected(entry, call, shape.tier.as_deref()), "{shape:?}");
        assert!(cost.is_err() || !cost.unwrap().is_negative());
    }

    let total = |parts: &[u64]| parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
    let within = (total(&[input, read, write]), total(&[output, reasoning]));
    if let (Some(all_input), Some(all_output)) = within
        && let Ok(bound) = bound_of(entry, Tokens::new(all_input), Tokens::new(all_output), &asked)
    {
        for shape in [&standard, &asked] {
            let cost = cost_of(entry, &usage, shape);
            assert!(cost.is_ok_and(|cost| cost <= bound), "{cost:?} > {bound} as {shape:?}");
        }
        let cap = cap_for_shape(entry, Tokens::new(all_input), bound, &asked);
        assert!(cap >= Tokens::new(all_output), "{bound} buys {cap} of {all_output}");
    }

    let money = Money::from_nano_usd(call.money);
    let cap = cap_for_shape(entry, Tokens::new(input), money, &asked);
    let covers = |cap| bound_of(entry, Tokens::new(input), cap, &asked).is_ok_and(|b| b <= money);
    assert!(cap == Tokens::ZERO || covers(cap), "{money} does not buy {cap}");
    let more = cap.plus(Tokens::new(1));
    assert!(more == cap || !covers(more), "{money} buys more than {cap}");
}

#[test]
fn m8_fuzz_a_call_costs_what_wide_arithmetic_says_within_its_bound() {
    let make = |rng: &mut Rng| {
        let book = PriceBook::from_toml(&grammatical(rng, false)).unwrap();
        let calls: Vec<Call> = (0..50).map(|_| any_call(rng)).collect();
        (book, calls)
    };
    fuzz(make, |(book, calls)| {
        for entry in book.entries() {
            calls.iter().for_each(|call| check_on(entry, call));
        }
    });
}
