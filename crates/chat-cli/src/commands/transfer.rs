//! `chat export`, `chat import`: whole stores as a file, and back.
//!
//! Neither starts a client: nothing is recovered and no model is needed. Not here: what a line is
//! (`chat-archive`), another program's database (`librechat`).

pub(crate) mod report;
mod target;

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, ErrorKind, Write};

use chat_runtime::Store;
use chat_runtime::archive::{self, ArchiveError, Counts, ExportReport, ExportScope};

use crate::app::{Access, store_url};
use crate::arguments::{Export, Import, ImportSource};
use crate::errors::{Exit, Failure, io_kind};
use crate::output::Output;
use crate::progress::RowBar;
use crate::settings::{Settings, USER};

use report::{exported, imported, show};
use target::Target;

/// Bytes between two writes or reads of a file: a line is some hundred.
const BUFFER_BYTES: usize = 256 * 1024;

/// Writes an archive to stdout or, when it is whole, over a file.
pub(crate) async fn export(
    export: &Export,
    settings: &Settings,
    output: &Output,
) -> Result<Exit, Failure> {
    // Before the store: a place that cannot be written to is said first.
    let target = export.out.as_deref().map(Target::create).transpose()?;
    let store = Store::open(&store_url(settings, Access::Reads, output)?).await?;
    let report = run_export(export, settings, &store, target.as_ref()).await;
    store.close().await;
    let report = match report {
        Ok(report) => report,
        // Nobody reads any more: `chat export | head`.
        Err(failure) if target.is_none() && failure.code() == "output_closed" => {
            return Ok(Exit::Ok);
        }
        Err(failure) => return Err(failure),
    };
    match target {
        Some(target) => {
            target.keep()?;
            show(settings, output, &exported(&report), |line| output.line(line));
        }
        None => show(settings, output, &exported(&report), |line| output.note(line)),
    }
    Ok(Exit::Ok)
}

async fn run_export(
    export: &Export,
    settings: &Settings,
    store: &Store,
    target: Option<&Target>,
) -> Result<ExportReport, Failure> {
    let scope = if export.all {
        ExportScope::All
    } else {
        ExportScope::One(store.scope(settings.user.as_deref(), USER).await?)
    };
    let writer: Box<dyn Write + Send> = match target {
        Some(target) => Box::new(target.writer()?),
        None => Box::new(std::io::stdout()),
    };
    let bar = RowBar::new("exporting");
    let writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
    let ports = store.ports();
    let mut progress = |counts: &Counts| bar.show(counts.total());
    let report = archive::export(&ports, &scope, writer, &mut progress).await;
    report.map_err(|error| writing(&error))
}

/// Reads an archive, or another program's database.
pub(crate) async fn import(
    import: &Import,
    settings: &Settings,
    output: &Output,
) -> Result<Exit, Failure> {
    if let Some(source) = &import.source {
        return from_another(source, settings, output).await;
    }
    // Before the store: a file that is not there makes no database.
    let reader = match import.file.as_deref() {
        Some(file) if file.as_os_str() != "-" => {
            let file = File::open(file).map_err(|error| Failure::unreadable(file, &error))?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, file)) as Box<dyn BufRead + Send>
        }
        _ => Box::new(BufReader::with_capacity(BUFFER_BYTES, std::io::stdin())),
    };
    let access = if import.dry_run { Access::Reads } else { Access::Writes };
    let store = Store::open(&store_url(settings, access, output)?).await?;
    let options = archive::ImportOptions {
        dry_run: import.dry_run,
        leave_ledger_out: import.without_ledger,
        // An archive does not go on: what differs is another thing with the same name.
        keep_what_differs: false,
    };
    let mut ports = store.ports();
    if import.without_ledger {
        ports = ports.without_ledger();
    }
    let bar = RowBar::new("importing");
    let mut progress = |counts: &Counts| bar.show(counts.total());
    let outcome = archive::import(reader, &ports, options, &mut progress).await;
    drop(bar);
    store.close().await;
    let (report, failure) = match outcome {
        Ok(report) => (report, None),
        Err(failed) => (failed.report, Some(Failure::from(&failed.source))),
    };
    if failure.is_none() || report.lines.total() > 0 {
        let report = imported(&report, import.dry_run);
        show(settings, output, &report, |line| output.line(line));
    }
    failure.map_or(Ok(Exit::Ok), Err)
}

#[cfg(feature = "mongo")]
async fn from_another(
    source: &ImportSource,
    settings: &Settings,
    output: &Output,
) -> Result<Exit, Failure> {
    let ImportSource::Librechat(source) = source;
    crate::commands::librechat::import(source, settings, output).await
}

#[cfg(not(feature = "mongo"))]
#[expect(clippy::unused_async, reason = "the other form awaits a database")]
async fn from_another(
    source: &ImportSource,
    _settings: &Settings,
    _output: &Output,
) -> Result<Exit, Failure> {
    let ImportSource::Librechat(source) = source;
    // A URL of MongoDB says which feature is missing; any other is none of LibreChat's.
    chat_runtime::store_kind(&source.from)?;
    Err(Failure::new("unknown_store", "LibreChat's database is a MongoDB one"))
}

/// An export that did not get through.
fn writing(error: &ArchiveError) -> Failure {
    let failure = Failure::from(error);
    match io_kind(error) {
        Some(ErrorKind::BrokenPipe) => failure.with_code("output_closed"),
        Some(_) => failure.with_code("file_unwritable"),
        None => failure,
    }
}
