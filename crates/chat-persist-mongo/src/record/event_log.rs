//! The event log as it is stored: segments in a turn's `tail` or as documents of their own, and what
//! a reader of the log needs of its turn.

use chat_persist::EventSegment;
use chat_types::TurnState;
use mongodb::bson::{Document, deserialize_from_document};
use serde::{Deserialize, Serialize};

use super::plain::{int64, named, unsigned};
use crate::error::{EngineResult, Failure};

/// `log` of a turn whose events are all there.
pub(crate) const LOG_KEPT: &str = "kept";

/// `log` of a turn whose events are being deleted; without the field they are gone.
pub(crate) const LOG_EXPIRING: &str = "expiring";

/// A segment of the event log, in a turn's `tail` or as the body of a document of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentDocument {
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) payload: String,
}

/// What a reader of the event log needs of a turn.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct LogDocument {
    state: String,
    pub(crate) last_seq: i64,
    pub(crate) epoch: i64,
    #[serde(default)]
    pub(crate) log: Option<String>,
    /// As much of the tail as was asked for.
    #[serde(default)]
    pub(crate) tail: Vec<SegmentDocument>,
    /// The first event of the whole tail.
    #[serde(default)]
    pub(crate) tail_from: Option<i64>,
}

impl LogDocument {
    pub(crate) fn read(document: Document) -> EngineResult<Self> {
        deserialize_from_document(document)
            .map_err(|_| Failure::corrupt("a stored turn cannot be read"))
    }

    pub(crate) fn state(&self) -> EngineResult<TurnState> {
        named(&self.state, TurnState::from_stored)
    }
}

impl SegmentDocument {
    /// Reads a segment that is a document of its own.
    pub(crate) fn read(document: Document) -> EngineResult<Self> {
        deserialize_from_document(document)
            .map_err(|_| Failure::corrupt("a stored segment of events cannot be read"))
    }

    pub(crate) fn of(segment: &EventSegment) -> EngineResult<Self> {
        Ok(Self {
            first_seq: int64(segment.first_seq)?,
            last_seq: int64(segment.last_seq)?,
            payload: segment.payload.clone(),
        })
    }

    pub(crate) fn segment(self) -> EngineResult<EventSegment> {
        Ok(EventSegment {
            first_seq: unsigned(self.first_seq)?,
            last_seq: unsigned(self.last_seq)?,
            payload: self.payload,
        })
    }
}
