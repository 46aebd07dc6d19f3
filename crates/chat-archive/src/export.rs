//! Reads everything out of stores, page by page, and writes it as lines.
//!
//! What is written is what was committed; a store that is written to meanwhile gives an archive of
//! no single moment, so stop writing for an exact copy. Turns that are running are left out and
//! counted: whoever imports the archive finds their user messages, and releases their holds.

use std::collections::BTreeMap;
use std::io::Write;

use chat_balance::{Entry, Hold, Side};
use chat_persist::TurnRecord;
use chat_types::{
    AccountId, Conversation, ConversationId, FileId, MessageId, Scope, StepKey, TenantId, TurnId,
};
use chat_usage::UsageQuery;

use crate::error::{ArchiveError, ArchiveErrorKind};
use crate::import::Progress;
use crate::{ArchiveLine, ArchiveWriter, Counts, LedgerPorts, Result, Stores};

/// Rows read at a time: a page of every port.
const ROWS_PER_READ: u32 = 500;

/// The same, where the port counts in memory.
const MESSAGES_PER_READ: usize = 500;

/// The first of all ids: no character that an id may have is below it.
const FIRST_ID: &str = "-";

/// Whose data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportScope {
    /// Everybody's.
    All,
    /// One user's: his conversations, files, turns and usage rows, and the accounts that he alone
    /// owns, with what was held and posted on them. Accounts he shares with others stay.
    One(Scope),
}

/// What an export wrote, and what it left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportReport {
    /// Lines written.
    pub lines: Counts,
    /// Turns left out because they were running.
    pub turns_running: u64,
    /// Conversations whose head was a reply still being written; the archive has the message that
    /// it answers.
    pub heads_moved_up: u64,
}

/// Writes an archive of `stores`, the last line included.
///
/// Writing blocks the calling task for as long as `writer` does: give it a buffered file, or run it
/// where nothing else waits. `progress` is called after every page.
///
/// # Errors
/// `Store` if a read failed, `Io` if a write did. Then the archive has no last line.
pub async fn export<W: Write + Send>(
    stores: &Stores,
    scope: &ExportScope,
    writer: W,
    progress: Progress<'_>,
) -> Result<ExportReport> {
    let mut export = Export {
        stores,
        scope,
        archive: ArchiveWriter::new(writer)?,
        progress,
        report: ExportReport::default(),
        running: None,
    };
    export.conversations().await?;
    export.files().await?;
    export.turns().await?;
    if let Some(ledger) = &stores.ledger {
        let accounts = export.accounts(ledger).await?;
        export.holds(ledger, &accounts).await?;
        export.entries(ledger, &accounts).await?;
    }
    export.usage().await?;
    let (_, lines) = export.archive.finish()?;
    Ok(ExportReport { lines, ..export.report })
}

struct Export<'a, W> {
    stores: &'a Stores,
    scope: &'a ExportScope,
    archive: ArchiveWriter<W>,
    progress: Progress<'a>,
    report: ExportReport,
    /// Running turns by the reply they write, read when the first one is asked for.
    running: Option<BTreeMap<(Scope, MessageId), MessageId>>,
}

/// The accounts whose holds and entries belong into the archive; none: all of them.
type Wanted = Option<std::collections::BTreeSet<(TenantId, AccountId)>>;

impl<W: Write + Send> Export<'_, W> {
    fn write(&mut self, line: &ArchiveLine) -> Result<()> {
        self.archive.write(line)
    }

    fn page_done(&mut self) {
        (self.progress)(&self.archive.counts());
    }

    fn one(&self) -> Option<&Scope> {
        match self.scope {
            ExportScope::All => None,
            ExportScope::One(scope) => Some(scope),
        }
    }

    fn is_wanted(&self, scope: &Scope) -> bool {
        self.one().is_none_or(|one| one == scope)
    }

    async fn conversations(&mut self) -> Result<()> {
        let mut after: Option<(Scope, ConversationId)> = None;
        if let Some(scope) = self.one().cloned() {
            // A scan goes on after a place. The place before a scope's first is that of the first
            // id there can be, so that one is looked up by itself.
            let first = first_id()?;
            let found = self.stores.persistence.conversation(&scope, &first).await?;
            if let Some(conversation) = found {
                self.conversation(scope.clone(), conversation).await?;
            }
            after = Some((scope, first));
        }
        loop {
            let scan = self.stores.maintenance.scan_conversations(after.as_ref(), ROWS_PER_READ);
            let page = scan.await?;
            let Some((scope, last)) = page.last() else {
                return Ok(());
            };
            after = Some((scope.clone(), last.id.clone()));
            for (scope, conversation) in page {
                if !self.is_wanted(&scope) {
                    return Ok(());
                }
                self.conversation(scope, conversation).await?;
            }
            self.page_done();
        }
    }

    async fn conversation(&mut self, scope: Scope, mut conversation: Conversation) -> Result<()> {
        let id = conversation.id.clone();
        if let Some(head) = conversation.head.take() {
            let found = self.stores.persistence.message(&scope, &id, &head).await?;
            conversation.head = match found {
                Some(_) => Some(head),
                None => {
                    self.report.heads_moved_up = self.report.heads_moved_up.saturating_add(1);
                    self.answered_by(&scope, head).await?
                }
            };
        }
        self.write(&ArchiveLine::Conversation { scope: scope.clone(), conversation })?;
        let mut after: Option<MessageId> = None;
        loop {
            let store = &self.stores.persistence;
            let page = store.messages(&scope, &id, after.as_ref(), MESSAGES_PER_READ).await?;
            for message in page.messages {
                self.write(&ArchiveLine::Message { message })?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
            self.page_done();
        }
    }

    /// The message that a reply still being written answers.
    async fn answered_by(&mut self, scope: &Scope, reply: MessageId) -> Result<Option<MessageId>> {
        if self.running.is_none() {
            let mut running = BTreeMap::new();
            let mut after: Option<(TenantId, TurnId)> = None;
            loop {
                let page =
                    self.stores.maintenance.scan_turns(after.as_ref(), ROWS_PER_READ).await?;
                let Some((scope, last)) = page.last() else { break };
                after = Some((scope.tenant.clone(), last.turn.id.clone()));
                for (scope, TurnRecord { turn, state, .. }) in page {
                    if !state.is_terminal() {
                        running.insert((scope, turn.reply), turn.user_message);
                    }
                }
            }
            self.running = Some(running);
        }
        let running = self.running.as_ref();
        Ok(running.and_then(|running| running.get(&(scope.clone(), reply)).cloned()))
    }

    async fn files(&mut self) -> Result<()> {
        let mut after: Option<(Scope, FileId)> = None;
        if let Some(scope) = self.one().cloned() {
            let first: FileId = first_id()?;
            let found = self.stores.persistence.files(&scope, std::slice::from_ref(&first)).await?;
            for file in found {
                self.write(&ArchiveLine::File { scope: scope.clone(), file })?;
            }
            after = Some((scope, first));
        }
        loop {
            let page = self.stores.maintenance.scan_files(after.as_ref(), ROWS_PER_READ).await?;
            let Some((scope, last)) = page.last() else {
                return Ok(());
            };
            after = Some((scope.clone(), last.id.clone()));
            for (scope, file) in page {
                if !self.is_wanted(&scope) {
                    return Ok(());
                }
                self.write(&ArchiveLine::File { scope, file })?;
            }
            self.page_done();
        }
    }

    async fn turns(&mut self) -> Result<()> {
        let mut after: Option<(TenantId, TurnId)> = None;
        if let Some(scope) = self.one().cloned() {
            let first: TurnId = first_id()?;
            if let Some(turn) = self.stores.persistence.turn(&scope, &first).await? {
                self.turn(scope.clone(), turn)?;
            }
            after = Some((scope.tenant, first));
        }
        loop {
            let page = self.stores.maintenance.scan_turns(after.as_ref(), ROWS_PER_READ).await?;
            let Some((scope, last)) = page.last() else {
                return Ok(());
            };
            after = Some((scope.tenant.clone(), last.turn.id.clone()));
            for (scope, turn) in page {
                if self.one().is_some_and(|one| one.tenant != scope.tenant) {
                    return Ok(());
                }
                if self.is_wanted(&scope) {
                    self.turn(scope, turn)?;
                }
            }
            self.page_done();
        }
    }

    fn turn(&mut self, scope: Scope, turn: TurnRecord) -> Result<()> {
        if !turn.state.is_terminal() {
            self.report.turns_running = self.report.turns_running.saturating_add(1);
            return Ok(());
        }
        self.write(&ArchiveLine::Turn { scope, turn: Box::new(turn) })
    }

    async fn accounts(&mut self, ledger: &LedgerPorts) -> Result<Wanted> {
        let one = self.one().cloned();
        let mut wanted = std::collections::BTreeSet::new();
        let mut after: Option<(TenantId, AccountId)> = None;
        loop {
            let page = ledger.maintenance.scan_accounts(after.as_ref(), ROWS_PER_READ).await?;
            let Some((tenant, last)) = page.last() else {
                return Ok(one.map(|_| wanted));
            };
            after = Some((tenant.clone(), last.id.clone()));
            for (tenant, account) in page {
                if let Some(one) = &one {
                    if tenant != one.tenant || account.owner.as_ref() != Some(&one.user) {
                        continue;
                    }
                    wanted.insert((tenant.clone(), account.id.clone()));
                }
                self.write(&ArchiveLine::Account { tenant, account })?;
            }
            self.page_done();
        }
    }

    async fn holds(&mut self, ledger: &LedgerPorts, accounts: &Wanted) -> Result<()> {
        let mut after: Option<(TenantId, StepKey)> = None;
        loop {
            let page = ledger.maintenance.scan_holds(after.as_ref(), ROWS_PER_READ).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some((last.scope.tenant.clone(), last.key.clone()));
            for hold in page {
                if let Some(hold) = of_accounts(hold, accounts) {
                    self.write(&ArchiveLine::Hold { hold })?;
                }
            }
            self.page_done();
        }
    }

    async fn entries(&mut self, ledger: &LedgerPorts, accounts: &Wanted) -> Result<()> {
        let mut read = 0_u64;
        loop {
            let page = ledger.maintenance.scan_entries(read, ROWS_PER_READ).await?;
            if page.is_empty() {
                return Ok(());
            }
            for entry in page {
                read = read.saturating_add(1);
                if moves_any(&entry, accounts) {
                    self.write(&ArchiveLine::Entry { entry })?;
                }
            }
            self.page_done();
        }
    }

    async fn usage(&mut self) -> Result<()> {
        if let Some(scope) = self.one().cloned() {
            let mut after = None;
            loop {
                let query = UsageQuery { after, limit: ROWS_PER_READ, ..UsageQuery::default() };
                let page = self.stores.usage.rows(&scope, &query).await?;
                let Some(last) = page.last() else {
                    return Ok(());
                };
                after = Some(last.key.clone());
                for row in page {
                    self.write(&ArchiveLine::Usage { scope: scope.clone(), row: Box::new(row) })?;
                }
                self.page_done();
            }
        }
        let mut read = 0_u64;
        loop {
            let page = self.stores.usage.scan_rows(read, ROWS_PER_READ).await?;
            if page.is_empty() {
                return Ok(());
            }
            for (scope, row) in page {
                read = read.saturating_add(1);
                self.write(&ArchiveLine::Usage { scope, row: Box::new(row) })?;
            }
            self.page_done();
        }
    }
}

/// The hold with its legs on wanted accounts; none if it has no such leg.
fn of_accounts(mut hold: Hold, accounts: &Wanted) -> Option<Hold> {
    if let Some(wanted) = accounts {
        let tenant = hold.scope.tenant.clone();
        hold.legs.retain(|leg| wanted.contains(&(tenant.clone(), leg.account.clone())));
    }
    (!hold.legs.is_empty()).then_some(hold)
}

fn moves_any(entry: &Entry, accounts: &Wanted) -> bool {
    let Some(wanted) = accounts else {
        return true;
    };
    [&entry.debit, &entry.credit].into_iter().any(|side| match side {
        Side::Wallet(account) => wanted.contains(&(entry.scope.tenant.clone(), account.clone())),
        Side::Source | Side::Revenue | Side::Expired => false,
    })
}

fn first_id<T: std::str::FromStr>() -> Result<T> {
    FIRST_ID.parse().map_err(|_| {
        ArchiveError::new(ArchiveErrorKind::Store, "the first of all ids is no id any more")
    })
}
