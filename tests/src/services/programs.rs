//! Where the servers' programs are, as the environment says. This is the one place that reads it.

use std::path::PathBuf;

use super::ServiceError;

/// Names the program `mongod`.
pub const MONGOD: &str = "CHAT_TEST_MONGOD";
/// Names the folder with `initdb` and `postgres`.
pub const POSTGRES_BIN: &str = "CHAT_TEST_POSTGRES_BIN";
/// Names the folder with `initdb` and `postgres` of a PostgreSQL that has pgvector.
pub const PGVECTOR_BIN: &str = "CHAT_TEST_PGVECTOR_BIN";
/// Names the folder for all data; `target/services` unless it is set.
pub const FOLDER: &str = "CHAT_TEST_SERVICES_FOLDER";

/// `mongod`.
///
/// # Errors
/// [`ServiceError::NoProgram`].
pub fn mongod() -> Result<PathBuf, ServiceError> {
    named(MONGOD)
}

/// The folder with PostgreSQL's programs.
///
/// # Errors
/// [`ServiceError::NoProgram`].
pub fn postgres_bin() -> Result<PathBuf, ServiceError> {
    named(POSTGRES_BIN)
}

/// The folder with the programs of a PostgreSQL that has pgvector.
///
/// # Errors
/// [`ServiceError::NoProgram`].
pub fn pgvector_bin() -> Result<PathBuf, ServiceError> {
    named(PGVECTOR_BIN)
}

/// The folder for all data. It may not exist yet.
#[must_use]
pub fn folder() -> PathBuf {
    let named = std::env::var_os(FOLDER).filter(|value| !value.is_empty());
    named.map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/services")),
        PathBuf::from,
    )
}

fn named(variable: &'static str) -> Result<PathBuf, ServiceError> {
    let named = std::env::var_os(variable).filter(|value| !value.is_empty());
    named.map(PathBuf::from).ok_or(ServiceError::NoProgram(variable))
}
