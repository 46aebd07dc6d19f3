//! What the ledger has to tell reaches a receiver: at least once, in order, whoever dies or is away meanwhile.

use std::time::Duration;

use chat_tests::scene::{Engine, Scene, SceneOptions};
use chat_tests::{NoticeReceiver, Posted, on_every_engine};
use chat_types::Money;
use serde_json::Value;

use crate::attempts::on_a_runtime;

const MODEL: &str = "fake:out-plain:chunks-5:one_write";
/// A busy machine, and a sink that was left alone for a while.
const PATIENCE: Duration = Duration::from_secs(100);

on_every_engine! {
    a_program_killed_between_delivery_and_mark_delivers_again_and_loses_none,
    a_receiver_that_is_away_hears_all_of_it_later,
    a_low_account_is_told_once_and_every_turn_on_it_warns,
}

/// `chat notices --json`, one value a line.
pub(crate) fn untold(scene: &Scene, more: &[&str]) -> Vec<Value> {
    let said = scene.chat(&[&["notices", "--json"], more].concat());
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub(crate) fn kinds(notices: &[Value]) -> Vec<&str> {
    notices.iter().map(|notice| notice["kind"].as_str().unwrap()).collect()
}

fn keys(posted: &[Posted]) -> Vec<&str> {
    posted.iter().map(|posted| posted.key.as_str()).collect()
}

/// A send that is refused for want of funds.
fn refused(scene: &Scene) {
    let model = format!("openai/{MODEL}");
    let output = scene.home.run(["send", "--model", &model, "pay me"]).unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("too low"), "{said}");
}

fn a_program_killed_between_delivery_and_mark_delivers_again_and_loses_none(engine: Engine) {
    let receiver = NoticeReceiver::start().unwrap();
    let options = SceneOptions::of_the_dying().with_opening(Money::from_nano_usd(1));
    let scene = Scene::with(engine, &options.with_webhook(&receiver.url()));
    receiver.be_silent(true);
    let model = format!("openai/{MODEL}");
    let mut child = scene.home.command(["send", "--model", &model, "pay me"]).spawn().unwrap();
    let first = receiver.wait_for(1, PATIENCE).unwrap();
    // It has the notice, and the program does not know.
    child.kill().unwrap();
    child.wait().unwrap();
    receiver.be_silent(false);
    refused(&scene);
    let posted = receiver.wait_for(3, PATIENCE).unwrap();
    assert_eq!(posted.len(), 3, "{posted:?}");
    assert_eq!(posted[..2], [first[0].clone(), first[0].clone()], "the same key, the same bytes");
    assert_ne!(posted[2].key, first[0].key);
    assert_eq!(posted[0].body["kind"], "refused");
    assert_eq!(posted[0].body["id"], posted[0].key);
    assert_eq!(untold(&scene, &[]), Vec::<Value>::new());
}

fn a_receiver_that_is_away_hears_all_of_it_later(engine: Engine) {
    let receiver = NoticeReceiver::start().unwrap();
    let address = receiver.address();
    let options = SceneOptions::of_the_living().with_opening(Money::from_nano_usd(1));
    let scene = Scene::with(engine, &options.with_webhook(&receiver.url()));
    drop(receiver);
    refused(&scene);
    refused(&scene);
    let waiting = untold(&scene, &[]);
    assert_eq!(kinds(&waiting), ["refused", "refused"]);
    let heard = on_a_runtime(&scene, async |runtime| {
        // The same process finds it away, and then there.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let receiver = NoticeReceiver::at(address).unwrap();
        let waiting = tokio::task::spawn_blocking(move || receiver.wait_for(2, PATIENCE));
        let heard = waiting.await.unwrap().unwrap();
        runtime.client().drain().await;
        heard
    });
    let expected: Vec<_> = waiting.iter().map(|notice| notice["id"].as_str().unwrap()).collect();
    assert_eq!(keys(&heard), expected);
    assert_eq!(untold(&scene, &[]), Vec::<Value>::new());
}

fn a_low_account_is_told_once_and_every_turn_on_it_warns(engine: Engine) {
    let opening = Money::from_nano_usd(1_000_000_000);
    let options = SceneOptions::of_the_living().with_plain_models([MODEL.to_owned()]);
    let scene = Scene::with(engine, &options.with_opening(opening).with_warn_below(opening));
    let model = format!("openai/{MODEL}");
    let send = || scene.home.run(["send", "--model", &model, "pay me"]).unwrap();
    let warned = |output: &std::process::Output| {
        String::from_utf8_lossy(&output.stderr).matches(" is low: ").count()
    };
    assert_eq!(warned(&send()), 0);
    assert_eq!(warned(&send()), 1);
    let json = scene.chat(&["send", "--json", "--model", &model, "pay me"]);
    assert!(json.contains("\"low\":[{"), "{json}");
    let told = untold(&scene, &[]);
    assert_eq!(kinds(&told), ["low_balance"]);
    assert_eq!(untold(&scene, &["--take"]), told);
    assert_eq!(untold(&scene, &[]), Vec::<Value>::new());
}
