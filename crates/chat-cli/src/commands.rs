//! One file per command or small group of commands; here: which one runs, and on what.

mod audit;
mod balance;
mod compact;
mod config;
mod conversations;
mod costs;
mod doctor;
mod explain;
mod fork;
#[cfg(feature = "mongo")]
mod librechat;
mod models;
mod notices;
mod policy;
mod prices;
#[cfg(feature = "rag-local")]
mod rag;
mod repl;
mod send;
mod transfer;
mod turns;
mod usage;

use clap::CommandFactory;

use crate::app::{Access, App};
use crate::arguments::{Arguments, Command, Policy, Prices};
use crate::environment::Environment;
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::settings::Settings;

/// Runs what was asked for.
///
/// # Errors
/// A `Failure` to be shown; whatever was acknowledged before is kept.
pub(crate) async fn run(
    arguments: Arguments,
    environment: &Environment,
    output: &Output,
) -> Result<Exit, Failure> {
    if let Some(Command::Completions { shell }) = &arguments.command {
        return completions(*shell, output);
    }
    let settings = Settings::settle(&arguments.global, environment)?;
    let access = match &arguments.command {
        Some(Command::Config { .. }) => return config::print(&settings, output),
        Some(Command::Doctor) => return doctor::run(&settings, output).await,
        #[cfg(feature = "rag-local")]
        Some(Command::Rag { command }) => return rag::run(command, &settings, output).await,
        Some(Command::Send(send)) => return send::run(send, &settings, output).await,
        Some(Command::Export(export)) if export.all && arguments.global.user.is_some() => {
            let cause = "--all exports every user, --user names one";
            return Err(Failure::new("conflicting_flags", cause));
        }
        Some(Command::Usage(usage))
            if usage.is_of_all_users() && arguments.global.user.is_some() =>
        {
            let cause = "--all-users is every user, --user names one";
            return Err(Failure::new("conflicting_flags", cause));
        }
        Some(Command::Prices { command: Some(Prices::Check { file }) }) => {
            return prices::check(file, &settings, output);
        }
        Some(Command::Policy { command: Policy::Check { file } }) => {
            return policy::check(file, &settings, output);
        }
        Some(Command::Export(export)) => return transfer::export(export, &settings, output).await,
        Some(Command::Import(import)) => return transfer::import(import, &settings, output).await,
        None
        | Some(
            Command::Resume { .. } | Command::Compact(_) | Command::Balance { change: Some(_), .. },
        ) => Access::Writes,
        Some(_) => Access::Reads,
    };
    let app = App::open(&settings, access, output).await?;
    let outcome = on_open(&app, arguments.command).await;
    // A second Ctrl-C leaves at once: the turn is recovered by the next process.
    if outcome != Ok(Exit::Stopped) {
        app.close().await;
    }
    outcome
}

/// The commands that work on an open runtime.
async fn on_open(app: &App<'_>, command: Option<Command>) -> Result<Exit, Failure> {
    match command {
        None => repl::run(app, None).await,
        Some(Command::Resume { conversation }) => {
            let conversation = match &conversation {
                Some(id) => Some(crate::find::conversation(app, id).await?),
                None => crate::find::newest_conversation(app).await?,
            };
            repl::run(app, conversation).await
        }
        Some(Command::List(list)) => conversations::list(app, &list).await,
        Some(Command::Show(show)) => conversations::show(app, &show).await,
        Some(Command::Tree { conversation, costs }) => {
            conversations::tree(app, &conversation, costs).await
        }
        Some(Command::Explain(explain)) => explain::run(app, &explain).await,
        Some(Command::Balance { change: None, conversation }) => {
            balance::show(app, conversation.as_deref()).await
        }
        Some(Command::Balance { change: Some(change), .. }) => balance::change(app, &change).await,
        Some(Command::Usage(usage)) => usage::run(app, &usage).await,
        Some(Command::Notices(notices)) => notices::run(app, &notices).await,
        Some(Command::Audit) => audit::run(app).await,
        Some(Command::Models) => models::run(app),
        Some(Command::Prices { command }) => prices::run(app, command.as_ref()),
        Some(Command::Fork(fork)) => fork::run(app, &fork).await,
        Some(Command::Compact(compact)) => compact::run(app, &compact).await,
        Some(Command::Policy { command: Policy::Simulate { conversation, policy, at } }) => {
            policy::simulate(app, &conversation, &policy, at.as_deref()).await
        }
        Some(Command::Stop { turn }) => turns::stop(app, &turn).await,
        Some(Command::Recover) => turns::recover(app).await,
        // Run before anything is opened.
        #[cfg(feature = "rag-local")]
        Some(Command::Rag { .. }) => Ok(Exit::Ok),
        Some(
            Command::Send(_)
            | Command::Policy { command: Policy::Check { .. } }
            | Command::Config { .. }
            | Command::Doctor
            | Command::Export(_)
            | Command::Import(_)
            | Command::Completions { .. },
        ) => Ok(Exit::Ok),
    }
}

fn completions(shell: clap_complete::Shell, output: &Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "chat", &mut script);
    output.text(&String::from_utf8_lossy(&script));
    Ok(Exit::Ok)
}
