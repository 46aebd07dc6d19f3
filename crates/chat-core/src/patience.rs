//! Repeating writes that did not go through: every one of them is idempotent by its key.

use std::future::Future;
use std::time::Duration;

use chat_persist::PersistError;
use chat_usage::UsageError;

/// Waits between tries: about four seconds in all, a database restart's worth. What still fails
/// then is left to recovery.
const WAITS_MS: [u64; 7] = [10, 40, 160, 500, 1_000, 1_000, 1_000];

/// An error that says whether the same call may succeed later.
pub(crate) trait MayPass {
    fn may_pass(&self) -> bool;
}

impl MayPass for PersistError {
    fn may_pass(&self) -> bool {
        self.is_transient()
    }
}

impl MayPass for UsageError {
    fn may_pass(&self) -> bool {
        self.is_transient()
    }
}

/// Makes a call until it succeeds, fails for good, or has failed for a few seconds.
pub(crate) async fn persistently<T, E, F>(mut call: impl FnMut() -> F) -> Result<T, E>
where
    E: MayPass,
    F: Future<Output = Result<T, E>>,
{
    for wait_ms in WAITS_MS {
        match call().await {
            Err(error) if error.may_pass() => {
                tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            }
            outcome => return outcome,
        }
    }
    call().await
}
