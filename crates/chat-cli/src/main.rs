//! The `chat` program: parses, runs one command, and ends with a documented exit code.

mod app;
mod arguments;
mod commands;
mod environment;
mod errors;
mod find;
mod follow;
mod line_reader;
mod output;
mod progress;
mod render;
mod settings;
mod signals;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::output::Output;

fn main() -> ExitCode {
    // Before anything else is there: the process gives itself small limits and reads one file.
    if std::env::args().nth(1).as_deref() == Some(settings::EXTRACT_ARGUMENT) {
        return chat_runtime::context::attachments::extract_main();
    }
    let arguments = Arguments::parse();
    let output = Output::new();
    let environment = environment::read();
    start_logging(environment.log.as_deref());
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                output.note(format_args!("error[no_threads]: {error}"));
                return ExitCode::FAILURE;
            }
        };
    let outcome = runtime.block_on(commands::run(arguments, &environment, &output));
    // What still computes (an answer nobody waits for any more) must not hold the end up.
    runtime.shutdown_background();
    let outcome = outcome.and_then(|exit| output.finish().map(|()| exit));
    match outcome {
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit().code())
        }
    }
}

/// Warnings and errors of the libraries go to stderr, as many as `CHAT_LOG` asks for.
fn start_logging(filter: Option<&str>) {
    let filter = tracing_subscriber::EnvFilter::try_new(filter.unwrap_or("error"))
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("error"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}
