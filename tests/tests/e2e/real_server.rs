//! A real server: llama.cpp's own, seen through a proxy that records every byte.

use std::process::Command;

use chat_balance::EntryKind;
use chat_tests::{ChatHome, Exchange, RecordingProxy, build_program};
use chat_types::{EventKind, Money, Tokens, TurnState, Usage, UsageSource};
use serde_json::Value;

use crate::books::Books;
use crate::peer::{Peer, peers, python, told, weights};
use crate::watched::{Watched, distinct};

/// Pico-USD per token, as in the book below.
const PRICE_INPUT: u64 = 3_500_001;
const PRICE_CACHED: u64 = 350_003;
const PRICE_OUTPUT: u64 = 14_000_007;

const BOOK: &str = r#"
book = "by-hand"

[[price]]
model = "openai/smollm2"
valid_from = 2020-01-01
input = "3.500001"
cache_read = "0.350003"
output = "14.000007"
"#;

/// What the server itself says a call consumed.
fn captured_usage(exchange: &Exchange) -> Value {
    let body = String::from_utf8(exchange.response_body().unwrap()).unwrap();
    let payloads = body
        .lines()
        .map(|line| line.strip_prefix("data: ").unwrap_or(line))
        .filter_map(|payload| serde_json::from_str::<Value>(payload).ok());
    let mut usages = payloads
        .filter_map(|payload| payload.get("usage").filter(|usage| usage.is_object()).cloned());
    let usage = usages.next_back();
    usage.unwrap_or_else(|| panic!("no usage in {body}"))
}

fn number(usage: &Value, pointer: &str) -> u64 {
    usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The usage row must say what the wire said, and the ledger what a pencil says.
fn assert_booked(exchange: &Exchange, books: &Books, number_of_call: usize) {
    let usage = captured_usage(exchange);
    let prompt = number(&usage, "/prompt_tokens");
    let cached = number(&usage, "/prompt_tokens_details/cached_tokens");
    let output = number(&usage, "/completion_tokens");
    assert!(prompt > 0 && output > 0, "{usage}");
    let row = &books.usage[number_of_call];
    assert_eq!(
        row.usage,
        Usage {
            input_uncached: Tokens::new(prompt - cached),
            cache_read: Tokens::new(cached),
            output: Tokens::new(output),
            ..Usage::default()
        },
        "{usage}"
    );
    assert_eq!(row.source, UsageSource::Provider);
    let pico = (prompt - cached) * PRICE_INPUT + cached * PRICE_CACHED + output * PRICE_OUTPUT;
    let by_hand = Money::from_nano_usd(i64::try_from(pico.div_ceil(1_000)).unwrap());
    assert_eq!(row.amount, by_hand);
    let posted: Vec<Money> = books
        .entries
        .iter()
        .filter(|entry| entry.kind == EntryKind::Usage)
        .filter(|entry| entry.reference.contains(row.key.step.turn.as_str()))
        .map(|entry| entry.amount)
        .collect();
    assert_eq!(posted, [by_hand]);
    println!("{usage}: {} nano-USD by hand and in the ledger", by_hand.nano_usd());
}

#[test]
fn a_real_server_streams_and_its_usage_is_booked() {
    let peer = Peer::start();
    let proxy = RecordingProxy::start(peer.address).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book.toml");
    std::fs::write(&book, BOOK).unwrap();
    let config = format!(
        "store = \"sqlite:unused.db\"\nmodel = \"openai/smollm2\"\nprices = {:?}\n",
        book.display().to_string()
    );
    let home = ChatHome::new(folder.path(), &config)
        .unwrap()
        .with_variable("OPENAI_BASE_URL", &proxy.base_url())
        .with_variable("OPENAI_API_KEY", "any");

    let ask = "Tell me three facts about the ocean.";
    let streamed = Watched::run(home.command(["send", "--json", "--max-tokens", "48", ask]));
    streamed.assert_ok();
    let times = streamed.delta_times();
    println!("{} deltas at {} times", times.len(), distinct(&times));
    assert!(distinct(&times) >= 5, "{times:?}");
    let whole = ["send", "--json", "--no-stream", "--max-tokens", "24", ask];
    let whole = Watched::run(home.command(whole));
    whole.assert_ok();

    let exchanges: Vec<Exchange> = proxy
        .exchanges()
        .into_iter()
        .filter(|exchange| exchange.request.starts_with(b"POST /v1/chat/completions "))
        .collect();
    assert_eq!(exchanges.len(), 2);
    let asked: Vec<Value> =
        exchanges.iter().map(|exchange| exchange.request_json().unwrap()).collect();
    assert_eq!(asked[0]["stream"], Value::Bool(true));
    assert_eq!(asked[0]["stream_options"]["include_usage"], Value::Bool(true));
    assert_eq!(asked[1]["stream"], Value::Bool(false), "{}", asked[1]);
    assert_eq!(asked[0]["max_tokens"], 48);
    let books = Books::read(&home.store());
    assert_eq!(books.usage.len(), 2);
    for (number, exchange) in exchanges.iter().enumerate() {
        assert_booked(exchange, &books, number);
    }
    // Both ways tell the same kinds of events.
    for watched in [&streamed, &whole] {
        let events = watched.events();
        let has =
            |is_it: fn(&EventKind) -> bool| events.iter().any(|(_, event)| is_it(&event.event));
        assert!(has(|event| matches!(event, EventKind::TextStart { .. })));
        assert!(has(|event| matches!(event, EventKind::TextDelta { .. })));
        assert!(has(|event| matches!(event, EventKind::Usage { .. })));
        let (_, last) = events.last().unwrap();
        let good = |outcome| matches!(outcome, TurnState::Completed | TurnState::Truncated);
        assert!(
            matches!(last.event, EventKind::Ended { outcome, .. } if good(outcome)),
            "{last:?}"
        );
    }
    let audit = home.run(["audit"]).unwrap();
    assert!(audit.status.success(), "{}", told(&audit));
}

#[test]
fn prompt_tokens_and_first_tokens_equal_those_of_llama_cpp() {
    let tokens = build_program("tokens", &["--example", "tokens"]).unwrap();
    let output = Command::new(python())
        .arg(peers().join("xllamacpp_parity.py"))
        .arg(weights())
        .arg(tokens)
        .output()
        .unwrap();
    println!("{}", told(&output));
    assert!(output.status.success(), "{}", told(&output));
}
