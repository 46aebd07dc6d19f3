//! `chat notices`: what the ledger has to tell and nobody has heard yet.
//!
//! Opened for reading, so that this process does not deliver at the same time what it shows.

use std::collections::BTreeSet;
use std::time::Duration;

use chat_runtime::balance::Notice;
use serde_json::json;

use crate::app::App;
use crate::arguments::Notices;
use crate::errors::{Exit, Failure};
use crate::render::moment;
use crate::signals::Signals;

/// How often `--follow` looks.
const LOOK: Duration = Duration::from_secs(1);

/// Notices of one look of `--follow`, those that were shown and not taken included.
const FOLLOWED_MAX: u32 = 1_000;

/// Prints notices; with `--take`, forgets them after they were written.
///
/// # Errors
/// If the ledger does not answer; what was not forgotten is shown again.
pub(crate) async fn run(app: &App<'_>, arguments: &Notices) -> Result<Exit, Failure> {
    let mut seen = BTreeSet::new();
    if !arguments.follow {
        show(app, arguments, &mut seen).await?;
        return Ok(Exit::Ok);
    }
    let mut signals = Signals::new().map_err(|error| Failure::output(error.kind()))?;
    while show(app, arguments, &mut seen).await? {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = signals.next() => break,
        }
    }
    Ok(Exit::Ok)
}

/// One look; false if nobody reads any more.
async fn show(
    app: &App<'_>,
    arguments: &Notices,
    seen: &mut BTreeSet<String>,
) -> Result<bool, Failure> {
    let limit = if arguments.follow { FOLLOWED_MAX } else { arguments.limit };
    let notices = app.client().notices(limit).await?;
    let id = |notice: &Notice| format!("{}/{}", notice.scope.tenant, notice.key);
    for notice in notices.iter().filter(|notice| !seen.contains(&id(notice))) {
        print(app, notice, &id(notice));
    }
    if !app.output.is_read() {
        return Ok(false);
    }
    // What is gone from the page does not come back: as much is remembered as one page holds.
    *seen = notices.iter().map(id).collect();
    if arguments.take && !notices.is_empty() {
        app.client().forget_notices(&notices).await?;
    }
    Ok(true)
}

fn print(app: &App<'_>, notice: &Notice, id: &str) {
    if !app.settings.json {
        let (at, user) = (moment(notice.at), &notice.scope.user);
        app.output.line(format_args!("{at}  {user}  {}", notice.text()));
        return;
    }
    app.output.line(json!({
        "id": id,
        "kind": notice.kind,
        "tenant": notice.scope.tenant,
        "user": notice.scope.user,
        "account": notice.account,
        "unit": notice.unit,
        "amount": notice.amount,
        "limit": notice.limit,
        "turn": notice.step.turn,
        "step": notice.step.step,
        "at": notice.at,
    }));
}
