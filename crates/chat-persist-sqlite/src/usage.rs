//! Usage rows: one per attempt that reached a provider, append-only, unique by their key.

use async_trait::async_trait;
use chat_types::{AttemptKey, Purpose, Scope, StepKey, Tokens, Usage, UsageSource};
use chat_usage::{Result, UsageQuery, UsageRow, UsageStore};
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::SqliteStore;
use crate::error::EngineResult;
use crate::readers::Read;
use crate::refusal::page_rows;
use crate::row::{Columns, encode, stored};
use crate::session::{Session, fused};
use crate::writer::Write;

#[async_trait]
impl UsageStore for SqliteStore {
    async fn record(&self, scope: &Scope, rows: &[UsageRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let write = RecordUsage { scope: scope.clone(), rows: rows.to_vec() };
        self.write(write).await.map_err(|failure| failure.usage())
    }

    async fn rows(&self, scope: &Scope, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        let read = ReadUsage { scope: scope.clone(), query: query.clone() };
        self.read(read).await.map_err(|failure| failure.usage())
    }

    async fn scan_rows(&self, after: u64, limit: u32) -> Result<Vec<(Scope, UsageRow)>> {
        let read = ScanUsage { after, limit };
        self.read(read).await.map_err(|failure| failure.usage())
    }
}

struct RecordUsage {
    scope: Scope,
    rows: Vec<UsageRow>,
}

/// One row as the writing program takes it.
#[derive(Serialize)]
struct RowRecord<'a> {
    turn: &'a str,
    step: u32,
    attempt: u32,
    conversation: &'a str,
    purpose: &'static str,
    model: String,
    input_uncached: i64,
    cache_read: i64,
    cache_write: i64,
    output: i64,
    reasoning: i64,
    source: &'static str,
    amount: i64,
    price_version: &'a str,
    provider_request_id: Option<&'a str>,
    at: i64,
}

fn row_record(row: &UsageRow) -> EngineResult<RowRecord<'_>> {
    Ok(RowRecord {
        turn: row.key.step.turn.as_str(),
        step: row.key.step.step,
        attempt: row.key.attempt,
        conversation: row.conversation.as_str(),
        purpose: row.purpose.as_str(),
        model: row.model.to_string(),
        input_uncached: stored(row.usage.input_uncached.get())?,
        cache_read: stored(row.usage.cache_read.get())?,
        cache_write: stored(row.usage.cache_write.get())?,
        output: stored(row.usage.output.get())?,
        reasoning: stored(row.usage.reasoning.get())?,
        source: row.source.as_str(),
        amount: row.amount.nano_usd(),
        price_version: row.price_version.as_str(),
        provider_request_id: row.provider_request_id.as_deref(),
        at: row.at.unix_ms(),
    })
}

#[async_trait]
impl Write for RecordUsage {
    type Output = ();

    async fn apply(&self, session: &mut Session<'_>) -> EngineResult<()> {
        let records = self.rows.iter().map(row_record).collect::<EngineResult<Vec<_>>>()?;
        let query = sqlx::query(session.last(&fused!(
            "INSERT INTO usage (tenant, user, turn, step, attempt, conversation, purpose, model,
                    input_uncached, cache_read, cache_write, output, reasoning, source, amount,
                    price_version, provider_request_id, at)
             SELECT $1, $2, value ->> 'turn', value ->> 'step', value ->> 'attempt',
                    value ->> 'conversation', value ->> 'purpose', value ->> 'model',
                    value ->> 'input_uncached', value ->> 'cache_read', value ->> 'cache_write',
                    value ->> 'output', value ->> 'reasoning', value ->> 'source',
                    value ->> 'amount', value ->> 'price_version',
                    value ->> 'provider_request_id', value ->> 'at'
               FROM json_each($3) WHERE true ORDER BY key
             ON CONFLICT DO NOTHING"
        )))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(encode(&records)?);
        session.save(query).await
    }
}

/// The columns `row_of` reads, of table `u`.
macro_rules! columns {
    () => {
        "u.turn, u.step, u.attempt, u.conversation, u.purpose, u.model, u.input_uncached, \
         u.cache_read, u.cache_write, u.output, u.reasoning, u.source, u.amount, \
         u.price_version, u.provider_request_id, u.at"
    };
}

fn row_of(columns: &mut Columns<'_>) -> EngineResult<UsageRow> {
    Ok(UsageRow {
        key: AttemptKey {
            step: StepKey { turn: columns.parsed()?, step: columns.small()? },
            attempt: columns.small()?,
        },
        conversation: columns.parsed()?,
        purpose: columns.named(Purpose::from_stored)?,
        model: columns.parsed()?,
        usage: Usage {
            input_uncached: Tokens::new(columns.unsigned()?),
            cache_read: Tokens::new(columns.unsigned()?),
            cache_write: Tokens::new(columns.unsigned()?),
            output: Tokens::new(columns.unsigned()?),
            reasoning: Tokens::new(columns.unsigned()?),
        },
        source: columns.named(UsageSource::from_stored)?,
        amount: columns.money()?,
        price_version: columns.text()?.to_owned(),
        provider_request_id: columns.optional_text()?.map(str::to_owned),
        at: columns.time()?,
    })
}

struct ReadUsage {
    scope: Scope,
    query: UsageQuery,
}

#[async_trait]
impl Read for ReadUsage {
    type Output = Vec<UsageRow>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        let query = &self.query;
        let after = query.after.as_ref();
        let limit = if query.limit == 0 { u32::MAX } else { query.limit };
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM usage u
              WHERE u.tenant = $1 AND u.user = $2
                AND u.pk > CASE WHEN $3 IS NULL THEN 0 ELSE
                    (SELECT pk FROM usage WHERE tenant = $1 AND turn = $3 AND step = $4
                        AND attempt = $5 AND user = $2) END
                AND ($6 IS NULL OR u.conversation = $6)
                AND ($7 IS NULL OR u.at >= $7) AND ($8 IS NULL OR u.at < $8)
              ORDER BY u.pk LIMIT $9"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(after.map(|key| key.step.turn.as_str()))
        .bind(after.map(|key| i64::from(key.step.step)))
        .bind(after.map(|key| i64::from(key.attempt)))
        .bind(query.conversation.as_ref().map(|id| id.as_str()))
        .bind(query.from.map(chat_types::Timestamp::unix_ms))
        .bind(query.until.map(chat_types::Timestamp::unix_ms))
        .bind(page_rows(limit))
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| row_of(&mut Columns::of(row))).collect()
    }
}

struct ScanUsage {
    after: u64,
    limit: u32,
}

#[async_trait]
impl Read for ScanUsage {
    type Output = Vec<(Scope, UsageRow)>;

    async fn fetch(&self, connection: &mut SqliteConnection) -> EngineResult<Self::Output> {
        // Numbers count from 1 without gaps, so the number is the count skipped.
        let rows = sqlx::query(concat!(
            "SELECT u.tenant, u.user, ",
            columns!(),
            " FROM usage u WHERE u.pk > $1 ORDER BY u.pk LIMIT $2"
        ))
        .bind(i64::try_from(self.after).unwrap_or(i64::MAX))
        .bind(page_rows(self.limit))
        .fetch_all(connection)
        .await?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::of(row);
                let scope = Scope::new(columns.parsed()?, columns.parsed()?);
                Ok((scope, row_of(&mut columns)?))
            })
            .collect()
    }
}
