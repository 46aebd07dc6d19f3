//! From a stable code to an exit code and a remedy: one table, used by everything.

use std::error::Error;
use std::io::ErrorKind;
use std::path::Path;

use chat_runtime::archive::{ArchiveError, ArchiveErrorKind};
use chat_runtime::balance::BalanceError;
use chat_runtime::context::attachments::ExtractError;
use chat_runtime::persist::PersistError;
use chat_runtime::provider::{ProviderError, UnknownModel};
use chat_runtime::types::{InvalidId, TurnFailure};
use chat_runtime::usage::UsageError;
use chat_runtime::{InvalidAmount, RuntimeError, TurnError};

/// How the program ends. The numbers are a promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Ok,
    /// Something nobody foresaw.
    Unexpected,
    /// Wrong flags or configuration.
    Usage,
    /// No such conversation, message, turn or model.
    NotFound,
    /// The balance or a policy refuses.
    Refused,
    /// The model's side failed or is not set up.
    Provider,
    /// The database failed.
    Store,
    /// The input cannot be taken as it is.
    BadInput,
    /// An audit found a row that breaks an invariant.
    Broken,
    /// Stopped by Ctrl-C.
    Stopped,
    /// Ended by SIGTERM.
    Terminated,
}

/// What `--help` says about them.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    unexpected
  2    wrong flags or configuration
  3    no such conversation, message, turn or model
  4    refused by the balance or a policy
  5    the model failed or is not set up
  6    the database failed
  7    the input cannot be taken as it is
  8    the audit found a broken row
  130  stopped by Ctrl-C; what was said so far is kept
  143  ended by SIGTERM; what was said so far is kept";

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::Provider => 5,
            Self::Store => 6,
            Self::BadInput => 7,
            Self::Broken => 8,
            Self::Stopped => 130,
            Self::Terminated => 143,
        }
    }
}

/// Why a command failed: a stable code, a cause and a remedy, one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    code: String,
    cause: String,
    remedy: String,
    exit: Exit,
}

impl Failure {
    /// A failure with what the table says of `code`.
    pub(crate) fn new(code: &str, cause: impl Into<String>) -> Self {
        let (exit, remedy) = row(code);
        Self { code: code.to_owned(), cause: cause.into(), remedy: remedy.to_owned(), exit }
    }

    /// The same with another remedy.
    pub(crate) fn with_remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// The same cause under another code, with that code's exit and remedy.
    pub(crate) fn with_code(self, code: &str) -> Self {
        Self::new(code, self.cause)
    }

    /// Something could not be written to stdout.
    pub(crate) fn output(kind: ErrorKind) -> Self {
        Self::new("output_failed", format!("the output cannot be written: {kind}"))
    }

    /// A file of the user's cannot be read.
    pub(crate) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::new("file_unreadable", format!("{} cannot be read: {error}", path.display()))
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    pub(crate) fn code(&self) -> &str {
        &self.code
    }

    pub(crate) fn cause(&self) -> &str {
        &self.cause
    }

    pub(crate) fn remedy(&self) -> &str {
        &self.remedy
    }

    /// An error and what lies under it, as far as that says more.
    fn of(code: &str, error: &dyn Error) -> Self {
        let mut cause = error.to_string();
        let mut source = error.source();
        while let Some(under) = source {
            let text = under.to_string();
            if !cause.contains(&text) {
                cause = format!("{cause}: {text}");
            }
            source = under.source();
        }
        Self::new(code, cause)
    }
}

/// The I/O error under an error, if one is.
pub(crate) fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return Some(error.kind());
        }
        next = error.source();
    }
    None
}

/// Exit code and remedy of a code.
fn row(code: &str) -> (Exit, &'static str) {
    match code {
        "invalid_config" | "feature_off" | "unknown_store" => {
            (Exit::Usage, "`chat config --print` shows what is in effect")
        }
        "past_is_final" => (
            Exit::Usage,
            "add --dry-run to see what the book would have meant; give credit back with \
             `chat balance grant AMOUNT --key KEY`",
        ),
        "too_many_groups" => (Exit::BadInput, "choose fewer days with --from and --until"),
        "conflicting_flags" => (Exit::Usage, "leave one of them out"),
        "invalid_price_book" => {
            (Exit::Usage, "correct the price book; its format is in chat-usage's README")
        }
        "not_an_archive" => (Exit::BadInput, "import a file that `chat export` wrote"),
        "archive_version" => (Exit::BadInput, "use the version that wrote it, or a newer one"),
        "archive_truncated" => (
            Exit::BadInput,
            "export again or get the whole file; what came before the end is imported",
        ),
        "archive_damaged" => {
            (Exit::BadInput, "export again; what came before that line is imported")
        }
        "file_unwritable" => (Exit::Usage, "check the path, its permissions and the space left"),
        "file_unreadable" => (Exit::Usage, "check the path and its permissions"),
        "no_provider" => (Exit::Usage, "configure a provider; `chat doctor` shows how"),
        "unknown_conversation" | "not_found" => {
            (Exit::NotFound, "`chat list` shows your conversations")
        }
        "ambiguous_id" => (Exit::BadInput, "write more of the id"),
        "unknown_message" | "parent_missing" => {
            (Exit::NotFound, "`chat tree ID` shows the messages of a conversation")
        }
        "unknown_user" => (Exit::NotFound, "name a user of this database with --user EMAIL|ID"),
        "user_not_named" => (Exit::Usage, "say whose conversations with --user EMAIL|ID"),
        "unknown_turn" => (Exit::NotFound, "`--json` prints the turn of every event"),
        "unknown_model" => (Exit::NotFound, "`chat models` lists what there is"),
        "account_not_found" => {
            (Exit::NotFound, "an account is opened by the first message or grant")
        }
        "insufficient_funds" => {
            (Exit::Refused, "add credit with `chat balance grant AMOUNT --key KEY`")
        }
        "unknown_price" => (
            Exit::Refused,
            "name a price book with --prices (or `prices` in the configuration) that has the model; \
             free of charge is input = \"0\", output = \"0\"",
        ),
        "output_cap_too_small" => (Exit::Refused, "allow a longer reply with --max-tokens"),
        "content_refused" | "content_filtered" => (Exit::Refused, "say it in another way"),
        "provider_not_ready" => {
            (Exit::Provider, "`chat doctor` shows what is missing and how to get it")
        }
        "provider_unauthorized" => (
            Exit::Provider,
            "set the key in the environment (OPENAI_API_KEY, or the provider's api_key_env)",
        ),
        "provider_unavailable" | "provider_timeout" | "provider_protocol" => (
            Exit::Provider,
            "check the address (OPENAI_BASE_URL, or base_url in the configuration) and that the \
             server runs; the message is kept, `chat resume` and /retry send it again",
        ),
        "provider_rate_limited" => (Exit::Provider, "wait a little and send it again"),
        "provider_quota_exhausted" => (Exit::Provider, "check plan and billing at the provider"),
        "provider_invalid_request" | "attempt_refused" => {
            (Exit::Provider, "try another model; `chat models` lists them")
        }
        "interrupted" | "not_started" | "empty_reply" | "deadline_exceeded" | "server_draining" => {
            (Exit::Provider, "the message is kept: `chat resume` and /retry answer it again")
        }
        "store_unavailable" => (
            Exit::Store,
            "check that the server runs and is reachable, or that the file is on a local disk, \
             writable and not locked by another program",
        ),
        "store_full" => (Exit::Store, "free some space and try again; nothing was lost"),
        "store_corrupt" | "ledger_corrupt" => (
            Exit::Store,
            "the file was left untouched: restore a backup, or name another file with --store",
        ),
        "store_newer_schema" => (
            Exit::Store,
            "the file was left untouched: use the newer version, or name another file with --store",
        ),
        "cannot_bill" => (Exit::Store, "use a store with transactions; docs/storage.md lists them"),
        "unsupported" => (
            Exit::Store,
            "docs/storage.md says what each store needs (a file: a local disk); or name another one \
             with --store",
        ),
        "ledger_unavailable" | "usage_store_failed" | "fenced" | "illegal_state" | "conflict"
        | "ledger_conflict" | "broken_tree" => {
            (Exit::Store, "try again; `chat audit` checks the books")
        }
        "audit_broken" => {
            (Exit::Broken, "the rows named above differ from the rest; restore a backup")
        }
        "unknown_file" | "file_missing" => (Exit::NotFound, "attach it again with --attach FILE"),
        "no_files" => (Exit::Usage, "configure [files]; its keys are in chat-runtime's README"),
        "extractor_missing" | "child_failed" => {
            (Exit::Usage, "check [files.extractor] in the configuration; `chat doctor` checks it")
        }
        "file_unsupported"
        | "file_too_large"
        | "bomb"
        | "encrypted"
        | "damaged"
        | "too_many_pages"
        | "took_too_long"
        | "used_too_much_memory"
        | "no_text"
        | "nothing_added" => {
            (Exit::BadInput, "save it as text, Markdown, PDF or a current Office file, or smaller")
        }
        "unknown_document" => (Exit::NotFound, "`chat rag list` shows the documents"),
        "too_many_files" => (Exit::BadInput, "name fewer folders"),
        "summary_blank" | "summary_unavailable" | "summary_refused" | "summary_no_room" => {
            (Exit::Provider, "nothing was changed; try again, or with --model a larger model")
        }
        "empty_message" => (Exit::BadInput, "write something: chat send \"…\", -f FILE, or stdin"),
        "message_too_large" | "too_large" => (
            Exit::BadInput,
            "send it in pieces; the limit is message_bytes_max under [turns] in the configuration",
        ),
        "invalid_utf8" => (Exit::BadInput, "send text in UTF-8; `iconv -t UTF-8` converts"),
        "invalid_id" => (Exit::BadInput, "ids are 1 to 128 of letters, digits, ':', '_' and '-'"),
        "invalid_amount" => (Exit::BadInput, "write an amount in US dollars, such as 12.50"),
        "wrong_message" => (Exit::BadInput, "choose another message; `chat tree ID` shows them"),
        "parent_unfinished" => {
            (Exit::BadInput, "wait for that reply to end, or stop it with `chat stop TURN`")
        }
        "idempotency_conflict" => {
            (Exit::BadInput, "use another key, or send exactly what was sent with this one")
        }
        "context_too_long" | "prompt_too_large" => {
            (Exit::BadInput, "shorten the message, or choose a model with a larger window")
        }
        "draining" | "overloaded" => (Exit::Unexpected, "try again in a moment"),
        _ => (Exit::Unexpected, "try again; `chat doctor` checks the setup"),
    }
}

impl From<TurnError> for Failure {
    fn from(error: TurnError) -> Self {
        match error {
            // Its own message says too little; the failure of a turn says it all.
            TurnError::Usage(UsageError::Refused { .. }) => Self::from(&error.to_failure()),
            _ => Self::of(error.code(), &error),
        }
    }
}

impl From<RuntimeError> for Failure {
    fn from(error: RuntimeError) -> Self {
        let failure = Self::of(error.code(), &error);
        match error.remedy() {
            Some(remedy) => failure.with_remedy(remedy),
            None => failure,
        }
    }
}

impl From<&TurnFailure> for Failure {
    fn from(failure: &TurnFailure) -> Self {
        Self::new(&failure.code, failure.message.clone())
    }
}

macro_rules! by_code {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::of(error.code(), &error)
            }
        }
    )*};
}

by_code!(PersistError, BalanceError, UsageError, ProviderError);

#[cfg(feature = "rag-local")]
by_code!(chat_runtime::context::rag::RagError);

impl From<ExtractError> for Failure {
    fn from(error: ExtractError) -> Self {
        // Stores and messages have codes of these names too, which mean something else.
        let code = match error.code() {
            "unsupported" => "file_unsupported",
            "too_large" => "file_too_large",
            code => code,
        };
        Self::of(code, &error)
    }
}

impl From<&ArchiveError> for Failure {
    fn from(error: &ArchiveError) -> Self {
        let code = match error.kind() {
            ArchiveErrorKind::NotAnArchive => "not_an_archive",
            ArchiveErrorKind::UnknownVersion => "archive_version",
            ArchiveErrorKind::Truncated => "archive_truncated",
            ArchiveErrorKind::NoLedger => "cannot_bill",
            ArchiveErrorKind::Io => "file_unreadable",
            ArchiveErrorKind::Store => store_code(error),
            _ => "archive_damaged",
        };
        let failure = Self::of(code, error);
        match error.kind() {
            ArchiveErrorKind::NoLedger => {
                failure.with_remedy("leave the ledger out with --without-ledger")
            }
            ArchiveErrorKind::Store if error.is_transient() => {
                failure.with_remedy("run the same import again: it goes on where it stopped")
            }
            _ => failure,
        }
    }
}

/// The code of the port that refused.
fn store_code(error: &ArchiveError) -> &'static str {
    let Some(source) = error.source() else {
        return "store_unavailable";
    };
    let persist = source.downcast_ref::<PersistError>().map(PersistError::code);
    let balance = source.downcast_ref::<BalanceError>().map(BalanceError::code);
    let usage = source.downcast_ref::<UsageError>().map(UsageError::code);
    persist.or(balance).or(usage).unwrap_or("store_unavailable")
}

impl From<UnknownModel> for Failure {
    fn from(error: UnknownModel) -> Self {
        Self::of("unknown_model", &error)
    }
}

impl From<InvalidId> for Failure {
    fn from(error: InvalidId) -> Self {
        Self::of("invalid_id", &error)
    }
}

impl From<InvalidAmount> for Failure {
    fn from(error: InvalidAmount) -> Self {
        Self::of("invalid_amount", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_help_has_every_exit_code() {
        for exit in [
            Exit::Ok,
            Exit::Unexpected,
            Exit::Usage,
            Exit::NotFound,
            Exit::Refused,
            Exit::Provider,
            Exit::Store,
            Exit::BadInput,
            Exit::Broken,
            Exit::Stopped,
            Exit::Terminated,
        ] {
            let start = format!("  {:<5}", exit.code());
            assert!(EXIT_CODES.lines().any(|line| line.starts_with(&start)), "{exit:?}");
        }
    }
}
