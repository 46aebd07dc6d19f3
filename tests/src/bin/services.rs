//! Owns the servers that suites need: starts them, says where they are, and stops them again.
//!
//! ```text
//! services hold KIND      start one, print `VARIABLE=URL`, and stop it when stdin closes
//! services up KIND…       start them detached and print `export VARIABLE=URL` for each
//! services down           stop what `up` has started and what killed owners have left
//! services status         say what is up
//! ```
//! KIND is `postgres`, `pgvector` (PostgreSQL with the extension), `mongo` (a replica set of one), `mongo-standalone` or `mongo-set` (three nodes).
//! `hold` prints the address of one that is up instead of starting another. SIGTERM and SIGINT stop a server
//! as well; a server whose owner was killed is stopped by the next one that starts a server.
//! The programs are named by the environment, see `chat_tests::services::programs`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program talks through its standard streams"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chat_tests::services::{Mongo, Postgres, clean_left_overs, command_line, programs, signal};
use tokio::signal::unix::{SignalKind, signal as incoming};

/// Longer than any server takes to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Pgvector,
    Mongo,
    MongoStandalone,
    MongoSet,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Postgres, Self::Pgvector, Self::Mongo, Self::MongoStandalone, Self::MongoSet];

    fn parse(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == name);
        found.with_context(|| format!("there is no service `{name}`"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Pgvector => "pgvector",
            Self::Mongo => "mongo",
            Self::MongoStandalone => "mongo-standalone",
            Self::MongoSet => "mongo-set",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "CHAT_TEST_POSTGRES_URL",
            Self::Pgvector => "CHAT_TEST_PGVECTOR_URL",
            Self::Mongo => "CHAT_TEST_MONGO_URL",
            Self::MongoStandalone => "CHAT_TEST_MONGO_STANDALONE_URL",
            Self::MongoSet => "CHAT_TEST_MONGO_SET_URL",
        }
    }

    fn start(self) -> anyhow::Result<Server> {
        let server = match self {
            Self::Postgres => Server::Postgres(Postgres::start()?),
            Self::Pgvector => Server::Postgres(Postgres::with_pgvector()?),
            Self::Mongo => Server::Mongo(Mongo::replica_set(1)?),
            Self::MongoStandalone => Server::Mongo(Mongo::standalone()?),
            Self::MongoSet => Server::Mongo(Mongo::replica_set(3)?),
        };
        Ok(server)
    }

    /// `PID URL` of the one that `up` has started.
    fn note(self) -> PathBuf {
        programs::folder().join("up").join(self.name())
    }

    /// The owner and the address of the one that `up` has started, if it still runs.
    fn is_up(self) -> Option<(u32, String)> {
        let note = fs::read_to_string(self.note()).ok()?;
        let (owner, url) = note.trim().split_once(' ')?;
        let owner = owner.parse().ok()?;
        let line = command_line(owner)?;
        (line.contains("services") && line.ends_with(self.name())).then(|| (owner, url.to_owned()))
    }
}

/// Stopped when dropped.
#[derive(Debug)]
enum Server {
    Postgres(Postgres),
    Mongo(Mongo),
}

impl Server {
    fn url(&self) -> String {
        match self {
            Self::Postgres(server) => server.url(),
            Self::Mongo(server) => server.url(),
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("services: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["hold", kind] => hold(Kind::parse(kind)?),
        // Not for people: the detached process of `up`.
        ["serve", kind] => serve(Kind::parse(kind)?, false),
        ["up", kinds @ ..] if !kinds.is_empty() => up(kinds),
        ["down"] => down(),
        ["status"] => {
            status();
            Ok(())
        }
        _ => bail!("services hold KIND | up KIND… | down | status"),
    }
}

fn hold(kind: Kind) -> anyhow::Result<()> {
    let Some((_, url)) = kind.is_up() else {
        return serve(kind, true);
    };
    println!("{}={url}", kind.variable());
    wait_for_stdin_end();
    Ok(())
}

/// Serves until somebody wants it to stop; the server is dropped on every way out.
fn serve(kind: Kind, until_stdin_ends: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // From here on a signal no longer ends us at once: nothing is started that is not stopped.
        let mut terminate = incoming(SignalKind::terminate())?;
        let mut interrupt = incoming(SignalKind::interrupt())?;
        let server = kind.start()?;
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{}={}", kind.variable(), server.url())?;
        stdout.flush()?;
        let stdin_ends = async {
            if until_stdin_ends {
                let (closed, wait) = tokio::sync::oneshot::channel();
                // A thread and not a task: a blocking read would hold the runtime's end back.
                std::thread::spawn(move || {
                    wait_for_stdin_end();
                    let _ = closed.send(());
                });
                let _ = wait.await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stdin_ends => {}
        }
        drop(server);
        Ok(())
    })
}

fn wait_for_stdin_end() {
    let mut buffer = [0; 256];
    let mut stdin = std::io::stdin();
    while matches!(stdin.read(&mut buffer), Ok(1..)) {}
}

fn up(names: &[&str]) -> anyhow::Result<()> {
    let kinds: Vec<Kind> = names.iter().map(|name| Kind::parse(name)).collect::<Result<_, _>>()?;
    let mut failed = Vec::new();
    for kind in kinds {
        match up_one(kind) {
            Ok(url) => println!("export {}='{url}'", kind.variable()),
            Err(error) => {
                eprintln!("{}: {error:#}", kind.name());
                failed.push(kind.name());
            }
        }
    }
    if !failed.is_empty() {
        bail!("not up: {}", failed.join(", "));
    }
    Ok(())
}

fn up_one(kind: Kind) -> anyhow::Result<String> {
    use std::os::unix::process::CommandExt;
    if let Some((_, url)) = kind.is_up() {
        return Ok(url);
    }
    let note = kind.note();
    let folder = note.parent().context("no folder")?;
    fs::create_dir_all(folder)?;
    let log_path = note.with_extension("log");
    let log = fs::File::create(&log_path)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", kind.name()]).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    let mut child = command.spawn().context("cannot start it")?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let Some((_, url)) = line.trim().split_once('=') else {
        child.wait()?;
        bail!("{}", fs::read_to_string(log_path)?.trim().trim_start_matches("services: "));
    };
    fs::write(note, format!("{} {url}\n", child.id()))?;
    Ok(url.to_owned())
}

fn down() -> anyhow::Result<()> {
    for kind in Kind::ALL {
        let Some((owner, _)) = kind.is_up() else { continue };
        signal(&[owner], "TERM");
        let give_up = Instant::now() + STOP_PATIENCE;
        while kind.is_up().is_some() {
            if Instant::now() > give_up {
                bail!("{} (process {owner}) does not stop", kind.name());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        fs::remove_file(kind.note())?;
        println!("{} is down", kind.name());
    }
    clean_left_overs();
    Ok(())
}

fn status() {
    for kind in Kind::ALL {
        match kind.is_up() {
            Some((owner, url)) => println!("{:16} up    {url}  (process {owner})", kind.name()),
            None => println!("{:16} down", kind.name()),
        }
    }
}
