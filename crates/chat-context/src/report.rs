//! Writes the report: one line per item, one sum per section.

use chat_types::{
    ContentHash, ItemFate, ItemReport, MessageId, Provenance, Section, SectionReport, Tokens,
};

use crate::history::{Counted, Kept, NotSent};

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
        self.push(section, source, count, ItemFate::Kept, reason);
    }

    /// One message that is sent, whole or in part.
    pub(crate) fn message(&mut self, section: Section, kept: &Kept, whole_reason: &'static str) {
        let (fate, reason) = if kept.left_out.is_nothing() {
            (ItemFate::Kept, whole_reason)
        } else {
            (ItemFate::Trimmed, kept.left_out.reason())
        };
        let source = Some(kept.message.id.clone());
        self.push(section, source, kept.count, fate, reason);
    }

    /// One message that was read and is not sent.
    pub(crate) fn not_sent(&mut self, message: &NotSent) {
        self.items.push(ItemReport {
            section: Section::History,
            source: Some(message.message.clone()),
            tokens: message.count.tokens,
            provenance: message.count.provenance,
            fate: if message.summarised { ItemFate::Summarised } else { ItemFate::Dropped },
            reason: message.reason.to_owned(),
        });
    }

    fn push(
        &mut self,
        section: Section,
        source: Option<MessageId>,
        count: Counted,
        fate: ItemFate,
        reason: &'static str,
    ) {
        self.provenance = self.provenance.weaker(count.provenance);
        self.items.push(ItemReport {
            section,
            source,
            tokens: count.tokens,
            provenance: count.provenance,
            fate,
            reason: reason.to_owned(),
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
        });
    }

    /// Items, sections and the weakest provenance.
    pub(crate) fn finish(self) -> (Vec<ItemReport>, Vec<SectionReport>, Provenance) {
        (self.items, self.sections, self.provenance)
    }
}
