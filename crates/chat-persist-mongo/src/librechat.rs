//! Reading a LibreChat database for an import: every user's conversations, files, transactions and
//! balances, as lines of an archive.
//!
//! Nothing is written to the database, no index is made in it. Documents are read in pages in the
//! order of `_id`; of a conversation's messages only ids and parents are in memory at once. What
//! cannot be carried over is counted, with the reason; what is broken is repaired and counted:
//! the import goes on.

mod money;
mod order;
mod report;

use std::collections::{HashSet, VecDeque};

use chat_archive::ArchiveLine;
use chat_persist::{PersistError, Result};
use chat_types::{AccountId, FileId, MessageId, Scope};
use futures::TryStreamExt;
use mongodb::Database;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

pub use report::{LibreChatReport, LibreChatTotals};

use crate::MongoConfig;
use crate::client::in_task;
use crate::collections::{BALANCES, CONVERSATIONS, FILES, MESSAGES, TRANSACTIONS};
use crate::connect::connect;
use crate::error::{EngineResult, PortError};
use crate::record::{conversation_of, file_of, file_scope_of, message_of, scope_of};

/// Documents per page of small ones.
const PAGE_DOCUMENTS: i64 = 500;

/// Messages per page: some may be megabytes.
const PAGE_MESSAGES: usize = 100;

/// A LibreChat database, read line by line.
///
/// The order: conversations, each with its messages behind it, parents first; files; usage rows
/// made of transactions; openings made of balances. Reading it again gives the same lines, so an
/// import may be stopped and run again.
#[derive(Debug)]
pub struct LibreChatSource {
    database: Database,
    phase: Phase,
    /// The last document read of the phase.
    after: Option<ObjectId>,
    /// Lines that are ready.
    ready: VecDeque<ArchiveLine>,
    /// Documents of the page that are not looked at yet.
    page: VecDeque<Document>,
    /// Messages of the conversation that is open: `_id` and parent, in the order they come.
    open: Option<OpenConversation>,
    files_seen: HashSet<(Scope, FileId)>,
    balances_seen: HashSet<(Scope, AccountId)>,
    report: LibreChatReport,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Conversations,
    Files,
    Transactions,
    Balances,
    Done,
}

#[derive(Debug)]
struct OpenConversation {
    rest: VecDeque<(ObjectId, Option<MessageId>)>,
}

impl LibreChatSource {
    /// Connects to the database that `url` names.
    ///
    /// # Errors
    /// `Unsupported` if the URL is none or names no database; `Unavailable` if nobody answers.
    pub async fn open(url: &str) -> Result<Self> {
        let config = MongoConfig::new(url);
        let opened = in_task(async move {
            let (_, database) = connect(&config).await?;
            database.run_command(doc! { "ping": 1 }).await?;
            Ok(database)
        });
        let database = opened
            .await
            .and_then(std::convert::identity)
            .map_err(|failure| PersistError::of(failure, "open LibreChat's database"))?;
        Ok(Self {
            database,
            phase: Phase::Conversations,
            after: None,
            ready: VecDeque::new(),
            page: VecDeque::new(),
            open: None,
            files_seen: HashSet::new(),
            balances_seen: HashSet::new(),
            report: LibreChatReport::default(),
        })
    }

    /// How much there is, about: what a progress bar runs to.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn totals(&self) -> Result<LibreChatTotals> {
        let database = self.database.clone();
        let counted = in_task(async move {
            let count = async |name: &str| {
                database.collection::<Document>(name).estimated_document_count().await
            };
            Ok(LibreChatTotals {
                conversations: count(CONVERSATIONS).await?,
                messages: count(MESSAGES).await?,
                files: count(FILES).await?,
                transactions: count(TRANSACTIONS).await?,
                balances: count(BALANCES).await?,
            })
        });
        let counted = counted.await.and_then(std::convert::identity);
        counted.map_err(|failure| PersistError::of(failure, "count LibreChat's documents"))
    }

    /// What was read, repaired and left out so far.
    #[must_use]
    pub fn report(&self) -> &LibreChatReport {
        &self.report
    }

    /// The next line; none after the last.
    ///
    /// # Errors
    /// `Unavailable` if the database does not answer; the call may be repeated.
    pub async fn next_line(&mut self) -> Result<Option<ArchiveLine>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                self.report.count(&line);
                return Ok(Some(line));
            }
            if self.phase == Phase::Done {
                return Ok(None);
            }
            let advanced = self.advance().await;
            advanced.map_err(|failure| PersistError::of(failure, "read LibreChat's database"))?;
        }
    }

    /// Reads one page, or makes lines of what was read.
    async fn advance(&mut self) -> EngineResult<()> {
        if self.open.is_some() {
            return self.read_messages().await;
        }
        if let Some(document) = self.page.front().cloned() {
            match self.phase {
                Phase::Conversations => self.take_conversation(&document).await?,
                Phase::Files => self.take_file(&document),
                Phase::Transactions => self.take_transaction(&document),
                Phase::Balances => self.take_balance(&document),
                Phase::Done => {}
            }
            self.page.pop_front();
            return Ok(());
        }
        let (collection, left_out) = match self.phase {
            Phase::Conversations => (CONVERSATIONS, doc! { "messages": 0 }),
            Phase::Files => (FILES, doc! { "text": 0 }),
            Phase::Transactions => (TRANSACTIONS, Document::new()),
            Phase::Balances => (BALANCES, Document::new()),
            Phase::Done => return Ok(()),
        };
        let filter = match self.after {
            Some(after) => doc! { "_id": { "$gt": after } },
            None => Document::new(),
        };
        let page = self.find(collection, filter, left_out, PAGE_DOCUMENTS).await?;
        self.after = page.last().and_then(|last| last.get_object_id("_id").ok());
        if page.is_empty() {
            self.phase = match self.phase {
                Phase::Conversations => Phase::Files,
                Phase::Files => Phase::Transactions,
                Phase::Transactions => Phase::Balances,
                Phase::Balances | Phase::Done => Phase::Done,
            };
        }
        self.page = page.into();
        Ok(())
    }

    /// Reads in the order of `_id`, in a task of its own.
    async fn find(
        &self,
        collection: &'static str,
        filter: Document,
        fields: Document,
        limit: i64,
    ) -> EngineResult<Vec<Document>> {
        let database = self.database.clone();
        in_task(async move {
            let collection = database.collection::<Document>(collection);
            let mut found = collection.find(filter).sort(doc! { "_id": 1 }).limit(limit);
            if !fields.is_empty() {
                found = found.projection(fields);
            }
            Ok(found.await?.try_collect().await?)
        })
        .await?
    }

    async fn take_conversation(&mut self, document: &Document) -> EngineResult<()> {
        let (Ok(scope), Ok(found)) = (scope_of(document), conversation_of(document)) else {
            self.report.conversations_left_out += 1;
            return Ok(());
        };
        let mut conversation = found.conversation;
        let filter = doc! {
            "user": scope.user.as_str(),
            "tenantId": document.get("tenantId").cloned().unwrap_or(Bson::Null),
            "conversationId": conversation.id.as_str(),
        };
        let fields = doc! { "messageId": 1, "parentMessageId": 1 };
        let skeletons = self.find(MESSAGES, filter, fields, 0).await?;
        let ordered = order::parents_first(&skeletons, &mut self.report);
        let is_head_there =
            conversation.head.as_ref().is_some_and(|head| ordered.ids.contains(head));
        if !is_head_there {
            conversation.head = ordered.newest.clone();
        }
        self.ready.push_back(ArchiveLine::Conversation { scope, conversation });
        self.open = Some(OpenConversation { rest: ordered.places.into() });
        Ok(())
    }

    /// Makes lines of the next messages of the open conversation.
    async fn read_messages(&mut self) -> EngineResult<()> {
        let Some(open) = &self.open else {
            return Ok(());
        };
        let places: Vec<(ObjectId, Option<MessageId>)> =
            open.rest.iter().take(PAGE_MESSAGES).cloned().collect();
        let wanted: Vec<ObjectId> = places.iter().map(|(object_id, _)| *object_id).collect();
        let documents =
            self.find(MESSAGES, doc! { "_id": { "$in": wanted } }, Document::new(), 0).await?;
        for (object_id, parent) in &places {
            let document = documents
                .iter()
                .find(|document| document.get_object_id("_id").is_ok_and(|id| id == *object_id));
            match document.map(message_of) {
                Some(Ok(stored)) => {
                    let mut message = stored.message;
                    message.parent = parent.clone();
                    message.turn = None;
                    self.ready.push_back(ArchiveLine::Message { message });
                }
                // It was deleted meanwhile, or one of our fields in it cannot be read.
                Some(Err(_)) | None => self.report.messages_left_out += 1,
            }
        }
        if let Some(open) = &mut self.open {
            open.rest.drain(..places.len().min(open.rest.len()));
            if open.rest.is_empty() {
                self.open = None;
            }
        }
        Ok(())
    }

    fn take_file(&mut self, document: &Document) {
        let (Ok(scope), Ok(file)) = (file_scope_of(document), file_of(document)) else {
            self.report.files_left_out += 1;
            return;
        };
        if self.files_seen.insert((scope.clone(), file.id.clone())) {
            self.ready.push_back(ArchiveLine::File { scope, file });
        } else {
            self.report.files_twice += 1;
        }
    }

    fn take_transaction(&mut self, document: &Document) {
        self.ready.extend(money::usage_of(document, &mut self.report));
    }

    fn take_balance(&mut self, document: &Document) {
        let Some((scope, spec, at)) = money::opening_of(document, &mut self.report) else {
            return;
        };
        if self.balances_seen.insert((scope.clone(), spec.id.clone())) {
            self.ready.push_back(ArchiveLine::Opening { scope, spec, at });
        } else {
            self.report.balances_twice += 1;
        }
    }
}
