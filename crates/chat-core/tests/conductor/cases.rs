//! The reference system's acceptance cases of a turn, C1 to C19, and of reading history, H1 and H2.
//!
//! Cases that are kept elsewhere or differ on purpose: `docs/adr/0002-where-the-turn-differs.md`.

use std::sync::Arc;

use chat_core::{Placement, TurnRequest};
use chat_persist::PersistenceAdapter;
use chat_provider::{Exposure, ProviderErrorKind, ScriptedReply};
use chat_types::{
    Change, ContentPart, ConversationPatch, Cursor, FinishReason, Folded, MessageStatus,
    ModelOptions, Provenance, Role, Section, Tokens, TurnState,
};

use crate::common::*;

#[tokio::test(start_paused = true)]
async fn a_turn_is_streamed_stored_and_settled() {
    let world = World::saying(&["Hel", "lo"]);
    let client = world.start().await;
    let (turn, outcome) = complete(&client, TurnRequest::text("hi")).await;
    let events = read(&client, turn.id(), Cursor::START).await;
    assert_whole(&events);
    assert_eq!(outcome.state, TurnState::Completed);
    let folded = Folded::from_events(events.iter().map(AsRef::as_ref));
    assert_eq!(folded.parts, outcome.message.expect("stored").parts);
    client.drain().await;
    let audit = client.audit().run().await.expect("reads");
    assert!(audit.is_sound(), "{audit:?}");
    let counted = (audit.usage_rows, audit.ledger.entries, audit.steps_unsettled);
    assert_eq!(counted, (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn c01_a_reply_answers_its_user_message_and_carries_what_it_cost() {
    let world = World::saying(&["Paris", "."]);
    let client = world.start().await;
    let (turn, outcome) = complete(&client, TurnRequest::text("capital?")).await;
    let reply = outcome.message.expect("stored");
    assert_eq!(reply.id, *turn.reply());
    assert_eq!(reply.conversation, *turn.conversation());
    assert_eq!(reply.parent.as_ref(), Some(turn.user_message()));
    assert_eq!(reply.role, Role::Assistant);
    assert_eq!(reply.status, MessageStatus::Complete);
    assert_eq!(reply.finish_reason, Some(FinishReason::Stop));
    assert_eq!(reply.model.expect("kept").to_string(), "scripted/scripted-1");
    assert_eq!(reply.turn.as_ref(), Some(turn.id()));
    assert_eq!(reply.token_counts[0].provenance, Provenance::Reported);
    assert_eq!(outcome.usage, usage(10, 2));
    assert_eq!(outcome.cost, cost(&usage(10, 2)));
}

#[tokio::test(start_paused = true)]
async fn c02_ids_of_the_request_are_used() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let request = TurnRequest {
        user_message: Some(message_id("mine")),
        reply: Some(message_id("yours")),
        ..TurnRequest::text("hi").in_conversation_named(conversation_id("talk"))
    };
    let (turn, outcome) = complete(&client, request).await;
    assert_eq!(turn.conversation(), &conversation_id("talk"));
    assert_eq!(turn.user_message(), &message_id("mine"));
    assert_eq!(outcome.message.expect("stored").id, message_id("yours"));
    let next = Placement::After { parent: message_id("yours"), parts: text("and?") };
    let request = TurnRequest::placed(next).in_conversation(conversation_id("talk"));
    let (turn, _) = complete(&client, request).await;
    let second = world.message(&ada(), &conversation_id("talk"), turn.user_message()).await;
    assert_eq!(second.expect("stored").parent, Some(message_id("yours")));
}

#[tokio::test(start_paused = true)]
async fn c03_an_id_that_is_taken_is_refused_never_replaced() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let request = || TurnRequest { reply: Some(message_id("taken")), ..TurnRequest::text("hi") };
    complete(&client, request()).await;
    let refused = client.send_message(&ada(), request()).await;
    assert_eq!(refused.expect_err("refused").code(), "conflict");
    assert_eq!(world.provider.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn c04_an_edit_is_a_sibling_and_the_old_branch_stays() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let (first, _) = complete(&client, TurnRequest::text("old")).await;
    let edit = Placement::Edit { message: first.user_message().clone(), parts: text("new") };
    let request = TurnRequest::placed(edit).in_conversation(first.conversation().clone());
    let (second, outcome) = complete(&client, request).await;
    let read = async |id| world.message(&ada(), first.conversation(), id).await;
    let old = read(first.user_message()).await.expect("kept");
    let new = read(second.user_message()).await.expect("stored");
    assert_eq!((old.text(), new.text()), ("old".into(), "new".into()));
    assert_eq!(old.parent, new.parent);
    assert!(read(first.reply()).await.is_some());
    assert_eq!(outcome.message.expect("stored").parent, Some(new.id));
    let sent = &world.provider.calls()[1].request.prompt.items;
    assert_eq!(sent.len(), 1, "the old branch is not sent: {sent:?}");
}

#[tokio::test(start_paused = true)]
async fn c04_c08_a_continued_reply_starts_with_the_kept_parts_and_is_counted_whole() {
    let world = World::new(vec![ScriptedReply::text(&["Par"]), ScriptedReply::text(&["is"])]);
    let client = world.start().await;
    let (first, _) = complete(&client, TurnRequest::text("capital?")).await;
    let go_on = Placement::Continue { message: first.reply().clone() };
    let request = TurnRequest::placed(go_on).in_conversation(first.conversation().clone());
    let (second, outcome) = complete(&client, request).await;
    let reply = outcome.message.expect("stored");
    assert_ne!(reply.id, *first.reply(), "a sibling, not an overwrite");
    assert_eq!(reply.parts, text("Paris"));
    assert_eq!(reply.parent.as_ref(), Some(first.user_message()));
    assert_eq!(second.user_message(), first.user_message());
    assert_eq!(reply.token_counts[0].provenance, Provenance::Estimated);
    assert!(reply.token_counts[0].tokens > Tokens::new(1));
}

#[tokio::test(start_paused = true)]
async fn c05_options_change_by_patch_and_a_turns_own_come_first() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let kept = ModelOptions { temperature: Some(0.5), seed: Some(7), ..ModelOptions::default() };
    let request = TurnRequest::text("hi").with_options(kept.clone());
    let (turn, _) = complete(&client, request).await;
    let own = ModelOptions { temperature: Some(1.0), ..ModelOptions::default() };
    let in_it = || TurnRequest::text("on").in_conversation(turn.conversation().clone());
    complete(&client, in_it().with_options(own)).await;
    let patch = ConversationPatch { options: Change::Unset, ..ConversationPatch::default() };
    let patched = client.set_options(&ada(), turn.conversation(), &patch).await.expect("patched");
    complete(&client, in_it()).await;
    assert_eq!(patched.options, ModelOptions::default());
    let sent: Vec<_> = world.provider.calls();
    let sent: Vec<_> = sent.iter().map(|call| &call.request.options).collect();
    let merged = ModelOptions { temperature: Some(1.0), ..kept.clone() };
    assert_eq!(sent, vec![&kept, &merged, &ModelOptions::default()]);
}

#[tokio::test(start_paused = true)]
async fn c07_the_provider_gets_exactly_what_explain_shows() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let (first, _) =
        complete(&client, TurnRequest::text("one").with_instructions("be brief")).await;
    let request = || TurnRequest::text("two").in_conversation(first.conversation().clone());
    let explained = client.explain(&ada(), &request()).await.expect("explains");
    assert_eq!(world.provider.calls().len(), 1, "explain calls nobody");
    complete(&client, request()).await;
    let sent = world.provider.calls().pop().expect("called");
    let said = |prompt: &chat_types::Prompt| -> Vec<_> {
        let items = prompt.items.iter();
        items.map(|item| (item.section, item.role, item.parts.clone())).collect()
    };
    assert_eq!(said(&sent.request.prompt), said(&explained.prompt));
    assert_eq!(
        said(&explained.prompt),
        vec![
            (Section::Instructions, Role::System, text("be brief")),
            (Section::History, Role::User, text("one")),
            (Section::History, Role::Assistant, text("ok")),
            (Section::User, Role::User, text("two")),
        ]
    );
    assert_eq!(sent.request.input_tokens, explained.report.input_tokens);
}

#[tokio::test(start_paused = true)]
async fn c08_without_a_report_our_own_count_is_kept_and_billed() {
    let world =
        World::new(vec![ScriptedReply::new(vec![say("twelve chars"), finish(FinishReason::Stop)])]);
    let client = world.start().await;
    let (turn, outcome) = complete(&client, TurnRequest::text("hi")).await;
    let reply = outcome.message.expect("stored");
    assert_eq!(reply.token_counts[0].provenance, Provenance::Estimated);
    let row = &world.rows(&ada()).await[0];
    assert_eq!(row.source, chat_types::UsageSource::Estimated);
    assert_eq!(row.usage.output, Tokens::new(4), "12 letters and spaces");
    let step = &world.record(&ada(), turn.id()).await.steps[0];
    assert_eq!(row.usage.input_uncached, step.input_estimate);
    assert_eq!(row.amount, cost(&row.usage));
}

#[tokio::test(start_paused = true)]
async fn c09_the_user_message_is_durable_before_its_turn_has_a_handle() {
    let world = World::new(vec![ScriptedReply::new(vec![chat_provider::ScriptedStep::Hang])]);
    let client = world.start().await;
    let turn = send(&client, TurnRequest::text("hi")).await;
    let stored = world.message(&ada(), turn.conversation(), turn.user_message()).await;
    assert_eq!(stored.expect("durable").text(), "hi");
}

#[tokio::test(start_paused = true)]
async fn c11_the_hold_is_taken_settled_and_gone_on_every_way_out() {
    for reply in [
        ScriptedReply::text(&["ok"]),
        ScriptedReply::failure(ProviderErrorKind::Unavailable, Exposure::None),
        ScriptedReply::failure(ProviderErrorKind::Timeout, Exposure::Unknown),
        ScriptedReply::new(vec![say("a"), chat_provider::ScriptedStep::Cut]),
        ScriptedReply::new(vec![finish(FinishReason::Stop)]),
    ] {
        let world = World::new(vec![reply]).with_credit(1_000_000_000);
        let client = world.start().await;
        complete(&client, TurnRequest::text("hi")).await;
        assert_eq!(world.account(&ada()).await.held, chat_types::Money::ZERO);
        assert_sound(&client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn c12_usage_names_the_model_that_was_asked_never_an_alias() {
    let world = World::saying(&["ok"]);
    let model = "scripted/scripted-1".parse().expect("valid");
    let providers = chat_provider::ProviderRegistry::new()
        .with(Arc::new(world.provider.clone()))
        .with_alias("fast", model);
    let client = world
        .builder_with(Arc::new(world.ledger.clone()), providers)
        .start()
        .await
        .expect("starts");
    let (turn, _) = complete(&client, TurnRequest::text("hi").with_model("fast")).await;
    let row = &world.rows(&ada()).await[0];
    assert_eq!(row.model.to_string(), "scripted/scripted-1");
    assert_eq!(row.conversation, *turn.conversation());
    assert_eq!(row.purpose, chat_types::Purpose::Reply);
}

#[tokio::test(start_paused = true)]
async fn c17_a_patch_touches_what_it_names_and_nothing_else() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let request = TurnRequest::text("hi").with_instructions("be brief");
    let (turn, _) = complete(&client, request).await;
    let read = async || {
        let found = world.store.conversation(&ada(), turn.conversation()).await;
        found.expect("reads").expect("is there")
    };
    let before = read().await;
    let patch = ConversationPatch {
        title: Change::Set("Greeting".into()),
        instructions: Change::Unset,
        ..ConversationPatch::default()
    };
    client.set_options(&ada(), turn.conversation(), &patch).await.expect("patched");
    let expected =
        chat_types::Conversation { title: "Greeting".into(), instructions: None, ..before };
    assert_eq!(read().await, expected);
    let unknown = ConversationPatch {
        model: Change::Set("nobody/none".parse().expect("valid")),
        ..ConversationPatch::default()
    };
    let refused = client.set_options(&ada(), turn.conversation(), &unknown).await;
    assert_eq!(refused.expect_err("refused").code(), "unknown_model");
    assert_eq!(read().await, expected);
}

#[tokio::test(start_paused = true)]
async fn c18_the_head_follows_the_reply_and_messages_are_listed_in_order() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let (first, _) = complete(&client, TurnRequest::text("one")).await;
    world.clock.advance_ms(1_000);
    let request = TurnRequest::text("two").in_conversation(first.conversation().clone());
    let (second, _) = complete(&client, request).await;
    let conversation = world.store.conversation(&ada(), first.conversation()).await;
    let conversation = conversation.expect("reads").expect("is there");
    assert_eq!(conversation.head.as_ref(), Some(second.reply()));
    assert_eq!(conversation.updated_at.ms_since(conversation.created_at), 1_000);
    let listed = world.store.messages(&ada(), first.conversation(), None, 10).await;
    let listed = listed.expect("reads").messages;
    let ids: Vec<_> = listed.iter().map(|message| &message.id).collect();
    let expected = vec![first.user_message(), first.reply(), second.user_message(), second.reply()];
    assert_eq!(ids, expected);
}

#[tokio::test(start_paused = true)]
async fn h1_a_root_is_sent_alone_and_a_head_with_its_own_branch_only() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let (first, _) = complete(&client, TurnRequest::text("one")).await;
    let at_root = Placement::AtRoot { parts: text("two") };
    let request = TurnRequest::placed(at_root).in_conversation(first.conversation().clone());
    let (second, _) = complete(&client, request).await;
    let after = Placement::After { parent: first.reply().clone(), parts: text("three") };
    let request = TurnRequest::placed(after).in_conversation(first.conversation().clone());
    complete(&client, request).await;
    let sent: Vec<Vec<Vec<ContentPart>>> = world
        .provider
        .calls()
        .into_iter()
        .map(|call| call.request.prompt.items)
        .map(|items| items.into_iter().map(|item| item.parts).collect())
        .collect();
    assert_eq!(sent[1], vec![text("two")]);
    assert_eq!(sent[2], vec![text("one"), text("ok"), text("three")]);
    assert_ne!(second.reply(), first.reply());
}

#[tokio::test(start_paused = true)]
async fn h2_somebody_elses_conversation_is_not_there() {
    let world = World::saying(&["ok"]);
    let client = world.start().await;
    let (turn, _) = complete(&client, TurnRequest::text("secret")).await;
    let eve = scope("eve");
    let request = TurnRequest::text("hi").in_conversation(turn.conversation().clone());
    let refused = client.send_message(&eve, request).await;
    assert_eq!(refused.expect_err("refused").code(), "unknown_conversation");
    let below = Placement::After { parent: turn.reply().clone(), parts: text("hi") };
    let request = TurnRequest::placed(below).in_conversation_named(turn.conversation().clone());
    let refused = client.send_message(&eve, request).await;
    assert_eq!(refused.expect_err("refused").code(), "parent_missing");
    let refused = client.events(&eve, turn.id(), Cursor::START).await;
    assert_eq!(refused.expect_err("refused").code(), "not_found");
    let refused = client.stop(&eve, turn.id()).await;
    assert_eq!(refused.expect_err("refused").code(), "not_found");
    assert_eq!(client.turn(&eve, turn.id()).await.expect("reads"), None);
    assert_eq!(world.provider.calls().len(), 1);
}
