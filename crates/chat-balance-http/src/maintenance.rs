//! The port of recovery and audit: pages of everything the service keeps for us.
//!
//! A page may be shorter than asked for; an empty one is the end.

use async_trait::async_trait;
use chat_balance::{Account, Entry, Hold, LedgerMaintenance, LedgerRows, Notice, Result};
use chat_types::{AccountId, ContentHash, StepKey, TenantId, Timestamp};
use http::Method;

use crate::adapter::HttpLedger;
use crate::error::nonsense;
use crate::place::{self, Write};
use crate::wire::{AccountsPage, EntriesPage, HoldsPage, RestoreRows, Restored, Unknown};

/// The most rows of one page. 1,000: what the audit reads at a time, about a megabyte.
const PAGE_ROWS_MAX: u32 = 1_000;

#[async_trait]
impl LedgerMaintenance for HttpLedger {
    async fn open_holds(&self, before: Timestamp, limit: u32) -> Result<Vec<Hold>> {
        let limit = limit.min(PAGE_ROWS_MAX);
        self.holds("read open holds", &place::open_holds(before, limit), limit).await
    }

    async fn scan_accounts(
        &self,
        after: Option<&(TenantId, AccountId)>,
        limit: u32,
    ) -> Result<Vec<(TenantId, Account)>> {
        const OPERATION: &str = "scan accounts";
        let limit = limit.min(PAGE_ROWS_MAX);
        let page: AccountsPage = self.client.get(OPERATION, &place::accounts(after, limit)).await?;
        rows(OPERATION, limit, page.accounts, crate::wire::AccountRow::into_account)
    }

    async fn scan_holds(
        &self,
        after: Option<&(TenantId, StepKey)>,
        limit: u32,
    ) -> Result<Vec<Hold>> {
        let limit = limit.min(PAGE_ROWS_MAX);
        self.holds("scan holds", &place::holds(after, limit), limit).await
    }

    async fn scan_entries(&self, after: u64, limit: u32) -> Result<Vec<Entry>> {
        const OPERATION: &str = "scan entries";
        let limit = limit.min(PAGE_ROWS_MAX);
        let page: EntriesPage = self.client.get(OPERATION, &place::entries(after, limit)).await?;
        rows(OPERATION, limit, page.entries, Entry::try_from)
    }

    async fn restore(&self, ledger: &LedgerRows) -> Result<()> {
        const OPERATION: &str = "restore ledger";
        let body = RestoreRows::from(ledger);
        // Rows have no key but themselves: the same rows are the same restore.
        let content = serde_json::to_vec(&body)
            .map_err(|error| nonsense(OPERATION, "the rows have no JSON").with_source(error))?;
        let key = Write::Restore.key(&[ContentHash::of([&content]).as_str()]);
        let done: Restored =
            self.client.write(OPERATION, (Method::POST, place::RESTORE), &key, &body).await?;
        let Restored {} = done;
        Ok(())
    }

    // The service tells whoever listens to it; asking it here would tell them twice.
    async fn notices(&self, _limit: u32) -> Result<Vec<Notice>> {
        Ok(Vec::new())
    }

    async fn delivered(&self, _notices: &[(TenantId, String)]) -> Result<()> {
        Ok(())
    }

    async fn expire_notices(&self, _before: Timestamp, _limit: u32) -> Result<u64> {
        Ok(0)
    }
}

impl HttpLedger {
    async fn holds(&self, operation: &'static str, path: &str, limit: u32) -> Result<Vec<Hold>> {
        let page: HoldsPage = self.client.get(operation, path).await?;
        rows(operation, limit, page.holds, Hold::try_from)
    }
}

/// The rows of a page, converted; a service that sends more than was asked for is not believed.
fn rows<Row, T>(
    operation: &'static str,
    limit: u32,
    page: Vec<Row>,
    convert: impl Fn(Row) -> std::result::Result<T, Unknown>,
) -> Result<Vec<T>> {
    if u32::try_from(page.len()).map_or(true, |rows| rows > limit) {
        return Err(nonsense(operation, format!("the page has more than {limit} rows")));
    }
    let converted = page.into_iter().map(convert).collect::<std::result::Result<_, _>>();
    converted.map_err(|what| nonsense(operation, what.to_string()))
}
