//! Every field, every id shape and every text comes back as it went in.

use std::sync::Arc;

use chat_types::{
    ContentHash, ContentPart, FinishReason, Message, MessageStatus, Opaque, Origin, Provenance,
    Role, Summary, TokenCount, TokenizerId, Tokens,
};

use crate::Store;
use crate::fixtures::{Sent, at, conversation, id, import, message, model, scope_of};

async fn check_round_trip(store: &Arc<dyn Store>, messages: &[Message]) {
    import(&**store, messages).await;
    for expected in messages {
        let stored = store
            .message(&crate::fixtures::scope(), &expected.conversation, &expected.id)
            .await
            .expect("reads");
        assert!(stored.as_ref() == Some(expected), "{} came back changed", expected.id);
    }
}

fn with_parts(name: &str, parts: Vec<ContentPart>) -> Message {
    Message { parts, ..message(name, None, Role::User) }
}

fn sealed() -> Opaque {
    Opaque {
        origin: Origin { model: model(), api: "chat_completions".into() },
        data: "c2VhbGVk+/==".into(),
    }
}

/// Every kind of part comes back, with its options set and not set.
pub async fn every_content_part_round_trips(store: &Arc<dyn Store>) {
    let image = |width_px, height_px| ContentPart::Image {
        file: id("f-1"),
        media_type: "image/png".into(),
        width_px,
        height_px,
    };
    let parts = vec![
        ContentPart::text("hello"),
        ContentPart::quote("what was said\nbefore"),
        ContentPart::quote(""),
        ContentPart::Reasoning { text: "hm".into(), opaque: None },
        ContentPart::Reasoning { text: String::new(), opaque: Some(sealed()) },
        image(None, None),
        image(Some(u32::MAX), Some(1)),
        ContentPart::File {
            file: id("f-2"),
            name: "../a b\\c.pdf".into(),
            media_type: "application/pdf".into(),
        },
        ContentPart::ToolCall {
            call_id: "call_1".into(),
            name: "search".into(),
            arguments: "{\"q\":  1.0}".into(),
        },
        ContentPart::ToolResult { call_id: "call_1".into(), text: "42".into(), is_error: false },
        ContentPart::ToolResult { call_id: "call_1".into(), text: String::new(), is_error: true },
        ContentPart::Summary {
            summary: Summary {
                text: "so far".into(),
                covers_to: id("m-0"),
                covered: ContentHash::of(["a"]),
                prompt_version: Some(u32::MAX),
            },
        },
        ContentPart::text(""),
    ];
    let each = parts
        .iter()
        .enumerate()
        .map(|(n, part)| with_parts(&format!("part-{n}"), vec![part.clone()]));
    let mut messages: Vec<Message> = each.collect();
    messages.push(with_parts("all", parts));
    messages.push(with_parts("none", Vec::new()));
    check_round_trip(store, &messages).await;
}

/// Every field of a message comes back.
pub async fn every_message_field_round_trips(store: &Arc<dyn Store>) {
    let count = |tokenizer: &'static str, provenance| TokenCount {
        tokens: Tokens::new(9_007_199_254_740_993),
        tokenizer: TokenizerId::from_static(tokenizer),
        provenance,
    };
    let full = Message {
        turn: Some(id("t-1")),
        model: Some(id("openrouter/meta-llama/Llama-3.1-8B:free")),
        status: MessageStatus::Partial,
        finish_reason: Some(FinishReason::Cancelled),
        token_counts: vec![
            count("o200k_base", Provenance::Reported),
            count("cl100k_base", Provenance::Counted),
            count("gguf:smollm2", Provenance::Calibrated),
            count("bytes", Provenance::Estimated),
        ],
        summary: Some(Summary {
            text: "so far".into(),
            covers_to: id("full"),
            covered: ContentHash::of(["a"]),
            prompt_version: Some(0),
        }),
        created_at: at(-1),
        ..message("full", None, Role::Assistant)
    };
    let mut messages = vec![full];
    for (n, role) in [Role::System, Role::User, Role::Assistant, Role::Tool].into_iter().enumerate()
    {
        messages.push(message(&format!("role-{n}"), Some("full"), role));
    }
    let reasons = [
        FinishReason::Stop,
        FinishReason::Length,
        FinishReason::ContentFilter,
        FinishReason::ToolCalls,
    ];
    for (n, reason) in reasons.into_iter().enumerate() {
        messages.push(Message {
            finish_reason: Some(reason),
            created_at: at(4_102_444_800_123),
            ..message(&format!("reason-{n}"), Some("full"), Role::Assistant)
        });
    }
    check_round_trip(store, &messages).await;
}

/// Ids of every legal shape name what they name, and nothing else.
pub async fn ids_of_every_shape_work(store: &Arc<dyn Store>) {
    let long = "x".repeat(128);
    let almost = format!("{}y", "x".repeat(127));
    let shapes = [
        "a",
        "A",
        "0",
        "00",
        "-",
        "_",
        ":",
        "a:b_c-1",
        "a_b",
        "a-b",
        "a:b",
        "true",
        "null",
        "0198b0a0-0000-7000-8000-000000000000",
        "66f0c1d2e3a4b5c6d7e8f901",
        &long,
        &almost,
    ];
    for shape in shapes {
        let scope = scope_of(shape, shape);
        let mut sent = Sent::named("1").into_conversation(shape).keyed(shape).by(scope);
        sent.accept.turn.id = id(shape);
        sent.accept.turn.owner = id(shape);
        sent.accept.turn.user_message = id(shape);
        if let Some(message) = &mut sent.accept.user_message {
            message.id = id(shape);
            message.turn = Some(id(shape));
        }
        sent.complete(&**store).await;
    }
    for shape in shapes {
        let scope = scope_of(shape, shape);
        let found = store.conversations(&scope, &Default::default()).await.expect("lists");
        assert_eq!(found.conversations.len(), 1, "the scope {shape} has one conversation");
        let page = store.messages(&scope, &id(shape), None, 10).await.expect("reads");
        assert_eq!(crate::fixtures::ids(&page.messages), [shape, "r-1"]);
        let turn = store.turn(&scope, &id(shape)).await.expect("reads").expect("is there");
        assert_eq!(turn.turn.idempotency_key, Some(id(shape)));
        store.retire(&id(shape)).await.expect("retires");
    }
    assert_eq!(store.scan_steps(None, 100).await.expect("scans").len(), shapes.len());
}

/// Text of every script, composed and decomposed, comes back byte by byte.
pub async fn unicode_round_trips(store: &Arc<dyn Store>) {
    let texts = [
        "naïve e\u{301}\u{e9}",
        "日本語 한국어 العربية עברית",
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{1f3f4}\u{e0067}\u{e007f}",
        "\u{feff}bom \u{202e}override \u{2028}line \u{fffd} \u{10ffff}",
        "  leading, trailing\t\r\n\n ",
        "'; DROP TABLE messages; -- \" ` $where {\"$gt\": \"\"} %s \\u0041 \\",
    ];
    let messages: Vec<Message> = texts
        .iter()
        .enumerate()
        .map(|(n, text)| with_parts(&format!("m-{n}"), vec![ContentPart::text(*text)]))
        .collect();
    check_round_trip(store, &messages).await;
}

/// Control characters, NUL among them, come back.
pub async fn control_characters_round_trip(store: &Arc<dyn Store>) {
    let controls: String = ('\0'..='\u{1f}').chain(['\u{7f}', '\u{85}']).collect();
    let text = format!("before{controls}after\0");
    check_round_trip(store, &[with_parts("m", vec![ContentPart::text(text)])]).await;
}

/// A megabyte of text comes back.
pub async fn a_megabyte_round_trips(store: &Arc<dyn Store>) {
    let ascii = "x".repeat(1_000_000);
    let wide = "\u{1f600}".repeat(250_000);
    let messages = [
        with_parts("ascii", vec![ContentPart::text(ascii)]),
        with_parts("wide", vec![ContentPart::text(wide)]),
    ];
    check_round_trip(store, &messages).await;
}

/// A title and instructions of any characters come back.
pub async fn titles_take_any_text(store: &Arc<dyn Store>) {
    let scope = crate::fixtures::scope();
    for (n, title) in ["", " ", "a\0b", "\u{1f600}\n'\"\\%_"].into_iter().enumerate() {
        let mut expected = conversation(&format!("c-{n}"), 1_000);
        expected.title = title.into();
        expected.instructions = Some(title.into());
        store.import(&scope, &expected, &[]).await.expect("imports");
        let stored = store.conversation(&scope, &expected.id).await.expect("reads");
        assert_eq!(stored, Some(expected));
    }
}
