//! Kills `chat` processes until every state of the journal was hit often enough, and counts the hits by
//! reading the journal before anybody recovers it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use chat_balance::HoldState;
use chat_persist::TurnRecord;
use chat_tests::scene::{Scene, SeenTurn, Sending, Sign, Told};
use chat_types::StepState;
use fastrand::Rng;

/// Processes that run and die at a time: more than cores, so that they get in each other's way.
const LANES: usize = 3;

/// Where a kill hit, by the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hit {
    /// No turn: the message was not acknowledged either.
    NotAccepted,
    /// The message is durable; no step, or one that is only held.
    Accepted,
    /// An attempt is journaled, nothing was shown.
    Dispatched,
    /// Text was shown, no checkpoint has it yet.
    Begun,
    /// The log has text.
    Streaming,
    /// Reply and amounts are decided, the mark of the settlement is not there.
    Settling,
    /// Everything is done but the process's own end.
    Settled,
    /// The step cost nothing.
    Released,
}

/// How many hits are wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goals {
    /// For each state that a kill can hit.
    pub(crate) each_state: usize,
    /// Kills that left a non-empty text in the log of a running turn.
    pub(crate) partial: usize,
    /// Kills after the end was durable.
    pub(crate) ended: usize,
    /// Attempts, hits or not: the run fails rather than goes on for ever.
    pub(crate) victims_max: usize,
}

/// The states that must be hit.
const WANTED: [Hit; 5] =
    [Hit::Accepted, Hit::Dispatched, Hit::Begun, Hit::Streaming, Hit::Settling];

/// One process that was killed, with what the journal said right after.
pub(crate) struct Victim {
    pub(crate) key: String,
    /// How often the provider may have been called for it.
    pub(crate) calls_max: usize,
    pub(crate) told: Told,
    pub(crate) seen: Option<SeenTurn>,
    pub(crate) hit: Option<Hit>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    hits: BTreeMap<Hit, usize>,
    partial: usize,
    ended: usize,
    ended_unposted: usize,
    held_without_step: usize,
    not_killed: usize,
    read_too_late: usize,
}

impl Tally {
    pub(crate) fn of(&self, hit: Hit) -> usize {
        self.hits.get(&hit).copied().unwrap_or(0)
    }

    /// What is still missing most, as the share of its goal.
    fn next(&self, goals: &Goals) -> Option<Aim> {
        let mut missing: Vec<(usize, usize, Aim)> =
            WANTED.iter().map(|hit| (self.of(*hit), goals.each_state, Aim::at(*hit))).collect();
        missing.push((self.partial, goals.partial, Aim::at(Hit::Streaming)));
        missing.push((self.ended, goals.ended, Aim::at(Hit::Settling)));
        missing.retain(|(have, want, _)| have < want);
        let share = |(have, want, _): &(usize, usize, Aim)| have * 1_000 / want;
        missing.sort_by_key(share);
        missing.first().map(|(_, _, aim)| *aim)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (hit, count) in &self.hits {
            write!(f, "{hit:?} {count}, ")?;
        }
        write!(
            f,
            "accepted with a hold and no step {}, non-empty partial text {}, \
             just after the end {} ({} before the ledger had it), \
             ended before the kill {}, read too late to count {}",
            self.held_without_step,
            self.partial,
            self.ended,
            self.ended_unposted,
            self.not_killed,
            self.read_too_late
        )
    }
}

/// A model that spends its time where the kill should hit, and when to kill.
#[derive(Debug, Clone, Copy)]
struct Aim {
    model: &'static str,
    sign: Sign,
    delay_max_us: u64,
}

impl Aim {
    const fn at(hit: Hit) -> Self {
        let (model, sign, delay_max_us) = match hit {
            Hit::Dispatched => ("fake:header_delay_ms-400", Sign::Attempt, 300_000),
            Hit::Begun => ("fake:chunks-200:delay_ms-5", Sign::FirstText, 150_000),
            Hit::Streaming => ("fake:chunks-400:delay_ms-5", Sign::FirstText, 1_200_000),
            Hit::Settling | Hit::Settled | Hit::Released => ("fake:chunks-12", Sign::Ended, 4_000),
            Hit::NotAccepted | Hit::Accepted => ("fake:chunks-12", Sign::Accepted, 500),
        };
        Self { model, sign, delay_max_us }
    }

    /// Anywhere in a short turn.
    const ANYWHERE: Self = Self {
        model: "fake:chunks-60:delay_ms-5:first_delay_ms-50",
        sign: Sign::Started,
        delay_max_us: 900_000,
    };
}

/// Kills until the goals are reached or `victims_max` have been sent.
pub(crate) fn kill_many(scene: &Scene, goals: &Goals, seed: u64) -> (Vec<Victim>, Tally) {
    let state = Mutex::new((Vec::new(), Tally::default(), 0_usize));
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            let state = &state;
            let mut rng = Rng::with_seed(seed.wrapping_add(u64::try_from(lane).unwrap()));
            scope.spawn(move || {
                loop {
                    let (number, aim) = {
                        let mut state = state.lock().unwrap();
                        let Some(aim) = state.1.next(goals) else {
                            return;
                        };
                        if state.2 == goals.victims_max {
                            return;
                        }
                        state.2 += 1;
                        // One in eight is not aimed at all.
                        let aim = if rng.u8(..8) == 0 { Aim::ANYWHERE } else { aim };
                        (state.2, aim)
                    };
                    let victim = kill_one(scene, number, aim, &mut rng);
                    let mut state = state.lock().unwrap();
                    count(&mut state.1, &victim);
                    state.0.push(victim);
                }
            });
        }
    });
    let (victims, tally, _) = state.into_inner().unwrap();
    (victims, tally)
}

fn kill_one(scene: &Scene, number: usize, aim: Aim, rng: &mut Rng) -> Victim {
    let key = format!("kill-{number}");
    let mut sending = Sending::start(scene, &key, aim.model, &format!("{key} says hello"));
    sending.wait_for(aim.sign);
    std::thread::sleep(Duration::from_micros(rng.u64(..aim.delay_max_us)));
    let told = sending.kill();
    let seen = scene.journal.find(&key);
    let hit = told.was_killed().then(|| hit_of(&told, seen.as_ref())).flatten();
    Victim { key, calls_max: 1, told, seen, hit }
}

/// None if somebody recovered the turn before the journal was read.
fn hit_of(told: &Told, seen: Option<&SeenTurn>) -> Option<Hit> {
    let Some(seen) = seen else {
        return Some(Hit::NotAccepted);
    };
    if seen.record.epoch > 1 {
        return None;
    }
    let hit = match step_state(&seen.record) {
        None | Some(StepState::Held) => Hit::Accepted,
        Some(StepState::Dispatched) if told.saw(Sign::FirstText) => Hit::Begun,
        Some(StepState::Dispatched) => Hit::Dispatched,
        Some(StepState::Streaming) => Hit::Streaming,
        Some(StepState::Settling) => Hit::Settling,
        Some(StepState::Settled) => Hit::Settled,
        Some(StepState::Released) => Hit::Released,
    };
    Some(hit)
}

fn step_state(record: &TurnRecord) -> Option<StepState> {
    record.steps.first().map(|step| step.state)
}

fn count(tally: &mut Tally, victim: &Victim) {
    let Some(hit) = victim.hit else {
        if victim.told.was_killed() {
            tally.read_too_late += 1;
        } else {
            tally.not_killed += 1;
        }
        return;
    };
    *tally.hits.entry(hit).or_default() += 1;
    let Some(seen) = &victim.seen else {
        return;
    };
    let is_held = seen.hold.as_ref().is_some_and(|hold| hold.state == HoldState::Open);
    if seen.record.state.is_terminal() {
        tally.ended += 1;
        tally.ended_unposted += usize::from(is_held);
    } else if seen.record.steps.is_empty() {
        tally.held_without_step += usize::from(is_held);
    } else if !seen.text().is_empty() {
        tally.partial += 1;
    }
}

/// The states that were hit too rarely.
pub(crate) fn missed(tally: &Tally, goals: &Goals) -> Vec<String> {
    let mut missed: Vec<String> = WANTED
        .iter()
        .filter(|hit| tally.of(**hit) < goals.each_state)
        .map(|hit| format!("{hit:?}: {} of {}", tally.of(*hit), goals.each_state))
        .collect();
    if tally.partial < goals.partial {
        missed.push(format!("partial text: {} of {}", tally.partial, goals.partial));
    }
    if tally.ended < goals.ended {
        missed.push(format!("after the end: {} of {}", tally.ended, goals.ended));
    }
    missed
}
