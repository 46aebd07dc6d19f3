//! What every ledger promises, asked over HTTP. Nothing differs: all cases of the suite run.

use std::sync::Arc;

use chat_testkit::LedgerHarness;

use crate::ledgers;

async fn open() -> LedgerHarness {
    if let Some(ledger) = ledgers::of_your_own().await {
        return LedgerHarness::new(Arc::new(ledger));
    }
    let (ledger, service) = ledgers::fresh().await;
    LedgerHarness::new(Arc::new(ledger)).guarded_by(service)
}

chat_testkit::ledger_suite!(open());
