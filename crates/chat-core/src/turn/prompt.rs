//! The prompt of a turn: what a turn sends, and what `explain` shows.
//!
//! What stands outside of the conversation (retrieved sources, the branch's previous prompt) is
//! looked up at the same time, then everything is built and translated for the model.

use std::sync::{Arc, Mutex};

use chat_context::rag::{Citation, RetrievalRequest, Retrieved, citations};
use chat_context::{BuiltContext, ContextRequest, FileReader, PreviousPrompt, RetrievalSection};
use chat_provider::{ModelRequest, Prepared};
use chat_tokens::TokenCounter;
use chat_types::{EventKind, Message, Role, Tokens};

use crate::TurnError;
use crate::files::PromptFiles;
use crate::inner::Inner;
use crate::turn::plan::{Answerer, Plan, StoredBranch};

/// Retrieved text takes at most one part in so many of the input: sources are for the answer, the
/// conversation is what it answers.
const RETRIEVAL_SHARE: u64 = 4;

/// A turn tells of its prompt before its first words: in the first or the second segment of its log.
const SEGMENTS_READ: u32 = 2;

/// A prompt that is ready to be sent.
pub(crate) struct BuiltPrompt {
    pub(crate) counter: Arc<dyn TokenCounter>,
    pub(crate) context: BuiltContext,
    pub(crate) prepared: Prepared,
    /// The sources that the model was shown.
    pub(crate) citations: Vec<Citation>,
}

/// Builds and translates the prompt of a plan.
pub(crate) async fn build_prompt(
    inner: &Inner,
    plan: &Plan,
    answerer: &Answerer,
) -> Result<BuiltPrompt, TurnError> {
    let Answerer { provider, info } = answerer;
    provider.warm_up().await?;
    let counter = inner.calibrations.counter(provider.counter(info), info);
    let scope = plan.fence.scope.clone();
    let reader = StoredBranch::new(Arc::clone(&inner.store), scope, plan.turn.conversation.clone());
    let instructions = inner.instructions(plan.instructions.as_deref());
    let tools = inner.toolbox.as_ref().map(|toolbox| toolbox.tools(&plan.fence.scope));
    let wanted = plan.options.output_tokens_max;
    let input = inner.context.limits().budget(info, wanted).input;
    let (sources, previous, pinned) = futures::join!(
        retrieve(inner, plan, counter.as_ref(), input),
        previous_prompt(inner, plan),
        pinned(inner, plan),
    );
    let (sources, pinned) = (sources?, pinned?);
    let retrieval = sources
        .as_ref()
        .map(|(retrieved, tokens_max)| RetrievalSection { retrieved, tokens_max: *tokens_max });
    let files = inner.files.as_ref().map(|files| PromptFiles {
        store: inner.store.as_ref(),
        files,
        scope: &plan.fence.scope,
        info,
        counter: counter.as_ref(),
        input,
        native: Mutex::default(),
    });
    let mut context = inner
        .context
        .build(ContextRequest {
            below: plan.below.as_ref(),
            instructions: &instructions,
            tools: tools.as_deref().unwrap_or_default(),
            output_cap: wanted,
            pinned: &pinned,
            files: files.as_ref().map(|files| files as &dyn FileReader),
            retrieval,
            previous: previous.as_ref(),
            ..ContextRequest::new(&reader, &plan.tail, info, counter.as_ref())
        })
        .await?;
    context.report.input_band = Some(inner.calibrations.band(&info.model, &context.report));
    context.report.notes.extend(inner.summary_failures.note(&plan.turn.conversation));
    let media = match &files {
        Some(files) => files.media(&context.native_files),
        None => Vec::new(),
    };
    let prepared = provider.prepare(&ModelRequest {
        model: info.model.model.clone(),
        prompt: context.prompt.clone(),
        media,
        options: plan.options.clone(),
        stream: plan.stream,
        input_tokens: context.report.input_tokens,
    })?;
    let snippets = sources.map(|(retrieved, _)| retrieved.snippets).unwrap_or_default();
    Ok(BuiltPrompt { counter, context, prepared, citations: citations(&snippets) })
}

/// What answers the newest message, within the room that is set aside for it; none if nothing is
/// ever retrieved here.
async fn retrieve(
    inner: &Inner,
    plan: &Plan,
    counter: &dyn TokenCounter,
    input: Tokens,
) -> Result<Option<(Retrieved, Tokens)>, TurnError> {
    let Some(retrieval) = &inner.retrieval else { return Ok(None) };
    let room = retrieval.config().tokens_max.min(Tokens::new(input.get() / RETRIEVAL_SHARE));
    let framing = counter.count_message(Role::User, &[]);
    let asked = plan.tail.iter().rfind(|message| message.role == Role::User);
    let query = asked.map(Message::text).unwrap_or_default();
    let request =
        RetrievalRequest::new(plan.fence.scope.clone(), query).with_limit(retrieval.config().limit);
    let count = |text: &str| counter.count_text(text).plus(framing);
    let retrieved = retrieval.retrieve(&request, room, &count).await?;
    Ok(Some((retrieved, room)))
}

/// The prompt that the branch's newest reply was made of, as its turn's log tells it. What is not there
/// (any more) or cannot be read now is only missed by the report, and by where the cut would best stay.
async fn previous_prompt(inner: &Inner, plan: &Plan) -> Option<PreviousPrompt> {
    let scope = &plan.fence.scope;
    let below = plan.below.as_ref()?;
    let reply = inner.store.message(scope, &plan.turn.conversation, below).await.ok()??;
    let log = inner.store.events(scope, reply.turn.as_ref()?, 0, SEGMENTS_READ).await.ok()?;
    let events = log.segments.iter().filter_map(|segment| segment.decode().ok()).flatten();
    let reports = events.filter_map(|event| match event.event {
        EventKind::Context { report } => Some(report),
        _ => None,
    });
    Some(PreviousPrompt { model: reply.model?, sections: reports.last()?.sections })
}

/// The pinned messages, in the order they were named; what is no message of the conversation is an
/// error, since it was named by hand.
async fn pinned(inner: &Inner, plan: &Plan) -> Result<Vec<Message>, TurnError> {
    let mut pinned = Vec::with_capacity(plan.pinned.len());
    for id in &plan.pinned {
        let message = inner.store.message(&plan.fence.scope, &plan.turn.conversation, id).await?;
        pinned.push(message.ok_or_else(|| TurnError::UnknownMessage { message: id.clone() })?);
    }
    Ok(pinned)
}
