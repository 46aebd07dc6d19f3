//! Listening to a reply: the loop between the provider's stream, the log, a stop and the deadline.

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
            logged = log.advance() => match logged {
                Ok(false) => {}
                Ok(true) => live.request_stop(StopCause::User),
                Err(error) if error.kind() == PersistErrorKind::Fenced => return Heard::Fenced,
                Err(error) => return Heard::StoreFailed(error),
            },
        }
    }
}
