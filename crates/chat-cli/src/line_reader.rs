//! Lines a person types: editing and history, on a thread of its own so that the program can wait
//! for a line and for a signal at the same time.

use std::path::PathBuf;
use std::sync::mpsc;

use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;
use tokio::sync::oneshot;

use crate::errors::Failure;

/// Lines kept between runs.
const HISTORY_LINES_MAX: usize = 1_000;

/// What came of asking for a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    /// A line.
    Line(String),
    /// Ctrl-C.
    Interrupted,
    /// Ctrl-D, or the end of a pipe.
    End,
}

struct Ask {
    prompt: String,
    initial: String,
    answer: oneshot::Sender<Result<Typed, String>>,
}

/// Reads lines. Dropping it ends its thread after the line being read.
#[derive(Debug)]
pub(crate) struct LineReader {
    asks: mpsc::SyncSender<Ask>,
}

impl LineReader {
    /// Starts the thread; `history` is read now and added to with every line.
    pub(crate) fn start(history: Option<PathBuf>) -> Result<Self, Failure> {
        let (asks, waiting) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name("prompt".to_owned())
            .spawn(move || serve(&waiting, history.as_ref()))
            .map_err(|error| failure(&error.to_string()))?;
        Ok(Self { asks })
    }

    /// Asks for a line; `initial` stands there already and can be changed.
    pub(crate) async fn read(&self, prompt: &str, initial: &str) -> Result<Typed, Failure> {
        let (answer, typed) = oneshot::channel();
        let ask = Ask { prompt: prompt.to_owned(), initial: initial.to_owned(), answer };
        let ended = "the prompt has ended";
        self.asks.send(ask).map_err(|_| failure(ended))?;
        match typed.await {
            Ok(typed) => typed.map_err(|cause| failure(&cause)),
            Err(_) => Err(failure(ended)),
        }
    }
}

fn failure(cause: &str) -> Failure {
    Failure::new("prompt_failed", format!("the prompt failed: {cause}"))
        .with_remedy("use `chat send`, which needs no prompt")
}

fn serve(waiting: &mpsc::Receiver<Ask>, history: Option<&PathBuf>) {
    let mut editor = None;
    while let Ok(ask) = waiting.recv() {
        let answer = match &mut editor {
            Some(editor) => read_line(editor, &ask, history),
            None => match open_editor(history) {
                Ok(opened) => read_line(editor.insert(opened), &ask, history),
                Err(error) => Err(error.to_string()),
            },
        };
        // Nobody waits any more when the program ends.
        let _nobody_waits = ask.answer.send(answer);
    }
}

fn open_editor(history: Option<&PathBuf>) -> rustyline::Result<DefaultEditor> {
    let config = rustyline::Config::builder()
        .max_history_size(HISTORY_LINES_MAX)?
        .history_ignore_space(true)
        .build();
    let mut editor = DefaultEditor::with_config(config)?;
    if let Some(path) = history {
        // There is none before the first line.
        let _none_yet = editor.load_history(path);
    }
    Ok(editor)
}

fn read_line(
    editor: &mut DefaultEditor,
    ask: &Ask,
    history: Option<&PathBuf>,
) -> Result<Typed, String> {
    match editor.readline_with_initial(&ask.prompt, (&ask.initial, "")) {
        Ok(line) => {
            let is_new = editor.add_history_entry(&line).unwrap_or(false);
            if let Some(path) = history.filter(|_| is_new) {
                // A history that cannot be kept is no reason to refuse the line.
                let _not_kept = editor.append_history(path);
            }
            Ok(Typed::Line(line))
        }
        Err(ReadlineError::Interrupted) => Ok(Typed::Interrupted),
        Err(ReadlineError::Eof) => Ok(Typed::End),
        Err(error) => Err(error.to_string()),
    }
}
