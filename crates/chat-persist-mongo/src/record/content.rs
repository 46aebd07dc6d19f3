//! Parts: LibreChat's `text`, `content` and `files`, and our typed parts.
//!
//! Writing loses what LibreChat has no place for (sealed reasoning, what a summary covers, the
//! order of files); the caller compares and keeps the exact parts where it did. Reading takes every
//! shape LibreChat ever wrote: what stands for something becomes a part, what only decorates its
//! pages (`agent_update`, `activity_label`) is left out, and of an unknown kind a text says that it
//! was there.

use chat_types::{ContentHash, ContentPart, FileId, MessageId, Role, Summary};
use mongodb::bson::{Array, Bson, Document, doc};

use super::field::{Fields, whole};
use super::summary;

/// What LibreChat shows of a message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Visible {
    pub(super) text: String,
    pub(super) content: Array,
    pub(super) files: Array,
    pub(super) quotes: Array,
}

/// The visible form of a message's parts. A user's message is text and files, as LibreChat's own.
pub(super) fn visible(role: Role, parts: &[ContentPart]) -> Visible {
    let (content, files, quotes) = (Array::new(), Array::new(), Array::new());
    let mut visible = Visible { text: String::new(), content, files, quotes };
    for part in parts {
        match part {
            ContentPart::Text { text } => visible.text.push_str(text),
            ContentPart::Quote { text } => visible.quotes.push(Bson::from(text.as_str())),
            ContentPart::File { file, name, media_type } => visible.files.push(Bson::Document(
                doc! { "file_id": file.as_str(), "filename": name, "type": media_type },
            )),
            ContentPart::Image { .. } if role == Role::User => {
                visible.files.extend(image(part).map(Bson::Document));
            }
            _ => {}
        }
        if role != Role::User {
            push_content(&mut visible.content, part);
        }
    }
    visible
}

fn push_content(content: &mut Array, part: &ContentPart) {
    let entry = match part {
        ContentPart::Text { text } => doc! { "type": "text", "text": text },
        ContentPart::Reasoning { text, .. } => doc! { "type": "think", "think": text },
        ContentPart::Image { .. } => match image(part) {
            Some(image) => doc! { "type": "image_file", "image_file": image },
            None => return,
        },
        ContentPart::ToolCall { call_id, name, arguments } => doc! {
            "type": "tool_call",
            "tool_call": { "id": call_id, "name": name, "args": arguments, "type": "tool_call" },
        },
        ContentPart::ToolResult { call_id, text, .. } => {
            if let Some(call) = open_call(content, call_id) {
                call.insert("output", text);
                call.insert("progress", 1);
                return;
            }
            doc! {
                "type": "tool_call",
                "tool_call": {
                    "id": call_id, "name": "", "args": "", "type": "tool_call",
                    "output": text, "progress": 1,
                },
            }
        }
        ContentPart::Summary { summary } => doc! {
            "type": "summary",
            "content": [{ "type": "text", "text": &summary.text }],
        },
        // Files stand in `files`, quotes in `quotes`.
        _ => return,
    };
    content.push(Bson::Document(entry));
}

fn image(part: &ContentPart) -> Option<Document> {
    let ContentPart::Image { file, media_type, width_px, height_px } = part else {
        return None;
    };
    let mut image = doc! { "file_id": file.as_str(), "type": media_type };
    for (name, pixels) in [("width", width_px), ("height", height_px)] {
        if let Some(pixels) = pixels {
            image.insert(name, whole(i64::from(*pixels)));
        }
    }
    Some(image)
}

/// The newest call of this id that has no output yet.
fn open_call<'c>(content: &'c mut Array, call_id: &str) -> Option<&'c mut Document> {
    content.iter_mut().rev().find_map(|entry| {
        let call = entry.as_document_mut()?.get_document_mut("tool_call").ok()?;
        let is_open =
            call.get_str("id").is_ok_and(|id| id == call_id) && !call.contains_key("output");
        is_open.then_some(call)
    })
}

/// The parts that a document shows. `text_wins` if its text is newer than its content.
pub(super) fn parts_of(document: Fields<'_>, id: &MessageId, text_wins: bool) -> Vec<ContentPart> {
    let content = document.get("content").and_then(Bson::as_array).map_or(&[][..], Vec::as_slice);
    let text = document.get("text").and_then(Bson::as_str).unwrap_or_default();
    let quotes = document.get("quotes").and_then(Bson::as_array).map_or(&[][..], Vec::as_slice);
    let mut parts: Vec<ContentPart> =
        quotes.iter().filter_map(Bson::as_str).map(ContentPart::quote).collect();
    if content.is_empty() || text_wins {
        if !text.is_empty() {
            parts.push(ContentPart::text(text));
        }
    } else {
        for (place, entry) in content.iter().enumerate() {
            read_content(&mut parts, entry, place, id);
        }
    }
    let files = document.get("files").and_then(Bson::as_array).map_or(&[][..], Vec::as_slice);
    parts.extend(files.iter().filter_map(Bson::as_document).map(|file| file_of(Fields(file))));
    if let Some(text) = plain(document, "summary").filter(|_| !summary::is_shown(document.0)) {
        parts.extend(summary_of(text, id));
    }
    parts
}

/// The text of all text parts in a document's `content`.
pub(super) fn content_text(document: Fields<'_>) -> String {
    let content = document.get("content").and_then(Bson::as_array).map_or(&[][..], Vec::as_slice);
    let texts = content.iter().filter_map(Bson::as_document).filter(|entry| kind(entry) == "text");
    texts.filter_map(|entry| value_of(Fields(entry), "text")).collect()
}

fn kind(entry: &Document) -> &str {
    entry.get_str("type").unwrap_or_default()
}

fn plain<'d>(document: Fields<'d>, name: &str) -> Option<&'d str> {
    document.get(name).and_then(Bson::as_str)
}

/// A text, or LibreChat's `{ value: text }`.
fn value_of<'d>(entry: Fields<'d>, name: &str) -> Option<&'d str> {
    match entry.get(name)? {
        Bson::String(text) => Some(text),
        Bson::Document(wrapped) => wrapped.get_str("value").ok(),
        _ => None,
    }
}

fn read_content(parts: &mut Vec<ContentPart>, entry: &Bson, place: usize, id: &MessageId) {
    let Some(document) = entry.as_document() else {
        // The oldest shape: a list of texts.
        parts.extend(entry.as_str().map(ContentPart::text));
        return;
    };
    let entry = Fields(document);
    match kind(document) {
        "text" => parts.extend(value_of(entry, "text").map(ContentPart::text)),
        "think" => parts.extend(
            value_of(entry, "think")
                .map(|text| ContentPart::Reasoning { text: text.to_owned(), opaque: None }),
        ),
        "tool_call" => {
            if let Ok(call) = document.get_document("tool_call") {
                read_call(parts, Fields(call), place);
            }
        }
        "image_file" => {
            if let Ok(file) = document.get_document("image_file") {
                parts.push(image_of(Fields(file)));
            }
        }
        "summary" if !entry.flag("failed") && !entry.flag("summarizing") => {
            let pieces = entry.get("content").and_then(Bson::as_array);
            let pieces = pieces.map_or(&[][..], Vec::as_slice).iter().filter_map(Bson::as_document);
            let mut text: String =
                pieces.filter_map(|piece| value_of(Fields(piece), "text")).collect();
            if text.is_empty() {
                text = value_of(entry, "text").unwrap_or_default().to_owned();
            }
            parts.extend(summary_of(&text, id));
        }
        "error" => {
            let text = value_of(entry, "text").or_else(|| plain(entry, "error"));
            parts.push(ContentPart::text(text.unwrap_or("[error]")));
        }
        "steer" => {
            let said = plain(entry, "steer").unwrap_or_default();
            parts.push(ContentPart::text(format!("[user] {said}")));
        }
        "image_url" => parts.push(ContentPart::text(linked_image(entry))),
        "summary" | "agent_update" | "activity_label" | "text_delta" => {}
        other => parts.push(ContentPart::text(format!("[content of type {other}]"))),
    }
}

fn read_call(parts: &mut Vec<ContentPart>, call: Fields<'_>, place: usize) {
    let function = call.get("function").and_then(Bson::as_document).map(Fields);
    let call_id = match plain(call, "id").filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => format!("call_{place}"),
    };
    let name = plain(call, "name")
        .or_else(|| function.and_then(|function| plain(function, "name")))
        .or_else(|| plain(call, "type"));
    let arguments =
        call.get("args").or_else(|| function.and_then(|function| function.get("arguments")));
    let arguments = match arguments {
        None => String::new(),
        Some(Bson::String(text)) => text.clone(),
        Some(other) => serde_json::to_string(other).unwrap_or_default(),
    };
    let output = plain(call, "output")
        .or_else(|| function.and_then(|function| plain(function, "output")))
        .filter(|output| !output.is_empty());
    parts.push(ContentPart::ToolCall {
        call_id: call_id.clone(),
        name: name.unwrap_or("tool").to_owned(),
        arguments,
    });
    if let Some(output) = output {
        parts.push(ContentPart::ToolResult { call_id, text: output.to_owned(), is_error: false });
    }
}

fn linked_image(entry: Fields<'_>) -> String {
    let url = match entry.get("image_url") {
        Some(Bson::String(url)) => Some(url.as_str()),
        Some(Bson::Document(wrapped)) => wrapped.get_str("url").ok(),
        _ => None,
    };
    match url.filter(|url| url.starts_with("https://") || url.starts_with("http://")) {
        Some(url) => format!("[image: {url}]"),
        None => "[image]".to_owned(),
    }
}

/// A summary stands for everything before it, the older parts of its own message included, which
/// is how LibreChat reads it. A blank one is none.
fn summary_of(text: &str, id: &MessageId) -> Option<ContentPart> {
    if text.trim().is_empty() {
        return None;
    }
    let covered = ContentHash::of(["librechat", id.as_str(), text]);
    let summary =
        Summary { text: text.to_owned(), covers_to: id.clone(), covered, prompt_version: None };
    Some(ContentPart::Summary { summary })
}

fn pixels(file: Fields<'_>, name: &str) -> Option<u32> {
    file.optional_integer(name).ok().flatten().and_then(|pixels| u32::try_from(pixels).ok())
}

fn image_of(file: Fields<'_>) -> ContentPart {
    let Some(id) = plain(file, "file_id").and_then(|id| FileId::new(id).ok()) else {
        return ContentPart::text("[image]");
    };
    ContentPart::Image {
        file: id,
        media_type: media_type(file).unwrap_or("image/png").to_owned(),
        width_px: pixels(file, "width"),
        height_px: pixels(file, "height"),
    }
}

fn file_of(file: Fields<'_>) -> ContentPart {
    let name = plain(file, "filename");
    let Some(id) = plain(file, "file_id").and_then(|id| FileId::new(id).ok()) else {
        return ContentPart::text(format!("[file {}]", name.unwrap_or("without a name")));
    };
    let media_type = media_type(file);
    let is_image = match media_type {
        Some(media_type) => media_type.starts_with("image/"),
        None => file.get("width").is_some(),
    };
    if is_image && (name.is_none() || file.get("filepath").is_some()) {
        return image_of(file);
    }
    ContentPart::File {
        name: name.unwrap_or(id.as_str()).to_owned(),
        file: id,
        media_type: media_type.unwrap_or("application/octet-stream").to_owned(),
    }
}

/// The media type, or what the name's ending says.
fn media_type<'d>(file: Fields<'d>) -> Option<&'d str> {
    if let Some(known) = plain(file, "type").filter(|known| !known.is_empty()) {
        return Some(known);
    }
    let name = plain(file, "filename").or_else(|| plain(file, "filepath"))?;
    let (_, ending) = name.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "png" => Some("image/png"),
        "jpg" | "jpeg" => Some("image/jpeg"),
        "webp" => Some("image/webp"),
        "gif" => Some("image/gif"),
        "pdf" => Some("application/pdf"),
        "txt" | "md" => Some("text/plain"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &Document) -> Vec<ContentPart> {
        parts_of(Fields(document), &MessageId::new("m-1").expect("valid"), false)
    }

    fn call(id: &str, name: &str, arguments: &str) -> ContentPart {
        ContentPart::ToolCall { call_id: id.into(), name: name.into(), arguments: arguments.into() }
    }

    #[test]
    fn every_shape_librechat_wrote_is_read() {
        let document = doc! { "text": "", "content": [
            { "type": "text", "text": "plain" },
            { "type": "text", "text": { "value": "wrapped", "annotations": [] } },
            { "type": "think", "think": "hm" },
            { "type": "tool_call", "tool_call": {
                "id": "c1", "name": "search", "args": "{\"q\":1}", "output": "42" } },
            { "type": "tool_call", "tool_call": {
                "id": "c2", "type": "function",
                "function": { "name": "f", "arguments": "{}", "output": "" } } },
            { "type": "tool_call", "tool_call": { "name": "g", "args": { "a": 1 } } },
            { "type": "image_file", "image_file": {
                "file_id": "f1", "filename": "a.webp", "width": 10, "height": 20 } },
            { "type": "image_url", "image_url": { "url": "https://example.org/a.png" } },
            { "type": "error", "error": "it broke" },
            { "type": "agent_update", "agent_update": { "agentId": "a" } },
            { "type": "hologram", "hologram": 1 },
        ] };
        let expected = vec![
            ContentPart::text("plain"),
            ContentPart::text("wrapped"),
            ContentPart::Reasoning { text: "hm".into(), opaque: None },
            call("c1", "search", "{\"q\":1}"),
            ContentPart::ToolResult { call_id: "c1".into(), text: "42".into(), is_error: false },
            call("c2", "f", "{}"),
            call("call_5", "g", "{\"a\":1}"),
            ContentPart::Image {
                file: FileId::new("f1").expect("valid"),
                media_type: "image/webp".into(),
                width_px: Some(10),
                height_px: Some(20),
            },
            ContentPart::text("[image: https://example.org/a.png]"),
            ContentPart::text("it broke"),
            ContentPart::text("[content of type hologram]"),
        ];
        assert_eq!(read(&document), expected);
    }

    #[test]
    fn a_summary_covers_its_own_message_and_a_failed_one_nothing() {
        let text = doc! { "type": "text", "text": "so far" };
        let summary = |parts: Vec<ContentPart>| match parts.as_slice() {
            [ContentPart::Summary { summary }] => Some(summary.clone()),
            _ => None,
        };
        let good = doc! { "content": [{ "type": "summary", "content": [text.clone()] }] };
        let found = summary(read(&good)).expect("one summary");
        assert_eq!((found.text.as_str(), found.covers_to.as_str()), ("so far", "m-1"));
        let failed = doc! { "content": [{ "type": "summary", "failed": true, "content": [text] }] };
        assert_eq!(read(&failed), []);
        let legacy = doc! { "summary": "long ago", "summaryTokenCount": 3 };
        assert_eq!(summary(read(&legacy)).expect("one summary").text, "long ago");
    }

    #[test]
    fn quotes_stand_beside_the_text_and_are_read_first() {
        let parts = [ContentPart::quote("said before"), ContentPart::text("is it true?")];
        let Visible { text, content, quotes, .. } = visible(Role::User, &parts);
        assert_eq!((text.as_str(), content.len()), ("is it true?", 0));
        assert_eq!(quotes, [Bson::from("said before")]);
        assert_eq!(read(&doc! { "text": text, "quotes": quotes }), parts);
    }

    #[test]
    fn files_of_a_user_message_become_parts() {
        let document = doc! { "text": "look", "files": [
            { "file_id": "f1", "type": "image/png", "filename": "a.png", "filepath": "/i/a.png",
              "width": 3, "height": 4 },
            { "file_id": "f2", "type": "application/pdf", "filename": "b.pdf" },
            { "filename": "lost" },
        ] };
        let expected = vec![
            ContentPart::text("look"),
            ContentPart::Image {
                file: FileId::new("f1").expect("valid"),
                media_type: "image/png".into(),
                width_px: Some(3),
                height_px: Some(4),
            },
            ContentPart::File {
                file: FileId::new("f2").expect("valid"),
                name: "b.pdf".into(),
                media_type: "application/pdf".into(),
            },
            ContentPart::text("[file lost]"),
        ];
        assert_eq!(read(&document), expected);
    }
}
