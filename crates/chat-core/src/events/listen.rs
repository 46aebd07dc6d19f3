//! Waiting and listening: between what is waited for, the log, a stop and the deadline.

use std::future::Future;

use chat_persist::PersistErrorKind;
use chat_provider::{CompletionStream, ProviderError};
use futures::StreamExt;
use tokio::time::Instant;

use crate::events::live::{LiveTurn, StopCause};
use crate::events::narrate::Narrator;
use crate::events::turn_log::TurnLog;

/// Why listening ended.
#[derive(Debug)]
pub(crate) enum Heard {
    /// The provider's stream ended.
    End,
    /// The provider's stream broke.
    Broken(ProviderError),
    /// Somebody asked for a stop.
    Stopped(StopCause),
    /// The turn has taken too long.
    DeadlineExceeded,
    /// The store no longer takes the log.
    StoreFailed(chat_persist::PersistError),
    /// Another owner has the turn now: write nothing more.
    Fenced,
}

/// Waits for `work` while the log goes on; an error is what ended the wait first.
pub(crate) async fn wait_for<T>(
    work: impl Future<Output = T>,
    log: &mut TurnLog,
    live: &LiveTurn,
    deadline: Instant,
) -> Result<T, Heard> {
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            cause = live.stopped() => return Err(Heard::Stopped(cause)),
            () = tokio::time::sleep_until(deadline) => return Err(Heard::DeadlineExceeded),
            kept = keep_log(log, live) => kept?,
        }
    }
}

/// Does what the log needs next, and passes a stop on that was asked for in another process. May be
/// dropped and called again.
async fn keep_log(log: &mut TurnLog, live: &LiveTurn) -> Result<(), Heard> {
    match log.advance().await {
        Ok(false) => Ok(()),
        Ok(true) => {
            live.request_stop(StopCause::User);
            Ok(())
        }
        Err(error) if error.kind() == PersistErrorKind::Fenced => Err(Heard::Fenced),
        Err(error) => Err(Heard::StoreFailed(error)),
    }
}

/// Tells everything the stream says until it ends or has to.
pub(crate) async fn listen(
    mut stream: CompletionStream,
    step: u32,
    narrator: &mut Narrator,
    log: &mut TurnLog,
    live: &LiveTurn,
    deadline: Instant,
    mut on_first_delta: impl FnMut(),
) -> Heard {
    let mut heard_first = false;
    loop {
        let full = log.is_full();
        tokio::select! {
            biased;
            cause = live.stopped() => return Heard::Stopped(cause),
            () = tokio::time::sleep_until(deadline) => return Heard::DeadlineExceeded,
            item = stream.next(), if !full => match item {
                None => return Heard::End,
                Some(Err(error)) => return Heard::Broken(error),
                Some(Ok(events)) => {
                    let mut told = Vec::with_capacity(events.len());
                    narrator.tell(events, &mut told);
                    if narrator.said_something() && !heard_first {
                        heard_first = true;
                        log.mark_streaming(step);
                        on_first_delta();
                    }
                    log.append(told);
                }
            },
            kept = keep_log(log, live) => if let Err(heard) = kept {
                return heard;
            },
        }
    }
}
