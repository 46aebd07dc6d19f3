//! `chat config --print`: what is in effect, and where it comes from.

use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::settings::{Settings, USER};

/// The configuration as a file would say it; it has no secrets.
pub(crate) fn print(settings: &Settings, output: &Output) -> Result<Exit, Failure> {
    match &settings.file {
        Some(file) => output.line(format_args!("# file: {}", file.display())),
        None => output.line("# file: none"),
    }
    output.line(format_args!("# user: {}", settings.user.as_deref().unwrap_or(USER)));
    if let Some(model) = &settings.model {
        output.line(format_args!("# model asked for: {model}"));
    }
    output.text(&settings.runtime.to_toml()?);
    output.end_line();
    Ok(Exit::Ok)
}
