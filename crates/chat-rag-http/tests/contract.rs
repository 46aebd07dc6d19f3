//! The contract over real HTTP, with a reference service: what is sent, what answers mean.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests may fail the test"
)]

mod service;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chat_rag::{
    DocumentFilter, RagClient as _, RagErrorKind, RetrievalRequest, Snippet, citations,
};
use chat_rag_http::{HttpRag, HttpRagConfig, Upload};
use chat_transport::HttpTransport;
use chat_types::{FileId, ManualClock, Scope, TenantId, Timestamp, UserId};
use serde_json::Value;
use service::{Fault, Service};

const SECRET: &str = "a secret of the service";

fn scope(tenant: &str, user: &str) -> Scope {
    Scope::new(TenantId::new(tenant).expect("valid"), UserId::new(user).expect("valid"))
}

fn ada() -> Scope {
    scope("acme", "ada")
}

fn file(id: &str) -> FileId {
    FileId::new(id).expect("valid")
}

fn client(service: &Service, adjust: impl FnOnce(&mut HttpRagConfig)) -> HttpRag {
    let mut config = HttpRagConfig::new(service.url(), TenantId::new("acme").expect("valid"));
    config.secret = service.secret().map(Into::into);
    adjust(&mut config);
    let clock = ManualClock::starting_at(Timestamp::from_unix_ms(1_700_000_000_000));
    HttpRag::new(config, Arc::new(HttpTransport::default()), Arc::new(clock)).expect("sound")
}

async fn with_secret() -> (Service, HttpRag) {
    let service = Service::start(Some(SECRET)).await;
    let rag = client(&service, |_| {});
    (service, rag)
}

fn question(scope: Scope, query: &str, files: &[&str]) -> RetrievalRequest {
    let ids: Vec<FileId> = files.iter().map(|id| file(id)).collect();
    RetrievalRequest::new(scope, query).with_filter(DocumentFilter::documents(ids))
}

async fn ask(rag: &HttpRag, request: &RetrievalRequest) -> Vec<Snippet> {
    rag.retrieve(request).await.expect("retrieves")
}

fn texts(snippets: &[Snippet]) -> Vec<&str> {
    snippets.iter().map(|snippet| snippet.text.as_str()).collect()
}

#[tokio::test]
async fn a_search_is_sent_and_read_as_the_contract_says() {
    let (service, rag) = with_secret().await;
    service.chunk("manual", "ada", "Descale the kettle monthly.");
    service.chunk("manual", "ada", "The warranty is two years.");
    let request = question(ada(), "descale the kettle", &["manual"]).with_limit(5);
    let snippets = ask(&rag, &request).await;

    let received = service.received();
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].method.as_str(), received[0].path.as_str()), ("POST", "/query"));
    assert_eq!(received[0].user.as_deref(), Some("ada"));
    let body: Value = serde_json::from_str(&received[0].body).expect("JSON");
    let expected = serde_json::json!({"query": "descale the kettle", "file_id": "manual", "k": 5});
    assert_eq!(body, expected);

    assert_eq!(texts(&snippets), ["Descale the kettle monthly.", "The warranty is two years."]);
    assert_eq!((snippets[0].score, snippets[0].rank), (1.0, 1));
    assert!((snippets[1].score - 1.0 / 3.0).abs() < 1e-9);
    assert_eq!(snippets[0].name, "manual.pdf");
    assert_eq!(citations(&snippets)[0].title, "manual.pdf, page 3");
    assert_eq!(snippets[0].id.document, file("manual"));
    assert_eq!(ask(&rag, &request).await, snippets, "source ids stay");
}

#[tokio::test]
async fn files_are_searched_each_and_make_one_list() {
    let (service, rag) = with_secret().await;
    for n in 0..20 {
        service.chunk(&format!("f-{n}"), "ada", &format!("File{n} speaks of kettles."));
    }
    service.chunk("f-7", "ada", "Descale kettles with vinegar.");
    let files: Vec<String> = (0..20).map(|n| format!("f-{n}")).collect();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let request = question(ada(), "descale kettles vinegar", &files).with_limit(3);
    let snippets = ask(&rag, &request).await;
    assert_eq!(snippets.len(), 3);
    assert_eq!(snippets[0].text, "Descale kettles with vinegar.");
    assert_eq!(snippets.iter().map(|snippet| snippet.rank).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(service.received().len(), 20);
}

#[tokio::test]
async fn one_failed_file_does_not_fail_the_others() {
    let (service, rag) = with_secret().await;
    service.chunk("good", "ada", "The kettle is hot.");
    service.chunk("bad", "ada", "The kettle is cold.");
    for fault in [Fault::Status(500), Fault::Body("<html>Log in</html>".to_owned())] {
        service.fault("/query bad", fault);
        let found = ask(&rag, &question(ada(), "kettle", &["bad", "good"])).await;
        assert_eq!(texts(&found), ["The kettle is hot."]);
    }
    service.fault("/query", Fault::Status(500));
    service.fault("/query bad", Fault::Status(500));
    let all = rag.retrieve(&question(ada(), "kettle", &["bad", "good"])).await;
    let error = all.expect_err("every file failed");
    assert_eq!((error.kind(), error.is_transient()), (RagErrorKind::Unavailable, true));
    assert!(error.to_string().contains("500 \"out of order\""), "{error}");
}

#[tokio::test]
async fn what_belongs_to_others_is_dropped_although_the_service_sends_it() {
    let (service, rag) = with_secret().await;
    service.chunk("mixed", "ada", "kettle kettle of ada");
    service.chunk("mixed", "bob", "secret kettle of bob");
    let found = ask(&rag, &question(ada(), "kettle of ada", &["mixed"])).await;
    assert_eq!(texts(&found), ["kettle kettle of ada"]);
    service.chunk("bobs", "bob", "another kettle of bob");
    assert_eq!(ask(&rag, &question(ada(), "kettle", &["bobs"])).await, []);
    // The service is one tenant's: nobody else's users reach it.
    let asked = service.received().len();
    assert_eq!(ask(&rag, &question(scope("umbrella", "ada"), "kettle", &["mixed"])).await, []);
    assert_eq!(service.received().len(), asked);
}

#[tokio::test]
async fn an_answer_about_another_file_is_dropped() {
    let (service, rag) = with_secret().await;
    let body = r#"[[{"page_content":"x","metadata":{"file_id":"other","user_id":"ada"}},0.1]]"#;
    service.fault("/query", Fault::Body(body.to_owned()));
    assert_eq!(ask(&rag, &question(ada(), "kettle", &["manual"])).await, []);
}

#[tokio::test]
async fn an_entitys_files_are_searched_in_its_name() {
    let service = Service::start(Some(SECRET)).await;
    let rag = client(&service, |config| config.entity = Some("agent-1".to_owned()));
    service.chunk("shared", "agent-1", "The kettle of the agent.");
    assert_eq!(ask(&rag, &question(ada(), "kettle", &["shared"])).await.len(), 1);
    assert!(service.received()[0].body.contains("\"entity_id\":\"agent-1\""));
}

#[tokio::test]
async fn an_open_service_takes_no_token_and_stores_for_everybody() {
    let service = Service::start(None).await;
    let rag = client(&service, |_| {});
    service.chunk("manual", "public", "The kettle is hot.");
    assert_eq!(ask(&rag, &question(ada(), "kettle", &["manual"])).await.len(), 1);
}

#[tokio::test]
async fn the_caller_must_name_the_files() {
    let (service, rag) = with_secret().await;
    let error = rag.retrieve(&RetrievalRequest::new(ada(), "kettle")).await.expect_err("refuses");
    assert_eq!(error.kind(), RagErrorKind::Invalid);
    assert_eq!(ask(&rag, &question(ada(), "kettle", &[])).await, []);
    let collections = DocumentFilter::collections(["tea".parse().expect("valid")]);
    let request = RetrievalRequest::new(ada(), "kettle").with_filter(collections);
    assert_eq!(rag.retrieve(&request).await.expect_err("refuses").kind(), RagErrorKind::Invalid);
    assert_eq!(ask(&rag, &question(ada(), " ?! ", &["manual"])).await, []);
    assert_eq!(service.received().len(), 0);
}

#[tokio::test]
async fn nothing_found_is_an_empty_answer() {
    let (service, rag) = with_secret().await;
    assert_eq!(ask(&rag, &question(ada(), "kettle", &["unknown"])).await, []);
    service.fault("/query", Fault::Status(404));
    assert_eq!(ask(&rag, &question(ada(), "kettle", &["unknown"])).await, []);
}

#[tokio::test]
async fn a_slow_service_is_left_at_the_deadline() {
    let (service, rag) = with_secret().await;
    service.chunk("manual", "ada", "The kettle is hot.");
    service.fault("/query", Fault::Delay(Duration::from_secs(30)));
    let hurried = RetrievalRequest {
        deadline: Some(Duration::from_millis(200)),
        ..question(ada(), "kettle", &["manual"])
    };
    let start = Instant::now();
    let error = rag.retrieve(&hurried).await.expect_err("is late");
    assert_eq!((error.kind(), error.is_transient()), (RagErrorKind::Timeout, true));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn answers_beyond_the_bound_are_refused() {
    let service = Service::start(Some(SECRET)).await;
    let rag = client(&service, |config| config.answer_bytes_max = 10_000);
    service.fault("/query", Fault::Body("[".repeat(20_000)));
    let error = rag.retrieve(&question(ada(), "kettle", &["manual"])).await.expect_err("refuses");
    assert_eq!(error.kind(), RagErrorKind::TooLarge);
}

#[tokio::test]
async fn answers_outside_the_contract_are_named_so() {
    let (service, rag) = with_secret().await;
    for body in
        ["", "null", "{}", "[[1,2]]", "[[{\"metadata\":{}},0.1]]", "[[{\"page_content\":1},0]]"]
    {
        service.fault("/query", Fault::Body(body.to_owned()));
        let asked = rag.retrieve(&question(ada(), "kettle", &["manual"])).await;
        assert_eq!(asked.expect_err("refuses").kind(), RagErrorKind::Malformed, "{body}");
    }
    // Metadata of any shape are no trouble.
    let odd =
        r#"[[{"page_content":"x","metadata":{"page":"7","source":3,"file_id":null,"y":[]}},2.5]]"#;
    service.fault("/query", Fault::Body(odd.to_owned()));
    let found = ask(&rag, &question(ada(), "kettle", &["manual"])).await;
    assert_eq!((found[0].score, found[0].name.as_str()), (0.0, "manual"));
    assert_eq!(found[0].location.page, Some(8));
}

#[tokio::test]
async fn a_wrong_secret_is_said_so() {
    let service = Service::start(Some(SECRET)).await;
    let rag = client(&service, |config| config.secret = Some("another".into()));
    let error = rag.retrieve(&question(ada(), "kettle", &["manual"])).await.expect_err("refuses");
    assert_eq!((error.kind(), error.is_transient()), (RagErrorKind::Unauthorized, false));
    let shown = format!("{rag:?} {error:?} {error}");
    assert!(!shown.contains("another") && !shown.contains("eyJ"), "{shown}");
}

#[tokio::test]
async fn files_are_embedded_read_and_removed() {
    let (service, rag) = with_secret().await;
    let id = file("manual");
    let upload = Upload {
        id: &id,
        name: "../manual \"1\".md",
        media_type: "text/markdown",
        bytes: b"Descale it.\r\n\r\n--and dashes--",
    };
    let embedded = rag.embed(&ada(), upload).await.expect("embeds");
    assert_eq!(embedded.known_type, Some(true));
    assert_eq!(service.received()[0].user.as_deref(), Some("ada"));
    let found = ask(&rag, &question(ada(), "descale", &["manual"])).await;
    assert_eq!(texts(&found), ["Descale it.\r\n\r\n--and dashes--"]);
    assert_eq!(
        rag.context(&ada(), &id).await.expect("reads").as_deref(),
        Some("Descale it.\r\n\r\n--and dashes--")
    );
    assert_eq!(rag.context(&ada(), &file("unknown")).await.expect("reads"), None);
    assert!(rag.remove(&ada(), std::slice::from_ref(&id)).await.expect("removes"));
    assert!(!rag.remove(&ada(), std::slice::from_ref(&id)).await.expect("removes"));
    assert_eq!(ask(&rag, &question(ada(), "descale", &["manual"])).await, []);
    let text = rag.text(&ada(), Upload { bytes: b"plain", ..upload }).await.expect("extracts");
    assert_eq!(text, "plain");
}

#[tokio::test]
async fn newer_services_are_asked_to_remove_in_their_words() {
    let (service, rag) = with_secret().await;
    service.take_objects_only();
    service.chunk("manual", "ada", "The kettle is hot.");
    assert!(rag.remove(&ada(), &[file("manual")]).await.expect("removes"));
    let last = service.received().pop().expect("was asked");
    assert_eq!(last.body, r#"{"entity_id":"ada","file_ids":["manual"]}"#);
}

#[tokio::test]
async fn stored_nothing_is_an_error_although_the_status_is_200() {
    let (service, rag) = with_secret().await;
    let id = file("manual");
    let upload = Upload { id: &id, name: "a.md", media_type: "text/markdown", bytes: b"x" };
    let body =
        r#"{"status":false,"message":"Failed to process/store the file data.","file_id":"manual"}"#;
    service.fault("/embed", Fault::Body(body.to_owned()));
    let error = rag.embed(&ada(), upload).await.expect_err("refuses");
    assert!(error.to_string().contains("stored nothing: Failed to process/store"), "{error}");
    assert_eq!(error.kind(), RagErrorKind::Unsupported);
    let other = r#"{"status":true,"message":"ok","file_id":"another"}"#;
    service.fault("/embed", Fault::Body(other.to_owned()));
    assert_eq!(
        rag.embed(&ada(), upload).await.expect_err("refuses").kind(),
        RagErrorKind::Malformed
    );
    let small = client(&service, |config| config.upload_bytes_max = 0);
    assert_eq!(
        small.embed(&ada(), upload).await.expect_err("refuses").kind(),
        RagErrorKind::TooLarge
    );
    let stranger = rag.embed(&scope("umbrella", "ada"), upload).await.expect_err("refuses");
    assert_eq!(stranger.kind(), RagErrorKind::Unauthorized);
}

#[tokio::test]
async fn health_is_what_the_service_says_and_not_its_status() {
    let (service, rag) = with_secret().await;
    assert!(rag.is_healthy(&ada()).await.expect("answers"));
    service.fault("/health", Fault::Body(r#"[{"status":"DOWN"},503]"#.to_owned()));
    assert!(!rag.is_healthy(&ada()).await.expect("answers"));
    let nobody = HttpRagConfig::new("http://127.0.0.1:9", TenantId::new("acme").expect("valid"));
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_ms(0)));
    let nobody = HttpRag::new(nobody, Arc::new(HttpTransport::default()), clock).expect("sound");
    let error = nobody.is_healthy(&ada()).await.expect_err("nobody answers");
    assert_eq!(error.kind(), RagErrorKind::Unavailable);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let transport = Arc::new(HttpTransport::default());
    let clock = Arc::new(ManualClock::starting_at(Timestamp::from_unix_ms(0)));
    for url in
        ["", "rag", "ftp://rag", "http://", "http:///path", "http://u:p@rag", "http://rag?x=1"]
    {
        let config = HttpRagConfig::new(url, TenantId::new("acme").expect("valid"));
        let refused = HttpRag::new(config, transport.clone(), clock.clone());
        assert_eq!(refused.err().map(|error| error.kind()), Some(RagErrorKind::Invalid), "{url}");
    }
    let config = HttpRagConfig::new("http://rag", TenantId::new("acme").expect("valid"));
    let config = config.with_secret("".into());
    assert!(HttpRag::new(config, transport, clock).is_err());
}
