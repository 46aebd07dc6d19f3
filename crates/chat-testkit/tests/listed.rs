//! Every case that is written is listed in its suite: a case nobody runs promises nothing.

#![expect(clippy::expect_used, reason = "a test reads its own sources")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn sources() -> Vec<std::path::PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/persistence");
    let entries = fs::read_dir(root).expect("the themes are there");
    entries
        .map(|entry| entry.expect("readable").path())
        .collect()
}

#[test]
fn every_persistence_case_is_listed_once() {
    let list = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/persistence.rs"))
        .expect("the list is there");
    let listed: Vec<&str> = list
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .filter(|name| {
            name.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        })
        .collect();
    let written: BTreeSet<String> = sources()
        .iter()
        .map(|path| fs::read_to_string(path).expect("readable"))
        .flat_map(|source| {
            let names = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn "));
            names
                .filter_map(|rest| rest.split('(').next())
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        listed.len(),
        written.len(),
        "no name stands in two themes or twice in the list"
    );
    assert!(
        listed.iter().all(|name| written.contains(*name)),
        "{listed:?}"
    );
}
