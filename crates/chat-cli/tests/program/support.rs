//! Runs the program with an environment that has nothing of this machine's user in it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

/// A home folder and the program in it.
pub(crate) struct Home {
    folder: TempDir,
    variables: Vec<(&'static str, String)>,
}

/// What a run said and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// An empty home; the default model is the example's.
    pub(crate) fn new() -> Self {
        let home = Self::without_model();
        home.with("CHAT_MODEL", "example/echo-1")
    }

    /// An empty home, and nobody chose a model.
    pub(crate) fn without_model() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The default database.
    pub(crate) fn database(&self) -> PathBuf {
        self.path("data/chat-runtime/chat.db")
    }

    /// A configuration file in its usual place.
    pub(crate) fn configure(&self, text: &str) {
        let folder = self.path("config/chat-runtime");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.toml"), text).unwrap();
    }

    pub(crate) fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chat"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.folder.path())
            .env("XDG_DATA_HOME", self.path("data"))
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(self.command(arguments).spawn().unwrap())
    }

    /// The same, and everything is fine.
    pub(crate) fn ok(&self, arguments: &[&str]) -> String {
        let outcome = self.run(arguments);
        assert_eq!(outcome.code, 0, "{arguments:?}: {outcome:?}");
        outcome.stdout
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        let mut command = self.command(arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        let writer = std::thread::spawn(move || {
            // A program that has heard enough closes its end.
            let _closed = stdin.write_all(&input);
        });
        let outcome = Outcome::of(child);
        writer.join().unwrap();
        outcome
    }

    /// Every line of a `--json` listing.
    pub(crate) fn json(&self, arguments: &[&str]) -> Vec<serde_json::Value> {
        json_lines(&self.ok(arguments))
    }

    /// The id of the only conversation.
    pub(crate) fn conversation(&self) -> String {
        let list = self.json(&["list", "--json"]);
        assert_eq!(list.len(), 1, "{list:?}");
        list[0]["id"].as_str().unwrap().to_owned()
    }
}

impl Outcome {
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// One line with the stable code and the cause, one with the remedy, and the documented exit.
    pub(crate) fn is_failure(&self, exit: i32, code: &str) {
        assert_eq!(self.code, exit, "{self:?}");
        let start = format!("error[{code}]: ");
        let lines: Vec<&str> = self.stderr.lines().collect();
        let at = lines.iter().position(|line| line.starts_with(&start));
        let at = at.unwrap_or_else(|| panic!("no {start}in {self:?}"));
        assert!(lines[at].len() > start.len() && lines[at].len() < 400, "{self:?}");
        assert!(lines[at + 1].starts_with("  help: "), "{self:?}");
        assert_eq!(lines.len(), at + 2, "{self:?}");
        for word in ["panicked", "Some(", "Error {", "RUST_BACKTRACE"] {
            assert!(!self.stderr.contains(word), "{self:?}");
        }
    }
}

pub(crate) fn json_lines(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn bytes_of(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
