//! Any text is a price book with exactly the prices it says, or is refused: no price is negative or missing.

use chat_runtime::parse_usd;
use chat_runtime::usage::PriceBook;
use chat_usage::{LongContext, PriceSet};
use fastrand::Rng;
use toml::{Table, Value};

use super::texts::{decimal, grammatical, shipped, spoilt};
use super::{calls, fuzz};

#[derive(Debug)]
struct Case {
    /// As it is read; shown line by line where it fails.
    text: String,
    call: calls::Call,
}

fn any_text(rng: &mut Rng) -> String {
    let text = match rng.u32(..3) {
        0 => shipped(rng),
        kind => grammatical(rng, kind == 1),
    };
    if rng.bool() { spoilt(rng, &text) } else { text }
}

/// What a decimal text is worth, read digit by digit. None: it is no price.
fn worth(text: &str, places: usize) -> Option<u128> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |part: &str| -> Option<Vec<u128>> {
        let digit = |letter: char| letter.to_digit(10).map(u128::from);
        part.chars().map(digit).collect::<Option<Vec<_>>>().filter(|digits| !digits.is_empty())
    };
    let (whole, fraction) = (digits(whole)?, digits(fraction)?);
    let mut value = 0;
    for digit in whole {
        value = value * 10 + digit;
        if value > 1_000_000 {
            return None;
        }
    }
    for place in 0..places.max(fraction.len()) {
        match (place < places, fraction.get(place).copied().unwrap_or(0)) {
            (true, digit) => value = value * 10 + digit,
            (false, 0) => {}
            (false, _) => return None,
        }
    }
    Some(value)
}

fn written(table: &Table, name: &str, places: usize) -> Option<u128> {
    table.get(name).map(|value| {
        let text = value.as_str().unwrap_or_else(|| panic!("{name} = {value} is no text"));
        worth(text, places).unwrap_or_else(|| panic!("{name} = {text:?} is no price"))
    })
}

fn assert_set(prices: &PriceSet, table: &Table) {
    let price = |name| written(table, name, 6);
    let (Some(input), Some(output)) = (price("input"), price("output")) else {
        panic!("a price without input or output was accepted");
    };
    let expected = [
        input,
        price("cache_read").unwrap_or(input),
        price("cache_write").unwrap_or(input),
        output,
        price("reasoning").unwrap_or(output),
    ];
    let read =
        [prices.input, prices.cache_read, prices.cache_write, prices.output, prices.reasoning];
    assert_eq!(read.map(|price| u128::from(price.pico_usd_per_token())), expected);
}

fn assert_long(long: Option<&LongContext>, table: &Table) {
    let said = table.get("long").and_then(Value::as_table);
    assert_eq!(long.is_some(), said.is_some());
    if let (Some(long), Some(said)) = (long, said) {
        assert_eq!(i64::try_from(long.above.get()).ok(), said["above"].as_integer());
        assert_set(&long.prices, said);
    }
}

fn check(case: &Case) {
    let book = match PriceBook::from_toml(&case.text) {
        Ok(book) => book,
        Err(refused) => {
            assert_eq!(refused.code(), "invalid_price_book");
            assert!(!refused.to_string().is_empty());
            return;
        }
    };
    let file: Table = case.text.parse().unwrap();
    let none = Vec::new();
    let tables = file.get("price").map_or(&none, |prices| prices.as_array().unwrap());
    assert_eq!(book.entries().count(), tables.len());
    for (entry, table) in book.entries().zip(tables) {
        let table = table.as_table().unwrap();
        assert_eq!(Some(entry.pattern()), table["model"].as_str());
        assert_set(entry.prices(), table);
        assert_long(entry.long(), table);
        for (amount, name) in [(entry.fee(), "fee"), (entry.image(), "image")] {
            let said = written(table, name, 9).unwrap_or(0);
            assert_eq!(u128::try_from(amount.nano_usd()), Ok(said), "{name}");
        }
        let empty = Table::new();
        let tiers = table.get("tier").map_or(&empty, |tiers| tiers.as_table().unwrap());
        assert_eq!(entry.tiers().len(), tiers.len());
        for tier in entry.tiers() {
            let said = tiers[tier.name()].as_table().unwrap();
            assert_set(tier.prices(), said);
            assert_long(tier.long(), said);
        }
        assert_eq!(book.by_version(entry.version()), Some(entry));
        calls::check_on(entry, &case.call);
    }
}

#[test]
fn m8_fuzz_a_text_is_a_book_of_the_prices_it_says_or_refused() {
    let books = std::cell::Cell::new(0_u64);
    let cases = fuzz(
        |rng| Case { text: any_text(rng), call: calls::any_call(rng) },
        |case| {
            check(case);
            books.set(books.get() + u64::from(PriceBook::from_toml(&case.text).is_ok()));
        },
    );
    println!("{} were books", books.get());
    assert!(cases < 1_000 || (books.get() > cases / 100 && books.get() < cases));
}

const ROW: &str =
    "book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 1970-01-01\noutput = \"0\"\n";

/// A grant of so much, and a price of so much, are to the last place what is written, or refused.
#[test]
fn m8_fuzz_a_decimal_is_worth_what_is_written_or_refused() {
    let make = |rng: &mut Rng| {
        let places = rng.usize(1..=12);
        let text = decimal(rng, places);
        if rng.u32(..4) == 0 { spoilt(rng, &text) } else { text }
    };
    fuzz(make, |text| {
        let quoted = Value::String(text.clone());
        let book = |name| PriceBook::from_toml(&format!("{ROW}{name} = {quoted}\n"));
        let price = book("input").ok().map(|book| book.entries().next().unwrap().prices().input);
        assert_eq!(price.map(|price| u128::from(price.pico_usd_per_token())), worth(text, 6));
        let fee = book("input = \"0\"\nfee").ok().map(|book| book.entries().next().unwrap().fee());
        assert_eq!(fee.map(|fee| u128::try_from(fee.nano_usd()).unwrap()), worth(text, 9));
        // A person may write a dollar sign, and more than a million.
        if let Ok(amount) = parse_usd(text) {
            let digits = text.strip_prefix('$').unwrap_or(text);
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let written: i128 = format!("{whole}{fraction:0<9}").parse().unwrap();
            assert_eq!(i128::from(amount.nano_usd()), written);
        } else {
            assert!(
                worth(text, 9).is_none()
                    || text.split_once('.').is_some_and(|(_, places)| places.len() > 9)
            );
        }
    });
}
