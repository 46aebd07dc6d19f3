//! The sum of a million usage rows is exact, whatever is in them.

use std::sync::Mutex;

use chat_types::{
    AttemptKey, ConversationId, Money, MoneyOverflow, Purpose, StepKey, Timestamp, Tokens, Usage,
    UsageSource,
};
use chat_usage::{MemoryUsageStore, UsageRow, UsageStore};
use fastrand::Rng;

use super::{amount, count, fuzz};
use crate::bank::{nano, scope};

const ROWS: usize = 10_000;
/// The test goes on until it has summed up so many, if it has the time of `CHAT_TEST_FULL`.
const ROWS_ALL: usize = 1_000_000;

fn row(number: u32, amount: i64, tokens: u64) -> UsageRow {
    UsageRow {
        key: AttemptKey { step: StepKey { turn: "t".parse().unwrap(), step: 1 }, attempt: number },
        conversation: ConversationId::new("c").unwrap(),
        purpose: Purpose::Reply,
        model: "a/x".parse().unwrap(),
        usage: Usage { output: Tokens::new(tokens), ..Usage::default() },
        source: UsageSource::Provider,
        amount: nano(amount),
        price_version: "b".to_owned(),
        provider_request_id: None,
        at: Timestamp::from_unix_ms(0),
    }
}

/// Rows of calls, each odd, so that a double loses count; or rows of anything, whose sum may not fit.
fn rows(rng: &mut Rng) -> Vec<(i64, u64)> {
    let is_wild = rng.u32(..8) == 0;
    let one = |rng: &mut Rng| {
        if is_wild {
            return (amount(rng), count(rng));
        }
        // A million of these are within the largest amount.
        (rng.i64(0..4_000_000_000_000) * 2 + 1, rng.u64(..1_000_000))
    };
    (0..ROWS).map(|_| one(rng)).collect()
}

#[test]
fn m8_fuzz_a_million_rows_sum_exactly() {
    let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// All rows so far that one amount can hold.
    #[derive(Default)]
    struct So {
        rows: usize,
        money: Money,
        wide: i128,
    }
    let so_far = Mutex::new(So::default());
    fuzz(rows, |rows| {
        let store = MemoryUsageStore::new();
        let written: Vec<UsageRow> = (1..)
            .zip(rows)
            .map(|(number, (amount, tokens))| row(number, *amount, *tokens))
            .collect();
        let read = threads.block_on(async {
            store.record(&scope(), &written).await.unwrap();
            // Written twice is written once.
            store.record(&scope(), &written[..100]).await.unwrap();
            let mut read = Vec::with_capacity(ROWS);
            loop {
                let page =
                    store.scan_rows(u64::try_from(read.len()).unwrap(), 1_000).await.unwrap();
                if page.is_empty() {
                    return read;
                }
                read.extend(page.into_iter().map(|(_, row)| (row.amount, row.usage)));
            }
        });
        assert_eq!(read.len(), ROWS);
        let amounts = || rows.iter().map(|(amount, _)| *amount);
        let mut partial = 0_i128;
        let fits = amounts().all(|amount| {
            partial += i128::from(amount);
            i64::try_from(partial).is_ok()
        });
        let sum = Money::sum(read.iter().map(|(amount, _)| *amount));
        let expected: i128 = amounts().map(i128::from).sum();
        if !fits {
            assert_eq!(sum, Err(MoneyOverflow));
            return;
        }
        let sum = sum.unwrap();
        assert_eq!(i128::from(sum.nano_usd()), expected);
        let mut so_far = so_far.lock().unwrap();
        let wide = so_far.wide + expected;
        match so_far.money.plus(sum) {
            Ok(money) => {
                assert_eq!(i128::from(money.nano_usd()), wide);
                *so_far = So { rows: so_far.rows + ROWS, money, wide };
            }
            Err(MoneyOverflow) => {
                assert!(i64::try_from(wide).is_err(), "{wide} fits");
                *so_far = So { rows: so_far.rows, ..So::default() };
            }
        }
    });
    let rows = so_far.lock().unwrap().rows;
    println!("{rows} rows summed up");
    assert!(rows >= ROWS_ALL || !chat_tests::scene::is_full(), "only {rows}");
}
