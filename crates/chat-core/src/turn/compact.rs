//! Compaction by hand: a turn without a reply, whose one work is a summary of the branch.

use chat_types::{MessageId, TurnFailure, TurnState};

use crate::turn::conductor::Conductor;
use crate::turn::ending::End;
use crate::turn::summarise::{NotMade, SummaryJob};

impl Conductor<'_> {
    /// Summarises the branch up to and including the message that the turn names. A stop or the
    /// deadline ends the call to the model, and with it this.
    pub(crate) async fn compact(&mut self, message: &MessageId, anew: bool) -> End {
        let job = SummaryJob {
            scope: self.plan.fence.scope.clone(),
            conversation: self.plan.turn.conversation.clone(),
            covers_to: message.clone(),
            model: None,
            anew,
        };
        match job.run(self.caller()).await {
            Ok(_) | Err(NotMade::ThereAlready) => End::without_reply(TurnState::Completed, None),
            Err(error) => match self.live.stop_requested() {
                Some(cause) => End::stopped_before_call(cause),
                None => End::without_reply(TurnState::Failed, Some(error.to_failure())),
            },
        }
    }
}

impl NotMade {
    fn to_failure(&self) -> TurnFailure {
        match self {
            Self::Turn(error) => error.to_failure(),
            Self::Failed(error) => {
                TurnFailure::new(error.code(), error.to_string(), error.is_transient())
            }
            Self::ThereAlready => {
                TurnFailure::new(self.code(), "a summary stands there already", false)
            }
        }
    }
}
