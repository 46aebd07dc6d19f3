//! A conversation: LibreChat's document, and what of ours it has no field for.
//!
//! The head is ours as long as `updatedAt` is what we wrote last; when LibreChat has written since,
//! it is the newest message.

use chat_types::{Conversation, ConversationId, ModelOptions, ModelRef, Scope, Timestamp, Tokens};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{Bson, Document, doc};

use super::OURS;
use super::field::{Fields, number, time, whole};
use super::model::{endpoint_of, model_of};
use super::scope::mark;
use crate::error::{EngineResult, Failure, FailureKind};

/// LibreChat's title of a conversation that has none yet.
const UNTITLED: &str = "New Chat";

/// A conversation as its document tells it, before its head is looked up.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) object_id: ObjectId,
    /// With our head, if it holds.
    pub(crate) conversation: Conversation,
    /// The head is the newest message.
    pub(crate) head_is_newest: bool,
}

/// The document of a new conversation.
pub(crate) fn new_conversation(
    scope: &Scope,
    object_id: ObjectId,
    conversation: &Conversation,
) -> EngineResult<Document> {
    let mut document = doc! {
        "_id": object_id,
        "conversationId": conversation.id.as_str(),
    };
    mark(&mut document, scope);
    document.extend(doc! {
        "messages": [],
        "files": [],
        "tags": [],
        "chatProjectId": Bson::Null,
        "_meiliIndex": false,
        "createdAt": time(conversation.created_at),
        "__v": 0,
    });
    let (set, _) = fields(conversation)?;
    let mut ours = Document::new();
    for (name, value) in set {
        match name.strip_prefix(OURS).and_then(|rest| rest.strip_prefix('.')) {
            Some(name) => ours.insert(name, value),
            None => document.insert(name, value),
        };
    }
    document.insert(OURS, ours);
    Ok(document)
}

/// What an update sets and unsets so that the stored conversation `before` becomes `after`: only
/// fields that differ, and always our head with the time it holds for.
pub(crate) fn patched_fields(
    before: &Conversation,
    after: &Conversation,
) -> EngineResult<Document> {
    let (was_set, _) = fields(before)?;
    let (set, unset) = fields(after)?;
    let always = ["updatedAt", "chatRuntime.writtenAt", "chatRuntime.head"];
    let set: Document = set
        .into_iter()
        .filter(|(name, value)| always.contains(&name.as_str()) || was_set.get(name) != Some(value))
        .collect();
    let unset: Document = unset
        .into_iter()
        .filter(|name| was_set.contains_key(name) || name == "chatRuntime.head")
        .map(|name| (name, Bson::from("")))
        .collect();
    let mut update = doc! { "$set": set };
    if !unset.is_empty() {
        update.insert("$unset", unset);
    }
    Ok(update)
}

/// Every field that may change: those with a value, and the names of those without.
fn fields(conversation: &Conversation) -> EngineResult<(Document, Vec<String>)> {
    let mut set = doc! {
        "title": &conversation.title,
        "isArchived": conversation.archived,
        "isTemporary": conversation.expires_at.is_some(),
        "expiredAt": conversation.expires_at.map(time),
        "updatedAt": time(conversation.updated_at),
        "chatRuntime.writtenAt": time(conversation.updated_at),
    };
    let mut unset = Vec::new();
    let model = conversation.model.as_ref();
    set.insert("endpoint", model.map(|model| endpoint_of(&model.provider)));
    let exact_model = model.filter(|model| {
        let read = model_of(Some(endpoint_of(&model.provider)), Some(model.model.as_str()));
        read.as_ref() != Some(model)
    });
    let options = &conversation.options;
    let tokens_max = options.output_tokens_max.map(|tokens| {
        i64::try_from(tokens.get())
            .map(whole)
            .map_err(|_| Failure::new(FailureKind::TooLarge, "an output cap is too large"))
    });
    let stop = (!options.stop.is_empty())
        .then(|| Bson::Array(options.stop.iter().map(Bson::from).collect()));
    for (name, value) in [
        ("model", model.map(|model| Bson::from(model.model.as_str()))),
        ("promptPrefix", conversation.instructions.as_ref().map(Bson::from)),
        ("temperature", options.temperature.map(number)),
        ("top_p", options.top_p.map(number)),
        ("max_tokens", tokens_max.transpose()?),
        ("stop", stop),
        ("reasoning_effort", options.reasoning_effort.as_ref().map(Bson::from)),
        ("chatRuntime.head", conversation.head.as_ref().map(|head| Bson::from(head.as_str()))),
        ("chatRuntime.model", exact_model.map(|model| Bson::from(ModelRef::to_string(model)))),
        ("chatRuntime.seed", options.seed.map(|seed| Bson::from(seed.to_string()))),
    ] {
        match value {
            Some(value) => {
                set.insert(name, value);
            }
            None => unset.push(name.to_owned()),
        }
    }
    Ok((set, unset))
}

/// Reads a document, ours or LibreChat's.
///
/// # Errors
/// `Corrupt` if its id is none, or a field of ours cannot be read.
pub(crate) fn conversation_of(document: &Document) -> EngineResult<Found> {
    let fields = Fields(document);
    let object_id = document
        .get_object_id("_id")
        .map_err(|_| Failure::corrupt("a conversation has no ObjectId for its _id"))?;
    let id: ConversationId = fields.parsed("conversationId")?;
    let ours = fields.optional_document(OURS)?;
    let first_seen = Timestamp::from_unix_ms(object_id.timestamp().timestamp_millis());
    let created_at = fields.optional_time("createdAt")?.unwrap_or(first_seen);
    let updated_at = fields.optional_time("updatedAt")?.unwrap_or(created_at);
    let written_at = ours.map(|ours| ours.optional_time("writtenAt")).transpose()?.flatten();
    let head_holds = written_at == Some(updated_at);
    let text = |name: &str| fields.optional_text(name).ok().flatten();
    let exact_model: Option<ModelRef> =
        ours.map(|ours| ours.optional_parsed("model")).transpose()?.flatten();
    let shown = |model: &ModelRef| {
        text("endpoint") == Some(endpoint_of(&model.provider))
            && text("model") == Some(model.model.as_str())
    };
    let conversation = Conversation {
        id,
        title: text("title").unwrap_or(UNTITLED).to_owned(),
        created_at,
        updated_at,
        head: match ours {
            Some(ours) if head_holds => ours.optional_parsed("head")?,
            _ => None,
        },
        model: exact_model.filter(shown).or_else(|| model_of(text("endpoint"), text("model"))),
        instructions: text("promptPrefix").or_else(|| text("system")).map(str::to_owned),
        options: options_of(fields, ours)?,
        archived: fields.flag("isArchived"),
        expires_at: fields.optional_time("expiredAt")?,
    };
    Ok(Found { object_id, conversation, head_is_newest: !head_holds })
}

/// LibreChat names the output cap differently for each endpoint.
fn options_of(fields: Fields<'_>, ours: Option<Fields<'_>>) -> EngineResult<ModelOptions> {
    let cap = ["max_tokens", "maxOutputTokens", "maxTokens"]
        .into_iter()
        .find_map(|name| fields.optional_integer(name).ok().flatten());
    let stop = fields.get("stop").and_then(Bson::as_array).map_or(&[][..], Vec::as_slice);
    let effort = ["reasoning_effort", "effort"]
        .into_iter()
        .find_map(|name| fields.optional_text(name).ok().flatten());
    Ok(ModelOptions {
        temperature: fields.optional_float("temperature"),
        top_p: fields.optional_float("top_p").or_else(|| fields.optional_float("topP")),
        output_tokens_max: cap.and_then(|cap| u64::try_from(cap).ok()).map(Tokens::new),
        stop: stop.iter().filter_map(Bson::as_str).map(str::to_owned).collect(),
        seed: ours.map(|ours| ours.optional_parsed("seed")).transpose()?.flatten(),
        reasoning_effort: effort.filter(|effort| !effort.is_empty()).map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use chat_types::{MessageId, TenantId, UserId};

    use super::*;

    fn scope() -> Scope {
        Scope::new(TenantId::new("default").expect("valid"), UserId::new("u").expect("valid"))
    }

    fn full() -> Conversation {
        let now = Timestamp::from_unix_ms(1_000);
        let id = ConversationId::new("c-1").expect("valid");
        Conversation {
            head: Some(MessageId::new("m-1").expect("valid")),
            model: Some("openai/gpt-4o".parse().expect("valid")),
            instructions: Some("be kind".into()),
            options: ModelOptions {
                temperature: Some(1.0),
                top_p: Some(0.5),
                output_tokens_max: Some(Tokens::new(100)),
                stop: vec!["x".into()],
                seed: Some(u64::MAX),
                reasoning_effort: Some("low".into()),
            },
            archived: true,
            expires_at: Some(now.plus_ms(5)),
            ..Conversation::new(id, "t", now)
        }
    }

    #[test]
    fn every_field_comes_back_in_librechats_types() {
        let document = new_conversation(&scope(), ObjectId::new(), &full()).expect("has a form");
        assert_eq!(document.get("temperature"), Some(&Bson::Int32(1)));
        assert_eq!(document.get("top_p"), Some(&Bson::Double(0.5)));
        assert!(!document.contains_key("tenantId"));
        let found = conversation_of(&document).expect("reads");
        assert_eq!(found.conversation, full());
        assert!(!found.head_is_newest);
    }

    #[test]
    fn a_patch_names_only_what_changes() {
        let before = full();
        let after = Conversation {
            title: "new".into(),
            instructions: None,
            updated_at: Timestamp::from_unix_ms(2_000),
            ..full()
        };
        let update = patched_fields(&before, &after).expect("has a form");
        let now = time(Timestamp::from_unix_ms(2_000));
        let expected = doc! {
            "$set": {
                "title": "new",
                "updatedAt": now.clone(),
                "chatRuntime.writtenAt": now,
                "chatRuntime.head": "m-1",
            },
            "$unset": { "promptPrefix": "" },
        };
        assert_eq!(update, expected);
    }

    #[test]
    fn another_writers_update_voids_our_head() {
        let mut document =
            new_conversation(&scope(), ObjectId::new(), &full()).expect("has a form");
        document.insert("updatedAt", time(Timestamp::from_unix_ms(9_000)));
        let found = conversation_of(&document).expect("reads");
        assert!(found.head_is_newest);
        assert_eq!(found.conversation.head, None);
    }
}
