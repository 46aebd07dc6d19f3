//! M8 for as long as there is time: whatever is read, counted or booked, nothing panics, wraps or is made up.
//!
//! Each test runs for two seconds; with `CHAT_TEST_FULL` all of them together for an hour. A case is its seed:
//! the one that fails is printed with its input, and `CHAT_TEST_SEED` starts with it.
//! Not here: the same promises for a counted number of cases (`prices`, `traces`).

mod books;
mod calls;
mod ledger;
mod rows;
mod texts;

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use fastrand::Rng;

/// Tests that share the hour.
const TESTS: u32 = 5;
const SHORT: Duration = Duration::from_secs(2);
const HOUR: Duration = Duration::from_secs(3_600);

/// Makes a case of each seed and checks it until the time is over; how many there were.
fn fuzz<T: Debug>(make: impl Fn(&mut Rng) -> T, check: impl Fn(&T)) -> u64 {
    let budget = if chat_tests::scene::is_full() { HOUR / TESTS } else { SHORT };
    let until = Instant::now() + budget;
    let mut seed = chat_tests::scene::seed();
    let mut cases = 0;
    loop {
        let case = make(&mut Rng::with_seed(seed));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(&case))) {
            println!("CHAT_TEST_SEED={seed} repeats this case:\n{case:#?}");
            resume_unwind(panic);
        }
        cases += 1;
        seed = seed.wrapping_add(1);
        if Instant::now() >= until {
            println!("{cases} cases, the next CHAT_TEST_SEED={seed}");
            return cases;
        }
    }
}

/// One of these.
fn pick<T: Clone>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())].clone()
}

/// Amounts at which something could wrap, and ordinary ones.
fn amount(rng: &mut Rng) -> i64 {
    const CORNERS: [i64; 11] = [
        i64::MIN,
        i64::MIN + 1,
        -1,
        0,
        1,
        999,
        i64::MAX / 2,
        i64::MAX / 2 + 1,
        i64::MAX - 1_000,
        i64::MAX - 1,
        i64::MAX,
    ];
    match rng.u32(..8) {
        0 => pick(rng, &CORNERS),
        1 => rng.i64(..) >> rng.u32(..64),
        _ => rng.i64(0..1_000_000),
    }
}

/// The same of counts.
fn count(rng: &mut Rng) -> u64 {
    const CORNERS: [u64; 8] =
        [0, 1, 999, 1_000, u64::MAX / 2, u64::MAX / 2 + 1, u64::MAX - 1, u64::MAX];
    match rng.u32(..8) {
        0 => pick(rng, &CORNERS),
        1 => rng.u64(..) >> rng.u32(..64),
        _ => rng.u64(..2_000_000),
    }
}
