//! Building a prompt without sending it: it costs what the window costs, however long the conversation is.

use std::time::Instant;

use anyhow::Context as _;
use chat_core::{Placement, TurnRequest};
use chat_types::ContentPart;

use crate::long_conversation::import;
use crate::rig::Rig;
use crate::samples::{milliseconds, percentile};
use crate::table::{Table, Target};

/// Prompts built per length, taken in turns so that the machine's mood is shared.
const PROMPTS: usize = 200;
const WARM_UP_PROMPTS: usize = 20;
const WINDOW_TOKENS: u64 = 8_000;
const LENGTHS: [usize; 2] = [1_000, 10_000];

pub(crate) async fn measure(table: &mut Table) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let rig = Rig::start(folder.path(), "chunks=1", WINDOW_TOKENS).await?;
    let scope = rig.scope(0)?;
    let mut requests = Vec::new();
    for length in LENGTHS {
        let (conversation, parent) = import(&rig, length).await?;
        let parts = vec![ContentPart::text("And what came after that?")];
        let request = TurnRequest::placed(Placement::After { parent, parts });
        requests.push(request.in_conversation(conversation));
    }
    let mut samples: [Vec<f64>; 2] = Default::default();
    let mut items = [0; 2];
    for round in 0..PROMPTS + WARM_UP_PROMPTS {
        for ((request, samples), items) in requests.iter().zip(&mut samples).zip(&mut items) {
            let start = Instant::now();
            let explained = rig.client.explain(&scope, request).await?;
            if round >= WARM_UP_PROMPTS {
                samples.push(milliseconds(start));
            }
            *items = explained.prompt.items.len();
        }
    }
    let [of_short, of_long] = items;
    anyhow::ensure!(of_short.abs_diff(of_long) <= 2, "{of_short} items against {of_long}");
    let sent = u32::try_from(of_long).context("a prompt of that many items")?;
    let [mut short, mut long] = samples;
    let (short, long) = (percentile(&mut short, 50), percentile(&mut long, 50));
    table.add("prompt: items that fill the window", f64::from(sent), "", Target::Shown);
    table.add("prompt: out of 1,000 messages, p50", short, "ms", Target::Shown);
    table.add("prompt: out of 10,000 messages, p50", long, "ms", Target::Shown);
    table.add("prompt: 10,000 messages over 1,000", long / short, "x", Target::AtMost(1.2));
    Ok(())
}
