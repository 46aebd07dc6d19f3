//! What the price book promises: what it reads, what it refuses, and that bounds are bounds.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chat_types::{ModelRef, Money, MoneyOverflow, Price, Timestamp, Tokens, Usage};
use chat_usage::{LongContext, PriceBook, PriceEntry, PriceSet, UsageError, bound, cap_for, cost};
use proptest::prelude::*;

/// 2026-11-22T00:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_305_600_000);

fn model(name: &str) -> ModelRef {
    name.parse().unwrap()
}

fn price(model: &str, date: &str, input: &str) -> String {
    format!(
        "[[price]]\nmodel = {model:?}\nvalid_from = {date}\ninput = {input:?}\noutput = \"1\"\n"
    )
}

fn book(name: &str, prices: &[String]) -> PriceBook {
    PriceBook::from_toml(&format!("book = {name:?}\n{}", prices.concat())).unwrap()
}

fn usd(text: &str) -> Price {
    let pico: f64 = text.parse::<f64>().unwrap() * 1e6;
    Price::from_pico_usd_per_token(format!("{pico:.0}").parse().unwrap())
}

#[test]
fn the_shipped_book_has_prices_and_says_what_is_free() {
    let shipped = PriceBook::shipped().unwrap();
    for (name, input, cache_read, output) in [
        ("openai/gpt-4o", "2.5", "1.25", "10"),
        ("openai/gpt-4o-2024-05-13", "5", "5", "15"),
        ("openai/gpt-4o-mini", "0.15", "0.075", "0.6"),
        ("openai/gpt-4o-mini-2024-07-18", "0.15", "0.075", "0.6"),
        ("openai/gpt-4.1", "2", "0.5", "8"),
        ("openai/gpt-4.1-mini", "0.4", "0.1", "1.6"),
        ("openai/gpt-5", "1.25", "0.125", "10"),
        ("openai/gpt-5-mini", "0.25", "0.025", "2"),
        ("openai/gpt-5-nano-2025-08-07", "0.05", "0.005", "0.4"),
        ("openai/o3", "2", "0.5", "8"),
        ("openai/o4-mini", "1.1", "0.275", "4.4"),
        ("local/smollm2", "0", "0", "0"),
        ("example/echo", "0", "0", "0"),
    ] {
        let entry = shipped.lookup(&model(name), NOW).unwrap();
        let expected = PriceSet {
            input: usd(input),
            cache_read: usd(cache_read),
            cache_write: usd(input),
            output: usd(output),
            reasoning: usd(output),
        };
        assert_eq!(entry.prices(), &expected, "{name}");
    }
    for unknown in ["openai/gpt-4o-audio-preview", "openai/gpt-5-pro", "else/gpt-4o", "locals/x"] {
        assert_eq!(shipped.lookup(&model(unknown), NOW), None, "{unknown}");
    }
    let long = shipped.lookup(&model("openai/gpt-5.4"), NOW).and_then(PriceEntry::long).unwrap();
    assert_eq!((long.above, long.prices.cache_write), (Tokens::new(272_000), usd("5")));
}

#[test]
fn the_shipped_book_has_current_models_of_every_vendor() {
    let shipped = PriceBook::shipped().unwrap();
    for (vendor, least) in
        [("openai", 15), ("anthropic", 5), ("google", 5), ("deepseek", 4), ("mistral", 5)]
    {
        let of_vendor = |entry: &&PriceEntry| {
            entry.pattern().split_once('/').is_some_and(|(provider, _)| provider == vendor)
        };
        let count = shipped.entries().filter(of_vendor).count();
        assert!(count >= least, "{vendor}: {count}");
    }
    let book = shipped.books().next().unwrap();
    assert!(book.source.is_some() && book.licence.is_some(), "{book:?}");
    // Cache reads and writes, long context, another tier, and a price that changed.
    let day = |days: i64| Timestamp::from_unix_ms(days * 86_400_000);
    let entry = |name, at| shipped.lookup(&model(name), at).unwrap();
    let sonnet = entry("anthropic/claude-sonnet-5", NOW).prices();
    assert_eq!((sonnet.cache_read, sonnet.cache_write), (usd("0.2"), usd("2.5")));
    let gemini = entry("google/gemini-2.5-pro", NOW).long().unwrap();
    assert_eq!((gemini.above, gemini.prices.output), (Tokens::new(200_000), usd("15")));
    let priority = entry("openai/gpt-5.5", NOW).tier("priority").unwrap();
    assert_eq!(priority.prices().output, usd("75"));
    let (before, after) = (day(20_566), day(20_567));
    assert_eq!(entry("deepseek/deepseek-chat", before).prices().output, usd("0.42"));
    assert_eq!(entry("deepseek/deepseek-chat", after).prices().output, usd("0.28"));
    assert_eq!(entry("mistral/mistral-small-latest", NOW).prices().input, usd("0.15"));
}

#[test]
fn the_newest_price_of_the_closest_name_applies() {
    let book = book(
        "b",
        &[
            price("openai/gpt-*", "2026-01-01", "1"),
            price("openai/gpt-4o", "2026-03-01", "2"),
            price("openai/gpt-4o", "2026-02-01", "3"),
            price("openai/gpt-4o-*", "1970-01-01", "4"),
            price("openai/*", "1999-12-31", "5"),
        ],
    );
    let day = 86_400_000;
    let march = Timestamp::from_unix_ms(20_513 * day);
    for (name, at, version) in [
        ("openai/gpt-4o", march, Some("b:openai/gpt-4o@2026-03-01")),
        ("openai/gpt-4o", march.plus_ms(-1), Some("b:openai/gpt-4o@2026-02-01")),
        ("openai/gpt-4o", march.plus_ms(-28 * day), Some("b:openai/gpt-4o@2026-02-01")),
        ("openai/gpt-4o", march.plus_ms(-28 * day - 1), Some("b:openai/gpt-*@2026-01-01")),
        ("openai/gpt-4o-x", Timestamp::default(), Some("b:openai/gpt-4o-*@1970-01-01")),
        ("openai/gpt-4o-x", Timestamp::default().plus_ms(-1), None),
        ("openai/o3", march, Some("b:openai/*@1999-12-31")),
        ("open/o3", march, None),
    ] {
        let found = book.lookup(&model(name), at).map(PriceEntry::version);
        assert_eq!(found, version, "{name} at {at:?}");
    }
}

#[test]
fn overrides_are_asked_first_and_old_versions_stay_known() {
    let base = book("base", &[price("a/x", "2026-01-01", "1"), price("a/y", "2026-01-01", "1")]);
    let mine = book("mine", &[price("a/*", "2026-06-01", "7")]);
    let both = base.with_overrides(mine);
    let version = |name, at| both.lookup(&model(name), at).map(PriceEntry::version);
    assert_eq!(version("a/x", NOW), Some("mine:a/*@2026-06-01"));
    assert_eq!(version("a/x", NOW.plus_ms(-200 * 86_400_000)), Some("base:a/x@2026-01-01"));
    assert_eq!(both.by_version("base:a/y@2026-01-01").map(PriceEntry::pattern), Some("a/y"));
    assert_eq!(both.entries().count(), 3);
    assert_eq!(PriceBook::empty().lookup(&model("a/x"), NOW), None);
}

#[test]
fn a_wrong_book_is_refused_and_says_where() {
    let row = |extra: &str| {
        format!("book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 2026-01-01\n{extra}\n")
    };
    let twice = price("a/x", "2026-01-01", "1").repeat(2);
    for (text, named) in [
        (row("output = \"1\""), "input"),
        (row("input = \"1\""), "output"),
        (row("input = \"-1\"\noutput = \"1\""), "a/x: input: \"-1\""),
        (row("input = \"1\"\noutput = \"nan\""), "a/x: output: \"nan\""),
        (row("input = nan\noutput = \"1\""), "line 5"),
        (row("input = 0.15\noutput = \"1\""), "line 5"),
        (row("input = \"1\"\noutput = \"1\"\ncached = \"1\""), "cached"),
        (row("input = \"1\"\noutput = \"0.0000001\""), "a/x: output"),
        (row("input = \"1\"\noutput = \"1\"\nfee = \"-0.1\""), "a/x: fee"),
        (row("input = \"1\"\noutput = \"1\"\n[price.long]\nabove = 1\ninput = \"1\""), "output"),
        (format!("book = \"b\"\n{twice}"), "a/x: two prices"),
        (format!("book = \"b\"\n{}", price("a/x*y", "2026-01-01", "1")), "a/x*y"),
        (format!("book = \"b\"\n{}", price("nothing", "2026-01-01", "1")), "nothing"),
        (format!("book = \"b\"\n{}", price("a/x", "2026-01-01T10:00:00Z", "1")), "a/x: valid_from"),
        (format!("book = \"b\"\n{}", price("a/x", "2026-02-30", "1")), "line 4"),
        (price("a/x", "2026-01-01", "1"), "book"),
        ("book = \"a:b\"".to_owned(), "book"),
        ("book = ".to_owned(), "line 1"),
    ] {
        let error = PriceBook::from_toml(&text).unwrap_err();
        assert!(matches!(error, UsageError::InvalidPriceBook { .. }));
        assert!(error.to_string().contains(named), "{named} is not in: {error}");
    }
}

const LONG_BOOK: &str = r#"
book = "b"
[[price]]
model = "a/x"
valid_from = 1970-01-01
input = "1"
cache_read = "0.1"
cache_write = "1.25"
output = "4"
reasoning = "6"
fee = "0.01"
[price.long]
above = 100
input = "2"
output = "8"
"#;

#[test]
fn a_cost_is_rounded_up_once_and_a_long_call_is_dearer_as_a_whole() {
    let book = PriceBook::from_toml(LONG_BOOK).unwrap();
    let entry = book.lookup(&model("a/x"), NOW).unwrap();
    let long = LongContext {
        above: Tokens::new(100),
        prices: PriceSet {
            input: usd("2"),
            cache_read: usd("2"),
            cache_write: usd("2"),
            output: usd("8"),
            reasoning: usd("8"),
        },
    };
    assert_eq!(entry.long(), Some(&long));
    let usage = |input, read, write, output, reasoning| Usage {
        input_uncached: Tokens::new(input),
        cache_read: Tokens::new(read),
        cache_write: Tokens::new(write),
        output: Tokens::new(output),
        reasoning: Tokens::new(reasoning),
    };
    let fee = 10_000_000;
    for (usage, nano) in [
        (usage(0, 0, 0, 0, 0), 0),
        (usage(1, 1, 1, 1, 1), 1_000 + 100 + 1_250 + 4_000 + 6_000),
        (usage(98, 1, 1, 0, 0), 98_000 + 100 + 1_250),
        (usage(98, 1, 2, 1, 1), 202_000 + 16_000),
    ] {
        assert_eq!(cost(entry, &usage), Ok(Money::from_nano_usd(fee + nano)), "{usage:?}");
    }
    // Two thirds of a nano-USD and a bit more is one, not two.
    let tiny = PriceBook::from_toml(
        "book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 1970-01-01\ninput = \"0.000333\"\noutput = \"0.000333\"",
    );
    let tiny = tiny.unwrap();
    let entry = tiny.lookup(&model("a/x"), NOW).unwrap();
    assert_eq!(cost(entry, &usage(1, 0, 0, 2, 0)), Ok(Money::from_nano_usd(1)));
    assert_eq!(cost(entry, &usage(2, 0, 0, 2, 0)), Ok(Money::from_nano_usd(2)));
}

#[test]
fn corner_values_are_refused_and_never_wrap() {
    let book = PriceBook::from_toml(LONG_BOOK).unwrap();
    let entry = book.lookup(&model("a/x"), NOW).unwrap();
    let most = Tokens::new(u64::MAX);
    let usage = Usage {
        input_uncached: most,
        cache_read: most,
        cache_write: most,
        output: most,
        reasoning: most,
    };
    assert_eq!(cost(entry, &usage), Err(MoneyOverflow));
    assert_eq!(bound(entry, most, most), Err(MoneyOverflow));
    assert_eq!(bound(entry, Tokens::ZERO, most), Err(MoneyOverflow));
    assert_eq!(cap_for(entry, most, Money::MAX), Tokens::ZERO);
    for money in [Money::ZERO, Money::from_nano_usd(-1), Money::from_nano_usd(i64::MIN)] {
        assert_eq!(cap_for(entry, Tokens::ZERO, money), Tokens::ZERO);
    }
    let shipped = PriceBook::shipped().unwrap();
    let free = shipped.lookup(&model("local/x"), NOW).unwrap();
    assert_eq!(bound(free, most, most), Ok(Money::ZERO));
    assert_eq!(cap_for(free, most, Money::ZERO), most);
}

fn any_price() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0..100_u32, 0..1_000_000_u32).prop_map(|(usd, micro)| format!("{usd}.{micro:06}")),
        1 => Just("0".to_owned()),
        1 => Just("1000000".to_owned()),
    ]
}

fn maybe(name: &'static str) -> impl Strategy<Value = String> {
    prop::option::of(any_price())
        .prop_map(move |price| price.map_or(String::new(), |price| format!("{name} = {price:?}\n")))
}

fn any_set() -> impl Strategy<Value = String> {
    let optional = (maybe("cache_read"), maybe("cache_write"), maybe("reasoning"));
    (any_price(), any_price(), optional).prop_map(|(input, output, (read, write, reasoning))| {
        format!("input = {input:?}\noutput = {output:?}\n{read}{write}{reasoning}")
    })
}

fn any_entry() -> impl Strategy<Value = PriceEntry> {
    let long = prop::option::of((0..2_000_u64, any_set()));
    (any_set(), prop::option::of(0..1_000_000_u32), long).prop_map(|(set, fee, long)| {
        let fee = fee.map_or(String::new(), |fee| format!("fee = \"0.{fee:06}\"\n"));
        let long = long
            .map_or(String::new(), |(above, set)| format!("[price.long]\nabove = {above}\n{set}"));
        let text = format!(
            "book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 1970-01-01\n{set}{fee}{long}"
        );
        let book = PriceBook::from_toml(&text).unwrap();
        book.entries().next().unwrap().clone()
    })
}

/// Small, and sometimes anything.
fn any_tokens() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..3_000_u64, 1 => any::<u64>()]
}

/// A total, cut into parts in any way that does not exceed it.
fn parts(total: u64, cuts: [u64; 3]) -> [u64; 3] {
    let mut left = total;
    cuts.map(|cut| {
        let part = if left == u64::MAX { cut } else { cut % (left + 1) };
        left -= part;
        part
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_cost_within_the_bounds_is_never_above_the_bound(
        entry in any_entry(),
        input_bound in any_tokens(),
        output_cap in any_tokens(),
        cuts in any::<[u64; 5]>(),
    ) {
        let [input, read, write] = parts(input_bound, [cuts[0], cuts[1], cuts[2]]);
        let [output, reasoning, _] = parts(output_cap, [cuts[3], cuts[4], 0]);
        let usage = Usage {
            input_uncached: Tokens::new(input),
            cache_read: Tokens::new(read),
            cache_write: Tokens::new(write),
            output: Tokens::new(output),
            reasoning: Tokens::new(reasoning),
        };
        if let Ok(bound) = bound(&entry, Tokens::new(input_bound), Tokens::new(output_cap)) {
            let cost = cost(&entry, &usage);
            prop_assert!(cost.is_ok_and(|cost| cost <= bound), "{:?} > {}", cost, bound);
        }
    }

    #[test]
    fn a_cap_is_the_largest_that_the_money_covers(
        entry in any_entry(),
        input_bound in any_tokens(),
        money in prop_oneof![0..10_000_000_i64, any::<i64>()],
    ) {
        let (input, money) = (Tokens::new(input_bound), Money::from_nano_usd(money));
        let covers = |cap: Tokens| bound(&entry, input, cap).is_ok_and(|bound| bound <= money);
        let cap = cap_for(&entry, input, money);
        prop_assert!(cap == Tokens::ZERO || covers(cap), "{cap} is not covered");
        prop_assert!(
            cap.get() == u64::MAX || !covers(cap.plus(Tokens::new(1))),
            "{cap} is not the largest"
        );
    }
}
