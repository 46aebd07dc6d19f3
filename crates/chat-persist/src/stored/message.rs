//! Messages: the columns `record`, `token_counts` and `summary`.
//!
//! Not here: id, conversation, parent and role, which are columns of their own.

use std::borrow::Cow;

use chat_types::{
    ContentHash, ContentPart, ConversationId, FileId, FinishReason, Message, MessageId,
    MessageStatus, ModelRef, Opaque, Origin, Provenance, Role, Summary, Timestamp, TokenCount,
    TokenizerId, Tokens,
};
use serde::{Deserialize, Serialize};

use super::{Result, StoredError, decode, encode, parse};

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
    Quote(Text<'a>),
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
    Summary(SummaryRecord<'a>),
}

/// A summary part, and the column `summary`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SummaryRecord<'a> {
    text: Text<'a>,
    covers_to: Text<'a>,
    covered: Text<'a>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    prompt_version: Option<u32>,
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

/// The column `record`: everything of a message but its id, conversation, parent, role, token
/// counts and summary.
///
/// # Errors
/// `Unsupported` for a part that has no stored form.
pub fn message_record(message: &Message) -> Result<String> {
    let parts = message.parts.iter().map(part_record).collect::<Result<_>>()?;
    encode(&MessageRecord {
        parts,
        created_at: message.created_at.unix_ms(),
        turn: message.turn.as_ref().map(|turn| turn.as_str().into()),
        model: message.model.as_ref().map(ModelRef::to_string),
        partial: message.status == MessageStatus::Partial,
        finish_reason: message.finish_reason.map(|reason| reason.as_str().into()),
    })
}

/// A message as its row holds it.
#[derive(Clone, Copy, Debug)]
pub struct MessageRow<'r> {
    /// Its id.
    pub id: &'r str,
    /// [`Role::as_str`].
    pub role: &'r str,
    /// [`message_record`].
    pub record: &'r str,
    /// [`token_counts_record`].
    pub token_counts: &'r str,
    /// [`summary_record`]; none: it has no summary.
    pub summary: Option<&'r str>,
}

impl MessageRow<'_> {
    /// The message, with the conversation and the parent that the row names.
    ///
    /// # Errors
    /// `Corrupt` if a column cannot be read.
    pub fn read(
        &self,
        conversation: &ConversationId,
        parent: Option<MessageId>,
    ) -> Result<Message> {
        let record: MessageRecord<'static> = decode(self.record)?;
        Ok(Message {
            id: parse(self.id)?,
            conversation: conversation.clone(),
            parent,
            role: named("role", self.role, Role::from_stored)?,
            parts: record.parts.into_iter().map(part_of).collect::<Result<_>>()?,
            created_at: Timestamp::from_unix_ms(record.created_at),
            turn: record.turn.as_deref().map(parse).transpose()?,
            model: record.model.as_deref().map(parse).transpose()?,
            status: if record.partial { MessageStatus::Partial } else { MessageStatus::Complete },
            finish_reason: record
                .finish_reason
                .as_deref()
                .map(|name| named("finish reason", name, FinishReason::from_stored))
                .transpose()?,
            token_counts: token_counts_of(self.token_counts)?,
            summary: self.summary.map(summary_of).transpose()?,
        })
    }
}

/// The column `token_counts`.
///
/// # Errors
/// `Corrupt` if they have no JSON form, which does not happen.
pub fn token_counts_record(counts: &[TokenCount]) -> Result<String> {
    let records: Vec<CountRecord<'_>> = counts
        .iter()
        .map(|count| CountRecord {
            tokenizer: count.tokenizer.as_str().into(),
            tokens: count.tokens.get(),
            provenance: count.provenance.as_str().into(),
        })
        .collect();
    encode(&records)
}

/// Reads the column `token_counts`.
///
/// # Errors
/// `Corrupt` if it cannot be read.
pub fn token_counts_of(text: &str) -> Result<Vec<TokenCount>> {
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
                provenance: named("provenance", &record.provenance, Provenance::from_stored)?,
            })
        })
        .collect()
}

/// The column `summary`.
///
/// # Errors
/// `Corrupt` if it has no JSON form, which does not happen.
pub fn summary_record(summary: &Summary) -> Result<String> {
    encode(&SummaryRecord::of(summary))
}

/// Reads the column `summary`.
///
/// # Errors
/// `Corrupt` if it cannot be read.
pub fn summary_of(text: &str) -> Result<Summary> {
    decode::<SummaryRecord<'static>>(text)?.summary()
}

impl<'a> SummaryRecord<'a> {
    fn of(summary: &'a Summary) -> Self {
        Self {
            text: summary.text.as_str().into(),
            covers_to: summary.covers_to.as_str().into(),
            covered: summary.covered.as_str().into(),
            prompt_version: summary.prompt_version,
        }
    }

    fn summary(self) -> Result<Summary> {
        Ok(Summary {
            text: self.text.into_owned(),
            covers_to: parse::<MessageId>(&self.covers_to)?,
            covered: ContentHash::from_stored(self.covered.into_owned()),
            prompt_version: self.prompt_version,
        })
    }
}

pub(super) fn part_record(part: &ContentPart) -> Result<PartRecord<'_>> {
    Ok(match part {
        ContentPart::Text { text } => PartRecord::Text(text.into()),
        ContentPart::Quote { text } => PartRecord::Quote(text.into()),
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
        ContentPart::Summary { summary } => PartRecord::Summary(SummaryRecord::of(summary)),
        _ => return Err(StoredError::no_form("message part")),
    })
}

pub(super) fn part_of(part: PartRecord<'static>) -> Result<ContentPart> {
    Ok(match part {
        PartRecord::Text(text) => ContentPart::Text { text: text.into_owned() },
        PartRecord::Quote(text) => ContentPart::Quote { text: text.into_owned() },
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
        PartRecord::Summary(record) => ContentPart::Summary { summary: record.summary()? },
    })
}

fn named<T>(what: &str, name: &str, from_stored: fn(&str) -> Option<T>) -> Result<T> {
    from_stored(name).ok_or_else(|| StoredError::unknown_name(what, name))
}

fn opaque_of(record: OpaqueRecord<'static>) -> Result<Opaque> {
    Ok(Opaque {
        origin: Origin { model: parse::<ModelRef>(&record.model)?, api: record.api.into_owned() },
        data: record.data.into_owned(),
    })
}
