//! A store with everything in it, and short forms for going through an archive.

#![expect(clippy::expect_used, reason = "fixtures are valid")]

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

use chat_archive::{
    ArchiveError, ArchiveErrorKind, ArchiveLine, ArchiveReader, ArchiveWriter, ExportReport,
    ExportScope, Failed, ImportOptions, ImportReport, LedgerPorts, Stores, export, import,
};
use chat_balance::{
    AccountKind, AccountSpec, AccountUnit, BalanceAdapter, Credit, CreditKind, HoldRequest,
    LegRequest, MemoryLedger, PRIORITY, Posting, Settlement,
};
use chat_persist::{
    Accept, AttemptAmount, EventSegment, Maintenance, MemoryStore, NewTurn, PersistenceAdapter,
    StepRecord, TurnRecord,
};
use chat_types::{
    AttemptKey, ContentHash, ContentPart, Conversation, EVENT_VERSION, EventKind, FileRecord,
    FinishReason, Message, MessageStatus, ModelOptions, Money, Opaque, Origin, Provenance, Purpose,
    Role, Scope, StepKey, StepState, Summary, Timestamp, TokenCount, TokenizerId, Tokens,
    TurnEvent, TurnFailure, TurnKind, TurnState, Usage, UsageSource,
};
use chat_usage::{MemoryUsageStore, UsageRow, UsageStore};

pub(crate) fn id<T>(text: &str) -> T
where
    T: FromStr,
    T::Err: Debug,
{
    text.parse().expect("fixtures use valid ids")
}

pub(crate) fn at(unix_ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(unix_ms)
}

pub(crate) fn scope(tenant: &str, user: &str) -> Scope {
    Scope::new(id(tenant), id(user))
}

pub(crate) fn ada() -> Scope {
    scope("acme", "ada")
}

/// The memory references.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) ledger: Arc<MemoryLedger>,
    pub(crate) usage: Arc<MemoryUsageStore>,
}

impl Memory {
    pub(crate) fn stores(&self) -> Stores {
        Stores {
            persistence: self.store.clone(),
            maintenance: self.store.clone(),
            ledger: Some(LedgerPorts {
                balance: self.ledger.clone(),
                maintenance: self.ledger.clone(),
            }),
            usage: self.usage.clone(),
        }
    }

    pub(crate) async fn export(&self) -> String {
        self.export_of(&ExportScope::All).await.0
    }

    pub(crate) async fn export_of(&self, scope: &ExportScope) -> (String, ExportReport) {
        let mut archive = Vec::new();
        let report = export(&self.stores(), scope, &mut archive, &mut |_| {}).await;
        (String::from_utf8(archive).expect("is text"), report.expect("exports"))
    }

    pub(crate) async fn import(&self, archive: &str) -> Result<ImportReport, Failed> {
        self.import_with(archive, ImportOptions::default()).await
    }

    pub(crate) async fn import_with(
        &self,
        archive: &str,
        options: ImportOptions,
    ) -> Result<ImportReport, Failed> {
        import(archive.as_bytes(), &self.stores(), options, &mut |_| {}).await
    }
}

/// All lines of an archive.
pub(crate) fn lines_of(archive: &str) -> Result<Vec<ArchiveLine>, ArchiveError> {
    let mut reader = ArchiveReader::new(archive.as_bytes())?;
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line()? {
        lines.push(line);
    }
    Ok(lines)
}

pub(crate) fn archive_of(lines: &[ArchiveLine]) -> String {
    let mut writer = ArchiveWriter::new(Vec::new()).expect("writes");
    for line in lines {
        writer.write(line).expect("writes");
    }
    let (archive, counts) = writer.finish().expect("finishes");
    assert_eq!(counts.total(), u64::try_from(lines.len()).expect("few"));
    String::from_utf8(archive).expect("is text")
}

#[track_caller]
pub(crate) fn assert_stopped(
    outcome: Result<ImportReport, Failed>,
    kind: ArchiveErrorKind,
) -> Failed {
    let failed = outcome.expect_err("is refused");
    assert_eq!(failed.source.kind(), kind, "{}", failed.source);
    failed
}

pub(crate) fn conversation(name: &str) -> Conversation {
    Conversation::new(id(name), format!("title of {name}"), at(1_000))
}

pub(crate) fn message(conversation: &str, name: &str, parent: Option<&str>, role: Role) -> Message {
    Message {
        id: id(name),
        conversation: id(conversation),
        parent: parent.map(id),
        role,
        parts: vec![ContentPart::text(format!("text of {name}"))],
        created_at: at(1_000),
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    }
}

/// `m-0` to `m-{count - 1}` on one branch of `c`, the head at the end.
pub(crate) fn long_conversation(count: usize) -> Vec<ArchiveLine> {
    let last = count.checked_sub(1).map(|last| format!("m-{last}"));
    let conversation = Conversation { head: last.as_deref().map(id), ..conversation("c") };
    let mut lines = vec![ArchiveLine::Conversation { scope: ada(), conversation }];
    lines.extend((0..count).map(|n| {
        let parent = n.checked_sub(1).map(|before| format!("m-{before}"));
        let role = if n % 2 == 0 { Role::User } else { Role::Assistant };
        let message = message("c", &format!("m-{n}"), parent.as_deref(), role);
        ArchiveLine::Message { message }
    }));
    lines
}

fn rich_messages() -> Vec<Message> {
    let count = TokenCount {
        tokens: Tokens::new(7),
        tokenizer: TokenizerId::new("o200k_base"),
        provenance: Provenance::Counted,
    };
    let origin = Origin { model: id("openai/o3"), api: "responses".into() };
    let question = Message {
        parts: vec![
            ContentPart::text("ü '\"\\ \u{1f600}\u{2028}\u{0}"),
            ContentPart::Image {
                file: id("f-image"),
                media_type: "image/png".into(),
                width_px: Some(3),
                height_px: None,
            },
            ContentPart::File {
                file: id("f-text"),
                name: "notes.txt".into(),
                media_type: "text/plain".into(),
            },
        ],
        token_counts: vec![count],
        ..message("tree", "u-1", None, Role::User)
    };
    let reply = Message {
        parts: vec![
            ContentPart::Reasoning {
                text: "thinking".into(),
                opaque: Some(Opaque { origin, data: "c2VhbGVk".into() }),
            },
            ContentPart::ToolCall {
                call_id: "call-1".into(),
                name: "search".into(),
                arguments: "{\"q\":\"tea\"}".into(),
            },
            ContentPart::ToolResult {
                call_id: "call-1".into(),
                text: "no results".into(),
                is_error: true,
            },
        ],
        turn: Some(id("t-done")),
        model: Some(id("openai/o3")),
        status: MessageStatus::Partial,
        finish_reason: Some(FinishReason::Length),
        ..message("tree", "r-1", Some("u-1"), Role::Assistant)
    };
    let summary = Summary {
        text: "They spoke of tea.".into(),
        covers_to: id("r-1"),
        covered: ContentHash::of(["tea"]),
        prompt_version: None,
    };
    let kept = Summary {
        text: "They spoke of tea; a summary.".into(),
        covers_to: id("s-1"),
        covered: ContentHash::of(["tea", "summary"]),
        prompt_version: Some(2),
    };
    let summed = Message {
        parts: vec![ContentPart::Summary { summary }],
        summary: Some(kept),
        ..message("tree", "s-1", Some("r-1"), Role::System)
    };
    vec![
        question,
        reply,
        message("tree", "r-2", Some("u-1"), Role::Assistant),
        summed,
        message("tree", "u-2", Some("s-1"), Role::User),
        message("tree", "edited", None, Role::User),
    ]
}

fn ended(name: &str, settled: StepState) -> TurnRecord {
    let step = |number: u32| StepKey { turn: id(name), step: number };
    TurnRecord {
        turn: NewTurn {
            id: id(name),
            conversation: id("tree"),
            kind: TurnKind::New { parent: None, parts: vec![ContentPart::text("asked")] },
            user_message: id("u-1"),
            reply: id("r-1"),
            model: id("openai/o3"),
            owner: id("o-1"),
            idempotency_key: Some(id(&format!("key-of-{name}"))),
            request_hash: format!("hash of {name}"),
            created_at: at(1_000),
        },
        state: TurnState::Truncated,
        epoch: 3,
        stop_requested: true,
        last_seq: 12,
        failure: Some(TurnFailure::new("length", "the cap was reached", false)),
        closed_at: Some(at(2_000)),
        steps: vec![
            StepRecord {
                key: step(1),
                purpose: Purpose::Summary,
                model: id("example/echo-1"),
                state: StepState::Released,
                attempts: 0,
                input_bound: Tokens::new(10),
                input_estimate: Tokens::new(9),
                opened_at: at(1_100),
                tier: None,
                amounts: Vec::new(),
            },
            StepRecord {
                key: step(2),
                purpose: Purpose::Reply,
                model: id("openai/o3"),
                state: settled,
                attempts: 2,
                input_bound: Tokens::new(200),
                input_estimate: Tokens::new(150),
                opened_at: at(1_200),
                tier: Some("flex".into()),
                amounts: vec![AttemptAmount {
                    attempt: 2,
                    usage: usage(),
                    source: UsageSource::Provider,
                    amount: Money::from_nano_usd(25),
                    price_version: "2026-01".into(),
                    provider_request_id: Some("req-1".into()),
                }],
            },
        ],
    }
}

fn usage() -> Usage {
    Usage {
        input_uncached: Tokens::new(100),
        cache_read: Tokens::new(20),
        cache_write: Tokens::new(3),
        output: Tokens::new(40),
        reasoning: Tokens::new(5),
    }
}

fn usage_row(turn: &str, source: UsageSource) -> UsageRow {
    UsageRow {
        key: AttemptKey { step: StepKey { turn: id(turn), step: 2 }, attempt: 2 },
        conversation: id("tree"),
        purpose: Purpose::Reply,
        model: id("openai/o3"),
        usage: usage(),
        source,
        amount: Money::from_nano_usd(25),
        price_version: "2026-01".into(),
        provider_request_id: Some("req-1".into()),
        at: at(2_000),
    }
}

fn file(name: &str) -> FileRecord {
    FileRecord {
        id: id(name),
        name: format!("{name} of ü.txt"),
        media_type: "text/plain".into(),
        size_bytes: 9_007_199_254_740_993,
        content: ContentHash::of([name]),
        created_at: at(900),
    }
}

/// A turn of `bob` that is running; its reply is the conversation's head.
async fn run_a_turn(store: &MemoryStore) {
    let bob = scope("acme", "bob");
    let turn = NewTurn {
        id: id("t-running"),
        conversation: id("live"),
        user_message: id("u-live"),
        reply: id("r-live"),
        idempotency_key: None,
        ..ended("t-running", StepState::Held).turn
    };
    let event = TurnEvent {
        v: EVENT_VERSION,
        turn: turn.id.clone(),
        epoch: 1,
        seq: 1,
        event: EventKind::TextDelta { part: 0, text: "a".into() },
    };
    let accept = Accept {
        conversation: conversation("live"),
        user_message: Some(message("live", "u-live", None, Role::User)),
        turn,
        segment: EventSegment::encode(&[event]).expect("encodes"),
    };
    store.accept(&bob, &accept).await.expect("accepts");
}

async fn spend(ledger: &MemoryLedger) {
    let spec = |name: &str, owner: Option<&Scope>, kind, opening| AccountSpec {
        id: id(name),
        owner: owner.map(|scope| scope.user.clone()),
        kind,
        opening: Money::from_nano_usd(opening),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    let bob = scope("acme", "bob");
    for (scope, spec) in [
        (ada(), spec("wallet:ada", Some(&ada()), AccountKind::Limited, 1_000)),
        (bob.clone(), spec("wallet:bob", Some(&bob), AccountKind::Limited, 500)),
        (ada(), spec("team", None, AccountKind::Unlimited, 0)),
        (
            scope("umbrella", "ada"),
            AccountSpec {
                unit: AccountUnit::Requests,
                ..spec("wallet:ada", None, AccountKind::Limited, 7)
            },
        ),
    ] {
        ledger.open_account(&scope, &spec, at(500)).await.expect("opens");
    }
    for (kind, key, expires_at) in
        [(CreditKind::Grant, "more", Some(at(9_000_000))), (CreditKind::Refund, "back", None)]
    {
        let credit = Credit {
            account: id("wallet:ada"),
            kind,
            key: key.into(),
            amount: Money::from_nano_usd(50),
            at: at(600),
            priority: PRIORITY,
            expires_at,
        };
        ledger.credit(&ada(), &credit).await.expect("credits");
    }
    let leg = |account: &str, amount: i64| LegRequest {
        account: id(account),
        amount: Money::from_nano_usd(amount),
        floor: Money::from_nano_usd(amount),
        refill: None,
        warn_below: None,
    };
    let request = |turn: &str, legs| HoldRequest {
        key: StepKey { turn: id(turn), step: 2 },
        legs,
        at: at(1_200),
    };
    for turn in ["t-done", "t-settling", "t-gone"] {
        let legs = vec![leg("wallet:ada", 20), leg("team", 20)];
        ledger.hold(&ada(), &request(turn, legs)).await.expect("holds");
    }
    let legs = vec![leg("wallet:bob", 30)];
    ledger.hold(&bob, &request("t-running", legs)).await.expect("holds");
    let postings =
        vec![Posting { attempt: 2, amount: Money::from_nano_usd(25), tokens: Tokens::ZERO }];
    let key = StepKey { turn: id("t-done"), step: 2 };
    let settlement = Settlement { key, postings, at: at(2_000) };
    ledger.settle(&ada(), &settlement).await.expect("settles beyond the hold");
    let gone = StepKey { turn: id("t-gone"), step: 2 };
    ledger.release(&ada(), &gone, at(1_900)).await.expect("releases");
}

/// A store with everything in it that an archive can hold, and a running turn, which it cannot.
pub(crate) async fn everything() -> Memory {
    let memory = Memory::default();
    let store = &memory.store;
    let tree = Conversation {
        head: Some(id("u-2")),
        model: Some(id("openai/o3")),
        instructions: Some("Be kind.\nBe short.".into()),
        options: ModelOptions {
            temperature: Some(0.1 + 0.2),
            top_p: Some(1.0 / 3.0),
            output_tokens_max: Some(Tokens::new(512)),
            stop: vec!["END".into()],
            seed: Some(42),
            reasoning_effort: Some("high".into()),
        },
        updated_at: at(2_000),
        ..conversation("tree")
    };
    store.import(&ada(), &tree, &rich_messages()).await.expect("imports");
    let ending = Conversation { archived: true, expires_at: Some(at(9_000)), ..conversation("-") };
    store.import(&ada(), &ending, &[]).await.expect("imports");
    let theirs = [message("tree", "u-1", None, Role::User)];
    store.import(&scope("umbrella", "ada"), &conversation("tree"), &theirs).await.expect("imports");
    run_a_turn(store).await;
    store.keep_files(&ada(), &[file("f-text"), file("f-image"), file("-")]).await.expect("keeps");
    store.keep_files(&scope("acme", "bob"), &[file("f-text")]).await.expect("keeps");
    let turns = [
        (ada(), ended("t-done", StepState::Settled)),
        (ada(), ended("t-settling", StepState::Settling)),
    ];
    store.restore_turns(&turns).await.expect("restores");
    spend(&memory.ledger).await;
    let rows = [
        usage_row("t-done", UsageSource::Provider),
        UsageRow { provider_request_id: None, ..usage_row("t-elsewhere", UsageSource::Imported) },
    ];
    memory.usage.record(&ada(), &rows).await.expect("records");
    let rows = [usage_row("t-theirs", UsageSource::Estimated)];
    memory.usage.record(&scope("acme", "bob"), &rows).await.expect("records");
    memory
}
