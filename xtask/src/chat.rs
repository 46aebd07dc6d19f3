//! `chat`: sets up everything and runs the main job.
//!
//! `cargo xtask chat "question"` is `chat send "question"`; without arguments it is the REPL; when one of
//! the arguments is one of the program's own commands, all are passed on as they are.

use std::process::Command;

use anyhow::Context;

use crate::{shell, weights};

/// The program's own commands, as `chat --help` lists them.
const COMMANDS: [&str; 20] = [
    "send",
    "list",
    "show",
    "tree",
    "resume",
    "explain",
    "balance",
    "usage",
    "audit",
    "models",
    "prices",
    "fork",
    "stop",
    "recover",
    "doctor",
    "completions",
    "config",
    "help",
    "--help",
    "--version",
];

/// Runs the command.
///
/// # Errors
/// The weights cannot be had, the program does not build, or it fails.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let has_key = std::env::var_os("OPENAI_API_KEY").is_some_and(|key| !key.is_empty());
    if !has_key {
        weights::ensure(weights::CHAT)?;
    }
    shell::run_aside(&mut shell::cargo(["build", "--package", "chat-cli", "--bin", "chat"]))?;
    let program =
        shell::target_folder().join("debug").join(format!("chat{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(program);
    command.args(program_arguments(arguments));
    shell::announce(&command);
    replace_with(command)
}

fn program_arguments(arguments: &[String]) -> Vec<String> {
    let names_a_command = arguments.iter().any(|one| COMMANDS.contains(&one.as_str()));
    if arguments.is_empty() || names_a_command {
        arguments.to_vec()
    } else {
        [&["send".to_owned()], arguments].concat()
    }
}

/// Becomes the program, so that signals and the exit code are its own.
#[cfg(unix)]
fn replace_with(mut command: Command) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(command.exec()).context("the chat program cannot be started")
}

#[cfg(not(unix))]
fn replace_with(mut command: Command) -> anyhow::Result<()> {
    let status = command.status().context("the chat program cannot be started")?;
    std::process::exit(status.code().unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_sent_and_a_command_is_passed_on() {
        for (given, passed) in [
            (vec![], vec![]),
            (vec!["What is it?"], vec!["send", "What is it?"]),
            (vec!["--json", "Hi"], vec!["send", "--json", "Hi"]),
            (vec!["list"], vec!["list"]),
            (vec!["--user", "ada", "list"], vec!["--user", "ada", "list"]),
            (vec!["send", "--json", "list"], vec!["send", "--json", "list"]),
        ] {
            let given: Vec<String> = given.into_iter().map(str::to_owned).collect();
            assert_eq!(program_arguments(&given), passed);
        }
    }
}
