//! M4: whatever is killed and whenever, each call is billed once and nothing stays held for two leases.

use std::sync::Mutex;
use std::time::Duration;

use chat_tests::fake_provider::LedgerSummary;
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, SceneOptions, Sending, Sign, seed};
use fastrand::Rng;

use crate::calls::{judge_calls, text_of};
use crate::counted;

/// Processes that run and die at a time: more than cores, so that they get in each other's way.
const LANES: usize = 3;
/// A store's share of the long count: what is looked at afterwards is read whole.
const KILLS_PER_STORE: usize = 250;
/// A reply of two and a half seconds.
const MODEL: &str = "fake:out-plain:chunks-60:delay_ms-40:first_delay_ms-30";
const KILL_WITHIN_US: u64 = 2_600_000;
pub(crate) const CHECKPOINT_MS: u64 = 50;
/// What may have left the provider and not be durable here when the process dies: a checkpoint's worth (two
/// words), the commit under way, the socket's buffer until the provider notices (two), and what a busy disk
/// adds to each. A second's worth; what was durable is billed to the word all the same.
pub(crate) const IN_FLIGHT: u64 = 25;
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

on_every_engine! {
    m4_a_kill_at_any_time_bills_the_call_once_and_leaves_nothing_held,
}

fn m4_a_kill_at_any_time_bills_the_call_once_and_leaves_nothing_held(engine: Engine) {
    let kills = usize::try_from(counted(9, 1_000)).unwrap();
    let seed = seed();
    for first in (0..kills).step_by(KILLS_PER_STORE) {
        let options = SceneOptions::of_the_dying()
            .with_checkpoint_ms(CHECKPOINT_MS)
            .with_plain_models([MODEL.to_owned()]);
        let scene = Scene::with(engine, &options);
        let numbers = first..kills.min(first + KILLS_PER_STORE);
        let killed = kill_some(&scene, numbers, seed, &|_| MODEL);
        let all_ended = |books: &LedgerSummary| books.totals.open == 0;
        scene.provider.wait_until(PATIENCE, all_ended).unwrap();
        scene.recover();
        let tally = judge_calls(&scene, IN_FLIGHT);
        println!("{engine:?}: {killed} killed; {tally}");
        tally.assert();
        println!("{}", scene.audit());
    }
}

/// Sends messages to these models and kills the senders; returns how many died before their own end.
pub(crate) fn kill_some(
    scene: &Scene,
    numbers: std::ops::Range<usize>,
    seed: u64,
    model: &(dyn Fn(usize) -> &'static str + Sync),
) -> usize {
    let numbers = Mutex::new(numbers);
    let killed = Mutex::new(0);
    std::thread::scope(|threads| {
        for _ in 0..LANES {
            threads.spawn(|| {
                loop {
                    let Some(number) = numbers.lock().unwrap().next() else {
                        return;
                    };
                    let offset = u64::try_from(number).unwrap();
                    let mut rng = Rng::with_seed(seed.wrapping_add(offset));
                    let text = text_of(number);
                    let name = format!("kill-{number}");
                    let mut sending = Sending::start(scene, &name, model(number), &text);
                    // One in eight may die before anything is durable.
                    let sign = if rng.u8(..8) == 0 { Sign::Started } else { Sign::Accepted };
                    sending.wait_for(sign);
                    std::thread::sleep(Duration::from_micros(rng.u64(..KILL_WITHIN_US)));
                    *killed.lock().unwrap() += usize::from(sending.kill().was_killed());
                }
            });
        }
    });
    killed.into_inner().unwrap()
}
