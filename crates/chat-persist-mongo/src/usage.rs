//! Usage rows: one per attempt that reached a provider, append-only, unique by their key.
//!
//! They need the same server as the ledger, because rows that are recorded together are there
//! together.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chat_types::{AttemptKey, Purpose, Scope, StepKey, TenantId, Tokens, Usage, UsageSource};
use chat_usage::{Result, UsageError, UsageQuery, UsageRow, UsageStore};
use mongodb::bson::{Bson, Document, doc};

use crate::MongoStore;
use crate::collections::USAGE;
use crate::error::{EngineResult, Failure, FailureKind, Outcome};
use crate::index::Index;
use crate::ledger_places::{Written, behind, place_of, written_order};
use crate::ledger_rows::Exact;
use crate::refusal::page_rows;
use crate::unit::{Cut, Unit};

/// Keys of one read: a filter of this many stays far below the size of a document.
const KEYS_MAX: usize = 1_000;

pub(crate) fn indexes() -> Vec<Index> {
    vec![
        Index::on(USAGE, written_order()),
        Index::on(USAGE, doc! { "tenant": 1, "user": 1, "written": 1 }),
        Index::on(USAGE, doc! { "tenant": 1, "user": 1, "conversation": 1, "written": 1 }),
    ]
}

#[async_trait]
impl UsageStore for MongoStore {
    async fn record(&self, scope: &Scope, rows: &[UsageRow]) -> Result<()> {
        self.money::<UsageError>("record usage")?;
        if rows.is_empty() {
            return Ok(());
        }
        let documents: EngineResult<Vec<Document>> =
            rows.iter().map(|row| document_of(scope, row)).collect();
        let documents = documents.map_err(|failure| usage_error(failure, "record usage"))?;
        let call = (scope.clone(), documents);
        self.write("record usage", call, |unit, (scope, documents)| {
            Box::pin(record(unit, scope, documents))
        })
        .await
    }

    async fn rows(&self, scope: &Scope, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        self.money::<UsageError>("read usage")?;
        let call = (scope.clone(), query.clone());
        self.read("read usage", call, |unit, (scope, query)| {
            Box::pin(async { Ok(read(unit, scope, query).await?) })
        })
        .await
    }

    async fn scan_rows(&self, after: u64, limit: u32) -> Result<Vec<(Scope, UsageRow)>> {
        let places = &self.money::<UsageError>("scan usage")?.usage;
        self.written("scan usage", USAGE, places, (after, limit), row_of).await
    }
}

fn usage_error(failure: Failure, operation: &'static str) -> UsageError {
    crate::error::PortError::of(failure, operation)
}

/// Rows that are there stay as they are. One that another writer is about to write is a taken key,
/// and the unit runs again.
async fn record(
    unit: &mut Unit<'_>,
    scope: &Scope,
    documents: &[Document],
) -> Outcome<(), UsageError> {
    let mut written = None;
    for chunk in documents.chunks(KEYS_MAX) {
        let ids: Vec<_> = chunk.iter().filter_map(|row| row.get("_id").cloned()).collect();
        let filter = doc! { "_id": { "$in": ids }, "tenant": scope.tenant.as_str() };
        let found = unit.find(USAGE, filter, Cut::default().only(doc! { "_id": 1 })).await?;
        let mut known: BTreeSet<String> = found.iter().map(id_text).collect();
        let written = match &mut written {
            Some(written) => written,
            none => none.insert(Written::by(unit)?),
        };
        let mut new = Vec::with_capacity(chunk.len());
        for row in chunk {
            if known.insert(id_text(row)) {
                let mut row = row.clone();
                row.insert("written", written.next());
                new.push(row);
            }
        }
        unit.insert_many(USAGE, &new).await?;
    }
    Ok(())
}

/// Equal for rows of equal keys.
fn id_text(row: &Document) -> String {
    row.get("_id").map(ToString::to_string).unwrap_or_default()
}

async fn read(
    unit: &mut Unit<'_>,
    scope: &Scope,
    query: &UsageQuery,
) -> EngineResult<Vec<UsageRow>> {
    let mut filter = doc! { "tenant": scope.tenant.as_str(), "user": scope.user.as_str() };
    if let Some(key) = &query.after {
        let mut wanted = filter.clone();
        wanted.insert("_id", usage_id(&scope.tenant, key));
        match unit.find_one(USAGE, wanted, Cut::default()).await? {
            Some(last) => filter.extend(behind(&place_of(&last)?)),
            None => return Ok(Vec::new()),
        }
    }
    if let Some(conversation) = &query.conversation {
        filter.insert("conversation", conversation.as_str());
    }
    let mut at = Document::new();
    if let Some(from) = query.from {
        at.insert("$gte", from.unix_ms());
    }
    if let Some(until) = query.until {
        at.insert("$lt", until.unix_ms());
    }
    if !at.is_empty() {
        filter.insert("at", at);
    }
    let limit = page_rows(if query.limit == 0 { u32::MAX } else { query.limit });
    let found = unit.find(USAGE, filter, Cut::sorted(written_order(), limit)).await?;
    found.iter().map(|document| Ok(row_of(document)?.1)).collect()
}

fn usage_id(tenant: &TenantId, key: &AttemptKey) -> Document {
    doc! {
        "tenant": tenant.as_str(),
        "turn": key.step.turn.as_str(),
        "step": i64::from(key.step.step),
        "attempt": i64::from(key.attempt),
    }
}

/// A count as it is stored. Beyond 2^63 nothing real is counted; it is refused, not wrapped.
fn count(tokens: Tokens) -> EngineResult<i64> {
    i64::try_from(tokens.get()).map_err(|_| {
        Failure::new(FailureKind::TooLarge, "a count of tokens is larger than 2^63 - 1")
    })
}

fn document_of(scope: &Scope, row: &UsageRow) -> EngineResult<Document> {
    Ok(doc! {
        "_id": usage_id(&scope.tenant, &row.key),
        "written": Bson::Null,
        "tenant": scope.tenant.as_str(),
        "user": scope.user.as_str(),
        "conversation": row.conversation.as_str(),
        "purpose": row.purpose.as_str(),
        "model": row.model.to_string(),
        "input_uncached": count(row.usage.input_uncached)?,
        "cache_read": count(row.usage.cache_read)?,
        "cache_write": count(row.usage.cache_write)?,
        "output": count(row.usage.output)?,
        "reasoning": count(row.usage.reasoning)?,
        "source": row.source.as_str(),
        "amount": row.amount.nano_usd(),
        "price_version": row.price_version.as_str(),
        "provider_request_id": row.provider_request_id.as_deref(),
        "at": row.at.unix_ms(),
    })
}

fn row_of(document: &Document) -> EngineResult<(Scope, UsageRow)> {
    let fields = Exact(document);
    let id = fields.document("_id")?;
    let tokens = |name: &str| fields.unsigned(name).map(Tokens::new);
    let row = UsageRow {
        key: AttemptKey {
            step: StepKey { turn: id.parsed("turn")?, step: id.small("step")? },
            attempt: id.small("attempt")?,
        },
        conversation: fields.parsed("conversation")?,
        purpose: fields.named("purpose", Purpose::from_stored)?,
        model: fields.parsed("model")?,
        usage: Usage {
            input_uncached: tokens("input_uncached")?,
            cache_read: tokens("cache_read")?,
            cache_write: tokens("cache_write")?,
            output: tokens("output")?,
            reasoning: tokens("reasoning")?,
        },
        source: fields.named("source", UsageSource::from_stored)?,
        amount: fields.money("amount")?,
        price_version: fields.text("price_version")?.to_owned(),
        provider_request_id: fields
            .optional("provider_request_id", |fields, name| fields.text(name).map(str::to_owned))?,
        at: fields.time("at")?,
    };
    Ok((Scope::new(id.parsed("tenant")?, fields.parsed("user")?), row))
}
