//! PostgreSQL: a cluster of its own, with the settings a store may ask for (`fsync` stays on).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::process::{ServerProcess, children, free_port, signal};
use super::run_folder::RunFolder;
use super::{ServiceError, programs};

/// Known on every Linux; elsewhere the name is another.
const LOCALE: &str = if cfg!(target_os = "linux") { "C.UTF-8" } else { "en_US.UTF-8" };
/// Fast shutdown: clients are sent away, shared memory is given back.
const STOP_SIGNAL: &str = "INT";
/// Every test has a pool of its own, and tests run side by side.
const CONNECTIONS_MAX: u32 = 300;
/// The line of `postmaster.pid` that says how far the server is.
const STATUS_LINE: usize = 7;

/// A running server with its data; gone when dropped.
#[derive(Debug)]
pub struct Postgres {
    process: Option<ServerProcess>,
    programs: PathBuf,
    port: u16,
    user: Option<User>,
    // After the process: fields are dropped in this order.
    folder: RunFolder,
}

/// Who runs the server: it refuses to be run by root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct User {
    id: u32,
    group: u32,
}

impl Postgres {
    /// Makes a cluster and starts its server.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn start() -> Result<Self, ServiceError> {
        Self::start_of(programs::postgres_bin()?)
    }

    /// The same with the programs of a PostgreSQL that has pgvector.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn with_pgvector() -> Result<Self, ServiceError> {
        Self::start_of(programs::pgvector_bin()?)
    }

    fn start_of(programs: PathBuf) -> Result<Self, ServiceError> {
        let folder = RunFolder::create("postgres")?;
        let failed = || ServiceError::system("making the data folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).map_err(failed())?;
        let user = owner(&data)?;
        if let Some(user) = user {
            std::os::unix::fs::chown(&data, Some(user.id), Some(user.group)).map_err(failed())?;
        }
        let mut server = Self { process: None, programs, port: free_port()?, user, folder };
        server.make_cluster()?;
        server.restart()?;
        Ok(server)
    }

    /// The connection string of the database `postgres`, with all rights.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// The connection string of a database.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Kills the whole server with SIGKILL: the first process and all that it started.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let all = children(process.id());
            process.kill();
            signal(&all, "KILL");
        }
    }

    /// Starts a killed server again on its data. A running one stays as it is.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn restart(&mut self) -> Result<(), ServiceError> {
        if self.process.is_some() {
            return Ok(());
        }
        let data = self.data();
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(&data)
            .args(["-p", &self.port.to_string()])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("max_connections={CONNECTIONS_MAX}")]);
        let mut process = ServerProcess::start(&mut command, self.folder.path(), STOP_SIGNAL)?;
        // What a killed server has left says `ready` too, but names another process.
        let (status, id) = (data.join("postmaster.pid"), process.id().to_string());
        process.wait_until_serving("postgres", || {
            let text = fs::read_to_string(&status).unwrap_or_default();
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            lines.first() == Some(&id.as_str()) && lines.get(STATUS_LINE) == Some(&"ready")
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn make_cluster(&self) -> Result<(), ServiceError> {
        let mut command = self.command("initdb");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"])
            .arg(format!("--locale={LOCALE}"));
        let output = command.output().map_err(ServiceError::system("starting initdb"))?;
        if output.status.success() {
            return Ok(());
        }
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = format!("it ended with {}", output.status);
        Err(ServiceError::NotServing { name: "initdb".to_owned(), why, log })
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.data());
        if let Some(user) = self.user {
            command.uid(user.id).gid(user.group);
        }
        command
    }
}

/// Another user than ourselves if we are root; the folder was made by us a moment ago.
fn owner(folder: &Path) -> Result<Option<User>, ServiceError> {
    use std::os::unix::fs::MetadataExt;
    let failed = || ServiceError::system("finding a user for PostgreSQL (it refuses root)");
    if fs::metadata(folder).map_err(failed())?.uid() != 0 {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").map_err(failed())?;
    let found = ["postgres", "nobody"].iter().find_map(|name| user(&users, name));
    found.map(Some).ok_or_else(|| failed()(std::io::ErrorKind::NotFound.into()))
}

/// `NAME:PASSWORD:ID:GROUP:…`.
fn user(users: &str, name: &str) -> Option<User> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let id = fields.nth(1)?.parse().ok()?;
        Some(User { id, group: fields.next()?.parse().ok()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\npostgres2:x:1:1::/:/x\npostgres:x:104:112:,,,:/v:/x\n";
        assert_eq!(user(users, "postgres"), Some(User { id: 104, group: 112 }));
        assert_eq!(user(users, "nobody"), None);
    }
}
