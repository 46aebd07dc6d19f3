//! One server process: started with its output in a log file, stopped by its own signal, killed at need.

use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::ServiceError;

/// In a server's folder: `PID SIGNAL`, what stops it.
pub(crate) const PID_FILE: &str = "pid";
const LOG_FILE: &str = "log";
/// A server that has not gone by then is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(15);
/// A server that does not serve by then is broken; a loaded machine is slow.
const START_PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Below the ports the system hands out: no client's own end can take the port of a server that is down.
const PORTS: std::ops::Range<u16> = 15_000..30_000;
/// So many taken ports in a row are no coincidence.
const PORT_TRIES: u32 = 100;
/// How much of a log an error shows.
const LOG_LINES: usize = 15;

/// A running server; stopped when dropped.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    folder: PathBuf,
    stop_signal: &'static str,
}

impl ServerProcess {
    /// Starts `command` with its log and its pid file in `folder`.
    pub(crate) fn start(
        command: &mut Command,
        folder: &Path,
        stop_signal: &'static str,
    ) -> Result<Self, ServiceError> {
        let program = command.get_program().display().to_string();
        let failed = || ServiceError::system(format!("starting {program}"));
        let log = OpenOptions::new().create(true).append(true).open(folder.join(LOG_FILE));
        let log = log.map_err(failed())?;
        let errors = log.try_clone().map_err(failed())?;
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn().map_err(failed())?;
        let server = Self { child, folder: folder.to_owned(), stop_signal };
        let text = format!("{} {stop_signal}\n", server.id());
        fs::write(folder.join(PID_FILE), text).map_err(failed())?;
        Ok(server)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until `is_serving`; fails when the process ends before that, or when it takes too long.
    pub(crate) fn wait_until_serving(
        &mut self,
        name: &str,
        is_serving: impl Fn() -> bool,
    ) -> Result<(), ServiceError> {
        let give_up = Instant::now() + START_PATIENCE;
        while !is_serving() {
            let ended = self.child.try_wait().map_err(ServiceError::system("waiting"))?;
            let why = match ended {
                Some(status) => format!("it ended with {status}"),
                None if Instant::now() > give_up => format!("not within {START_PATIENCE:?}"),
                None => {
                    std::thread::sleep(POLL_INTERVAL);
                    continue;
                }
            };
            return Err(not_serving(name, why, &self.folder));
        }
        Ok(())
    }

    /// SIGKILL, and waits for the end.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(self.folder.join(PID_FILE));
    }

    /// Asks it to stop, and kills it if it does not.
    fn stop(&mut self) {
        signal(&[self.child.id()], self.stop_signal);
        let give_up = Instant::now() + STOP_PATIENCE;
        while Instant::now() < give_up && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(POLL_INTERVAL);
        }
        self.kill();
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.stop();
        }
    }
}

/// The error of a server that does not serve, with the end of its log.
pub(crate) fn not_serving(name: &str, why: String, folder: &Path) -> ServiceError {
    let log = fs::read_to_string(folder.join(LOG_FILE)).unwrap_or_default();
    let lines: Vec<&str> = log.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LOG_LINES)..).unwrap_or_default();
    ServiceError::NotServing { name: name.to_owned(), why, log: last.join("\n") }
}

/// A port of the loopback interface that nobody listens on.
pub(crate) fn free_port() -> Result<u16, ServiceError> {
    let mut refused = None;
    for _ in 0..PORT_TRIES {
        let port = fastrand::u16(PORTS);
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => refused = Some(error),
        }
    }
    let refused = refused.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into());
    Err(ServiceError::System { what: "finding a free port".to_owned(), source: refused })
}

/// Sends a signal (`TERM`, `KILL`, …) to processes. One that is gone is none to worry about.
pub fn signal(pids: &[u32], name: &str) {
    let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
    let command = format!("kill -{name} {}", pids.join(" "));
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let _ = shell.status();
}

/// How a process was started, words joined by blanks; `None` if there is no such process.
#[must_use]
pub fn command_line(pid: u32) -> Option<String> {
    let line = if Path::new("/proc/self/cmdline").exists() {
        // A process that has ended and was not waited for has an empty one.
        fs::read(format!("/proc/{pid}/cmdline")).ok()?
    } else {
        Command::new("ps").args(["-o", "command=", "-p", &pid.to_string()]).output().ok()?.stdout
    };
    let line = String::from_utf8_lossy(&line).replace('\0', " ").trim().to_owned();
    Some(line).filter(|line| !line.is_empty())
}

/// The children of a process, as far as the system tells (Linux).
pub(crate) fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_child = |pid: &u32| {
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        // `PID (NAME) STATE PPID …`, and the name may hold anything.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        after_name.split_whitespace().nth(1) == Some(parent.to_string().as_str())
    };
    pids.filter(is_child).collect()
}

/// Stops a process that is not our child, if it is a server with its data under `folder`.
pub(crate) fn stop_stranger(pid: u32, stop_signal: &str, folder: &Path) {
    let folder = folder.display().to_string();
    let is_it = || command_line(pid).is_some_and(|line| line.contains(&folder));
    let wait = |patience: Duration| {
        let give_up = Instant::now() + patience;
        while is_it() && Instant::now() < give_up {
            std::thread::sleep(POLL_INTERVAL);
        }
    };
    if is_it() {
        signal(&[pid], stop_signal);
        wait(STOP_PATIENCE);
    }
    if is_it() {
        signal(&[pid], "KILL");
        wait(STOP_PATIENCE);
    }
}
