//! What an export or an import says of itself: to people a sentence, to programs an object.

use chat_runtime::archive::{Counts, ExportReport, ImportReport};
use serde_json::{Value, json};

use crate::output::Output;
use crate::settings::Settings;

/// What a report says: the sentence for people, the object for programs.
pub(crate) struct Report {
    sentence: String,
    pub(crate) notes: Vec<String>,
    pub(crate) json: Value,
}

/// Shows a report; its notes go to stderr.
pub(crate) fn show(settings: &Settings, output: &Output, report: &Report, line: impl Fn(String)) {
    if settings.json {
        line(report.json.to_string());
        return;
    }
    line(report.sentence.clone());
    for note in &report.notes {
        output.note(note);
    }
}

/// The report of an export.
pub(crate) fn exported(report: &ExportReport) -> Report {
    let mut notes = Vec::new();
    if report.turns_running > 0 {
        notes.push(format!("{} turns were left out: they are running", report.turns_running));
    }
    Report {
        sentence: format!("exported {}", counted(&report.lines)),
        notes,
        json: json!({
            "lines": report.lines,
            "turns_running": report.turns_running,
            "heads_moved_up": report.heads_moved_up,
        }),
    }
}

/// The report of an import, whole or not.
pub(crate) fn imported(report: &ImportReport, dry_run: bool) -> Report {
    let mut notes = Vec::new();
    let mut note = |count: u64, text: &str| {
        if count > 0 {
            notes.push(format!("{count} {text}"));
        }
    };
    note(report.conversations_there, "conversations were there before; only what is new was added");
    note(report.turns_homeless, "turns were left out: their conversation is not in the archive");
    note(report.ledger_left_out, "ledger rows were left out");
    note(report.messages_kept, "messages differ from those that are there, which stay");
    note(report.files_kept, "files differ from those that are there, which stay");
    let verb = if dry_run { "would import" } else { "imported" };
    Report {
        sentence: format!("{verb} {}", counted(&report.lines)),
        notes,
        json: json!({
            "lines": report.lines,
            "conversations_there": report.conversations_there,
            "turns_homeless": report.turns_homeless,
            "ledger_left_out": report.ledger_left_out,
            "messages_kept": report.messages_kept,
            "files_kept": report.files_kept,
            "dry_run": dry_run,
        }),
    }
}

/// What there is of each kind, the kinds that are not there left out.
fn counted(counts: &Counts) -> String {
    let kinds = [
        (counts.conversations, "conversations"),
        (counts.messages, "messages"),
        (counts.files, "files"),
        (counts.turns, "turns"),
        (counts.accounts, "accounts"),
        (counts.openings, "opening balances"),
        (counts.holds, "holds"),
        (counts.entries, "entries"),
        (counts.usage_rows, "usage rows"),
    ];
    let there = kinds.iter().filter(|(count, _)| *count > 0);
    let text: Vec<String> = there.map(|(count, kind)| format!("{count} {kind}")).collect();
    if text.is_empty() { "nothing".to_owned() } else { text.join(", ") }
}
