//! The stored shapes, as an operator's shell sees them: a change here is a change of every file.

use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, HoldRequest, LegRequest,
};
use chat_persist::{AttemptAmount, NewStep, PersistenceAdapter, StepClose};
use chat_types::{
    AccountId, ContentHash, ContentPart, FileId, FileRecord, FinishReason, MessageStatus, Money,
    Opaque, Origin, Provenance, Purpose, StepKey, Summary, TokenCount, TokenizerId, Tokens,
    TurnFailure, TurnKind, TurnState, Usage, UsageSource,
};
use sqlx::Row as _;

use crate::common::{World, at, completed, fence, first_turn, message_id, model, scope};

/// The row of a query as `column: value` lines, JSON columns laid out.
async fn shape(world: &World, query: &'static str) -> String {
    let mut shell = world.shell().await;
    let row = sqlx::query(query).fetch_one(&mut shell).await.expect("one row");
    let columns: Vec<String> = (0..row.len())
        .map(|place| {
            let text: String = row.try_get(place).expect("a text");
            match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(json) => serde_json::to_string_pretty(&json).expect("has a JSON form"),
                Err(_) => text,
            }
        })
        .collect();
    columns.join("\n")
}

/// One part of each kind.
fn every_part() -> Vec<ContentPart> {
    let opaque = Opaque {
        origin: Origin { model: model(), api: "chat_completions".to_owned() },
        data: "c2VhbGVk".to_owned(),
    };
    vec![
        ContentPart::text("Hello \"world\""),
        ContentPart::Reasoning { text: "hm".to_owned(), opaque: Some(opaque) },
        ContentPart::Image {
            file: FileId::new("f-1").expect("valid"),
            media_type: "image/png".to_owned(),
            width_px: Some(640),
            height_px: None,
        },
        ContentPart::File {
            file: FileId::new("f-2").expect("valid"),
            name: "notes.pdf".to_owned(),
            media_type: "application/pdf".to_owned(),
        },
        ContentPart::ToolCall {
            call_id: "call-1".to_owned(),
            name: "search".to_owned(),
            arguments: "{}".to_owned(),
        },
        ContentPart::ToolResult {
            call_id: "call-1".to_owned(),
            text: "found".to_owned(),
            is_error: false,
        },
        ContentPart::Summary {
            summary: Summary {
                text: "so far".to_owned(),
                covers_to: message_id("u-0"),
                covered: ContentHash::from_stored("00ff".to_owned()),
                prompt_version: None,
            },
        },
    ]
}

#[tokio::test]
async fn a_message_is_stored_like_this() {
    let world = World::new();
    let store = world.store().await;
    let accept = first_turn("1", "hi");
    store.accept(&scope(), &accept).await.expect("accepts");
    let mut close = completed(&accept, "yes");
    if let Some(reply) = &mut close.message {
        reply.parts = every_part();
        reply.turn = Some(accept.turn.id.clone());
        reply.model = Some(model());
        reply.status = MessageStatus::Partial;
        reply.finish_reason = Some(FinishReason::Length);
        reply.token_counts = vec![TokenCount {
            tokens: Tokens::new(7),
            tokenizer: TokenizerId::from_static("o200k_base"),
            provenance: Provenance::Counted,
        }];
        reply.summary = Some(Summary {
            text: "they greeted".to_owned(),
            covers_to: message_id("r-1"),
            covered: ContentHash::from_stored("ff00".to_owned()),
            prompt_version: Some(2),
        });
    }
    store.close_turn(&fence(&accept), &close).await.expect("closes");
    let read = store.message(&scope(), &accept.turn.conversation, &accept.turn.reply).await;
    assert_eq!(read.ok().flatten(), close.message);
    insta::assert_snapshot!(
        shape(&world, "SELECT role, record, token_counts, summary FROM messages WHERE id = 'r-1'")
            .await
    );
}

#[tokio::test]
async fn a_step_is_stored_like_this() {
    let world = World::new();
    let store = world.store().await;
    let accept = first_turn("1", "hi");
    store.accept(&scope(), &accept).await.expect("accepts");
    let step = NewStep {
        step: 1,
        purpose: Purpose::Reply,
        model: model(),
        input_bound: Tokens::new(100),
        input_estimate: Tokens::new(80),
        opened_at: at(5),
        tier: None,
        dispatched: true,
    };
    store.open_step(&fence(&accept), &step).await.expect("opens");
    let amount = AttemptAmount {
        attempt: 1,
        usage: Usage {
            input_uncached: Tokens::new(1),
            cache_read: Tokens::new(2),
            cache_write: Tokens::new(3),
            output: Tokens::new(4),
            reasoning: Tokens::new(5),
        },
        source: UsageSource::Provider,
        amount: Money::from_nano_usd(123_456),
        price_version: "2026-01-01".to_owned(),
        provider_request_id: Some("req-1".to_owned()),
    };
    let close = StepClose { step: 1, amounts: vec![amount] };
    store.close_step(&fence(&accept), &close).await.expect("closes");
    insta::assert_snapshot!(
        shape(
            &world,
            "SELECT purpose, model, state, \"attempts\" || '', amounts, settling_since || ''
               FROM steps"
        )
        .await
    );
}

#[tokio::test]
async fn a_failed_turn_is_stored_like_this() {
    let world = World::new();
    let store = world.store().await;
    let mut accept = first_turn("1", "hi");
    accept.turn.kind = TurnKind::Edit { message: message_id("u-0"), parts: every_part() };
    accept.conversation.options.stop = vec!["END".to_owned()];
    accept.conversation.options.temperature = Some(0.5);
    store.accept(&scope(), &accept).await.expect("accepts");
    let mut close = completed(&accept, "");
    close.state = TurnState::Rejected;
    close.message = None;
    close.failure = Some(TurnFailure::new("insufficient_funds", "top up", false));
    store.close_turn(&fence(&accept), &close).await.expect("closes");
    let read = store.turn(&scope(), &accept.turn.id).await.expect("reads").expect("is there");
    assert_eq!((read.turn.kind, read.failure), (accept.turn.kind.clone(), close.failure));
    insta::assert_snapshot!(
        shape(
            &world,
            "SELECT t.state, t.kind, t.failure, c.options, c.head
               FROM turns t JOIN conversations c ON c.pk = t.conversation"
        )
        .await
    );
}

#[tokio::test]
async fn a_hold_is_stored_like_this() {
    let world = World::new();
    let store = world.store().await;
    let account = AccountId::new("ada").expect("valid");
    let spec = AccountSpec {
        id: account.clone(),
        owner: None,
        kind: AccountKind::Limited,
        opening: Money::from_nano_usd(1_000),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    store.open_account(&scope(), &spec, at(1)).await.expect("opens");
    let request = HoldRequest {
        key: StepKey { turn: first_turn("1", "hi").turn.id, step: 1 },
        legs: vec![LegRequest {
            account,
            amount: Money::from_nano_usd(600),
            floor: Money::from_nano_usd(600),
            refill: None,
            warn_below: None,
        }],
        at: at(2),
    };
    store.hold(&scope(), &request).await.expect("holds");
    insta::assert_snapshot!(
        shape(
            &world,
            "SELECT h.state, h.legs, a.kind, a.granted || '', a.held || '', e.debit, e.credit,
                    e.kind, e.reference
               FROM holds h, accounts a, entries e"
        )
        .await
    );
}

#[tokio::test]
async fn a_file_is_stored_like_this() {
    let world = World::new();
    let store = world.store().await;
    let file = FileRecord {
        id: FileId::new("f-1").expect("valid"),
        name: "notes.txt".to_owned(),
        media_type: "text/plain".to_owned(),
        size_bytes: 12,
        content: ContentHash::from_stored("00ff".to_owned()),
        created_at: at(1_000),
    };
    store.keep_files(&scope(), &[file]).await.expect("keeps");
    let query = "SELECT CAST(scope AS TEXT), id, name, media_type, CAST(size_bytes AS TEXT),
        content, CAST(created_at AS TEXT) FROM files";
    insta::assert_snapshot!(shape(&world, query).await);
}

#[tokio::test]
async fn the_schema_has_these_tables() {
    let world = World::new();
    drop(world.store().await);
    let query = "SELECT group_concat(line, char(10)) FROM (
        SELECT type || ' ' || name || ' on ' || tbl_name AS line FROM sqlite_schema
         WHERE name NOT LIKE 'sqlite_%' ORDER BY 1)";
    insta::assert_snapshot!(shape(&world, query).await);
}

#[tokio::test]
async fn entries_are_never_changed_or_deleted() {
    let world = World::new();
    let store = world.store().await;
    let spec = AccountSpec {
        id: AccountId::new("ada").expect("valid"),
        owner: None,
        kind: AccountKind::Limited,
        opening: Money::from_nano_usd(1_000),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    store.open_account(&scope(), &spec, at(1)).await.expect("opens");
    let mut shell = world.shell().await;
    for tampering in ["UPDATE entries SET amount = 1", "DELETE FROM entries"] {
        let refused = sqlx::query(tampering).execute(&mut shell).await.expect_err("is refused");
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}
