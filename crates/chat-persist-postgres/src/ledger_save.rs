//! The statements of the ledger's writes: look, and write what a rule has changed.
//!
//! A look is one statement, so it sees one moment. A write is one statement that changes everything
//! or nothing: only if every account, and the hold, is still as the rule saw it. Without a
//! transaction around it that is a write in one round trip; inside one whose look has locked the
//! rows it cannot fail. The place of its entries in the written order is drawn when the accounts are
//! locked, so the entries of one account stand in the order of its balances. Locks are taken in one order, so nobody waits in a circle: a hold that is
//! there, its accounts by name, a hold that is new.

use chat_balance::rules::Appended;
use chat_balance::{Account, Entry, EntryKind, Hold, Notice};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row as _};

use crate::error::EngineResult;
use crate::escape::escape;
use crate::ledger_rows::{
    HOLD_COLUMNS, account_columns, account_of_row, entry_columns, entry_of_row, hold_columns,
    hold_of_row,
};
use crate::row::{Columns, encode};

/// What a rule decides on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) hold: Option<Hold>,
    pub(crate) accounts: Vec<Account>,
    pub(crate) entry: Option<Entry>,
}

/// Whether a look keeps others from changing what it saw, until the transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Free,
    Locking,
}

macro_rules! look {
    ($lock:literal) => {
        concat!(
            "WITH h AS MATERIALIZED (SELECT ",
            hold_columns!(),
            " FROM holds h WHERE h.tenant = $1 AND h.turn = $2 AND h.step = $3",
            $lock,
            "), a AS MATERIALIZED (SELECT ",
            account_columns!(),
            " FROM accounts a WHERE a.tenant = $1 AND a.id = ANY (coalesce(
                   (SELECT array_agg(leg ->> 'account')
                      FROM h, json_array_elements(h.legs::json) leg), $4::text[]))
              ORDER BY a.id",
            $lock,
            ") SELECT h.*, a.* FROM (VALUES (1)) AS one LEFT JOIN h ON TRUE LEFT JOIN a ON TRUE"
        )
    };
}

/// The tenant's hold of this key with its accounts; without one, the `wanted` accounts.
pub(crate) async fn look_at_hold(
    connection: &mut PgConnection,
    look: Look,
    tenant: &TenantId,
    key: &StepKey,
    wanted: &[AccountId],
) -> EngineResult<Rows> {
    let text = match look {
        Look::Free => look!(""),
        Look::Locking => look!(" FOR UPDATE"),
    };
    let wanted: Vec<&str> = wanted.iter().map(AccountId::as_str).collect();
    let found = sqlx::query(text)
        .bind(tenant.as_str())
        .bind(key.turn.as_str())
        .bind(i64::from(key.step))
        .bind(wanted)
        .fetch_all(connection)
        .await?;
    let mut rows = Rows::default();
    for row in &found {
        if rows.hold.is_none() && is_there(row, 0)? {
            rows.hold = Some(hold_of_row(&mut Columns::of(row))?);
        }
        if is_there(row, HOLD_COLUMNS)? {
            rows.accounts.push(account_of_row(&mut Columns::from(row, HOLD_COLUMNS))?);
        }
    }
    Ok(rows)
}

/// Whether the part of an outer join that begins at this column has found anything.
fn is_there(row: &PgRow, column: usize) -> EngineResult<bool> {
    Ok(row.try_get::<Option<&str>, _>(column)?.is_some())
}

/// The tenant's account of this id, whoever owns it, and its entry of this reference.
pub(crate) async fn look_at_account(
    connection: &mut PgConnection,
    look: Look,
    tenant: &TenantId,
    id: &AccountId,
    entry: Option<(EntryKind, &str)>,
) -> EngineResult<Rows> {
    let text = match look {
        Look::Free => {
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM accounts a WHERE a.tenant = $1 AND a.id = $2"
            )
        }
        Look::Locking => {
            concat!(
                "SELECT ",
                account_columns!(),
                " FROM accounts a WHERE a.tenant = $1 AND a.id = $2 FOR UPDATE"
            )
        }
    };
    let found = sqlx::query(text)
        .bind(tenant.as_str())
        .bind(id.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let mut rows = Rows::default();
    if let Some(row) = &found {
        rows.accounts.push(account_of_row(&mut Columns::of(row))?);
    }
    if let Some((kind, reference)) = entry {
        let found = sqlx::query(concat!(
            "SELECT ",
            entry_columns!(),
            " FROM entries e WHERE e.tenant = $1 AND e.kind = $2 AND e.reference = $3"
        ))
        .bind(tenant.as_str())
        .bind(kind.as_str())
        .bind(escape(reference))
        .fetch_optional(connection)
        .await?;
        rows.entry = found.as_ref().map(|row| entry_of_row(&mut Columns::of(row))).transpose()?;
    }
    Ok(rows)
}

/// What a rule has done to a hold.
#[derive(Clone, Debug)]
pub(crate) enum HoldWrite {
    /// Nothing: there is none.
    Without,
    /// It is new.
    New(Hold),
    /// It was open, with this `extended_to`.
    Changed(Hold, u32),
}

/// What a rule has done. `accounts` are pairs of before and after.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) scope: Scope,
    pub(crate) accounts: Vec<(Account, Account)>,
    pub(crate) hold: HoldWrite,
    pub(crate) appended: Appended,
}

/// Parameters 1 to 14: the accounts as they were and as they are to be.
macro_rules! changed {
    () => {
        "WITH changed AS MATERIALIZED (SELECT * FROM unnest($2::text[],
             $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
             $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[],
             $13::text[], $14::text[])
           AS c (id, granted_was, refunded_was, held_was, posted_was, expired_was,
                 granted, refunded, held, posted, expired, state_was, state)), "
    };
}

/// Locks the accounts that are still as they were.
macro_rules! locked {
    ($gate:literal) => {
        concat!(
            "locked AS MATERIALIZED (SELECT a.id FROM accounts a JOIN changed c ON c.id = a.id
              WHERE a.tenant = $1 AND a.id = ANY ($2::text[]) ",
            $gate,
            " AND a.granted = c.granted_was AND a.refunded = c.refunded_was
                AND a.held = c.held_was AND a.posted = c.posted_was
                AND a.expired = c.expired_was AND a.state = c.state_was
              ORDER BY a.id FOR UPDATE OF a), "
        )
    };
}

/// Writes accounts, entries (parameters 15 to 21) and notices (22 to 24) if `won` has a row.
macro_rules! moved {
    () => {
        "moved AS (UPDATE accounts a SET granted = c.granted, refunded = c.refunded,
                held = c.held, posted = c.posted, expired = c.expired, state = c.state
           FROM changed c WHERE a.tenant = $1 AND a.id = ANY ($2::text[]) AND a.id = c.id
            AND EXISTS (SELECT FROM won)),
         together AS MATERIALIZED (SELECT nextval('written_together') AS pk FROM won),
         written AS (INSERT INTO entries
                (tenant, kind, reference, user_id, debit, credit, amount, at, pk)
           SELECT $1, e.kind, e.reference, e.user_id, e.debit, e.credit, e.amount, e.at,
                  together.pk + e.place
             FROM together, unnest($15::text[], $16::text[], $17::text[], $18::text[],
                    $19::text[], $20::bigint[], $21::bigint[]) WITH ORDINALITY
               AS e (kind, reference, user_id, debit, credit, amount, at, place)),
         noted AS (INSERT INTO notices (tenant, key, at, record)
           SELECT $1, n.key, n.at, n.record
             FROM won, unnest($22::text[], $23::bigint[], $24::text[]) AS n (key, at, record)
           ON CONFLICT DO NOTHING)
         SELECT EXISTS (SELECT FROM won)"
    };
}

/// Every account is locked, so every one is as it was.
macro_rules! all_locked {
    () => {
        "(SELECT count(*) FROM locked) = cardinality($2::text[])"
    };
}

const WITHOUT_HOLD: &str = concat!(
    changed!(),
    locked!(""),
    "won AS MATERIALIZED (SELECT 1 WHERE ",
    all_locked!(),
    "), ",
    moved!()
);

const NEW_HOLD: &str = concat!(
    changed!(),
    locked!(""),
    "won AS (INSERT INTO holds
            (tenant, turn, step, user_id, state, legs, extended_to, opened_at, closed_at)
       SELECT $1, $25, $26, $27, $28, $29, $30, $31, $32 WHERE ",
    all_locked!(),
    " ON CONFLICT DO NOTHING RETURNING 1), ",
    moved!()
);

const CHANGED_HOLD: &str = concat!(
    changed!(),
    "still AS MATERIALIZED (SELECT 1 FROM holds h WHERE h.tenant = $1 AND h.turn = $25
        AND h.step = $26 AND h.state = 'open' AND h.extended_to = $31 FOR UPDATE), ",
    locked!("AND EXISTS (SELECT FROM still)"),
    "won AS (UPDATE holds h SET state = $27, legs = $28, extended_to = $29, closed_at = $30
       WHERE h.tenant = $1 AND h.turn = $25 AND h.step = $26 AND EXISTS (SELECT FROM still)
         AND ",
    all_locked!(),
    " RETURNING 1), ",
    moved!()
);

type Bound<'q> = Query<'q, Postgres, PgArguments>;

/// Writes the change, unless anything is not as it was: then false, and nothing is written.
pub(crate) async fn save(connection: &mut PgConnection, change: &Change) -> EngineResult<bool> {
    let statement = match &change.hold {
        HoldWrite::Without => WITHOUT_HOLD,
        HoldWrite::New(_) => NEW_HOLD,
        HoldWrite::Changed(..) => CHANGED_HOLD,
    };
    let query = sqlx::query(statement).bind(change.scope.tenant.as_str());
    let query = bind_entries(bind_accounts(query, &change.accounts)?, &change.appended.entries);
    let query = bind_notices(query, &change.appended.notices)?;
    let query = match &change.hold {
        HoldWrite::Without => query,
        HoldWrite::New(hold) => query
            .bind(hold.key.turn.as_str()) // 25
            .bind(i64::from(hold.key.step))
            .bind(hold.scope.user.as_str())
            .bind(hold.state.as_str())
            .bind(encode(&hold.legs)?) // 29
            .bind(i64::from(hold.extended_to))
            .bind(hold.opened_at.unix_ms())
            .bind(hold.closed_at.map(Timestamp::unix_ms)),
        HoldWrite::Changed(hold, extended_to_was) => query
            .bind(hold.key.turn.as_str()) // 25
            .bind(i64::from(hold.key.step))
            .bind(hold.state.as_str())
            .bind(encode(&hold.legs)?)
            .bind(i64::from(hold.extended_to)) // 29
            .bind(hold.closed_at.map(Timestamp::unix_ms))
            .bind(i64::from(*extended_to_was)),
    };
    Ok(query.fetch_one(connection).await?.try_get(0)?)
}

fn bind_accounts<'q>(
    query: Bound<'q>,
    accounts: &'q [(Account, Account)],
) -> EngineResult<Bound<'q>> {
    let ids: Vec<&str> = accounts.iter().map(|(_, account)| account.id.as_str()).collect();
    let before = |amount: fn(&Account) -> i64| -> Vec<i64> {
        accounts.iter().map(|(account, _)| amount(account)).collect()
    };
    let after = |amount: fn(&Account) -> i64| -> Vec<i64> {
        accounts.iter().map(|(_, account)| amount(account)).collect()
    };
    let states_were: EngineResult<Vec<String>> =
        accounts.iter().map(|(account, _)| encode(&account.state)).collect();
    let states: EngineResult<Vec<String>> =
        accounts.iter().map(|(_, account)| encode(&account.state)).collect();
    Ok(query
        .bind(ids) // 2
        .bind(before(|account| account.granted.nano_usd()))
        .bind(before(|account| account.refunded.nano_usd()))
        .bind(before(|account| account.held.nano_usd()))
        .bind(before(|account| account.posted.nano_usd()))
        .bind(before(|account| account.expired.nano_usd()))
        .bind(after(|account| account.granted.nano_usd())) // 8
        .bind(after(|account| account.refunded.nano_usd()))
        .bind(after(|account| account.held.nano_usd()))
        .bind(after(|account| account.posted.nano_usd()))
        .bind(after(|account| account.expired.nano_usd()))
        .bind(states_were?) // 13
        .bind(states?))
}

/// Seven arrays, in the order of the columns of `written`.
pub(crate) fn bind_entries<'q>(query: Bound<'q>, entries: &'q [Entry]) -> Bound<'q> {
    let texts = |text: fn(&Entry) -> String| -> Vec<String> { entries.iter().map(text).collect() };
    let numbers = |number: fn(&Entry) -> i64| -> Vec<i64> { entries.iter().map(number).collect() };
    query
        .bind(texts(|entry| entry.kind.as_str().to_owned()))
        .bind(texts(|entry| escape(&entry.reference).into_owned()))
        .bind(texts(|entry| entry.scope.user.as_str().to_owned()))
        .bind(texts(|entry| entry.debit.stored_name().into_owned()))
        .bind(texts(|entry| entry.credit.stored_name().into_owned()))
        .bind(numbers(|entry| entry.amount.nano_usd()))
        .bind(numbers(|entry| entry.at.unix_ms()))
}

fn bind_notices<'q>(query: Bound<'q>, notices: &'q [Notice]) -> EngineResult<Bound<'q>> {
    let keys: Vec<&str> = notices.iter().map(|notice| notice.key.as_str()).collect();
    let times: Vec<i64> = notices.iter().map(|notice| notice.at.unix_ms()).collect();
    let records: EngineResult<Vec<String>> = notices.iter().map(encode).collect();
    Ok(query.bind(keys).bind(times).bind(records?)) // 22 to 24
}

/// Writes a new account and its opening grant, unless it is there already: then false.
pub(crate) async fn save_new_account(
    connection: &mut PgConnection,
    tenant: &TenantId,
    account: &Account,
    opening: &[Entry],
) -> EngineResult<bool> {
    let query = sqlx::query(
        "WITH won AS (INSERT INTO accounts
                (tenant, id, owner, kind, granted, refunded, held, posted, expired, unit, state)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
           ON CONFLICT DO NOTHING RETURNING 1),
         together AS MATERIALIZED (SELECT nextval('written_together') AS pk FROM won),
         written AS (INSERT INTO entries
                (tenant, kind, reference, user_id, debit, credit, amount, at, pk)
           SELECT $1, e.kind, e.reference, e.user_id, e.debit, e.credit, e.amount, e.at,
                  together.pk + e.place
             FROM together, unnest($12::text[], $13::text[], $14::text[], $15::text[],
                    $16::text[], $17::bigint[], $18::bigint[]) WITH ORDINALITY
               AS e (kind, reference, user_id, debit, credit, amount, at, place))
         SELECT EXISTS (SELECT FROM won)",
    )
    .bind(tenant.as_str())
    .bind(account.id.as_str())
    .bind(account.owner.as_ref().map(|owner| owner.as_str()))
    .bind(account.kind.as_str())
    .bind(account.granted.nano_usd())
    .bind(account.refunded.nano_usd())
    .bind(account.held.nano_usd())
    .bind(account.posted.nano_usd())
    .bind(account.expired.nano_usd())
    .bind(account.unit.as_str()) // 10
    .bind(encode(&account.state)?);
    Ok(bind_entries(query, opening).fetch_one(connection).await?.try_get(0)?)
}
