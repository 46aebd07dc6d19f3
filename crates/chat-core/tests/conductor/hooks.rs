//! Guards and observers: C6, C13 to C15, C19.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use chat_core::{GuardRefusal, LifecycleEvent, LifecycleObserver, PromptGuard, TurnRequest};
use chat_types::{Cursor, Prompt, Scope, TurnState};

use crate::common::*;

/// Refuses every prompt that holds the word.
#[derive(Debug)]
pub(crate) struct RefusesWord(pub(crate) &'static str);

#[async_trait]
impl PromptGuard for RefusesWord {
    async fn check(&self, _scope: &Scope, prompt: &Prompt) -> Result<(), GuardRefusal> {
        let all = serde_json::to_string(prompt).expect("has a JSON form");
        if all.contains(self.0) {
            let reason = "matches the policy on secrets".to_owned();
            return Err(GuardRefusal { reason });
        }
        Ok(())
    }
}

/// Lets nothing through and never answers: the turn stands still before its first step.
#[derive(Debug)]
pub(crate) struct NeverAnswers;

#[async_trait]
impl PromptGuard for NeverAnswers {
    async fn check(&self, _scope: &Scope, _prompt: &Prompt) -> Result<(), GuardRefusal> {
        std::future::pending().await
    }
}

#[derive(Debug, Default)]
struct Marks(Mutex<Vec<LifecycleEvent>>);

impl LifecycleObserver for Marks {
    fn observe(&self, event: &LifecycleEvent) {
        self.lock().push(event.clone());
    }
}

impl Marks {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<LifecycleEvent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tokio::test(start_paused = true)]
async fn c06_c19_marks_come_in_order_and_say_whether_the_conversation_is_new() {
    let world = World::saying(&["ok"]);
    let marks = Arc::new(Marks::default());
    let observer = Arc::clone(&marks) as Arc<dyn LifecycleObserver>;
    let client = world.builder().observer(observer).start().await;
    let client = client.expect("starts");
    let (first, _) = complete(&client, TurnRequest::text("hi")).await;
    let names: Vec<&str> = marks
        .lock()
        .iter()
        .map(|mark| match mark {
            LifecycleEvent::Accepted { .. } => "accepted",
            LifecycleEvent::PromptBuilt { .. } => "prompt built",
            LifecycleEvent::Dispatched { .. } => "dispatched",
            LifecycleEvent::FirstDelta { .. } => "first delta",
            LifecycleEvent::Closed { .. } => "closed",
            LifecycleEvent::Settled { .. } => "settled",
            _ => "unknown",
        })
        .collect();
    let expected = ["accepted", "prompt built", "dispatched", "first delta", "closed", "settled"];
    assert_eq!(names, expected);
    let accepted = LifecycleEvent::Accepted {
        turn: first.id().clone(),
        conversation: first.conversation().clone(),
        user_message: first.user_message().clone(),
        reply: first.reply().clone(),
        new_conversation: true,
    };
    assert_eq!(marks.lock()[0], accepted);
    marks.lock().clear();
    let request = TurnRequest::text("on").in_conversation(first.conversation().clone());
    complete(&client, request).await;
    assert!(matches!(marks.lock()[0], LifecycleEvent::Accepted { new_conversation: false, .. }));
}

#[tokio::test(start_paused = true)]
async fn c14_c15_a_refused_prompt_is_never_sent_nor_repeated() {
    let world = World::saying(&["ok"]).with_credit(1_000_000_000);
    let guard = Arc::new(RefusesWord("hunter2"));
    let client = world.builder().prompt_guard(guard).start().await;
    let client = client.expect("starts");
    let (turn, outcome) = complete(&client, TurnRequest::text("my password is hunter2")).await;
    assert_eq!(outcome.state, TurnState::Rejected);
    let failure = outcome.failure.expect("says why");
    assert_eq!(failure.code, "content_refused");
    assert!(!failure.retryable);
    assert_eq!(failure.message, "the prompt was refused: matches the policy on secrets");
    assert_eq!(world.provider.calls(), vec![]);
    let told = read(&client, turn.id(), Cursor::START).await;
    let told = serde_json::to_string(&told.iter().map(AsRef::as_ref).collect::<Vec<_>>());
    assert!(!told.expect("has a JSON form").contains("hunter2"));
    let kept = world.message(&ada(), turn.conversation(), turn.user_message()).await;
    assert!(kept.is_some(), "the user's message stays");
    assert_eq!(world.rows(&ada()).await, vec![]);
    assert_sound(&client).await;
}

#[tokio::test(start_paused = true)]
async fn c15_the_guard_sees_what_is_sent_and_not_what_was_cut_from_the_window() {
    let mut world = World::saying(&["ok"]);
    world.provider = world.provider.with_window(chat_types::Tokens::new(400));
    let plain = world.start().await;
    let secret = format!("hunter2 {}", "word ".repeat(100));
    let (first, _) = complete(&plain, TurnRequest::text(secret)).await;
    let guard = Arc::new(RefusesWord("hunter2"));
    let client = world.builder().prompt_guard(guard).start().await;
    let client = client.expect("starts");
    let in_it = |said: &str| TurnRequest::text(said).in_conversation(first.conversation().clone());
    let (_, outcome) = complete(&client, in_it("short")).await;
    assert_eq!(outcome.state, TurnState::Rejected, "history is checked too");
    let (_, outcome) = complete(&client, in_it(&"long ".repeat(60))).await;
    assert_eq!(outcome.state, TurnState::Completed, "it was cut");
}
