//! One unit of work: the calls of one operation, in one transaction where the server has them.
//!
//! Whoever writes a unit's function calls these methods and never the driver, so that the session
//! cannot be forgotten. On a standalone server the same calls run in the same order without one:
//! check everything first, write the document that decides last. Any failure ends the unit, also a
//! duplicate key: the whole function then runs again and finds what was in its way.

use std::time::Duration;

use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::{
    FindOneAndUpdateOptions, FindOneOptions, FindOptions, ReturnDocument, UpdateModifications,
};
use mongodb::results::UpdateResult;
use mongodb::{ClientSession, Collection, Database};

use crate::error::{EngineResult, Failure, FailureKind};
use crate::object_ids::ObjectIds;

/// Updates per command: each is a few hundred bytes.
const UPDATES_PER_COMMAND: usize = 500;

/// The calls of one operation. See the module.
pub(crate) struct Unit<'s> {
    pub(crate) database: &'s Database,
    pub(crate) object_ids: &'s ObjectIds,
    pub(crate) session: Option<ClientSession>,
    pub(crate) in_transaction: bool,
    pub(crate) read_timeout: Duration,
    pub(crate) is_repeat: bool,
}

/// How a read is cut and ordered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut {
    /// The order; none for a read by a unique key.
    pub(crate) sort: Option<Document>,
    /// At most this many; 0 for no bound, which only reads by a bounded list of keys may use.
    pub(crate) limit: i64,
    /// The fields to read; none for all.
    pub(crate) fields: Option<Document>,
}

impl Cut {
    /// In this order, at most `limit`.
    pub(crate) fn sorted(sort: Document, limit: i64) -> Self {
        Self { sort: Some(sort), limit, fields: None }
    }

    /// The same, reading only `fields`.
    pub(crate) fn only(mut self, fields: Document) -> Self {
        self.fields = Some(fields);
        self
    }
}

/// Runs a driver call with the unit's session, if it has one.
macro_rules! in_session {
    ($unit:ident, $call:expr) => {
        match $unit.session.as_mut() {
            Some(session) => $call.session(session).await?,
            None => $call.await?,
        }
    };
}

impl Unit<'_> {
    /// The function runs a second time at least: what it finds may be its own writing.
    pub(crate) fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    /// All of the unit's writes become durable together.
    pub(crate) fn is_transaction(&self) -> bool {
        self.in_transaction
    }

    fn collection(&self, name: &str) -> Collection<Document> {
        self.database.collection(name)
    }

    /// Reads one document.
    pub(crate) async fn find_one(
        &mut self,
        collection: &'static str,
        filter: Document,
        cut: Cut,
    ) -> EngineResult<Option<Document>> {
        let options = FindOneOptions::builder()
            .sort(cut.sort)
            .projection(cut.fields)
            .max_time(self.read_timeout)
            .build();
        let collection = self.collection(collection);
        Ok(in_session!(self, collection.find_one(filter).with_options(options)))
    }

    /// Reads documents.
    pub(crate) async fn find(
        &mut self,
        collection: &'static str,
        filter: Document,
        cut: Cut,
    ) -> EngineResult<Vec<Document>> {
        let options = FindOptions::builder()
            .sort(cut.sort)
            .limit(cut.limit)
            .projection(cut.fields)
            .max_time(self.read_timeout)
            .build();
        let collection = self.collection(collection);
        match self.session.as_mut() {
            Some(session) => {
                let found = collection.find(filter).with_options(options).session(&mut *session);
                let mut cursor = found.await?;
                Ok(cursor.stream(session).try_collect().await?)
            }
            None => {
                let cursor = collection.find(filter).with_options(options).await?;
                Ok(cursor.try_collect().await?)
            }
        }
    }

    /// Runs an aggregation that only reads.
    pub(crate) async fn aggregate(
        &mut self,
        collection: &'static str,
        stages: Vec<Document>,
    ) -> EngineResult<Vec<Document>> {
        let collection = self.collection(collection);
        let aggregate = collection.aggregate(stages).max_time(self.read_timeout);
        match self.session.as_mut() {
            Some(session) => {
                let mut cursor = aggregate.session(&mut *session).await?;
                Ok(cursor.stream(session).try_collect().await?)
            }
            None => Ok(aggregate.await?.try_collect().await?),
        }
    }

    /// Writes a new document.
    pub(crate) async fn insert_one(
        &mut self,
        collection: &'static str,
        document: &Document,
    ) -> EngineResult<()> {
        let collection = self.collection(collection);
        in_session!(self, collection.insert_one(document));
        Ok(())
    }

    /// Writes new documents in this order; the first that fails ends it.
    pub(crate) async fn insert_many(
        &mut self,
        collection: &'static str,
        documents: &[Document],
    ) -> EngineResult<()> {
        if documents.is_empty() {
            return Ok(());
        }
        let collection = self.collection(collection);
        in_session!(self, collection.insert_many(documents));
        Ok(())
    }

    /// Changes one document. `update` holds operators (`$set`, …), never a whole document; or it is
    /// a pipeline, whose values may depend on what is stored.
    pub(crate) async fn update_one(
        &mut self,
        collection: &'static str,
        filter: Document,
        update: impl Into<UpdateModifications>,
    ) -> EngineResult<UpdateResult> {
        let collection = self.collection(collection);
        Ok(in_session!(self, collection.update_one(filter, update)))
    }

    /// Changes one document, or writes it with the filter's equalities and `update`.
    pub(crate) async fn upsert_one(
        &mut self,
        collection: &'static str,
        filter: Document,
        update: Document,
    ) -> EngineResult<UpdateResult> {
        let collection = self.collection(collection);
        Ok(in_session!(self, collection.update_one(filter, update).upsert(true)))
    }

    /// Changes each document that a filter finds; up to some hundred per command.
    pub(crate) async fn update_each(
        &mut self,
        collection: &'static str,
        updates: Vec<(Document, Document)>,
    ) -> EngineResult<()> {
        for some in updates.chunks(UPDATES_PER_COMMAND) {
            let updates: Vec<Document> =
                some.iter().map(|(filter, update)| doc! { "q": filter, "u": update }).collect();
            let mut command = doc! { "update": collection, "updates": updates };
            if !self.in_transaction {
                // A command run as such does not inherit what the client is set to.
                command.insert("writeConcern", doc! { "w": "majority", "j": true });
            }
            let database = self.database;
            let reply = in_session!(self, database.run_command(command));
            let refused = reply.get_array("writeErrors").ok().and_then(|errors| errors.first());
            if let Some(refused) = refused.and_then(|error| error.as_document()) {
                return Err(Failure::of_code(refused.get_i32("code").unwrap_or_default()));
            }
            if reply.contains_key("writeConcernError") {
                let detail = "the write is not yet on a majority of servers";
                return Err(Failure::new(FailureKind::Lost, detail));
            }
        }
        Ok(())
    }

    /// Changes many documents.
    pub(crate) async fn update_many(
        &mut self,
        collection: &'static str,
        filter: Document,
        update: Document,
    ) -> EngineResult<UpdateResult> {
        let collection = self.collection(collection);
        Ok(in_session!(self, collection.update_many(filter, update)))
    }

    /// Changes one document, as [`Unit::update_one`] does, and returns it as it is now, or none if
    /// none matched.
    pub(crate) async fn find_one_and_update(
        &mut self,
        collection: &'static str,
        filter: Document,
        update: impl Into<UpdateModifications>,
        fields: Option<Document>,
    ) -> EngineResult<Option<Document>> {
        let options = FindOneAndUpdateOptions::builder()
            .return_document(ReturnDocument::After)
            .projection(fields)
            .build();
        let collection = self.collection(collection);
        let call = collection.find_one_and_update(filter, update).with_options(options);
        Ok(in_session!(self, call))
    }

    /// Deletes and returns how many went.
    pub(crate) async fn delete_many(
        &mut self,
        collection: &'static str,
        filter: Document,
    ) -> EngineResult<u64> {
        let collection = self.collection(collection);
        Ok(in_session!(self, collection.delete_many(filter)).deleted_count)
    }
}
