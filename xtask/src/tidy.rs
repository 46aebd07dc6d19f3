//! `tidy`: the small rules of the repository that no other tool knows.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::bail;

use crate::{manifest, shell};

/// Past this a file has a second idea in it.
const LINES_MAX: usize = 600;
/// What every member takes from the workspace.
const INHERITED: [&str; 6] =
    ["version", "edition", "rust-version", "license", "repository", "publish"];
/// Configuration that binds the repository to somebody's package mirror.
const MIRROR_MARKS: [&str; 6] =
    ["replace-with", "index-url", "_authToken", "CARGO_REGISTRIES_", "GOPROXY=", "[source."];
/// Where crates may come from.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Runs the command.
///
/// # Errors
/// A rule is broken; every place is named.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = shell::root();
    let mut broken = Vec::new();
    for folder in manifest::member_folders(&root)? {
        let name = folder.strip_prefix(&root).unwrap_or(&folder).display().to_string();
        let text = fs::read_to_string(folder.join("Cargo.toml"))?;
        broken
            .extend(check_manifest(&text).into_iter().map(|problem| format!("{name}: {problem}")));
        if !folder.join("README.md").is_file() {
            broken.push(format!("{name}: has no README.md"));
        }
    }
    let list = shell::output(Command::new("git").arg("ls-files").current_dir(&root))?;
    let files: Vec<&str> = list.lines().filter(|name| root.join(name).is_file()).collect();
    for name in &files {
        // Not text: nothing to check.
        let Ok(text) = fs::read_to_string(root.join(name)) else {
            continue;
        };
        let problems = check_file(name, &text).into_iter().chain(lost_files(name, &text, &files));
        broken.extend(problems.map(|problem| format!("{name}: {problem}")));
    }
    if !broken.is_empty() {
        bail!("{} rules broken\n  {}", broken.len(), broken.join("\n  "));
    }
    Ok(())
}

fn check_manifest(text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if manifest::section(text, "lints") != ["workspace = true"] {
        problems.push("does not inherit the lints".to_owned());
    }
    let package = manifest::section(text, "package");
    for field in INHERITED {
        let line = format!("{field}.workspace = true");
        if !package.contains(&line.as_str()) {
            problems.push(format!("does not say `{line}`"));
        }
    }
    if !package.iter().any(|line| line.starts_with("description = ")) {
        problems.push("has no description".to_owned());
    }
    problems
}

fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let extension = Path::new(name).extension().and_then(|extension| extension.to_str());
    let lines = text.lines().count();
    if extension == Some("rs") && lines > LINES_MAX {
        problems.push(format!("{lines} lines are more than {LINES_MAX}"));
    }
    if extension == Some("rs") && !text.starts_with("//!") && !text.starts_with("#![doc") {
        problems.push("does not start with what it promises (`//!`)".to_owned());
    }
    if name == "Cargo.lock" {
        let sources = text.lines().filter_map(|line| line.strip_prefix("source = "));
        let foreign = sources.filter(|source| source.trim_matches('"') != CRATES_IO);
        problems.extend(foreign.map(|source| format!("crates come from {source}")));
    } else if name != "xtask/src/tidy.rs" {
        let marks = MIRROR_MARKS.iter().filter(|mark| text.contains(**mark));
        problems.extend(marks.map(|mark| format!("names a package mirror (`{mark}`)")));
    }
    problems
}

/// Names of Rust files in a text for people that stand for no file of its folder.
fn lost_files(name: &str, text: &str, files: &[&str]) -> Vec<String> {
    if !name.ends_with(".md") || name == "CHANGELOG.md" {
        return Vec::new();
    }
    // What stands in `docs` speaks of the whole repository, a README of its crate.
    let folder = name.strip_suffix("README.md").unwrap_or_default();
    let is_path = |word: &&str| {
        word.ends_with(".rs")
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
    };
    let is_there = |word: &&str| {
        let end = format!("/{word}");
        files.iter().any(|file| file.starts_with(folder) && format!("/{file}").ends_with(&end))
    };
    let quoted = text.split('`').skip(1).step_by(2).filter(is_path);
    quoted.filter(|word| !is_there(word)).map(|word| format!("there is no `{word}`")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_manifest_has_no_problem_and_each_missing_line_is_one() {
        let good = "[package]\nname = \"x\"\ndescription = \"X\"\nversion.workspace = true\n\
            edition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\
            repository.workspace = true\npublish.workspace = true\n\n[lints]\nworkspace = true\n";
        assert_eq!(check_manifest(good), [""; 0]);
        for line in good.lines().filter(|line| line.contains("workspace") || line.contains("desc"))
        {
            let others = good.lines().filter(|other| *other != line);
            let without = others.collect::<Vec<_>>().join("\n");
            assert_eq!(check_manifest(&without).len(), 1, "{line}");
        }
    }

    #[test]
    fn long_files_mirrors_and_foreign_crates_are_found() {
        assert_eq!(check_file("a.rs", &format!("//! A.\n{}", "\n".repeat(LINES_MAX))).len(), 1);
        assert_eq!(check_file("a.rs", &format!("//! A.\n{}", "\n".repeat(LINES_MAX - 1))), [""; 0]);
        assert_eq!(check_file("a.rs", "fn main() {}").len(), 1);
        assert_eq!(check_file("pip.conf", "index-url = https://mirror").len(), 1);
        let lock =
            format!("source = \"{CRATES_IO}\"\nsource = \"registry+https://mirror/index\"\n");
        assert_eq!(check_file("Cargo.lock", &lock).len(), 1);
    }

    #[test]
    fn a_readme_names_files_that_are_there() {
        let files = ["crates/a/src/turn/take.rs", "crates/b/src/wire.rs"];
        let lost = |name: &str, text: &str| lost_files(name, text, &files).len();
        let text = "| how | `src/turn/take.rs`, `take.rs` |\n```rust\nuse a.rs;\n```\n";
        assert_eq!(lost("crates/a/README.md", text), 0);
        assert_eq!(lost("crates/a/README.md", "`src/take.rs`, `wire.rs`"), 2);
        assert_eq!(lost("docs/map.md", "`b/src/wire.rs`, `b/src/turn/take.rs`"), 1);
    }
}
