//! The host's side: starts a child per file, hands the file over and keeps the time.
//!
//! The host never parses what it stores: it reads one bounded line of JSON and a payload whose length
//! that line announced. Its memory does not grow with the file: a file of a folder store is handed over
//! as an open descriptor.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::error::{ExtractError, ExtractErrorKind};
use crate::extracted::{EXTRACTION_VERSION, Extracted, PreparedImage};
use crate::kind::FileKind;
use crate::limits::{ExtractLimits, ImageBounds};
use crate::wire::{HEAD_BYTES_MAX, Job, Reply, Request};

/// What a dying child says in its last words, for the verdict; the rest is read and forgotten.
const LAST_WORDS_BYTES_MAX: u64 = 16 * 1_024;

/// How the extracting program is started, and how often at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ExtractorConfig {
    /// The program: `chat-extract`, or any that calls [`extract_main`](crate::extract_main).
    pub program: PathBuf,
    /// What stands before the request among its arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// How many run at once; others wait. 2: each may take 768 MiB and a core.
    #[serde(default = "children_max")]
    pub children_max: usize,
    /// What one file may cost.
    #[serde(default)]
    pub limits: ExtractLimits,
}

const fn children_max() -> usize {
    2
}

impl ExtractorConfig {
    /// Starts `program` with the default limits.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            children_max: children_max(),
            limits: ExtractLimits::default(),
        }
    }

    /// Puts `argument` before the request.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }
}

/// Where the bytes of a file are.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Source {
    /// In memory.
    Bytes(Bytes),
    /// In a file of this machine.
    Path(PathBuf),
}

/// Reads files in child processes.
#[derive(Debug)]
pub struct Extractor {
    config: ExtractorConfig,
    places: Semaphore,
}

impl Extractor {
    /// An extractor as configured; the program is looked for at the first file.
    #[must_use]
    pub fn new(config: ExtractorConfig) -> Self {
        let places = Semaphore::new(config.children_max.clamp(1, Semaphore::MAX_PERMITS));
        Self { config, places }
    }

    /// The limits in force.
    #[must_use]
    pub const fn limits(&self) -> &ExtractLimits {
        &self.config.limits
    }

    /// Reads text and facts of `source`, taken as `kind`. Waits for a free place first. If the future is
    /// dropped, the child is killed.
    ///
    /// # Errors
    /// As the kinds say; a second call reads it again.
    pub async fn text(&self, source: Source, kind: FileKind) -> Result<Extracted, ExtractError> {
        match self.run(source, Job::Text { kind }).await? {
            (Reply::Text { facts, .. }, payload) => {
                let text = String::from_utf8(payload)
                    .map_err(|_| child_failed("the extracting program answered no text"))?;
                Ok(Extracted { text, ..facts })
            }
            _ => Err(child_failed("the extracting program answered something else")),
        }
    }

    /// Scales and re-encodes the image `source` as it is sent. Waits and is dropped as
    /// [`text`](Self::text) is.
    ///
    /// # Errors
    /// As the kinds say; a second call does it again.
    pub async fn image(
        &self,
        source: Source,
        bounds: &ImageBounds,
    ) -> Result<PreparedImage, ExtractError> {
        match self.run(source, Job::Image { bounds: bounds.clone() }).await? {
            (Reply::Image { media_type, width_px, height_px, .. }, payload) => {
                Ok(PreparedImage { media_type, width_px, height_px, bytes: payload.into() })
            }
            _ => Err(child_failed("the extracting program answered something else")),
        }
    }

    async fn run(&self, source: Source, job: Job) -> Result<(Reply, Vec<u8>), ExtractError> {
        let _place: SemaphorePermit<'_> = self
            .places
            .acquire()
            .await
            .map_err(|_| child_failed("the extractor is shutting down"))?;
        let limits = &self.config.limits;
        let payload_bytes_max = match &job {
            Job::Text { .. } => limits.text_bytes_max,
            Job::Image { bounds } => bounds.bytes_max,
        };
        let request = Request { version: EXTRACTION_VERSION, job, limits: limits.clone() };
        let request = serde_json::to_string(&request)
            .map_err(|_| child_failed("the request cannot be written"))?;
        let (mut child, input, folder) = self.start(&request, source).await?;
        let talk = talk(&mut child, input, payload_bytes_max);
        let done = timeout(Duration::from_millis(limits.deadline_ms), talk).await;
        // Whatever happened, the child is gone before its place is free again.
        let is_late = done.is_err();
        if !matches!(done, Ok(Ok(_))) {
            let _already_gone = child.start_kill();
        }
        let status = child.wait().await;
        drop(folder);
        if is_late {
            let sentence =
                "reading the file took too long; the machine may be busy, try again later";
            return Err(ExtractError::transient(ExtractErrorKind::TookTooLong, sentence));
        }
        let Ok(Ok(said)) = done else {
            return Err(child_failed("the extracting program could not be read from"));
        };
        let status = status.map_err(|_| child_failed("the extracting program was lost"))?;
        match said.reply {
            Ok((Reply::Refused { error }, _)) => Err(error),
            Ok(answer) if status.success() => Ok(answer),
            _ => Err(verdict(status, &said.last_words)),
        }
    }

    async fn start(
        &self,
        request: &str,
        source: Source,
    ) -> Result<(Child, Option<Bytes>, TempDir), ExtractError> {
        let folder = tokio::task::spawn_blocking(tempfile::tempdir).await.ok().and_then(Result::ok);
        let folder = folder.ok_or_else(|| child_failed("no temporary folder can be made"))?;
        let mut command = Command::new(&self.config.program);
        command
            .args(&self.config.arguments)
            .arg(request)
            .env_clear()
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        // A Ctrl-C at the terminal is for the host, which decides what becomes of the child.
        #[cfg(unix)]
        command.process_group(0);
        let input = match source {
            Source::Bytes(bytes) => {
                command.stdin(Stdio::piped());
                Some(bytes)
            }
            Source::Path(path) => {
                let file = tokio::fs::File::open(&path).await;
                let file =
                    file.map_err(|error| child_failed(format!("the file is not there: {error}")))?;
                command.stdin(file.into_std().await);
                None
            }
        };
        let child = command.spawn().map_err(|error| {
            let program = self.config.program.display();
            let sentence = format!(
                "files cannot be read: the extracting program {program} did not start ({error}); \
                 set its path in the configuration"
            );
            ExtractError::transient(ExtractErrorKind::ExtractorMissing, sentence)
        })?;
        Ok((child, input, folder))
    }
}

/// What a child said until it closed its streams.
struct Said {
    reply: Result<(Reply, Vec<u8>), ExtractError>,
    last_words: String,
}

async fn talk(
    child: &mut Child,
    input: Option<Bytes>,
    payload_bytes_max: u64,
) -> Result<Said, ExtractError> {
    let lost = || child_failed("the extracting program has no streams");
    let stdin = child.stdin.take();
    let stdout = child.stdout.take().ok_or_else(lost)?;
    let stderr = child.stderr.take().ok_or_else(lost)?;
    let (_sent, reply, last_words) =
        tokio::join!(hand_over(stdin, input), answer(stdout, payload_bytes_max), words(stderr));
    Ok(Said { reply, last_words })
}

/// A child that has seen enough closes its end; that is no error here.
async fn hand_over(stdin: Option<ChildStdin>, input: Option<Bytes>) {
    if let (Some(mut stdin), Some(bytes)) = (stdin, input) {
        let _refused = stdin.write_all(&bytes).await;
        let _closed = stdin.shutdown().await;
    }
}

async fn answer(
    stdout: impl AsyncRead + Unpin,
    payload_bytes_max: u64,
) -> Result<(Reply, Vec<u8>), ExtractError> {
    let garbled = |_| child_failed("the extracting program broke off its answer");
    let mut stdout = BufReader::new(stdout);
    let mut head = Vec::new();
    (&mut stdout).take(HEAD_BYTES_MAX).read_until(b'\n', &mut head).await.map_err(garbled)?;
    let reply: Reply = serde_json::from_slice(&head)
        .map_err(|_| child_failed("the extracting program gave no answer"))?;
    let announced = match &reply {
        Reply::Text { payload_bytes, .. } | Reply::Image { payload_bytes, .. } => *payload_bytes,
        Reply::Refused { .. } => 0,
    };
    if announced > payload_bytes_max {
        return Err(child_failed("the extracting program wants to answer more than it may"));
    }
    let mut payload = Vec::new();
    // One byte more than announced, so that a longer answer is seen.
    let mut rest = stdout.take(announced.saturating_add(1));
    rest.read_to_end(&mut payload).await.map_err(garbled)?;
    if u64::try_from(payload.len()).ok() != Some(announced) {
        return Err(child_failed("the extracting program broke off its answer"));
    }
    Ok((reply, payload))
}

/// The first words and, so that the child is never blocked, all others read into nothing.
async fn words(stderr: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut stderr = stderr;
    let _cut = (&mut stderr).take(LAST_WORDS_BYTES_MAX).read_to_end(&mut kept).await;
    let _rest = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}

fn child_failed(sentence: impl Into<String>) -> ExtractError {
    ExtractError::transient(ExtractErrorKind::ChildFailed, sentence)
}

/// Why a child that gave no answer ended.
#[cfg(unix)]
fn verdict(status: ExitStatus, last_words: &str) -> ExtractError {
    use std::os::unix::process::ExitStatusExt as _;

    const ABORTED: i32 = 6;
    const CRASHES: [i32; 4] = [4, 7, 8, 11];
    const OUT_OF_CPU: i32 = 24;
    match status.signal() {
        Some(OUT_OF_CPU) => ExtractError::refused(
            ExtractErrorKind::TookTooLong,
            "reading the file takes more computing than a file is given",
        ),
        Some(ABORTED) if last_words.contains("memory allocation of") => ExtractError::refused(
            ExtractErrorKind::UsedTooMuchMemory,
            "reading the file takes more memory than a file is given",
        ),
        Some(ABORTED) if last_words.contains("overflowed its stack") => {
            ExtractError::bomb("its parts are nested too deeply")
        }
        Some(signal) if signal == ABORTED || CRASHES.contains(&signal) => {
            ExtractError::damaged("its reader crashed on it")
        }
        Some(signal) => {
            child_failed(format!("the extracting program was ended by signal {signal}"))
        }
        None => child_failed(format!("the extracting program ended with {status}")),
    }
}

#[cfg(not(unix))]
fn verdict(status: ExitStatus, _last_words: &str) -> ExtractError {
    child_failed(format!("the extracting program ended with {status}"))
}
