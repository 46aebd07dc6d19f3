//! LibreChat's own published models, by npm, in `target/tools/librechat`. The versions are in
//! `tests/peers/librechat/package.json`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail};

use crate::shell;

const FILES: [&str; 2] = ["package.json", "package-lock.json"];
/// Written last: what is there is whole, and of this manifest.
const STAMP: &str = "installed-package.json";

/// Makes sure that the models are there and returns the folder whose `node_modules` has them.
///
/// # Errors
/// No node or npm, or the packages cannot be had.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let source = shell::root().join("tests/peers/librechat");
    let folder = shell::target_folder().join("tools").join("librechat");
    let manifest = fs::read(source.join("package.json"))
        .with_context(|| format!("cannot read {}/package.json", source.display()))?;
    if fs::read(folder.join(STAMP)).is_ok_and(|stamp| stamp == manifest) {
        return Ok(folder);
    }
    for program in ["node", "npm"] {
        if !shell::succeeds(Command::new(program).arg("--version")) {
            bail!(
                "`{program}` is needed for LibreChat's models: install Node.js 20 or newer with npm"
            );
        }
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in FILES {
        if source.join(file).is_file() {
            fs::copy(source.join(file), folder.join(file))?;
        }
    }
    let mut install = Command::new("npm");
    install.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]);
    shell::run_aside(install.current_dir(&folder)).context("npm cannot install the models")?;
    fs::write(folder.join(STAMP), manifest)?;
    Ok(folder)
}
