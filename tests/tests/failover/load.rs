//! Users who send messages, each until it is acknowledged: one after the other, or at a steady pace whatever
//! became of the last ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_runtime::types::{ModelOptions, Tokens};
use chat_runtime::{
    BaseClient, ConversationId, IdempotencyKey, MessageId, Scope, Turn, TurnError, TurnId,
    TurnOutcome, TurnRequest,
};
use tokio::task::JoinSet;

/// A reply of about a fifth of a second.
pub(crate) const CHUNKS: u64 = 20;
const MODEL: &str = "fakes/fake:chunks-20:delay_ms-8";
const OUTPUT_TOKENS_MAX: u64 = 64;
/// A conversation gets this long, so that histories are read too.
const TURNS_PER_CONVERSATION: usize = 6;
/// The pace of a steady sender: at every moment of a failover somebody sends.
const STEADY_PAUSE: Duration = Duration::from_millis(150);
/// As a patient client waits between two tries.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long a message may be tried, from the first time on: far longer than any failover.
const PATIENCE: Duration = Duration::from_secs(60);

/// A user on one client.
pub(crate) struct Sender {
    pub(crate) client: BaseClient,
    pub(crate) scope: Scope,
    pub(crate) name: String,
}

/// One message and what its sender was told.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) key: String,
    pub(crate) text: String,
    pub(crate) scope: Scope,
    pub(crate) acknowledged: Option<Acknowledged>,
    /// From the first try to the acknowledgement.
    pub(crate) waited: Duration,
    /// From the first try to the end.
    pub(crate) took: Duration,
    /// Tries that were answered with an error.
    pub(crate) refused: u32,
    /// The last error that says a repeat is of no use: a broken promise here.
    pub(crate) final_error: Option<String>,
    /// Absent if the end could not be read: then the sender knows nothing of it.
    pub(crate) outcome: Option<TurnOutcome>,
}

#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) turn: TurnId,
    pub(crate) conversation: ConversationId,
    pub(crate) user_message: MessageId,
}

impl Sender {
    /// Sends until `end`; what is begun is brought to its end.
    pub(crate) async fn send_until(self, end: Instant) -> Vec<Sent> {
        let mut all: Vec<Sent> = Vec::new();
        let mut conversation: Option<(ConversationId, usize)> = None;
        while Instant::now() < end {
            let key = format!("{}-{}", self.name, all.len());
            let chosen = conversation.take().filter(|(_, turns)| *turns < TURNS_PER_CONVERSATION);
            let sent = self.send(key, chosen.as_ref().map(|(id, _)| id)).await;
            // After trouble a new conversation, so that the next message has a whole parent.
            if let (Some(turn), Some(_)) = (&sent.acknowledged, &sent.outcome) {
                let turns = chosen.map_or(1, |(_, turns)| turns + 1);
                conversation = Some((turn.conversation.clone(), turns));
            }
            all.push(sent);
        }
        all
    }

    /// Sends at its pace until `end`, each message in a conversation of its own.
    pub(crate) async fn send_steadily_until(self, end: Instant) -> Vec<Sent> {
        let sender = Arc::new(self);
        let mut sends = JoinSet::new();
        let mut pace = tokio::time::interval(STEADY_PAUSE);
        while Instant::now() < end {
            pace.tick().await;
            let key = format!("{}-{}", sender.name, sends.len());
            let sender = Arc::clone(&sender);
            sends.spawn(async move { sender.send(key, None).await });
        }
        sends.join_all().await
    }

    async fn send(&self, key: String, conversation: Option<&ConversationId>) -> Sent {
        let text = format!("{key} says hello");
        let options = ModelOptions {
            output_tokens_max: Some(Tokens::new(OUTPUT_TOKENS_MAX)),
            ..ModelOptions::default()
        };
        let mut request = TurnRequest::text(&text)
            .with_model(MODEL)
            .with_options(options)
            .with_idempotency_key(IdempotencyKey::new(&key).unwrap());
        if let Some(conversation) = conversation {
            request = request.in_conversation(conversation.clone());
        }
        let mut sent = Sent {
            key,
            text,
            scope: self.scope.clone(),
            acknowledged: None,
            waited: Duration::ZERO,
            took: Duration::ZERO,
            refused: 0,
            final_error: None,
            outcome: None,
        };
        let begun = Instant::now();
        let turn = loop {
            match self.client.send_message(&self.scope, request.clone()).await {
                Ok(turn) => break turn,
                Err(error) if error.is_transient() && begun.elapsed() < PATIENCE => {
                    sent.refused += 1;
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
                Err(error) => {
                    sent.final_error = Some(told(&error));
                    return sent;
                }
            }
        };
        sent.waited = begun.elapsed();
        sent.acknowledged = Some(Acknowledged {
            turn: turn.id().clone(),
            conversation: turn.conversation().clone(),
            user_message: turn.user_message().clone(),
        });
        self.wait_for_end(&turn, &mut sent).await;
        sent.took = begun.elapsed();
        sent
    }

    /// As a client does whose stream breaks: it asks again.
    async fn wait_for_end(&self, turn: &Turn, sent: &mut Sent) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            match turn.outcome().await {
                Ok(outcome) => {
                    sent.outcome = Some(outcome);
                    return;
                }
                Err(error) if error.is_transient() => tokio::time::sleep(RETRY_PAUSE).await,
                Err(error) => {
                    sent.final_error = Some(told(&error));
                    return;
                }
            }
        }
        sent.final_error = Some("its end could not be read".to_owned());
    }
}

/// The error with all its causes.
fn told(error: &TurnError) -> String {
    let mut text = format!("{}: {error}", error.code());
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text.push_str(&format!(": {next}"));
        cause = next.source();
    }
    text
}
