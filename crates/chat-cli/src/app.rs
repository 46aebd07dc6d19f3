//! What every command needs: the open runtime, who asks, and where to write.

use std::sync::Arc;
use std::time::Duration;

use chat_runtime::types::{ModelInfo, SystemClock, Timestamp};
use chat_runtime::{BaseClient, Extras, Runtime, Scope};

use crate::errors::Failure;
use crate::output::Output;
use crate::progress::LoadBar;
use crate::settings::{Settings, USER};
use crate::signals::Signals;

/// What a command does to the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Looks only: a database that is not there is an empty one, and none is made.
    Reads,
    /// Makes the database if there is none.
    Writes,
}

/// How long a command that only looked waits for an orderly end. It wrote nothing, and a database
/// that another program has locked would hold it up for seconds.
const CLOSE_AFTER_READING_MS: u64 = 200;

/// An open runtime.
#[derive(Debug)]
pub(crate) struct App<'a> {
    runtime: Runtime,
    access: Access,
    pub(crate) scope: Scope,
    pub(crate) settings: &'a Settings,
    pub(crate) output: &'a Output,
}

impl<'a> App<'a> {
    /// Opens the runtime. Loads no model.
    ///
    /// # Errors
    /// As `Runtime::open`; a folder that cannot be made.
    pub(crate) async fn open(
        settings: &'a Settings,
        access: Access,
        output: &'a Output,
    ) -> Result<Self, Failure> {
        let mut config = settings.runtime.clone();
        config.store = store_url(settings, access, output)?;
        let bar = Arc::new(LoadBar::default());
        let mut extras = Extras::new()
            .load_progress(move |done_bytes, total_bytes| bar.show(done_bytes, total_bytes));
        if access == Access::Reads {
            extras = extras.without_billing();
            config.files = config.files.filter(|files| files.folder.is_dir());
        }
        if config.store != settings.runtime.store {
            extras = extras.without_recovery();
        }
        let runtime = Runtime::open_with(config, extras).await?;
        let scope = match runtime.store().scope(settings.user.as_deref(), USER).await {
            Ok(scope) => scope,
            Err(error) => {
                runtime.close().await;
                return Err(error.into());
            }
        };
        Ok(Self { runtime, access, scope, settings, output })
    }

    #[cfg(feature = "rag-local")]
    pub(crate) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(crate) fn client(&self) -> &BaseClient {
        self.runtime.client()
    }

    /// Waits until everything is durable, or until somebody has no patience for it: what is not
    /// finished then is finished by the next process.
    pub(crate) async fn close(&self) {
        if self.access == Access::Reads {
            let patience = Duration::from_millis(CLOSE_AFTER_READING_MS);
            let _closed_later = tokio::time::timeout(patience, self.runtime.close()).await;
            return;
        }
        match Signals::new() {
            Ok(mut signals) => tokio::select! {
                () = self.runtime.close() => {}
                _ = signals.next() => {}
            },
            Err(_) => self.runtime.close().await,
        }
    }

    /// The model `name` means, or the one used when nobody chose.
    pub(crate) fn model(&self, name: Option<&str>) -> Result<ModelInfo, Failure> {
        let providers = self.client().providers();
        let model = match name {
            Some(name) => providers.resolve(name)?,
            None => providers
                .default_model()
                .cloned()
                .ok_or_else(|| Failure::new("no_provider", "no model provider is configured"))?,
        };
        Ok(providers.find(&model)?.1)
    }

    /// Makes a model ready before anything is sent to it, so that what is missing is said first and
    /// a message is not taken in vain.
    ///
    /// # Errors
    /// `provider_not_ready` with what is missing.
    pub(crate) async fn make_ready(&self, model: &ModelInfo) -> Result<(), Failure> {
        let (provider, _) = self.client().providers().find(&model.model)?;
        Ok(provider.warm_up().await?)
    }
}

/// The URL to open: that of the settings, or an empty store's where there is nothing to look at.
///
/// # Errors
/// As [`Settings::store_url`]; a folder that cannot be made.
pub(crate) fn store_url(
    settings: &Settings,
    access: Access,
    output: &Output,
) -> Result<String, Failure> {
    let url = settings.store_url()?.to_owned();
    let Some(database) = settings.database().filter(|database| !database.exists()) else {
        return Ok(url);
    };
    match access {
        Access::Reads => {
            output.note(format_args!("there is no database at {} yet", database.display()));
            Ok("memory:".to_owned())
        }
        Access::Writes => make_folder(settings, &database).map(|()| url),
    }
}

/// Only the usual place is made; a folder that was named wrongly is an error.
fn make_folder(settings: &Settings, database: &std::path::Path) -> Result<(), Failure> {
    let Some(folder) = database.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    if folder.is_dir() {
        return Ok(());
    }
    let made = if settings.data_folder.as_deref() == Some(folder) {
        private_folder(folder)
    } else {
        Err(std::io::Error::new(std::io::ErrorKind::NotFound, "the folder does not exist"))
    };
    made.map_err(|error| {
        Failure::new("store_unavailable", format!("{}: {error}", folder.display()))
            .with_remedy("make the folder, or name another database with --store sqlite:FILE")
    })
}

/// Conversations are nobody else's business.
#[cfg(unix)]
fn private_folder(folder: &std::path::Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(not(unix))]
fn private_folder(folder: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)
}

/// The present moment.
pub(crate) fn now() -> Timestamp {
    use chat_runtime::types::Clock;
    SystemClock.now()
}
