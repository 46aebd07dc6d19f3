//! Traces: the same made-up calls on a store and on the memory reference, every answer compared.
//!
//! A seed makes 10 to 200 calls over all ports: several users, branches, turns with steps and
//! attempts, takeovers, ends of every kind, holds and settlements, calls made again and calls that
//! must be refused. Each answer (the value, or the kind of the refusal) must be the reference's,
//! and so must all rows at the end. The traces of one run share a store, each in tenants of its
//! own.
//! Not here: calls at the same time (`persistence::concurrency`) and crashes.

mod carry;
mod dump;
mod generate;
mod journal;
mod money;
mod operation;
mod tree;
mod values;
mod world;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use chat_balance::MemoryLedger;
use chat_persist::MemoryStore;
use chat_usage::MemoryUsageStore;

use self::dump::{dump, tidy};
use self::generate::Trace;
use self::operation::Answer;
use crate::{LostAck, Ports};

/// How many traces a run without `CHAT_TEST_FULL` makes: a few seconds on every engine.
const TRACES_FEW: u64 = 40;

/// A fresh, empty backend for [`trace_suite!`](crate::trace_suite).
#[derive(Debug)]
pub struct TraceHarness {
    /// The backend. Dropped before the guard.
    pub ports: Ports,
    guard: Option<Box<dyn Any + Send>>,
}

impl TraceHarness {
    /// A backend that needs no guard.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        Self { ports, guard: None }
    }

    /// Keeps `guard` (a temporary folder, a server) until the run is over.
    #[must_use]
    pub fn guarded_by(mut self, guard: impl Any + Send) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

/// Which seeds are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    first: u64,
    count: u64,
}

impl Seeds {
    /// `full` traces if `CHAT_TEST_FULL` is set, else forty; the one that `CHAT_TEST_SEED` names if
    /// that is set.
    #[must_use]
    pub fn from_environment(full: u64) -> Self {
        let named = std::env::var("CHAT_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        if let Some(seed) = named {
            return Self { first: seed, count: 1 };
        }
        let is_full = std::env::var_os("CHAT_TEST_FULL").is_some();
        Self { first: 1, count: if is_full { full } else { full.min(TRACES_FEW) } }
    }

    /// `count` traces from `first` on.
    #[must_use]
    pub fn new(first: u64, count: u64) -> Self {
        Self { first, count }
    }
}

impl IntoIterator for Seeds {
    type Item = u64;
    type IntoIter = std::ops::Range<u64>;

    fn into_iter(self) -> Self::IntoIter {
        self.first..self.first.saturating_add(self.count)
    }
}

impl fmt::Display for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.first.saturating_add(self.count).saturating_sub(1);
        write!(f, "seeds {} to {last} (CHAT_TEST_SEED repeats one)", self.first)
    }
}

/// What a run of traces did.
#[derive(Clone, Copy, Debug)]
pub struct TraceReport {
    seeds: Seeds,
    calls: u64,
    refused: u64,
    rows: u64,
    lost: u64,
}

impl fmt::Display for TraceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} traces, {} calls ({} refused), {} answers lost, {} rows: all equal",
            self.seeds.count, self.calls, self.refused, self.lost, self.rows
        )
    }
}

/// What a store answered to one trace, and all rows it had in the end.
#[derive(Clone, Debug)]
pub struct Transcript {
    seed: u64,
    answers: Vec<(String, Answer)>,
    rows: Vec<String>,
    lost: u64,
}

/// A store that traces are run on, one after the other.
#[derive(Debug)]
pub struct TracedStore {
    ports: Ports,
    entries: u64,
}

impl TracedStore {
    /// A fresh, empty store.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        Self { ports, entries: 0 }
    }

    /// The memory references of all ports.
    #[must_use]
    pub fn memory() -> Self {
        Self::new(Ports {
            store: Arc::new(MemoryStore::new()),
            ledger: Arc::new(MemoryLedger::new()),
            usage: Arc::new(MemoryUsageStore::new()),
        })
    }

    /// Runs the trace of a seed. With `lost_every`, every so many writes' answers are thrown away
    /// and the calls made again; what is kept is what the second call was answered.
    pub async fn run(&mut self, seed: u64, lost_every: Option<u64>) -> Transcript {
        let trace = Trace::of_seed(seed);
        let losing = lost_every.map(|every| Arc::new(LostAck::every(every)));
        let ports = match &losing {
            Some(losing) => self.ports.clone().with_layer(losing.clone()),
            None => self.ports.clone(),
        };
        let mut answers = Vec::with_capacity(trace.operations.len());
        for operation in &trace.operations {
            let answer = operation.apply(&ports, |tenant| trace.tenants.contains(tenant)).await;
            answers.push((format!("{operation:?}"), answer));
        }
        let (mut rows, entries) = dump(&self.ports, &trace, self.entries).await;
        rows.extend(tidy(&self.ports, &trace).await);
        self.entries = entries;
        Transcript { seed, answers, rows, lost: losing.map_or(0, |losing| losing.lost()) }
    }
}

impl Transcript {
    /// The first answer, or else the first row, in which `other` is not like this one.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<String> {
        let answers = self.answers.iter().zip(&other.answers).enumerate();
        for (number, ((call, expected), (_, answered))) in answers {
            if expected != answered {
                return Some(format!(
                    "seed {}, call {number}: {call}\n  the reference: {expected}\n  this store:    {answered}",
                    self.seed
                ));
            }
        }
        self.first_other_row(other)
    }

    /// The first row at the end in which `other` is not like this one.
    #[must_use]
    pub fn first_other_row(&self, other: &Self) -> Option<String> {
        let count = self.rows.len().max(other.rows.len());
        let row = |rows: &[String], place: usize| rows.get(place).cloned().unwrap_or_default();
        (0..count).map(|place| (row(&self.rows, place), row(&other.rows, place))).find_map(
            |(expected, found)| {
                (expected != found).then(|| {
                    format!(
                        "seed {}, rows at the end:\n  the reference: {expected}\n  this store:    {found}",
                        self.seed
                    )
                })
            },
        )
    }

    fn add_to(&self, report: &mut TraceReport) {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let refused = self.answers.iter().filter(|(_, answer)| answer.is_refusal()).count();
        report.calls += count(self.answers.len());
        report.refused += count(refused);
        report.rows += count(self.rows.len());
        report.lost += self.lost;
    }
}

/// Every answer and every row of a store is that of the memory reference.
///
/// # Panics
/// At the first difference, naming the seed and the call.
pub async fn answers_and_rows_equal_memory(ports: Ports, seeds: Seeds) -> TraceReport {
    let (mut store, mut memory) = (TracedStore::new(ports), TracedStore::memory());
    let mut report = TraceReport { seeds, calls: 0, refused: 0, rows: 0, lost: 0 };
    for seed in seeds {
        let expected = memory.run(seed, None).await;
        let found = store.run(seed, None).await;
        if let Some(difference) = expected.first_difference(&found) {
            panic!("{difference}");
        }
        found.add_to(&mut report);
    }
    report
}

/// With every k-th write's answer lost and the call made again (k is 1 to 7, by the seed), the rows
/// are those of the reference without any loss, and the answers those of the reference with the
/// same losses.
///
/// # Panics
/// At the first difference, naming the seed and the call.
pub async fn lost_answers_change_nothing(ports: Ports, seeds: Seeds) -> TraceReport {
    let mut store = TracedStore::new(ports);
    let (mut lossless, mut lossy) = (TracedStore::memory(), TracedStore::memory());
    let mut report = TraceReport { seeds, calls: 0, refused: 0, rows: 0, lost: 0 };
    for seed in seeds {
        let every = seed.checked_rem(7).map(|rest| rest.saturating_add(1));
        let unharmed = lossless.run(seed, None).await;
        let expected = lossy.run(seed, every).await;
        let found = store.run(seed, every).await;
        let difference =
            unharmed.first_other_row(&expected).or_else(|| expected.first_difference(&found));
        if let Some(difference) = difference {
            panic!("every {every:?} answers lost, {difference}");
        }
        found.add_to(&mut report);
    }
    report
}

/// Emits the tests of a store's traces. The arguments are an expression whose value is a future of
/// a fresh [`TraceHarness`](crate::traces::TraceHarness), and how many traces a full run makes
/// (`CHAT_TEST_FULL=1`; forty otherwise). `CHAT_TEST_SEED=n` repeats one.
#[macro_export]
macro_rules! trace_suite {
    ($open:expr, full: $full:expr) => {
        mod traces {
            use super::*;
            $crate::trace_suite!(@case $open, $full, answers_and_rows_equal_memory);
            $crate::trace_suite!(@case $open, $full, lost_answers_change_nothing);
        }
    };
    (@case $open:expr, $full:expr, $case:ident) => {
        #[$crate::private::tokio::test(
            crate = "chat_testkit::private::tokio",
            flavor = "multi_thread",
            worker_threads = 2
        )]
        async fn $case() {
            let harness = $open.await;
            let seeds = $crate::traces::Seeds::from_environment($full);
            println!("{seeds}");
            println!("{}", $crate::traces::$case(harness.ports.clone(), seeds).await);
            drop(harness);
        }
    };
}
