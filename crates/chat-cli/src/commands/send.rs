//! `chat send`: one message, one answer.

use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

use chat_runtime::types::{ModelOptions, Tokens};
use chat_runtime::{
    ContentPart, ConversationChoice, IdempotencyKey, MessageId, Placement, TurnRequest,
};

use crate::app::{Access, App};
use crate::arguments::{Place, Send, Wishes};
use crate::errors::{Exit, Failure};
use crate::find;
use crate::follow::{self, Shown, follow, status_line};
use crate::output::Output;
use crate::settings::Settings;
use crate::signals::{Caught, Signals};

/// More is not read from a file or a pipe; the message limit of the configuration is below it.
const INPUT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Sends, prints the answer as it comes, then the status line.
pub(crate) async fn run(
    send: &Send,
    settings: &Settings,
    output: &Output,
) -> Result<Exit, Failure> {
    // Before anything is opened: a bad message leaves no trace.
    let text = message_text(send)?;
    if send.attachments.is_empty() || !text.trim().is_empty() {
        check_size(&text, settings)?;
    }
    let mut signals = signals()?;
    let app = App::open(settings, Access::Writes, output).await?;
    let outcome = tokio::select! {
        outcome = prepare(&app, send, text) => outcome.map(Ok),
        caught = signals.next() => Ok(Err(caught)),
    };
    let request = match outcome {
        Ok(Ok(request)) => request,
        Ok(Err(caught)) => {
            app.close().await;
            return Ok(ended_by(caught));
        }
        Err(failure) => {
            app.close().await;
            return Err(failure);
        }
    };
    let outcome = answer(&app, request, &mut signals).await;
    // A second Ctrl-C leaves at once: the turn is recovered by the next process.
    if !matches!(outcome, Ok((_, false))) {
        app.close().await;
    }
    outcome.map(|(exit, _)| exit)
}

/// The exit code, and whether the turn was followed to its end.
async fn answer(
    app: &App<'_>,
    request: TurnRequest,
    signals: &mut Signals,
) -> Result<(Exit, bool), Failure> {
    let turn = match follow::send(app, request, signals).await? {
        Ok(turn) => turn,
        Err(caught) => return Ok((ended_by(caught), false)),
    };
    let shown = if app.settings.json { Shown::Json } else { Shown::Text };
    let followed = follow(app, &turn, shown, signals).await?;
    if shown == Shown::Text {
        let place = format!("conversation {}", followed.conversation);
        app.output.note(status_line(&followed, &place));
    }
    let is_over = followed.state.is_some();
    followed.exit().map(|exit| (exit, is_over))
}

fn ended_by(caught: Caught) -> Exit {
    match caught {
        Caught::Interrupt => Exit::Stopped,
        Caught::Terminate => Exit::Terminated,
    }
}

/// Resolves what was named and makes the model ready; nothing is written yet.
async fn prepare(app: &App<'_>, send: &Send, text: String) -> Result<TurnRequest, Failure> {
    let mut request = request(app, &send.place, &send.wishes, text).await?;
    if let Some(key) = &send.idempotency_key {
        request = request.with_idempotency_key(IdempotencyKey::new(key)?);
    }
    if send.no_stream {
        request = request.without_streaming();
    }
    make_model_ready(app, &request).await?;
    let attached = attach(app, &send.attachments).await?;
    if let Placement::AfterHead { parts } | Placement::After { parts, .. } = &mut request.placement
    {
        parts.extend(attached);
        parts.extend(send.quotes.iter().map(ContentPart::quote));
    }
    Ok(request)
}

/// Takes the files in; the parts that a message carries for them, in the order given.
async fn attach(app: &App<'_>, files: &[PathBuf]) -> Result<Vec<ContentPart>, Failure> {
    let mut parts = Vec::with_capacity(files.len());
    for path in files {
        let bytes = read_bytes(path)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let attached = app.client().attach(&app.scope, &name, bytes.into()).await?;
        if let Some(error) = &attached.unreadable {
            app.output.note(format_args!("{}: {error}", attached.record.name));
        }
        parts.push(attached.part);
    }
    Ok(parts)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |error| Failure::unreadable(path, &error);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(INPUT_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The model that will answer, ready to.
pub(crate) async fn make_model_ready(app: &App<'_>, request: &TurnRequest) -> Result<(), Failure> {
    let kept = match (&request.model, &request.conversation) {
        (None, ConversationChoice::Existing(id) | ConversationChoice::Named(id)) => {
            let found = app.client().store().conversation(&app.scope, id).await?;
            found.and_then(|conversation| conversation.model)
        }
        _ => None,
    };
    let named = kept.map(|model| model.to_string());
    let model = app.model(request.model.as_deref().or(named.as_deref()))?;
    app.make_ready(&model).await
}

/// The request that place and wishes describe.
pub(crate) async fn request(
    app: &App<'_>,
    place: &Place,
    wishes: &Wishes,
    text: String,
) -> Result<TurnRequest, Failure> {
    let says_something = !text.trim().is_empty();
    let parts = says_something.then(|| ContentPart::text(text)).into_iter().collect();
    let conversation = match &place.conversation {
        Some(id) => Some(find::conversation(app, id).await?.id),
        None => None,
    };
    let placement = match (&conversation, &place.parent) {
        (Some(conversation), Some(parent)) => {
            let parent = match find::message(app, conversation, parent).await {
                Ok(message) => message.id,
                // The client says what is wrong with it, for example that it lies elsewhere.
                Err(failure) if failure.code() == "unknown_message" => MessageId::new(parent)?,
                Err(failure) => return Err(failure),
            };
            Placement::After { parent, parts }
        }
        _ => Placement::AfterHead { parts },
    };
    let mut request = TurnRequest::placed(placement).with_options(ModelOptions {
        temperature: wishes.temperature,
        output_tokens_max: wishes.max_tokens.map(Tokens::new),
        ..ModelOptions::default()
    });
    if let Some(conversation) = conversation {
        for pin in &wishes.pins {
            request.pinned.push(find::message(app, &conversation, pin).await?.id);
        }
        request = request.in_conversation(conversation);
    }
    if let Some(instructions) = &wishes.instructions {
        request = request.with_instructions(instructions);
    }
    if let Some(model) = &app.settings.model {
        request = request.with_model(model);
    }
    Ok(request)
}

pub(crate) fn signals() -> Result<Signals, Failure> {
    Signals::new().map_err(|error| Failure::new("no_signals", error.to_string()))
}

/// Arguments, then files, then stdin where it is asked for or nothing else is there.
fn message_text(send: &Send) -> Result<String, Failure> {
    let mut pieces = Vec::new();
    let words: Vec<&str> = send.text.iter().map(String::as_str).collect();
    let is_stdin = match words.as_slice() {
        ["-"] => true,
        [] => {
            let is_bare = send.files.is_empty() && send.attachments.is_empty();
            is_bare && !std::io::stdin().is_terminal()
        }
        _ => {
            pieces.push(words.join(" "));
            false
        }
    };
    for file in &send.files {
        pieces.push(if file.as_os_str() == "-" {
            read_text("stdin", std::io::stdin().lock())?
        } else {
            read_file(file)?
        });
    }
    if is_stdin {
        pieces.push(read_text("stdin", std::io::stdin().lock())?);
    }
    Ok(pieces.join("\n\n"))
}

fn read_file(path: &Path) -> Result<String, Failure> {
    let file = std::fs::File::open(path).map_err(|error| Failure::unreadable(path, &error))?;
    read_text(&path.display().to_string(), file)
}

fn read_text(name: &str, source: impl Read) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    source.take(INPUT_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| {
        Failure::new("file_unreadable", format!("{name} cannot be read: {error}"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::new("invalid_utf8", format!("{name} is no UTF-8 text (from byte {at} on)"))
    })
}

fn check_size(text: &str, settings: &Settings) -> Result<(), Failure> {
    let bytes_max = settings.runtime.turns.message_bytes_max;
    let bytes = text.len();
    let error = if text.trim().is_empty() {
        chat_runtime::TurnError::EmptyMessage
    } else if bytes > bytes_max {
        chat_runtime::TurnError::MessageTooLarge { bytes, bytes_max }
    } else {
        return Ok(());
    };
    Err(error.into())
}
