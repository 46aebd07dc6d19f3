//! `bench history`: a turn costs what its window costs, however long the conversation is.

use chat_core::{Placement, TurnRequest};
use chat_types::ContentPart;

use crate::long_conversation::import;
use crate::rig::Rig;
use crate::samples::percentile;
use crate::table::{Table, Target};

/// Turns measured per length, taken in turns so that the machine's mood is shared.
const TURNS: usize = 120;
const WINDOW_TOKENS: u64 = 8_000;
const LENGTHS: [usize; 3] = [10, 1_000, 10_000];

pub(crate) async fn run() -> anyhow::Result<Table> {
    let mut table = Table::new("history");
    let folder = tempfile::tempdir()?;
    let rig = Rig::start(folder.path(), "chunks=1", WINDOW_TOKENS).await?;
    let scope = rig.scope(0)?;
    let mut heads = Vec::new();
    for length in LENGTHS {
        heads.push(import(&rig, length).await?);
    }
    let mut first: [Vec<f64>; 3] = Default::default();
    for round in 0..TURNS + 10 {
        for ((conversation, head), samples) in heads.iter().zip(&mut first) {
            let request = TurnRequest::placed(Placement::After {
                parent: head.clone(),
                parts: vec![ContentPart::text("And what came after that?")],
            })
            .in_conversation(conversation.clone());
            let (times, turn) = rig.turn(&scope, request).await?;
            turn.settled().await;
            if round >= 10 {
                samples.push(times.first_ms);
            }
        }
    }
    let [mut ten, mut thousand, mut ten_thousand] = first;
    let (ten, thousand, ten_thousand) = (
        percentile(&mut ten, 50),
        percentile(&mut thousand, 50),
        percentile(&mut ten_thousand, 50),
    );
    table.add("10 messages: first delta, p50", ten, "ms", Target::Shown);
    table.add("1,000 messages: first delta, p50", thousand, "ms", Target::Shown);
    table.add("10,000 messages: first delta, p50", ten_thousand, "ms", Target::Shown);
    table.add("10,000 over 1,000", ten_thousand / thousand, "x", Target::AtMost(1.2));
    table.add("10,000 over 10", ten_thousand / ten, "x", Target::AtMost(2.0));
    Ok(table)
}
