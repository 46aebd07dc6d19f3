//! Real documents that every machine which builds us has: files of the crates we are locked to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use chat_rag::Document;
use chat_types::{CollectionId, ContentHash, FileId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

/// A question, the document that answers it, and words of the right chunk.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    pub(crate) ask: String,
    /// Crate and file.
    pub(crate) document: String,
    pub(crate) phrase: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Questions {
    question: Vec<Question>,
}

pub(crate) fn questions() -> Vec<Question> {
    let questions: Questions = toml::from_str(include_str!("questions.toml")).expect("readable");
    questions.question
}

/// All documents of `documents.txt`, by crate and file.
pub(crate) fn documents() -> BTreeMap<String, Document> {
    let folders = crate_folders();
    let listed = include_str!("documents.txt").lines();
    listed
        .map(|place| {
            let (name, file) = place.split_once('/').expect("crate and file");
            let folder = folders.get(name).unwrap_or_else(|| panic!("{name} is not locked"));
            let path = folder.join(file);
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{place}: {error}; put another into documents.txt"));
            (place.to_owned(), document(place, text))
        })
        .collect()
}

pub(crate) fn id_of(place: &str) -> FileId {
    let plain = |character: char| if character.is_ascii_alphanumeric() { character } else { '_' };
    FileId::new(place.chars().map(plain).collect::<String>()).expect("a valid id")
}

fn document(place: &str, text: String) -> Document {
    let media_type = match place.rsplit('.').next() {
        Some("md") => "text/markdown",
        Some("json") => "application/json",
        Some("toml") => "application/toml",
        Some("yml" | "yaml") => "application/yaml",
        Some("sql") => "application/sql",
        Some("sh") => "application/x-sh",
        Some("rs") => "text/x-rust",
        _ => "text/plain",
    };
    Document {
        id: id_of(place),
        collection: Some(CollectionId::new("crates").expect("a valid id")),
        name: place.to_owned(),
        media_type: media_type.to_owned(),
        content: ContentHash::of([text.as_bytes()]),
        text,
        added_at: Timestamp::from_unix_ms(0),
    }
}

/// Where the sources of each crate are. The index is asked only if one of them was never fetched.
fn crate_folders() -> BTreeMap<String, PathBuf> {
    let metadata = metadata(&["--offline"]).or_else(|_| metadata(&[])).expect("cargo metadata");
    let packages = metadata["packages"].as_array().expect("packages").clone();
    let locked = packages.iter().filter(|package| package["source"].is_string());
    let folder = |package: &Value| {
        let manifest = PathBuf::from(package["manifest_path"].as_str()?);
        Some((package["name"].as_str()?.to_owned(), manifest.parent()?.to_path_buf()))
    };
    // Of two versions the later one counts: cargo lists them in order.
    locked.filter_map(folder).collect()
}

fn metadata(more: &[&str]) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["metadata", "--format-version", "1", "--locked"]).args(more);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}
