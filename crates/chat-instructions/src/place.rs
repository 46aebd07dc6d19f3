//! Where instructions go, by what the model has.

use chat_types::{ContentPart, ModelInfo, PromptItem, Role, Section, SystemRole};

use crate::ComposedInstructions;
use crate::compose::SEPARATOR;

/// Where the instructions go.
#[derive(Clone, Debug, PartialEq)]
pub enum Placement {
    /// There are none.
    Nowhere,
    /// An item of their own, in front of everything.
    SystemItem(PromptItem),
    /// In front of the newest user message's text, since the model has no system role.
    InUserMessage {
        /// The instructions.
        text: String,
    },
}

impl Placement {
    /// Puts instructions that have no item of their own into the newest user message; otherwise
    /// changes nothing. Doing it twice says them twice.
    pub fn merge_into_user(&self, parts: &mut Vec<ContentPart>) {
        let Self::InUserMessage { text: instructions } = self else {
            return;
        };
        if let Some(ContentPart::Text { text }) = parts.first_mut() {
            text.insert_str(0, SEPARATOR);
            text.insert_str(0, instructions);
        } else {
            parts.insert(0, ContentPart::text(instructions));
        }
    }
}

/// Decides where `instructions` go for `model`.
///
/// The system item carries a cache mark: it is the end of what never changes.
#[must_use]
pub fn place(instructions: ComposedInstructions, model: &ModelInfo) -> Placement {
    placed(instructions, model, true)
}

/// Decides where volatile `instructions` go for `model`: right before the newest message, or in
/// front of its text. Their item carries no cache mark, since nothing that ends with it comes again.
#[must_use]
pub fn place_tail(instructions: ComposedInstructions, model: &ModelInfo) -> Placement {
    placed(instructions, model, false)
}

fn placed(instructions: ComposedInstructions, model: &ModelInfo, cache_mark: bool) -> Placement {
    if instructions.is_empty() {
        return Placement::Nowhere;
    }
    let text = instructions.into_text();
    match model.system_role {
        SystemRole::MergedIntoUser => Placement::InUserMessage { text },
        // Native, and whatever later models have: a system item is the widest understood form.
        _ => Placement::SystemItem(PromptItem {
            section: Section::Instructions,
            role: Role::System,
            parts: vec![ContentPart::Text { text }],
            source: None,
            cache_mark,
        }),
    }
}
