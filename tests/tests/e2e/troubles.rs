//! Servers that refuse, vanish or talk nonsense: a code, a remedy, an exit code, and nothing lost.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use chat_tests::{ChatHome, FakeProvider, FakeProviderOptions};
use chat_types::EventKind;
use tempfile::TempDir;

use crate::books::Books;
use crate::peer::told;
use crate::watched::Watched;

/// What the program promises for a failed model.
const EXIT_PROVIDER: i32 = 5;

struct Scene {
    home: ChatHome,
    provider: FakeProvider,
    _folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let provider = FakeProvider::spawn_with(&FakeProviderOptions {
            price_in: 150_000,
            price_out: 600_000,
            api_key: Some("the-key".to_owned()),
            ..FakeProviderOptions::default()
        })
        .unwrap();
        let (home, folder) = home(&provider.base_url(), "the-key");
        Self { home, provider, _folder: folder }
    }

    fn send(&self, model: &str) -> Watched {
        let model = format!("openai/{model}");
        let arguments = ["--model", &model, "send", "--json", "keep this message"];
        Watched::run(self.home.command(arguments))
    }
}

fn home(base_url: &str, key: &str) -> (ChatHome, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book.toml");
    std::fs::write(
        &book,
        "book = \"made-up\"\n[[price]]\nmodel = \"openai/fake*\"\nvalid_from = 2020-01-01\n\
         input = \"0.15\"\noutput = \"0.60\"\n",
    )
    .unwrap();
    let config =
        format!("store = \"sqlite:unused.db\"\nprices = {:?}\n", book.display().to_string());
    let home = ChatHome::new(folder.path(), &config)
        .unwrap()
        .with_variable("OPENAI_BASE_URL", base_url)
        .with_variable("OPENAI_API_KEY", key);
    (home, folder)
}

/// The command failed with this code, said what to do, and kept the user's message.
#[track_caller]
fn assert_failed(home: &ChatHome, sent: &Watched, code: &str) {
    assert_eq!(sent.status.code(), Some(EXIT_PROVIDER), "{}", sent.stderr);
    let line = format!("error[{code}]");
    assert!(sent.stderr.contains(&line), "{line} is not in: {}", sent.stderr);
    assert!(sent.stderr.contains("help: "), "no remedy: {}", sent.stderr);
    let events = sent.events();
    let EventKind::Accepted { conversation, .. } = &events[0].1.event else {
        panic!("{:?}", events[0])
    };
    let shown = home.run(["show", conversation.as_str()]).unwrap();
    let shown = told(&shown);
    assert!(shown.contains("keep this message"), "{shown}");
    let audit = home.run(["audit"]).unwrap();
    assert!(audit.status.success(), "{}", told(&audit));
    println!("{}", sent.stderr.trim());
}

#[test]
fn a_wrong_key_says_so_and_costs_nothing() {
    let scene = Scene::new();
    let home = scene.home.with_variable("OPENAI_API_KEY", "another-key");
    let sent = Watched::run(home.command([
        "--model",
        "openai/fake",
        "send",
        "--json",
        "keep this message",
    ]));
    assert_failed(&home, &sent, "provider_unauthorized");
    assert!(!sent.stderr.contains("another-key") && !sent.stdout().contains("another-key"));
    assert!(Books::read(&home.store()).usage.is_empty());
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // Bound and let go again: nobody listens there.
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let (home, _folder) = home(&format!("http://127.0.0.1:{port}/v1"), "any");
    let sent = Watched::run(home.command([
        "--model",
        "openai/fake",
        "send",
        "--json",
        "keep this message",
    ]));
    assert_failed(&home, &sent, "provider_unavailable");
    assert!(Books::read(&home.store()).usage.is_empty());
}

#[test]
fn a_web_page_is_no_answer() {
    let scene = Scene::new();
    let sent = scene.send("fake:html");
    assert_failed(&scene.home, &sent, "provider_protocol");
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for() {
    let scene = Scene::new();
    let start = Instant::now();
    let sent = scene.send("fake:chunks-12:status-429:retry_after_ms-700:fail_times-1");
    sent.assert_ok();
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(700), "{took:?}");
    assert_eq!(scene.provider.ledger().unwrap().totals.requests, 2);
    let books = Books::read(&scene.home.store());
    let charged = scene.provider.ledger().unwrap().totals.charge_nano_usd;
    let billed: i64 = books.usage.iter().map(|row| row.amount.nano_usd()).sum();
    assert_eq!(u64::try_from(billed), Ok(charged));
}

#[test]
fn a_server_that_only_asks_to_wait_fails_in_the_end() {
    let scene = Scene::new();
    let sent = scene.send("fake:status-429:retry_after_ms-20");
    assert_failed(&scene.home, &sent, "provider_rate_limited");
    assert!(Books::read(&scene.home.store()).usage.is_empty());
}

#[test]
fn a_cut_stream_keeps_what_was_said_and_bills_it() {
    let scene = Scene::new();
    let sent = scene.send("fake:chunks-12:cut_after-5");
    assert_eq!(sent.status.code(), Some(EXIT_PROVIDER), "{}", sent.stderr);
    assert!(sent.stderr.contains("error["), "{}", sent.stderr);
    println!("{}", sent.stderr.trim());
    let events = sent.events();
    let EventKind::Accepted { conversation, .. } = &events[0].1.event else {
        panic!("{:?}", events[0])
    };
    let shown = told(&scene.home.run(["show", conversation.as_str()]).unwrap());
    for kept in ["keep this message", "w0 w1 w2 w3 w4"] {
        assert!(shown.contains(kept), "{kept} is not in {shown}");
    }
    let books = Books::read(&scene.home.store());
    assert_eq!(books.usage.len(), 1);
    assert!(books.usage[0].amount.nano_usd() > 0);
    let requests = scene.provider.ledger().unwrap().totals.requests;
    assert_eq!(requests, 1, "text was shown, so it must not be sent again");
    let audit = scene.home.run(["audit"]).unwrap();
    assert!(audit.status.success(), "{}", told(&audit));
}
