//! Writes a page into the stores.

use chat_balance::BalanceErrorKind;
use chat_persist::{PersistErrorKind, TurnRecord};
use chat_types::Scope;

use crate::error::{ArchiveError, ArchiveErrorKind, Lines};
use crate::page::Rows;
use crate::{Importer, Result, kept};

impl Importer {
    /// Writes the page that waits.
    pub(crate) async fn write_page(&mut self) -> Result<()> {
        let page = std::mem::take(&mut self.page);
        if self.options.dry_run {
            return Ok(());
        }
        let last = page.first_line.saturating_add(u64::try_from(page.count).unwrap_or(u64::MAX));
        let place = Lines { first: page.first_line, last: last.saturating_sub(1) };
        let written = match page.rows {
            Rows::None => Ok(()),
            Rows::Files(scope, files) => {
                let store = &self.stores.persistence;
                let mut written = store.keep_files(&scope, &files).await.map(|()| 0);
                if self.options.keep_what_differs && kept::is_conflict(&written) {
                    written = kept::keep_rest(store.as_ref(), &scope, files).await;
                }
                written.map_err(ArchiveError::from).map(|kept| {
                    self.report.files_kept = self.report.files_kept.saturating_add(kept);
                })
            }
            Rows::Turns(turns) => self.restore_turns(&turns).await,
            Rows::Ledger(rows) => match &self.stores.ledger {
                Some(ledger) => ledger.maintenance.restore(&rows).await.map_err(moved_on),
                None => Ok(()),
            },
            Rows::Usage(scope, rows) => {
                self.stores.usage.record(&scope, &rows).await.map_err(ArchiveError::from)
            }
        };
        written.map_err(|error| error.at(place))
    }

    /// All of a page, or one by one without those whose conversation is not there.
    async fn restore_turns(&mut self, turns: &[(Scope, TurnRecord)]) -> Result<()> {
        let store = &self.stores.maintenance;
        match store.restore_turns(turns).await {
            Err(error) if error.kind() == PersistErrorKind::NotFound => {}
            outcome => return Ok(outcome?),
        }
        for turn in turns {
            match store.restore_turns(std::slice::from_ref(turn)).await {
                Err(error) if error.kind() == PersistErrorKind::NotFound => {
                    self.report.turns_homeless = self.report.turns_homeless.saturating_add(1);
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }
}

/// A ledger that has moved on since it was imported cannot be merged with what it was.
fn moved_on(error: chat_balance::BalanceError) -> ArchiveError {
    if error.kind() != BalanceErrorKind::Conflict {
        return error.into();
    }
    let detail = "the target's ledger has other rows of these keys: it was used after an earlier \
                  import, or is another ledger; ledgers are not merged";
    ArchiveError::new(ArchiveErrorKind::Store, detail).caused_by(error)
}
