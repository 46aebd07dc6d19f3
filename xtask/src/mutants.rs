//! `mutants SUITE`: planted bugs that a test must catch.
//!
//! Each `tests/mutants/SUITE/*.patch` starts with comment lines; one of them names the command that must go
//! red: `# red: cargo nextest run -p chat-tests --test crash`. Only nextest commands: nextest tells a failed
//! test (100) from a mutant that does not build. A line `# needs: postgres, mongo` names the servers that are
//! started for it.
//! The bugs are planted in a second checkout of the last commit under `target/mutants`, which builds into
//! `target/mutants-target`; the working tree is never touched. The command must be green without the bug.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::services::{Service, Services, Variable};
use crate::shell;

/// What nextest ends with when tests failed.
const TESTS_FAILED: i32 = 100;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Mutant {
    path: PathBuf,
    command: String,
    needs: Vec<Service>,
}

/// Runs the command.
///
/// # Errors
/// No such suite, a patch that does not apply or build, a command that is red without the bug, or a
/// survivor.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [suite] = arguments else { bail!("mutants needs the name of one suite") };
    let folder = shell::root().join("tests/mutants").join(suite);
    let mutants = load(&folder)?;
    let checkout = Checkout::create()?;
    let mut servers = Services::default();
    let mut variables = Vec::new();
    for service in mutants.iter().flat_map(|mutant| &mutant.needs) {
        variables.push(servers.need(*service)?);
    }
    let mut green = Vec::new();
    for mutant in &mutants {
        if !green.contains(&mutant.command) {
            let code = checkout.run(&mutant.command, &variables)?;
            if code != Some(0) {
                bail!("`{}` is red without any planted bug", mutant.command);
            }
            green.push(mutant.command.clone());
        }
    }
    let mut survivors = 0;
    let mut verdicts = Vec::new();
    for mutant in &mutants {
        let name = mutant.path.file_stem().unwrap_or_default().display().to_string();
        checkout.reset()?;
        checkout
            .git([OsStr::new("apply"), mutant.path.as_os_str()])
            .with_context(|| format!("{name} does not apply"))?;
        match checkout.run(&mutant.command, &variables)? {
            Some(TESTS_FAILED) => verdicts.push(format!("killed    {name}")),
            Some(0) => {
                survivors += 1;
                verdicts.push(format!("SURVIVED  {name}"));
            }
            code => bail!("{name}: the command ended with {code:?}; does the mutant build?"),
        }
    }
    checkout.reset()?;
    println!();
    for verdict in &verdicts {
        println!("{verdict}");
    }
    println!("{} mutants, {survivors} survived", mutants.len());
    if survivors > 0 {
        bail!("{survivors} survived");
    }
    Ok(())
}

fn load(folder: &Path) -> anyhow::Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("no mutants in {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let text = fs::read_to_string(&path)?;
            let command = red_command(&text).with_context(|| path.display().to_string())?;
            let needs = needs(&text).with_context(|| path.display().to_string())?;
            mutants.push(Mutant { path, command, needs });
        }
    }
    if mutants.is_empty() {
        bail!("no mutants in {}", folder.display());
    }
    mutants.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(mutants)
}

/// The command in the header, before the first line of the patch proper.
fn red_command(patch: &str) -> anyhow::Result<String> {
    let command = header(patch).find_map(|line| line.strip_prefix("# red: ")).map(str::trim);
    let command = command.context("the header has no line `# red: cargo nextest run …`")?;
    if !command.starts_with("cargo nextest run ") {
        bail!("`{command}` is not a nextest run");
    }
    Ok(command.to_owned())
}

/// The servers in the header.
fn needs(patch: &str) -> anyhow::Result<Vec<Service>> {
    let lines = header(patch).filter_map(|line| line.strip_prefix("# needs: "));
    lines.flat_map(|names| names.split(',')).map(|name| Service::parse(name.trim())).collect()
}

fn header(patch: &str) -> impl Iterator<Item = &str> {
    patch.lines().take_while(|line| line.starts_with('#') || line.is_empty())
}

struct Checkout {
    folder: PathBuf,
    target: PathBuf,
}

impl Checkout {
    fn create() -> anyhow::Result<Self> {
        let root = shell::root();
        let target_folder = shell::target_folder();
        let checkout = Self {
            folder: target_folder.join("mutants"),
            target: target_folder.join("mutants-target"),
        };
        let status =
            shell::output(Command::new("git").args(["status", "--short"]).current_dir(&root))?;
        if !status.is_empty() {
            eprintln!("mutants: the last commit is tested, without your uncommitted changes");
        }
        if checkout.folder.join(".git").exists() {
            checkout.reset()?;
            let head =
                shell::output(Command::new("git").args(["rev-parse", "HEAD"]).current_dir(&root))?;
            checkout.git(["checkout", "--quiet", "--detach", head.trim()])?;
        } else {
            let mut prune = Command::new("git");
            shell::run_aside(prune.args(["worktree", "prune"]).current_dir(&root))?;
            let mut add = Command::new("git");
            add.args(["worktree", "add", "--quiet", "--detach"]).arg(&checkout.folder).arg("HEAD");
            shell::run_aside(add.current_dir(&root))?;
        }
        let (lock, copy) = (root.join("Cargo.lock"), checkout.folder.join("Cargo.lock"));
        if !copy.is_file() {
            fs::copy(lock, copy).context("cannot copy Cargo.lock")?;
        }
        Ok(checkout)
    }

    /// Takes the planted bug out again.
    fn reset(&self) -> anyhow::Result<()> {
        self.git(["checkout", "--quiet", "--", "."])?;
        self.git(["clean", "--quiet", "-d", "--force", "--exclude=Cargo.lock"])
    }

    fn git<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> anyhow::Result<()> {
        shell::run_aside(Command::new("git").args(arguments).current_dir(&self.folder))
    }

    fn run(&self, command: &str, variables: &[Variable]) -> anyhow::Result<Option<i32>> {
        let mut shell_command = Command::new("sh");
        shell_command.args(["-c", command]).current_dir(&self.folder);
        shell_command.env("CARGO_TARGET_DIR", &self.target);
        shell_command.envs(variables.iter().map(|(name, value)| (name, value)));
        let status = shell::watch(&mut shell_command, shell::Watched::Stderr, |_| {})?;
        Ok(status.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_names_the_command() {
        let patch = "# Settles without the key.\n# red: cargo nextest run -p x settle\n\n--- a/x\n+++ b/x\n";
        assert_eq!(red_command(patch).unwrap(), "cargo nextest run -p x settle");
        for wrong in
            ["--- a/x\n# red: cargo nextest run -p x\n", "# red: cargo test\n", "# nothing\n"]
        {
            assert!(red_command(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_header_names_the_servers() {
        let patch = "# needs: postgres, mongo-standalone\n# red: x\n\n--- a\n# needs: redis\n";
        assert_eq!(needs(patch).unwrap(), [Service::Postgres, Service::MongoStandalone]);
        assert_eq!(needs("# red: x\n").unwrap(), []);
        assert!(needs("# needs: redis\n").is_err());
    }
}
