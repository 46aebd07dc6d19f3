//! Calls beside the reply (titles, summaries): each is a step of its own, held, journaled, billed.

use std::sync::Arc;

use async_trait::async_trait;
use chat_persist::{Fence, StepClose};
use chat_provider::{
    MeteredCaller, MeteredError, MeteredReply, MeteredRequest, ModelProvider, ModelRequest,
    Prepared, ProviderError, ProviderErrorKind,
};
use chat_tokens::TokenCounter;
use chat_types::{ConversationId, ModelInfo, ModelRef, PartAssembler, Prompt, Tokens, text_of};
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::events::listen::Heard;
use crate::events::live::LiveTurn;
use crate::events::narrate::Narrator;
use crate::events::turn_log::text_bytes;
use crate::inner::Inner;
use crate::money::billing;
use crate::step::side_calls::{Decided, SideCalls};
use crate::step::{self, NotOpened, Opened, StepPlan};
use crate::{Result, TurnError};

/// The cap of a call that names none: a title or a short summary, with some thought before it.
const OUTPUT_CAP_DEFAULT: Tokens = Tokens::new(512);

/// Far above what any cap allows: only a provider that ignores its cap says more.
const TEXT_BYTES_MAX: usize = 1024 * 1024;

/// Makes calls in the name of a running turn; a clone is the same caller.
#[derive(Clone, Debug)]
pub(crate) struct TurnCaller {
    pub(crate) inner: Arc<Inner>,
    pub(crate) live: Arc<LiveTurn>,
    pub(crate) side: Arc<SideCalls>,
    pub(crate) fence: Fence,
    pub(crate) conversation: ConversationId,
    /// What a call without a model asks: the turn's own.
    pub(crate) model: ModelRef,
    pub(crate) deadline: Instant,
}

#[async_trait]
impl MeteredCaller for TurnCaller {
    /// Runs in a task of the turn: who asked may stop waiting, the call is billed all the same.
    async fn call(&self, request: MeteredRequest) -> Result<MeteredReply, MeteredError> {
        let (told, answer) = oneshot::channel();
        let caller = self.clone();
        // Who asked has said how long it is worth.
        self.side.spawn(0, async move {
            let _asker_may_be_gone = told.send(caller.make(request).await);
        });
        let ended = |_| MeteredError::new("turn_ended", "the turn ended before the call did");
        answer.await.map_err(ended)?
    }
}

/// A call with everything it names looked up.
struct Ready {
    provider: Arc<dyn ModelProvider>,
    info: ModelInfo,
    counter: Arc<dyn TokenCounter>,
    prepared: Prepared,
    output_cap: Tokens,
}

impl TurnCaller {
    async fn make(&self, request: MeteredRequest) -> Result<MeteredReply, MeteredError> {
        let purpose = request.purpose;
        let ready = self.get_ready(request).await.map_err(|error| refused(&error))?;
        let number = self.side.next_step();
        let plan = StepPlan {
            step: number,
            purpose,
            model: &ready.info.model,
            prepared: &ready.prepared,
            output_cap: ready.output_cap,
        };
        let decided = |amounts| Decided {
            close: StepClose { step: number, amounts },
            purpose,
            model: ready.info.model.clone(),
        };
        let opened = match step::open(&self.inner, &self.fence, &self.conversation, plan).await {
            Ok(opened) => opened,
            Err(NotOpened::FencedOut) => return Err(taken_over()),
            Err(NotOpened::Refused { error, row }) => {
                if row.is_there(&self.inner, &self.fence, number).await {
                    self.close(decided(Vec::new())).await;
                }
                return Err(refused(&error));
            }
        };
        let mut said = Narrator::new(number);
        let mut assembler = PartAssembler::new();
        let heard = self.hear(&ready, &opened, &mut said, &mut assembler).await;
        let parts = assembler.stored_parts();
        let output_seen = billing::output_seen(ready.counter.as_ref(), &parts, &[]);
        let amounts = opened.amounts(&self.inner, &heard, &said, output_seen);
        let (usage, _) = billing::total(&amounts);
        self.close(decided(amounts)).await;
        match (heard, said.finish()) {
            (Heard::End, Some(finish)) => Ok(MeteredReply { text: text_of(&parts), finish, usage }),
            (heard, _) => Err(failed(heard)),
        }
    }

    async fn get_ready(&self, request: MeteredRequest) -> Result<Ready> {
        let model = request.model.as_ref().unwrap_or(&self.model);
        let (provider, info) = self.inner.providers.find(model)?;
        provider.warm_up().await?;
        self.inner.guard(&self.fence.scope, &request.prompt).await?;
        let counter = provider.counter(&info);
        let input_tokens = count(counter.as_ref(), &request.prompt);
        let wanted = request.options.output_tokens_max.unwrap_or(OUTPUT_CAP_DEFAULT);
        let output_cap = wanted.min(info.output_max);
        if input_tokens.plus(output_cap) > info.context_window {
            let detail = format!(
                "the call needs {input_tokens} tokens and {output_cap} for its reply, more than the window of {}",
                info.context_window
            );
            return Err(ProviderError::new(ProviderErrorKind::ContextTooLong, detail).into());
        }
        let prepared = provider.prepare(&ModelRequest {
            model: info.model.model.clone(),
            prompt: request.prompt,
            media: Vec::new(),
            options: request.options,
            stream: true,
            input_tokens,
        })?;
        Ok(Ready { provider, info, counter, prepared, output_cap })
    }

    /// Makes the call and listens to its end, or to the turn's.
    async fn hear(
        &self,
        ready: &Ready,
        opened: &Opened,
        said: &mut Narrator,
        assembler: &mut PartAssembler,
    ) -> Heard {
        let cut_short = async {
            tokio::select! {
                biased;
                cause = self.live.stopped() => Heard::Stopped(cause),
                () = self.side.enough() => Heard::DeadlineExceeded,
                () = tokio::time::sleep_until(self.deadline) => Heard::DeadlineExceeded,
            }
        };
        tokio::pin!(cut_short);
        let permit = opened.permit();
        let mut stream = tokio::select! {
            biased;
            heard = &mut cut_short => return heard,
            sent = ready.provider.send_completion(&ready.prepared, &permit) => match sent {
                Ok(stream) => stream,
                Err(error) => return Heard::Broken(error),
            },
        };
        let mut bytes = 0_usize;
        loop {
            let item = tokio::select! {
                biased;
                heard = &mut cut_short => return heard,
                item = stream.next() => item,
            };
            match item {
                None => return Heard::End,
                Some(Err(error)) => return Heard::Broken(error),
                Some(Ok(events)) => {
                    let mut told = Vec::with_capacity(events.len());
                    said.tell(events, &mut told);
                    for kind in &told {
                        bytes = bytes.saturating_add(text_bytes(kind));
                        assembler.apply(kind);
                    }
                    if bytes > TEXT_BYTES_MAX {
                        let detail = "the provider goes on beyond every cap";
                        let error = ProviderError::new(ProviderErrorKind::Protocol, detail);
                        return Heard::Broken(error);
                    }
                }
            }
        }
    }

    async fn close(&self, step: Decided) {
        let closed = self.side.close_step(&self.inner, &self.fence, &self.conversation, step).await;
        if closed.is_err() {
            tracing::warn!(turn = %self.fence.turn, "another owner took the turn over");
        }
    }
}

/// Our count of a prompt that no context builder made.
fn count(counter: &dyn TokenCounter, prompt: &Prompt) -> Tokens {
    let start = counter.priming().plus(counter.count_tools(&prompt.tools));
    let items = prompt.items.iter().map(|item| counter.count_message(item.role, &item.parts));
    items.fold(start, Tokens::plus)
}

fn refused(error: &TurnError) -> MeteredError {
    MeteredError::new(error.code(), error.to_failure().message)
}

fn taken_over() -> MeteredError {
    MeteredError::new("turn_taken_over", "another process has the turn now")
}

/// Why a call that was made has no whole reply.
fn failed(heard: Heard) -> MeteredError {
    match heard {
        Heard::Broken(error) => refused(&error.into()),
        Heard::End => MeteredError::new("provider_protocol", "the reply ended before it was whole"),
        Heard::Stopped(_) => MeteredError::new("stopped", "the turn was stopped"),
        Heard::DeadlineExceeded => MeteredError::new("deadline_exceeded", "the call took too long"),
        Heard::StoreFailed(error) => refused(&error.into()),
        Heard::Fenced => taken_over(),
    }
}
