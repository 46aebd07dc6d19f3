//! Finds a Python that has pip: the machine's own, or a private environment under `target/tools`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::shell;

const HOW_TO_GET_IT: &str = "\
python3 with pip is needed and was not found. Get it with one of
  apt-get install -y python3-pip
  apt-get install -y python3-venv     (a private environment is then made under target/tools)
or your system's package manager";

/// A Python executable for which `-m pip` works.
///
/// # Errors
/// There is none, and no private environment can be made; the message says how to get one.
pub(crate) fn with_pip() -> anyhow::Result<PathBuf> {
    for name in ["python3", "python"] {
        if has_pip(Path::new(name)) {
            return Ok(name.into());
        }
    }
    private_environment()
}

/// The Python of the private environment, made at the first call. What is installed there touches nothing
/// outside `target/`.
///
/// # Errors
/// As [`with_pip`].
pub(crate) fn private_environment() -> anyhow::Result<PathBuf> {
    let folder = tools_folder();
    let python = executable(&folder, "python");
    if has_pip(&python) {
        return Ok(python);
    }
    for name in ["python3", "python"] {
        let made = shell::succeeds(Command::new(name).args(["-m", "venv", "--clear"]).arg(&folder));
        if made && has_pip(&python) {
            return Ok(python);
        }
    }
    bail!(HOW_TO_GET_IT)
}

/// Where the private environment puts `program`.
pub(crate) fn tool(program: &str) -> PathBuf {
    executable(&tools_folder(), program)
}

fn tools_folder() -> PathBuf {
    shell::target_folder().join("tools").join("python")
}

fn executable(folder: &Path, program: &str) -> PathBuf {
    if cfg!(windows) {
        folder.join("Scripts").join(format!("{program}.exe"))
    } else {
        folder.join("bin").join(program)
    }
}

fn has_pip(python: &Path) -> bool {
    shell::succeeds(Command::new(python).args(["-m", "pip", "--version"]))
}
