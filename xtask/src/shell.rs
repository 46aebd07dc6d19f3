//! Runs programs: prints each command first, sends its stdout where it is asked to.
//!
//! Not here: which programs (each command's own file).

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, bail};

/// The repository's root folder.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target_folder() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// The cargo that runs us, in the root folder. What cargo told us about ourselves is not passed on: build
/// scripts that read it would run again each time, and with them everything above.
pub(crate) fn cargo<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(arguments).current_dir(root());
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_about_us(name)) {
        command.env_remove(name);
    }
    command
}

/// The one selection of lints, tests, documentation and the programs that tests start: with a single set of
/// features nothing is built twice.
pub(crate) const EVERYTHING: [&str; 2] = ["--workspace", "--all-features"];

/// Builds programs of the workspace as its tests are built.
pub(crate) fn build_programs(names: &[&str]) -> Command {
    let mut build = cargo(["build"]);
    build.args(EVERYTHING).args(names.iter().flat_map(|name| ["--bin", name]));
    build
}

fn is_about_us(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
}

/// Prints the command as it could be typed.
pub(crate) fn announce(command: &Command) {
    let mut line = String::from("$");
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            line.push_str(&format!(" {}={}", name.display(), quoted(value)));
        }
    }
    let program = Path::new(command.get_program());
    let program = program.file_stem().unwrap_or(command.get_program());
    line.push_str(&format!(" {}", program.display()));
    for argument in command.get_args() {
        line.push_str(&format!(" {}", quoted(argument)));
    }
    eprintln!("{line}");
}

/// Runs it with our streams.
///
/// # Errors
/// It cannot be started, or ends with another status than 0.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    announce(command);
    let status = command.status().with_context(|| cannot_start(command))?;
    check(status, command)
}

/// Runs it with its stdout on our stderr: our stdout is for the answer.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_aside(command: &mut Command) -> anyhow::Result<()> {
    run(command.stdout(Stdio::from(std::io::stderr())))
}

/// Runs it silently and says whether it succeeded. Not starting is not succeeding.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs it and returns its stdout.
///
/// # Errors
/// As [`run`].
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    announce(command);
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| cannot_start(command))?;
    check(output.status, command)?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The stream [`watch`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    Stdout,
    Stderr,
}

/// Runs it and hands each line of one stream to `see` while showing it on stderr.
///
/// # Errors
/// It cannot be started. A bad status is for the caller to judge.
pub(crate) fn watch(
    command: &mut Command,
    watched: Watched,
    mut see: impl FnMut(&str),
) -> anyhow::Result<ExitStatus> {
    announce(command);
    match watched {
        Watched::Stdout => command.stdout(Stdio::piped()),
        Watched::Stderr => command.stdout(Stdio::from(std::io::stderr())).stderr(Stdio::piped()),
    };
    let mut child = command.spawn().with_context(|| cannot_start(command))?;
    match (child.stdout.take(), child.stderr.take()) {
        (Some(stream), _) => show_lines(BufReader::new(stream), &mut see)?,
        (None, Some(stream)) => show_lines(BufReader::new(stream), &mut see)?,
        (None, None) => {}
    }
    Ok(child.wait()?)
}

fn show_lines(mut stream: impl BufRead, see: &mut impl FnMut(&str)) -> anyhow::Result<()> {
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        eprint!("{text}");
        see(text.trim_end());
        line.clear();
    }
    Ok(())
}

fn check(status: ExitStatus, command: &Command) -> anyhow::Result<()> {
    if !status.success() {
        bail!("`{}` ended with {status}", command.get_program().display());
    }
    Ok(())
}

fn cannot_start(command: &Command) -> String {
    format!("`{}` cannot be started", command.get_program().display())
}

fn quoted(argument: &OsStr) -> String {
    let text = argument.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:@%+".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_is_not_told_about_ourselves() {
        for (name, is_ours) in
            [("CARGO_PKG_NAME", true), ("CARGO_MANIFEST_DIR", true), ("CARGO_TARGET_DIR", false)]
        {
            assert_eq!(is_about_us(OsStr::new(name)), is_ours, "{name}");
        }
    }

    #[test]
    fn arguments_are_printed_as_they_could_be_typed() {
        for (argument, printed) in [
            ("--package=chat-core", "--package=chat-core"),
            ("two words", "'two words'"),
            ("it's", r"'it'\''s'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(OsStr::new(argument)), printed);
        }
    }
}
