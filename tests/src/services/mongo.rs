//! MongoDB: one server alone, a replica set of one, or one of several nodes to kill.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::mongo_wire::{self, Value};
use super::process::{ServerProcess, free_port, not_serving};
use super::run_folder::RunFolder;
use super::{ServiceError, programs};

const SET_NAME: &str = "chat";
/// Elections in tests take two seconds instead of ten.
const ELECTION_TIMEOUT_MS: i32 = 2_000;
const HEARTBEAT_INTERVAL_MS: i32 = 500;
/// A first election takes three seconds on a quiet machine.
const PRIMARY_PATIENCE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// SIGTERM lets a node hand over and close its files.
const STOP_SIGNAL: &str = "TERM";

/// One server, or a replica set, with its data; all gone when dropped.
#[derive(Debug)]
pub struct Mongo {
    nodes: Vec<Node>,
    set: Option<&'static str>,
    // After the nodes: fields are dropped in this order.
    _folder: RunFolder,
}

#[derive(Debug)]
struct Node {
    folder: PathBuf,
    port: u16,
    process: Option<ServerProcess>,
}

impl Mongo {
    /// A server that is no replica set: it knows no transactions.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn standalone() -> Result<Self, ServiceError> {
        Self::start("mongo-standalone", 1, None)
    }

    /// A replica set of so many nodes, with a primary.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn replica_set(nodes: usize) -> Result<Self, ServiceError> {
        let set = Self::start("mongo", nodes, Some(SET_NAME))?;
        set.initiate()?;
        Ok(set)
    }

    fn start(name: &str, count: usize, set: Option<&'static str>) -> Result<Self, ServiceError> {
        let folder = RunFolder::create(name)?;
        let mut nodes = Vec::with_capacity(count);
        for number in 0..count {
            let node_folder = folder.path().join(number.to_string());
            let data = node_folder.join("data");
            std::fs::create_dir_all(&data).map_err(ServiceError::system("making a data folder"))?;
            let mut node = Node { folder: node_folder, port: free_port()?, process: None };
            node.start(set)?;
            nodes.push(node);
        }
        Ok(Self { nodes, set, _folder: folder })
    }

    fn initiate(&self) -> Result<(), ServiceError> {
        let member = |(id, node): (i32, &Node)| {
            let host = node.address().to_string();
            Value::Document(vec![("_id", Value::Int(id)), ("host", Value::Text(host))])
        };
        let config = Value::Document(vec![
            ("_id", Value::Text(SET_NAME.to_owned())),
            ("version", Value::Int(1)),
            ("members", Value::List((0..).zip(&self.nodes).map(member).collect())),
            (
                "settings",
                Value::Document(vec![
                    ("electionTimeoutMillis", Value::Int(ELECTION_TIMEOUT_MS)),
                    ("heartbeatIntervalMillis", Value::Int(HEARTBEAT_INTERVAL_MS)),
                ]),
            ),
        ]);
        let Some(first) = self.nodes.first() else { return Ok(()) };
        let failed = ServiceError::system("initiating the replica set");
        let reply = mongo_wire::run(first.address(), vec![("replSetInitiate", config)]);
        let reply = reply.map_err(failed)?;
        if !reply.is_ok {
            let message = reply.message.unwrap_or_default();
            return Err(ServiceError::Refused { command: "replSetInitiate".to_owned(), message });
        }
        self.wait_for_primary()?;
        self.wait_for_members()
    }

    /// Waits until every node takes part and has a checkpoint on its disk: one that is killed before that
    /// refuses to start again.
    fn wait_for_members(&self) -> Result<(), ServiceError> {
        let give_up = Instant::now() + PRIMARY_PATIENCE;
        for node in &self.nodes {
            let takes_part =
                || node.hello().is_some_and(|reply| reply.is_primary || reply.is_secondary);
            while !takes_part() {
                if Instant::now() > give_up {
                    let why = format!("no member within {PRIMARY_PATIENCE:?}");
                    return Err(not_serving("a node", why, &node.folder));
                }
                std::thread::sleep(POLL_INTERVAL);
            }
            mongo_wire::run(node.address(), vec![("fsync", Value::Int(1))])
                .map_err(ServiceError::system("writing a checkpoint"))?;
        }
        Ok(())
    }

    /// The connection string, without a database.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("")
    }

    /// The connection string of a database.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        let hosts: Vec<String> = self.nodes.iter().map(|node| node.address().to_string()).collect();
        let set = self.set.map(|set| format!("?replicaSet={set}")).unwrap_or_default();
        format!("mongodb://{}/{database}{set}", hosts.join(","))
    }

    /// The node that is primary now, by its number. `None` while there is none.
    #[must_use]
    pub fn primary(&self) -> Option<usize> {
        let says_so = |node: &Node| node.hello().is_some_and(|reply| reply.is_primary);
        self.nodes.iter().position(says_so)
    }

    /// Waits until a node is primary.
    ///
    /// # Errors
    /// [`ServiceError::NotServing`] if none becomes one.
    pub fn wait_for_primary(&self) -> Result<usize, ServiceError> {
        let give_up = Instant::now() + PRIMARY_PATIENCE;
        loop {
            if let Some(primary) = self.primary() {
                return Ok(primary);
            }
            if Instant::now() > give_up {
                let why = format!("no primary within {PRIMARY_PATIENCE:?}");
                let folder = self.nodes.first().map(|node| node.folder.clone());
                return Err(not_serving("the replica set", why, &folder.unwrap_or_default()));
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Kills a node with SIGKILL. One that is down, or that does not exist, stays as it is.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut process) = self.nodes.get_mut(number).and_then(|node| node.process.take()) {
            process.kill();
        }
    }

    /// Starts a killed node again on its data. A running one stays as it is.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn restart(&mut self, number: usize) -> Result<(), ServiceError> {
        let set = self.set;
        match self.nodes.get_mut(number) {
            Some(node) if node.process.is_none() => node.start(set),
            _ => Ok(()),
        }
    }
}

impl Node {
    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    fn start(&mut self, set: Option<&str>) -> Result<(), ServiceError> {
        let mut command = Command::new(programs::mongod()?);
        command
            .args(["--bind_ip", "127.0.0.1", "--port", &self.port.to_string(), "--nounixsocket"])
            .arg("--dbpath")
            .arg(self.folder.join("data"))
            // Many small servers share a machine.
            .args(["--wiredTigerCacheSizeGB", "0.25", "--quiet"])
            .args(["--setParameter", "diagnosticDataCollectionEnabled=false"])
            // What a killed process held locked is free after this long; see docs/storage.md.
            .args(["--setParameter", "transactionLifetimeLimitSeconds=5"])
            .args(["--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"]);
        if let Some(set) = set {
            command.args(["--replSet", set, "--oplogSize", "256"]);
        }
        let mut process = ServerProcess::start(&mut command, &self.folder, STOP_SIGNAL)?;
        process.wait_until_serving("mongod", || self.hello().is_some_and(|reply| reply.is_ok))?;
        self.process = Some(process);
        Ok(())
    }

    fn hello(&self) -> Option<mongo_wire::Reply> {
        mongo_wire::run(self.address(), vec![("hello", Value::Int(1))]).ok()
    }
}
