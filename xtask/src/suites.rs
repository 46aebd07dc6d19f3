//! The suites of `cargo xtask test`: one table.
//!
//! A suite is a list of packages, or of single test files of a package. Every test of the workspace is in
//! exactly one suite: what no other row names is in `unit`. A new backend adds one row.

use std::path::Path;

use crate::services::Service;

/// A part of the workspace's tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All tests of a package.
    Package(&'static str),
    /// The tests of `tests/FILE.rs` of a package.
    File(&'static str, &'static str),
}

/// What must be set up before a suite runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// The embedded chat model's file.
    Weights,
    /// The embedded embedding model's files.
    EmbeddingWeights,
    /// The `chat` and `fake-provider` programs.
    Programs,
    /// A running server, by its address.
    Server(Service),
    /// The servers' programs, for tests that start and kill servers of their own.
    ServerPrograms,
    /// LibreChat's published models.
    LibreChatModels,
}

const POSTGRES: Need = Need::Server(Service::Postgres);
const PGVECTOR: Need = Need::Server(Service::Pgvector);
const MONGO: Need = Need::Server(Service::Mongo);
const MONGO_STANDALONE: Need = Need::Server(Service::MongoStandalone);

/// What a suite runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runs {
    /// Everything no other suite names.
    Rest,
    /// These parts.
    Parts(&'static [Part]),
    /// The examples in the documentation.
    Documentation,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) runs: Runs,
    pub(crate) needs: &'static [Need],
}

/// All suites, in the order they run.
pub(crate) const SUITES: &[Suite] = &[
    Suite {
        name: "architecture",
        runs: Runs::Parts(&[Part::File("chat-tests", "architecture")]),
        needs: &[],
    },
    Suite { name: "unit", runs: Runs::Rest, needs: &[Need::Programs] },
    Suite {
        name: "sqlite",
        runs: Runs::Parts(&[
            Part::Package("chat-persist-sqlite"),
            Part::File("chat-tests", "turns_on_sqlite"),
        ]),
        needs: &[],
    },
    Suite {
        name: "postgres",
        runs: Runs::Parts(&[Part::Package("chat-persist-postgres")]),
        needs: &[POSTGRES],
    },
    Suite {
        name: "mongo",
        runs: Runs::Parts(&[Part::Package("chat-persist-mongo")]),
        needs: &[MONGO, MONGO_STANDALONE, Need::LibreChatModels],
    },
    Suite {
        name: "librechat",
        runs: Runs::Parts(&[Part::File("chat-tests", "librechat")]),
        needs: &[POSTGRES, MONGO, Need::LibreChatModels, Need::Programs],
    },
    Suite {
        name: "crash",
        runs: Runs::Parts(&[Part::File("chat-tests", "crash")]),
        needs: &[Need::Programs, POSTGRES, MONGO],
    },
    Suite {
        name: "money",
        runs: Runs::Parts(&[
            Part::File("chat-tests", "money"),
            Part::File("chat-provider", "unmetered"),
        ]),
        needs: &[Need::Programs, POSTGRES, MONGO],
    },
    Suite {
        name: "failover",
        runs: Runs::Parts(&[Part::File("chat-tests", "failover")]),
        needs: &[Need::Programs, Need::ServerPrograms],
    },
    Suite {
        name: "billing",
        runs: Runs::Parts(&[
            Part::Package("chat-balance-http"),
            Part::Package("chat-webhook"),
            Part::File("chat-tests", "external_billing"),
        ]),
        needs: &[Need::Programs],
    },
    Suite {
        name: "e2e",
        runs: Runs::Parts(&[Part::File("chat-tests", "e2e")]),
        needs: &[Need::Weights, Need::Programs],
    },
    Suite {
        name: "local",
        runs: Runs::Parts(&[Part::Package("chat-provider-local")]),
        needs: &[Need::Weights, Need::EmbeddingWeights],
    },
    Suite {
        name: "context",
        runs: Runs::Parts(&[
            Part::Package("chat-context"),
            Part::Package("chat-instructions"),
            Part::Package("chat-truncation"),
            Part::Package("chat-summarizer"),
            Part::Package("chat-tokens"),
            Part::Package("chat-attachments"),
            Part::File("chat-tests", "context"),
        ]),
        needs: &[Need::Weights, Need::Programs],
    },
    Suite {
        name: "rag",
        runs: Runs::Parts(&[
            Part::Package("chat-rag"),
            Part::Package("chat-rag-local"),
            Part::Package("chat-rag-http"),
            Part::File("chat-tests", "rag"),
            Part::File("chat-tests", "pgvector"),
        ]),
        needs: &[Need::EmbeddingWeights, PGVECTOR],
    },
    Suite { name: "doc", runs: Runs::Documentation, needs: &[] },
];

/// The suite with this name.
pub(crate) fn find(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}

impl Part {
    pub(crate) fn package(self) -> &'static str {
        match self {
            Self::Package(package) | Self::File(package, _) => package,
        }
    }

    /// The test file, if it is one.
    pub(crate) fn file(self) -> Option<&'static str> {
        match self {
            Self::Package(_) => None,
            Self::File(_, file) => Some(file),
        }
    }

    /// Whether the part exists: nextest refuses filters that name what is not there.
    pub(crate) fn exists(self, root: &Path) -> bool {
        let folder = match self.package() {
            "chat-tests" => root.join("tests"),
            package => root.join("crates").join(package),
        };
        match self {
            Self::Package(_) => folder.join("Cargo.toml").is_file(),
            Self::File(_, file) => {
                let folder = folder.join("tests");
                folder.join(format!("{file}.rs")).is_file()
                    || folder.join(file).join("main.rs").is_file()
            }
        }
    }

    fn filter(self) -> String {
        match self {
            Self::Package(package) => format!("package(={package})"),
            Self::File(package, file) => format!("binary_id(={package}::{file})"),
        }
    }
}

impl Suite {
    /// The nextest filter of the suite, given which parts exist. `None` if there is nothing to run.
    pub(crate) fn filter(&self, exists: impl Fn(Part) -> bool) -> Option<String> {
        let join = |parts: &[Part]| {
            let filters: Vec<_> =
                parts.iter().filter(|part| exists(**part)).map(|part| part.filter()).collect();
            filters.join(" | ")
        };
        match self.runs {
            Runs::Parts(parts) => Some(join(parts)).filter(|filter| !filter.is_empty()),
            Runs::Rest => {
                let named: Vec<Part> =
                    SUITES.iter().flat_map(|suite| suite.parts()).copied().collect();
                let named = join(&named);
                Some(if named.is_empty() { "all()".to_owned() } else { format!("not ({named})") })
            }
            Runs::Documentation => None,
        }
    }

    pub(crate) fn parts(&self) -> &'static [Part] {
        match self.runs {
            Runs::Parts(parts) => parts,
            Runs::Rest | Runs::Documentation => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_is_in_two_suites() {
        let parts: Vec<Part> = SUITES.iter().flat_map(|suite| suite.parts()).copied().collect();
        for (index, part) in parts.iter().enumerate() {
            assert!(!parts[..index].contains(part), "{part:?} is named twice");
        }
    }

    #[test]
    fn the_rest_is_what_no_other_suite_names() {
        let unit = find("unit").unwrap();
        let only_two =
            |part: Part| matches!(part.package(), "chat-persist-sqlite" | "chat-provider-local");
        let filter = unit.filter(only_two).unwrap();
        assert_eq!(filter, "not (package(=chat-persist-sqlite) | package(=chat-provider-local))");
        assert_eq!(unit.filter(|_| false).unwrap(), "all()");
    }

    #[test]
    fn a_suite_of_missing_parts_has_no_filter() {
        let crash = find("crash").unwrap();
        assert_eq!(crash.filter(|_| false), None);
        assert_eq!(crash.filter(|_| true).unwrap(), "binary_id(=chat-tests::crash)");
    }
}
