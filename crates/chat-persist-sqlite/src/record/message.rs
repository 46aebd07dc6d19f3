//! Messages: the columns `record` and `token_counts`.

use std::borrow::Cow;

use chat_types::{
    ContentHash, ContentPart, FileId, FinishReason, Message, MessageId, MessageStatus, ModelRef,
    Opaque, Origin, Provenance, Role, Summary, Timestamp, TokenCount, TokenizerId, Tokens,
};
use serde::{Deserialize, Serialize};

use super::{no_stored_form, unknown_name};
use crate::error::EngineResult;
use crate::row::{decode, encode, parse};

type Text<'a> = Cow<'a, str>;

/// `messages.record`: everything that no query looks at.
#[derive(Debug, Serialize, Deserialize)]
struct MessageRecord<'a> {
    parts: Vec<PartRecord<'a>>,
    created_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    partial: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    finish_reason: Option<Text<'a>>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
fn is_false(value: &bool) -> bool {
    !value
}

/// One part; externally tagged, so that it is decoded in one pass.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum PartRecord<'a> {
    Text(Text<'a>),
    Reasoning {
        text: Text<'a>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opaque: Option<OpaqueRecord<'a>>,
    },
    Image {
        file: Text<'a>,
        media_type: Text<'a>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        width_px: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        height_px: Option<u32>,
    },
    File {
        file: Text<'a>,
        name: Text<'a>,
        media_type: Text<'a>,
    },
    ToolCall {
        call_id: Text<'a>,
        name: Text<'a>,
        arguments: Text<'a>,
    },
    ToolResult {
        call_id: Text<'a>,
        text: Text<'a>,
        is_error: bool,
    },
    Summary {
        text: Text<'a>,
        covers_to: Text<'a>,
        covered: Text<'a>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OpaqueRecord<'a> {
    model: String,
    api: Text<'a>,
    data: Text<'a>,
}

/// One of `messages.token_counts`.
#[derive(Debug, Serialize, Deserialize)]
struct CountRecord<'a> {
    tokenizer: Text<'a>,
    tokens: u64,
    provenance: Text<'a>,
}

/// The columns of a message that queries look at stay outside.
pub(crate) fn message_record(message: &Message) -> EngineResult<String> {
    let parts = message.parts.iter().map(part_record).collect::<EngineResult<_>>()?;
    encode(&MessageRecord {
        parts,
        created_at: message.created_at.unix_ms(),
        turn: message.turn.as_ref().map(|turn| turn.as_str().into()),
        model: message.model.as_ref().map(ModelRef::to_string),
        partial: message.status == MessageStatus::Partial,
        finish_reason: message.finish_reason.map(finish_name).transpose()?.map(Into::into),
    })
}

/// A message as its row holds it.
pub(crate) struct MessageRow<'r> {
    pub(crate) id: &'r str,
    pub(crate) role: &'r str,
    pub(crate) record: &'r str,
    pub(crate) token_counts: &'r str,
}

impl MessageRow<'_> {
    pub(crate) fn read(
        &self,
        conversation: &chat_types::ConversationId,
        parent: Option<MessageId>,
    ) -> EngineResult<Message> {
        let record: MessageRecord<'static> = decode(self.record)?;
        Ok(Message {
            id: parse(self.id)?,
            conversation: conversation.clone(),
            parent,
            role: role_of(self.role)?,
            parts: record.parts.into_iter().map(part_of).collect::<EngineResult<_>>()?,
            created_at: Timestamp::from_unix_ms(record.created_at),
            turn: record.turn.as_deref().map(parse).transpose()?,
            model: record.model.as_deref().map(parse).transpose()?,
            status: if record.partial { MessageStatus::Partial } else { MessageStatus::Complete },
            finish_reason: record.finish_reason.as_deref().map(finish_of).transpose()?,
            token_counts: token_counts_of(self.token_counts)?,
        })
    }
}

pub(crate) fn token_counts_record(counts: &[TokenCount]) -> EngineResult<String> {
    let records: Vec<CountRecord<'_>> = counts
        .iter()
        .map(|count| {
            Ok(CountRecord {
                tokenizer: count.tokenizer.as_str().into(),
                tokens: count.tokens.get(),
                provenance: provenance_name(count.provenance)?.into(),
            })
        })
        .collect::<EngineResult<_>>()?;
    encode(&records)
}

pub(crate) fn token_counts_of(text: &str) -> EngineResult<Vec<TokenCount>> {
    if text == "[]" {
        return Ok(Vec::new());
    }
    let records: Vec<CountRecord<'static>> = decode(text)?;
    records
        .into_iter()
        .map(|record| {
            Ok(TokenCount {
                tokens: Tokens::new(record.tokens),
                tokenizer: TokenizerId::new(record.tokenizer),
                provenance: provenance_of(&record.provenance)?,
            })
        })
        .collect()
}

pub(super) fn part_record(part: &ContentPart) -> EngineResult<PartRecord<'_>> {
    Ok(match part {
        ContentPart::Text { text } => PartRecord::Text(text.into()),
        ContentPart::Reasoning { text, opaque } => PartRecord::Reasoning {
            text: text.into(),
            opaque: opaque.as_ref().map(|opaque| OpaqueRecord {
                model: opaque.origin.model.to_string(),
                api: opaque.origin.api.as_str().into(),
                data: opaque.data.as_str().into(),
            }),
        },
        ContentPart::Image { file, media_type, width_px, height_px } => PartRecord::Image {
            file: file.as_str().into(),
            media_type: media_type.into(),
            width_px: *width_px,
            height_px: *height_px,
        },
        ContentPart::File { file, name, media_type } => PartRecord::File {
            file: file.as_str().into(),
            name: name.into(),
            media_type: media_type.into(),
        },
        ContentPart::ToolCall { call_id, name, arguments } => PartRecord::ToolCall {
            call_id: call_id.into(),
            name: name.into(),
            arguments: arguments.into(),
        },
        ContentPart::ToolResult { call_id, text, is_error } => PartRecord::ToolResult {
            call_id: call_id.into(),
            text: text.into(),
            is_error: *is_error,
        },
        ContentPart::Summary { summary } => PartRecord::Summary {
            text: summary.text.as_str().into(),
            covers_to: summary.covers_to.as_str().into(),
            covered: summary.covered.as_str().into(),
        },
        _ => return Err(no_stored_form("message part")),
    })
}

pub(super) fn part_of(part: PartRecord<'static>) -> EngineResult<ContentPart> {
    Ok(match part {
        PartRecord::Text(text) => ContentPart::Text { text: text.into_owned() },
        PartRecord::Reasoning { text, opaque } => ContentPart::Reasoning {
            text: text.into_owned(),
            opaque: opaque.map(opaque_of).transpose()?,
        },
        PartRecord::Image { file, media_type, width_px, height_px } => ContentPart::Image {
            file: parse::<FileId>(&file)?,
            media_type: media_type.into_owned(),
            width_px,
            height_px,
        },
        PartRecord::File { file, name, media_type } => ContentPart::File {
            file: parse::<FileId>(&file)?,
            name: name.into_owned(),
            media_type: media_type.into_owned(),
        },
        PartRecord::ToolCall { call_id, name, arguments } => ContentPart::ToolCall {
            call_id: call_id.into_owned(),
            name: name.into_owned(),
            arguments: arguments.into_owned(),
        },
        PartRecord::ToolResult { call_id, text, is_error } => ContentPart::ToolResult {
            call_id: call_id.into_owned(),
            text: text.into_owned(),
            is_error,
        },
        PartRecord::Summary { text, covers_to, covered } => ContentPart::Summary {
            summary: Summary {
                text: text.into_owned(),
                covers_to: parse::<MessageId>(&covers_to)?,
                covered: ContentHash::from_stored(covered.into_owned()),
            },
        },
    })
}

fn opaque_of(record: OpaqueRecord<'static>) -> EngineResult<Opaque> {
    Ok(Opaque {
        origin: Origin { model: parse::<ModelRef>(&record.model)?, api: record.api.into_owned() },
        data: record.data.into_owned(),
    })
}

pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

fn role_of(name: &str) -> EngineResult<Role> {
    Ok(match name {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return Err(unknown_name("role", name)),
    })
}

fn finish_name(reason: FinishReason) -> EngineResult<&'static str> {
    Ok(match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::Cancelled => "cancelled",
        _ => return Err(no_stored_form("finish reason")),
    })
}

fn finish_of(name: &str) -> EngineResult<FinishReason> {
    Ok(match name {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        "tool_calls" => FinishReason::ToolCalls,
        "cancelled" => FinishReason::Cancelled,
        _ => return Err(unknown_name("finish reason", name)),
    })
}

fn provenance_name(provenance: Provenance) -> EngineResult<&'static str> {
    Ok(match provenance {
        Provenance::Reported => "reported",
        Provenance::Counted => "counted",
        Provenance::Calibrated => "calibrated",
        Provenance::Estimated => "estimated",
        _ => return Err(no_stored_form("provenance")),
    })
}

fn provenance_of(name: &str) -> EngineResult<Provenance> {
    Ok(match name {
        "reported" => Provenance::Reported,
        "counted" => Provenance::Counted,
        "calibrated" => Provenance::Calibrated,
        "estimated" => Provenance::Estimated,
        _ => return Err(unknown_name("provenance", name)),
    })
}
