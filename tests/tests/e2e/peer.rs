//! llama.cpp's own server as a child process, from a Python package in an environment of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const PACKAGE: &str = "xllamacpp==2026.10.11549";
/// 98 MB of weights on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// The peers' folder.
pub(crate) fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// A Python that has the package; installed at the first call, under `target/tools`.
pub(crate) fn python() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools");
    std::fs::create_dir_all(&tools).unwrap();
    // Other test processes wait here until the installation is whole.
    let lock = File::create(tools.join("xllamacpp.lock")).unwrap();
    lock.lock().unwrap();
    let folder = tools.join("xllamacpp");
    let python = folder.join("bin").join("python");
    let mark = folder.join(PACKAGE);
    if !mark.is_file() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder));
        let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        run(Command::new(&python).args(quiet).arg(PACKAGE));
        File::create(mark).unwrap();
    }
    python
}

fn run(command: &mut Command) {
    let told = match command.output() {
        Ok(output) if output.status.success() => return,
        Ok(output) => told(&output),
        Err(error) => error.to_string(),
    };
    panic!(
        "python3 with venv and pip is needed for the real server \
         (apt-get install -y python3-venv python3-pip):\n{command:?}\n{told}"
    );
}

/// What a command said and how it ended.
pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The embedded model's weights.
pub(crate) fn weights() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.filter(|path| path.is_absolute());
    let home = || Path::new(&std::env::var_os("HOME").unwrap()).join(".cache");
    let path =
        cache.unwrap_or_else(home).join("chat-runtime/models/SmolLM2-135M-Instruct.Q4_1.gguf");
    assert!(path.is_file(), "{} is missing: run `cargo xtask weights`", path.display());
    path
}

/// A running server; ended when dropped.
pub(crate) struct Peer {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn start() -> Self {
        let port = free_port();
        let mut child = Command::new(python())
            .arg(peers().join("xllamacpp_server.py"))
            .arg(weights())
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let peer = Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) };
        peer.wait_until_ready();
        peer
    }

    fn wait_until_ready(&self) {
        use std::io::{Read, Write};
        let give_up = Instant::now() + START_TIMEOUT;
        loop {
            let mut answer = String::new();
            if let Ok(mut stream) = TcpStream::connect(self.address) {
                let ask = b"GET /health HTTP/1.1\r\nhost: peer\r\nconnection: close\r\n\r\n";
                if stream.write_all(ask).is_ok() {
                    let _ = stream.read_to_string(&mut answer);
                }
            }
            if answer.starts_with("HTTP/1.1 200") {
                return;
            }
            assert!(Instant::now() < give_up, "the server is not ready: {answer}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let probe = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    probe.local_addr().unwrap().port()
}
