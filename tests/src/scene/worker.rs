//! A process that sends many messages at once: `turn-worker`, told when to begin.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};

use serde_json::Value;

use crate::fake_provider_process::find_program;

/// A worker whose runtime is open and who waits for the word.
#[derive(Debug)]
pub struct Worker {
    /// The process.
    pub child: Child,
    /// What it tells, one value a turn.
    pub lines: Receiver<Value>,
}

impl Worker {
    /// Starts one with what follows CONFIG.toml on its command line.
    #[must_use]
    pub fn start(config: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(find_program("turn-worker").unwrap())
            .arg(config)
            .args(arguments)
            .env("OPENAI_API_KEY", "test-key")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready = stdout.next().map(Result::unwrap);
        assert_eq!(ready.as_deref(), Some("ready"));
        let (tell, lines) = sync_channel(1_000);
        std::thread::spawn(move || {
            for line in stdout.map_while(Result::ok) {
                if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        Self { child, lines }
    }

    /// The word.
    pub fn go(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
