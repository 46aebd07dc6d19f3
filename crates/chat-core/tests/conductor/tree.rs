//! What a turn does to its conversation: titles, models, instructions, siblings, forks.

use std::sync::Arc;

use chat_core::{Placement, TurnRequest};
use chat_persist::PersistenceAdapter;
use chat_provider::{ProviderRegistry, ScriptedProvider, ScriptedReply, ScriptedStep};
use chat_thread::ForkMode;
use chat_types::{Change, ConversationPatch, FinishReason, ProviderId, Role, Section, TurnState};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn a_title_is_the_first_line_cut_to_what_a_list_shows() {
    let long = "x".repeat(100);
    for (said, title) in [
        ("\n  Hello there \nsecond line", "Hello there".to_owned()),
        (long.as_str(), format!("{}…", "x".repeat(79))),
    ] {
        let world = World::saying(&["ok"]);
        let client = world.start().await;
        let (turn, _) = complete(&client, TurnRequest::text(said)).await;
        let found = world.store.conversation(&ada(), turn.conversation()).await;
        assert_eq!(found.expect("reads").expect("is there").title, title);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_or_too_large_message_writes_nothing() {
    let mut world = World::saying(&["ok"]);
    world.config.message_bytes_max = 10;
    let client = world.start().await;
    for (said, code) in
        [("", "empty_message"), (" \n\t", "empty_message"), ("eleven bytes", "message_too_large")]
    {
        let refused = client.send_message(&ada(), TurnRequest::text(said)).await;
        assert_eq!(refused.expect_err("refused").code(), code);
    }
    let page = world.store.conversations(&ada(), &chat_persist::ConversationQuery::default()).await;
    assert_eq!(page.expect("reads").conversations, vec![]);
}

#[tokio::test(start_paused = true)]
async fn a_model_is_chosen_by_the_turn_else_by_the_conversation_else_by_default() {
    let world = World::saying(&["first"]);
    let other = ScriptedProvider::new(vec![ScriptedReply::text(&["second"])])
        .expect("valid")
        .with_id(ProviderId::new("other").expect("valid"));
    let providers = ProviderRegistry::new()
        .with(Arc::new(world.provider.clone()))
        .with(Arc::new(other.clone()));
    let builder = world.builder_with(Arc::new(world.ledger.clone()), providers);
    let client = builder.start().await.expect("starts");
    let said = async |request: TurnRequest| {
        let (turn, outcome) = complete(&client, request).await;
        (turn, outcome.message.expect("stored").text())
    };
    let (turn, reply) = said(TurnRequest::text("hi")).await;
    assert_eq!(reply, "first", "the default");
    let in_it = || TurnRequest::text("on").in_conversation(turn.conversation().clone());
    let (_, reply) = said(in_it().with_model("other/scripted-1")).await;
    assert_eq!(reply, "second", "the turn's own");
    let (_, reply) = said(in_it()).await;
    assert_eq!(reply, "second", "a chosen model stays with its conversation");
    let patch = ConversationPatch {
        model: Change::Set("scripted/scripted-1".parse().expect("valid")),
        ..ConversationPatch::default()
    };
    let patched = client.set_options(&ada(), turn.conversation(), &patch).await;
    patched.expect("patched");
    let (_, reply) = said(in_it()).await;
    assert_eq!(reply, "first", "the conversation's");
    let (turn, _) = said(TurnRequest::text("hi").with_model("other/scripted-1")).await;
    let in_it = TurnRequest::text("on").in_conversation(turn.conversation().clone());
    let (_, reply) = said(in_it).await;
    assert_eq!(reply, "second", "a new conversation keeps its first model");
    let rows = world.rows(&ada()).await;
    let dear = rows.iter().filter(|row| row.model.provider.as_str() == "other");
    assert!(dear.clone().count() == 4 && rows.len() == 6);
    assert!(dear.into_iter().all(|row| row.amount.nano_usd() == 10 * cost(&row.usage).nano_usd()));
    let refused =
        client.send_message(&ada(), TurnRequest::text("hi").with_model("nobody/none")).await;
    assert_eq!(refused.expect_err("refused").code(), "unknown_model");
}

#[tokio::test(start_paused = true)]
async fn the_products_instructions_come_before_the_conversations() {
    let world = World::saying(&["ok"]);
    let client = world.builder().instructions("be safe").start().await;
    let client = client.expect("starts");
    complete(&client, TurnRequest::text("hi").with_instructions("be brief")).await;
    let sent = world.provider.calls().remove(0).request.prompt.items;
    assert_eq!((sent[0].section, sent[0].role), (Section::Instructions, Role::System));
    let said = serde_json::to_string(&sent[0].parts).expect("has a JSON form");
    let (safe, brief) = (said.find("be safe"), said.find("be brief"));
    assert!(safe.is_some() && safe < brief, "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_continuation_sends_the_kept_reply_last_with_and_without_prefill() {
    for prefill in [true, false] {
        let mut world =
            World::new(vec![ScriptedReply::text(&["Par"]), ScriptedReply::text(&["is"])]);
        if !prefill {
            world.provider = world.provider.without_prefill();
        }
        let client = world.start().await;
        let (first, _) = complete(&client, TurnRequest::text("capital?")).await;
        let go_on = Placement::Continue { message: first.reply().clone() };
        let request = TurnRequest::placed(go_on).in_conversation(first.conversation().clone());
        let (second, outcome) = complete(&client, request).await;
        assert_eq!(outcome.message.expect("stored").parts, text("Paris"));
        let events = read(&client, second.id(), chat_types::Cursor::START).await;
        let folded = chat_types::Folded::from_events(events.iter().map(AsRef::as_ref));
        assert_eq!(folded.parts, text("Paris"), "its events tell the kept parts");
        let sent = world.provider.calls()[1].request.prompt.items.clone();
        let said: Vec<_> = sent.into_iter().map(|item| (item.role, item.parts)).collect();
        let expected = vec![(Role::User, text("capital?")), (Role::Assistant, text("Par"))];
        assert_eq!(said, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_continuation_bills_only_what_is_new() {
    let world = World::new(vec![
        ScriptedReply::text(&["twelve chars"]),
        ScriptedReply::new(vec![say("abc"), finish(FinishReason::Stop)]),
    ]);
    let client = world.start().await;
    let (first, _) = complete(&client, TurnRequest::text("hi")).await;
    let go_on = Placement::Continue { message: first.reply().clone() };
    let request = TurnRequest::placed(go_on).in_conversation(first.conversation().clone());
    complete(&client, request).await;
    assert_eq!(world.rows(&ada()).await[1].usage.output.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_regeneration_answers_again_beside_the_old_reply() {
    let world = World::new(vec![ScriptedReply::text(&["one"]), ScriptedReply::text(&["two"])]);
    let client = world.start().await;
    let (first, _) = complete(&client, TurnRequest::text("hi")).await;
    for message in [first.reply(), first.user_message()] {
        let again = Placement::Regenerate { message: message.clone() };
        let request = TurnRequest::placed(again).in_conversation(first.conversation().clone());
        let (second, outcome) = complete(&client, request).await;
        assert_eq!(second.user_message(), first.user_message());
        let reply = outcome.message.expect("stored");
        assert_eq!(reply.parent.as_ref(), Some(first.user_message()));
        assert_eq!(reply.text(), "two");
    }
    let old = world.message(&ada(), first.conversation(), first.reply()).await;
    assert_eq!(old.expect("kept").text(), "one");
    let sent = &world.provider.calls()[1].request.prompt.items;
    assert_eq!(sent.len(), 1, "the old reply is not sent: {sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_user_message_without_a_reply_can_be_answered_again() {
    let world = World::new(vec![
        ScriptedReply::new(vec![finish(FinishReason::Stop)]),
        ScriptedReply::text(&["at last"]),
    ]);
    let client = world.start().await;
    let (first, outcome) = complete(&client, TurnRequest::text("hi")).await;
    assert_eq!((outcome.state, outcome.message), (TurnState::Failed, None));
    let again = Placement::Regenerate { message: first.user_message().clone() };
    let request = TurnRequest::placed(again).in_conversation(first.conversation().clone());
    let (_, outcome) = complete(&client, request).await;
    assert_eq!(outcome.message.expect("stored").text(), "at last");
}

#[tokio::test(start_paused = true)]
async fn messages_are_refused_where_they_make_no_sense() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let (turn, _) = complete(&client, TurnRequest::text("hi")).await;
    let (user, reply) = (turn.user_message().clone(), turn.reply().clone());
    let unknown = message_id("unknown");
    for (placement, code) in [
        (Placement::Edit { message: reply, parts: text("x") }, "wrong_message"),
        (Placement::Continue { message: user }, "wrong_message"),
        (Placement::Regenerate { message: unknown.clone() }, "unknown_message"),
        (Placement::After { parent: unknown, parts: text("x") }, "parent_missing"),
    ] {
        let request = TurnRequest::placed(placement).in_conversation(turn.conversation().clone());
        let refused = client.send_message(&ada(), request).await;
        assert_eq!(refused.expect_err("refused").code(), code);
    }
    assert_eq!(world.provider.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_a_reply_that_is_still_being_written() {
    let world = World::new(vec![ScriptedReply::new(vec![ScriptedStep::Hang])]);
    let client = world.start().await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    let in_it = |request: TurnRequest| request.in_conversation(turn.conversation().clone());
    let after = Placement::After { parent: turn.reply().clone(), parts: text("more") };
    for request in [in_it(TurnRequest::text("more")), in_it(TurnRequest::placed(after))] {
        let refused = client.send_message(&ada(), request).await;
        assert_eq!(refused.expect_err("refused").code(), "parent_unfinished");
    }
    let beside = in_it(TurnRequest::placed(Placement::AtRoot { parts: text("aside") }));
    assert!(client.send_message(&ada(), beside).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_fork_is_a_conversation_of_its_own() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let (first, _) =
        complete(&client, TurnRequest::text("one").with_instructions("be brief")).await;
    let in_it = TurnRequest::text("two").in_conversation(first.conversation().clone());
    complete(&client, in_it).await;
    let fork = client
        .fork(&ada(), first.conversation(), first.reply(), ForkMode::DirectPath)
        .await
        .expect("forks");
    let read = async |id| {
        let page = world.store.messages(&ada(), id, None, 100).await;
        page.expect("reads").messages
    };
    let (source, copy) = (read(first.conversation()).await, read(&fork.id).await);
    let said: Vec<_> = copy.iter().map(chat_types::Message::text).collect();
    assert_eq!(said, ["one", "ok"]);
    assert!(copy.iter().all(|copied| source.iter().all(|message| message.id != copied.id)));
    assert_eq!(fork.head.as_ref(), Some(&copy[1].id));
    assert_eq!(fork.instructions.as_deref(), Some("be brief"));
    assert_eq!(fork.title, "one");
    let in_fork = TurnRequest::text("three").in_conversation(fork.id.clone());
    let (_, outcome) = complete(&client, in_fork).await;
    assert_eq!(outcome.state, TurnState::Completed);
    assert_eq!(read(first.conversation()).await, source, "the source stays as it is");
    let unknown = client
        .fork(&ada(), first.conversation(), &message_id("unknown"), ForkMode::DirectPath)
        .await;
    assert_eq!(unknown.expect_err("refused").code(), "unknown_message");
    let not_hers =
        client.fork(&scope("eve"), first.conversation(), first.reply(), ForkMode::DirectPath).await;
    assert_eq!(not_hers.expect_err("refused").code(), "unknown_conversation");
}

#[tokio::test(start_paused = true)]
async fn explain_writes_nothing_and_calls_nobody() {
    let world = World::saying(&["ok"]).with_credit(1_000_000_000);
    let client = world.start().await;
    let explained = client.explain(&ada(), &TurnRequest::text("hi")).await;
    let explained = explained.expect("explains");
    assert_eq!(explained.model.to_string(), "scripted/scripted-1");
    assert!(explained.quote.amount > explained.quote.floor);
    assert_eq!(world.provider.calls(), vec![]);
    let page = world.store.conversations(&ada(), &chat_persist::ConversationQuery::default()).await;
    assert_eq!(page.expect("reads").conversations, vec![]);
    let audit = client.audit().run().await.expect("reads");
    assert_eq!(audit, chat_core::AuditSummary::default());
}

#[tokio::test(start_paused = true)]
async fn a_continuation_that_says_nothing_new_tells_and_keeps_nothing() {
    for (last, state) in [
        (finish(FinishReason::Stop), TurnState::Failed),
        (ScriptedStep::Cut, TurnState::Failed),
        (ScriptedStep::Hang, TurnState::Aborted),
    ] {
        let kept = ScriptedReply::new(vec![say("Par"), finish(FinishReason::Length)]);
        let world = World::new(vec![kept, ScriptedReply::new(vec![last])]);
        let client = world.start().await;
        let (first, _) = complete(&client, TurnRequest::text("capital?")).await;
        let go_on = Placement::Continue { message: first.reply().clone() };
        let request = TurnRequest::placed(go_on).in_conversation(first.conversation().clone());
        let turn = send(&client, request).await;
        if state == TurnState::Aborted {
            while world.provider.calls_under_way() == 0 {
                tokio::task::yield_now().await;
            }
            turn.stop().await.expect("asked");
        }
        let outcome = end_of(&turn).await;
        assert_eq!((outcome.state, outcome.message), (state, None));
        let events = read(&client, turn.id(), chat_types::Cursor::START).await;
        let folded = chat_types::Folded::from_events(events.iter().map(AsRef::as_ref));
        assert_eq!(folded.parts, vec![]);
        let old = world.message(&ada(), first.conversation(), first.reply()).await;
        assert_eq!(old.expect("kept").text(), "Par");
    }
}
