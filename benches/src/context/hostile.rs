//! Turns of others while somebody attaches hostile files: a child is hurt, nobody's turn is.
//!
//! Users take turns of a paced provider, idle and while the files of `hostile_files` are attached one after
//! another to the same runtime; blocks of both kinds take turns. What was read is forgotten after each file, so
//! that none is answered from what was kept.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use chat_attachments::{Extractor, ExtractorConfig, FileCaps, FileKind, FileLibrary, FolderBlobs};
use chat_core::{BaseClient, BaseClientBuilder, TurnRequest};
use chat_types::{Scope, SystemClock, UuidIds};

use super::files::extracting_program;
use super::hostile_files::hostile_files;
use crate::rig::{Metering, Rig, Times};
use crate::samples::{count, percentile};
use crate::table::{Table, Target};

/// 30 chunks, 10 ms apart: a reply at the pace of a quick model.
const BEHAVIOUR: &str = "chunks=30,first_delay_ms=20,delay_ms=10";
const USERS: usize = 4;
/// Turns of each user in a block, and blocks of each kind.
const TURNS_EACH: usize = 15;
const BLOCKS: usize = 4;

/// Attaches the files in their order, again and again.
struct Attacker {
    client: BaseClient,
    library: Arc<FileLibrary>,
    scope: Scope,
    files: Vec<(&'static str, Bytes)>,
    attached: usize,
}

pub(crate) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let library = library(&folder.path().join("files")).await?;
    let equip =
        |builder: BaseClientBuilder| builder.files(Arc::clone(&library), FileCaps::default());
    let rig = Rig::start_with(folder.path(), BEHAVIOUR, 16_384, Metering::On, equip).await?;
    let rig = Arc::new(rig);
    let (client, scope) = (rig.client.clone(), rig.scope(USERS)?);
    let files = tokio::task::spawn_blocking(hostile_files).await??;
    let mut attacker = Attacker { client, library, scope, files, attached: 0 };
    for _ in 0..attacker.files.len() {
        attacker.attach_next().await?;
    }
    let warmed_up = attacker.attached;
    turns(&rig).await?;
    let (mut idle, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..BLOCKS {
        idle.extend(turns(&rig).await?);
        let (times, back) = turns_beside(&rig, attacker).await?;
        beside.extend(times);
        attacker = back;
    }
    let attached = count(attacker.attached - warmed_up);
    let (first_idle, first_beside) = (of(&idle, |t| t.first_ms), of(&beside, |t| t.first_ms));
    let (whole_idle, whole_beside) = (of(&idle, |t| t.total_ms), of(&beside, |t| t.total_ms));
    table.add("hostile files: attached beside the turns", attached, "files", Target::Shown);
    table.add("hostile files: first delta, idle, p99", first_idle, "ms", Target::Shown);
    table.add("hostile files: first delta, beside them, p99", first_beside, "ms", Target::Shown);
    table.add("hostile files: whole turn, idle, p99", whole_idle, "ms", Target::Shown);
    table.add("hostile files: whole turn, beside them, p99", whole_beside, "ms", Target::Shown);
    let ratio = whole_beside / whole_idle;
    table.add("hostile files: beside them over idle", ratio, "x", Target::AtMost(2.0));
    Ok(())
}

fn of(times: &[Times], value: fn(&Times) -> f64) -> f64 {
    percentile(&mut times.iter().map(value).collect::<Vec<_>>(), 99)
}

async fn library(folder: &Path) -> anyhow::Result<Arc<FileLibrary>> {
    let blobs = Arc::new(FolderBlobs::open(folder).await?);
    let extractor = Arc::new(Extractor::new(ExtractorConfig::new(extracting_program()?)));
    let (ids, clock) = (Arc::new(UuidIds), Arc::new(SystemClock));
    Ok(Arc::new(FileLibrary::new(blobs, extractor, ids, clock)))
}

/// One block: all users at a time, the turns of each one after another.
#[expect(clippy::disallowed_methods, reason = "joined right below")]
async fn turns(rig: &Arc<Rig>) -> anyhow::Result<Vec<Times>> {
    let mut users = Vec::with_capacity(USERS);
    for user in 0..USERS {
        let (rig, scope) = (Arc::clone(rig), rig.scope(user)?);
        users.push(tokio::spawn(async move {
            let mut times = Vec::with_capacity(TURNS_EACH);
            for _ in 0..TURNS_EACH {
                let request = TurnRequest::text("Tell me about the sea.");
                times.push(rig.turn(&scope, request).await?.0);
            }
            anyhow::Ok(times)
        }));
    }
    let mut times = Vec::with_capacity(USERS * TURNS_EACH);
    for user in users {
        times.extend(user.await??);
    }
    Ok(times)
}

/// One block while files are attached without a pause; the last of them is waited for.
#[expect(clippy::disallowed_methods, reason = "joined right below")]
async fn turns_beside(
    rig: &Arc<Rig>,
    mut attacker: Attacker,
) -> anyhow::Result<(Vec<Times>, Attacker)> {
    let is_over = Arc::new(AtomicBool::new(false));
    let attack = {
        let is_over = Arc::clone(&is_over);
        tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                attacker.attach_next().await?;
            }
            anyhow::Ok(attacker)
        })
    };
    let times = turns(rig).await;
    is_over.store(true, Ordering::Relaxed);
    let attacker = attack.await??;
    Ok((times?, attacker))
}

impl Attacker {
    /// Attaches the next file, as a turn would then ask for it, and checks that nothing came of it.
    async fn attach_next(&mut self) -> anyhow::Result<()> {
        let next = self.attached % self.files.len().max(1);
        let Some((name, bytes)) = self.files.get(next) else { anyhow::bail!("no files") };
        let attached = self.client.attach(&self.scope, name, bytes.clone()).await?;
        let record = attached.record;
        let is_image = FileKind::of_media_type(&record.media_type) == FileKind::Image;
        let is_refused = match is_image {
            true => self.library.image_of(&record).await.is_err(),
            false => attached.unreadable.is_some(),
        };
        anyhow::ensure!(is_refused, "{name} was read");
        self.library.delete(&record.content).await?;
        self.attached += 1;
        Ok(())
    }
}
