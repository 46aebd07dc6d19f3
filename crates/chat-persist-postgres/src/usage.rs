//! Usage rows: one per attempt that reached a provider, append-only, unique by their key.

use async_trait::async_trait;
use chat_types::{AttemptKey, Purpose, Scope, StepKey, Timestamp, Tokens, Usage, UsageSource};
use chat_usage::{Result, UsageQuery, UsageRow, UsageStore};
use sqlx::PgConnection;

use crate::PostgresStore;
use crate::error::EngineResult;
use crate::escape::{escape, unescape};
use crate::ledger_places::{Place, WrittenPage};
use crate::ledger_restore::ROWS_MAX;
use crate::refusal::page_rows;
use crate::row::{Columns, stored};
use crate::runner::{Read, Write};
use crate::session::Session;

#[async_trait]
impl UsageStore for PostgresStore {
    async fn record(&self, scope: &Scope, rows: &[UsageRow]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.billing().map_err(|failure| failure.usage())?;
        let write = RecordUsage { scope: scope.clone(), rows: rows.to_vec() };
        self.write(write).await.map_err(|failure| failure.usage())
    }

    async fn rows(&self, scope: &Scope, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        let read = ReadUsage { scope: scope.clone(), query: query.clone() };
        self.read(read).await.map_err(|failure| failure.usage())
    }

    async fn scan_rows(&self, after: u64, limit: u32) -> Result<Vec<(Scope, UsageRow)>> {
        let places = &self.books().usage;
        let read = ScanUsage { from: places.nearest(after), after, limit: page_rows(limit) };
        let page = self.read(read).await.map_err(|failure| failure.usage())?;
        Ok(page.remembered_in(places, after))
    }
}

struct RecordUsage {
    scope: Scope,
    rows: Vec<UsageRow>,
}

#[async_trait]
impl Write for RecordUsage {
    type Output = ();

    async fn apply(&self, session: &mut Session) -> EngineResult<()> {
        if self.rows.len() <= ROWS_MAX {
            return self.insert(session.alone(), &self.rows).await;
        }
        for rows in self.rows.chunks(ROWS_MAX) {
            self.insert(session.begin().await?, rows).await?;
        }
        Ok(())
    }
}

impl RecordUsage {
    async fn insert(&self, connection: &mut PgConnection, rows: &[UsageRow]) -> EngineResult<()> {
        let texts =
            |text: fn(&UsageRow) -> String| -> Vec<String> { rows.iter().map(text).collect() };
        let numbers =
            |number: fn(&UsageRow) -> i64| -> Vec<i64> { rows.iter().map(number).collect() };
        let tokens = |tokens: fn(&Usage) -> Tokens| -> EngineResult<Vec<i64>> {
            rows.iter().map(|row| stored(tokens(&row.usage).get())).collect()
        };
        let request_ids: Vec<Option<String>> = rows
            .iter()
            .map(|row| row.provider_request_id.as_deref().map(|id| escape(id).into_owned()))
            .collect();
        sqlx::query(
            "WITH together AS MATERIALIZED (SELECT nextval('written_together') AS pk)
             INSERT INTO usage (tenant, user_id, turn, step, attempt, conversation, purpose, model,
                    input_uncached, cache_read, cache_write, output, reasoning, source, amount,
                    price_version, provider_request_id, at, pk)
             SELECT $1, $2, u.turn, u.step, u.attempt, u.conversation, u.purpose, u.model,
                    u.input_uncached, u.cache_read, u.cache_write, u.output, u.reasoning,
                    u.source, u.amount, u.price_version, u.provider_request_id, u.at,
                    together.pk + u.place
               FROM together, unnest($3::text[], $4::bigint[], $5::bigint[], $6::text[], $7::text[],
                      $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
                      $13::bigint[], $14::text[], $15::bigint[], $16::text[], $17::text[],
                      $18::bigint[]) WITH ORDINALITY
                 AS u (turn, step, attempt, conversation, purpose, model, input_uncached,
                       cache_read, cache_write, output, reasoning, source, amount,
                       price_version, provider_request_id, at, place)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(texts(|row| row.key.step.turn.as_str().to_owned()))
        .bind(numbers(|row| i64::from(row.key.step.step))) // 4
        .bind(numbers(|row| i64::from(row.key.attempt)))
        .bind(texts(|row| row.conversation.as_str().to_owned()))
        .bind(texts(|row| row.purpose.as_str().to_owned()))
        .bind(texts(|row| row.model.to_string())) // 8
        .bind(tokens(|usage| usage.input_uncached)?)
        .bind(tokens(|usage| usage.cache_read)?)
        .bind(tokens(|usage| usage.cache_write)?)
        .bind(tokens(|usage| usage.output)?) // 12
        .bind(tokens(|usage| usage.reasoning)?)
        .bind(texts(|row| row.source.as_str().to_owned()))
        .bind(numbers(|row| row.amount.nano_usd()))
        .bind(texts(|row| escape(&row.price_version).into_owned())) // 16
        .bind(request_ids)
        .bind(numbers(|row| row.at.unix_ms()))
        .execute(connection)
        .await?;
        Ok(())
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
        price_version: unescape(columns.text()?)?,
        provider_request_id: columns.optional_text()?.map(unescape).transpose()?,
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

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let query = &self.query;
        let after = query.after.as_ref();
        let limit = if query.limit == 0 { u32::MAX } else { query.limit };
        let rows = sqlx::query(concat!(
            "SELECT ",
            columns!(),
            " FROM usage u
              WHERE u.tenant = $1 AND u.user_id = $2
                AND u.pk > CASE WHEN $3::text IS NULL THEN 0 ELSE
                    (SELECT pk FROM usage WHERE tenant = $1 AND turn = $3 AND step = $4
                        AND attempt = $5 AND user_id = $2) END
                AND ($6::text IS NULL OR u.conversation = $6)
                AND ($7::bigint IS NULL OR u.at >= $7) AND ($8::bigint IS NULL OR u.at < $8)
              ORDER BY u.pk LIMIT $9"
        ))
        .bind(self.scope.tenant.as_str())
        .bind(self.scope.user.as_str())
        .bind(after.map(|key| key.step.turn.as_str()))
        .bind(after.map(|key| i64::from(key.step.step)))
        .bind(after.map(|key| i64::from(key.attempt)))
        .bind(query.conversation.as_ref().map(|id| id.as_str()))
        .bind(query.from.map(Timestamp::unix_ms))
        .bind(query.until.map(Timestamp::unix_ms))
        .bind(page_rows(limit))
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| row_of(&mut Columns::of(row))).collect()
    }
}

struct ScanUsage {
    /// A place that is known, at or before `after`.
    from: Place,
    after: u64,
    limit: i64,
}

#[async_trait]
impl Read for ScanUsage {
    type Output = WrittenPage<(Scope, UsageRow)>;

    async fn fetch(&self, connection: &mut PgConnection) -> EngineResult<Self::Output> {
        let rows = sqlx::query(concat!(
            "SELECT u.pk, u.tenant, u.user_id, ",
            columns!(),
            " FROM usage u WHERE u.pk > $1 ORDER BY u.pk OFFSET $2 LIMIT $3"
        ))
        .bind(self.from.pk)
        .bind(self.from.rows_to(self.after))
        .bind(self.limit)
        .fetch_all(connection)
        .await?;
        let mut page = WrittenPage { rows: Vec::with_capacity(rows.len()), last_pk: None };
        for row in &rows {
            let mut columns = Columns::of(row);
            page.last_pk = Some(columns.integer()?);
            let scope = Scope::new(columns.parsed()?, columns.parsed()?);
            page.rows.push((scope, row_of(&mut columns)?));
        }
        Ok(page)
    }
}
