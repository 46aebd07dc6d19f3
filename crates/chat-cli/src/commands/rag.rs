//! `chat rag`: documents that answers are looked up in.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chat_runtime::SourcesConfig;
use chat_runtime::context::attachments::{Extracted, Extractor, FileKind, Source, sniff};
use chat_runtime::context::rag::{AddOutcome, AddProgress, Added, Document, RagIndex};
use chat_runtime::types::{CollectionId, ContentHash, FileId};
use serde_json::json;

use crate::app::{Access, App, now};
use crate::arguments::Rag;
use crate::errors::{Exit, Failure};
use crate::output::Output;
use crate::progress::DocumentBar;
use crate::render::Table;
use crate::settings::{SOURCES_FILE, Settings};

/// Documents of one call. More than a folder of documentation has; a whole disk is a mistake.
const FILES_MAX: usize = 100_000;

/// Listed at a time.
const PAGE: u32 = 1_000;

/// So much of an id is enough to name a path.
const ID_DIGITS: usize = 32;

/// Runs the command over the configured index, or the usual one.
pub(crate) async fn run(
    command: &Rag,
    settings: &Settings,
    output: &Output,
) -> Result<Exit, Failure> {
    let mut settings = settings.clone();
    if settings.runtime.retrieval.is_none() {
        let folder = settings.data_folder.as_ref().ok_or_else(|| {
            Failure::new("invalid_config", "there is no folder for the index of documents")
                .with_remedy("name its file in the configuration: [retrieval] file = …")
        })?;
        settings.runtime.retrieval = Some(SourcesConfig::new(folder.join(SOURCES_FILE)));
    }
    let app = App::open(&settings, Access::Writes, output).await?;
    let outcome = match app.runtime().sources() {
        None => Err(Failure::new("no_sources", "no index of documents is open")),
        Some(index) => match command {
            Rag::Add { files, collection } => add(&app, index, files, collection.as_deref()).await,
            Rag::List => list(&app, index).await,
            Rag::Remove { documents } => remove(&app, index, documents).await,
        },
    };
    app.close().await;
    outcome
}

/// Reads and indexes; what cannot be read is named and left out, the rest goes on.
async fn add(
    app: &App<'_>,
    index: &Arc<dyn RagIndex>,
    files: &[PathBuf],
    collection: Option<&str>,
) -> Result<Exit, Failure> {
    let collection = collection.map(CollectionId::new).transpose()?;
    let files = found(files)?;
    let extractor = extractor(app.settings)?;
    let bar = DocumentBar::of(files.len());
    let (mut added, mut unchanged, mut chunks, mut refused) = (0_u64, 0_u64, 0_u64, 0_u64);
    for path in &files {
        let name = label(path);
        bar.says(name.clone());
        let document = read(&extractor, path, collection.as_ref()).await;
        let done = match document {
            Err(failure) => Err(failure),
            Ok(document) => {
                let told = |at: AddProgress| {
                    bar.says(format!("{name}: {} of {} pieces", at.chunks_done, at.chunks_total));
                };
                index.add(&app.scope, &document, &told).await.map_err(Failure::from)
            }
        };
        bar.next();
        match done {
            Ok(Added { outcome: AddOutcome::Unchanged, .. }) => unchanged += 1,
            Ok(done) => {
                added += 1;
                chunks = chunks.saturating_add(done.chunks.into());
            }
            Err(failure) => {
                refused += 1;
                app.output.note(format_args!("{}: {}", path.display(), failure.cause()));
            }
        }
    }
    bar.finish();
    if app.settings.json {
        app.output.line(json!({
            "added": added, "unchanged": unchanged, "refused": refused, "chunks": chunks,
        }));
    } else {
        app.output.line(format_args!(
            "{added} documents added ({chunks} pieces), {unchanged} were there, {refused} refused"
        ));
    }
    if added == 0 && unchanged == 0 {
        return Err(Failure::new("nothing_added", "no document could be read"));
    }
    Ok(Exit::Ok)
}

/// The files named, and those in the folders named, in the order of their paths.
fn found(named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut open: VecDeque<PathBuf> = named.iter().cloned().collect();
    let mut files = Vec::new();
    while let Some(path) = open.pop_front() {
        let unreadable = |error| Failure::unreadable(&path, &error);
        if !path.is_dir() {
            path.metadata().map_err(unreadable)?;
            files.push(path);
        } else {
            for entry in path.read_dir().map_err(unreadable)? {
                let entry = entry.map_err(unreadable)?;
                // Links are not followed: they can close a circle.
                if entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_file()) {
                    open.push_back(entry.path());
                }
            }
        }
        if files.len() > FILES_MAX {
            let cause = format!("more than {FILES_MAX} files");
            return Err(Failure::new("too_many_files", cause).with_remedy("name fewer folders"));
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn extractor(settings: &Settings) -> Result<Extractor, Failure> {
    let files = settings.runtime.files.as_ref().ok_or_else(|| {
        Failure::new("no_files", "no program is configured that reads files")
            .with_remedy("name one in the configuration: [files.extractor] program = …")
    })?;
    Ok(Extractor::new(files.extractor.clone()))
}

/// The document at a path; its id stands for the path, so that it is replaced when it has changed.
async fn read(
    extractor: &Extractor,
    path: &Path,
    collection: Option<&CollectionId>,
) -> Result<Document, Failure> {
    let unreadable = |error| Failure::unreadable(path, &error);
    let place = path.canonicalize().map_err(unreadable)?;
    let size = place.metadata().map_err(unreadable)?.len();
    if size > extractor.limits().input_bytes_max {
        return Err(Failure::new("too_large", format!("{size} bytes are too large to be read")));
    }
    let bytes = std::fs::read(&place).map_err(unreadable)?;
    let name = label(path);
    let media_type = sniff(&name, &bytes).media_type;
    let content = ContentHash::of([&bytes]);
    let kind = FileKind::of_media_type(&media_type);
    let Extracted { text, .. } = extractor.text(Source::Bytes(bytes.into()), kind).await?;
    if text.trim().is_empty() {
        return Err(Failure::new("no_text", "it has no text"));
    }
    let hash = ContentHash::of([place.to_string_lossy().as_bytes()]);
    let digits: String = hash.as_str().chars().take(ID_DIGITS).collect();
    // Office files and web pages come as Markdown, whose headings say where to split.
    let media_type = if kind.is_text() { media_type } else { "text/markdown".to_owned() };
    Ok(Document {
        collection: collection.cloned(),
        media_type,
        content,
        added_at: now(),
        ..Document::new(FileId::new(digits)?, name, text)
    })
}

fn label(path: &Path) -> String {
    chat_runtime::context::attachments::clean_label(
        &path.file_name().unwrap_or_default().to_string_lossy(),
    )
}

async fn list(app: &App<'_>, index: &Arc<dyn RagIndex>) -> Result<Exit, Failure> {
    let mut table = Table::new(["id", "name", "type", "bytes", "pieces"]).right_aligned(&[3, 4]);
    let mut after: Option<FileId> = None;
    loop {
        let page = index.list(&app.scope, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id.clone());
        for document in &page {
            if app.settings.json {
                app.output.line(json!(document));
                continue;
            }
            table.row([
                document.id.to_string(),
                document.name.clone(),
                document.media_type.clone(),
                document.text_bytes.to_string(),
                document.chunks.to_string(),
            ]);
        }
    }
    if !app.settings.json {
        for line in table.lines() {
            app.output.line(line);
        }
    }
    Ok(Exit::Ok)
}

async fn remove(
    app: &App<'_>,
    index: &Arc<dyn RagIndex>,
    documents: &[String],
) -> Result<Exit, Failure> {
    let mut missing = None;
    for document in documents {
        let id = FileId::new(document)?;
        if !index.remove(&app.scope, &id).await? {
            missing = Some(id);
        }
    }
    match missing {
        None => Ok(Exit::Ok),
        Some(id) => Err(Failure::new("unknown_document", format!("there is no document {id}"))
            .with_remedy("`chat rag list` shows them")),
    }
}
