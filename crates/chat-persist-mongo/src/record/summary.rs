//! The summary that is kept with a message: LibreChat's `summary`, and what it has no field for.
//!
//! LibreChat's older versions keep the same kind of summary, as a text. Ours goes to that field, and
//! `chatRuntime.summary` says what it covers. It holds only as long as the message looks as it did
//! when it was summarised and the field has our text: what LibreChat edits wins. A text that
//! LibreChat wrote there itself stays and is read as a part; ours is then kept whole beside it.

use chat_types::{ContentHash, Summary};
use mongodb::bson::{Bson, Document, doc};

use super::OURS;
use super::field::{Fields, whole};
use super::seen::{seen_of, short};
use crate::error::EngineResult;

const SHOWN: &str = "summary";
/// What LibreChat counted of its own summary.
const SHOWN_COUNT: &str = "summaryTokenCount";
const KEPT: &str = "summary";
const KEPT_PATH: &str = "chatRuntime.summary";

/// Adds the summary to the document of a new message, whose `chatRuntime` is there.
pub(super) fn add(document: &mut Document, summary: &Summary) {
    document.insert(SHOWN, &summary.text);
    let record = record(document, summary, None);
    if let Ok(ours) = document.get_document_mut(OURS) {
        ours.insert(KEPT, record);
    }
}

/// The update that keeps `summary` with the message of a document, in the place of any other.
pub(crate) fn update(document: &Document, summary: &Summary) -> Document {
    let is_theirs = shown(document).is_some_and(|text| !text.is_empty()) && !is_shown(document);
    if is_theirs {
        return doc! { "$set": { KEPT_PATH: record(document, summary, Some(&summary.text)) } };
    }
    let mut shows_ours = document.clone();
    shows_ours.insert(SHOWN, &summary.text);
    doc! {
        "$set": { SHOWN: &summary.text, KEPT_PATH: record(&shows_ours, summary, None) },
        "$unset": { SHOWN_COUNT: "" },
    }
}

/// `text` is given if the visible field is not ours.
fn record(document: &Document, summary: &Summary, text: Option<&str>) -> Document {
    let mut record = doc! {
        "coversTo": summary.covers_to.as_str(),
        "covered": summary.covered.as_str(),
    };
    if let Some(version) = summary.prompt_version {
        record.insert("promptVersion", whole(i64::from(version)));
    }
    match text {
        Some(text) => record.insert("text", text),
        None => record.insert("seenSummary", seen_summary(document)),
    };
    record.extend(seen_of(document));
    record
}

/// The summary that is kept with the message of a document, if it holds.
///
/// # Errors
/// `Corrupt` if a field of ours cannot be read.
pub(super) fn kept(document: &Document) -> EngineResult<Option<Summary>> {
    let Some(record) = kept_record(document) else {
        return Ok(None);
    };
    let holds = seen_of(document).iter().all(|(name, hash)| record.0.get(name) == Some(hash));
    let text = match record.optional_text("text")? {
        Some(text) => Some(text),
        None => shown(document).filter(|_| is_shown(document)),
    };
    let Some(text) = text.filter(|_| holds) else {
        return Ok(None);
    };
    let version = record.optional_integer("promptVersion")?.map(u32::try_from).transpose();
    Ok(Some(Summary {
        text: text.to_owned(),
        covers_to: record.parsed("coversTo")?,
        covered: ContentHash::from_stored(record.text("covered")?.to_owned()),
        prompt_version: version.map_err(|_| Fields::wrong("promptVersion"))?,
    }))
}

/// Whether the visible `summary` is the one that we wrote there.
pub(super) fn is_shown(document: &Document) -> bool {
    kept_record(document).and_then(|record| record.get("seenSummary"))
        == Some(&Bson::from(seen_summary(document)))
}

fn kept_record(document: &Document) -> Option<Fields<'_>> {
    document.get_document(OURS).ok()?.get_document(KEPT).ok().map(Fields)
}

fn shown(document: &Document) -> Option<&str> {
    document.get_str(SHOWN).ok()
}

fn seen_summary(document: &Document) -> String {
    short(&ContentHash::of([shown(document).unwrap_or_default()]))
}

#[cfg(test)]
mod tests {
    use chat_types::{ContentPart, Message};

    use super::super::message::message_of;
    use super::super::message::tests::{message, stored};
    use super::*;

    fn summary(text: &str) -> Summary {
        Summary {
            text: text.to_owned(),
            covers_to: "m-1".parse().expect("valid"),
            covered: ContentHash::of([text]),
            prompt_version: Some(u32::MAX),
        }
    }

    /// Applies an update's `$set` and `$unset`.
    fn keep(document: &mut Document, summary: &Summary) {
        let update = update(document, summary);
        for name in update.get_document("$unset").into_iter().flat_map(Document::keys) {
            document.remove(name);
        }
        for (path, value) in update.get_document("$set").expect("sets") {
            match path.split_once('.') {
                None => document.insert(path, value.clone()),
                Some((_, name)) => {
                    let ours = document.entry(OURS.to_owned()).or_insert_with(|| doc! {}.into());
                    ours.as_document_mut().expect("a document").insert(name, value.clone())
                }
            };
        }
    }

    fn read(document: &Document) -> Message {
        message_of(document).expect("reads").message
    }

    fn theirs() -> Document {
        let mut document = stored(&message(chat_types::Role::User, vec![ContentPart::text("a")]));
        document.remove(OURS);
        document
    }

    #[test]
    fn a_kept_summary_is_what_librechat_shows_and_no_part() {
        for mut document in [theirs(), stored(&read(&theirs()))] {
            document.insert(SHOWN_COUNT, 7);
            let before = read(&document);
            for text in ["one", "two", ""] {
                keep(&mut document, &summary(text));
                assert_eq!(shown(&document), Some(text));
                assert!(!document.contains_key(SHOWN_COUNT), "it counted another text");
                let expected = Message { summary: Some(summary(text)), ..before.clone() };
                assert_eq!(read(&document), expected);
            }
        }
    }

    #[test]
    fn a_summary_of_librechats_own_stays_and_is_a_part() {
        let mut document = theirs();
        document.insert(SHOWN, "theirs");
        document.insert(SHOWN_COUNT, 7);
        let before = read(&document);
        assert!(matches!(before.parts.as_slice(), [_, ContentPart::Summary { .. }]));
        for text in ["one", "two"] {
            keep(&mut document, &summary(text));
            let expected = Message { summary: Some(summary(text)), ..before.clone() };
            assert_eq!(read(&document), expected);
        }
        assert_eq!(shown(&document), Some("theirs"));
        assert!(document.contains_key(SHOWN_COUNT));
    }

    #[test]
    fn what_librechat_writes_over_it_wins() {
        let mut document = theirs();
        keep(&mut document, &summary("ours"));
        document.insert(SHOWN, "theirs");
        let read = read(&document);
        assert_eq!(read.summary, None);
        let [_, ContentPart::Summary { summary }] = read.parts.as_slice() else {
            panic!("a summary part: {:?}", read.parts);
        };
        assert_eq!(summary.text, "theirs");
    }

    #[test]
    fn an_edited_message_has_lost_its_summary() {
        let mut document = theirs();
        keep(&mut document, &summary("ours"));
        document.insert("text", "edited");
        let edited = read(&document);
        assert_eq!((edited.summary, edited.parts), (None, vec![ContentPart::text("edited")]));
        keep(&mut document, &summary("again"));
        assert_eq!(read(&document).summary, Some(summary("again")));
    }
}
