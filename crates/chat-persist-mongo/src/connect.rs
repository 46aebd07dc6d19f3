//! Connecting: settings that are promises, and what the server must be.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::{
    Acknowledgment, ClientOptions, ReadConcern, ReadPreference, SelectionCriteria, WriteConcern,
};
use mongodb::{Client, Database};

use crate::MongoConfig;
use crate::error::{EngineResult, Failure, FailureKind};

/// The oldest server whose transactions and majority reads are what we count on.
const MAJOR_VERSION_LEAST: i32 = 6;

/// What kind of deployment answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Topology {
    /// A replica set or a sharded cluster: transactions.
    Replicated,
    /// One server without an oplog: none.
    Standalone,
}

/// A database whose server can be used.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: Client,
    pub(crate) database: Database,
    pub(crate) topology: Topology,
}

/// Connects and looks at the server.
pub(crate) async fn connect_and_look(config: &MongoConfig) -> EngineResult<Connected> {
    let (client, database) = connect(config).await?;
    let topology = look(&database).await?;
    Ok(Connected { client, database, topology })
}

/// A client with our settings and the database its URL names; nothing is asked of the server yet.
pub(crate) async fn connect(config: &MongoConfig) -> EngineResult<(Client, Database)> {
    let mut options = ClientOptions::parse(config.exposed_url()).await.map_err(|error| {
        tracing::debug!(%error, "the address was refused");
        Failure::new(FailureKind::Unsupported, "the address is no valid MongoDB URL")
    })?;
    let Some(name) = options.default_database.clone() else {
        let detail = "the URL names no database; write mongodb://HOST/DATABASE";
        return Err(Failure::new(FailureKind::Unsupported, detail));
    };
    let milliseconds = |ms: u32| Some(Duration::from_millis(u64::from(ms)));
    options.app_name.get_or_insert_with(|| "chat-runtime".to_owned());
    options.server_selection_timeout = milliseconds(config.server_selection_timeout_ms);
    options.connect_timeout = milliseconds(config.connect_timeout_ms);
    options.max_pool_size = Some(config.operations_max.max(1));
    options.retry_writes = Some(true);
    options.retry_reads = Some(true);
    options.write_concern = Some(write_concern());
    options.read_concern = Some(ReadConcern::majority());
    options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
    let client = Client::with_options(options)?;
    let database = client.database(&name);
    Ok((client, database))
}

/// A write is acknowledged when a majority has it in its journal.
pub(crate) fn write_concern() -> WriteConcern {
    WriteConcern::builder().w(Acknowledgment::Majority).journal(true).build()
}

async fn look(database: &Database) -> EngineResult<Topology> {
    let build = database.run_command(doc! { "buildInfo": 1 }).await?;
    let version = build.get_str("version").unwrap_or("unknown");
    let major = build
        .get_array("versionArray")
        .ok()
        .and_then(|numbers| numbers.first())
        .and_then(|number| number.as_i32());
    if major.is_none_or(|major| major < MAJOR_VERSION_LEAST) {
        let detail = format!("MongoDB {version} is too old, {MAJOR_VERSION_LEAST}.0 is the oldest");
        return Err(Failure::new(FailureKind::Unsupported, detail));
    }
    let hello: Document = database.run_command(doc! { "hello": 1 }).await?;
    let is_sharded = hello.get_str("msg").is_ok_and(|message| message == "isdbgrid");
    if is_sharded || hello.contains_key("setName") {
        Ok(Topology::Replicated)
    } else {
        Ok(Topology::Standalone)
    }
}
