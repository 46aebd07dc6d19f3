//! What is read, in which order, and what goes wrong on the way.

use async_trait::async_trait;
use chat_context::{ContextRequest, ConversationContext};
use chat_thread::{BranchError, BranchReader};
use chat_types::{
    BranchPage, ContentPart, ItemFate, Message, MessageId, Opaque, Origin, Role, Section, Tokens,
};

use crate::common::{Case, WordCounter, chain, counted, id, message, model, sent};

#[derive(Debug)]
struct BrokenStore;

#[async_trait]
impl BranchReader for BrokenStore {
    async fn page(&self, _head: &MessageId, _limit: usize) -> Result<BranchPage, BranchError> {
        Err(BranchError::unavailable("no answer"))
    }
}

/// Pages of one, whose `next` is not checked: as a store may do that joins nothing.
#[derive(Debug)]
struct OneByOne(Vec<Message>);

#[async_trait]
impl BranchReader for OneByOne {
    async fn page(&self, head: &MessageId, _limit: usize) -> Result<BranchPage, BranchError> {
        let message = self.0.iter().find(|message| &message.id == head);
        let message = message.ok_or_else(BranchError::not_found)?.clone();
        Ok(BranchPage { next: message.parent.clone(), messages: vec![message] })
    }
}

async fn build_with(
    reader: &dyn BranchReader,
    tail: &Message,
) -> Result<chat_context::BuiltContext, chat_context::ContextError> {
    let (counter, model) = (WordCounter::default(), model(1_000));
    let request = ContextRequest::new(reader, std::slice::from_ref(tail), &model, &counter);
    ConversationContext::new().build(request).await
}

#[tokio::test]
async fn a_store_that_does_not_answer_is_passed_on() {
    let tail = message("q", Some("p"), Role::User, "hi");
    let error = build_with(&BrokenStore, &tail).await.expect_err("failed");
    assert_eq!((error.code(), error.is_transient()), ("history_unavailable", true));
}

#[tokio::test]
async fn a_parent_that_is_not_there_is_refused_but_a_broken_chain_is_read_as_far_as_it_goes() {
    let tail = message("q", Some("a"), Role::User, "hi");
    let error = build_with(&OneByOne(vec![]), &tail).await.expect_err("refused");
    assert_eq!((error.code(), error.is_transient()), ("message_not_found", false));

    let orphan = message("a", Some("gone"), Role::Assistant, "hello");
    let built = build_with(&OneByOne(vec![orphan]), &tail).await.expect("built");
    assert_eq!(sent(&built), ["a", "q"]);
    assert_eq!(built.report.notes, ["the branch is broken: an older message is not there"]);
    assert_eq!(built.report.cut_before, None);
}

#[tokio::test]
async fn a_cycle_ends_the_reading() {
    let cyclic = vec![
        message("a", Some("b"), Role::Assistant, "one"),
        message("b", Some("a"), Role::User, "two"),
    ];
    let tail = message("q", Some("a"), Role::User, "hi");
    for reader in
        [&OneByOne(cyclic.clone()) as &dyn BranchReader, &chat_thread::MemoryBranch::new(cyclic)]
    {
        let built = build_with(reader, &tail).await.expect("built");
        assert_eq!(sent(&built), ["b", "a", "q"]);
        assert_eq!(built.report.notes, ["the branch closes a cycle: reading ended there"]);
    }
}

#[tokio::test]
async fn messages_that_count_as_nothing_do_not_make_it_read_forever() {
    let case = Case::new(chain(&vec![0; 20_000]), 100);
    let built = case.build().await;
    assert!(case.reader.read().1 <= 16_384 + 256);
    assert!(built.report.cut_before.is_some());
    assert_eq!(built.report.notes, ["more messages than may be read for one prompt"]);
}

#[tokio::test]
async fn a_continued_reply_and_its_question_are_always_sent() {
    let mut messages = chain(&[40, 40, 5]);
    let mut reply = counted(message("r", Some("m-2"), Role::Assistant, "so far"), 2);
    reply.status = chat_types::MessageStatus::Partial;
    messages.push(reply);
    let mut case = Case::new(messages, 51);
    let question = chain(&[40, 40, 5]).remove(2);
    case.tail.insert(0, question);
    let built = case.build().await;
    assert_eq!(sent(&built), ["m-1", "m-2", "r"]);
    let sections: Vec<Section> = built.prompt.items.iter().map(|item| item.section).collect();
    assert_eq!(sections, [Section::History, Section::User, Section::User]);
    assert_eq!(built.report.cut_before, Some(id("m-0")));
}

#[tokio::test]
async fn a_tool_call_and_its_result_are_kept_or_dropped_together() {
    let call = Message {
        parts: vec![ContentPart::ToolCall {
            call_id: "c".into(),
            name: "look_up".into(),
            arguments: "{}".into(),
        }],
        ..message("call", Some("m-0"), Role::Assistant, "")
    };
    let result = Message {
        parts: vec![ContentPart::ToolResult {
            call_id: "c".into(),
            text: "found".into(),
            is_error: false,
        }],
        ..message("result", Some("call"), Role::Tool, "")
    };
    let messages = |window| {
        let mut messages = chain(&[2]);
        messages.push(counted(call.clone(), 6));
        messages.push(counted(result.clone(), 4));
        messages.push(counted(message("q", Some("result"), Role::User, "and?"), 1));
        Case::new(messages, window)
    };
    let built = messages(14).build().await;
    assert_eq!(sent(&built), ["call", "result", "q"]);
    assert_eq!(built.report.cut_before, Some(id("m-0")));
    let built = messages(13).build().await;
    assert_eq!(sent(&built), ["q"]);
    assert_eq!(built.report.cut_before, Some(id("result")));
    assert_eq!(built.report.notes, [] as [String; 0]);

    let orphaned = Case::new(
        vec![
            counted(Message { parent: None, ..result }, 4),
            counted(message("q", Some("result"), Role::User, "and?"), 1),
        ],
        100,
    );
    let built = orphaned.build().await;
    assert_eq!(sent(&built), ["q"]);
    assert_eq!(
        built.report.notes,
        ["tool call c of message result has no counterpart and was left out"]
    );
}

fn sealed_by(model: &str) -> ContentPart {
    ContentPart::Reasoning {
        text: "thought".into(),
        opaque: Some(Opaque {
            origin: Origin { model: model.parse().expect("valid"), api: "chat_completions".into() },
            data: "sealed".into(),
        }),
    }
}

#[tokio::test]
async fn sealed_reasoning_goes_back_to_its_origin_only() {
    let open = ContentPart::Reasoning { text: "in the open".into(), opaque: None };
    let said = ContentPart::text("said aloud");
    let mut reply = counted(message("a", None, Role::Assistant, ""), 90);
    reply.parts = vec![open, sealed_by("p/m"), sealed_by("p/other"), said.clone()];
    let mut only_foreign = counted(message("b", Some("a"), Role::Assistant, ""), 90);
    only_foreign.parts = vec![sealed_by("other/m")];
    let case = Case::new(vec![reply, only_foreign, message("q", Some("b"), Role::User, "hi")], 100);
    let built = case.build().await;
    assert_eq!(sent(&built), ["a", "q"]);
    assert_eq!(built.prompt.items[0].parts, [sealed_by("p/m"), said]);
    assert_eq!(
        built.report.notes,
        ["sealed reasoning of 2 message(s) belongs to another model and was left out"]
    );
    let fates: Vec<(ItemFate, u64)> =
        built.report.items.iter().map(|item| (item.fate, item.tokens.get())).collect();
    assert_eq!(
        fates,
        [(ItemFate::Trimmed, 3), (ItemFate::Kept, 1), (ItemFate::Dropped, 0)],
        "what is left is counted, not what was stored",
    );
    let fresh: Vec<&str> = built.fresh_counts.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(fresh, ["q"], "a count of less than the whole message is not for storing");
    assert_eq!(built.report.input_tokens, Tokens::new(3 + 3 + 1));
}

#[tokio::test]
async fn building_can_move_between_threads() {
    fn must_be_send<T: Send>(future: T) -> T {
        future
    }
    let case = Case::new(chain(&[5]), 100);
    assert_eq!(sent(&must_be_send(case.build()).await), ["m-0"]);
}
