//! A command whose output is watched as it comes.

use std::io::{Read, Write};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use chat_types::{EventKind, TurnEvent};

/// What a command wrote, and when.
pub(crate) struct Watched {
    pub(crate) status: ExitStatus,
    /// Pieces of stdout as they were read.
    pub(crate) pieces: Vec<(Duration, Vec<u8>)>,
    pub(crate) stderr: String,
}

impl Watched {
    pub(crate) fn run(mut command: Command) -> Self {
        let start = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut stderr = child.stderr.take().unwrap();
        let errors = std::thread::spawn(move || {
            let mut told = Vec::new();
            let _ = stderr.read_to_end(&mut told);
            String::from_utf8_lossy(&told).into_owned()
        });
        let mut pieces = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let count = stdout.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            pieces.push((start.elapsed(), buffer[..count].to_vec()));
        }
        Self { status: child.wait().unwrap(), pieces, stderr: errors.join().unwrap() }
    }

    pub(crate) fn stdout(&self) -> String {
        let bytes: Vec<u8> = self.pieces.iter().flat_map(|(_, piece)| piece.clone()).collect();
        String::from_utf8(bytes).unwrap()
    }

    /// The events of `--json`, each with the time its line was whole.
    pub(crate) fn events(&self) -> Vec<(Duration, TurnEvent)> {
        let mut events = Vec::new();
        let mut line = Vec::new();
        for (at, piece) in &self.pieces {
            for byte in piece {
                if *byte == b'\n' {
                    events.push((*at, serde_json::from_slice(&line).unwrap()));
                    line.clear();
                } else {
                    line.write_all(&[*byte]).unwrap();
                }
            }
        }
        assert!(line.is_empty(), "the last line has no end");
        events
    }

    /// When text came: one time per delta.
    pub(crate) fn delta_times(&self) -> Vec<Duration> {
        let deltas = self.events().into_iter().filter_map(|(at, event)| {
            matches!(event.event, EventKind::TextDelta { .. }).then_some(at)
        });
        deltas.collect()
    }

    #[track_caller]
    pub(crate) fn assert_ok(&self) {
        assert!(self.status.success(), "{}\n{}\n{}", self.status, self.stdout(), self.stderr);
    }
}

/// Times that differ by more than a thousandth of a second.
pub(crate) fn distinct(times: &[Duration]) -> usize {
    let gaps = times.windows(2).filter(|pair| pair[1] - pair[0] > Duration::from_millis(1));
    gaps.count() + usize::from(!times.is_empty())
}
