//! Every case that is written is listed in its suite: a case nobody runs promises nothing.

#![expect(clippy::expect_used, reason = "a test reads its own sources")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Theme and case, in the order of the list.
fn listed(list: &str) -> Vec<(String, String)> {
    let is_name =
        |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b"0123456789_".contains(&b));
    let mut theme = String::new();
    let mut cases = Vec::new();
    for line in list.lines().map(str::trim) {
        if let Some(opened) = line.strip_suffix(" {").filter(|name| is_name(name)) {
            theme = opened.to_owned();
        } else if let Some(case) = line.strip_suffix(',').filter(|name| is_name(name)) {
            cases.push((theme.clone(), case.to_owned()));
        }
    }
    cases
}

/// Every public case of every theme, in the order of the files.
fn written(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let mut themes = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the themes are there") {
        let path = entry.expect("readable").path();
        let theme = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let source = fs::read_to_string(&path).expect("readable");
        let names = source.lines().filter_map(|line| line.strip_prefix("pub async fn "));
        let cases: Vec<String> =
            names.filter_map(|rest| rest.split('(').next()).map(str::to_owned).collect();
        if !cases.is_empty() {
            themes.insert(theme, cases);
        }
    }
    themes
}

#[test]
fn every_case_is_listed_once() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for suite in ["persistence", "ledger", "usage", "rag"] {
        let list = fs::read_to_string(sources.join(format!("{suite}.rs"))).expect("readable");
        let mut themes: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (theme, case) in listed(&list) {
            themes.entry(theme).or_default().push(case);
        }
        assert_eq!(themes, written(&sources.join(suite)), "the list of {suite}");
    }
}
