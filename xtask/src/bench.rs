//! `bench`: builds the benches with optimisation and runs them.
//!
//! The benches themselves, their targets and their tables are in the package `chat-bench`.

use std::process::Command;

use crate::shell;

/// Runs the command; the arguments go to `chat-bench` as they are.
///
/// # Errors
/// The benches do not build, or one fails.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    for package in ["chat-tests", "chat-bench"] {
        let build = ["build", "--release", "--package", package, "--bins"];
        shell::run_aside(&mut shell::cargo(build))?;
    }
    let program = format!("chat-bench{}", std::env::consts::EXE_SUFFIX);
    let program = shell::target_folder().join("release").join(program);
    shell::run(Command::new(program).args(arguments).current_dir(shell::root()))
}
