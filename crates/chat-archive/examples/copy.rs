//! Copies one store into another, through an archive in memory.
//!
//! `cargo run -p chat-archive --example copy`

use std::error::Error;
use std::io::{Write as _, stdout};
use std::sync::Arc;

use chat_archive::{Counts, ExportScope, ImportOptions, LedgerPorts, Stores, export, import};
use chat_balance::{AccountKind, AccountSpec, AccountUnit, MemoryLedger};
use chat_persist::MemoryStore;
use chat_types::{
    AccountId, ContentPart, Conversation, ConversationId, Message, MessageId, MessageStatus, Money,
    Role, Scope, TenantId, Timestamp, UserId,
};
use chat_usage::MemoryUsageStore;

fn memory() -> Stores {
    let (store, ledger) = (Arc::new(MemoryStore::new()), Arc::new(MemoryLedger::new()));
    Stores {
        persistence: store.clone(),
        maintenance: store,
        ledger: Some(LedgerPorts { balance: ledger.clone(), maintenance: ledger }),
        usage: Arc::new(MemoryUsageStore::new()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (from, to) = (memory(), memory());
    let scope = Scope::new(TenantId::new("default")?, UserId::new("ada")?);
    let now = Timestamp::from_unix_ms(1_000);

    let mut conversation = Conversation::new(ConversationId::new("c-1")?, "Tea or coffee?", now);
    let question = Message {
        id: MessageId::new("m-1")?,
        conversation: conversation.id.clone(),
        parent: None,
        role: Role::User,
        parts: vec![ContentPart::text("Tea or coffee?")],
        created_at: now,
        turn: None,
        model: None,
        status: MessageStatus::Complete,
        finish_reason: None,
        token_counts: Vec::new(),
        summary: None,
    };
    conversation.head = Some(question.id.clone());
    from.persistence.import(&scope, &conversation, &[question]).await?;
    if let Some(ledger) = &from.ledger {
        let spec = AccountSpec {
            id: AccountId::new("wallet:ada")?,
            owner: Some(scope.user.clone()),
            kind: AccountKind::Limited,
            opening: Money::from_usd(10)?,
            unit: AccountUnit::Usd,
            refill: None,
            warn_below: None,
        };
        ledger.balance.open_account(&scope, &spec, now).await?;
    }

    let mut archive = Vec::new();
    export(&from, &ExportScope::All, &mut archive, &mut |_| {}).await?;
    let mut out = stdout();
    out.write_all(&archive)?;

    // The second run finds everything there and changes nothing.
    for run in 1..=2 {
        let mut progress = |_: &Counts| {};
        let options = ImportOptions::default();
        let report = import(archive.as_slice(), &to, options, &mut progress).await?;
        writeln!(
            out,
            "run {run}: {} lines, {} of {} conversations were there",
            report.lines.total(),
            report.conversations_there,
            report.lines.conversations
        )?;
    }
    let mut again = Vec::new();
    export(&to, &ExportScope::All, &mut again, &mut |_| {}).await?;
    writeln!(out, "byte for byte the same: {}", archive == again)?;
    Ok(())
}
