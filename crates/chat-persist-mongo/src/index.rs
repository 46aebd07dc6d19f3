//! An index, as a module asks for it.

use mongodb::bson::Document;

/// One index.
#[derive(Clone, Debug)]
pub(crate) struct Index {
    pub(crate) collection: &'static str,
    pub(crate) keys: Document,
    pub(crate) unique: bool,
    pub(crate) partial: Option<Document>,
}

impl Index {
    /// An index on `keys`.
    pub(crate) fn on(collection: &'static str, keys: Document) -> Self {
        Self { collection, keys, unique: false, partial: None }
    }

    /// No two documents have equal keys.
    pub(crate) fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// Only documents that match `filter` are in it.
    pub(crate) fn only(mut self, filter: Document) -> Self {
        self.partial = Some(filter);
        self
    }
}
