//! `bench`: builds the benches with optimisation and runs them.
//!
//! The benches themselves, their targets and their tables are in the package `chat-bench`. The benches `store`
//! and `money` measure every engine, so its servers are started first.

use std::process::Command;

use crate::services::{Service, Services};
use crate::shell;

/// What measures every engine.
const ON_ENGINES: [&str; 2] = ["store", "money"];

/// Runs the command; the arguments go to `chat-bench` as they are.
///
/// # Errors
/// The benches do not build, a server cannot be had, or one fails.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    for package in ["chat-tests", "chat-bench"] {
        let build = ["build", "--release", "--package", package, "--bins"];
        shell::run_aside(&mut shell::cargo(build))?;
    }
    let mut servers = Services::default();
    let mut variables = Vec::new();
    if arguments.is_empty()
        || arguments.iter().any(|argument| ON_ENGINES.contains(&argument.as_str()))
    {
        for service in [Service::Postgres, Service::Mongo] {
            variables.push(servers.need(service)?);
        }
    }
    let program = format!("chat-bench{}", std::env::consts::EXE_SUFFIX);
    let program = shell::target_folder().join("release").join(program);
    let mut bench = Command::new(program);
    shell::run(bench.args(arguments).envs(variables).current_dir(shell::root()))
}
