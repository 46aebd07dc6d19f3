//! The form of the lines: pinned by an archive that every later version must read.

#![expect(clippy::string_slice, clippy::expect_used, reason = "a test that cannot go on fails")]

use chat_archive::{ArchiveErrorKind, ArchiveLine, ArchiveReader, VERSION};
use chat_balance::{AccountKind, AccountSpec, AccountUnit};
use chat_types::Money;

use crate::common::{ada, archive_of, at, everything, id, lines_of, long_conversation};

/// Archives that exist look like this; a test that fails here has broken them.
const EVERYTHING: &str = include_str!("../everything.jsonl");

/// Archives of earlier versions do.
const EARLIER: [(u32, &str); 3] = [
    (1, include_str!("../everything_v1.jsonl")),
    (2, include_str!("../everything_v2.jsonl")),
    (3, include_str!("../everything_v3.jsonl")),
];

#[tokio::test]
async fn every_line_has_its_form() {
    let archive = everything().await.export().await;
    if std::env::var_os("CHAT_WRITE_EXAMPLE").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/everything.jsonl"), &archive)
            .expect("writes");
    }
    let lines: Vec<&str> = archive.lines().collect();
    assert_eq!(lines, EVERYTHING.lines().collect::<Vec<_>>());
}

#[test]
fn lines_come_back_as_they_were() {
    let lines = lines_of(EVERYTHING).expect("reads");
    assert_eq!(archive_of(&lines), EVERYTHING);
}

#[test]
fn archives_of_earlier_versions_are_read() {
    for (version, archive) in EARLIER {
        let lines = lines_of(archive).expect("reads");
        let header = |version: u32| format!("\"version\":{version}");
        let today = archive.replacen(&header(version), &header(VERSION), 1);
        assert_eq!(archive_of(&lines), today, "version {version}");
    }
}

#[test]
fn an_opening_has_its_form() {
    let spec = AccountSpec {
        id: id("wallet:ada"),
        owner: Some(ada().user),
        kind: AccountKind::Limited,
        opening: Money::from_nano_usd(12_345),
        unit: AccountUnit::Usd,
        refill: None,
        warn_below: None,
    };
    let line = ArchiveLine::Opening { scope: ada(), spec, at: at(1_000) };
    let archive = archive_of(std::slice::from_ref(&line));
    insta::assert_snapshot!(archive, @r#"
    {"header":{"format":"chat-archive","version":4}}
    {"opening":{"tenant":"acme","user":"ada","row":{"id":"wallet:ada","owner":"ada","kind":"limited","opening":12345,"at":1000}}}
    {"end":{"conversations":0,"messages":0,"files":0,"turns":0,"accounts":0,"openings":1,"holds":0,"entries":0,"usage_rows":0}}
    "#);
    assert_eq!(lines_of(&archive).expect("reads"), [line]);
}

#[track_caller]
fn check_refused(archive: &str, kind: ArchiveErrorKind, line: Option<u64>) {
    let error = lines_of(archive).expect_err("is refused");
    assert_eq!((error.kind(), error.line()), (kind, line), "{error}");
}

#[test]
fn other_files_are_no_archives() {
    let no = ArchiveErrorKind::NotAnArchive;
    check_refused("hello\n", no, Some(1));
    check_refused("{}\n", no, Some(1));
    check_refused("{\"header\":{\"format\":\"other\",\"version\":1}}\n", no, Some(1));
    check_refused("{\"end\":{}}\n", no, Some(1));
    check_refused("", ArchiveErrorKind::Truncated, None);
}

#[test]
fn newer_versions_are_refused() {
    for version in [0, VERSION + 1] {
        let header = format!("\"version\":{VERSION}");
        let newer = EVERYTHING.replace(&header, &format!("\"version\":{version},\"x\":2"));
        check_refused(&newer, ArchiveErrorKind::UnknownVersion, None);
    }
}

#[test]
fn a_bad_line_is_named_by_its_number() {
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    for bad in ["", "nonsense", "{\"mystery\":{}}", "[]", "{\"message\":{\"id\":\"\"}}"] {
        let mut broken = lines.clone();
        broken[4] = bad;
        check_refused(&(broken.join("\n") + "\n"), ArchiveErrorKind::BadLine, Some(5));
    }
}

#[test]
fn fields_that_are_not_known_are_refused() {
    let more = EVERYTHING.replace("\"stop_requested\"", "\"more\":1,\"stop_requested\"");
    let error = lines_of(&more).expect_err("is refused");
    assert_eq!(error.kind(), ArchiveErrorKind::BadLine);
}

#[test]
fn a_cut_at_every_byte_is_told() {
    let archive = archive_of(&long_conversation(2));
    for end in 0..archive.len().saturating_sub(1) {
        if !archive.is_char_boundary(end) {
            continue;
        }
        let error = lines_of(&archive[..end]).expect_err("is refused");
        assert_eq!(error.kind(), ArchiveErrorKind::Truncated, "cut at {end}: {error}");
    }
}

#[test]
fn a_lost_or_doubled_line_is_told() {
    let lines: Vec<&str> = EVERYTHING.lines().collect();
    let mut lost = lines.clone();
    lost.remove(3);
    let last = u64::try_from(lines.len()).expect("few");
    check_refused(&(lost.join("\n") + "\n"), ArchiveErrorKind::CountsDiffer, Some(last - 1));
    let mut doubled = lines.clone();
    doubled.insert(3, lines[3]);
    check_refused(&(doubled.join("\n") + "\n"), ArchiveErrorKind::CountsDiffer, Some(last + 1));
}

#[test]
fn nothing_follows_the_last_line() {
    let last = u64::try_from(EVERYTHING.lines().count()).expect("few");
    let twice = [EVERYTHING, EVERYTHING].concat();
    check_refused(&twice, ArchiveErrorKind::OutOfPlace, Some(last + 1));
    let header = EVERYTHING.lines().next().expect("has one");
    let second = format!("{header}\n{EVERYTHING}");
    check_refused(&second, ArchiveErrorKind::OutOfPlace, Some(2));
}

#[test]
fn a_line_beyond_the_bound_is_not_read_into_memory() {
    let longest = EVERYTHING.lines().map(str::len).max().expect("has lines");
    let read = |bound: usize| {
        let bound = u64::try_from(bound).expect("small");
        let mut reader = ArchiveReader::with_line_bytes_max(EVERYTHING.as_bytes(), bound)?;
        while reader.next_line()?.is_some() {}
        Ok::<u64, chat_archive::ArchiveError>(reader.line_number())
    };
    let last = u64::try_from(EVERYTHING.lines().count()).expect("few");
    assert_eq!(read(longest + 1).expect("reads"), last);
    let error = read(longest - 1).expect_err("is refused");
    assert_eq!(error.kind(), ArchiveErrorKind::BadLine);
}
