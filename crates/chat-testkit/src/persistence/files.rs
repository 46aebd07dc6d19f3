//! Files: what is known of them is kept once, per scope.

use std::sync::Arc;

use chat_persist::PersistErrorKind;
use chat_types::{ContentHash, FileId, FileRecord, Scope};

use crate::Store;
use crate::fixtures::{
    Sent, assert_refused, at, c, id, import, in_parallel, line, scope, scope_of, strangers,
};

pub(crate) fn file(name: &str) -> FileRecord {
    FileRecord {
        id: id(name),
        name: format!("{name}.txt"),
        media_type: "text/plain".into(),
        size_bytes: 12,
        content: ContentHash::of([name]),
        created_at: at(1_000),
    }
}

async fn keep(store: &Arc<dyn Store>, files: &[FileRecord]) {
    store.keep_files(&scope(), files).await.expect("keeps");
}

async fn read(store: &Arc<dyn Store>, scope: &Scope, names: &[&str]) -> Vec<FileRecord> {
    let ids: Vec<FileId> = names.iter().map(|name| id(name)).collect();
    store.files(scope, &ids).await.expect("reads")
}

/// Every field of a file comes back, whatever its name and size.
pub async fn every_file_field_round_trips(store: &Arc<dyn Store>) {
    let files = [
        file("f-1"),
        FileRecord {
            name: "ü 'quoted' \"twice\" \\ \u{1f600}\n.pdf".into(),
            media_type: "application/pdf; x=\"y\"".into(),
            size_bytes: 9_007_199_254_740_993,
            content: ContentHash::from_stored("no digits of ours".into()),
            created_at: at(-1),
            ..file("f-2")
        },
        FileRecord { name: String::new(), media_type: String::new(), size_bytes: 0, ..file("f-3") },
    ];
    keep(store, &files).await;
    assert_eq!(read(store, &scope(), &["f-1", "f-2", "f-3"]).await, files);
}

/// Files come in the order asked, also twice; those that are not there are left out.
pub async fn files_come_in_the_order_asked(store: &Arc<dyn Store>) {
    keep(store, &[file("a"), file("b"), file("c")]).await;
    let expected = [file("c"), file("a"), file("c")];
    assert_eq!(read(store, &scope(), &["c", "none", "a", "c"]).await, expected);
    assert_eq!(read(store, &scope(), &["none"]).await, []);
    assert_eq!(read(store, &scope(), &[]).await, []);
}

/// The same record again changes nothing; new ones beside it are kept.
pub async fn keeping_a_file_again_changes_nothing(store: &Arc<dyn Store>) {
    keep(store, &[]).await;
    keep(store, &[file("a")]).await;
    keep(store, &[file("a"), file("b"), file("b")]).await;
    assert_eq!(read(store, &scope(), &["a", "b"]).await, [file("a"), file("b")]);
}

/// An id that stands for another record is a conflict, and nothing of the call is kept.
pub async fn another_record_of_one_id_is_a_conflict(store: &Arc<dyn Store>) {
    keep(store, &[file("a")]).await;
    let other = |name: &str| FileRecord { size_bytes: 13, ..file(name) };
    let refused = store.keep_files(&scope(), &[file("b"), other("a")]).await;
    assert_refused(refused, PersistErrorKind::Conflict);
    let refused = store.keep_files(&scope(), &[file("b"), other("b")]).await;
    assert_refused(refused, PersistErrorKind::Conflict);
    assert_eq!(read(store, &scope(), &["a", "b"]).await, [file("a")]);
}

/// Another user, and another tenant, finds none of them and may use the same ids.
pub async fn files_of_strangers_are_not_found(store: &Arc<dyn Store>) {
    keep(store, &[file("a")]).await;
    for stranger in strangers() {
        assert_eq!(read(store, &stranger, &["a"]).await, []);
        let theirs = FileRecord { name: "mine".into(), ..file("a") };
        store.keep_files(&stranger, std::slice::from_ref(&theirs)).await.expect("keeps");
        assert_eq!(read(store, &stranger, &["a"]).await, [theirs]);
    }
    assert_eq!(read(store, &scope(), &["a"]).await, [file("a")]);
}

/// A thousand files are kept in one call and read in one.
pub async fn a_thousand_files_are_one_call(store: &Arc<dyn Store>) {
    let files: Vec<FileRecord> = (0..1_000).map(|n| file(&format!("f-{n}"))).collect();
    keep(store, &files).await;
    let ids: Vec<FileId> = files.iter().map(|file| file.id.clone()).collect();
    assert_eq!(store.files(&scope(), &ids).await.expect("reads"), files);
}

/// Files belong to the scope: they outlive the conversation that named them.
pub async fn files_outlive_conversations(store: &Arc<dyn Store>) {
    import(&**store, &line(2)).await;
    keep(store, &[file("a")]).await;
    assert!(store.delete_conversation(&scope(), &c()).await.expect("deletes"));
    assert_eq!(read(store, &scope(), &["a"]).await, [file("a")]);
}

/// Files need no conversation, and make none.
pub async fn files_need_no_conversation(store: &Arc<dyn Store>) {
    keep(store, &[file("a")]).await;
    assert_eq!(store.conversation(&scope(), &c()).await.expect("reads"), None);
    Sent::named("1").accept(&**store).await;
    assert_eq!(read(store, &scope(), &["a"]).await, [file("a")]);
}

/// The same files kept 16 times at once are there once.
pub async fn parallel_keeps_are_one(store: &Arc<dyn Store>) {
    in_parallel(16, |_| {
        let store = Arc::clone(store);
        async move { keep(&store, &[file("a"), file("b")]).await }
    })
    .await;
    let scanned = store.scan_files(None, 10).await.expect("scans");
    assert_eq!(scanned, [(scope(), file("a")), (scope(), file("b"))]);
}

/// Files of all scopes are scanned page by page, by tenant, user and id.
pub async fn scan_pages_through_all_files(store: &Arc<dyn Store>) {
    let mut expected = Vec::new();
    let owners = ["acme/ada", "acme/Bob", "Acme/ada", "a/z", "acme/ada_1", "acme/ada-1"];
    for owner in owners {
        let (tenant, user) = owner.split_once('/').expect("two names");
        let owner = scope_of(tenant, user);
        let files = ["a", "B", "c_1", "c-1", "c:1"].map(file);
        store.keep_files(&owner, &files).await.expect("keeps");
        expected.extend(files.map(|file| (owner.clone(), file)));
    }
    expected.sort_by_key(|(scope, file)| (scope.clone(), file.id.clone()));
    let mut scanned: Vec<(Scope, FileRecord)> = Vec::new();
    loop {
        let after = scanned.last().map(|(scope, file)| (scope.clone(), file.id.clone()));
        let page = store.scan_files(after.as_ref(), 4).await.expect("scans");
        assert!(page.len() <= 4, "{page:?}");
        if page.is_empty() {
            break;
        }
        scanned.extend(page);
    }
    assert_eq!(scanned, expected);
}
