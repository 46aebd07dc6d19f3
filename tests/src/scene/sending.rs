//! One `chat send` that is killed with SIGKILL at a moment of our choice.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use chat_types::{ContentPart, EventKind, PartAssembler, TurnEvent};

use super::Scene;

/// A turn here takes two seconds at most, but MongoDB keeps the transaction of a killed process, and its locks,
/// for up to a minute.
const PATIENCE: Duration = Duration::from_secs(100);
/// SIGKILL.
const KILLED: i32 = 9;
/// SIGABRT: what a failpoint does.
const ABORTED: i32 = 6;

/// Which sign of life the deadly delay is counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// The process was started.
    Started,
    /// It told that the message is durable.
    Accepted,
    /// It told that an attempt goes to the provider.
    Attempt,
    /// It showed the first piece of text.
    FirstText,
    /// It told the end of the turn.
    Ended,
}

impl Sign {
    fn is(self, event: &EventKind) -> bool {
        match self {
            Self::Started => false,
            Self::Accepted => matches!(event, EventKind::Accepted { .. }),
            Self::Attempt => matches!(event, EventKind::Attempt { .. }),
            Self::FirstText => matches!(event, EventKind::TextDelta { .. }),
            Self::Ended => matches!(event, EventKind::Ended { .. }),
        }
    }
}

/// A running `chat send --json`, its events read as they come.
#[derive(Debug)]
pub struct Sending {
    child: Child,
    lines: Receiver<TurnEvent>,
    reader: JoinHandle<String>,
    events: Vec<TurnEvent>,
}

/// What it told before it died, and how it died.
#[derive(Debug)]
pub struct Told {
    /// What it printed.
    pub events: Vec<TurnEvent>,
    /// How it ended.
    pub status: ExitStatus,
    /// What it said besides.
    pub stderr: String,
}

impl Told {
    /// By SIGKILL.
    #[must_use]
    pub fn was_killed(&self) -> bool {
        self.status.signal() == Some(KILLED)
    }

    /// It ended itself at its failpoint.
    #[must_use]
    pub fn was_at_its_failpoint(&self) -> bool {
        self.status.signal() == Some(ABORTED)
    }

    /// It gave this sign of life.
    #[must_use]
    pub fn saw(&self, sign: Sign) -> bool {
        self.events.iter().any(|event| sign.is(&event.event))
    }

    /// The text it showed, as a reader understands it: a reset voids what came before.
    #[must_use]
    pub fn text(&self) -> String {
        text_of(&self.events)
    }
}

/// The text that events add up to.
#[must_use]
pub fn text_of(events: &[TurnEvent]) -> String {
    let mut assembler = PartAssembler::new();
    for event in events {
        assembler.apply(&event.event);
    }
    let parts = assembler.stored_parts();
    let texts = parts.iter().map(|part| match part {
        ContentPart::Text { text } => text.as_str(),
        other => panic!("the fake provider sends text only, not {other:?}"),
    });
    texts.collect()
}

impl Sending {
    /// Sends `text` under the idempotency key `key` to the model `openai/MODEL`.
    #[must_use]
    pub fn start(scene: &Scene, key: &str, model: &str, text: &str) -> Self {
        Self::start_with(scene, key, model, text, &[])
    }

    /// The same with more arguments for `chat send`.
    #[must_use]
    pub fn start_with(scene: &Scene, key: &str, model: &str, text: &str, more: &[&str]) -> Self {
        let model = format!("openai/{model}");
        let arguments = ["--model", &model, "send", "--json", "--idempotency-key", key, text];
        let arguments = arguments.iter().chain(more);
        Self::spawn(scene.home.command(arguments))
    }

    /// Starts a program that prints its turn's events as `chat send --json` does.
    #[must_use]
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        // Some hundred events a turn: the reader never waits for us.
        let (tell, lines) = sync_channel(10_000);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // The last line of a killed process may be cut.
                if let Ok(event) = serde_json::from_str(&line)
                    && tell.send(event).is_err()
                {
                    break;
                }
            }
            drop(tell);
            let mut told = String::new();
            let _ = stderr.read_to_string(&mut told);
            told
        });
        Self { child, lines, reader, events: Vec::new() }
    }

    /// The process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a sign of life; false if the process has ended without it.
    pub fn wait_for(&mut self, sign: Sign) -> bool {
        self.wait_until(|event| sign.is(event), sign == Sign::Started)
    }

    fn wait_until(&mut self, is_it: impl Fn(&EventKind) -> bool, already: bool) -> bool {
        if already || self.events.iter().any(|event| is_it(&event.event)) {
            return true;
        }
        self.wait_for_new(is_it)
    }

    fn wait_for_new(&mut self, is_it: impl Fn(&EventKind) -> bool) -> bool {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(event) => {
                    let found = is_it(&event.event);
                    self.events.push(event);
                    if found {
                        return true;
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("no event for {PATIENCE:?}"),
            }
        }
    }

    /// Waits until it has shown so many words, or has ended.
    pub fn wait_for_words(&mut self, words: usize) {
        let mut shown = String::new();
        for event in &self.events {
            add_text(&mut shown, &event.event);
        }
        let enough = |shown: &str| shown.split_whitespace().count() >= words;
        if enough(&shown) {
            return;
        }
        let shown = std::cell::RefCell::new(shown);
        self.wait_for_new(|event| {
            add_text(&mut shown.borrow_mut(), event);
            enough(&shown.borrow())
        });
    }

    /// The turn's id, once it has told it.
    #[must_use]
    pub fn turn(&self) -> String {
        self.events.first().unwrap().turn.as_str().to_owned()
    }

    /// SIGKILL, now.
    pub fn kill(mut self) -> Told {
        // An error means that it has ended already; the status tells.
        let _ = self.child.kill();
        self.finish()
    }

    /// Waits for its own end.
    pub fn finish(mut self) -> Told {
        let status = self.child.wait().unwrap();
        let stderr = self.reader.join().unwrap();
        self.events.extend(self.lines.try_iter());
        Told { events: self.events, status, stderr }
    }
}

fn add_text(shown: &mut String, event: &EventKind) {
    if let EventKind::TextDelta { text, .. } = event {
        shown.push_str(text);
    }
}

/// Sends a signal that only stops or continues.
pub fn signal(pid: u32, name: &str) {
    let command = format!("kill -{name} {pid}");
    let status = Command::new("sh").args(["-c", &command]).status();
    assert!(status.unwrap().success(), "{command}");
}
