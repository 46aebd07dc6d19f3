//! `bench`: builds the benches with optimisation and runs them.
//!
//! The benches themselves, their targets and their tables are in the package `chat-bench`. What one needs is
//! there before it starts: the programs that it starts itself, the servers of the benches `store` and `money`,
//! which measure every engine, and the weights of those that run an embedded model.

use std::process::Command;

use crate::services::{Service, Services};
use crate::{shell, weights};

/// The packages and their programs: the benches, the fake provider, and what reads files. No other program of
/// those packages: to link one with optimisation takes minutes.
const PROGRAMS: [(&str, &str); 3] = [
    ("chat-bench", "chat-bench"),
    ("chat-tests", "fake-provider"),
    ("chat-attachments", "chat-extract"),
];

/// What measures every engine.
const ON_ENGINES: [&str; 2] = ["store", "money"];

/// What runs an embedded model, and which.
const ON_MODELS: [(&str, &weights::Model); 2] =
    [("local", weights::CHAT), ("context", weights::EMBEDDING)];

/// Runs the command; the arguments go to `chat-bench` as they are.
///
/// # Errors
/// The benches do not build, a server or a model cannot be had, or one fails.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let mut build = shell::cargo(["build", "--release"]);
    for (package, program) in PROGRAMS {
        build.args(["--package", package, "--bin", program]);
    }
    shell::run_aside(&mut build)?;
    let is_asked = |name: &str| {
        arguments.is_empty() || arguments.iter().any(|argument| argument.as_str() == name)
    };
    for (_, model) in ON_MODELS.iter().filter(|(name, _)| is_asked(name)) {
        weights::ensure(model)?;
    }
    let mut servers = Services::default();
    let mut variables = Vec::new();
    if ON_ENGINES.into_iter().any(is_asked) {
        for service in [Service::Postgres, Service::Mongo] {
            variables.push(servers.need(service)?);
        }
    }
    let program = format!("chat-bench{}", std::env::consts::EXE_SUFFIX);
    let program = shell::target_folder().join("release").join(program);
    let mut bench = Command::new(program);
    shell::run(bench.args(arguments).envs(variables).current_dir(shell::root()))
}
