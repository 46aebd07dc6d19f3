//! The contract's shapes, and what we make of them.

use std::collections::BTreeMap;

use chat_rag::{Location, Snippet, SnippetId};
use chat_types::{ContentHash, FileId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest name of a source.
const NAME_CHARS_MAX: usize = 200;

#[derive(Debug, Serialize)]
pub(crate) struct Query<'a> {
    pub(crate) query: &'a str,
    pub(crate) file_id: &'a str,
    pub(crate) k: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entity_id: Option<&'a str>,
}

/// A chunk as the service stores it. Its metadata differ from loader to loader.
#[derive(Debug, Deserialize)]
pub(crate) struct WireChunk {
    pub(crate) page_content: String,
    #[serde(default)]
    pub(crate) metadata: BTreeMap<String, Value>,
}

/// A chunk and how far it is from the question.
#[derive(Debug, Deserialize)]
pub(crate) struct Hit(pub(crate) WireChunk, pub(crate) f64);

#[derive(Debug, Deserialize)]
pub(crate) struct WireEmbedded {
    pub(crate) status: bool,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) file_id: String,
    #[serde(default)]
    pub(crate) known_type: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WireText {
    pub(crate) text: String,
}

impl WireChunk {
    fn text_of(&self, key: &str) -> Option<&str> {
        self.metadata.get(key)?.as_str()
    }

    pub(crate) fn file_id(&self) -> Option<&str> {
        self.text_of("file_id")
    }

    pub(crate) fn user_id(&self) -> Option<&str> {
        self.text_of("user_id")
    }

    /// Loaders count pages from 0, and some write them as text.
    fn page(&self) -> Option<u32> {
        let page = self.metadata.get("page")?;
        let number = page.as_u64().or_else(|| page.as_str()?.parse().ok())?;
        u32::try_from(number.checked_add(1)?).ok()
    }

    /// The file's name: the last part of the path that the service kept.
    fn name(&self, document: &FileId) -> String {
        let path = self.text_of("filename").or_else(|| self.text_of("source")).unwrap_or_default();
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let visible = name.chars().filter(|character| !character.is_control());
        let name: String = visible.take(NAME_CHARS_MAX).collect();
        if name.is_empty() { document.to_string() } else { name }
    }

    /// The service numbers no chunks: the text itself names the chunk, so that the same text keeps
    /// its source id.
    fn number(&self) -> u32 {
        let hash = ContentHash::of([&self.page_content]);
        let digits = hash.as_str().get(..8).unwrap_or_default();
        u32::from_str_radix(digits, 16).unwrap_or_default()
    }

    pub(crate) fn into_snippet(self, document: &FileId, distance: f64) -> Snippet {
        Snippet {
            id: SnippetId::new(document.clone(), self.number()),
            name: self.name(document),
            location: Location { page: self.page(), ..Location::default() },
            score: score(distance),
            rank: 0,
            text: self.page_content,
        }
    }
}

/// The service gives cosine distances, 0 for the same direction and 1 for none in common.
pub(crate) fn score(distance: f64) -> f64 {
    if distance.is_finite() { (1.0 - distance).clamp(0.0, 1.0) } else { 0.0 }
}
