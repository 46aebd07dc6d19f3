//! Flags over environment over configuration file over defaults: one configuration in the end.

use std::path::{Path, PathBuf};

use chat_runtime::context::attachments::ExtractorConfig;
use chat_runtime::{
    FilesConfig, OpenAiCompatibleConfig, ProviderConfig, RuntimeConfig, SourcesConfig, StoreKind,
    store_kind,
};

use crate::arguments::Global;
use crate::environment::Environment;
use crate::errors::Failure;

/// The user when nobody said who it is.
pub(crate) const USER: &str = "local-user";

/// This program's first argument when it was started to read one file.
pub(crate) const EXTRACT_ARGUMENT: &str = "extract-file";

/// The index of documents, in the data folder.
pub(crate) const SOURCES_FILE: &str = "documents.db";

/// The model of OpenAI when only its key is there.
const OPENAI_MODEL: &str = "gpt-4o-mini";

/// What is in effect.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) runtime: RuntimeConfig,
    /// Who was named; nobody: whoever the store says, else [`USER`].
    pub(crate) user: Option<String>,
    /// The model asked for by flag or environment, which also changes a conversation's.
    pub(crate) model: Option<String>,
    pub(crate) json: bool,
    /// The configuration file that was read.
    pub(crate) file: Option<PathBuf>,
    /// Where the default database and the prompt's history are.
    pub(crate) data_folder: Option<PathBuf>,
    /// There is a key for OpenAI.
    pub(crate) has_openai_key: bool,
}

impl Settings {
    /// Reads the configuration file, if there is one, and settles the rest.
    ///
    /// # Errors
    /// A file that was named and cannot be read, or says something that no configuration may.
    pub(crate) fn settle(flags: &Global, environment: &Environment) -> Result<Self, Failure> {
        let (mut runtime, file) = read_file(flags, environment)?;
        if let Some(store) = flags.store.as_ref().or(environment.store.as_ref()) {
            runtime.store.clone_from(store);
        } else if runtime.store.is_empty() {
            runtime.store = default_store(environment)?;
        }
        if let Some(prices) = flags.prices.as_ref().or(environment.prices.as_ref()) {
            runtime.prices = Some(prices.clone());
        }
        add_providers(&mut runtime, environment);
        add_files(&mut runtime, environment);
        add_sources(&mut runtime, environment);
        let model = flags.model.clone().or_else(|| environment.model.clone());
        if runtime.model.is_none() {
            runtime.model = default_model(&runtime, environment);
        }
        let user = flags.user.as_ref().or(environment.user.as_ref());
        Ok(Self {
            runtime,
            user: user.cloned(),
            model,
            json: flags.json,
            file,
            data_folder: environment.data_folder.clone(),
            has_openai_key: environment.has_openai_key,
        })
    }

    /// The store's URL.
    ///
    /// # Errors
    /// `invalid_config` if nobody named one and this program cannot open files.
    pub(crate) fn store_url(&self) -> Result<&str, Failure> {
        if self.runtime.store.is_empty() {
            let cause = "no store is named, and this program was built without SQLite";
            return Err(Failure::new("invalid_config", cause)
                .with_remedy("name one with --store postgres://… or --store mongodb://…"));
        }
        Ok(&self.runtime.store)
    }

    /// The database file, if the store is one.
    pub(crate) fn database(&self) -> Option<PathBuf> {
        match store_kind(&self.runtime.store) {
            Ok(StoreKind::Sqlite { path }) => Some(path),
            _ => None,
        }
    }
}

fn read_file(
    flags: &Global,
    environment: &Environment,
) -> Result<(RuntimeConfig, Option<PathBuf>), Failure> {
    let named = flags.config.as_ref().or(environment.config.as_ref());
    let usual = environment.config_folder.as_ref().map(|folder| folder.join("config.toml"));
    let Some(path) = named.or(usual.as_ref()) else {
        return Ok((RuntimeConfig::new(""), None));
    };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let config = RuntimeConfig::from_toml(&text).map_err(|error| in_file(path, &error))?;
            Ok((config, Some(path.clone())))
        }
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Ok((RuntimeConfig::new(""), None))
        }
        Err(error) => Err(Failure::unreadable(path, &error)),
    }
}

fn in_file(path: &Path, error: &chat_runtime::RuntimeError) -> Failure {
    Failure::new(error.code(), format!("{}: {error}", path.display()))
        .with_remedy("correct the file; its keys are in chat-runtime's README")
}

/// A file in the user's data folder; nothing where no file can be opened.
fn default_store(environment: &Environment) -> Result<String, Failure> {
    if !cfg!(feature = "sqlite") {
        return Ok(String::new());
    }
    let folder = environment.data_folder.as_ref().ok_or_else(|| {
        let cause = "there is no folder for the database: neither XDG_DATA_HOME nor HOME is set";
        Failure::new("invalid_config", cause)
            .with_remedy("name the database with --store sqlite:FILE")
    })?;
    Ok(format!("sqlite:{}", folder.join("chat.db").display()))
}

/// What is compiled in and not configured otherwise.
fn add_providers(runtime: &mut RuntimeConfig, environment: &Environment) {
    let mut add = |name: &str, provider: RuntimeConfig| {
        for (_, provider) in provider.providers {
            runtime.providers.entry(name.to_owned()).or_insert(provider);
        }
    };
    if cfg!(feature = "openai") {
        add("openai", RuntimeConfig::new("").with_openai());
    }
    if cfg!(feature = "local") {
        add("local", RuntimeConfig::new("").with_local());
    }
    if cfg!(feature = "example") {
        add("example", RuntimeConfig::new("").with_example());
    }
    if let (Some(ProviderConfig::Openai(server)), Some(base_url)) =
        (runtime.providers.get_mut("openai"), &environment.openai_base_url)
        && server.base_url.is_none()
    {
        server.base_url = Some(base_url.clone());
    }
}

/// Files beside the database, read by this program started once more.
fn add_files(runtime: &mut RuntimeConfig, environment: &Environment) {
    if let (None, Some(folder), Some(program)) =
        (&runtime.files, &environment.data_folder, &environment.program)
    {
        let extractor = ExtractorConfig::new(program).argument(EXTRACT_ARGUMENT);
        runtime.files = Some(FilesConfig::new(folder.join("files"), extractor));
    }
}

/// The index beside the database, once there is one.
fn add_sources(runtime: &mut RuntimeConfig, environment: &Environment) {
    let usual = environment.data_folder.as_ref().map(|folder| folder.join(SOURCES_FILE));
    if let (None, Some(file)) = (&runtime.retrieval, usual.filter(|file| file.is_file()))
        && cfg!(feature = "rag-local")
    {
        runtime.retrieval = Some(SourcesConfig::new(file));
    }
}

/// OpenAI with its key, else the embedded model, else the first provider's own.
fn default_model(runtime: &RuntimeConfig, environment: &Environment) -> Option<String> {
    if environment.has_openai_key
        && let Some(ProviderConfig::Openai(OpenAiCompatibleConfig { model, .. })) =
            runtime.providers.get("openai")
    {
        let model = model.as_deref().unwrap_or(OPENAI_MODEL);
        return Some(format!("openai/{model}"));
    }
    #[cfg(feature = "local")]
    if runtime.providers.contains_key("local") {
        return Some(format!("local/{}", chat_runtime::local_model::LOCAL_MODEL));
    }
    None
}
