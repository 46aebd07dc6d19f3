//! Writes the report: one line per item, one sum per section.

use std::borrow::Cow;

use chat_rag::{DropReason, Retrieved, Snippet};
use chat_types::{
    ContentHash, ItemFate, ItemReport, MessageId, Provenance, Section, SectionReport, Tokens,
};

use crate::chosen::{Kept, NotSent};
use crate::read::Counted;

/// Collects a report while the prompt is put together, in the order sent.
#[derive(Debug)]
pub(crate) struct ReportWriter {
    items: Vec<ItemReport>,
    sections: Vec<SectionReport>,
    provenance: Provenance,
}

impl ReportWriter {
    /// Starts with the provenance of the counter itself; `items_max` is a hint.
    pub(crate) fn new(provenance: Provenance, items_max: usize) -> Self {
        Self { items: Vec::with_capacity(items_max), sections: Vec::new(), provenance }
    }

    /// One item that is sent.
    pub(crate) fn sent(
        &mut self,
        section: Section,
        source: Option<MessageId>,
        count: Counted,
        reason: &'static str,
    ) {
        self.push(section, source, count, ItemFate::Kept, Cow::Borrowed(reason));
    }

    /// One message that is sent, whole or in part.
    pub(crate) fn message(&mut self, section: Section, kept: &Kept, whole_reason: &'static str) {
        let source = Some(kept.message.id.clone());
        let reason = kept.reason.clone().unwrap_or(Cow::Borrowed(whole_reason));
        self.push(section, source, kept.count, kept.fate, reason);
    }

    /// One message that was read and is not sent.
    pub(crate) fn not_sent(&mut self, message: &NotSent) {
        self.items.push(ItemReport {
            section: Section::History,
            source: Some(message.message.clone()),
            snippet: None,
            tokens: message.count.tokens,
            provenance: message.count.provenance,
            fate: message.fate,
            reason: message.reason.to_owned(),
        });
    }

    /// One snippet that is sent.
    pub(crate) fn snippet(&mut self, snippet: &Snippet, count: Counted) {
        let reason = format!("{}, score {:.2}", snippet.name, snippet.score);
        self.push(Section::Retrieval, None, count, ItemFate::Kept, reason.into());
        if let Some(item) = self.items.last_mut() {
            item.snippet = Some(snippet.id.to_string());
        }
    }

    /// Snippets that were found and are not sent.
    pub(crate) fn left_out_snippets(&mut self, retrieved: &Retrieved, provenance: Provenance) {
        for dropped in &retrieved.dropped {
            self.items.push(ItemReport {
                section: Section::Retrieval,
                source: None,
                snippet: Some(dropped.id.to_string()),
                tokens: Tokens::ZERO,
                provenance,
                fate: ItemFate::Dropped,
                reason: format!("{}, score {:.2}", why(dropped.reason), dropped.score),
            });
        }
    }

    fn push(
        &mut self,
        section: Section,
        source: Option<MessageId>,
        count: Counted,
        fate: ItemFate,
        reason: Cow<'static, str>,
    ) {
        self.provenance = self.provenance.weaker(count.provenance);
        self.items.push(ItemReport {
            section,
            source,
            snippet: None,
            tokens: count.tokens,
            provenance: count.provenance,
            fate,
            reason: reason.into_owned(),
        });
    }

    /// The sum of a section that is sent.
    pub(crate) fn section(
        &mut self,
        section: Section,
        items: usize,
        tokens: Tokens,
        hash: ContentHash,
    ) {
        self.sections.push(SectionReport {
            section,
            items: u32::try_from(items).unwrap_or(u32::MAX),
            tokens,
            hash,
            cut_before: None,
        });
    }

    /// Items, sections and the weakest provenance.
    pub(crate) fn finish(self) -> (Vec<ItemReport>, Vec<SectionReport>, Provenance) {
        (self.items, self.sections, self.provenance)
    }
}

const fn why(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Duplicate => "a better snippet says the same",
        DropReason::BelowFloor => "below the relevance floor",
        _ => "no room",
    }
}
