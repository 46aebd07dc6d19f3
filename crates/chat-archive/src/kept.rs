//! Writing beside what is there and differs: it stays, and the rest of the page is written.
//!
//! For sources that go on and are edited between two imports. Not here: pages, and when this is
//! asked for (`import`).

use chat_persist::{PersistError, PersistErrorKind, PersistenceAdapter};
use chat_types::{Conversation, FileRecord, Message, Scope};

/// Writes the messages that the conversation does not have and summaries that its messages lack,
/// and returns how many of the others differ from those it has.
///
/// # Errors
/// As `PersistenceAdapter::import`: an id that stands for a message of another conversation is a
/// conflict all the same.
pub(crate) async fn import_rest(
    store: &dyn PersistenceAdapter,
    scope: &Scope,
    conversation: &Conversation,
    messages: Vec<Message>,
) -> Result<u64, PersistError> {
    let mut differing = 0_u64;
    let mut rest = Vec::new();
    for message in messages {
        match store.message(scope, &conversation.id, &message.id).await? {
            None => rest.push(message),
            Some(there) if is_same(&there, &message) => {
                if there.summary.is_none() && message.summary.is_some() {
                    rest.push(Message { turn: there.turn, ..message });
                }
            }
            Some(_) => differing = differing.saturating_add(1),
        }
    }
    store.import(scope, conversation, &rest).await?;
    Ok(differing)
}

/// The same for what is known of files.
///
/// # Errors
/// As `PersistenceAdapter::keep_files`.
pub(crate) async fn keep_rest(
    store: &dyn PersistenceAdapter,
    scope: &Scope,
    files: Vec<FileRecord>,
) -> Result<u64, PersistError> {
    let ids: Vec<_> = files.iter().map(|file| file.id.clone()).collect();
    let there = store.files(scope, &ids).await?;
    let mut differing = 0_u64;
    let mut rest = Vec::new();
    for file in files {
        match there.iter().find(|there| there.id == file.id) {
            None => rest.push(file),
            Some(there) if *there == file => {}
            Some(_) => differing = differing.saturating_add(1),
        }
    }
    store.keep_files(scope, &rest).await?;
    Ok(differing)
}

/// The same message, but that only the store that ran its turn knows the turn.
fn is_same(there: &Message, arriving: &Message) -> bool {
    Message { turn: arriving.turn.clone(), ..there.clone() }.is_same_content(arriving)
}

/// Something that is there differs from what arrives.
pub(crate) fn is_conflict<T>(outcome: &chat_persist::Result<T>) -> bool {
    outcome.as_ref().is_err_and(|error| error.kind() == PersistErrorKind::Conflict)
}
