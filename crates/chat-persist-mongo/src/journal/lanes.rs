//! Lanes: turns of one process in one conversation queue here instead of aborting each other.
//!
//! Accepting and ending a turn both move the conversation's head, and the server ends one of two
//! transactions that meet on a document: right, and slow when many do. Lanes are a fixed number, so
//! two conversations may share one: then they wait for each other and nothing else happens. Writers
//! of other processes are met on the server.

use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use chat_types::{ConversationId, Scope};
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::MongoStore;

/// Far more than operations run at once, so that two conversations seldom share one.
const LANES: u64 = 1_024;

/// The lanes of one store.
pub(crate) struct ConversationLanes(Vec<Arc<Mutex<()>>>);

impl Default for ConversationLanes {
    fn default() -> Self {
        Self((0..LANES).map(|_| Arc::default()).collect())
    }
}

impl fmt::Debug for ConversationLanes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConversationLanes").finish_non_exhaustive()
    }
}

impl MongoStore {
    /// Waits until no other turn of this process is accepted or ended in the conversation. None on
    /// a server where writes do not abort each other. Dropping the pass, or this future, makes room.
    pub(crate) async fn enter_lane(
        &self,
        scope: &Scope,
        conversation: &ConversationId,
    ) -> Option<OwnedMutexGuard<()>> {
        if !self.has_transactions() {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        (&scope.tenant, &scope.user, conversation).hash(&mut hasher);
        let lane = usize::try_from(hasher.finish() % LANES).unwrap_or_default();
        let lane = self.conversation_lanes().0.get(lane).map(Arc::clone)?;
        Some(lane.lock_owned().await)
    }
}
