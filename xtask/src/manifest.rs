//! The little that xtask reads from manifests, without a TOML parser: the lines our own files use.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The folders of all members: `crates/*`, `tests`, `xtask`.
///
/// # Errors
/// A folder cannot be read.
pub(crate) fn member_folders(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(root.join("crates")).context("cannot list crates/")? {
        let folder = entry?.path();
        if folder.join("Cargo.toml").is_file() {
            folders.push(folder);
        }
    }
    folders.sort();
    folders.extend([root.join("tests"), root.join("xtask")]);
    Ok(folders)
}

/// The lines of a section, without comments and blank lines.
pub(crate) fn section<'a>(manifest: &'a str, name: &str) -> Vec<&'a str> {
    let header = format!("[{name}]");
    let lines = manifest.lines().map(str::trim).skip_while(|line| *line != header).skip(1);
    let lines = lines.take_while(|line| !is_header(line));
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// The names of all features, in order, without `default`.
pub(crate) fn features(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut inside_list = false;
    for line in section(manifest, "features") {
        if !inside_list && let Some((name, list)) = line.split_once('=') {
            names.push(name.trim().trim_matches('"'));
            inside_list = list.contains('[') && !list.contains(']');
        } else if line.contains(']') {
            inside_list = false;
        }
    }
    names.retain(|name| *name != "default");
    names
}

/// A header stands alone; a line of a list also starts with a bracket but has a comma or no end.
fn is_header(line: &str) -> bool {
    line.starts_with('[') && line.ends_with(']') && !line.contains('"') && !line.contains(',')
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"
[package]
name = "x"

[features]
# What most people want.
default = ["sqlite", "openai"]
sqlite = ["dep:chat-persist-sqlite"]
openai = [
    "dep:chat-provider-openai", # one
    "chat-transport/reqwest",
]
"local" = []

[lints]
workspace = true
"#;

    #[test]
    fn features_are_read_in_order() {
        assert_eq!(features(MANIFEST), ["sqlite", "openai", "local"]);
        assert_eq!(features("[package]\nname = \"x\""), [""; 0]);
    }

    #[test]
    fn sections_end_at_the_next_header() {
        assert_eq!(section(MANIFEST, "package"), ["name = \"x\""]);
        assert_eq!(section(MANIFEST, "lints"), ["workspace = true"]);
        assert_eq!(section(MANIFEST, "absent"), [""; 0]);
    }
}
