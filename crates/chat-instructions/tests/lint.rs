//! The lint: what changes is named, what only looks like it is not.

use chat_instructions::{
    InstructionBlock, VOLATILE_VALUES_MAX, VolatileKind, Volatility, compose, lint,
};
use proptest::prelude::*;

fn found(text: &str) -> Vec<(VolatileKind, String)> {
    let values = lint(&[InstructionBlock::new("block", text)]);
    values.into_iter().map(|value| (value.kind, value.value)).collect()
}

#[test]
fn values_that_change_are_named() {
    use VolatileKind::{Counter, Date, Id, Time, Timestamp, Uuid};
    for (text, kind, value) in [
        ("Today is 2026-11-28.", Date, "2026-11-28"),
        ("Today's date: 28/11/2026", Date, "28/11/2026"),
        ("Current date: November 28, 2026", Date, "November 28, 2026"),
        ("The date is Saturday, 28th of November 2026", Date, "Saturday"),
        ("As of 28 Nov 2026, you know everything.", Date, "28 Nov 2026"),
        ("It is Saturday.", Date, "Saturday"),
        ("You are kind.\n28.11.2026\nBe brief.", Date, "28.11.2026"),
        ("The current time is 14:03", Time, "14:03"),
        ("It is now 2:03 pm in Paris", Time, "2:03 pm"),
        ("Generated 2026-11-28T14:03:22Z", Timestamp, "2026-11-28T14:03:22Z"),
        ("[2026-11-28 14:03:22.123] start", Timestamp, "2026-11-28 14:03:22.123"),
        ("Sat, 28 Nov 2026 14:03:22 GMT", Timestamp, "28 Nov 2026 14:03:22 GMT"),
        ("Now: 1795874602", Timestamp, "1795874602"),
        ("ts=1795874602123", Timestamp, "1795874602123"),
        (
            "Conversation f47ac10b-58cc-4372-a567-0e02b2c3d479 follows.",
            Uuid,
            "f47ac10b-58cc-4372-a567-0e02b2c3d479",
        ),
        ("Build 9f86d081884c7d659a2feaa0c55ad015 is live", Id, "9f86d081884c7d659a2feaa0c55ad015"),
        ("Session: sess_8fJ2k4L9x0Qa", Id, "sess_8fJ2k4L9x0Qa"),
        ("This is request #4821 of the day.", Counter, "request #4821"),
        ("Message count: 17", Counter, "Message count: 17"),
        ("You are in turn number 12.", Counter, "turn number 12"),
    ] {
        let values = found(text);
        assert_eq!(values.first(), Some(&(kind, value.to_owned())), "{text:?}: {values:?}");
    }
}

#[test]
fn what_only_looks_like_it_is_not_named() {
    for text in [
        "Use version 1.2.3 of the API, or 10.20.2024-beta.",
        "In 2024 the company had 300 employees.",
        "Founded on July 4, 1776.",
        "Your knowledge cutoff date is 2024-06-01.",
        "Policy effective from 2025-01-01 until 2025-12-31.",
        "The product was released 13 May 2024.",
        "Write dates in the format 2024-01-31.",
        "Dates look like this (e.g. 2024-01-31).",
        "Support is open 24/7, Monday to Friday from 9:00 to 17:00.",
        "Meetings are every Monday at 10:00.",
        "Images are 16:9, the odds are 10:1, see Genesis 1:1.",
        "Connect to localhost:8080 or 192.168.10.20:5432.",
        "Call 1-800-555-0199 or +1 555 010 4567.",
        "The colour is #ff00aa, the mask 0xdeadbeef.",
        "Rule #1: answer in at most 5 messages, 3 requests per minute.",
        "Step 3 of 5: summarise the 10 messages.",
        "Use snake_case_names and read_file_with_numbers.",
        "Id of nothing: 00000000-0000-0000-0000-000000000000",
        "ISO 8601-1:2019 and RFC 3339 apply; ISBN 9783161484100.",
        "Pay $1500000000 to nobody, and divide by 1234567890.",
        "May the 4th be with you; march on, second sun.",
        "The words decade, facade and cafe are hex; deadbeefdeadbeef is a joke.",
        "Date: {{date}}",
        "",
        "日本語のプロンプトです。今日は良い日です。",
    ] {
        assert_eq!(found(text), [], "{text:?}");
    }
}

#[test]
fn a_finding_says_where_it_is_and_what_to_do() {
    let text = "You are kind.\n\nUnder all circumstances remember that today is 2026-11-28, and act \
                accordingly in everything that you say or do not say.";
    let blocks = [
        InstructionBlock::new("persona", "Be brief."),
        InstructionBlock::new("rules", text).with_volatility(Volatility::Slow),
    ];
    let [value] = &lint(&blocks)[..] else {
        panic!("{:?}", lint(&blocks));
    };
    assert_eq!((value.block.as_str(), value.line), ("rules", 3));
    assert!(value.excerpt.contains("today is 2026-11-28"), "{}", value.excerpt);
    assert!(value.excerpt.chars().count() <= 80);
    assert_eq!(
        value.to_string(),
        "rules, line 3: date `2026-11-28` breaks the prefix: declare the block volatile, or say it \
         in the user's message"
    );
    for kind in [VolatileKind::Time, VolatileKind::Uuid, VolatileKind::Id, VolatileKind::Counter] {
        assert!(!kind.advice().is_empty() && !kind.as_str().is_empty());
    }
}

#[test]
fn a_block_that_is_declared_volatile_is_not_named_and_stands_behind_the_others() {
    let date = InstructionBlock::volatile("date", "Today is 2026-11-28.");
    assert_eq!(lint(std::slice::from_ref(&date)), []);
    let (steady, tail) = compose(&[date, InstructionBlock::new("a", "Be kind.")]).split_volatile();
    assert_eq!((steady.text(), tail.text()), ("Be kind.", "Today is 2026-11-28."));
}

#[test]
fn the_findings_of_a_block_are_bounded() {
    let text = "Now: 2026-11-28T14:03:22Z\n".repeat(1_000);
    assert_eq!(found(&text).len(), VOLATILE_VALUES_MAX);
}

proptest! {
    #[test]
    fn any_text_is_read_and_every_value_stands_in_it(text in "(\\PC|[0-9:/.#_ -]){0,120}") {
        for (_, value) in found(&text) {
            prop_assert!(!value.is_empty() && text.contains(&value));
        }
    }

    #[test]
    fn any_day_of_today_is_found_in_any_usual_form(year in 2000..2100_u32, month in 1..=12_usize, day in 1..=28_u32) {
        const MONTHS: [&str; 12] = ["January", "February", "March", "April", "May", "June", "July",
            "August", "September", "October", "November", "December"];
        let name = MONTHS[month - 1];
        for date in [
            format!("{year}-{month:02}-{day:02}"),
            format!("{day}.{month}.{year}"),
            format!("{month}/{day}/{year}"),
            format!("{day} {name} {year}"),
            format!("{name} {day}, {year}"),
            format!("{} {day} {year}", name.get(..3).unwrap_or(name)),
        ] {
            let text = format!("Remember: today is {date}. Be kind.");
            prop_assert_eq!(found(&text), [(VolatileKind::Date, date)]);
        }
    }
}
