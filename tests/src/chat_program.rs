//! Finds the `chat` program and runs it in a home of its own.
//!
//! `CHAT_BIN` names the program; otherwise it is built first (a moment when nothing has changed), so that a
//! test never judges a stale one. Every command sees a home folder, a store and a configuration file that
//! belong to the test, and none of the caller's keys.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Variables of the caller that would choose a provider, a store or a model.
const FOREIGN: &[&str] = &[
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "CHAT_CONFIG",
    "CHAT_STORE",
    "CHAT_MODEL",
    "CHAT_USER",
    "CHAT_PRICES",
    "CHAT_LOG",
    "RUST_LOG",
];

/// The program is not there and cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Cargo could not be started.
    #[error("cargo could not be started")]
    Cargo(#[source] io::Error),
    /// It does not build.
    #[error("a program does not build:\n{0}")]
    Build(String),
    /// `CHAT_BIN` names no file.
    #[error("CHAT_BIN names {0}, which is no file")]
    Missing(PathBuf),
    /// The build did not say where the program is.
    #[error("cargo did not say where the program is")]
    Nowhere,
}

/// The `chat` program, built at most once per process.
///
/// # Errors
/// See [`ProgramError`].
pub fn chat_program() -> Result<PathBuf, ProgramError> {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Ok(found.clone());
    }
    let found = match std::env::var_os("CHAT_BIN") {
        Some(named) => PathBuf::from(named),
        None => build()?,
    };
    if !found.is_file() {
        return Err(ProgramError::Missing(found));
    }
    Ok(FOUND.get_or_init(|| found).clone())
}

fn build() -> Result<PathBuf, ProgramError> {
    build_program("chat", &["--bin", "chat"])
}

/// Builds what cargo's `selection` names, with all features as `cargo xtask test` does so that nothing
/// is built twice, and returns where the executable called `name` is.
///
/// # Errors
/// See [`ProgramError`].
pub fn build_program(name: &str, selection: &[&str]) -> Result<PathBuf, ProgramError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--workspace", "--all-features"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(selection)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")))
        .stdin(Stdio::null())
        .output()
        .map_err(ProgramError::Cargo)?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(ProgramError::Build(told));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|target| target == name))
        .find_map(|message| {
            message.get("executable").and_then(|path| path.as_str()).map(PathBuf::from)
        })
        .ok_or(ProgramError::Nowhere)
}

/// Where one user of `chat` lives: a folder with a store and a configuration file.
#[derive(Debug, Clone)]
pub struct ChatHome {
    program: PathBuf,
    folder: PathBuf,
    variables: Vec<(String, String)>,
    has_config: bool,
    /// None: the file in the folder.
    store_url: Option<String>,
}

impl ChatHome {
    /// A home in `folder`, which exists and belongs to the test; `config` is its configuration file.
    ///
    /// # Errors
    /// See [`ProgramError`]; the file cannot be written.
    pub fn new(folder: &Path, config: &str) -> Result<Self, Box<dyn std::error::Error>> {
        std::fs::write(folder.join("chat.toml"), config)?;
        Ok(Self {
            program: chat_program()?,
            folder: folder.to_owned(),
            variables: Vec::new(),
            has_config: true,
            store_url: None,
        })
    }

    /// A home as a stranger has it: nothing is configured and nothing is named.
    ///
    /// # Errors
    /// See [`ProgramError`].
    pub fn fresh(folder: &Path) -> Result<Self, ProgramError> {
        Ok(Self {
            program: chat_program()?,
            folder: folder.to_owned(),
            variables: Vec::new(),
            has_config: false,
            store_url: None,
        })
    }

    /// The same with a variable in every command's environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same on another store than the file in its folder.
    #[must_use]
    pub fn with_store(mut self, url: &str) -> Self {
        self.store_url = Some(url.to_owned());
        self
    }

    /// The store's file.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.folder.join("chat.db")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("chat.toml")
    }

    /// `chat ARGUMENTS…` on this home's store, with nothing on stdin and everything captured.
    pub fn command<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(&self.program);
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .env("HOME", &self.folder)
            .env("XDG_CONFIG_HOME", self.folder.join("config"))
            .env("XDG_DATA_HOME", self.folder.join("data"))
            // The model's weights are 98 MB: they stay where they are.
            .envs(cache_folder().map(|folder| ("XDG_CACHE_HOME", folder)))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.folder);
        if self.has_config {
            let file = || format!("sqlite:{}", self.store().display());
            command
                .arg("--store")
                .arg(self.store_url.clone().unwrap_or_else(file))
                .arg("--config")
                .arg(self.config());
        }
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> io::Result<Output> {
        self.command(arguments).output()
    }
}

/// The caller's own cache folder, by the usual rule.
fn cache_folder() -> Option<PathBuf> {
    let named = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    named.filter(|path| path.is_absolute()).or_else(home)
}
