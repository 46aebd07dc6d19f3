//! What tiers and images promise: explainable rows, and holds that cover where a call may end.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use chat_types::{ModelRef, Money, MoneyOverflow, Timestamp, Tokens, Usage};
use chat_usage::{
    CallShape, PriceBook, PriceEntry, UsageError, bound, bound_of, cap_for, cap_for_shape, cost,
    cost_of, tier_of,
};

/// 2026-11-22T00:00:00Z.
const NOW: Timestamp = Timestamp::from_unix_ms(1_795_305_600_000);

const BOOK: &str = r#"
book = "b"
source = "the contract of May"
[[price]]
model = "a/x"
valid_from = 2026-01-01
input = "2"
output = "8"
fee = "0.001"
image = "0.04"
[price.long]
above = 100
input = "4"
output = "12"
[price.tier.flex]
input = "1"
output = "4"
[price.tier.priority]
input = "5"
output = "20"
reasoning = "30"
[price.tier.priority.long]
above = 50
input = "7"
output = "25"
"#;

fn book() -> PriceBook {
    PriceBook::from_toml(BOOK).unwrap()
}

fn entry(book: &PriceBook) -> &PriceEntry {
    let model: ModelRef = "a/x".parse().unwrap();
    book.lookup(&model, NOW).unwrap()
}

fn nano(amount: i64) -> Money {
    Money::from_nano_usd(amount)
}

fn usage(input: u64, output: u64, reasoning: u64) -> Usage {
    Usage {
        input_uncached: Tokens::new(input),
        output: Tokens::new(output),
        reasoning: Tokens::new(reasoning),
        ..Usage::default()
    }
}

fn tier(name: &str) -> CallShape {
    CallShape::standard().with_tier(name)
}

#[test]
fn a_call_is_charged_by_the_tier_that_served_it() {
    let book = book();
    let entry = entry(&book);
    let fee = 1_000_000;
    for (shape, usage, expected) in [
        (CallShape::standard(), usage(10, 1, 1), 20_000 + 16_000),
        (tier("flex"), usage(10, 1, 1), 10_000 + 8_000),
        // Flex has no long prices of its own and does not borrow the standard ones.
        (tier("flex"), usage(101, 1, 0), 101_000 + 4_000),
        (CallShape::standard(), usage(101, 1, 0), 404_000 + 12_000),
        (tier("priority"), usage(50, 1, 1), 250_000 + 20_000 + 30_000),
        (tier("priority"), usage(51, 1, 1), 357_000 + 25_000 + 25_000),
        // Nobody said what this tier costs.
        (tier("scale"), usage(10, 1, 1), 20_000 + 16_000),
    ] {
        assert_eq!(cost_of(entry, &usage, &shape), Ok(nano(fee + expected)), "{shape:?}");
    }
    assert_eq!(cost(entry, &usage(10, 1, 1)), cost_of(entry, &usage(10, 1, 1), &tier("default")));
}

#[test]
fn images_are_charged_one_by_one_beside_tokens() {
    let book = book();
    let entry = entry(&book);
    let shape = tier("flex").with_images(3);
    assert_eq!(cost_of(entry, &usage(1, 0, 0), &shape), Ok(nano(1_000_000 + 120_000_000 + 1_000)));
    let none = Tokens::ZERO;
    assert_eq!(bound_of(entry, none, none, &shape), Ok(nano(121_000_000)));
    assert_eq!(entry.image(), nano(40_000_000));
    let too_many = CallShape::standard().with_images(u64::MAX);
    assert_eq!(cost_of(entry, &usage(0, 0, 0), &too_many), Err(MoneyOverflow));
    assert_eq!(bound_of(entry, none, none, &too_many), Err(MoneyOverflow));
    assert_eq!(cap_for_shape(entry, none, Money::MAX, &too_many), Tokens::ZERO);
}

#[test]
fn a_bound_covers_the_standard_tier_and_the_one_asked_for() {
    let book = book();
    let entry = entry(&book);
    let (input, output) = (Tokens::new(60), Tokens::new(10));
    let standard = bound(entry, input, output).unwrap();
    assert_eq!(bound_of(entry, input, output, &tier("flex")), Ok(standard));
    let priority = bound_of(entry, input, output, &tier("priority")).unwrap();
    assert_eq!(priority, nano(1_000_000 + 60 * 7_000 + 10 * 30_000));
    for money in [standard, priority, nano(1_000_000), nano(5_000_000)] {
        for asked in [tier("flex"), tier("priority"), CallShape::standard()] {
            let cap = cap_for_shape(entry, input, money, &asked);
            let covers =
                |cap| bound_of(entry, input, cap, &asked).is_ok_and(|bound| bound <= money);
            assert!(cap == Tokens::ZERO || covers(cap), "{asked:?}");
            assert!(!covers(cap.plus(Tokens::new(1))), "{asked:?}");
        }
    }
    assert_eq!(cap_for(entry, input, standard), output);
}

#[test]
fn a_version_names_its_tier_and_finds_its_entry_again() {
    let book = book();
    let entry = entry(&book);
    let versions: Vec<&str> = entry.tiers().iter().map(|tier| tier.version()).collect();
    assert_eq!(versions, ["b:a/x@2026-01-01#flex", "b:a/x@2026-01-01#priority"]);
    for version in versions.iter().chain(&[entry.version()]) {
        assert_eq!(book.by_version(version), Some(entry), "{version}");
    }
    assert_eq!(book.by_version("b:a/x@2026-01-01#scale"), None);
    for (version, tier) in [
        ("b:a/x@2026-01-01", None),
        ("b:a/x@2026-01-01#flex", Some("flex")),
        ("b:a/x#y@2026-01-01", None),
        ("held", None),
        ("reported", None),
    ] {
        assert_eq!(tier_of(version), tier, "{version}");
    }
}

#[test]
fn a_book_says_what_it_is() {
    let both = PriceBook::shipped().unwrap().with_overrides(book());
    let names: Vec<&str> = both.books().map(|book| book.name.as_str()).collect();
    assert_eq!(names.first(), Some(&"b"));
    assert_eq!(
        both.books().next().and_then(|book| book.source.as_deref()),
        Some("the contract of May")
    );
    assert_eq!(entry(&both).book(), "b");
}

#[test]
fn a_wrong_tier_is_refused_and_says_where() {
    let row = |extra: &str| {
        format!(
            "book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 2026-01-01\n\
             input = \"1\"\noutput = \"1\"\n{extra}\n"
        )
    };
    for (extra, named) in [
        ("[price.tier.flex]\ninput = \"1\"", "output"),
        ("[price.tier.flex]\ninput = \"-1\"\noutput = \"1\"", "a/x: tier.flex.input: \"-1\""),
        ("[price.tier.flex]\ninput = \"1\"\noutput = \"1\"\nfee = \"1\"", "fee"),
        (
            "[price.tier.flex]\ninput = \"1\"\noutput = \"1\"\n\
             [price.tier.flex.long]\nabove = 1\ninput = \"x\"\noutput = \"1\"",
            "a/x: tier.flex.long.input",
        ),
        ("[price.tier.Flex]\ninput = \"1\"\noutput = \"1\"", "a/x: tier.Flex"),
        ("[price.tier.default]\ninput = \"1\"\noutput = \"1\"", "a/x: tier.default"),
        ("image = \"0.0000000001\"", "a/x: image"),
    ] {
        let error = PriceBook::from_toml(&row(extra)).unwrap_err();
        assert!(matches!(error, UsageError::InvalidPriceBook { .. }));
        assert!(error.to_string().contains(named), "{named} is not in: {error}");
    }
}
