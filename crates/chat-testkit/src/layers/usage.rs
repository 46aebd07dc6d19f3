//! `Layered` as a store of usage rows.

use async_trait::async_trait;
use chat_types::Scope;
use chat_usage::{Result, UsageQuery, UsageRow, UsageStore};

use super::{After, Layered, PortCall, layered};

#[async_trait]
impl UsageStore for Layered {
    async fn record(&self, scope: &Scope, rows: &[UsageRow]) -> Result<()> {
        layered!(self, RecordUsage, self.usage.record(scope, rows).await)
    }

    async fn rows(&self, scope: &Scope, query: &UsageQuery) -> Result<Vec<UsageRow>> {
        layered!(self, UsageRows, self.usage.rows(scope, query).await)
    }

    async fn scan_rows(&self, after: u64, limit: u32) -> Result<Vec<(Scope, UsageRow)>> {
        layered!(self, ScanUsage, self.usage.scan_rows(after, limit).await)
    }
}
