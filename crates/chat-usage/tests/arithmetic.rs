//! Prices against an obvious big-integer reference: nothing panics, wraps or undercuts its bound.
//!
//! 20,000 random calls, 1,000,000 with `CHAT_TEST_FULL` set, and every corner value against every
//! other. The seed is printed; `CHAT_TEST_SEED` runs it again.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt::Write;

use chat_types::{Money, Tokens, Usage};
use chat_usage::{
    CallShape, LongContext, PriceBook, PriceEntry, PriceSet, bound_of, cap_for_shape, cost_of,
};

const CASES: u32 = 20_000;
const CASES_FULL: u32 = 1_000_000;
/// Calls tried on one book: reading a book costs as much as some hundred of them.
const CALLS_PER_BOOK: u32 = 50;
const SEED: u64 = 0x5eed_0f9a_1ce5;

const CORNERS: [u64; 10] = [
    0,
    1,
    2,
    999,
    1_000,
    u64::MAX / 2 - 1,
    // `i64::MAX` and its neighbours.
    u64::MAX / 2,
    u64::MAX / 2 + 1,
    u64::MAX - 1,
    u64::MAX,
];

/// A whole number of any size: 32 bits a digit, the lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Big(Vec<u64>);

impl Big {
    fn add_at(&mut self, position: usize, digit: u64) {
        let (mut position, mut carry) = (position, digit);
        while carry > 0 {
            if self.0.len() <= position {
                self.0.resize(position + 1, 0);
            }
            let sum = self.0[position] + carry;
            self.0[position] = sum & 0xffff_ffff;
            carry = sum >> 32;
            position += 1;
        }
    }

    /// Adds `a * b`, digit by digit.
    fn add_product(&mut self, a: u64, b: u64) {
        for (i, a) in [a & 0xffff_ffff, a >> 32].into_iter().enumerate() {
            for (j, b) in [b & 0xffff_ffff, b >> 32].into_iter().enumerate() {
                let product = a * b;
                self.add_at(i + j, product & 0xffff_ffff);
                self.add_at(i + j + 1, product >> 32);
            }
        }
    }

    /// A thousandth, rounded up.
    fn thousandth_up(&self) -> Self {
        let mut rest = 0;
        let mut digits = vec![0; self.0.len()];
        for (at, digit) in self.0.iter().enumerate().rev() {
            let value = (rest << 32) | digit;
            digits[at] = value / 1_000;
            rest = value % 1_000;
        }
        let mut quotient = Self(digits);
        quotient.add_at(0, u64::from(rest > 0));
        quotient
    }

    /// As nano-USD, if it is at most `i64::MAX`.
    fn money(&self) -> Option<i64> {
        let digit = |at: usize| self.0.get(at).copied().unwrap_or(0);
        if self.0.iter().skip(2).any(|digit| *digit > 0) {
            return None;
        }
        i64::try_from((digit(1) << 32) | digit(0)).ok()
    }
}

fn set_for<'a>(prices: &'a PriceSet, long: Option<&'a LongContext>, input: &Big) -> &'a PriceSet {
    match long {
        Some(long) if exceeds(input, long.above.get()) => &long.prices,
        _ => prices,
    }
}

fn exceeds(big: &Big, limit: u64) -> bool {
    let digit = |at: usize| big.0.get(at).copied().unwrap_or(0);
    big.0.iter().skip(2).any(|digit| *digit > 0) || ((digit(1) << 32) | digit(0)) > limit
}

/// What a call costs, worked out slowly. None: more than can be written down.
fn reference(entry: &PriceEntry, usage: &Usage, shape: &CallShape) -> Option<i64> {
    let mut input = Big::default();
    for tokens in [usage.input_uncached, usage.cache_read, usage.cache_write] {
        input.add_product(tokens.get(), 1);
    }
    let tier = shape.tier.as_deref().and_then(|name| entry.tier(name));
    let prices = match tier {
        Some(tier) => set_for(tier.prices(), tier.long(), &input),
        None => set_for(entry.prices(), entry.long(), &input),
    };
    let mut pico = Big::default();
    for (tokens, price) in [
        (usage.input_uncached, prices.input),
        (usage.cache_read, prices.cache_read),
        (usage.cache_write, prices.cache_write),
        (usage.output, prices.output),
        (usage.reasoning, prices.reasoning),
    ] {
        pico.add_product(tokens.get(), price.pico_usd_per_token());
    }
    let mut nano = pico.thousandth_up();
    nano.add_product(shape.images, u64::try_from(entry.image().nano_usd()).unwrap());
    nano.add_product(1, u64::try_from(entry.fee().nano_usd()).unwrap());
    nano.money()
}

/// A small generator (splitmix64): the same calls for the same seed, everywhere.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Mostly what a call has, sometimes a corner, sometimes anything.
    fn tokens(&mut self) -> u64 {
        match self.below(8) {
            0 => CORNERS[usize::try_from(self.below(10)).unwrap()],
            1 => {
                let bits = self.below(64);
                self.next() >> bits
            }
            _ => self.below(2_000_000),
        }
    }

    /// A decimal text of US dollars with at most `places` decimals.
    fn usd(&mut self, places: usize) -> String {
        match self.below(8) {
            0 => "0".to_owned(),
            1 => "1000000".to_owned(),
            _ => {
                let scale = 10_u64.pow(u32::try_from(places).unwrap());
                format!("{}.{:0places$}", self.below(700), self.below(scale))
            }
        }
    }

    fn set(&mut self, text: &mut String) {
        for name in ["input", "output"] {
            writeln!(text, "{name} = {:?}", self.usd(6)).unwrap();
        }
        for name in ["cache_read", "cache_write", "reasoning"] {
            if self.below(2) == 0 {
                writeln!(text, "{name} = {:?}", self.usd(6)).unwrap();
            }
        }
    }

    fn set_with_long(&mut self, at: &str, text: &mut String) {
        self.set(text);
        if self.below(2) == 0 {
            writeln!(text, "[{at}.long]\nabove = {}", self.below(1_000_000)).unwrap();
            self.set(text);
        }
    }

    fn entry(&mut self) -> PriceEntry {
        let mut text =
            "book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 1970-01-01\n".to_owned();
        for name in ["fee", "image"] {
            if self.below(3) == 0 {
                writeln!(text, "{name} = {:?}", self.usd(9)).unwrap();
            }
        }
        self.set_with_long("price", &mut text);
        for tier in ["flex", "priority"] {
            writeln!(text, "[price.tier.{tier}]").unwrap();
            self.set_with_long(&format!("price.tier.{tier}"), &mut text);
        }
        PriceBook::from_toml(&text).unwrap().entries().next().unwrap().clone()
    }

    fn shape(&mut self) -> CallShape {
        let images = if self.below(4) == 0 { self.tokens() } else { self.below(4) };
        let shape = CallShape::standard().with_images(images);
        match self.below(4) {
            0 => shape,
            1 => shape.with_tier("flex"),
            2 => shape.with_tier("priority"),
            _ => shape.with_tier("unpriced"),
        }
    }
}

fn usage_of([input, read, write, output, reasoning]: [u64; 5]) -> Usage {
    Usage {
        input_uncached: Tokens::new(input),
        cache_read: Tokens::new(read),
        cache_write: Tokens::new(write),
        output: Tokens::new(output),
        reasoning: Tokens::new(reasoning),
    }
}

/// One call: its exact cost, and the bound of what was asked for.
fn check(entry: &PriceEntry, counts: [u64; 5], shape: &CallShape, said: &dyn Fn() -> String) {
    let usage = usage_of(counts);
    let cost = cost_of(entry, &usage, shape).ok();
    let expected = reference(entry, &usage, shape).map(Money::from_nano_usd);
    assert_eq!(cost, expected, "{} {usage:?} {shape:?} {entry:?}", said());
    let [input, read, write, output, reasoning] = counts;
    let total = |parts: &[u64]| parts.iter().try_fold(0_u64, |sum, part| sum.checked_add(*part));
    let (Some(input), Some(output)) = (total(&[input, read, write]), total(&[output, reasoning]))
    else {
        return;
    };
    let (input, output) = (Tokens::new(input), Tokens::new(output));
    let Ok(bound) = bound_of(entry, input, output, shape) else {
        return;
    };
    // Whether it is served as asked or in the standard tier after all.
    let standard = CallShape::standard().with_images(shape.images);
    for served in [shape, &standard] {
        let cost = cost_of(entry, &usage, served);
        assert!(cost.is_ok_and(|cost| cost <= bound), "{} {cost:?} {bound}", said());
    }
    assert!(cap_for_shape(entry, input, bound, shape) >= output, "{}", said());
}

#[test]
fn random_calls_cost_what_the_reference_says_within_their_bound() {
    let full = std::env::var_os("CHAT_TEST_FULL").is_some();
    let cases = if full { CASES_FULL } else { CASES };
    let seed = std::env::var("CHAT_TEST_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(SEED);
    println!("{cases} cases, CHAT_TEST_SEED={seed}");
    let mut chance = Chance(seed);
    let mut entry = chance.entry();
    for case in 0..cases {
        if case % CALLS_PER_BOOK == 0 {
            entry = chance.entry();
        }
        let counts = [0; 5].map(|_: u64| chance.tokens());
        let shape = chance.shape();
        check(&entry, counts, &shape, &|| format!("seed {seed}, case {case}"));
    }
}

#[test]
fn corner_values_cost_what_the_reference_says_within_their_bound() {
    let mut chance = Chance(SEED);
    let entries: Vec<PriceEntry> = (0..3).map(|_| chance.entry()).collect();
    let shipped = PriceBook::shipped().unwrap();
    let shapes = [
        CallShape::standard(),
        CallShape::standard().with_tier("priority").with_images(1),
        CallShape::standard().with_tier("flex").with_images(u64::MAX),
    ];
    for entry in entries.iter().chain(shipped.entries()) {
        for input in CORNERS {
            for output in CORNERS {
                for other in [0, 1, u64::MAX] {
                    for shape in &shapes {
                        let counts = [input, other, 0, output, other];
                        check(entry, counts, shape, &|| entry.version().to_owned());
                    }
                }
            }
        }
    }
}

#[test]
fn money_at_the_edges_never_wraps() {
    let mut chance = Chance(SEED);
    for _ in 0..64 {
        let entry = chance.entry();
        for nano in [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX] {
            for input in CORNERS {
                let shape = chance.shape();
                let (input, money) = (Tokens::new(input), Money::from_nano_usd(nano));
                let cap = cap_for_shape(&entry, input, money, &shape);
                let covers = |cap: Tokens| {
                    bound_of(&entry, input, cap, &shape).is_ok_and(|bound| bound <= money)
                };
                assert!(cap == Tokens::ZERO || covers(cap), "{nano} {input} {entry:?}");
                let more = cap.plus(Tokens::new(1));
                assert!(more == cap || !covers(more), "{nano} {input} {entry:?}");
            }
        }
    }
}
