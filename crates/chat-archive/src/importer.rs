//! Writes lines into stores: in pages, through the ports, and as often as you like.
//!
//! A page is a few hundred rows or a few megabytes, so a conversation of any length is never held
//! in memory whole. Every write may be repeated: an import that was stopped is run again and goes
//! on, and one that was done changes nothing. Nothing that is there is overwritten; what differs is
//! refused, or left as it is where that was asked for (`kept`). Not here: reading (`reader`), pages
//! of other rows than messages (`write_page`), and turns that run meanwhile (stop them first).

use chat_balance::LedgerRows;
use chat_persist::PersistErrorKind;
use chat_types::{Change, ContentPart, Conversation, ConversationPatch, Message, Scope};

use crate::error::{ArchiveError, ArchiveErrorKind, Lines};
use crate::page::{PAGE_ROWS_MAX, Page, Rows};
use crate::{ArchiveLine, ImportOptions, ImportReport, Result, Stores, kept};

/// Text of one page of messages, in bytes: below what any engine takes in one transaction. One
/// message alone may be larger.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An import that takes typed lines, one after the other, from wherever they come.
///
/// Lines are written page by page; [`finish`](Self::finish) writes the last one. After an error,
/// give it no more lines: what was written stays, and the whole import may be run again.
#[derive(Debug)]
pub struct Importer {
    pub(crate) stores: Stores,
    pub(crate) options: ImportOptions,
    pub(crate) report: ImportReport,
    /// The number of the line taken last.
    line: u64,
    /// The conversation whose messages come now.
    open: Option<OpenConversation>,
    pub(crate) page: Page,
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
        if self.options.keep_what_differs && kept::is_conflict(&written) {
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

    fn refused(&self, error: chat_persist::PersistError) -> ArchiveError {
        ArchiveError::from(error).at(Lines::one(self.line))
    }
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
        ContentPart::Text { text }
        | ContentPart::Quote { text }
        | ContentPart::ToolResult { text, .. } => text.len(),
        ContentPart::Reasoning { text, opaque } => {
            let sealed = opaque.as_ref().map_or(0, |opaque| opaque.data.len());
            text.len().saturating_add(sealed)
        }
        ContentPart::ToolCall { arguments, .. } => arguments.len(),
        ContentPart::Summary { summary } => summary.text.len(),
        _ => 0,
    });
    let summary = message.summary.as_ref().map_or(0, |summary| summary.text.len());
    parts.fold(BESIDES.saturating_add(summary), usize::saturating_add)
}
