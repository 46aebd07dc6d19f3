//! Texts of price books: as the format has them, and as they come out of a bad day.

use std::fmt::Write;

use fastrand::Rng;

use super::pick;

/// The shipped book, whose prices are ours to spoil.
const SHIPPED: &str = include_str!("../../../../crates/chat-usage/prices.toml");

/// What stands where a price should, now and then.
const ODD: [&str; 34] = [
    "-1",
    "-0",
    "-0.0",
    "+1",
    "nan",
    "NaN",
    "-nan",
    "inf",
    "-inf",
    "1e3",
    "1E-9",
    "",
    " ",
    ".",
    "1.",
    ".5",
    "1_000",
    "1,5",
    "0x10",
    "١",
    "1 ",
    " 1",
    "1\\n",
    "\\u0000",
    "0.0000001",
    "0.0000010",
    "0.9999999999",
    "1000000",
    "1000000.000001",
    "1000001",
    "18446744073709551616",
    "99999999999999999999999999999999999999999",
    "00001",
    "0.00000000000000000000000000000000000",
];

/// What a text is torn apart with.
const SCRAPS: [&str; 20] = [
    "-",
    ".",
    "\"",
    "\n",
    "0",
    "9",
    "e",
    "=",
    "[",
    "]",
    "[[price]]\n",
    "input = \"-1\"\n",
    "output = \"nan\"\n",
    "#",
    "fee = \"-0.01\"\n",
    "[price.long]\n",
    "[price.tier.flex]\n",
    "é",
    "input = -1\n",
    "\u{0}",
];

/// A decimal text: mostly a price, sometimes none.
pub(super) fn decimal(rng: &mut Rng, places: usize) -> String {
    match rng.u32(..12) {
        0 => pick(rng, &ODD).to_owned(),
        1 => {
            let letters: Vec<char> = "0123456789.-+eE_ naif".chars().collect();
            (0..rng.usize(..24)).map(|_| pick(rng, &letters)).collect()
        }
        _ => price(rng, places),
    }
}

/// A decimal text that is a price.
fn price(rng: &mut Rng, places: usize) -> String {
    match rng.u32(..10) {
        0 => rng.u64(..1_000_001).to_string(),
        1 => "0".to_owned(),
        _ => {
            let scale = 10_u64.pow(u32::try_from(places).unwrap());
            format!("{}.{:0places$}", rng.u64(..700), rng.u64(..scale))
        }
    }
}

/// Writes a book, with mistakes in it or without.
struct Writer<'a> {
    rng: &'a mut Rng,
    text: String,
    is_odd: bool,
}

impl Writer<'_> {
    fn price(&mut self, name: &str, places: usize) {
        let is_odd = self.is_odd && self.rng.u32(..8) == 0;
        let price = if is_odd { decimal(self.rng, places) } else { price(self.rng, places) };
        writeln!(self.text, "{name} = \"{price}\"").unwrap();
    }

    fn set(&mut self) {
        for name in ["input", "output"] {
            if !self.is_odd || self.rng.u32(..30) > 0 {
                self.price(name, 6);
            }
        }
        for name in ["cache_read", "cache_write", "reasoning"] {
            if self.rng.bool() {
                self.price(name, 6);
            }
        }
    }

    fn long(&mut self, at: &str) {
        if self.rng.bool() {
            // A whole number of this format has a sign.
            let above = super::count(self.rng) >> 1;
            writeln!(self.text, "[{at}.long]\nabove = {above}").unwrap();
            self.set();
        }
    }

    fn entry(&mut self, number: u32) {
        let names: &[&str] = match self.is_odd {
            true => &["x", "*", "long-name*", "x*y", "", "gpt-5"],
            false => &["x", "*", "long-name*", "gpt-5"],
        };
        let dates: &[&str] = match self.is_odd {
            true => &[
                "1970-01-01",
                "2026-02-28",
                "2026-02-30",
                "0001-01-01",
                "9999-12-31",
                "1979-05-27T07:32:00Z",
            ],
            false => &["1970-01-01", "2026-02-28", "0001-01-01", "9999-12-31"],
        };
        let (name, date) = (pick(self.rng, names), pick(self.rng, dates));
        writeln!(self.text, "[[price]]\nmodel = \"m{number}/{name}\"\nvalid_from = {date}")
            .unwrap();
        for name in ["fee", "image"] {
            if self.rng.u32(..3) == 0 {
                self.price(name, 9);
            }
        }
        self.set();
        self.long("price");
        for tier in ["flex", "priority", "a-b_9", "standard", "Flex"] {
            let is_wrong = ["standard", "Flex"].contains(&tier);
            if self.rng.u32(..3) == 0 && (!is_wrong || self.is_odd && self.rng.u32(..5) == 0) {
                writeln!(self.text, "[price.tier.{tier}]").unwrap();
                self.set();
                self.long(&format!("price.tier.{tier}"));
            }
        }
    }
}

/// A book by the format's grammar; an odd one may have a price or another part that is none.
pub(super) fn grammatical(rng: &mut Rng, is_odd: bool) -> String {
    let entries = rng.u32(1..4);
    let text = String::from("book = \"b\"\nsource = \"made up\"\n");
    let mut writer = Writer { rng, text, is_odd };
    (0..entries).for_each(|number| writer.entry(number));
    writer.text
}

/// The head of the shipped book and some of its prices.
pub(super) fn shipped(rng: &mut Rng) -> String {
    let mut parts = SHIPPED.split("[[price]]");
    let head = parts.next().unwrap();
    let prices: Vec<&str> = parts.collect();
    let mut text = head.to_owned();
    for _ in 0..rng.u32(1..5) {
        text.push_str("[[price]]");
        text.push_str(pick(rng, &prices));
    }
    text
}

/// The same text with some places spoilt.
pub(super) fn spoilt(rng: &mut Rng, text: &str) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..rng.u32(1..6) {
        let place = rng.usize(..=letters.len());
        match rng.u32(..6) {
            0 => drop(letters.drain(place..letters.len().min(place + rng.usize(..12)))),
            1 => {
                let piece = letters[place..letters.len().min(place + rng.usize(..80))].to_vec();
                drop(letters.splice(place..place, piece));
            }
            2 if place < letters.len() => letters[place] = rng.char('\u{20}'..'\u{7f}'),
            3 => {
                // Into a price, where there is one behind that place.
                let quote = letters[place..].iter().position(|letter| *letter == '"');
                let place = place + quote.map_or(0, |quote| quote + 1);
                drop(letters.splice(place..place, pick(rng, &ODD).chars()));
            }
            _ => drop(letters.splice(place..place, pick(rng, &SCRAPS).chars())),
        }
    }
    letters.into_iter().collect()
}
