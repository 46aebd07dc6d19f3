//! How a document's visible fields looked when this store wrote beside them: a later edit shows.

use chat_types::ContentHash;
use mongodb::bson::{Bson, Document, doc};

/// How the visible fields look: two short hashes, one for the text, one for content, files and quotes.
pub(super) fn seen_of(document: &Document) -> Document {
    let text = document.get_str("text").unwrap_or_default();
    let mut shown = Document::new();
    for name in ["content", "files", "quotes"] {
        if let Some(Bson::Array(entries)) = document.get(name)
            && !entries.is_empty()
        {
            shown.insert(name, entries.clone());
        }
    }
    let rest = [shown.to_vec().unwrap_or_default()];
    doc! {
        "seenText": short(&ContentHash::of([text])),
        "seenContent": short(&ContentHash::of(rest)),
    }
}

/// 128 bits tell an edit from none.
pub(super) fn short(hash: &ContentHash) -> String {
    hash.as_str().chars().take(32).collect()
}
