//! Reads the test runners' own summaries: numbers are counted by them, never guessed here.

use std::fmt;
use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Marked as ignored. A test that another suite runs is not skipped.
    pub(crate) skipped: u64,
}

impl Counts {
    pub(crate) fn run(self) -> u64 {
        self.passed + self.failed
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// The counts in nextest's summary line, if `line` is one:
/// `Summary [   0.1s] 3/4 tests run: 1 passed (1 slow), 1 failed, 1 timed out, 5 skipped`.
///
/// What nextest calls skipped includes the tests outside the filter, so it is left at 0 here.
pub(crate) fn of_nextest(line: &str) -> Option<Counts> {
    let (_, rest) = line.trim_start().strip_prefix("Summary [")?.split_once(']')?;
    let (_, results) = rest.split_once(" run:")?;
    let mut counts = Counts::default();
    for (number, word) in numbered_words(&without_parentheses(results)) {
        match word {
            "passed" => counts.passed += number,
            "failed" | "timed" | "exec" | "leaky-failed" => counts.failed += number,
            _ => {}
        }
    }
    Some(counts)
}

/// The counts in a `cargo test` result line, if `line` is one:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s`.
pub(crate) fn of_cargo_test(line: &str) -> Option<Counts> {
    let (_, results) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut counts = Counts::default();
    for (number, word) in numbered_words(results) {
        match word {
            "passed" => counts.passed += number,
            "failed" => counts.failed += number,
            "ignored" => counts.skipped += number,
            _ => {}
        }
    }
    Some(counts)
}

fn numbered_words(text: &str) -> impl Iterator<Item = (u64, &str)> {
    text.split([',', ';']).filter_map(|part| {
        let mut words = part.split_whitespace();
        let number = words.next()?.parse().ok()?;
        Some((number, words.next()?))
    })
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|character| {
            match character {
                '(' => depth += 1,
                ')' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_summaries_are_read() {
        for (line, passed, failed) in [
            ("     Summary [   0.145s] 21 tests run: 21 passed, 0 skipped", 21, 0),
            ("Summary [   0.1s] 1 test run: 1 passed, 40 skipped", 1, 0),
            (
                "Summary [  12.0s] 9 tests run: 6 passed (2 slow, 1 flaky), 2 failed, 1 timed out, 3 skipped",
                6,
                3,
            ),
            ("Summary [   3.0s] 2/7 tests run: 1 passed, 1 exec failed, 0 skipped", 1, 1),
            ("Summary [   0.0s] 0 tests run: 0 passed, 12 skipped", 0, 0),
        ] {
            assert_eq!(of_nextest(line), Some(Counts { passed, failed, skipped: 0 }), "{line}");
        }
        assert_eq!(of_nextest("PASS [   0.004s] ( 1/21) chat-tests a_summary_is_written"), None);
        assert_eq!(of_nextest("error: no tests to run"), None);
    }

    #[test]
    fn cargo_test_results_are_read() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.00s";
        assert_eq!(of_cargo_test(line), Some(Counts { passed: 3, failed: 2, skipped: 1 }));
        assert_eq!(of_cargo_test("test src/lib.rs - (line 3) ... ok"), None);
    }

    #[test]
    fn the_total_has_its_exact_form() {
        let mut total = Counts { passed: 2, failed: 0, skipped: 1 };
        total += Counts { passed: 3, failed: 1, skipped: 0 };
        assert_eq!(
            (total.run(), total.to_string()),
            (6, "5 passed, 1 failed, 1 skipped".to_owned())
        );
    }
}
