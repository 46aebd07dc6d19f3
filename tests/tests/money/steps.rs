//! Titles and stand-ins are calls like any other: one row each, as charged, also after a kill.

use chat_tests::fake_provider::{LedgerSummary, RequestRecord};
use chat_tests::on_every_engine;
use chat_tests::scene::{Engine, Scene, SceneOptions, seed};
use chat_types::{Purpose, Tokens, UsageSource};
use chat_usage::UsageRow;

use crate::calls::{Tally, calls_by_text, judge_books, judge_call, user_text};
use crate::counted;
use crate::kills::{CHECKPOINT_MS, IN_FLIGHT, PATIENCE, kill_some};

/// A reply of a second and a half.
const REPLY: &str = "fake:out-plain:chunks-40:delay_ms-30";
/// Refused before a token.
const REFUSING: &str = "fake:out-plain:status-401";
const STAND_IN: &str = "fake:out-plain:chunks-40:delay_ms-30:first_delay_ms-20";
const TITLE: &str = "fake:out-plain:chunks-6:delay_ms-50";

on_every_engine! {
    m3_titles_and_stand_ins_are_billed_as_charged_also_after_a_kill,
}

fn m3_titles_and_stand_ins_are_billed_as_charged_also_after_a_kill(engine: Engine) {
    let models = [REPLY, REFUSING, STAND_IN, TITLE];
    let options = SceneOptions::of_the_dying()
        .with_checkpoint_ms(CHECKPOINT_MS)
        .with_plain_models(models.map(str::to_owned))
        .with_titles(TITLE)
        .with_stand_in(REFUSING, STAND_IN);
    let scene = Scene::with(engine, &options);
    let kills = usize::try_from(counted(8, 100)).unwrap();
    let model = |number: usize| if number.is_multiple_of(2) { REPLY } else { REFUSING };
    let killed = kill_some(&scene, 0..kills, seed(), &model);
    let all_ended = |books: &LedgerSummary| books.totals.open == 0;
    scene.provider.wait_until(PATIENCE, all_ended).unwrap();
    scene.recover();
    let tally = judge(&scene);
    println!("{engine:?}: {killed} of {kills} killed; {tally}");
    tally.assert();
    println!("{}", scene.audit());
}

fn judge(scene: &Scene) -> Tally {
    let books = scene.journal.books();
    let charged = scene.provider.ledger().unwrap();
    let captured = scene.provider.captured().unwrap();
    let calls = calls_by_text(&charged, &captured);
    let mut tally = Tally::of(books.turns.len(), charged.requests.len());
    let mut billed = 0;
    for turn in books.turns.values() {
        let text = user_text(&books, turn);
        let calls = calls.get(&text).map(Vec::as_slice).unwrap_or_default();
        let rows = books.usage.iter().filter(|row| row.key.step.turn == turn.record.turn.id);
        for row in rows {
            match call_of(calls, row) {
                Some(call) if is_charged(call) => {
                    billed += 1;
                    judge_call(&mut tally, &text, call, row, IN_FLIGHT);
                }
                _ => {
                    tally.unseen += 1;
                    let is_input = row.source == UsageSource::Estimated
                        && row.usage.output_total() == Tokens::ZERO;
                    tally.check(is_input, || format!("{text}: billed {row:?} without a call"));
                }
            }
            let is_title = row.model.model.as_str() == TITLE;
            tally.check(is_title == (row.purpose == Purpose::Title), || format!("{row:?}"));
        }
    }
    let charged_calls = charged.requests.iter().filter(|call| is_charged(call)).count();
    tally.check(billed == charged_calls, || format!("{billed} rows of {charged_calls} calls"));
    let titles = charged.requests.iter().filter(|call| call.model == TITLE).count();
    let stand_ins = charged.requests.iter().filter(|call| call.model == STAND_IN).count();
    tally.check(titles > 0 && stand_ins > 0, || format!("{titles} titles, {stand_ins} stand-ins"));
    judge_books(&mut tally, &books);
    tally
}

/// Not refused, and not left before the provider had read it.
const fn is_charged(call: &RequestRecord) -> bool {
    call.tokens_in > 0
}

/// A turn asks each model once.
fn call_of<'a>(calls: &[&'a RequestRecord], row: &UsageRow) -> Option<&'a RequestRecord> {
    calls.iter().copied().find(|call| call.model == row.model.model.as_str())
}
