//! M3: every attempt that reached a provider is billed exactly once, wherever it was stopped; and a turn
//! that is stopped before its call leaves nothing held.

use std::time::Duration;

use chat_runtime::{Cursor, EventKind, Runtime, StreamExt, Turn};
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, SceneOptions, request, seed};
use chat_types::TurnState;
use tokio::task::JoinSet;

use crate::calls::{judge_calls, text_of};
use crate::counted;

/// Words of a reply that stands still somewhere.
const CHUNKS: usize = 30;
/// Words of a reply that is stopped while it runs: long enough that two words on their way are within 5 %.
const CHUNKS_RUNNING: usize = 60;
const PATIENCE: Duration = Duration::from_secs(30);
/// Turns stopped before their call at a time.
const LANES: usize = 8;

on_every_engine! {
    m3_a_stop_at_any_of_forty_points_bills_the_call_once,
    m4_a_stop_between_hold_and_call_leaves_nothing_held,
}

/// A model, and how many words are read before the stop; none: before the head of the answer.
#[derive(Debug, Clone)]
struct Point {
    model: String,
    words: Option<usize>,
}

fn points() -> Vec<Point> {
    let point = |pairs: String, words| Point { model: format!("fake:out-plain:{pairs}"), words };
    let mut points = vec![point("header_delay_ms-30000".to_owned(), None)];
    points.extend(
        (0..=CHUNKS)
            .map(|words| point(format!("chunks-{CHUNKS}:stall_after-{words}"), Some(words))),
    );
    // Around the end: on the last words, and where the end is not as it should be.
    let running = format!("chunks-{CHUNKS_RUNNING}:delay_ms-10");
    for words in CHUNKS_RUNNING - 2..=CHUNKS_RUNNING {
        points.push(point(running.clone(), Some(words)));
    }
    for end in ["no_usage", "no_done", "no_usage:no_done"] {
        points.push(point(format!("{running}:{end}"), Some(CHUNKS_RUNNING)));
    }
    points.push(point(format!("{running}:cut_after-{CHUNKS_RUNNING}"), Some(CHUNKS_RUNNING)));
    points
        .push(point(format!("{running}:error_event_after-{CHUNKS_RUNNING}"), Some(CHUNKS_RUNNING)));
    points
}

fn m3_a_stop_at_any_of_forty_points_bills_the_call_once(engine: Engine) {
    let points = points();
    assert_eq!(points.len(), 40);
    let models = points.iter().map(|point| point.model.clone());
    let scene = Scene::with(engine, &SceneOptions::of_the_living().with_plain_models(models));
    let rounds = usize::try_from(counted(1, 20)).unwrap();
    on_a_runtime(&scene, async |runtime| {
        for round in 0..rounds {
            let mut stops = JoinSet::new();
            for (place, point) in points.iter().enumerate() {
                let text = text_of(round * points.len() + place);
                let turn = send(runtime, &point.model, &text).await;
                stops.spawn(stop_at(turn, point.clone()));
            }
            // Before the head nobody but the provider knows that it was asked.
            let all = u64::try_from((round + 1) * points.len()).unwrap();
            let books = scene.provider.wait_until(PATIENCE, |books| books.totals.requests == all);
            books.unwrap();
            stops.join_all().await;
        }
    });
    let all_ended = |books: &chat_tests::fake_provider::LedgerSummary| books.totals.open == 0;
    scene.provider.wait_until(PATIENCE, all_ended).unwrap();
    let tally = judge_calls(&scene, 0);
    println!("{engine:?}: {tally}");
    tally.assert();
    assert_eq!(tally.unseen, 0);
    assert!(tally.estimated >= rounds * (CHUNKS + 2), "{tally}");
    println!("{}", scene.audit());
}

/// Reads until the point is reached, then stops the turn; returns when its bill is settled.
async fn stop_at(turn: Turn, point: Point) {
    let mut events = turn.events(Cursor::START).await.unwrap();
    let mut text = String::new();
    let is_there = |event: &EventKind, text: &mut String| match event {
        EventKind::Attempt { .. } => point.words.is_none_or(|words| words == 0),
        EventKind::TextDelta { text: more, .. } => {
            text.push_str(more);
            point.words.is_some_and(|words| text.split_whitespace().count() >= words)
        }
        EventKind::Ended { .. } => true,
        _ => false,
    };
    while let Some(event) = events.next().await {
        if is_there(&event.unwrap().event, &mut text) {
            break;
        }
    }
    if point.words.is_none_or(|words| words == 0) {
        // The request has to arrive before it can be stopped on its way back.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    turn.stop().await.unwrap();
    let outcome = turn.outcome().await.unwrap();
    assert!(outcome.state.is_terminal() && outcome.state != TurnState::Rejected, "{point:?}");
    turn.settled().await;
}

fn m4_a_stop_between_hold_and_call_leaves_nothing_held(engine: Engine) {
    // It never says a word, so it does not matter how far a call has got.
    const MODEL: &str = "fake:out-plain:header_delay_ms-30:stall_after-0";
    let options = SceneOptions::of_the_living().with_plain_models([MODEL.to_owned()]);
    let scene = Scene::with(engine, &options);
    let stops = usize::try_from(counted(40, 500)).unwrap();
    let mut rng = fastrand::Rng::with_seed(seed());
    on_a_runtime(&scene, async |runtime| {
        let mut under_way = JoinSet::new();
        for number in 0..stops {
            if under_way.len() == LANES {
                under_way.join_next().await.unwrap().unwrap();
            }
            let turn = send(runtime, MODEL, &text_of(number)).await;
            let pause = Duration::from_micros(rng.u64(..20_000));
            under_way.spawn(async move {
                tokio::time::sleep(pause).await;
                turn.stop().await.unwrap();
                turn.outcome().await.unwrap();
                turn.settled().await;
            });
        }
        under_way.join_all().await;
    });
    let all_ended = |books: &chat_tests::fake_provider::LedgerSummary| books.totals.open == 0;
    scene.provider.wait_until(PATIENCE, all_ended).unwrap();
    let tally = judge_calls(&scene, 0);
    println!("{engine:?}: {tally}");
    tally.assert();
}

async fn send(runtime: &Runtime, model: &str, text: &str) -> Turn {
    let scope = runtime.scope("ada").unwrap();
    runtime.client().send_message(&scope, request(model, text, 64)).await.unwrap()
}

/// Opens the scene's store in this process, works, and ends gracefully.
pub(crate) fn on_a_runtime<T>(scene: &Scene, work: impl AsyncFnOnce(&Runtime) -> T) -> T {
    let threads =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    threads.block_on(async {
        let runtime = scene.open().await;
        let done = work(&runtime).await;
        runtime.close().await;
        done
    })
}
