//! The child's side: limits first, then the bytes.
//!
//! A parser that goes wrong here hurts nobody: the process has its own small memory, its own CPU
//! seconds, no files, no children of its own, nothing in its environment and an empty folder to stand in.

use std::io::{self, Read as _, Write};
use std::panic;
use std::process::ExitCode;
use std::thread;

use crate::error::{ExtractError, ExtractErrorKind};
use crate::extracted::{EXTRACTION_VERSION, PreparedImage};
use crate::read;
use crate::wire::{Job, Reply, Request};

/// Recursive parsers of nested documents; it is reserved, not used, until they recurse.
const STACK_BYTES: usize = 128 * 1_024 * 1_024;

/// How many bytes of zero the child may leave in a file: none.
const FILE_BYTES_MAX: u64 = 0;

/// Standard streams, and a few for the runtime.
const OPEN_FILES_MAX: u64 = 32;

/// What `extract_main` ends with if it was not started by an [`Extractor`](crate::Extractor).
const USAGE: u8 = 2;

/// Reads the one file that an [`Extractor`](crate::Extractor) hands over, and ends.
///
/// A program calls it first thing in `main`, before it starts threads, when its arguments say that it was
/// started to extract (`Extractor` puts them before the request):
///
/// ```no_run
/// # use std::process::ExitCode;
/// fn main() -> ExitCode {
///     if std::env::args().nth(1).as_deref() == Some("extract-file") {
///         return chat_attachments::extract_main();
///     }
///     // The program itself.
/// #   ExitCode::SUCCESS
/// }
/// ```
///
/// It gives this process the request's limits, for good, before it reads a byte.
#[must_use]
pub fn extract_main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _nobody_to_tell = writeln!(io::stderr(), "{error}");
            ExitCode::from(USAGE)
        }
    }
}

fn run() -> io::Result<()> {
    let request = std::env::args().next_back().unwrap_or_default();
    let request: Request = serde_json::from_str(&request).map_err(|_| {
        io::Error::other("this program reads files for a chat runtime, which starts it by itself")
    })?;
    let output = confine(&request)?;
    // A panic of a parser is an answer, not a message for somebody.
    panic::set_hook(Box::new(|_| {}));
    let worker = thread::Builder::new().stack_size(STACK_BYTES);
    let worker = worker.spawn(move || -> io::Result<()> {
        forbid_children()?;
        let answer = answer(&request);
        send(output, answer)
    })?;
    worker.join().map_err(|_| io::Error::other("the worker panicked"))?
}

type Payload = (Reply, Vec<u8>);

fn answer(request: &Request) -> Payload {
    let answer = panic::catch_unwind(panic::AssertUnwindSafe(|| read_and_extract(request)));
    match answer {
        Ok(Ok(reply)) => reply,
        Ok(Err(error)) => (Reply::Refused { error }, Vec::new()),
        Err(_) => (
            Reply::Refused { error: ExtractError::damaged("its reader gave up on it") },
            Vec::new(),
        ),
    }
}

fn read_and_extract(request: &Request) -> Result<Payload, ExtractError> {
    if request.version != EXTRACTION_VERSION {
        let sentence = "the extracting program is of another version than the one that started it";
        return Err(ExtractError::transient(ExtractErrorKind::ChildFailed, sentence));
    }
    let limits = &request.limits;
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock().take(limits.input_bytes_max.saturating_add(1));
    input.read_to_end(&mut bytes).map_err(|error| match error.kind() {
        io::ErrorKind::OutOfMemory => ExtractError::refused(
            ExtractErrorKind::UsedTooMuchMemory,
            "reading the file takes more memory than a file is given",
        ),
        _ => {
            let sentence = format!("the file could not be handed over: {error}");
            ExtractError::transient(ExtractErrorKind::ChildFailed, sentence)
        }
    })?;
    match &request.job {
        Job::Text { kind } => {
            let mut facts = read::extract_text(*kind, bytes, limits)?;
            let payload = std::mem::take(&mut facts.text).into_bytes();
            Ok((Reply::Text { facts, payload_bytes: length(&payload) }, payload))
        }
        Job::Image { bounds } => {
            let PreparedImage { media_type, width_px, height_px, bytes } =
                read::prepare_image(&bytes, bounds, limits)?;
            let payload = bytes.to_vec();
            let payload_bytes = length(&payload);
            Ok((Reply::Image { media_type, width_px, height_px, payload_bytes }, payload))
        }
    }
}

fn length(payload: &[u8]) -> u64 {
    u64::try_from(payload.len()).unwrap_or(u64::MAX)
}

fn send(mut output: impl Write, (reply, payload): Payload) -> io::Result<()> {
    serde_json::to_writer(&mut output, &reply)?;
    output.write_all(b"\n")?;
    output.write_all(&payload)?;
    output.flush()
}

/// Sets the limits and gives the only way out: what a parser prints goes to standard error.
#[cfg(unix)]
fn confine(request: &Request) -> io::Result<impl Write + Send + use<>> {
    use rustix::process::Resource;
    use std::fs::File;
    use std::os::fd::AsFd as _;

    let limits = &request.limits;
    let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdout(io::stderr().as_fd())?;
    let memory = limits.memory_bytes_max.saturating_add(mapped_bytes());
    limit(Resource::As, memory, memory)?;
    // The soft limit's signal says why; the hard one ends who ignores it.
    limit(Resource::Cpu, limits.cpu_seconds_max, limits.cpu_seconds_max.saturating_add(1))?;
    limit(Resource::Fsize, FILE_BYTES_MAX, FILE_BYTES_MAX)?;
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Nofile, OPEN_FILES_MAX, OPEN_FILES_MAX)?;
    Ok(output)
}

/// No thread and no process from here on. Root is not held by it.
#[cfg(unix)]
fn forbid_children() -> io::Result<()> {
    limit(rustix::process::Resource::Nproc, 0, 0)
}

#[cfg(unix)]
fn limit(resource: rustix::process::Resource, soft: u64, hard: u64) -> io::Result<()> {
    use rustix::process::{Rlimit, getrlimit, setrlimit};

    // A limit that is in force already may only go down.
    let hard = getrlimit(resource).maximum.map_or(hard, |in_force| hard.min(in_force));
    let new = Rlimit { current: Some(soft.min(hard)), maximum: Some(hard) };
    setrlimit(resource, new).map_err(io::Error::from)
}

/// What the program maps before it reads a byte: a program with an embedded model maps hundreds of MiB.
#[cfg(unix)]
fn mapped_bytes() -> u64 {
    let page_bytes = u64::try_from(rustix::param::page_size()).unwrap_or(u64::MAX);
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|line| line.split(' ').next()?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(page_bytes)
}

#[cfg(not(unix))]
fn confine(_request: &Request) -> io::Result<std::fs::File> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        "files are read on Unix only: this system has no limits that a process can set itself",
    ))
}

#[cfg(not(unix))]
fn forbid_children() -> io::Result<()> {
    Ok(())
}
