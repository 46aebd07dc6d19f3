//! Where the program writes: answers to stdout, everything about them to stderr.
//!
//! A reader that went away (`chat show ID | head`) is no error: what follows is dropped, and a
//! running turn goes on to its end. On a terminal, control characters of a model or a stored text
//! are shown as `�`, so that no answer can drive the terminal.

use std::fmt;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::Mutex;

use crate::errors::Failure;

/// Standard output and standard error of the program.
#[derive(Debug)]
pub(crate) struct Output {
    is_terminal: bool,
    stdout: Mutex<Stdout>,
}

#[derive(Debug, Default)]
struct Stdout {
    /// Why nothing is written any more.
    gone: Option<ErrorKind>,
    /// The last character was not a line end.
    in_line: bool,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { is_terminal: io::stdout().is_terminal(), stdout: Mutex::default() }
    }

    /// Somebody looks at a screen.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Writes text as it comes and shows it at once.
    pub(crate) fn text(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let mut state = self.lock();
        if state.gone.is_some() {
            return;
        }
        let written = {
            let mut stdout = io::stdout().lock();
            let written = if self.is_terminal {
                stdout.write_all(printable(text).as_bytes())
            } else {
                stdout.write_all(text.as_bytes())
            };
            written.and_then(|()| stdout.flush())
        };
        state.in_line = !text.ends_with('\n');
        if let Err(error) = written {
            state.gone = Some(error.kind());
        }
    }

    /// Writes one line.
    pub(crate) fn line(&self, line: impl fmt::Display) {
        self.text(&format!("{line}\n"));
    }

    /// All that was written so far was taken by who reads.
    pub(crate) fn is_read(&self) -> bool {
        self.lock().gone.is_none()
    }

    /// Ends a line that was begun, if one was.
    pub(crate) fn end_line(&self) {
        let in_line = self.lock().in_line;
        if in_line {
            self.text("\n");
        }
    }

    /// Writes one line to stderr; nobody reading it is fine.
    pub(crate) fn note(&self, line: impl fmt::Display) {
        let _nobody_reads = writeln!(io::stderr(), "{}", printable(&line.to_string()));
    }

    /// Writes what went wrong and what to do to stderr, one line each.
    pub(crate) fn failure(&self, failure: &Failure) {
        let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        self.note(format_args!("error[{}]: {}", failure.code(), one_line(failure.cause())));
        self.note(format_args!("  help: {}", one_line(failure.remedy())));
    }

    /// The end of all output.
    ///
    /// # Errors
    /// If something could not be written for another reason than that nobody reads.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        match self.lock().gone {
            None | Some(ErrorKind::BrokenPipe) => Ok(()),
            Some(kind) => Err(Failure::output(kind)),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Stdout> {
        self.stdout.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The same text without characters that move a terminal's cursor or change its state.
pub(crate) fn printable(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            _ if letter.is_control() => '\u{fffd}',
            _ => letter,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_drive_the_terminal() {
        assert_eq!(printable("a\tb\nc"), "a\tb\nc");
        assert_eq!(printable("\u{1b}[2Jx\r\u{9b}"), "\u{fffd}[2Jx\u{fffd}\u{fffd}");
    }
}
