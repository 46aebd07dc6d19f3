//! Writes lines into stores: in pages, through the ports, and as often as you like.
//!
//! A page is a few hundred rows or a few megabytes, so a conversation of any length is never held
//! in memory whole. Every write may be repeated: an import that was stopped is run again and goes
//! on, and one that was done changes nothing. Nothing that is there is overwritten; what differs is
//! refused, or left as it is where that was asked for (`kept`). Not here: reading (`reader`), and turns that run meanwhile (stop them first).

use std::io::BufRead;

use chat_balance::{BalanceErrorKind, LedgerRows};
use chat_persist::{PersistErrorKind, TurnRecord};
use chat_types::{
    Change, ContentPart, Conversation, ConversationPatch, FileRecord, Message, Scope,
};
use chat_usage::UsageRow;

use crate::error::{ArchiveError, ArchiveErrorKind, Lines};
use crate::{ArchiveLine, ArchiveReader, Counts, Result, Stores, kept};

/// Rows of one page: few enough for one transaction of any engine, enough to hide its latency.
const PAGE_ROWS_MAX: usize = 500;

/// Text of one page of messages, in bytes: below what any engine takes in one transaction. One
/// message alone may be larger.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How to import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// Read and count everything, look up which conversations are there, and write nothing.
    pub dry_run: bool,
    /// Leave accounts, holds and entries out instead of refusing them where there is no ledger.
    pub leave_ledger_out: bool,
    /// Messages and files that are there and differ stay as they are and are counted, instead of
    /// refusing the page: the source goes on, and what was carried over may be edited in it.
    pub keep_what_differs: bool,
}

/// What an import read and found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Lines read, whether or not they were new.
    pub lines: Counts,
    /// Conversations that were there before; their messages were compared, new ones added.
    pub conversations_there: u64,
    /// Conversations left without a head because the message that it names did not come.
    pub heads_missing: u64,
    /// Turns left out because their conversation is not there: it was deleted while the archive
    /// was written.
    pub turns_homeless: u64,
    /// Accounts, openings, holds and entries left out because that was asked for.
    pub ledger_left_out: u64,
    /// Messages that differ from those that are there, which stay: see
    /// [`ImportOptions::keep_what_differs`]. A dry run does not compare.
    pub messages_kept: u64,
    /// Files of which the same is true.
    pub files_kept: u64,
}

/// Called with the counts so far, after every page.
pub type Progress<'p> = &'p mut (dyn FnMut(&Counts) + Send);

/// An import that takes typed lines, one after the other, from wherever they come.
///
/// Lines are written page by page; [`finish`](Self::finish) writes the last one. After an error,
/// give it no more lines: what was written stays, and the whole import may be run again.
#[derive(Debug)]
pub struct Importer {
    stores: Stores,
    options: ImportOptions,
    report: ImportReport,
    /// The number of the line taken last.
    line: u64,
    /// The conversation whose messages come now.
    open: Option<OpenConversation>,
    page: Page,
}

#[derive(Debug)]
struct OpenConversation {
    scope: Scope,
    conversation: Conversation,
    /// Messages not written yet.
    messages: Vec<Message>,
    bytes: usize,
    first_line: u64,
    last_line: u64,
    /// A page of it was written.
    is_there: bool,
    /// It is stored without its head: the head was not in that page, or an import before was cut.
    lacks_head: bool,
}

/// Rows of one kind that wait to be written together.
#[derive(Debug, Default)]
struct Page {
    rows: Rows,
    count: usize,
    first_line: u64,
}

#[derive(Debug, Default)]
enum Rows {
    #[default]
    None,
    Files(Scope, Vec<FileRecord>),
    Turns(Vec<(Scope, TurnRecord)>),
    Ledger(LedgerRows),
    Usage(Scope, Vec<UsageRow>),
}

impl Importer {
    /// An import into `stores`.
    #[must_use]
    pub fn new(stores: Stores, options: ImportOptions) -> Self {
        Self {
            stores,
            options,
            report: ImportReport::default(),
            line: 0,
            open: None,
            page: Page::default(),
        }
    }

    /// Numbers the next line `line`, where the numbers of the source are others than 1, 2, 3.
    pub fn number_next(&mut self, line: u64) {
        self.line = line.saturating_sub(1);
    }

    /// What was read so far.
    #[must_use]
    pub fn report(&self) -> ImportReport {
        self.report
    }

    /// Takes one line. True if a page was written.
    ///
    /// # Errors
    /// `OutOfPlace` for a message that is not behind its conversation; `NoLedger`; `Store` with
    /// the lines of the page that was refused.
    pub async fn take(&mut self, line: ArchiveLine) -> Result<bool> {
        self.line = self.line.saturating_add(1);
        self.report.lines.add(&line);
        let place = self.line;
        match line {
            ArchiveLine::Conversation { scope, conversation } => {
                self.flush().await?;
                self.open_conversation(scope, conversation).await?;
                Ok(true)
            }
            ArchiveLine::Message { message } => self.take_message(message).await,
            ArchiveLine::File { scope, file } => {
                let flushed = self
                    .make_room(|rows| matches!(rows, Rows::Files(owner, _) if *owner == scope))
                    .await?;
                match &mut self.page.rows {
                    Rows::Files(_, files) => files.push(file),
                    rows => *rows = Rows::Files(scope, vec![file]),
                }
                Ok(flushed)
            }
            ArchiveLine::Turn { scope, turn } => {
                let flushed = self.make_room(|rows| matches!(rows, Rows::Turns(_))).await?;
                match &mut self.page.rows {
                    Rows::Turns(turns) => turns.push((scope, *turn)),
                    rows => *rows = Rows::Turns(vec![(scope, *turn)]),
                }
                Ok(flushed)
            }
            ArchiveLine::Account { tenant, account } => {
                self.take_ledger_row(|rows| rows.accounts.push((tenant, account))).await
            }
            ArchiveLine::Hold { hold } => self.take_ledger_row(|rows| rows.holds.push(hold)).await,
            ArchiveLine::Entry { entry } => {
                self.take_ledger_row(|rows| rows.entries.push(entry)).await
            }
            ArchiveLine::Opening { scope, spec, at } => {
                if self.leaves_ledger_out()? {
                    return Ok(false);
                }
                self.flush().await?;
                if let (Some(ledger), false) = (&self.stores.ledger, self.options.dry_run) {
                    let opened = ledger.balance.open_account(&scope, &spec, at).await;
                    opened.map_err(|error| ArchiveError::from(error).at(Lines::one(place)))?;
                }
                Ok(true)
            }
            ArchiveLine::Usage { scope, row } => {
                let flushed = self
                    .make_room(|rows| matches!(rows, Rows::Usage(owner, _) if *owner == scope))
                    .await?;
                match &mut self.page.rows {
                    Rows::Usage(_, rows) => rows.push(*row),
                    rows => *rows = Rows::Usage(scope, vec![*row]),
                }
                Ok(flushed)
            }
        }
    }

    /// Writes what is left and reports.
    ///
    /// # Errors
    /// `Store`, see [`take`](Self::take).
    pub async fn finish(mut self) -> Result<ImportReport> {
        self.flush().await?;
        Ok(self.report)
    }

    /// Writes everything that waits.
    async fn flush(&mut self) -> Result<()> {
        self.close_conversation().await?;
        self.write_page().await
    }

    async fn open_conversation(&mut self, scope: Scope, conversation: Conversation) -> Result<()> {
        let there = self.stores.persistence.conversation(&scope, &conversation.id).await;
        let there = there.map_err(|error| self.refused(error))?;
        if there.is_some() {
            self.report.conversations_there = self.report.conversations_there.saturating_add(1);
        }
        self.open = Some(OpenConversation {
            scope,
            conversation,
            messages: Vec::new(),
            bytes: 0,
            first_line: self.line,
            last_line: self.line,
            is_there: false,
            lacks_head: there.is_some_and(|there| there.head.is_none()),
        });
        Ok(())
    }

    async fn take_message(&mut self, message: Message) -> Result<bool> {
        let line = self.line;
        let Some(open) = &mut self.open else {
            return Err(out_of_place(line, "a message that is not behind its conversation"));
        };
        if message.conversation != open.conversation.id {
            return Err(out_of_place(line, "a message of another conversation"));
        }
        if open.messages.is_empty() && open.is_there {
            open.first_line = line;
        }
        open.last_line = line;
        open.bytes = open.bytes.saturating_add(text_bytes(&message));
        open.messages.push(message);
        if open.messages.len() < PAGE_ROWS_MAX && open.bytes < PAGE_BYTES_MAX {
            return Ok(false);
        }
        self.write_messages().await?;
        Ok(true)
    }

    /// Writes the messages that wait, and the conversation with the first of them.
    async fn write_messages(&mut self) -> Result<()> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let messages = std::mem::take(&mut open.messages);
        let place = Lines { first: open.first_line, last: open.last_line };
        open.bytes = 0;
        if open.is_there && messages.is_empty() {
            return Ok(());
        }
        let mut conversation = open.conversation.clone();
        if !open.is_there {
            let head = conversation.head.take();
            let is_among = head.as_ref().is_some_and(|id| messages.iter().any(|m| m.id == *id));
            open.lacks_head = head.is_some() && (open.lacks_head || !is_among);
            conversation.head = head.filter(|_| is_among);
            open.is_there = true;
        }
        if self.options.dry_run {
            return Ok(());
        }
        let store = &self.stores.persistence;
        let mut written = store.import(&open.scope, &conversation, &messages).await.map(|()| 0);
        if self.options.keep_what_differs && is_conflict(&written) {
            written = kept::import_rest(store.as_ref(), &open.scope, &conversation, messages).await;
        }
        let kept = written.map_err(|error| ArchiveError::from(error).at(place))?;
        self.report.messages_kept = self.report.messages_kept.saturating_add(kept);
        Ok(())
    }

    /// Writes the rest of a conversation, then its head if that came late.
    async fn close_conversation(&mut self) -> Result<()> {
        self.write_messages().await?;
        let Some(open) = self.open.take() else {
            return Ok(());
        };
        if !open.lacks_head || self.options.dry_run {
            return Ok(());
        }
        let place = Lines { first: open.first_line, last: open.last_line };
        let store = &self.stores.persistence;
        let refused = |error| ArchiveError::from(error).at(place);
        let there =
            store.conversation(&open.scope, &open.conversation.id).await.map_err(refused)?;
        // A conversation that has a head was imported before, and may have gone on since.
        let Some(there) = there.filter(|there| there.head.is_none()) else {
            return Ok(());
        };
        let head = open.conversation.head.map_or(Change::Keep, Change::Set);
        let patch = ConversationPatch { head, ..ConversationPatch::default() };
        let moved =
            store.patch_conversation(&open.scope, &there.id, &patch, there.updated_at).await;
        match moved {
            Ok(_) => Ok(()),
            // The archive was cut before it came, or never had it: another import can still set it.
            Err(error) if error.kind() == PersistErrorKind::ParentMissing => {
                self.report.heads_missing = self.report.heads_missing.saturating_add(1);
                Ok(())
            }
            Err(error) => Err(refused(error)),
        }
    }

    /// Makes room for one more row of a kind: another kind, or a full page, is written first.
    async fn make_room(&mut self, is_same: impl Fn(&Rows) -> bool) -> Result<bool> {
        let has_open = self.open.is_some();
        self.close_conversation().await?;
        let fits = is_same(&self.page.rows) && self.page.count < PAGE_ROWS_MAX;
        if !fits {
            self.write_page().await?;
            self.page.first_line = self.line;
        }
        self.page.count = self.page.count.saturating_add(1);
        Ok(!fits || has_open)
    }

    fn leaves_ledger_out(&mut self) -> Result<bool> {
        if self.stores.ledger.is_some() {
            return Ok(false);
        }
        if self.options.leave_ledger_out {
            self.report.ledger_left_out = self.report.ledger_left_out.saturating_add(1);
            return Ok(true);
        }
        let detail = "the archive has a ledger and the target keeps none";
        let error = ArchiveError::new(ArchiveErrorKind::NoLedger, detail);
        Err(error.at(Lines::one(self.line)))
    }

    async fn take_ledger_row(&mut self, add: impl FnOnce(&mut LedgerRows)) -> Result<bool> {
        if self.leaves_ledger_out()? {
            return Ok(false);
        }
        let flushed = self.make_room(|rows| matches!(rows, Rows::Ledger(_))).await?;
        if let Rows::Ledger(rows) = &mut self.page.rows {
            add(rows);
        } else {
            let mut rows = LedgerRows::default();
            add(&mut rows);
            self.page.rows = Rows::Ledger(rows);
        }
        Ok(flushed)
    }

    async fn write_page(&mut self) -> Result<()> {
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
                if self.options.keep_what_differs && is_conflict(&written) {
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

    fn refused(&self, error: chat_persist::PersistError) -> ArchiveError {
        ArchiveError::from(error).at(Lines::one(self.line))
    }
}

fn is_conflict<T>(outcome: &chat_persist::Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == PersistErrorKind::Conflict)
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

fn out_of_place(line: u64, what: &str) -> ArchiveError {
    let detail = format!("there is {what}");
    ArchiveError::new(ArchiveErrorKind::OutOfPlace, detail).at(Lines::one(line))
}

/// About what a message takes in memory.
fn text_bytes(message: &Message) -> usize {
    /// Ids, times and the like.
    const BESIDES: usize = 256;
    let parts = message.parts.iter().map(|part| match part {
        ContentPart::Text { text } | ContentPart::ToolResult { text, .. } => text.len(),
        ContentPart::Reasoning { text, opaque } => {
            let sealed = opaque.as_ref().map_or(0, |opaque| opaque.data.len());
            text.len().saturating_add(sealed)
        }
        ContentPart::ToolCall { arguments, .. } => arguments.len(),
        ContentPart::Summary { summary } => summary.text.len(),
        _ => 0,
    });
    parts.fold(BESIDES, usize::saturating_add)
}

/// An import that did not reach its end, and what was read before it stopped.
#[derive(Debug, thiserror::Error)]
#[error("the import stopped after {} lines", report.lines.total())]
pub struct Failed {
    /// What was read. Everything in it was written, unless the source is of kind `Store`: then the
    /// lines it names were not.
    pub report: ImportReport,
    /// Why it stopped.
    #[source]
    pub source: ArchiveError,
}

/// Imports an archive of JSON lines.
///
/// Reading blocks the calling task for as long as `reader` does: give it a file, or run it where
/// nothing else waits.
///
/// # Errors
/// The first line that cannot be read or written. What came before it is written all the same, also
/// when the archive turns out to be cut short.
pub async fn import<R: BufRead + Send>(
    reader: R,
    stores: &Stores,
    options: ImportOptions,
    progress: Progress<'_>,
) -> Result<ImportReport, Failed> {
    let mut importer = Importer::new(stores.clone(), options);
    let nothing = ImportReport::default();
    let mut archive =
        ArchiveReader::new(reader).map_err(|source| Failed { report: nothing, source })?;
    loop {
        let line = match archive.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(source) => {
                let report = importer.report();
                let report = importer.finish().await.map_err(|source| Failed { report, source })?;
                return Err(Failed { report, source });
            }
        };
        importer.number_next(archive.line_number());
        match importer.take(line).await {
            Ok(true) => progress(&importer.report().lines),
            Ok(false) => {}
            Err(source) => return Err(Failed { report: importer.report(), source }),
        }
    }
    let report = importer.report();
    let report = importer.finish().await.map_err(|source| Failed { report, source })?;
    progress(&report.lines);
    Ok(report)
}
