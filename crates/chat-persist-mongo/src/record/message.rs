//! A message: LibreChat's document, and what of ours it has no field for.
//!
//! What is written is read back at once; if that does not give the message again, the exact one is
//! kept in `chatRuntime.exact`. It holds only as long as the visible fields are those we wrote:
//! what LibreChat edits wins. A document that LibreChat wrote has no such sub-document.

use chat_persist::stored::{MessageRow, message_record};
use chat_types::{
    ConversationId, FinishReason, Message, MessageId, MessageStatus, Provenance, Role, Scope,
    Timestamp, TokenCount, TokenizerId, Tokens,
};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Array, Bson, Document, doc};

use super::OURS;
use super::content::{Visible, content_text, parts_of, visible};
use super::field::{Fields, time, whole};
use super::model::{endpoint_of, model_of};
use super::scope::mark;
use super::seen::seen_of;
use super::summary;
use crate::error::{EngineResult, Failure};

/// LibreChat's parent of a message that has none.
const ROOT: &str = "00000000-0000-0000-0000-000000000000";

const SHOWN_COUNT: &str = "tokenCount";
const COUNTS: &str = "chatRuntime.tokenCounts";
const TOKENIZERS: &str = "chatRuntime.tokenCounts.tokenizer";
const EXACT: &str = "chatRuntime.exact";

/// A message as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stored {
    /// Its place in the order of writing.
    pub(crate) object_id: ObjectId,
    /// The message.
    pub(crate) message: Message,
    /// This store wrote it, so its parent was there.
    pub(crate) is_ours: bool,
}

/// The document of a new message.
pub(crate) fn new_message(
    scope: &Scope,
    object_id: ObjectId,
    message: &Message,
    expires_at: Option<Timestamp>,
) -> EngineResult<Document> {
    let Visible { text, content, files, quotes } = visible(message.role, &message.parts);
    let is_user = message.role == Role::User;
    let mut document = doc! {
        "_id": object_id,
        "messageId": message.id.as_str(),
        "conversationId": message.conversation.as_str(),
        "parentMessageId": message.parent.as_ref().map_or(ROOT, |parent| parent.as_str()),
    };
    mark(&mut document, scope);
    document.insert("sender", sender(message));
    document.insert("text", text);
    if !content.is_empty() {
        document.insert("content", content);
    }
    for (name, entries) in [("files", files), ("quotes", quotes)] {
        if !entries.is_empty() {
            document.insert(name, entries);
        }
    }
    document.insert("isCreatedByUser", is_user);
    if !is_user {
        document.insert("isUserSubmitted", false);
    }
    let model = message.model.as_ref();
    if let Some(model) = model {
        document.insert("endpoint", endpoint_of(&model.provider));
    }
    document.insert("model", model.map(|model| model.model.as_str()));
    if let Some(count) = shown_count(&message.token_counts) {
        document.insert(SHOWN_COUNT, count);
    }
    if let Some(reason) = message.finish_reason {
        document.insert("finish_reason", finish_name(reason));
    }
    document.extend(doc! {
        "unfinished": message.status == MessageStatus::Partial,
        "error": false,
        "isTemporary": expires_at.is_some(),
        "expiredAt": expires_at.map(time),
        "_meiliIndex": false,
        "createdAt": time(message.created_at),
        "updatedAt": time(message.created_at),
        "__v": 0,
    });
    add_ours(&mut document, message)?;
    Ok(document)
}

fn sender(message: &Message) -> &str {
    match message.role {
        Role::User => "User",
        Role::System => "System",
        Role::Tool => "Tool",
        Role::Assistant => message.model.as_ref().map_or("Assistant", |model| model.model.as_str()),
    }
}

/// The count LibreChat gets to see: the most trustworthy one.
fn shown_count(counts: &[TokenCount]) -> Option<Bson> {
    let best = counts.iter().min_by_key(|count| count.provenance)?;
    i64::try_from(best.tokens.get()).ok().map(whole)
}

const fn finish_name(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Cancelled => "incomplete",
        other => other.as_str(),
    }
}

fn finish_of(name: &str) -> Option<FinishReason> {
    match name {
        "incomplete" => Some(FinishReason::Cancelled),
        "end_turn" | "stop_sequence" | "STOP" => Some(FinishReason::Stop),
        "max_tokens" | "MAX_TOKENS" => Some(FinishReason::Length),
        "tool_use" => Some(FinishReason::ToolCalls),
        other => FinishReason::from_stored(other),
    }
}

/// Adds `chatRuntime`: always what the visible fields looked like, the rest where it is needed.
fn add_ours(document: &mut Document, message: &Message) -> EngineResult<()> {
    let mut ours = doc! { "own": true };
    ours.extend(seen_of(document));
    if let Some(turn) = &message.turn {
        ours.insert("turn", turn.as_str());
    }
    if message.role != role_of(document) {
        ours.insert("role", message.role.as_str());
    }
    if !message.token_counts.is_empty() {
        let counts = message.token_counts.iter().map(count_record).collect::<EngineResult<Array>>();
        ours.insert("tokenCounts", counts?);
    }
    document.insert(OURS, ours);
    if let Some(kept) = &message.summary {
        summary::add(document, kept);
    }
    let read = message_of(document)?.message;
    if read != *message {
        let exact = message_record(message).map_err(|error| Failure::corrupt(error.to_string()))?;
        if let Ok(ours) = document.get_document_mut(OURS) {
            ours.insert("exact", exact);
        }
    }
    Ok(())
}

/// The updates that add `records` to the counts a document has. If LibreChat wrote or changed what
/// was counted, the counts there are void and go.
pub(crate) fn count_update(document: &Document, records: Vec<Bson>) -> Vec<(Document, Document)> {
    let by_id = doc! { "_id": document.get("_id") };
    let seen = seen_of(document);
    let ours = document.get_document(OURS).ok();
    let is_current =
        ours.is_some_and(|ours| seen.iter().all(|(name, hash)| ours.get(name) == Some(hash)));
    if is_current {
        let shown = count_to_show(document, &records);
        return records
            .into_iter()
            .filter_map(|record| {
                let tokenizer = record.as_document()?.get("tokenizer")?.clone();
                let mut filter = by_id.clone();
                filter.insert(TOKENIZERS, doc! { "$ne": tokenizer });
                let mut update = doc! { "$push": { COUNTS: record } };
                if let Some(shown) = &shown {
                    update.insert("$set", doc! { SHOWN_COUNT: shown.clone() });
                }
                Some((filter, update))
            })
            .collect();
    }
    let mut set: Document =
        seen.into_iter().map(|(name, hash)| (format!("{OURS}.{name}"), hash)).collect();
    set.insert(COUNTS, records);
    vec![(by_id, doc! { "$set": set, "$unset": { EXACT: "" } })]
}

/// The count LibreChat gets to see of a message of ours that was written before it was counted.
/// What LibreChat wrote itself, it counts itself.
fn count_to_show(document: &Document, records: &[Bson]) -> Option<Bson> {
    let is_ours = document.get_document(OURS).is_ok_and(|ours| Fields(ours).flag("own"));
    if !is_ours || document.contains_key(SHOWN_COUNT) {
        return None;
    }
    let counts: Vec<TokenCount> = records.iter().filter_map(|one| count_of(one).ok()).collect();
    shown_count(&counts)
}

/// One entry of `chatRuntime.tokenCounts`.
pub(crate) fn count_record(count: &TokenCount) -> EngineResult<Bson> {
    let tokens = i64::try_from(count.tokens.get()).map_err(|_| {
        Failure::new(crate::error::FailureKind::TooLarge, "a token count is too large")
    })?;
    Ok(Bson::Document(doc! {
        "tokenizer": count.tokenizer.as_str(),
        "tokens": whole(tokens),
        "provenance": count.provenance.as_str(),
    }))
}

fn count_of(record: &Bson) -> EngineResult<TokenCount> {
    let wrong = || Failure::corrupt("a token count cannot be read");
    let record = Fields(record.as_document().ok_or_else(wrong)?);
    Ok(TokenCount {
        tokens: Tokens::new(record.unsigned("tokens")?),
        tokenizer: TokenizerId::new(record.text("tokenizer")?),
        provenance: Provenance::from_stored(record.text("provenance")?).ok_or_else(wrong)?,
    })
}

fn role_of(document: &Document) -> Role {
    if Fields(document).flag("isCreatedByUser") { Role::User } else { Role::Assistant }
}

/// Reads a document, ours or LibreChat's.
///
/// # Errors
/// `Corrupt` if an id is none, or a field of ours cannot be read.
pub(crate) fn message_of(document: &Document) -> EngineResult<Stored> {
    let fields = Fields(document);
    let object_id = document
        .get_object_id("_id")
        .map_err(|_| Failure::corrupt("a message has no ObjectId for its _id"))?;
    let id: MessageId = fields.parsed("messageId")?;
    let conversation: ConversationId = fields.parsed("conversationId")?;
    let ours = fields.optional_document(OURS)?;
    let role = match ours.map(|ours| ours.optional_text("role")).transpose()?.flatten() {
        Some(name) => {
            Role::from_stored(name).ok_or_else(|| Failure::corrupt("a role has no known name"))?
        }
        None => role_of(document),
    };
    let parent = parent_of(fields, &id);
    let edit = ours.map_or(Edit::NONE, |ours| Edit::of(document, ours));
    if let Some(ours) = ours
        && !edit.is_any()
        && let Some(record) = ours.optional_text("exact")?
    {
        let row = MessageRow {
            id: id.as_str(),
            role: role.as_str(),
            record,
            token_counts: "[]",
            summary: None,
        };
        let mut message =
            row.read(&conversation, parent).map_err(|error| Failure::corrupt(error.to_string()))?;
        message.token_counts = counts_of(ours)?;
        message.summary = summary::kept(document)?;
        return Ok(Stored { object_id, message, is_ours: true });
    }
    let text_wins = edit.text && !edit.content && content_text(fields) != shown_text(document);
    let finish = fields.optional_text("finish_reason").ok().flatten();
    let is_partial =
        fields.flag("unfinished") || fields.flag("error") || finish == Some("incomplete");
    let message = Message {
        parts: parts_of(fields, &id, text_wins),
        id,
        conversation,
        parent,
        role,
        created_at: fields.optional_time("createdAt")?.unwrap_or_else(|| written_at(object_id)),
        turn: ours.map(|ours| ours.optional_parsed("turn")).transpose()?.flatten(),
        model: model_of(
            fields.optional_text("endpoint").ok().flatten(),
            fields.optional_text("model").ok().flatten(),
        ),
        status: if is_partial { MessageStatus::Partial } else { MessageStatus::Complete },
        finish_reason: finish.and_then(finish_of),
        token_counts: match ours {
            Some(ours) if !edit.is_any() => counts_of(ours)?,
            _ => Vec::new(),
        },
        summary: summary::kept(document)?,
    };
    Ok(Stored { object_id, message, is_ours: ours.is_some_and(|ours| ours.flag("own")) })
}

fn shown_text(document: &Document) -> &str {
    document.get_str("text").unwrap_or_default()
}

/// The parent, unless it is the root sentinel, no id, or the message itself.
fn parent_of(fields: Fields<'_>, id: &MessageId) -> Option<MessageId> {
    let parent = fields.optional_text("parentMessageId").ok().flatten()?;
    if parent == ROOT {
        return None;
    }
    MessageId::new(parent).ok().filter(|parent| parent != id)
}

/// The parent that a document names, by the same rule.
pub(crate) fn parent_named(document: &Document, id: &MessageId) -> Option<MessageId> {
    parent_of(Fields(document), id)
}

fn counts_of(ours: Fields<'_>) -> EngineResult<Vec<TokenCount>> {
    ours.list("tokenCounts")?.iter().map(count_of).collect()
}

fn written_at(object_id: ObjectId) -> Timestamp {
    Timestamp::from_unix_ms(object_id.timestamp().timestamp_millis())
}

/// What of the visible fields is no longer as we wrote it.
#[derive(Clone, Copy, Debug)]
struct Edit {
    text: bool,
    content: bool,
}

impl Edit {
    const NONE: Self = Self { text: false, content: false };

    fn of(document: &Document, ours: Fields<'_>) -> Self {
        let seen = seen_of(document);
        let differs = |name: &str| match ours.get(name) {
            Some(known) => seen.get(name) != Some(known),
            None => false,
        };
        Self { text: differs("seenText"), content: differs("seenContent") }
    }

    const fn is_any(self) -> bool {
        self.text || self.content
    }
}

#[cfg(test)]
pub(super) mod tests {
    use chat_types::{ContentPart, TenantId, UserId};

    use super::*;

    fn scope() -> Scope {
        Scope::new(TenantId::new("default").expect("valid"), UserId::new("u").expect("valid"))
    }

    pub(in super::super) fn message(role: Role, parts: Vec<ContentPart>) -> Message {
        Message {
            id: MessageId::new("m-1").expect("valid"),
            conversation: ConversationId::new("c-1").expect("valid"),
            parent: None,
            role,
            parts,
            created_at: Timestamp::from_unix_ms(1_000),
            turn: None,
            model: None,
            status: MessageStatus::Complete,
            finish_reason: None,
            token_counts: Vec::new(),
            summary: None,
        }
    }

    pub(in super::super) fn stored(message: &Message) -> Document {
        new_message(&scope(), ObjectId::new(), message, None).expect("has a form")
    }

    fn has_exact(document: &Document) -> bool {
        document.get_document(OURS).expect("ours").contains_key("exact")
    }

    #[test]
    fn what_librechat_can_say_is_said_once() {
        let call =
            ContentPart::ToolCall { call_id: "c".into(), name: "n".into(), arguments: "{}".into() };
        let result =
            ContentPart::ToolResult { call_id: "c".into(), text: "42".into(), is_error: false };
        let reply = Message {
            model: Some("openai/gpt-4o".parse().expect("valid")),
            finish_reason: Some(FinishReason::Stop),
            ..message(Role::Assistant, vec![ContentPart::text("a"), call, result])
        };
        let document = stored(&reply);
        assert!(!has_exact(&document));
        assert_eq!(document.get("endpoint"), Some(&Bson::from("openAI")));
        assert_eq!(message_of(&document).expect("reads").message, reply);
    }

    #[test]
    fn what_it_cannot_say_is_kept_beside() {
        let failed =
            ContentPart::ToolResult { call_id: "c".into(), text: "no".into(), is_error: true };
        let tool = message(Role::Tool, vec![failed]);
        let document = stored(&tool);
        assert!(has_exact(&document));
        assert_eq!(message_of(&document).expect("reads").message, tool);
    }

    #[test]
    fn an_edited_text_wins() {
        let counted = Message {
            token_counts: vec![TokenCount {
                tokens: Tokens::new(3),
                tokenizer: TokenizerId::from_static("o200k_base"),
                provenance: Provenance::Counted,
            }],
            ..message(Role::Assistant, vec![ContentPart::text("a"), ContentPart::text("b")])
        };
        let mut document = stored(&counted);
        assert_eq!(message_of(&document).expect("reads").message, counted);
        document.insert("text", "edited");
        let read = message_of(&document).expect("reads").message;
        assert_eq!((read.text().as_str(), read.token_counts), ("edited", Vec::new()));
    }

    #[test]
    fn edited_content_wins() {
        let mut document = stored(&message(Role::Assistant, vec![ContentPart::text("a")]));
        document.insert("content", vec![doc! { "type": "text", "text": "edited" }]);
        assert_eq!(message_of(&document).expect("reads").message.text(), "edited");
    }
}
