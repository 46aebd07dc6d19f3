//! What the process environment says: read once, here and nowhere else in this program.
//!
//! API keys are not read here, only whether there is one; the provider reads its own.

use std::env;
use std::path::PathBuf;

/// The variables that matter, as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    /// `CHAT_STORE`.
    pub(crate) store: Option<String>,
    /// `CHAT_CONFIG`.
    pub(crate) config: Option<PathBuf>,
    /// `CHAT_USER`.
    pub(crate) user: Option<String>,
    /// `CHAT_MODEL`.
    pub(crate) model: Option<String>,
    /// `CHAT_PRICES`.
    pub(crate) prices: Option<PathBuf>,
    /// `CHAT_LOG`: which library messages are shown, for example `warn`.
    pub(crate) log: Option<String>,
    /// `OPENAI_API_KEY` is set.
    pub(crate) has_openai_key: bool,
    /// `OPENAI_BASE_URL`.
    pub(crate) openai_base_url: Option<String>,
    /// `$XDG_DATA_HOME/chat-runtime`, or the same under `~/.local/share`.
    pub(crate) data_folder: Option<PathBuf>,
    /// This program's own file.
    pub(crate) program: Option<PathBuf>,
    /// `$XDG_CONFIG_HOME/chat-runtime`, or the same under `~/.config`.
    pub(crate) config_folder: Option<PathBuf>,
}

/// Reads the environment. An empty variable counts as unset.
pub(crate) fn read() -> Environment {
    let text = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let path = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // A relative XDG folder is ignored, as its rules ask.
    let folder = |name: &str, below_home: &str| {
        path(name)
            .filter(|path| path.is_absolute())
            .or_else(|| path("HOME").map(|home| home.join(below_home)))
            .map(|folder| folder.join("chat-runtime"))
    };
    Environment {
        store: text("CHAT_STORE"),
        config: path("CHAT_CONFIG"),
        user: text("CHAT_USER"),
        model: text("CHAT_MODEL"),
        prices: path("CHAT_PRICES"),
        log: text("CHAT_LOG"),
        has_openai_key: text("OPENAI_API_KEY").is_some(),
        openai_base_url: text("OPENAI_BASE_URL"),
        data_folder: folder("XDG_DATA_HOME", ".local/share"),
        program: env::current_exe().ok(),
        config_folder: folder("XDG_CONFIG_HOME", ".config"),
    }
}
