//! The prompt: lines in, answers out, on one conversation at a time.
//!
//! Ctrl-C during a turn stops it and keeps what was said; a second one leaves, as it does at the
//! prompt right after. What was acknowledged is durable at every moment, so leaving loses nothing.

mod command;
mod status;

use chat_runtime::types::{ContentPart, Role};
use chat_runtime::{Conversation, ConversationId, MessageId, Placement, TurnRequest};

use crate::app::App;
use crate::commands::send::{make_model_ready, signals};
use crate::commands::{conversations, models, usage};
use crate::errors::{Exit, Failure};
use crate::find;
use crate::follow::{self, Shown, follow, status_line};
use crate::line_reader::{LineReader, Typed};
use crate::render::first_line;
use crate::signals::{Caught, Signals};

use command::Command;

/// The prompt's own file beside the database.
const HISTORY_FILE: &str = "history";

/// What the prompt knows.
struct Repl<'a, 'b> {
    app: &'a App<'b>,
    /// None: the next message starts one.
    conversation: Option<ConversationId>,
    /// Asked for with the next turn, then kept by the conversation.
    model: Option<String>,
    lines: LineReader,
    signals: Signals,
}

/// What follows a line.
enum Next {
    Ask,
    /// The next line is this one, to be changed.
    Change(String),
    /// A turn was stopped: one more Ctrl-C leaves.
    Stopped,
    Leave(Exit),
}

/// Runs the prompt until it is left.
///
/// # Errors
/// Only what makes the prompt itself impossible; everything else is shown, and it goes on.
pub(crate) async fn run(
    app: &App<'_>,
    conversation: Option<Conversation>,
) -> Result<Exit, Failure> {
    let history = app.settings.data_folder.as_ref();
    let history = history.filter(|folder| folder.is_dir()).map(|folder| folder.join(HISTORY_FILE));
    let mut repl = Repl {
        app,
        conversation: conversation.as_ref().map(|found| found.id.clone()),
        model: app.settings.model.clone(),
        lines: LineReader::start(history)?,
        signals: signals()?,
    };
    repl.greet(conversation.as_ref());
    let mut initial = String::new();
    let mut may_leave = false;
    loop {
        let typed = tokio::select! {
            typed = repl.lines.read("> ", &initial) => typed?,
            caught = repl.signals.next() => match caught {
                Caught::Terminate => return Ok(Exit::Terminated),
                Caught::Interrupt => Typed::Interrupted,
            },
        };
        initial.clear();
        let line = match typed {
            Typed::Line(line) => line,
            Typed::End => return Ok(Exit::Ok),
            Typed::Interrupted if may_leave => return Ok(Exit::Ok),
            Typed::Interrupted => {
                may_leave = true;
                app.output.note("Ctrl-C again leaves, and so do Ctrl-D and /quit");
                continue;
            }
        };
        may_leave = false;
        match repl.take(&line).await {
            Ok(Next::Ask) => {}
            Ok(Next::Change(text)) => initial = text,
            Ok(Next::Stopped) => may_leave = true,
            Ok(Next::Leave(exit)) => return Ok(exit),
            Err(failure) => app.output.failure(&failure),
        }
    }
}

impl Repl<'_, '_> {
    fn greet(&self, conversation: Option<&Conversation>) {
        match conversation {
            Some(conversation) => self.app.output.note(format_args!(
                "{}  {}",
                conversation.id,
                first_line(&conversation.title, 60)
            )),
            None => {
                let model = self.app.model(self.model.as_deref());
                let model = model.map(|info| info.model.to_string()).unwrap_or_default();
                self.app.output.note(format_args!("{model} · /help lists the commands"));
            }
        }
    }

    /// Does what a line asks for.
    async fn take(&mut self, line: &str) -> Result<Next, Failure> {
        match Command::read(line)? {
            Command::Nothing => Ok(Next::Ask),
            Command::Say(text) => {
                let parts = vec![ContentPart::text(text)];
                self.turn(Placement::AfterHead { parts }).await
            }
            Command::Retry => {
                let message = self.head().await?;
                self.turn(Placement::Regenerate { message }).await
            }
            Command::Continue => {
                let message = self.head().await?;
                self.turn(Placement::Continue { message }).await
            }
            Command::Edit(text) => self.edit(text).await,
            Command::Tree => {
                let id = self.open_conversation()?.to_string();
                conversations::tree(self.app, &id, false).await?;
                Ok(Next::Ask)
            }
            Command::Fork(at) => self.fork(at.as_deref()).await,
            Command::Goto(at) => self.go_to(&at).await,
            Command::Model(name) => self.choose_model(name).await,
            Command::Cost => self.cost().await,
            Command::New => {
                self.conversation = None;
                self.app.output.note("the next message starts a new conversation");
                Ok(Next::Ask)
            }
            Command::Help => {
                self.app.output.text(command::HELP);
                Ok(Next::Ask)
            }
            Command::Quit => Ok(Next::Leave(Exit::Ok)),
        }
    }

    /// One turn: shown as it comes, then its status line.
    async fn turn(&mut self, placement: Placement) -> Result<Next, Failure> {
        let mut request = TurnRequest::placed(placement);
        request.model.clone_from(&self.model);
        if let Some(conversation) = &self.conversation {
            request = request.in_conversation(conversation.clone());
        }
        let ready = tokio::select! {
            ready = make_model_ready(self.app, &request) => ready,
            caught = self.signals.next() => return Ok(left(caught)),
        };
        ready?;
        let turn = match follow::send(self.app, request, &mut self.signals).await? {
            Ok(turn) => turn,
            Err(caught) => return Ok(left(caught)),
        };
        self.conversation = Some(turn.conversation().clone());
        // The conversation has it now.
        self.model = None;
        let followed = follow(self.app, &turn, Shown::Text, &mut self.signals).await?;
        let Some(state) = followed.state else {
            return Ok(Next::Leave(Exit::Stopped));
        };
        let place = status::branch(self.app, turn.conversation()).await;
        self.app.output.note(status_line(&followed, &place));
        match (followed.caught, state) {
            (Some(Caught::Terminate), _) => Ok(Next::Leave(Exit::Terminated)),
            (Some(Caught::Interrupt), _) => Ok(Next::Stopped),
            _ => followed.exit().map(|_| Next::Ask),
        }
    }

    /// With a text: the last message changed to it. Without: the last message, to be changed.
    async fn edit(&mut self, text: Option<String>) -> Result<Next, Failure> {
        let message = self.last_user_message().await?;
        match text {
            Some(text) => {
                let parts = vec![ContentPart::text(text)];
                self.turn(Placement::Edit { message: message.id, parts }).await
            }
            // One line is what the editor shows; a longer message is replaced by /edit TEXT.
            None => Ok(Next::Change(format!(
                "/edit {}",
                message.text().split_whitespace().collect::<Vec<_>>().join(" ")
            ))),
        }
    }

    async fn fork(&mut self, at: Option<&str>) -> Result<Next, Failure> {
        let conversation = self.open_conversation()?.clone();
        let target = match at {
            Some(at) => find::message(self.app, &conversation, at).await?.id,
            None => self.head().await?,
        };
        let mode = chat_runtime::thread::ForkMode::DirectPath;
        let client = self.app.client();
        let copy = client.fork(&self.app.scope, &conversation, &target, mode).await?;
        self.app.output.note(format_args!("now in {}, a copy of the branch", copy.id));
        self.conversation = Some(copy.id);
        Ok(Next::Ask)
    }

    async fn go_to(&mut self, at: &str) -> Result<Next, Failure> {
        let conversation = self.open_conversation()?.clone();
        let message = find::message(self.app, &conversation, at).await?;
        let patch = chat_runtime::types::ConversationPatch {
            head: chat_runtime::types::Change::Set(message.id.clone()),
            ..Default::default()
        };
        let client = self.app.client();
        client.set_options(&self.app.scope, &conversation, &patch).await?;
        let text = first_line(&message.text(), 60);
        self.app.output.note(format_args!("the next message follows: {text}"));
        Ok(Next::Ask)
    }

    async fn choose_model(&mut self, name: Option<String>) -> Result<Next, Failure> {
        let Some(name) = name else {
            models::run(self.app)?;
            return Ok(Next::Ask);
        };
        let info = self.app.model(Some(&name))?;
        self.app.output.note(format_args!("the next answer comes from {}", info.model));
        self.model = Some(name);
        Ok(Next::Ask)
    }

    async fn cost(&self) -> Result<Next, Failure> {
        let conversation = self.open_conversation()?;
        let sum = usage::sum_of(self.app, conversation).await?;
        self.app.output.line(format_args!(
            "{} calls, {} tokens in, {} out, {}",
            sum.rows,
            sum.usage.input_total(),
            sum.usage.output_total(),
            sum.cost
        ));
        Ok(Next::Ask)
    }

    fn open_conversation(&self) -> Result<&ConversationId, Failure> {
        self.conversation.as_ref().ok_or_else(|| {
            Failure::new("unknown_conversation", "there is no conversation yet")
                .with_remedy("say something first")
        })
    }

    /// The newest message of the current branch.
    async fn head(&self) -> Result<MessageId, Failure> {
        let id = self.open_conversation()?;
        let conversation = find::conversation(self.app, id.as_str()).await?;
        conversation
            .head
            .ok_or_else(|| Failure::new("unknown_message", "the conversation has no messages"))
    }

    async fn last_user_message(&self) -> Result<chat_runtime::Message, Failure> {
        let head = self.head().await?;
        let conversation = self.open_conversation()?;
        let branch = find::branch(self.app, conversation, &head).await?;
        let said = branch.into_iter().rev().find(|message| message.role == Role::User);
        said.ok_or_else(|| {
            Failure::new("unknown_message", "there is nothing to change on this branch")
        })
    }
}

/// Ctrl-C or SIGTERM before anything was sent.
fn left(caught: Caught) -> Next {
    match caught {
        Caught::Interrupt => Next::Stopped,
        Caught::Terminate => Next::Leave(Exit::Terminated),
    }
}
