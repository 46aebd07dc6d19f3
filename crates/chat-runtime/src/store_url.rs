//! Which store a URL means, among those compiled in, and how a URL is shown.
//!
//! Not here: opening one (`store`).

use std::path::PathBuf;

use crate::RuntimeError;

/// Which store a URL means.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreKind {
    /// This process's memory: gone when it ends.
    Memory,
    /// One SQLite file.
    Sqlite {
        /// The file; relative to the working folder.
        path: PathBuf,
    },
    /// A PostgreSQL database.
    Postgres,
    /// A MongoDB database, LibreChat's own included.
    Mongo,
}

/// Reads a store URL: `sqlite:FILE`, `sqlite://FILE`, `postgres://…`, `postgresql://…`,
/// `mongodb://…`, `mongodb+srv://…` or `memory:`. Says nothing of whether the store answers.
///
/// # Errors
/// `FeatureOff` naming the feature that has this scheme; `UnknownStore`; `InvalidConfig` if empty.
pub fn store_kind(url: &str) -> Result<StoreKind, RuntimeError> {
    if url.is_empty() {
        return Err(RuntimeError::InvalidConfig { detail: "store: is not set".to_owned() });
    }
    let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
    let compiled_in = |kind: StoreKind, is_on: bool, feature| {
        if is_on {
            return Ok(kind);
        }
        let wanted = format!("a store of the scheme `{scheme}:`");
        Err(RuntimeError::FeatureOff { wanted, feature })
    };
    match scheme {
        "memory" if rest.is_empty() => Ok(StoreKind::Memory),
        "sqlite" if !rest.trim_start_matches("//").is_empty() => {
            let path = rest.strip_prefix("//").unwrap_or(rest).into();
            compiled_in(StoreKind::Sqlite { path }, cfg!(feature = "sqlite"), "sqlite")
        }
        "postgres" | "postgresql" => {
            compiled_in(StoreKind::Postgres, cfg!(feature = "postgres"), "postgres")
        }
        "mongodb" | "mongodb+srv" => {
            compiled_in(StoreKind::Mongo, cfg!(feature = "mongo"), "mongo")
        }
        _ => Err(RuntimeError::UnknownStore {
            // What follows may hold a password.
            url: if scheme.is_empty() {
                url.chars().take(80).collect()
            } else {
                format!("{scheme}:…")
            },
        }),
    }
}

/// The URL as it may be shown: without its user part and query, which may hold a password or a
/// key. A password that was not percent-encoded as it should be is left out all the same.
#[must_use]
pub fn shown_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let rest = rest.rsplit('@').next().unwrap_or_default();
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_it_hides() {
        for (url, shown) in [
            ("sqlite:chat.db", "sqlite:chat.db"),
            ("memory:", "memory:"),
            ("postgres://ada:hunter2@db:5432/chat", "postgres://db:5432/chat"),
            ("postgres://db/chat?password=hunter2", "postgres://db/chat"),
            ("postgres://ada:hunter/2@db/chat", "postgres://db/chat"),
            ("postgres://ada:hunter?2@db/chat", "postgres://db/chat"),
            ("postgres://ada:hunter@2@db/chat", "postgres://db/chat"),
            (
                "mongodb://ada:hunter2@a:1,b:2/LibreChat?replicaSet=rs0",
                "mongodb://a:1,b:2/LibreChat",
            ),
            ("mongodb+srv://ada:hunter2@cluster", "mongodb+srv://cluster"),
        ] {
            assert_eq!(shown_url(url), shown, "{url}");
        }
    }
}
