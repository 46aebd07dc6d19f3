//! Real servers for tests: MongoDB and PostgreSQL on private ports, with data folders of their own.
//!
//! A server belongs to the process that started it: dropping its value stops it and removes its data. What a
//! killed process left behind is stopped and removed by the next one that starts a server.
//! The programs are named by the environment (`cargo xtask` finds or installs them, see [`programs`]).
//! Here too: killing a server and starting it again on its old data, for tests that need that.
//! Not here: which suite needs what, and installing (`xtask`); clients (the store leaves have them).

mod mongo;
mod mongo_wire;
mod postgres;
mod process;
pub mod programs;
mod run_folder;

pub use mongo::Mongo;
pub use postgres::Postgres;
pub use process::{command_line, signal};
pub use run_folder::clean_left_overs;

/// A server could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The environment does not say where the program is.
    #[error("{0} is not set: `cargo xtask services up` and `cargo xtask test` find the program")]
    NoProgram(&'static str),
    /// The system refused something.
    #[error("{what} failed")]
    System {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The server ended instead of serving, or took too long.
    #[error("{name} does not serve ({why}); its log ends with\n{log}")]
    NotServing {
        /// Which server.
        name: String,
        /// What was seen.
        why: String,
        /// The last lines of its log.
        log: String,
    },
    /// The server answered a command with an error.
    #[error("the server refused {command}: {message}")]
    Refused {
        /// The command's name.
        command: String,
        /// The server's words.
        message: String,
    },
}

impl ServiceError {
    fn system(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }
}
