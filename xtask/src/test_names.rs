//! The names of the tests a suite consists of, as a hash that two runs can compare.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest, Sha256};

/// Where the name of a contract's test starts: what stands before it is the engine's own.
const CONTRACTS: [&str; 4] = [
    "persistence_conformance::",
    "ledger_conformance::",
    "notices_conformance::",
    "usage_conformance::",
];
/// Bytes of a hash that are shown: enough to tell lists apart.
const SHOWN_BYTES: usize = 6;

/// The tests of a suite, ignored ones too, and those of them that every engine has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TestNames {
    all: BTreeSet<String>,
    contract: BTreeSet<String>,
}

impl TestNames {
    /// From the lines `BINARY NAME` of nextest's list.
    pub(crate) fn new(lines: impl IntoIterator<Item = String>) -> Self {
        let all: BTreeSet<String> = lines.into_iter().collect();
        let contract = all.iter().filter_map(|name| contract_name(name)).map(str::to_owned);
        Self { contract: contract.collect(), all }
    }

    /// The contract's part alone; `None` if the suite has none.
    pub(crate) fn contract(&self) -> Option<String> {
        (!self.contract.is_empty())
            .then(|| format!("contract of {} tests {}", self.contract.len(), hash(&self.contract)))
    }
}

impl fmt::Display for TestNames {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.all.is_empty() {
            return Ok(());
        }
        write!(formatter, "names {}", hash(&self.all))?;
        match self.contract() {
            Some(contract) => write!(formatter, ", {contract}"),
            None => Ok(()),
        }
    }
}

fn contract_name(name: &str) -> Option<&str> {
    CONTRACTS.iter().find_map(|start| name.find(start).and_then(|at| name.get(at..)))
}

fn hash(names: &BTreeSet<String>) -> String {
    let mut hasher = Sha256::new();
    for name in names {
        hasher.update(name);
        hasher.update("\n");
    }
    hasher.finalize().iter().take(SHOWN_BYTES).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(lines: &[&str]) -> TestNames {
        TestNames::new(lines.iter().map(|line| (*line).to_owned()))
    }

    #[test]
    fn engines_with_the_same_contract_have_the_same_hash_of_it() {
        let one = names(&[
            "a::conformance persistence_conformance::turns::one",
            "a::conformance ledger_conformance::holds::two",
            "a engine::three",
        ]);
        let other = names(&[
            "b::ledger on_a_set::ledger_conformance::holds::two",
            "b::store persistence_conformance::turns::one",
            "b::store standalone::persistence_conformance::turns::one",
        ]);
        assert_eq!(one.contract(), other.contract());
        assert!(one.contract().unwrap().starts_with("contract of 2 tests "));
        assert_ne!(one.to_string(), other.to_string());
        let less = names(&["a::conformance persistence_conformance::turns::one"]);
        assert_ne!(one.contract(), less.contract());
    }

    #[test]
    fn the_order_of_a_list_does_not_matter_and_nothing_is_said_of_nothing() {
        assert_eq!(names(&["a x", "a y"]), names(&["a y", "a x"]));
        assert_ne!(names(&["a x", "a y"]).to_string(), names(&["a xy"]).to_string());
        assert_eq!(names(&["a x"]).contract(), None);
        assert_eq!(names(&[]).to_string(), "");
    }
}
