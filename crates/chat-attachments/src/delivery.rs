//! How a file reaches a model: natively, as text, or not at all, and why.

use chat_types::Modalities;
use serde::{Deserialize, Serialize};

use crate::kind::FileKind;

/// How a file is delivered; also what a user may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// As a part of its own, in the provider's words: an image, a PDF, audio.
    Native,
    /// As text in the prompt.
    Text,
    /// Not at all.
    None,
}

/// A decision, and its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// How.
    pub how: Delivery,
    /// Why: stable, a few words, for reports.
    pub reason: &'static str,
}

/// Decides how a file of this kind reaches a model that takes `modalities`.
///
/// What the user chose wins wherever it can be done; it is never turned into something that was not
/// asked for, except that a file chosen natively goes as text to a model that does not take it. Without
/// a choice, native goes before text. `has_text` is what reading the file showed, if it was read: a
/// scanned PDF has none.
#[must_use]
pub const fn deliver(
    kind: FileKind,
    modalities: Modalities,
    choice: Option<Delivery>,
    has_text: Option<bool>,
) -> Delivered {
    let is_native = match kind {
        FileKind::Image => modalities.images,
        FileKind::Audio => modalities.audio,
        // Vendors that take files take PDF; other documents go as text everywhere.
        FileKind::Pdf => modalities.files,
        _ => false,
    };
    let is_readable = kind.has_text() && !matches!(has_text, Some(false));
    let (how, reason) = match choice {
        Some(Delivery::None) => (Delivery::None, "the user chose not to send it"),
        Some(Delivery::Text) if is_readable => (Delivery::Text, "the user chose text"),
        Some(Delivery::Text) => (Delivery::None, "the user chose text, and it has none"),
        Some(Delivery::Native) if is_native => (Delivery::Native, "the user chose the file itself"),
        Some(Delivery::Native) if is_readable => {
            (Delivery::Text, "the model does not take the file itself")
        }
        None if is_native => (Delivery::Native, "the model takes the file itself"),
        None if is_readable => (Delivery::Text, "its text is sent"),
        Some(Delivery::Native) | None => match kind {
            FileKind::Image => (Delivery::None, "the model takes no images"),
            FileKind::Audio => (Delivery::None, "the model takes no audio"),
            FileKind::Other => (Delivery::None, "nothing can be read from it"),
            _ => (Delivery::None, "it has no text, and the model does not take the file itself"),
        },
    };
    Delivered { how, reason }
}
