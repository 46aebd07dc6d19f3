//! The project's automation: `cargo xtask COMMAND`.
//!
//! Each command calls cargo, git or python and prints what it runs. One file per command; the table below
//! is the whole interface.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks through its standard streams"
)]

mod bench;
mod chat;
mod ci;
mod librechat;
mod manifest;
mod mutants;
mod python;
mod server_programs;
mod services;
mod shell;
mod suites;
mod summary;
mod test;
mod test_names;
mod tidy;
mod weights;

use std::process::ExitCode;

use anyhow::bail;

const USAGE: &str = "\
cargo xtask COMMAND

  chat [QUESTION | ARGS…]   fetch the model, build, and answer; without arguments: the REPL
  test [SUITE…] [--full]    run the test suites (all of them by default); --full: the long counts
  services up|down|status   the databases of the suites, on private ports, for `cargo nextest` by hand
  mutants SUITE             apply the planted bugs of tests/mutants/SUITE; each must turn a test red
  bench [NAME] [ARGS…]      build with optimisation and measure
  ci [STEP…]                formatting, tidy, lints, features, licences, documentation, tests
  tidy                      the small rules of the repository
  weights [MODEL...]        fetch the embedded models (chat, embedding) into the user's cache folder
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Some((command, rest)) = arguments.split_first() else { bail!("no command\n\n{USAGE}") };
    match command.as_str() {
        "chat" => chat::run(rest),
        "test" => test::run(rest),
        "services" => services::run(rest),
        "mutants" => mutants::run(rest),
        "bench" => bench::run(rest),
        "ci" => ci::run(rest),
        "tidy" => tidy::run(),
        "weights" => weights::run(rest),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            Ok(())
        }
        _ => bail!("unknown command `{command}`\n\n{USAGE}"),
    }
}
