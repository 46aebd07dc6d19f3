//! `chat doctor`: what is there, what is missing, and how to get it. Makes no file; a database server
//! is asked, and its schema made ready; a billing service is asked, and nothing changed there.

use std::path::Path;

use chat_runtime::{
    AccountsConfig, ProviderConfig, Runtime, Store, ask_billing_service, shown_url,
};

use crate::app::now;
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Settings, USER};

/// One finding.
enum Finding {
    Fine(String),
    /// Something that is not needed for the default model.
    Absent(String, String),
    /// Something that must be put right, and how the program would end without it.
    Wrong(String, String, Exit),
}

impl Finding {
    /// A failure of `what`, with what to do about it.
    fn wrong(what: &str, failure: &Failure) -> Self {
        let exit = failure.exit();
        Self::Wrong(format!("{what}: {}", failure.cause()), failure.remedy().to_owned(), exit)
    }
}

/// Prints the findings; the exit code is that of the first thing that must be put right.
pub(crate) async fn run(settings: &Settings, output: &Output) -> Result<Exit, Failure> {
    let mut findings = vec![configuration(settings)];
    findings.extend(store(settings).await);
    findings.extend(billing_service(settings).await);
    findings.extend(models(settings).await);
    let mut exit = Exit::Ok;
    for finding in findings {
        match finding {
            Finding::Fine(text) => output.line(format_args!("ok       {text}")),
            Finding::Absent(text, remedy) => {
                output.line(format_args!("absent   {text}"));
                output.line(format_args!("         {remedy}"));
            }
            Finding::Wrong(text, remedy, wrong) => {
                output.line(format_args!("MISSING  {text}"));
                output.line(format_args!("         {remedy}"));
                if exit == Exit::Ok {
                    exit = wrong;
                }
            }
        }
    }
    Ok(exit)
}

fn configuration(settings: &Settings) -> Finding {
    match &settings.file {
        Some(file) => Finding::Fine(format!("configuration {}", file.display())),
        None => Finding::Fine("no configuration file, the defaults are in effect".to_owned()),
    }
}

/// The store: does it answer, may it bill, and whose conversations are meant. Of an engine that
/// keeps files, a file that is not there yet is not made.
async fn store(settings: &Settings) -> Vec<Finding> {
    let url = match settings.store_url() {
        Ok(url) => url,
        Err(failure) => return vec![Finding::wrong("store", &failure)],
    };
    let name = format!("store {}", shown_url(url));
    if let Some(database) = settings.database().filter(|database| !database.exists()) {
        return vec![missing_database(&database)];
    }
    let store = match Store::open(url).await {
        Ok(store) => store,
        Err(error) => return vec![Finding::wrong(&name, &error.into())],
    };
    let mut findings = vec![match store.description().await {
        Ok(description) => Finding::Fine(format!("{name}: {description}")),
        Err(error) => Finding::wrong(&name, &error.into()),
    }];
    if let Err(error) = store.billing() {
        findings.push(Finding::wrong(&name, &error.into()));
    }
    match store.scope(settings.user.as_deref(), USER).await {
        Ok(scope) => findings.push(Finding::Fine(format!("user {}", scope.user))),
        Err(error) => findings.push(Finding::wrong("user", &error.into())),
    }
    store.close().await;
    findings
}

/// The billing service, if one keeps the ledger: does it answer, and does it take the secret.
async fn billing_service(settings: &Settings) -> Option<Finding> {
    let AccountsConfig::External(service) = &settings.runtime.accounts else {
        return None;
    };
    let name = format!("billing service {}", shown_url(&service.base_url));
    match ask_billing_service(&settings.runtime.accounts).await {
        Ok(_) => Some(Finding::Fine(name)),
        Err(error) => {
            let is_down = error.code() == "ledger_unavailable";
            let mut failure = Failure::from(error);
            if is_down {
                failure = failure.with_remedy(
                    "check that it runs, and base_url and secret_env under [accounts]; \
                     until it answers no message is sent",
                );
            }
            Some(Finding::wrong(&name, &failure))
        }
    }
}

/// The nearest folder that is there must be writable; trying it would write.
fn missing_database(database: &Path) -> Finding {
    let nearest = database.ancestors().skip(1).find(|folder| folder.is_dir());
    let is_readonly = nearest
        .and_then(|folder| folder.metadata().ok())
        .is_some_and(|metadata| metadata.permissions().readonly());
    if is_readonly {
        return Finding::Wrong(
            format!("database {}: its folder is not writable", database.display()),
            "name another with --store sqlite:FILE".to_owned(),
            Exit::Store,
        );
    }
    Finding::Fine(format!(
        "database {}: not there yet, the first message makes it",
        database.display()
    ))
}

/// Every provider, and the price of the default model.
async fn models(settings: &Settings) -> Vec<Finding> {
    let mut config = settings.runtime.clone();
    // Looking makes no folder.
    config.files = config.files.filter(|files| files.folder.is_dir());
    "memory:".clone_into(&mut config.store);
    // A store that knows no turn must recover nothing in the books of others.
    config.accounts = AccountsConfig::Unlimited;
    let runtime = match Runtime::open(config).await {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::from(error);
            let (cause, remedy) = (failure.cause().to_owned(), failure.remedy().to_owned());
            return vec![Finding::Wrong(cause, remedy, failure.exit())];
        }
    };
    let client = runtime.client();
    let default = client.providers().default_model().cloned();
    let default_provider = default.as_ref().map(|model| model.provider.as_str());
    let mut findings = Vec::new();
    for (name, provider) in &settings.runtime.providers {
        let is_default = default_provider == Some(name.as_str());
        findings.push(match provider {
            ProviderConfig::Openai(server) => openai(settings, name, server, is_default),
            ProviderConfig::Local(local) => embedded(local, is_default),
            _ => Finding::Fine(format!("provider {name}")),
        });
    }
    if let Some(model) = default {
        let price = client.usage().prices().lookup(&model, now());
        findings.push(match price {
            Some(entry) => Finding::Fine(format!("model {model}, prices {}", entry.version())),
            None => {
                let unknown =
                    Failure::new("unknown_price", format!("no price is known for {model}"));
                Finding::Wrong(
                    unknown.cause().to_owned(),
                    unknown.remedy().to_owned(),
                    unknown.exit(),
                )
            }
        });
    }
    runtime.close().await;
    findings
}

fn openai(
    settings: &Settings,
    name: &str,
    server: &chat_runtime::OpenAiCompatibleConfig,
    is_default: bool,
) -> Finding {
    let key = server.api_key_env.as_deref();
    if name != "openai" || key.is_some_and(|key| key != "OPENAI_API_KEY") {
        let key = key.map_or_else(|| "no key".to_owned(), |key| format!("key in {key}"));
        return Finding::Fine(format!("provider {name}, {key}"));
    }
    if settings.has_openai_key {
        return Finding::Fine(format!("provider {name}, key in OPENAI_API_KEY"));
    }
    let text = format!("provider {name}: OPENAI_API_KEY is not set");
    let remedy = "export OPENAI_API_KEY=… to use it".to_owned();
    // A server of one's own may want none.
    if is_default && server.base_url.is_none() {
        Finding::Wrong(text, remedy, Exit::Provider)
    } else {
        Finding::Absent(text, remedy)
    }
}

#[cfg(feature = "local")]
fn embedded(local: &chat_runtime::LocalConfig, is_default: bool) -> Finding {
    use chat_runtime::local_model::{FETCH_COMMAND, find_weights};
    match find_weights(local.weights.as_deref()) {
        Ok(path) => Finding::Fine(format!("provider local, weights {}", path.display())),
        Err(error) => {
            let text = format!("provider local: {error}");
            let remedy = format!("run `{FETCH_COMMAND}` in the project's folder");
            if is_default {
                Finding::Wrong(text, remedy, Exit::Provider)
            } else {
                Finding::Absent(text, remedy)
            }
        }
    }
}

#[cfg(not(feature = "local"))]
fn embedded(_local: &chat_runtime::LocalConfig, _is_default: bool) -> Finding {
    Finding::Absent(
        "provider local: not compiled in".to_owned(),
        "build with `--features local`".to_owned(),
    )
}
