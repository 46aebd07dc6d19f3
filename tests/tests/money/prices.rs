//! M8: money is integers, prices are not negative, and arithmetic is checked.

use chat_balance::{BalanceAdapter, LedgerAudit, LedgerMaintenance, MemoryLedger};
use chat_runtime::usage::{PriceBook, bound, cap_for, cost};
use chat_runtime::{Runtime, RuntimeConfig};
use chat_types::{Money, MoneyOverflow, Tokens, Usage};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::bank::{NOW, hold_request, key, nano, scope, settlement};
use crate::counted;

/// One price of a book, and what must be wrong with it.
const REFUSED: &[(&str, &str)] = &[
    ("input = \"-1\"\noutput = \"1\"", "input"),
    ("input = \"-0.000001\"\noutput = \"1\"", "input"),
    ("input = \"1\"\noutput = \"-1\"", "output"),
    ("input = \"1\"\noutput = \"1\"\ncache_read = \"-0.1\"", "cache_read"),
    ("input = \"1\"\noutput = \"1\"\ncache_write = \"-0.1\"", "cache_write"),
    ("input = \"1\"\noutput = \"1\"\nreasoning = \"-3\"", "reasoning"),
    ("input = \"1\"\noutput = \"1\"\nfee = \"-0.01\"", "fee"),
    (
        "input = \"1\"\noutput = \"1\"\n[price.long]\nabove = 9\ninput = \"-1\"\noutput = \"1\"",
        "long",
    ),
    ("input = \"nan\"\noutput = \"1\"", "input"),
    ("input = \"NaN\"\noutput = \"1\"", "input"),
    ("input = \"inf\"\noutput = \"1\"", "input"),
    ("input = \"1e3\"\noutput = \"1\"", "input"),
    ("input = nan\noutput = \"1\"", "input"),
    ("input = 1.5\noutput = \"1\"", "input"),
    ("input = \"\"\noutput = \"1\"", "input"),
    ("output = \"1\"", "input"),
    ("input = \"1\"", "output"),
];

#[test]
fn m8_a_negative_missing_or_senseless_price_refuses_the_load() {
    let folder = tempfile::tempdir().unwrap();
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let open = |price: &str| {
        let book =
            format!("book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 2020-01-01\n{price}\n");
        let file = folder.path().join("prices.toml");
        std::fs::write(&file, book).unwrap();
        let config = format!(
            "store = \"memory:\"\nprices = {:?}\n\n[providers.openai]\nkind = \"openai\"\n\
             base_url = \"http://127.0.0.1:9/v1\"\n",
            file.display().to_string()
        );
        let config = RuntimeConfig::from_toml(&config).unwrap();
        threads.block_on(async {
            let runtime = Runtime::open(config).await?;
            runtime.close().await;
            Ok::<(), chat_runtime::RuntimeError>(())
        })
    };
    open("input = \"1\"\noutput = \"0\"").unwrap();
    for (price, named) in REFUSED {
        let refused = open(price).unwrap_err();
        let mut told = refused.to_string();
        let mut source = std::error::Error::source(&refused);
        while let Some(error) = source {
            told = format!("{told}: {error}");
            source = error.source();
        }
        assert!(told.contains(named), "{price}: {told}");
    }
}

/// As wide as it gets.
fn any_tokens() -> impl Strategy<Value = u64> {
    prop_oneof![0..5_000_u64, any::<u64>(), Just(u64::MAX), Just(0)]
}

/// What arithmetic without any bound says.
fn wide_cost(prices: [u64; 5], fee: u64, tokens: [u64; 5]) -> Option<i64> {
    // Five products of two u64 can exceed a u128 together, so they are summed in two halves.
    let (mut high, mut low) = (0_u128, 0_u128);
    for (price, tokens) in prices.into_iter().zip(tokens) {
        let product = u128::from(price) * u128::from(tokens);
        high += product >> 64;
        low += product & u128::from(u64::MAX);
    }
    high += low >> 64;
    if high > u128::from(u64::MAX) {
        return None;
    }
    let pico = (high << 64) | (low & u128::from(u64::MAX));
    i64::try_from(pico.div_ceil(1_000) + u128::from(fee)).ok()
}

#[test]
fn m8_arithmetic_is_exact_or_refused_and_never_wraps() {
    let cases = u32::try_from(counted(2_000, 100_000)).unwrap();
    let mut runner =
        TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(cases) });
    // Micro-USD per million tokens are pico-USD per token; a million dollars is the most.
    let price = || prop_oneof![0..1_000_000_000_000_u64, Just(1_000_000_000_000), Just(0), Just(1)];
    let prices = [price(), price(), price(), price(), price()];
    let tokens = [any_tokens(), any_tokens(), any_tokens(), any_tokens(), any_tokens()];
    let call = (prices, 0..1_000_000_000_u64, tokens, any::<i64>(), any::<i64>());
    let done = runner.run(&call, |(prices, fee, tokens, one, other)| {
        let usd = |pico: u64| format!("{}.{:06}", pico / 1_000_000, pico % 1_000_000);
        let [input, read, write, output, reasoning] = prices.map(usd);
        let book = format!(
            "book = \"b\"\n[[price]]\nmodel = \"a/x\"\nvalid_from = 1970-01-01\ninput = \"{input}\"\n\
             cache_read = \"{read}\"\ncache_write = \"{write}\"\noutput = \"{output}\"\n\
             reasoning = \"{reasoning}\"\nfee = \"0.{fee:09}\"\n"
        );
        let book = PriceBook::from_toml(&book).unwrap();
        let entry = book.lookup(&"a/x".parse().unwrap(), NOW).unwrap();
        let usage = Usage {
            input_uncached: Tokens::new(tokens[0]),
            cache_read: Tokens::new(tokens[1]),
            cache_write: Tokens::new(tokens[2]),
            output: Tokens::new(tokens[3]),
            reasoning: Tokens::new(tokens[4]),
        };
        let expected = wide_cost(prices, fee, tokens).map(nano).ok_or(MoneyOverflow);
        prop_assert_eq!(cost(entry, &usage), expected);

        let dearest_in = prices[0].max(prices[1]).max(prices[2]);
        let dearest_out = prices[3].max(prices[4]);
        let spread = [tokens[0], 0, 0, tokens[3], 0];
        let expected = wide_cost([dearest_in, 0, 0, dearest_out, 0], fee, spread);
        let held = bound(entry, Tokens::new(tokens[0]), Tokens::new(tokens[3]));
        prop_assert_eq!(held, expected.map(nano).ok_or(MoneyOverflow));
        let cap = cap_for(entry, Tokens::new(tokens[0]), nano(one));
        let covered = bound(entry, Tokens::new(tokens[0]), cap);
        prop_assert!(cap == Tokens::ZERO || covered.is_ok_and(|covered| covered <= nano(one)));

        let sum = i64::try_from(i128::from(one) + i128::from(other));
        prop_assert_eq!(nano(one).plus(nano(other)), sum.map(nano).map_err(|_| MoneyOverflow));
        let difference = i64::try_from(i128::from(one) - i128::from(other));
        let difference = difference.map(nano).map_err(|_| MoneyOverflow);
        prop_assert_eq!(nano(one).minus(nano(other)), difference);
        Ok(())
    });
    done.unwrap();
}

/// A float would have lost count long before: each amount is odd, the sum is large.
#[test]
fn m8_a_million_postings_sum_exactly() {
    let postings = i64::try_from(counted(20_000, 1_000_000)).unwrap();
    let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
    threads.block_on(async {
        let ledger = MemoryLedger::new();
        // The largest amount that has no exact double.
        let large = (1_i64 << 53) + 1;
        let unlimited = chat_balance::AccountKind::Unlimited;
        let spec = chat_balance::AccountSpec {
            opening: nano(large),
            ..chat_balance::AccountSpec::new(crate::bank::id("ada"), unlimited)
        };
        ledger.open_account(&scope(), &spec, NOW).await.unwrap();
        let mut sum = 0_i64;
        for number in 0..postings {
            let turn = format!("t-{number}");
            let amount = (number % 1_000) * 2 + 1;
            sum += amount;
            ledger.hold(&scope(), &hold_request(&turn, &[("ada", 2_000)])).await.unwrap();
            ledger.settle(&scope(), &settlement(&turn, &[amount])).await.unwrap();
        }
        let account = ledger.account(&scope(), &crate::bank::id("ada")).await.unwrap().unwrap();
        assert_eq!((account.posted, account.held), (nano(sum), Money::ZERO));
        assert_eq!(account.available(), Ok(nano(large - sum)));
        let rows = u32::try_from(postings + 1).unwrap();
        let mut audit = LedgerAudit::new();
        for (tenant, account) in ledger.scan_accounts(None, rows).await.unwrap() {
            audit.account(&tenant, &account);
        }
        ledger.scan_holds(None, rows).await.unwrap().iter().for_each(|hold| audit.hold(hold));
        ledger.scan_entries(0, rows).await.unwrap().iter().for_each(|entry| audit.entry(entry));
        let report = audit.finish();
        assert!(report.is_sound(), "{:#?}", report.breaks);
        assert_eq!(report.entries, u64::from(rows));
        assert!(ledger.hold_of(&scope(), &key("t-0")).await.unwrap().is_some());
    });
}
