//! How far a prompt begins as the branch's previous one did.
//!
//! A provider that caches prompts reads the equal beginning at a fraction of the price, so what
//! broke it is worth knowing. Compared is what stands before the previous prompt's volatile tail:
//! instructions, tools, summary and history, item by item as they are sent.

use chat_types::{ModelRef, PrefixReport, Prompt, PromptItem, Section, SectionReport, Tokens};

use crate::PreviousPrompt;
use crate::hash::hash_items;

/// A section of the new prompt and what is needed to compare a beginning of it.
pub(crate) struct NewSection<'p> {
    pub(crate) report: &'p SectionReport,
    pub(crate) items: Vec<&'p PromptItem>,
}

/// The sections of a prompt with their items, in the order sent.
pub(crate) fn sections_of<'p>(
    sections: &'p [SectionReport],
    prompt: &'p Prompt,
) -> Vec<NewSection<'p>> {
    let items = |section| prompt.items.iter().filter(move |item| item.section == section).collect();
    sections.iter().map(|report| NewSection { report, items: items(report.section) }).collect()
}

/// Compares; `new` in the order sent.
pub(crate) fn compare(
    previous: &PreviousPrompt,
    model: &ModelRef,
    new: &[NewSection<'_>],
) -> PrefixReport {
    let steady: Vec<&SectionReport> =
        previous.sections.iter().filter(|section| is_steady(section.section)).collect();
    let total = steady.iter().map(|section| section.tokens).sum();
    let mut report = PrefixReport { previous: total, stable: Tokens::ZERO, broken_by: None };
    if previous.model != *model {
        report.broken_by = steady.first().map(|section| section.section);
        return report;
    }
    let mut new = new.iter().filter(|section| is_steady(section.report.section));
    for before in steady {
        let now = new.next();
        // What stands where the section stood: the same, or something that was put before it.
        let same = now.is_some_and(|now| begins_as(now, before));
        if !same {
            let broken_by =
                now.map_or(before.section, |now| now.report.section.min(before.section));
            report.broken_by = Some(broken_by);
            return report;
        }
        report.stable = report.stable.plus(before.tokens);
    }
    report
}

/// It stands before the volatile tail.
fn is_steady(section: Section) -> bool {
    section < Section::Retrieval
}

fn begins_as(now: &NewSection<'_>, before: &SectionReport) -> bool {
    if now.report.section != before.section {
        return false;
    }
    if now.report.section != Section::History {
        return now.report.hash == before.hash;
    }
    let items = usize::try_from(before.items).unwrap_or(usize::MAX);
    let begins: Option<&[&PromptItem]> = now.items.get(..items);
    begins.is_some_and(|items| hash_items(items.iter().copied()) == before.hash)
}
