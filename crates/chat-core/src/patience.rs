//! Repeating writes that did not go through: every one of them is idempotent by its key.

use std::future::Future;
use std::time::Duration;

use chat_balance::BalanceError;
use chat_persist::PersistError;
use chat_usage::UsageError;
use tokio::time::Instant;

/// How long a call is repeated: a database restart's worth. What still fails then is left to the
/// caller, and in the end to recovery. A try that is under way is always waited for.
const PATIENCE: Duration = Duration::from_secs(4);

/// The first wait between two tries; each one after is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// An error that says whether the same call may succeed later.
pub(crate) trait MayPass {
    fn may_pass(&self) -> bool;
}

impl MayPass for PersistError {
    fn may_pass(&self) -> bool {
        self.is_transient()
    }
}

impl MayPass for BalanceError {
    fn may_pass(&self) -> bool {
        self.is_transient()
    }
}

impl MayPass for UsageError {
    fn may_pass(&self) -> bool {
        self.is_transient()
    }
}

/// Makes a call until it succeeds, fails for good, or patience has run out.
pub(crate) async fn persistently<T, E, F>(mut call: impl FnMut() -> F) -> Result<T, E>
where
    E: MayPass,
    F: Future<Output = Result<T, E>>,
{
    let until = Instant::now() + PATIENCE;
    let mut wait = FIRST_WAIT;
    loop {
        match call().await {
            Err(error) if error.may_pass() && Instant::now() < until => {
                tokio::time::sleep(wait).await;
                wait = wait.saturating_mul(2).min(LONGEST_WAIT);
            }
            outcome => return outcome,
        }
    }
}
