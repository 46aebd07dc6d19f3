//! `chat import librechat`: what a LibreChat database holds, into any store.
//!
//! LibreChat's database is only read. Run again, it adds what is new since. Not here: what becomes
//! of a document (`chat-persist-mongo`), writing lines (`chat-archive`).

use std::collections::{BTreeMap, BTreeSet};

use chat_runtime::archive::{ArchiveLine, ImportOptions, ImportReport, Importer};
use chat_runtime::types::UserId;
use chat_runtime::{LibreChatReport, LibreChatSource, Store, StoreKind, store_kind};
use serde_json::json;

use crate::app::{Access, store_url};
use crate::arguments::LibreChat;
use crate::commands::transfer::report::{Report, imported, show};
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::progress::RowBar;
use crate::settings::Settings;

/// Users that the report names; a large installation has thousands.
const USERS_NAMED_MAX: usize = 20;

/// Reads a LibreChat database and writes what is not there yet.
pub(crate) async fn import(
    arguments: &LibreChat,
    settings: &Settings,
    output: &Output,
) -> Result<Exit, Failure> {
    let settings = to(settings, arguments);
    if !matches!(store_kind(&arguments.from)?, StoreKind::Mongo) {
        return Err(Failure::new("unknown_store", "LibreChat's database is a MongoDB one")
            .with_remedy("name it with --from mongodb://HOST/DATABASE"));
    }
    let only = settings.user.as_deref().map(user).transpose()?;
    let source = LibreChatSource::open(&arguments.from).await?;
    let access = if arguments.dry_run { Access::Reads } else { Access::Writes };
    let store = Store::open(&store_url(&settings, access, output)?).await?;
    let mut moved = Moved { source, users: BTreeSet::new(), only, is_wanted: true };
    let outcome = moved.carry_to(&store, arguments).await;
    store.close().await;
    let (report, failure) = match outcome {
        Ok(report) => (report, None),
        Err((report, failure)) => (report, Some(failure)),
    };
    if failure.is_none() || report.lines.total() > 0 {
        let shown = moved.report(&report, arguments.dry_run);
        show(&settings, output, &shown, |line| output.line(line));
    }
    failure.map_or(Ok(Exit::Ok), Err)
}

/// The settings with the store that gets the lines.
fn to(settings: &Settings, arguments: &LibreChat) -> Settings {
    let mut settings = settings.clone();
    if let Some(to) = &arguments.to {
        settings.runtime.store.clone_from(to);
    }
    settings
}

/// Looking an e-mail address up is left to stores: the source database is only read.
fn user(named: &str) -> Result<UserId, Failure> {
    if named.contains('@') {
        let cause = format!("{named:?} is an e-mail address; an import takes the user's id");
        return Err(Failure::new("unknown_user", cause)
            .with_remedy("`chat --store mongodb://… --user EMAIL doctor` shows the id"));
    }
    Ok(UserId::new(named)?)
}

/// Lines on their way, and whose they are.
struct Moved {
    source: LibreChatSource,
    users: BTreeSet<UserId>,
    /// Nobody else's lines are taken.
    only: Option<UserId>,
    /// The conversation that is open is one of theirs.
    is_wanted: bool,
}

impl Moved {
    async fn carry_to(
        &mut self,
        store: &Store,
        arguments: &LibreChat,
    ) -> Result<ImportReport, (ImportReport, Failure)> {
        let options = ImportOptions {
            dry_run: arguments.dry_run,
            leave_ledger_out: arguments.without_ledger,
            // LibreChat goes on, and its users edit.
            keep_what_differs: true,
        };
        let mut ports = store.ports();
        if arguments.without_ledger {
            ports = ports.without_ledger();
        }
        let mut importer = Importer::new(ports, options);
        let failed = |importer: &Importer, failure: Failure| (importer.report(), failure);
        let totals = self.source.totals().await;
        let totals = totals.map_err(|error| failed(&importer, error.into()))?;
        let documents = [
            totals.conversations,
            totals.messages,
            totals.files,
            totals.transactions,
            totals.balances,
        ];
        let bar = RowBar::up_to("importing", documents.into_iter().fold(0, u64::saturating_add));
        let mut rows = 0_u64;
        loop {
            let line = self.source.next_line().await;
            let line = line.map_err(|error| failed(&importer, error.into()))?;
            let Some(line) = line else { break };
            rows = rows.saturating_add(1);
            if self.wants(&line)
                && importer
                    .take(line)
                    .await
                    .map_err(|error| failed(&importer, Failure::from(&error)))?
            {
                bar.show(rows);
            }
        }
        let report = importer.report();
        importer.finish().await.map_err(|error| (report, Failure::from(&error)))
    }

    /// Whether a line belongs to who is wanted; messages belong to the conversation before them.
    fn wants(&mut self, line: &ArchiveLine) -> bool {
        let scope = match line {
            ArchiveLine::Message { .. } => return self.is_wanted,
            ArchiveLine::Conversation { scope, .. }
            | ArchiveLine::File { scope, .. }
            | ArchiveLine::Turn { scope, .. }
            | ArchiveLine::Opening { scope, .. }
            | ArchiveLine::Usage { scope, .. } => scope,
            // A LibreChat database has neither.
            ArchiveLine::Account { .. } | ArchiveLine::Hold { .. } | ArchiveLine::Entry { .. } => {
                return self.only.is_none();
            }
        };
        let is_wanted = self.only.as_ref().is_none_or(|only| *only == scope.user);
        if matches!(line, ArchiveLine::Conversation { .. }) {
            self.is_wanted = is_wanted;
        }
        if is_wanted && !self.users.contains(&scope.user) {
            self.users.insert(scope.user.clone());
        }
        is_wanted
    }

    fn report(&self, written: &ImportReport, dry_run: bool) -> Report {
        let mut report = imported(written, dry_run);
        let findings = findings(self.source.report());
        for (_, count, text) in findings.iter().filter(|(_, count, _)| *count > 0) {
            report.notes.push(format!("{count} {text}"));
        }
        if let Some(first) = self.users.first() {
            report.notes.push(format!(
                "{} users; `chat --user {first} list` shows what one of them has",
                self.users.len()
            ));
        }
        if let Some(object) = report.json.as_object_mut() {
            let counts: BTreeMap<_, _> =
                findings.iter().map(|(name, count, _)| (*name, *count)).collect();
            object.insert("librechat".to_owned(), json!(counts));
            let users: Vec<_> = self.users.iter().take(USERS_NAMED_MAX).collect();
            object.insert("users".to_owned(), json!(users));
        }
        report
    }
}

/// What was repaired or left out, by name, count and sentence.
fn findings(report: &LibreChatReport) -> [(&'static str, u64, &'static str); 14] {
    [
        ("orphans", report.orphans, "messages had no parent there and became roots"),
        ("cycles", report.cycles, "circles of messages were opened at their oldest one"),
        ("messages_twice", report.messages_twice, "messages had another's id and were left out"),
        (
            "messages_left_out",
            report.messages_left_out,
            "messages could not be read and were left out",
        ),
        (
            "conversations_left_out",
            report.conversations_left_out,
            "conversations had no usable id or user and were left out",
        ),
        (
            "files_left_out",
            report.files_left_out,
            "files had no usable id or user and were left out",
        ),
        ("files_twice", report.files_twice, "files had another's id and were left out"),
        (
            "credits_left_out",
            report.credits_left_out,
            "transactions gave credit and were left out: the balance has it",
        ),
        (
            "transactions_left_out",
            report.transactions_left_out,
            "transactions had no user or no amounts and were left out",
        ),
        (
            "usage_without_conversation",
            report.usage_without_conversation,
            "transactions named no conversation",
        ),
        ("balances_twice", report.balances_twice, "balances were second ones and were left out"),
        (
            "balances_negative",
            report.balances_negative,
            "balances were below zero and open at zero",
        ),
        ("balances_rounded", report.balances_rounded, "balances lost a part of a nano-dollar"),
        (
            "balances_left_out",
            report.balances_left_out,
            "balances had no user or no amount and were left out",
        ),
    ]
}
