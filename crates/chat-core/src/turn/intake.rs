//! From a request to an accepted turn: checked, resolved, durable, started.

use std::sync::Arc;

use chat_persist::{Accept, Accepted, EventSegment, Fence, NewTurn};
use chat_types::{
    Change, ContentHash, ContentPart, Conversation, ConversationId, ConversationPatch,
    EVENT_VERSION, EventKind, IdSourceExt, Message, MessageId, MessageStatus, ModelInfo, ModelRef,
    Role, Scope, Timestamp, TurnEvent, TurnKind, text_of,
};
use tokio::sync::oneshot;

use crate::events::live::LiveTurn;
use crate::files::check_owned;
use crate::hooks::LifecycleEvent;
use crate::inner::Inner;
use crate::patience::persistently;
use crate::request::{ConversationChoice, Placement, TurnRequest};
use crate::titles::first_line;
use crate::turn::conduct::conduct;
use crate::turn::place::{Placed, place};
use crate::turn::plan::{Answerer, Plan};
use crate::turn::prompt::build_prompt;
use crate::{Result, TurnError};

/// A turn that is durable: this request's, or an earlier one of the same idempotency key.
pub(crate) struct Taken {
    pub(crate) turn: NewTurn,
    pub(crate) attached: bool,
}

/// Makes a request's turn durable and starts it.
pub(crate) async fn take(
    inner: &Arc<Inner>,
    scope: &Scope,
    request: &TurnRequest,
) -> Result<Taken> {
    let turns_max = inner.config.turns_max;
    let place = inner.tasks.reserve(turns_max);
    // Asked only now: a drain that began before waits for every place that is taken.
    if inner.is_draining() {
        return Err(TurnError::Draining);
    }
    let place = place.ok_or(TurnError::Overloaded { turns_max })?;
    let resolved = resolve(inner, scope, request).await?;
    let turn = resolved.plan.turn.clone();
    let (told, answer) = oneshot::channel();
    place.spawn(take_on(Arc::clone(inner), resolved, told));
    let earlier = answer.await.map_err(|_| TurnError::Draining)??;
    let attached = earlier.is_some();
    Ok(Taken { turn: earlier.unwrap_or(turn), attached })
}

/// A request with everything it names looked up. Nothing is written yet.
pub(crate) struct Resolved {
    pub(crate) plan: Plan,
    accept: Accept,
    is_new: bool,
    /// A model chosen for a conversation that had another.
    keep_model: Option<ModelRef>,
}

/// Checks a request and looks up everything it names.
pub(crate) async fn resolve(
    inner: &Inner,
    scope: &Scope,
    request: &TurnRequest,
) -> Result<Resolved> {
    check_content(&request.placement, inner.config.message_bytes_max)?;
    let now = inner.clock.now();
    let (mut conversation, is_new) = find_conversation(inner, scope, request, now).await?;
    let model_before = conversation.model.clone();
    let info = choose_model(inner, request, &mut conversation)?;
    let placed = place(inner, scope, &conversation, &request.placement).await?;
    check_owned(inner.store.as_ref(), scope, placed.new_parts.as_deref().unwrap_or_default())
        .await?;
    if conversation.title.is_empty()
        && let Some(parts) = &placed.new_parts
    {
        conversation.title = first_line(&text_of(parts));
    }
    let accept = accept_of(inner, scope, request, &conversation, &placed, &info, now)?;
    let first_title = is_new.then(|| conversation.title.clone());
    let plan = plan_of(inner, scope, request, &conversation, info, &accept, placed)?;
    let plan = Plan { first_title, ..plan };
    let keep_model = (!is_new && conversation.model != model_before).then_some(conversation.model);
    Ok(Resolved { plan, accept, is_new, keep_model: keep_model.flatten() })
}

/// The earlier turn of the same idempotency key, if there is one.
type Answer = Result<Option<NewTurn>>;

/// The turn's task: makes it durable, says so, conducts it. The prompt is built meanwhile. Runs on
/// whether or not the caller still waits, so an accepted turn is never left without a task.
async fn take_on(inner: Arc<Inner>, resolved: Resolved, told: oneshot::Sender<Answer>) {
    let plan = &resolved.plan;
    let accepting = async {
        let accepted = accept(&inner, &resolved).await;
        let live = match &accepted {
            Ok(None) => Some(start(&inner, &resolved)),
            _ => None,
        };
        // A caller that went away can read the turn's events all the same.
        let _answered = told.send(accepted);
        live
    };
    let building = build_prompt(&inner, plan, &plan.answerer);
    tokio::pin!(accepting, building);
    let mut built = None;
    let builds = plan.has_reply();
    let live = loop {
        tokio::select! {
            biased;
            live = &mut accepting => break live,
            prompt = &mut building, if builds && built.is_none() => built = Some(prompt),
        }
    };
    // None: the turn was refused, or is an earlier one.
    let Some(live) = live else { return };
    let prompt = async {
        match built {
            Some(prompt) => prompt,
            None => building.await,
        }
    };
    conduct(&inner, live, plan, prompt).await;
}

async fn accept(inner: &Inner, resolved: &Resolved) -> Answer {
    let plan = &resolved.plan;
    let scope = &plan.fence.scope;
    let beat = crate::process::lease::ensure_lease(inner);
    let accepted = persistently(|| inner.store.accept(scope, &resolved.accept));
    let (beat, accepted) = futures::join!(beat, accepted);
    beat?;
    match accepted? {
        // The same turn again is our own accept, whose first answer was lost.
        Accepted::Existing(record) if record.turn.id != plan.turn.id => Ok(Some(record.turn)),
        Accepted::Existing(_) | Accepted::New => {
            if let Some(model) = &resolved.keep_model {
                keep_model(inner, scope, &plan.turn.conversation, model).await;
            }
            if let TurnKind::Compact { message, .. } = &plan.turn.kind {
                keep_head(inner, scope, &plan.turn.conversation, message).await;
            }
            Ok(None)
        }
    }
}

/// From here on the turn has readers.
fn start(inner: &Inner, resolved: &Resolved) -> Arc<LiveTurn> {
    let plan = &resolved.plan;
    let turn = &plan.turn;
    let accepted_seq = resolved.accept.segment.last_seq;
    let live =
        LiveTurn::new(plan.fence.scope.clone(), turn.id.clone(), plan.fence.epoch, accepted_seq);
    inner.lock_turns().insert(turn.id.clone(), Arc::clone(&live));
    inner.observe(&LifecycleEvent::Accepted {
        turn: turn.id.clone(),
        conversation: turn.conversation.clone(),
        user_message: turn.user_message.clone(),
        reply: turn.reply.clone(),
        new_conversation: resolved.is_new,
    });
    live
}

/// Everything the turn's task needs.
fn plan_of(
    inner: &Inner,
    scope: &Scope,
    request: &TurnRequest,
    conversation: &Conversation,
    info: ModelInfo,
    accept: &Accept,
    placed: Placed,
) -> Result<Plan> {
    let newest = accept.user_message.clone().or(placed.answered);
    let mut tail: Vec<Message> = newest.into_iter().collect();
    let below = tail.first().and_then(|message| message.parent.clone());
    let kept = placed.kept.as_ref().map(|reply| reply.parts.clone()).unwrap_or_default();
    tail.extend(placed.kept);
    Ok(Plan {
        fence: Fence { scope: scope.clone(), turn: accept.turn.id.clone(), epoch: 1 },
        answerer: Answerer { provider: inner.providers.find(&info.model)?.0, info },
        instructions: conversation.instructions.clone(),
        options: request.options.or(&conversation.options),
        stream: request.stream,
        turn: accept.turn.clone(),
        tail,
        below,
        kept,
        pinned: request.pinned.clone(),
        first_title: None,
    })
}

fn check_content(placement: &Placement, bytes_max: usize) -> Result<()> {
    let (Placement::AfterHead { parts }
    | Placement::After { parts, .. }
    | Placement::AtRoot { parts }
    | Placement::Edit { parts, .. }) = placement
    else {
        return Ok(());
    };
    let mut bytes = 0_usize;
    let mut says_something = false;
    for part in parts {
        match part {
            ContentPart::Text { text } | ContentPart::Quote { text } => {
                bytes = bytes.saturating_add(text.len());
                says_something |= !text.trim().is_empty();
            }
            _ => says_something = true,
        }
    }
    if !says_something {
        return Err(TurnError::EmptyMessage);
    }
    if bytes > bytes_max {
        return Err(TurnError::MessageTooLarge { bytes, bytes_max });
    }
    Ok(())
}

/// The conversation as it is, or as it will be created; and whether it is new.
async fn find_conversation(
    inner: &Inner,
    scope: &Scope,
    request: &TurnRequest,
    now: Timestamp,
) -> Result<(Conversation, bool)> {
    let create = |id: ConversationId| Conversation {
        instructions: request.instructions.clone(),
        options: request.options.clone(),
        expires_at: request.expires_at,
        ..Conversation::new(id, "", now)
    };
    match &request.conversation {
        ConversationChoice::New => Ok((create(inner.ids.conversation_id()?), true)),
        ConversationChoice::Named(id) => match inner.store.conversation(scope, id).await? {
            Some(conversation) => Ok((conversation, false)),
            None => Ok((create(id.clone()), true)),
        },
        ConversationChoice::Existing(id) => match inner.store.conversation(scope, id).await? {
            Some(conversation) => Ok((conversation, false)),
            None => Err(TurnError::UnknownConversation { conversation: id.clone() }),
        },
    }
}

/// Keeps a newly chosen model with its conversation; the turn itself does not depend on it.
async fn keep_model(inner: &Inner, scope: &Scope, id: &ConversationId, model: &ModelRef) {
    let patch =
        ConversationPatch { model: Change::Set(model.clone()), ..ConversationPatch::default() };
    let now = inner.clock.now();
    if let Err(error) = inner.store.patch_conversation(scope, id, &patch, now).await {
        tracing::warn!(code = error.code(), "the chosen model was not kept");
    }
}

/// A turn without a reply leaves the head where it was; until it has ended, others may go on from there.
async fn keep_head(inner: &Inner, scope: &Scope, id: &ConversationId, head: &MessageId) {
    let patch =
        ConversationPatch { head: Change::Set(head.clone()), ..ConversationPatch::default() };
    let now = inner.clock.now();
    let kept = persistently(|| inner.store.patch_conversation(scope, id, &patch, now)).await;
    if let Err(error) = kept {
        tracing::warn!(code = error.code(), "the conversation's head was not kept");
    }
}

/// The model asked for, else the conversation's, else the default. A new conversation keeps it.
fn choose_model(
    inner: &Inner,
    request: &TurnRequest,
    conversation: &mut Conversation,
) -> Result<ModelInfo> {
    let model = match (&request.model, &conversation.model) {
        (Some(name), _) => inner.providers.resolve(name)?,
        (None, Some(model)) => model.clone(),
        (None, None) => inner.providers.default_model().ok_or(TurnError::NoProvider)?.clone(),
    };
    let (_, info) = inner.providers.find(&model)?;
    conversation.model = Some(model);
    Ok(info)
}

fn accept_of(
    inner: &Inner,
    scope: &Scope,
    request: &TurnRequest,
    conversation: &Conversation,
    placed: &Placed,
    info: &ModelInfo,
    now: Timestamp,
) -> Result<Accept> {
    let turn = inner.ids.turn_id()?;
    let reply = match &request.reply {
        Some(id) => id.clone(),
        None => inner.ids.message_id()?,
    };
    let user_message = match (&placed.new_parts, &placed.answered) {
        (None, Some(answered)) => answered.id.clone(),
        _ => match &request.user_message {
            Some(id) => id.clone(),
            None => inner.ids.message_id()?,
        },
    };
    let message = placed.new_parts.as_ref().map(|parts| Message {
        id: user_message.clone(),
        conversation: conversation.id.clone(),
        parent: placed.parent.clone(),
        role: Role::User,
        parts: parts.clone(),
        created_at: now,
        turn: Some(turn.clone()),
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    });
    let accepted = TurnEvent {
        v: EVENT_VERSION,
        turn: turn.clone(),
        epoch: 1,
        seq: 1,
        event: EventKind::Accepted {
            conversation: conversation.id.clone(),
            user_message: user_message.clone(),
            reply: reply.clone(),
            model: info.model.clone(),
        },
    };
    Ok(Accept {
        conversation: conversation.clone(),
        user_message: message,
        turn: NewTurn {
            id: turn,
            conversation: conversation.id.clone(),
            kind: placed.kind.clone(),
            user_message,
            reply,
            model: info.model.clone(),
            owner: inner.owner.clone(),
            idempotency_key: request.idempotency_key.clone(),
            request_hash: request_hash(scope, request),
            created_at: now,
        },
        segment: EventSegment::encode(&[Arc::new(accepted)])?,
    })
}

/// What makes two requests the same under one idempotency key: everything but the ids that are
/// made up for it.
fn request_hash(scope: &Scope, request: &TurnRequest) -> String {
    let asked = (
        &request.conversation,
        &request.placement,
        &request.model,
        &request.instructions,
        &request.options,
    );
    let json = serde_json::to_string(&asked).unwrap_or_default();
    ContentHash::of([scope.user.as_str(), &json]).as_str().to_owned()
}
