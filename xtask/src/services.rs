//! The servers that suites need, and `services up|down|status`.
//!
//! A server named by the environment is used as it is. Every other one is owned by the program `services` of
//! `chat-tests`, which stops it when our end of its pipe closes: at our end, however we end. Each is started
//! at its first use and shared by all suites.

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::{server_programs, shell};

/// Longer than any server takes to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A server that tests use by its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Postgres,
    /// PostgreSQL with the extension pgvector.
    Pgvector,
    /// A replica set of one node.
    Mongo,
    /// One server without a replica set.
    MongoStandalone,
    /// A replica set of three nodes, for people: the suite that kills nodes owns its own.
    MongoSet,
}

impl Service {
    const ALL: [Self; 5] =
        [Self::Postgres, Self::Pgvector, Self::Mongo, Self::MongoStandalone, Self::MongoSet];
    /// What `services up` starts when nothing is named.
    const USUAL: [Self; 3] = [Self::Postgres, Self::Mongo, Self::MongoStandalone];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Pgvector => "pgvector",
            Self::Mongo => "mongo",
            Self::MongoStandalone => "mongo-standalone",
            Self::MongoSet => "mongo-set",
        }
    }

    /// The variable in which tests find the address.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "CHAT_TEST_POSTGRES_URL",
            Self::Pgvector => "CHAT_TEST_PGVECTOR_URL",
            Self::Mongo => "CHAT_TEST_MONGO_URL",
            Self::MongoStandalone => "CHAT_TEST_MONGO_STANDALONE_URL",
            Self::MongoSet => "CHAT_TEST_MONGO_SET_URL",
        }
    }

    /// # Errors
    /// There is no such service.
    pub(crate) fn parse(name: &str) -> anyhow::Result<Self> {
        let found = Self::ALL.into_iter().find(|service| service.name() == name);
        found.with_context(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("unknown service `{name}`; there are {names}")
        })
    }
}

/// An environment variable for tests.
pub(crate) type Variable = (&'static str, OsString);

/// What is running for us; stopped when dropped.
#[derive(Debug, Default)]
pub(crate) struct Services {
    held: Vec<(Service, Held)>,
    program: Option<PathBuf>,
}

#[derive(Debug)]
struct Held {
    child: Child,
    url: OsString,
}

impl Services {
    /// The variable with the service's address. Starts it if nobody has.
    ///
    /// # Errors
    /// It cannot be had; the message says what to install.
    pub(crate) fn need(&mut self, service: Service) -> anyhow::Result<Variable> {
        let variable = service.variable();
        if let Some(url) = std::env::var_os(variable).filter(|url| !url.is_empty()) {
            return Ok((variable, url));
        }
        if let Some((_, held)) = self.held.iter().find(|(one, _)| *one == service) {
            return Ok((variable, held.url.clone()));
        }
        let held = self.hold(service).with_context(|| format!("no {}", service.name()))?;
        let url = held.url.clone();
        self.held.push((service, held));
        Ok((variable, url))
    }

    fn hold(&mut self, service: Service) -> anyhow::Result<Held> {
        let variables = program_variables(&[service])?;
        let program = self.program()?;
        let mut command = Command::new(program);
        command.args(["hold", service.name()]).envs(variables);
        apart(&mut command);
        shell::announce(&command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let url = line.trim().strip_prefix(service.variable());
        match url.and_then(|rest| rest.strip_prefix('=')) {
            Some(url) => Ok(Held { url: url.into(), child }),
            None => {
                let status = child.wait()?;
                bail!("it did not start ({status}); the reason is above")
            }
        }
    }

    /// Builds the program at the first call.
    fn program(&mut self) -> anyhow::Result<PathBuf> {
        if let Some(program) = &self.program {
            return Ok(program.clone());
        }
        shell::run_aside(&mut shell::build_programs(&["services"]))?;
        let name = format!("services{}", std::env::consts::EXE_SUFFIX);
        let program = shell::target_folder().join("debug").join(name);
        Ok(self.program.insert(program).clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The pipe's end is its sign to stop.
        drop(self.child.stdin.take());
        let give_up = Instant::now() + STOP_PATIENCE;
        while Instant::now() < give_up && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(POLL_INTERVAL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the programs are that these services need, and where data goes.
///
/// # Errors
/// One cannot be had.
pub(crate) fn program_variables(services: &[Service]) -> anyhow::Result<Vec<Variable>> {
    let mut variables =
        vec![("CHAT_TEST_SERVICES_FOLDER", server_programs::data_folder()?.into_os_string())];
    if services.contains(&Service::Postgres) {
        let folder = server_programs::postgres_bin()?;
        variables.push(("CHAT_TEST_POSTGRES_BIN", folder.into_os_string()));
    }
    if services.contains(&Service::Pgvector) {
        let folder = server_programs::pgvector_bin()?;
        variables.push(("CHAT_TEST_PGVECTOR_BIN", folder.into_os_string()));
    }
    let is_mongo = |service: &Service| !matches!(service, Service::Postgres | Service::Pgvector);
    if services.iter().any(is_mongo) {
        variables.push(("CHAT_TEST_MONGOD", server_programs::mongod()?.into_os_string()));
    }
    Ok(variables)
}

/// Runs the command.
///
/// # Errors
/// An unknown service, one that cannot be had, or one that does not stop.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut services = Services::default();
    match words.as_slice() {
        ["up", names @ ..] => {
            let named: Vec<Service> =
                names.iter().map(|name| Service::parse(name)).collect::<Result<_, _>>()?;
            let wanted = if named.is_empty() { Service::USUAL.to_vec() } else { named };
            let program = services.program()?;
            up(&program, &wanted)
        }
        [command @ ("down" | "status")] => {
            let program = services.program()?;
            let folder = server_programs::data_folder()?;
            let mut command_line = Command::new(program);
            shell::run(command_line.arg(command).env("CHAT_TEST_SERVICES_FOLDER", folder))
        }
        _ => bail!("services up [{}], down or status", Service::ALL.map(Service::name).join("|")),
    }
}

/// One that cannot be had does not keep the others down.
fn up(program: &std::path::Path, wanted: &[Service]) -> anyhow::Result<()> {
    let mut failed = Vec::new();
    for service in wanted {
        let started = program_variables(&[*service]).and_then(|variables| {
            let mut command = Command::new(program);
            shell::run(command.args(["up", service.name()]).envs(variables))
        });
        if let Err(error) = started {
            eprintln!("services: {}: {error:#}", service.name());
            failed.push(service.name());
        }
    }
    if !failed.is_empty() {
        bail!("not up: {}", failed.join(", "));
    }
    Ok(())
}

/// Ctrl-C is for us: the servers' owner goes when its pipe closes, in its own order.
#[cfg(unix)]
fn apart(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn apart(_command: &mut Command) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_named_and_an_unknown_one_is_refused() {
        for service in Service::ALL {
            assert_eq!(Service::parse(service.name()).unwrap(), service);
        }
        let error = Service::parse("redis").unwrap_err().to_string();
        let names = "postgres, pgvector, mongo, mongo-standalone, mongo-set";
        assert_eq!(error, format!("unknown service `redis`; there are {names}"));
    }
}
