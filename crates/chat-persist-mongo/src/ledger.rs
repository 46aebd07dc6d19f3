//! The ledger's ports: the pure rules of `chat_balance` decide, this store carries their rows.
//!
//! Every write is a transaction (snapshot reads, committed by a majority and journaled), but for the
//! notice of a refusal, so a standalone server has no ledger: every call answers an error that says how
//! to get one.
//! Entries and holds are never deleted and entries never changed by this code; the README says
//! which role holds a user to that. Not here: the documents, the writes, the order of scans.

use std::slice::from_ref;

use async_trait::async_trait;
use chat_balance::{
    Account, AccountSpec, BalanceAdapter, BalanceError, BalanceErrorKind, Credit, Entry, Extension,
    Hold, HoldRequest, LedgerMaintenance, LedgerRows, Notice, Refill, Result, Settlement, rules,
};
use chat_types::{AccountId, Scope, StepKey, TenantId, Timestamp};
use mongodb::bson::{Document, doc};

use crate::MongoStore;
use crate::books::Books;
use crate::collections::{ACCOUNTS, ENTRIES, HOLDS, NOTICES};
use crate::error::{EngineResult, Failure, FailureKind, PortError, Stop};
use crate::index::Index;
use crate::ledger_notices::{ExpireNotices, expire, forget, in_order, note, notice_of};
use crate::ledger_places::{Place, Places, behind, place_of, written_order};
use crate::ledger_restore::restore;
use crate::ledger_rows::{account_id, account_of, entry_of, hold_id, hold_of};
use crate::ledger_writes::{
    ChangeHold, GiveCredit, HoldMove, OpenAccount, PlaceHold, RefreshAccount, account_at,
    change_hold, give_credit, hold_at, open_account, place_hold, refresh_account, refused,
};
use crate::refusal::page_rows;
use crate::unit::{Cut, Unit};

/// Accounts and entries are found by their ids.
pub(crate) fn indexes() -> Vec<Index> {
    vec![
        Index::on(HOLDS, doc! { "opened_at": 1, "_id": 1 }).only(doc! { "state": "open" }),
        Index::on(ENTRIES, written_order()),
    ]
}

impl MongoStore {
    /// What money needs, or why there is none.
    pub(crate) fn money<E: PortError>(&self, operation: &'static str) -> Result<&Books, E> {
        if self.has_transactions() {
            return Ok(self.books());
        }
        let detail = "this MongoDB server stands alone and has no transactions, so it keeps no \
                      ledger and no usage; start it with --replSet rs0 and run rs.initiate() once";
        Err(E::of(Failure::new(FailureKind::Unsupported, detail), operation))
    }

    async fn move_hold(&self, scope: &Scope, key: &StepKey, by: HoldMove) -> Result<Hold> {
        let operation = by.operation();
        let books = self.money::<BalanceError>(operation)?;
        let Some(hold) = self.hold_of(scope, key).await? else {
            return refused(BalanceErrorKind::NotFound, operation, "no hold for this step");
        };
        if let Some(answer) = by.repeat(&hold)? {
            return Ok(answer);
        }
        let pass = books.enter(scope, &rules::accounts_of_hold(&hold)).await;
        let call = ChangeHold { change: by, hold, _pass: pass };
        self.write(operation, call, |unit, call| Box::pin(change_hold(unit, call))).await
    }

    /// A refusal for want of funds leaves its notice before it is answered: a write of its own, for
    /// nothing else of it is written, and others need not queue behind it for the account.
    async fn noticed(
        &self,
        operation: &'static str,
        (scope, step, at): (&Scope, &StepKey, Timestamp),
        answer: Result<Hold>,
    ) -> Result<Hold> {
        let refusal = match answer {
            Ok(hold) => return Ok(hold),
            Err(refusal) => refusal,
        };
        if let Some(notice) = Notice::of_refusal(scope, step, &refusal, at) {
            let written = self.run(operation, false, notice, |unit, notice| {
                Box::pin(async { Ok::<_, Stop<BalanceError>>(note(unit, from_ref(notice)).await?) })
            });
            written.await?;
        }
        Err(refusal)
    }
}

#[async_trait]
impl BalanceAdapter for MongoStore {
    async fn open_account(
        &self,
        scope: &Scope,
        spec: &AccountSpec,
        at: Timestamp,
    ) -> Result<Account> {
        let books = self.money::<BalanceError>("open account")?;
        let pass = books.enter(scope, from_ref(&spec.id)).await;
        let call = OpenAccount { scope: scope.clone(), spec: spec.clone(), at, _pass: pass };
        self.write("open account", call, |unit, call| Box::pin(open_account(unit, call))).await
    }

    async fn account(&self, scope: &Scope, id: &AccountId) -> Result<Option<Account>> {
        self.money::<BalanceError>("read account")?;
        let call = (scope.tenant.clone(), id.clone());
        let found = self.read("read account", call, |unit, (tenant, id)| {
            Box::pin(async { Ok::<_, Stop<BalanceError>>(account_at(unit, tenant, id).await?) })
        });
        let found = found.await?;
        Ok(found.filter(|account| rules::is_visible(account, scope)))
    }

    async fn refresh(
        &self,
        scope: &Scope,
        id: &AccountId,
        refill: Option<&Refill>,
        at: Timestamp,
    ) -> Result<Option<Account>> {
        let books = self.money::<BalanceError>("refresh account")?;
        let pass = books.enter(scope, from_ref(id)).await;
        let (scope, id, refill) = (scope.clone(), id.clone(), refill.cloned());
        let call = RefreshAccount { scope, id, refill, at, _pass: pass };
        self.write("refresh account", call, |unit, call| Box::pin(refresh_account(unit, call)))
            .await
    }

    async fn credit(&self, scope: &Scope, credit: &Credit) -> Result<Entry> {
        let books = self.money::<BalanceError>("credit")?;
        let pass = books.enter(scope, from_ref(&credit.account)).await;
        let call = GiveCredit { scope: scope.clone(), credit: credit.clone(), _pass: pass };
        self.write("credit", call, |unit, call| Box::pin(give_credit(unit, call))).await
    }

    async fn hold(&self, scope: &Scope, request: &HoldRequest) -> Result<Hold> {
        let books = self.money::<BalanceError>("hold")?;
        let pass = books.enter(scope, &rules::accounts_of(request)).await;
        let call = PlaceHold { scope: scope.clone(), request: request.clone(), _pass: pass };
        let held = self.write("hold", call, |unit, call| Box::pin(place_hold(unit, call))).await;
        self.noticed("hold", (scope, &request.key, request.at), held).await
    }

    async fn extend(&self, scope: &Scope, key: &StepKey, extension: &Extension) -> Result<Hold> {
        let extended = self.move_hold(scope, key, HoldMove::Extend(extension.clone())).await;
        self.noticed("extend", (scope, key, extension.at), extended).await
    }

    async fn settle(&self, scope: &Scope, settlement: &Settlement) -> Result<Hold> {
        self.move_hold(scope, &settlement.key, HoldMove::Settle(settlement.clone())).await
    }

    async fn release(&self, scope: &Scope, key: &StepKey, at: Timestamp) -> Result<Hold> {
        self.move_hold(scope, key, HoldMove::Release(at)).await
    }

    async fn hold_of(&self, scope: &Scope, key: &StepKey) -> Result<Option<Hold>> {
        self.money::<BalanceError>("read hold")?;
        let call = (scope.tenant.clone(), key.clone());
        let found = self.read("read hold", call, |unit, (tenant, key)| {
            Box::pin(async { Ok::<_, Stop<BalanceError>>(hold_at(unit, tenant, key).await?) })
        });
        let found = found.await?;
        Ok(found.filter(|hold| hold.scope == *scope))
    }
}

/// One page of one collection.
pub(crate) struct Page {
    pub(crate) collection: &'static str,
    pub(crate) filter: Document,
    pub(crate) order: Document,
    pub(crate) limit: i64,
}

async fn read_page(unit: &mut Unit<'_>, page: &Page) -> EngineResult<Vec<Document>> {
    let cut = Cut::sorted(page.order.clone(), page.limit);
    unit.find(page.collection, page.filter.clone(), cut).await
}

/// A page of rows in the order they were written, `skip` many skipped behind `from`.
struct WrittenPage {
    collection: &'static str,
    from: Option<Place>,
    skip: u64,
    limit: i64,
}

async fn read_written(unit: &mut Unit<'_>, page: &WrittenPage) -> EngineResult<Vec<Document>> {
    let filter = page.from.as_ref().map(behind).unwrap_or_default();
    let mut stages = vec![doc! { "$match": filter }, doc! { "$sort": written_order() }];
    if page.skip > 0 {
        stages.push(doc! { "$skip": i64::try_from(page.skip).unwrap_or(i64::MAX) });
    }
    stages.push(doc! { "$limit": page.limit });
    unit.aggregate(page.collection, stages).await
}

impl MongoStore {
    pub(crate) async fn page<T, E: PortError>(
        &self,
        operation: &'static str,
        page: Page,
        read: fn(&Document) -> EngineResult<T>,
    ) -> Result<Vec<T>, E> {
        let rows: Vec<Document> = self
            .read(operation, page, |unit, page| {
                Box::pin(async { Ok(read_page(unit, page).await?) })
            })
            .await?;
        decoded(operation, &rows, read)
    }

    /// Up to `limit` rows in the order they were written, `after` many skipped.
    pub(crate) async fn written<T, E: PortError>(
        &self,
        operation: &'static str,
        collection: &'static str,
        places: &Places,
        (after, limit): (u64, u32),
        read: fn(&Document) -> EngineResult<T>,
    ) -> Result<Vec<T>, E> {
        let (from, skip) = places.nearest(after);
        let page = WrittenPage { collection, from, skip, limit: page_rows(limit) };
        let rows: Vec<Document> = self
            .read(operation, page, |unit, page| {
                Box::pin(async { Ok(read_written(unit, page).await?) })
            })
            .await?;
        let read = decoded(operation, &rows, read)?;
        if let Some(last) = rows.last() {
            let count = u64::try_from(rows.len()).unwrap_or_default().saturating_add(after);
            places.remember(count, place_of(last).map_err(|failure| E::of(failure, operation))?);
        }
        Ok(read)
    }
}

fn decoded<T, E: PortError>(
    operation: &'static str,
    rows: &[Document],
    read: fn(&Document) -> EngineResult<T>,
) -> Result<Vec<T>, E> {
    let decoded: EngineResult<Vec<T>> = rows.iter().map(read).collect();
    decoded.map_err(|failure| E::of(failure, operation))
}

/// Rows whose id is above this one, or all.
fn above(id: Option<Document>) -> Document {
    id.map(|id| doc! { "_id": { "$gt": id } }).unwrap_or_default()
}

#[async_trait]
impl LedgerMaintenance for MongoStore {
    async fn open_holds(&self, before: Timestamp, limit: u32) -> Result<Vec<Hold>> {
        self.money::<BalanceError>("find open holds")?;
        let page = Page {
            collection: HOLDS,
            filter: doc! { "state": "open", "opened_at": { "$lt": before.unix_ms() } },
            order: doc! { "opened_at": 1, "_id": 1 },
            limit: page_rows(limit),
        };
        self.page("find open holds", page, hold_of).await
    }

    async fn scan_accounts(
        &self,
        after: Option<&(TenantId, AccountId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Account)>> {
        self.money::<BalanceError>("scan accounts")?;
        let page = Page {
            collection: ACCOUNTS,
            filter: above(after.map(|(tenant, id)| account_id(tenant, id))),
            order: doc! { "_id": 1 },
            limit: page_rows(limit),
        };
        self.page("scan accounts", page, account_of).await
    }

    async fn scan_holds(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<Hold>> {
        self.money::<BalanceError>("scan holds")?;
        let page = Page {
            collection: HOLDS,
            filter: above(after.map(|(tenant, key)| hold_id(tenant, key))),
            order: doc! { "_id": 1 },
            limit: page_rows(limit),
        };
        self.page("scan holds", page, hold_of).await
    }

    async fn scan_entries(&self, after: u64, limit: u32) -> Result<Vec<Entry>> {
        let places = &self.money::<BalanceError>("scan entries")?.entries;
        self.written("scan entries", ENTRIES, places, (after, limit), entry_of).await
    }

    async fn restore(&self, rows: &LedgerRows) -> Result<()> {
        self.money::<BalanceError>("restore ledger")?;
        self.write("restore ledger", rows.clone(), |unit, rows| Box::pin(restore(unit, rows))).await
    }

    async fn notices(&self, limit: u32) -> Result<Vec<Notice>> {
        self.money::<BalanceError>("read notices")?;
        let page = Page {
            collection: NOTICES,
            filter: Document::new(),
            order: in_order(),
            limit: page_rows(limit),
        };
        self.page("read notices", page, notice_of).await
    }

    async fn delivered(&self, notices: &[(TenantId, String)]) -> Result<()> {
        const OPERATION: &str = "forget delivered notices";
        self.money::<BalanceError>(OPERATION)?;
        if notices.is_empty() {
            return Ok(());
        }
        let forgotten = self.write(OPERATION, notices.to_vec(), |unit, notices| {
            Box::pin(async { Ok::<_, Stop<BalanceError>>(forget(unit, notices).await?) })
        });
        forgotten.await.map(drop)
    }

    async fn expire_notices(&self, before: Timestamp, limit: u32) -> Result<u64> {
        const OPERATION: &str = "expire notices";
        self.money::<BalanceError>(OPERATION)?;
        let call = ExpireNotices { before, limit: page_rows(limit) };
        let expired = self.write(OPERATION, call, |unit, call| {
            Box::pin(async { Ok::<_, Stop<BalanceError>>(expire(unit, call).await?) })
        });
        expired.await
    }
}
